/* Any bytes as a file of settings: the reader comes to an end, each place lies in the document,
 * each text ends within its buffer, and what was read once reads the same again from a copy. */
#include <asx/engine/toml.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static void check_place(asx_toml_place place, uint32_t lines, size_t len)
{
    must(place.line >= 1 && place.line <= lines);
    must(place.column >= 1 && place.column <= len + 1);
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ ((const uint8_t *)bytes)[i]) * UINT64_C(1099511628211);
    }
    return hash;
}

static uint64_t read_all(const char *bytes, size_t len)
{
    asx_toml toml;
    asx_toml_event event;
    uint64_t hash = 0;
    uint32_t lines = 1;
    size_t events = 0;
    for (size_t i = 0; i < len; i++) {
        lines += bytes[i] == '\n';
    }
    asx_toml_init(&toml, bytes, len);
    do {
        event = asx_toml_next(&toml);
        must(++events <= len + 1);
        hash = mix(hash, &event, sizeof(event));
        if (event == ASX_TOML_END) {
            break;
        }
        check_place(toml.at, lines, len);
        must(memchr(toml.table, 0, sizeof(toml.table)) && memchr(toml.key, 0, sizeof(toml.key)));
        must(memchr(toml.message, 0, sizeof(toml.message)) != NULL);
        if (event == ASX_TOML_VALUE) {
            must(toml.text_len < sizeof(toml.text) && toml.text[toml.text_len] == '\0');
            hash = mix(hash, toml.text, toml.text_len);
        }
    } while (event != ASX_TOML_ERROR);
    must(asx_toml_next(&toml) == event);
    return hash;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *const copy = malloc(len + 1);
    if (copy) {
        memcpy(copy + 1, data, len);
        must(read_all((const char *)data, len) == read_all(copy + 1, len));
        free(copy);
    }
    return 0;
}
