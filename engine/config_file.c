/* A file of settings: TOML whose keys are the settings, on their own or in their table. */
#include <asx/engine/toml.h>

#include "config_internal.h"

#include <errno.h>
#include <string.h>

#define FILE_BYTES_MAX 65536u
#define WHERE_BYTES (ASX_CONFIG_MESSAGE_MAX / 2)

typedef struct file_reader {
    asxi_config_reader r;
    const char *path;
    asx_toml toml;
    uint32_t tables; /* bit a table: it has begun already */
} file_reader;

/* "FILE:LINE:COLUMN". */
static const char *place_text(const file_reader *f, asx_toml_place at, char where[WHERE_BYTES])
{
    snprintf(where, WHERE_BYTES, "%s:%u:%u", f->path, at.line, at.column);
    return where;
}

static bool check_table(file_reader *f)
{
    char where[WHERE_BYTES];
    for (size_t i = 0; i < asxi_setting_count; i++) {
        if (strcmp(asxi_settings[i].group->table, f->toml.table) == 0) {
            return true;
        }
    }
    return asxi_config_refuse(&f->r,
                              "%s: unknown table [%.32s]; there are [network], [engine], [limits], "
                              "[timeouts] and [drain], and no setting needs one",
                              place_text(f, f->toml.table_at, where), f->toml.table);
}

/* A table's head: it is known, and has not been there before. */
static bool begin_table(file_reader *f)
{
    char where[WHERE_BYTES];
    uint32_t bits = 0;
    if (!check_table(f)) {
        return false;
    }
    for (size_t i = 0; i < asxi_setting_count; i++) {
        bits |= strcmp(asxi_settings[i].group->table, f->toml.table) == 0 ? 1u << i : 0;
    }
    if (f->tables & bits) {
        return asxi_config_refuse(&f->r, "%s: [%s] is there already",
                                  place_text(f, f->toml.table_at, where), f->toml.table);
    }
    f->tables |= bits;
    return true;
}

/* The setting that the key names, or NULL and a message. */
static const asxi_setting *setting_of(file_reader *f)
{
    char where[WHERE_BYTES];
    const size_t len = strlen(f->toml.key);
    const asxi_setting *const s = asxi_setting_find(f->toml.key, len);
    (void)place_text(f, f->toml.key_at, where);
    if (f->toml.table[0] && !check_table(f)) {
        return NULL;
    }
    if (!s) {
        const char *const near = asxi_setting_nearest(f->toml.key, len, ASXI_SETTING_NEAR);
        (void)asxi_config_refuse(&f->r, "%s: unknown setting '%.64s'%s%s", where, f->toml.key,
                                 near ? "; did you mean " : "", near ? near : "");
        return NULL;
    }
    if (f->toml.table[0] && strcmp(f->toml.table, s->group->table) != 0) {
        (void)asxi_config_refuse(&f->r, "%s: %s belongs to [%s]", where, s->name, s->group->table);
        return NULL;
    }
    return s;
}

/* What the setting's value is, to people; NULL: it may be of that kind. */
static const char *kind_wanted(const asxi_setting *s, asx_toml_kind kind)
{
    switch (s->kind) {
    case ASXI_SETTING_COUNT:
        return kind == ASX_TOML_INTEGER ? NULL : "a whole number without quotes";
    case ASXI_SETTING_SIZE:
        return kind <= ASX_TOML_INTEGER ? NULL : "a size such as 65536 or \"64k\"";
    case ASXI_SETTING_DURATION:
        return kind <= ASX_TOML_INTEGER ? NULL : "a duration such as \"10s\"";
    case ASXI_SETTING_RATE:
        return kind <= ASX_TOML_INTEGER ? NULL : "a rate such as 100 or \"100/s\"";
    case ASXI_SETTING_CORES:
        return kind <= ASX_TOML_INTEGER ? NULL : "a list such as \"0,2-5\"";
    case ASXI_SETTING_ADDRS:
    case ASXI_SETTING_ADDR:
    case ASXI_SETTING_DRIVER:
    case ASXI_SETTING_PATH:
        break;
    }
    return kind == ASX_TOML_STRING ? NULL : "text in quotes";
}

