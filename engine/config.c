/* The table, and the two readers that fill it in. Everything that is said about a wrong value is
 * said here, so that a flag and a line of a file are refused with the same words. */
#include "config.h"

#include <asx/engine/admit.h>
#include <asx/shard/base/assert.h>

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

typedef enum setting_kind {
    SETTING_ADDRS, /* repeatable */
    SETTING_ADDR,
    SETTING_COUNT,
    SETTING_SIZE,
    SETTING_DURATION,
    SETTING_RATE, /* a second */
    SETTING_CORES,
    SETTING_DRIVER,
    SETTING_PATH,
} setting_kind;

typedef struct setting {
    const char *name; /* "--name" is the flag, "name = value" the line */
    setting_kind kind;
    size_t offset;
    uint64_t min, max;
    const char *initial; /* parsed like any other value; "" leaves zero */
    const char *shape;   /* of the value, for people */
    const char *group;
    const char *help;
} setting;

#define AT(field) offsetof(asx_config, field)
#define DAY_NS (86400 * ASX_NS_PER_S)
#define LISTEN "Where to listen"
#define SHARDS "Shards and drivers"
#define LIMITS "Limits (of each shard)"
#define TIMES "Time limits"
#define ENDING "Ending"

static const setting settings[] = {
    { "listen", SETTING_ADDRS, AT(listen), 0, ASX_LISTEN_MAX, "127.0.0.1:8080",
      "ADDR:PORT|unix:PATH", LISTEN, "address to serve; may be given up to 16 times" },
    { "admin", SETTING_ADDR, AT(admin), 0, 1, "", "ADDR:PORT|unix:PATH", LISTEN,
      "admin listener, loopback or Unix socket: /debug/regions, /explain/ID, /drain" },
    { "root", SETTING_PATH, AT(root), 0, 0, "", "DIR", LISTEN, "serve DIR below /static/" },
    { "access-log", SETTING_PATH, AT(access_log), 0, 0, "", "FILE|-", LISTEN,
      "a JSON line for each request; SIGHUP opens FILE again" },
    { "shards", SETTING_COUNT, AT(shards), 0, 64, "0", "N", SHARDS,
      "pinned threads; 0: one for each core that the cpuset and the cgroup quota allow" },
    { "cores", SETTING_CORES, AT(cores), 0, 0, "", "LIST", SHARDS,
      "cores to pin them to, such as 0,2-5; one shard each" },
    { "driver", SETTING_DRIVER, AT(driver), 0, 0, "auto", "auto|uring|epoll", SHARDS,
      "how shards talk to the kernel" },
    { "seed", SETTING_COUNT, AT(seed), 0, UINT64_MAX, "0", "N", SHARDS,
      "of the tasks' random streams; 0: from the operating system" },
    { "max-connections", SETTING_COUNT, AT(connections_max), 1, 1u << 20, "65536", "N", LIMITS,
      "open connections; more are answered with 503 and closed" },
    { "max-in-flight", SETTING_COUNT, AT(in_flight_max), 1, 1u << 20, "16384", "N", LIMITS,
      "requests being handled; more are answered with 503 and Retry-After" },
    { "max-per-ip", SETTING_COUNT, AT(per_ip_max), 0, 1u << 20, "0", "N", LIMITS,
      "of them from one IPv4 address or IPv6 /64, to one listener; 0: no limit" },
    { "accept-rate", SETTING_RATE, AT(accept_rate), 0, ASX_ADMIT_RATE_MAX, "0", "N/s", LIMITS,
      "new connections a second, to one listener; 0: no limit" },
    { "accept-burst", SETTING_COUNT, AT(accept_burst), 0, 1u << 20, "0", "N", LIMITS,
      "of them at once after a rest; 0: as many as in a second" },
    { "max-requests", SETTING_COUNT, AT(requests_per_connection), 1, UINT64_MAX, "10000", "N",
      LIMITS, "requests of one connection, then it is closed" },
    { "max-body", SETTING_SIZE, AT(body_bytes_max), 0, UINT64_C(1) << 50, "16m", "SIZE", LIMITS,
      "bytes of a request's body; more are answered with 413" },
    { "head-timeout", SETTING_DURATION, AT(head_timeout_ns), ASX_NS_PER_MS, DAY_NS, "10s", "D",
      TIMES, "from the first byte of a request's head to its last" },
    { "idle-timeout", SETTING_DURATION, AT(idle_timeout_ns), ASX_NS_PER_MS, DAY_NS, "60s", "D",
      TIMES, "between requests of a connection" },
    { "write-timeout", SETTING_DURATION, AT(write_timeout_ns), ASX_NS_PER_MS, DAY_NS, "30s", "D",
      TIMES, "without progress while writing to a client" },
    { "body-grace", SETTING_DURATION, AT(body_grace_ns), ASX_NS_PER_MS, DAY_NS, "5s", "D", TIMES,
      "before a body that comes slower than 240 bytes/s is given up" },
    { "request-timeout", SETTING_DURATION, AT(request_timeout_ns), 0, DAY_NS, "0", "D", TIMES,
      "of a handler, answered with 504; 0: none" },
    { "drain-timeout", SETTING_DURATION, AT(drain_timeout_ns), 0, DAY_NS, "10s", "D", ENDING,
      "SIGTERM and SIGINT: how long requests may go on before they are cancelled" },
    { "drain-delay", SETTING_DURATION, AT(drain_delay_ns), 0, DAY_NS, "0", "D", ENDING,
      "how long /healthz says 503 before listening ends, for load balancers" },
};

