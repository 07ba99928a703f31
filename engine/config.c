/* The table, and what turns a value's text into a field and back. Everything that is said about a
 * wrong value is said here, so that each source is refused with the same words. */
#include <asx/engine/admit.h>
#include <asx/shard/base/assert.h>

#include "config_internal.h"

#include <stdarg.h>
#include <string.h>

#define AT(field) offsetof(asx_config, field)
#define DAY_NS (86400 * ASX_NS_PER_S)
#define LISTEN &groups[0]
#define SHARDS &groups[1]
#define LIMITS &groups[2]
#define TIMES &groups[3]
#define ENDING &groups[4]

static const asxi_setting_group groups[] = {
    { "network", "Where to listen" },
    { "engine", "Shards and drivers" },
    { "limits", "Limits (of each shard)" },
    { "timeouts", "Time limits" },
    { "drain", "Ending" },
};

const asxi_setting asxi_settings[] = {
    { "listen", ASXI_SETTING_ADDRS, AT(listen), 0, ASX_LISTEN_MAX, "127.0.0.1:8080",
      "ADDR:PORT|unix:PATH", LISTEN, "address to serve; may be given up to 16 times", false },
    { "admin", ASXI_SETTING_ADDR, AT(admin), 0, 1, "", "ADDR:PORT|unix:PATH", LISTEN,
      "admin listener, loopback or Unix socket: /debug/regions, /explain/ID, /drain, /timers, "
      "/cleanup, /deadlocks, /config, /metrics, /live, /ready",
      false },
    { "root", ASXI_SETTING_PATH, AT(root), 0, 0, "", "DIR", LISTEN, "serve DIR below /static/",
      false },
    { "access-log", ASXI_SETTING_PATH, AT(access_log), 0, 0, "", "FILE|-", LISTEN,
      "a JSON line for each request; SIGHUP opens FILE again, or another", true },
    { "shards", ASXI_SETTING_COUNT, AT(shards), 0, 64, "0", "N", SHARDS,
      "pinned threads; 0: one for each core that the cpuset and the cgroup quota allow", false },
    { "cores", ASXI_SETTING_CORES, AT(cores), 0, 0, "", "LIST", SHARDS,
      "cores to pin them to, such as 0,2-5; one shard each", false },
    { "driver", ASXI_SETTING_DRIVER, AT(driver), 0, 0, "auto", "auto|uring|epoll", SHARDS,
      "how shards talk to the kernel", false },
    { "seed", ASXI_SETTING_COUNT, AT(seed), 0, UINT64_MAX, "0", "N", SHARDS,
      "of the tasks' random streams; 0: from the operating system", false },
    { "max-connections", ASXI_SETTING_COUNT, AT(connections_max), 1, 1u << 20, "65536", "N", LIMITS,
      "open connections; more are answered with 503 and closed", true },
    { "max-in-flight", ASXI_SETTING_COUNT, AT(in_flight_max), 1, 1u << 20, "16384", "N", LIMITS,
      "requests being handled; more are answered with 503 and Retry-After", true },
    { "max-per-ip", ASXI_SETTING_COUNT, AT(per_ip_max), 0, 1u << 20, "0", "N", LIMITS,
      "of them, over all shards, from one IPv4 address or IPv6 /64 to one listener; 0: no limit",
      true },
    { "accept-rate", ASXI_SETTING_RATE, AT(accept_rate), 0, ASX_ADMIT_RATE_MAX, "0", "N/s", LIMITS,
      "new connections a second, to one listener; 0: no limit", true },
    { "accept-burst", ASXI_SETTING_COUNT, AT(accept_burst), 0, 1u << 20, "0", "N", LIMITS,
      "of them at once after a rest; 0: as many as in a second", true },
    { "max-requests", ASXI_SETTING_COUNT, AT(requests_per_connection), 1, UINT64_MAX, "10000", "N",
      LIMITS, "requests of one connection, then it is closed", true },
    { "max-body", ASXI_SETTING_SIZE, AT(body_bytes_max), 0, UINT64_C(1) << 50, "16m", "SIZE",
      LIMITS, "bytes of a request's body; more are answered with 413", true },
    { "head-timeout", ASXI_SETTING_DURATION, AT(head_timeout_ns), ASX_NS_PER_MS, DAY_NS, "10s", "D",
      TIMES, "from the first byte of a request's head to its last", true },
    { "idle-timeout", ASXI_SETTING_DURATION, AT(idle_timeout_ns), ASX_NS_PER_MS, DAY_NS, "60s", "D",
      TIMES, "between requests of a connection", true },
    { "write-timeout", ASXI_SETTING_DURATION, AT(write_timeout_ns), ASX_NS_PER_MS, DAY_NS, "30s",
      "D", TIMES, "without progress while writing to a client", true },
    { "body-grace", ASXI_SETTING_DURATION, AT(body_grace_ns), ASX_NS_PER_MS, DAY_NS, "5s", "D",
      TIMES, "before a body that comes slower than 240 bytes/s is given up", true },
    { "request-timeout", ASXI_SETTING_DURATION, AT(request_timeout_ns), 0, DAY_NS, "0", "D", TIMES,
      "of a handler, answered with 504; 0: none", true },
    { "drain-timeout", ASXI_SETTING_DURATION, AT(drain_timeout_ns), 0, DAY_NS, "10s", "D", ENDING,
      "SIGTERM and SIGINT: how long requests may go on before they are cancelled", true },
    { "drain-delay", ASXI_SETTING_DURATION, AT(drain_delay_ns), 0, DAY_NS, "0", "D", ENDING,
      "how long /healthz says 503 before listening ends, for load balancers", true },
};

