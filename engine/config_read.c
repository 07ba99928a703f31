/* The sources in their order: defaults, a file, the environment, flags. */
#include <asx/shard/base/assert.h>

#include "config_internal.h"

#include <string.h>

#define ENV_PREFIX "ASX_"
#define ENV_PREFIX_LEN (sizeof(ENV_PREFIX) - 1)

const asxi_setting *asxi_setting_find(const char *name, size_t len)
{
    for (size_t i = 0; i < asxi_setting_count; i++) {
        if (strlen(asxi_settings[i].name) == len && memcmp(asxi_settings[i].name, name, len) == 0) {
            return &asxi_settings[i];
        }
    }
    return NULL;
}

/* Edits between two short words (Levenshtein), 99 for long ones. */
static unsigned distance(const char *a, size_t a_len, const char *b)
{
    unsigned row[33];
    const size_t b_len = strlen(b);
    if (a_len > 32 || b_len > 32) {
        return 99;
    }
    for (unsigned j = 0; j <= b_len; j++) {
        row[j] = j;
    }
    for (unsigned i = 1; i <= a_len; i++) {
        unsigned corner = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b_len; j++) {
            const unsigned swap = corner + (a[i - 1] != b[j - 1]);
            const unsigned edit = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            corner = row[j];
            row[j] = swap < edit ? swap : edit;
        }
    }
    return row[b_len];
}

const char *asxi_setting_nearest(const char *name, size_t len, unsigned most)
{
    const char *best = NULL;
    unsigned best_distance = most + 1;
    for (size_t i = 0; i < asxi_setting_count; i++) {
        const unsigned d = distance(name, len, asxi_settings[i].name);
        if (d < best_distance) {
            best_distance = d;
            best = asxi_settings[i].name;
        }
    }
    return best;
}

/* The one flag without a value. */
static bool is_effective(const char *arg)
{
    return strcmp(arg, "--effective") == 0;
}

/* "--name=value" or "--name value": the name's length, and the value or NULL. Moves *i. */
static size_t flag_split(int argc, char **argv, int *i, const char **value)
{
    const char *const name = argv[*i] + 2;
    const char *const equals = strchr(name, '=');
    if (equals) {
        *value = equals + 1;
        return (size_t)(equals - name);
    }
    *value = *i + 1 < argc ? argv[*i + 1] : NULL;
    (*i)++;
    return strlen(name);
}

static bool read_flag(asxi_config_reader *r, int argc, char **argv, int *i)
{
    const char *value, *const arg = argv[*i];
    char where[64];
    if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0') {
        return asxi_config_refuse(r, "unexpected argument '%.64s'; settings are flags, see --help",
                                  arg);
    }
    const size_t len = flag_split(argc, argv, i, &value);
    const bool is_config = len == 6 && memcmp(arg + 2, "config", 6) == 0;
    const asxi_setting *const s = asxi_setting_find(arg + 2, len);
    if (!s && !is_config) {
        const char *const near = asxi_setting_nearest(arg + 2, len, ASXI_SETTING_NEAR);
        return asxi_config_refuse(r, "unknown flag '%.64s'%s%s; see --help", arg,
                                  near ? "; did you mean --" : "", near ? near : "");
    }
    if (!value) {
        return asxi_config_refuse(r, "--%s: %s is missing", is_config ? "config" : s->name,
                                  is_config ? "FILE" : s->shape);
    }
    if (is_config) {
        return true; /* read before any flag */
    }
    snprintf(where, sizeof(where), "--%s", s->name);
    return asxi_config_set(r, s, where, value);
}

static void defaults(asx_config *config)
{
    char message[ASX_CONFIG_MESSAGE_MAX];
    asxi_config_reader r = { .config = config, .message = message };
    memset(config, 0, sizeof(*config));
    for (size_t i = 0; i < asxi_setting_count; i++) {
        if (asxi_settings[i].initial[0] != '\0' &&
            !asxi_config_set(&r, &asxi_settings[i], asxi_settings[i].name,
                             asxi_settings[i].initial)) {
            asx_assert_fail(__FILE__, __LINE__, "default of %s", message);
        }
    }
}

/* The value of "NAME=value" entries; NULL: there is none, or it is empty. */
static const char *env_value(char *const *env, const char *name)
{
    const size_t len = strlen(name);
    for (; env && *env; env++) {
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=') {
            return (*env)[len + 1] ? *env + len + 1 : NULL;
        }
    }
    return NULL;
}