#define SETTING_COUNT_ALL (sizeof(settings) / sizeof(settings[0]))

typedef struct reader {
    asx_config *config;
    char *message;
    uint32_t seen; /* bit a setting: given by this source already */
} reader;
_Static_assert(SETTING_COUNT_ALL <= 32, "reader.seen has a bit for each");

ASX_PRINTF(2, 3) static bool refuse(const reader *r, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(r->message, ASX_CONFIG_MESSAGE_MAX, fmt, args);
    va_end(args);
    return false;
}

/* Digits with an optional unit behind them; false when there are none or they overflow. */
static bool number_and_unit(const char *text, uint64_t *value, const char **unit)
{
    uint64_t sum = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        if (__builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(*p - '0'), &sum)) {
            return false;
        }
    }
    *value = sum;
    *unit = p;
    return p > text;
}

asx_err asx_duration_parse(const char *text, asx_duration *duration)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = {
        { "ns", 1 },           { "us", ASX_NS_PER_US },    { "ms", ASX_NS_PER_MS },
        { "s", ASX_NS_PER_S }, { "m", 60 * ASX_NS_PER_S }, { "h", 3600 * ASX_NS_PER_S },
    };
    uint64_t value;
    const char *unit;
    if (!number_and_unit(text, &value, &unit)) {
        return ASX_E(INVALID_ARGUMENT);
    }
    if (value == 0 && *unit == '\0') {
        *duration = 0;
        return ASX_OK;
    }
    for (size_t i = 0; i < asx_array_count(units); i++) {
        if (strcmp(unit, units[i].unit) == 0) {
            *duration = asx_time_mul(value, units[i].ns);
            return ASX_OK;
        }
    }
    return ASX_E(INVALID_ARGUMENT);
}

asx_err asx_rate_parse(const char *text, uint64_t *rate)
{
    const char *unit;
    const bool good = number_and_unit(text, rate, &unit);
    return good && (*unit == '\0' || strcmp(unit, "/s") == 0) ? ASX_OK : ASX_E(INVALID_ARGUMENT);
}

asx_err asx_size_parse(const char *text, uint64_t *size)
{
    uint64_t value;
    const char *unit;
    if (!number_and_unit(text, &value, &unit)) {
        return ASX_E(INVALID_ARGUMENT);
    }
    static const char letters[] = "kmgt";
    const char lower = (char)(*unit | 0x20);
    const char *const letter = *unit ? strchr(letters, lower) : NULL;
    if (letter) {
        const unsigned shift = 10u * (unsigned)(letter - letters + 1);
        if (value > UINT64_MAX >> shift) {
            return ASX_E(INVALID_ARGUMENT);
        }
        value <<= shift;
        unit++;
        if (*unit == 'i' || *unit == 'I') {
            unit++;
        }
    }
    if (*unit == 'b' || *unit == 'B') {
        unit++;
    }
    *size = value;
    return *unit == '\0' ? ASX_OK : ASX_E(INVALID_ARGUMENT);
}

