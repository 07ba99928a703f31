/* Keys as people write them down. */
#include <asx/raptorq/net/keyring.h>

#include <string.h>

static bool is_space(uint8_t byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static int nibble(uint8_t digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    const uint8_t lower = digit | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool parse_hex(asx_rq_key *key, const uint8_t *text, size_t len)
{
    if (len != 2 * sizeof(key->bytes)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(key->bytes); i++) {
        const int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        key->bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool is_random(const asx_rq_key *key)
{
    bool seen[256] = { false };
    unsigned distinct = 0;
    for (size_t i = 0; i < sizeof(key->bytes); i++) {
        distinct += !seen[key->bytes[i]];
        seen[key->bytes[i]] = true;
    }
    const size_t half = sizeof(key->bytes) / 2;
    return distinct >= ASX_RQ_KEY_DISTINCT_MIN && memcmp(key->bytes, key->bytes + half, half) != 0;
}

asx_err asx_rq_key_parse(asx_rq_key *key, const void *text, size_t len)
{
    const uint8_t *first = text, *last = first + len;
    bool good = len == sizeof(key->bytes);
    if (good) {
        memcpy(key->bytes, text, len);
    } else {
        while (first < last && is_space(*first)) {
            first++;
        }
        while (last > first && is_space(last[-1])) {
            last--;
        }
        good = parse_hex(key, first, (size_t)(last - first));
    }
    if (!good || !is_random(key)) {
        asx_rq_key_wipe(key);
        return ASX_RQ_E(BAD_KEY);
    }
    return ASX_OK;
}

void asx_rq_key_wipe(asx_rq_key *key)
{
    explicit_bzero(key, sizeof(*key));
}