const size_t asxi_setting_count = asx_array_count(asxi_settings);
_Static_assert(asx_array_count(asxi_settings) <= ASX_CONFIG_SETTINGS_MAX, "an origin for each");

bool asxi_config_refuse(const asxi_config_reader *r, const char *fmt, ...)
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

static bool set_addr(asxi_config_reader *r, const asxi_setting *s, const char *where,
                     const char *value, asx_addr_list *list)
{
    asx_addr addr;
    const asx_err err = asx_addr_parse(value, &addr);
    if (err == ASX_E(TOO_LONG)) {
        return asxi_config_refuse(r,
                                  "%s: '%.32s...' is longer than the %u bytes of a socket's path",
                                  where, value, ASX_ADDR_PATH_MAX - 1);
    }
    if (err) {
        return asxi_config_refuse(
            r,
            "%s: '%.64s' is not an address: ADDR:PORT, [V6]:PORT, :PORT or unix:PATH; "
            "names are not looked up",
            where, value);
    }
    if (s->kind == ASXI_SETTING_ADDR && !addr_is_local(&addr)) {
        return asxi_config_refuse(
            r,
            "%s: %s is not loopback; it answers without asking who asks, so only "
            "127.x.x.x, [::1] and unix:PATH are allowed",
            where, value);
    }
    if (list->count >= s->max) {
        return asxi_config_refuse(r, "%s: at most %u addresses", where, (unsigned)s->max);
    }
    list->addrs[list->count++] = addr;
    return true;
}