static bool value(file_reader *f)
{
    const asx_toml *const toml = &f->toml;
    const asxi_setting *const s = setting_of(f);
    char at[WHERE_BYTES], where[WHERE_BYTES + 64];
    if (!s) {
        return false;
    }
    (void)place_text(f, toml->at, at);
    snprintf(where, sizeof(where), "%s: %s", at, s->name);
    const bool again = f->r.seen >> (s - asxi_settings) & 1;
    const char *const wanted = kind_wanted(s, toml->kind);
    if (again && (!toml->in_array || toml->index == 0)) {
        return asxi_config_refuse(&f->r, "%s: %s: given twice", place_text(f, toml->key_at, at),
                                  s->name);
    }
    if (toml->in_array && s->kind != ASXI_SETTING_ADDRS) {
        return asxi_config_refuse(&f->r, "%s: one value is wanted, not an array", where);
    }
    if (wanted) {
        return asxi_config_refuse(&f->r, "%s: %s is wanted", where, wanted);
    }
    if (strlen(toml->text) != toml->text_len) {
        return asxi_config_refuse(&f->r, "%s: text with a 0 in it", where);
    }
    f->r.origin = (asx_config_origin){ .source = ASX_CONFIG_FILE,
                                       .line = toml->key_at.line,
                                       .file = f->path };
    return asxi_config_set(&f->r, s, where, toml->text);
}

/* What the document says next. */
static bool heed(file_reader *f, asx_toml_event event)
{
    char where[WHERE_BYTES];
    switch (event) {
    case ASX_TOML_END:
        return true;
    case ASX_TOML_VALUE:
        return value(f);
    case ASX_TOML_TABLE:
        return begin_table(f);
    case ASX_TOML_ERROR:
        return asxi_config_refuse(&f->r, "%s: %s", place_text(f, f->toml.at, where),
                                  f->toml.message);
    case ASX_TOML_ARRAY_TABLE:
        return asxi_config_refuse(&f->r, "%s: no setting is a list of tables; [%s] is one",
                                  place_text(f, f->toml.table_at, where), f->toml.table);
    case ASX_TOML_EMPTY_ARRAY:
        return asxi_config_refuse(&f->r, "%s: %s: an empty array",
                                  place_text(f, f->toml.key_at, where), f->toml.key);
    }
    return false;
}

static bool read_bytes(file_reader *f, const char *bytes, size_t len)
{
    asx_toml_event event;
    asx_toml_init(&f->toml, bytes, len);
    do {
        event = asx_toml_next(&f->toml);
        if (!heed(f, event)) {
            return false;
        }
    } while (event != ASX_TOML_END);
    return true;
}

/* Not inlined: whoever reads no file has no room for one on its stack. */
__attribute__((noinline)) bool asxi_config_read_file(asx_config *config, const char *where,
                                                     const char *path, char *message)
{
    file_reader f = { .r = { .config = config, .message = message }, .path = path };
    char bytes[FILE_BYTES_MAX];
    FILE *const file = fopen(path, "re");
    if (!file) {
        const int errnum = errno;
        return asxi_config_refuse(&f.r, "%s: cannot read %.256s: %s", where, path,
                                  strerrordesc_np(errnum));
    }
    const size_t len = fread(bytes, 1, sizeof(bytes), file);
    const int errnum = ferror(file) ? errno : 0;
    fclose(file);
    if (errnum != 0) {
        return asxi_config_refuse(&f.r, "%s: cannot read %.256s: %s", where, path,
                                  strerrordesc_np(errnum));
    }
    if (len == sizeof(bytes)) {
        return asxi_config_refuse(&f.r, "%s: %.256s is longer than %zu bytes", where, path,
                                  sizeof(bytes) - 1);
    }
    return read_bytes(&f, bytes, len);
}