static bool read_files(asx_config *config, int argc, char **argv, char *const *env, char *message)
{
    const char *const from_env = env_value(env, "ASX_CONFIG");
    bool named = false;
    for (int i = 1; i < argc; i++) {
        const char *value;
        if (strncmp(argv[i], "--", 2) != 0 || is_effective(argv[i])) {
            continue;
        }
        const char *const name = argv[i] + 2;
        const size_t len = flag_split(argc, argv, &i, &value);
        if (len == 6 && memcmp(name, "config", 6) == 0 && value) {
            named = true;
            config->file_count++;
            if (!asxi_config_read_file(config, "--config", value, message)) {
                return false;
            }
        }
    }
    config->file_count += !named && from_env;
    return named || !from_env || asxi_config_read_file(config, "ASX_CONFIG", from_env, message);
}

/* A list's entries stand between commas. */
static bool set_entries(asxi_config_reader *r, const asxi_setting *s, const char *where,
                        const char *value)
{
    while (s->kind == ASXI_SETTING_ADDRS && strchr(value, ',')) {
        char entry[ASX_ADDR_TEXT_MAX];
        const size_t len = strcspn(value, ",");
        snprintf(entry, sizeof(entry), "%.*s", (int)len, value);
        if (!asxi_config_set(r, s, where, entry)) {
            return false;
        }
        value += len + 1;
    }
    return asxi_config_set(r, s, where, value);
}

/* "ASX_MAX_BODY=1m": the setting max-body. */
static bool read_variable(asxi_config_reader *r, const char *variable)
{
    char name[64], where[64];
    const size_t len = strcspn(variable, "=") - ENV_PREFIX_LEN;
    const char *const value = variable + ENV_PREFIX_LEN + len + 1;
    if (len >= sizeof(name) || variable[ENV_PREFIX_LEN + len] == '\0' || *value == '\0') {
        return true; /* no setting is called so, or none is made */
    }
    for (size_t i = 0; i < len; i++) {
        const char c = variable[ENV_PREFIX_LEN + i];
        name[i] = c == '_' ? '-' : c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : '?';
    }
    name[len] = '\0';
    const int where_len = (int)(ENV_PREFIX_LEN + len);
    snprintf(where, sizeof(where), "%.*s", where_len, variable);
    const asxi_setting *const s = asxi_setting_find(name, len);
    if (s) {
        return set_entries(r, s, where, value);
    }
    /* The prefix is not ours alone: what looks like nothing of ours is left to others. */
    const char *const near =
        len >= 4 && strcmp(name, "config") != 0 ? asxi_setting_nearest(name, len, 1) : NULL;
    return !near ||
           asxi_config_refuse(r, "%s is no setting; did you mean that of --%s", where, near);
}

static bool read_environment(asx_config *config, char *const *env, char *message)
{
    asxi_config_reader r = { .config = config,
                             .message = message,
                             .origin = { .source = ASX_CONFIG_ENVIRONMENT } };
    for (; env && *env; env++) {
        if (strncmp(*env, ENV_PREFIX, ENV_PREFIX_LEN) == 0 && !read_variable(&r, *env)) {
            return false;
        }
    }
    return true;
}

/* What only makes sense together. */
static bool check(const asxi_config_reader *r)
{
    const asx_config *const config = r->config;
    if (config->cores.count > 0 && config->shards > 0 && config->shards != config->cores.count) {
        return asxi_config_refuse(r,
                                  "--shards %u and --cores name different numbers of shards (%u)",
                                  (unsigned)config->shards, config->cores.count);
    }
    return config->cores.count <= 64 ||
           asxi_config_refuse(r, "--cores: %u shards, 64 is the most", config->cores.count);
}

asx_config_result asx_config_parse(asx_config *config, int argc, char **argv, char *const *env,
                                   char message[ASX_CONFIG_MESSAGE_MAX])
{
    asxi_config_reader r = { .config = config,
                             .message = message,
                             .origin = { .source = ASX_CONFIG_FLAG } };
    bool effective = false;
    defaults(config);
    config->argc = argc;
    config->argv = argv;
    config->env = env;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return ASX_CONFIG_HELP;
        }
        if (strcmp(argv[i], "--version") == 0) {
            return ASX_CONFIG_VERSION;
        }
    }
    if (!read_files(config, argc, argv, env, message) || !read_environment(config, env, message)) {
        return ASX_CONFIG_ERROR;
    }
    for (int i = 1; i < argc; i++) {
        effective |= is_effective(argv[i]);
        if (!is_effective(argv[i]) && !read_flag(&r, argc, argv, &i)) {
            return ASX_CONFIG_ERROR;
        }
    }
    if (!check(&r)) {
        return ASX_CONFIG_ERROR;
    }
    return effective ? ASX_CONFIG_EFFECTIVE : ASX_CONFIG_OK;
}

asx_config_result asx_config_reparse(const asx_config *before, asx_config *config,
                                     char message[ASX_CONFIG_MESSAGE_MAX])
{
    return asx_config_parse(config, before->argc, before->argv, before->env, message);
}