static bool set_number(asxi_config_reader *r, const asxi_setting *s, const char *where,
                       const char *value, uint64_t *field)
{
    uint64_t number = 0;
    const char *unit;
    bool good = false;
    const char *example = "";
    if (s->kind == ASXI_SETTING_DURATION) {
        good = asx_duration_parse(value, &number) == ASX_OK;
        example = "a duration such as 250ms, 10s or 2m";
    } else if (s->kind == ASXI_SETTING_SIZE) {
        good = asx_size_parse(value, &number) == ASX_OK;
        example = "a size such as 64k or 16m";
    } else if (s->kind == ASXI_SETTING_RATE) {
        good = asx_rate_parse(value, &number) == ASX_OK;
        example = "a rate such as 100/s";
    } else {
        good = number_and_unit(value, &number, &unit) && *unit == '\0';
        example = "a whole number";
    }
    /* Digits alone that are none of these are more than 64 bits hold. */
    const size_t digits = strspn(value, "0123456789");
    const bool too_large =
        !good && s->kind != ASXI_SETTING_DURATION && digits > 0 && !value[digits];
    if (!good && !too_large) {
        return asxi_config_refuse(r, "%s: '%.64s' is not %s", where, value, example);
    }
    if (too_large || number < s->min || number > s->max) {
        if (s->kind == ASXI_SETTING_DURATION) {
            return asxi_config_refuse(r, "%s: %s is out of range, %llums to %lluh", where, value,
                                      (unsigned long long)(s->min / ASX_NS_PER_MS),
                                      (unsigned long long)(s->max / (3600 * ASX_NS_PER_S)));
        }
        return asxi_config_refuse(r, "%s: %s is out of range, %llu to %llu", where, value,
                                  (unsigned long long)s->min, (unsigned long long)s->max);
    }
    *field = number;
    return true;
}

static bool set_path(asxi_config_reader *r, const char *where, const char *value, char *field)
{
    const size_t len = strlen(value);
    if (len == 0 || len >= ASX_CONFIG_PATH_MAX) {
        return asxi_config_refuse(r, "%s: a path of 1 to %u bytes is wanted", where,
                                  ASX_CONFIG_PATH_MAX - 1);
    }
    memcpy(field, value, len + 1);
    return true;
}

/* where   "--listen" or "FILE:LINE: listen" */
bool asxi_config_set(asxi_config_reader *r, const asxi_setting *s, const char *where,
                     const char *value)
{
    char *const field = (char *)r->config + s->offset;
    const uint32_t bit = 1u << (s - asxi_settings);
    const bool repeated = (r->seen & bit) != 0;
    if (repeated && s->kind != ASXI_SETTING_ADDRS) {
        return asxi_config_refuse(r, "%s: given twice", where);
    }
    r->seen |= bit;
    r->config->origins[s - asxi_settings] = r->origin;
    switch (s->kind) {
    case ASXI_SETTING_ADDRS:
    case ASXI_SETTING_ADDR: {
        asx_addr_list *const list = (asx_addr_list *)(void *)field;
        if (!repeated) {
            list->count = 0; /* a later source replaces the whole list of an earlier one */
        }
        return set_addr(r, s, where, value, list);
    }
    case ASXI_SETTING_COUNT:
    case ASXI_SETTING_SIZE:
    case ASXI_SETTING_DURATION:
    case ASXI_SETTING_RATE:
        return set_number(r, s, where, value, (uint64_t *)(void *)field);
    case ASXI_SETTING_CORES:
        return asx_core_list_parse(value, (asx_core_list *)(void *)field) == ASX_OK ||
               asxi_config_refuse(r, "%s: '%s' is not a list of cores such as 0,2-5", where, value);
    case ASXI_SETTING_DRIVER:
        return asx_driver_choice_parse(value, (asx_driver_choice *)(void *)field) == ASX_OK ||
               asxi_config_refuse(r, "%s: '%s' is not auto, uring or epoll", where, value);
    case ASXI_SETTING_PATH:
        return set_path(r, where, value, field);
    }
    return false;
}

static void duration_text(asx_duration ns, char *buf, size_t cap)
{
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = { { "h", 3600 * ASX_NS_PER_S }, { "m", 60 * ASX_NS_PER_S }, { "s", ASX_NS_PER_S },
                  { "ms", ASX_NS_PER_MS },      { "us", ASX_NS_PER_US },    { "ns", 1 } };
    size_t i = 0;
    while (ns % units[i].ns != 0) {
        i++;
    }
    snprintf(buf, cap, "%llu%s", (unsigned long long)(ns / units[i].ns), ns ? units[i].unit : "");
}