static bool addr_is_local(const asx_addr *addr)
{
    static const uint8_t v6_loopback[16] = { [15] = 1 };
    switch ((asx_addr_family)addr->family) {
    case ASX_ADDR_INET:
        return addr->ip[0] == 127;
    case ASX_ADDR_INET6:
        return memcmp(addr->ip, v6_loopback, 16) == 0;
    case ASX_ADDR_UNIX:
        return true;
    case ASX_ADDR_NONE:
        break;
    }
    return false;
}

static bool set_addr(reader *r, const setting *s, const char *where, const char *value,
                     asx_addr_list *list)
{
    asx_addr addr;
    const asx_err err = asx_addr_parse(value, &addr);
    if (err == ASX_E(TOO_LONG)) {
        return refuse(r, "%s: '%.32s...' is longer than the %u bytes of a socket's path", where,
                      value, ASX_ADDR_PATH_MAX - 1);
    }
    if (err) {
        return refuse(r,
                      "%s: '%.64s' is not an address: ADDR:PORT, [V6]:PORT, :PORT or unix:PATH; "
                      "names are not looked up",
                      where, value);
    }
    if (s->kind == SETTING_ADDR && !addr_is_local(&addr)) {
        return refuse(r,
                      "%s: %s is not loopback; it answers without asking who asks, so only "
                      "127.x.x.x, [::1] and unix:PATH are allowed",
                      where, value);
    }
    if (list->count >= s->max) {
        return refuse(r, "%s: at most %u addresses", where, (unsigned)s->max);
    }
    list->addrs[list->count++] = addr;
    return true;
}

static bool set_number(reader *r, const setting *s, const char *where, const char *value,
                       uint64_t *field)
{
    uint64_t number = 0;
    const char *unit;
    bool good = false;
    const char *example = "";
    if (s->kind == SETTING_DURATION) {
        good = asx_duration_parse(value, &number) == ASX_OK;
        example = "a duration such as 250ms, 10s or 2m";
    } else if (s->kind == SETTING_SIZE) {
        good = asx_size_parse(value, &number) == ASX_OK;
        example = "a size such as 64k or 16m";
    } else if (s->kind == SETTING_RATE) {
        good = asx_rate_parse(value, &number) == ASX_OK;
        example = "a rate such as 100/s";
    } else {
        good = number_and_unit(value, &number, &unit) && *unit == '\0';
        example = "a whole number";
    }
    /* Digits alone that are none of these are more than 64 bits hold. */
    const size_t digits = strspn(value, "0123456789");
    const bool too_large = !good && s->kind != SETTING_DURATION && digits > 0 && !value[digits];
    if (!good && !too_large) {
        return refuse(r, "%s: '%.64s' is not %s", where, value, example);
    }
    if (too_large || number < s->min || number > s->max) {
        if (s->kind == SETTING_DURATION) {
            return refuse(r, "%s: %s is out of range, %llums to %lluh", where, value,
                          (unsigned long long)(s->min / ASX_NS_PER_MS),
                          (unsigned long long)(s->max / (3600 * ASX_NS_PER_S)));
        }
        return refuse(r, "%s: %s is out of range, %llu to %llu", where, value,
                      (unsigned long long)s->min, (unsigned long long)s->max);
    }
    *field = number;
    return true;
}

static bool set_path(reader *r, const char *where, const char *value, char *field)
{
    const size_t len = strlen(value);
    if (len == 0 || len >= ASX_CONFIG_PATH_MAX) {
        return refuse(r, "%s: a path of 1 to %u bytes is wanted", where, ASX_CONFIG_PATH_MAX - 1);
    }
    memcpy(field, value, len + 1);
    return true;
}