static void size_text(uint64_t size, char *buf, size_t cap)
{
    static const char *const units[] = { "", "k", "m", "g", "t" };
    size_t i = 0;
    for (; size > 0 && size % 1024 == 0 && i + 1 < asx_array_count(units); i++) {
        size /= 1024;
    }
    snprintf(buf, cap, "%llu%s", (unsigned long long)size, units[i]);
}

static bool addr_text(const asx_addr_list *list, uint32_t at, char *buf, size_t cap)
{
    if (at >= list->count) {
        return false;
    }
    asx_addr_format(&list->addrs[at], buf, cap);
    return true;
}

bool asxi_config_text(const asx_config *config, const asxi_setting *s, uint32_t at, char *buf,
                      size_t cap)
{
    const char *const field = (const char *)config + s->offset;
    uint64_t number;
    memcpy(&number, field, sizeof(number));
    if (s->kind == ASXI_SETTING_ADDRS || s->kind == ASXI_SETTING_ADDR) {
        return addr_text((const asx_addr_list *)(const void *)field, at, buf, cap);
    }
    if (at > 0) {
        return false;
    }
    switch (s->kind) {
    case ASXI_SETTING_ADDRS:
    case ASXI_SETTING_ADDR:
    case ASXI_SETTING_COUNT:
        snprintf(buf, cap, "%llu", (unsigned long long)number);
        break;
    case ASXI_SETTING_RATE:
        snprintf(buf, cap, "%llu%s", (unsigned long long)number, number ? "/s" : "");
        break;
    case ASXI_SETTING_SIZE:
        size_text(number, buf, cap);
        break;
    case ASXI_SETTING_DURATION:
        duration_text(number, buf, cap);
        break;
    case ASXI_SETTING_CORES:
        asx_core_list_format((const asx_core_list *)(const void *)field, buf, cap);
        break;
    case ASXI_SETTING_DRIVER:
        snprintf(buf, cap, "%s",
                 asx_driver_choice_name(*(const asx_driver_choice *)(const void *)field));
        break;
    case ASXI_SETTING_PATH:
        snprintf(buf, cap, "%s", field);
        break;
    }
    return buf[0] != '\0';
}

bool asxi_setting_same(const asxi_setting *s, const asx_config *a, const asx_config *b)
{
    char left[ASX_CONFIG_PATH_MAX] = "", right[ASX_CONFIG_PATH_MAX] = "";
    bool more = true;
    for (uint32_t at = 0; more; at++) {
        const bool in_left = asxi_config_text(a, s, at, left, sizeof(left));
        more = asxi_config_text(b, s, at, right, sizeof(right));
        if (more != in_left || (more && strcmp(left, right) != 0)) {
            return false;
        }
    }
    return true;
}

static size_t field_size(const asxi_setting *s)
{
    switch (s->kind) {
    case ASXI_SETTING_ADDRS:
    case ASXI_SETTING_ADDR:
        return sizeof(asx_addr_list);
    case ASXI_SETTING_COUNT:
    case ASXI_SETTING_SIZE:
    case ASXI_SETTING_DURATION:
    case ASXI_SETTING_RATE:
        return sizeof(uint64_t);
    case ASXI_SETTING_CORES:
        return sizeof(asx_core_list);
    case ASXI_SETTING_DRIVER:
        return sizeof(asx_driver_choice);
    case ASXI_SETTING_PATH:
        return ASX_CONFIG_PATH_MAX;
    }
    asx_unreachable();
}

void asxi_setting_copy(const asxi_setting *s, asx_config *to, const asx_config *from)
{
    const size_t row = (size_t)(s - asxi_settings);
    memcpy((char *)to + s->offset, (const char *)from + s->offset, field_size(s));
    to->origins[row] = from->origins[row];
}