/* where   "--listen" or "FILE:LINE: listen" */
static bool set(reader *r, const setting *s, const char *where, const char *value)
{
    char *const field = (char *)r->config + s->offset;
    const uint32_t bit = 1u << (s - settings);
    const bool repeated = (r->seen & bit) != 0;
    if (repeated && s->kind != SETTING_ADDRS) {
        return refuse(r, "%s: given twice", where);
    }
    r->seen |= bit;
    switch (s->kind) {
    case SETTING_ADDRS:
    case SETTING_ADDR: {
        asx_addr_list *const list = (asx_addr_list *)(void *)field;
        if (!repeated) {
            list->count = 0; /* a later source replaces the whole list of an earlier one */
        }
        return set_addr(r, s, where, value, list);
    }
    case SETTING_COUNT:
    case SETTING_SIZE:
    case SETTING_DURATION:
    case SETTING_RATE:
        return set_number(r, s, where, value, (uint64_t *)(void *)field);
    case SETTING_CORES:
        return asx_core_list_parse(value, (asx_core_list *)(void *)field) == ASX_OK ||
               refuse(r, "%s: '%s' is not a list of cores such as 0,2-5", where, value);
    case SETTING_DRIVER:
        return asx_driver_choice_parse(value, (asx_driver_choice *)(void *)field) == ASX_OK ||
               refuse(r, "%s: '%s' is not auto, uring or epoll", where, value);
    case SETTING_PATH:
        return set_path(r, where, value, field);
    }
    return false;
}

static const setting *setting_find(const char *name, size_t len)
{
    for (size_t i = 0; i < SETTING_COUNT_ALL; i++) {
        if (strlen(settings[i].name) == len && memcmp(settings[i].name, name, len) == 0) {
            return &settings[i];
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

static const char *nearest(const char *name, size_t len)
{
    const char *best = NULL;
    unsigned best_distance = 4;
    for (size_t i = 0; i < SETTING_COUNT_ALL; i++) {
        const unsigned d = distance(name, len, settings[i].name);
        if (d < best_distance) {
            best_distance = d;
            best = settings[i].name;
        }
    }
    return best;
}

static char *trim(char *text)
{
    text += strspn(text, " \t\r\n");
    size_t len = strlen(text);
    while (len > 0 && strchr(" \t\r\n", text[len - 1])) {
        text[--len] = '\0';
    }
    return text;
}

static bool read_line(reader *r, const char *path, unsigned number, char *line)
{
    char where[ASX_CONFIG_MESSAGE_MAX / 2];
    char *text = trim(line);
    if (*text == '\0' || *text == '#') {
        return true;
    }
    char *const equals = strchr(text, '=');
    if (!equals) {
        return refuse(r, "%s:%u: 'name = value' is wanted", path, number);
    }
    *equals = '\0';
    char *const name = trim(text), *value = trim(equals + 1);
    const size_t len = strlen(value);
    if (len >= 2 && value[0] == '"' && value[len - 1] == '"') {
        value[len - 1] = '\0';
        value++;
    }
    const setting *const s = setting_find(name, strlen(name));
    if (!s) {
        const char *const near = nearest(name, strlen(name));
        return refuse(r, "%s:%u: unknown setting '%.64s'%s%s", path, number, name,
                      near ? "; did you mean " : "", near ? near : "");
    }
    snprintf(where, sizeof(where), "%s:%u: %s", path, number, s->name);
    return set(r, s, where, value);
}

static bool read_file(asx_config *config, const char *path, char *message)
{
    reader r = { .config = config, .message = message };
    char line[2048];
    bool good = true;
    FILE *const file = fopen(path, "re");
    if (!file) {
        const int errnum = errno;
        return refuse(&r, "--config: cannot read %.256s: %s", path, strerrordesc_np(errnum));
    }
    for (unsigned number = 1; good && fgets(line, sizeof(line), file); number++) {
        if (!strchr(line, '\n') && !feof(file)) {
            good = refuse(&r, "%s:%u: line longer than %zu bytes", path, number, sizeof(line) - 2);
        } else {
            good = read_line(&r, path, number, line);
        }
    }
    if (good && ferror(file)) {
        good = refuse(&r, "--config: cannot read %.256s: %s", path, strerrordesc_np(errno));
    }
    fclose(file);
    return good;
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

static bool read_flag(reader *r, int argc, char **argv, int *i)
{
    const char *value, *const arg = argv[*i];
    char where[64];
    if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0') {
        return refuse(r, "unexpected argument '%.64s'; settings are flags, see --help", arg);
    }
    const size_t len = flag_split(argc, argv, i, &value);
    const bool is_config = len == 6 && memcmp(arg + 2, "config", 6) == 0;
    const setting *const s = setting_find(arg + 2, len);
    if (!s && !is_config) {
        const char *const near = nearest(arg + 2, len);
        return refuse(r, "unknown flag '%.64s'%s%s; see --help", arg,
                      near ? "; did you mean --" : "", near ? near : "");
    }
    if (!value) {
        return refuse(r, "--%s: %s is missing", is_config ? "config" : s->name,
                      is_config ? "FILE" : s->shape);
    }
    if (is_config) {
        return true; /* read before any flag */
    }
    snprintf(where, sizeof(where), "--%s", s->name);
    return set(r, s, where, value);
}

static void defaults(asx_config *config)
{
    char message[ASX_CONFIG_MESSAGE_MAX];
    reader r = { .config = config, .message = message };
    memset(config, 0, sizeof(*config));
    for (size_t i = 0; i < SETTING_COUNT_ALL; i++) {
        if (settings[i].initial[0] != '\0' &&
            !set(&r, &settings[i], settings[i].name, settings[i].initial)) {
            asx_assert_fail(__FILE__, __LINE__, "default of %s", message);
        }
    }
}

static bool read_files(asx_config *config, int argc, char **argv, char *message)
{
    for (int i = 1; i < argc; i++) {
        const char *value;
        if (strncmp(argv[i], "--", 2) != 0) {
            continue;
        }
        const char *const name = argv[i] + 2;
        const size_t len = flag_split(argc, argv, &i, &value);
        if (len == 6 && memcmp(name, "config", 6) == 0 && value &&
            !read_file(config, value, message)) {
            return false;
        }
    }
    return true;
}

asx_config_result asx_config_parse(asx_config *config, int argc, char **argv,
                                   char message[ASX_CONFIG_MESSAGE_MAX])
{
    reader r = { .config = config, .message = message };
    defaults(config);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return ASX_CONFIG_HELP;
        }
        if (strcmp(argv[i], "--version") == 0) {
            return ASX_CONFIG_VERSION;
        }
    }
    if (!read_files(config, argc, argv, message)) {
        return ASX_CONFIG_ERROR;
    }
    for (int i = 1; i < argc; i++) {
        if (!read_flag(&r, argc, argv, &i)) {
            return ASX_CONFIG_ERROR;
        }
    }
    if (config->cores.count > 0 && config->shards > 0 && config->shards != config->cores.count) {
        refuse(&r, "--shards %u and --cores name different numbers of shards (%u)",
               (unsigned)config->shards, config->cores.count);
        return ASX_CONFIG_ERROR;
    }
    if (config->cores.count > 64) {
        refuse(&r, "--cores: %u shards, 64 is the most", config->cores.count);
        return ASX_CONFIG_ERROR;
    }
    return ASX_CONFIG_OK;
}

void asx_config_help(FILE *out, const char *program)
{
    const char *group = "";
    fprintf(out, "usage: %s [--SETTING VALUE]... [--config FILE]\n", program);
    for (size_t i = 0; i < SETTING_COUNT_ALL; i++) {
        const setting *const s = &settings[i];
        if (strcmp(group, s->group) != 0) {
            group = s->group;
            fprintf(out, "\n%s\n", group);
        }
        char left[64];
        snprintf(left, sizeof(left), "--%s %s", s->name, s->shape);
        fprintf(out, "  %-32s %s", left, s->help);
        if (s->initial[0] != '\0') {
            fprintf(out, " [%s]", s->initial);
        }
        fputc('\n', out);
    }
    fprintf(out,
            "\nA file given with --config has the same settings, one a line, and flags overrule "
            "it:\n"
            "  # comment\n"
            "  listen = 0.0.0.0:80\n"
            "  drain-timeout = 30s\n"
            "\nExamples\n"
            "  %s --listen 0.0.0.0:8080 --shards 4\n"
            "  %s --listen unix:/run/asx.sock --root /srv/www --access-log -\n"
            "  %s --driver epoll --admin 127.0.0.1:9090\n"
            "\nSIGTERM and SIGINT drain: what is in flight finishes within --drain-timeout, "
            "then it is\ncancelled; a second signal cancels at once. SIGHUP opens the access "
            "log again.\n",
            program, program, program);
}
