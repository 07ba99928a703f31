#include "access_log.h"

#include <asx/proto/url.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/event.h>
#include <asx/shard/op.h>
#include <asx/shard/shard.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define TEXT_MAX_BYTES 512u /* of one field of the peer's, before escaping */

struct asx_access_log {
    char path[1024]; /* lent to the opening while that is under way */
    char next_path[1024];
    uint64_t epoch_unix_ns;
    asx_driver *driver;
    asx_event wanted; /* a first line, a half-full buffer, a reopen */
    bool reopen;
    int32_t fd;
    uint32_t filling; /* the buffer that requests append to */
    uint32_t len[2];
    uint64_t dropped_unsaid;
    asx_access_log_stats stats;
    char *bufs[2];
};

/* Writes as long as there is room; `full` stays set once there was none. */
typedef struct line_writer {
    char *buf;
    size_t len, cap;
    bool full;
} line_writer;

static void put(line_writer *w, const char *text, size_t len)
{
    if (w->len + len > w->cap) {
        w->full = true;
        return;
    }
    memcpy(w->buf + w->len, text, len);
    w->len += len;
}

static void put_str(line_writer *w, const char *text)
{
    put(w, text, strlen(text));
}

static void put_u64(line_writer *w, uint64_t value, unsigned width)
{
    char digits[20];
    unsigned at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0 || sizeof(digits) - at < width);
    put(w, digits + at, sizeof(digits) - at);
}

/* Nothing that a peer sends may end the string, the line, or the reader's patience. */
static void put_escaped(line_writer *w, asx_view text)
{
    static const char hex[] = "0123456789abcdef";
    if (text.len > TEXT_MAX_BYTES) {
        text.len = TEXT_MAX_BYTES;
    }
    const bool utf8 = asx_url_utf8_check(text);
    for (size_t i = 0; i < text.len; i++) {
        const unsigned char c = (unsigned char)text.ptr[i];
        const bool separator = c == 0xE2 && i + 2 < text.len && text.ptr[i + 1] == '\x80' &&
                               (text.ptr[i + 2] == '\xA8' || text.ptr[i + 2] == '\xA9');
        if (c == '"' || c == '\\') {
            put(w, (const char[]){ '\\', (char)c }, 2);
        } else if (utf8 && separator) {
            put_str(w, text.ptr[i + 2] == '\xA8' ? "\\u2028" : "\\u2029");
            i += 2;
        } else if (c < 0x20 || c == 0x7F || (c >= 0x80 && !utf8)) {
            put(w, (const char[]){ '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] }, 6);
        } else {
            put(w, (const char *)&text.ptr[i], 1);
        }
    }
}

/* RFC 3339 in UTC. source: Howard Hinnant, "chrono-compatible low-level date algorithms". */
static void put_time(line_writer *w, uint64_t unix_ns)
{
    const uint64_t seconds = unix_ns / ASX_NS_PER_S;
    const uint64_t days = seconds / 86400, rest = seconds % 86400;
    const uint64_t z = days + 719468; /* days since 0000-03-01 */
    const uint64_t era = z / 146097, day_of_era = z % 146097;
    const uint64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const uint64_t day_of_year =
        day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const uint64_t mp = (5 * day_of_year + 2) / 153;
    const uint64_t month = mp < 10 ? mp + 3 : mp - 9;
    put_u64(w, year_of_era + era * 400 + (month <= 2), 4);
    put_str(w, "-");
    put_u64(w, month, 2);
    put_str(w, "-");
    put_u64(w, day_of_year - (153 * mp + 2) / 5 + 1, 2);
    put_str(w, "T");
    put_u64(w, rest / 3600, 2);
    put_str(w, ":");
    put_u64(w, rest / 60 % 60, 2);
    put_str(w, ":");
    put_u64(w, rest % 60, 2);
    put_str(w, ".");
    put_u64(w, unix_ns % ASX_NS_PER_S / ASX_NS_PER_US, 6);
    put_str(w, "Z");
}

size_t asx_access_log_format(const asx_http_log_record *record, uint64_t epoch_unix_ns, char *buf,
                             size_t cap)
{
    char peer[ASX_ADDR_TEXT_MAX];
    line_writer w = { .buf = buf, .cap = cap };
    put_str(&w, "{\"time\":\"");
    put_time(&w, epoch_unix_ns + record->started_at);
    put_str(&w, "\",\"peer\":\"");
    if (record->peer) {
        put_escaped(&w, asx_view_str(asx_addr_format(record->peer, peer, sizeof(peer))));
    }
    put_str(&w, "\",\"method\":\"");
    put_escaped(&w, record->method);
    put_str(&w, "\",\"target\":\"");
    put_escaped(&w, record->target);
    put_str(&w, "\",\"status\":");
    put_u64(&w, record->status, 1);
    put_str(&w, ",\"bytes\":");
    put_u64(&w, record->bytes_out, 1);
    put_str(&w, ",\"us\":");
    put_u64(&w, record->took_ns / ASX_NS_PER_US, 1);
    put_str(&w, ",\"outcome\":\"");
    put_str(&w, asx_severity_name(record->severity));
    put_str(&w, "\",\"agent\":\"");
    put_escaped(&w, record->user_agent);
    put_str(&w, "\"}\n");
    return w.full ? 0 : w.len;
}

static size_t dropped_format(uint64_t dropped, char *buf, size_t cap)
{
    const int len = snprintf(buf, cap, "{\"dropped\":%llu}\n", (unsigned long long)dropped);
    return len > 0 && (size_t)len < cap ? (size_t)len : 0;
}

void asx_access_log_request(void *arg, const asx_http_log_record *record)
{
    asx_access_log *const log = arg;
    char *const buf = log->bufs[log->filling];
    uint32_t *const len = &log->len[log->filling];
    const uint32_t before = *len;
    if (log->dropped_unsaid > 0) {
        const size_t said =
            dropped_format(log->dropped_unsaid, buf + *len, ASX_ACCESS_LOG_BUFFER - *len);
        *len += (uint32_t)said;
        log->dropped_unsaid = said ? 0 : log->dropped_unsaid;
    }
    const size_t got = log->dropped_unsaid
                           ? 0
                           : asx_access_log_format(record, log->epoch_unix_ns, buf + *len,
                                                   ASX_ACCESS_LOG_BUFFER - *len);
    *len += (uint32_t)got;
    if (got > 0) {
        log->stats.lines++;
    } else {
        log->stats.dropped++;
        log->dropped_unsaid++;
    }
    const uint32_t half = ASX_ACCESS_LOG_BUFFER / 2;
    if (before == 0 || (before < half && *len >= half)) {
        asx_event_set(&log->wanted);
    }
}

static void file_close(asx_access_log *log)
{
    if (log->fd > 2) {
        log->driver->ops->close_now(log->driver, log->fd);
    }
    log->fd = -1;
}

/* Keeps the old descriptor when the new one cannot be had: a full disk is no reason to lose both.
 */
static void file_open(asx_cx *cx, asx_access_log *log)
{
    log->reopen = false;
    memcpy(log->path, log->next_path, sizeof(log->path));
    if (strcmp(log->path, "-") == 0) {
        log->fd = 1;
        return;
    }
    asx_op op = { .code = ASX_OP_OPEN,
                  .fd = AT_FDCWD,
                  .path = log->path,
                  .arg = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC,
                  .mode = 0644 };
    const asx_outcome opened = asx_op_await(cx, &op);
    if (asx_is_ok(opened)) {
        file_close(log);
        log->fd = (int32_t)opened.value;
    } else {
        log->stats.write_errors++;
    }
}

/* Writes out the buffer that requests were filling; they go on in the other one. */
static void flush(asx_cx *cx, asx_access_log *log)
{
    const uint32_t which = log->filling;
    const uint32_t len = log->len[which];
    asx_assert_eq(log->len[1 - which], 0);
    log->filling = 1 - which;
    for (uint32_t done = 0; done < len;) {
        struct iovec iov = { .iov_base = log->bufs[which] + done, .iov_len = len - done };
        asx_op op = {
            .code = ASX_OP_WRITE, .fd = log->fd, .iov = &iov, .iov_count = 1, .offset = UINT64_MAX
        };
        const asx_outcome wrote = asx_op_await(cx, &op);
        if (!asx_is_ok(wrote) || wrote.value == 0) {
            log->stats.write_errors++;
            break;
        }
        done += (uint32_t)wrote.value;
    }
    log->len[which] = 0;
}

static asx_outcome writer(asx_cx *cx, void *arg)
{
    asx_access_log *const log = *(asx_access_log **)arg;
    file_open(cx, log);
    for (;;) {
        asx_outcome woken = asx_event_wait(cx, &log->wanted, "log lines", ASX_TIME_NEVER);
        if (asx_is_ok(woken) && !log->reopen) {
            const asx_instant at_ns = asx_time_add(asx_now(cx), ASX_ACCESS_LOG_PERIOD);
            woken = asx_event_wait(cx, &log->wanted, "more log lines", at_ns);
        }
        if (woken.severity == ASX_SEVERITY_CANCELLED) {
            break;
        }
        if (log->reopen) {
            file_open(cx, log);
        }
        flush(cx, log);
    }
    ASX_MASK(cx, 64) {
        flush(cx, log);
    }
    file_close(log);
    return asx_ok(0);
}

asx_err asx_access_log_start(asx_cx *cx, asx_region *region, const char *path,
                             uint64_t epoch_unix_ns, asx_access_log **out)
{
    const asx_spawn_options options = { .label = "access log", .detached_result = true };
    asx_handle task;
    asx_access_log *const log = asx_region_alloc(region, sizeof(*log));
    if (!log) {
        return ASX_E(NO_MEMORY);
    }
    *log = (asx_access_log){
        .epoch_unix_ns = epoch_unix_ns,
        .driver = asx_shard_driver(asx_shard_of(cx)),
        .fd = -1,
        .bufs = { asx_region_alloc(region, ASX_ACCESS_LOG_BUFFER),
                  asx_region_alloc(region, ASX_ACCESS_LOG_BUFFER) },
    };
    if (!log->bufs[0] || !log->bufs[1]) {
        return ASX_E(NO_MEMORY);
    }
    asx_access_log_rename(log, path);
    const asx_err err = asx_spawn(cx, region, writer, &log, sizeof(log), &options, &task);
    *out = err ? NULL : log;
    return err;
}

void asx_access_log_rename(asx_access_log *log, const char *path)
{
    snprintf(log->next_path, sizeof(log->next_path), "%s", path);
}

void asx_access_log_reopen(asx_access_log *log)
{
    log->reopen = true;
    asx_event_set(&log->wanted);
}

asx_access_log_stats asx_access_log_stats_of(const asx_access_log *log)
{
    return log->stats;
}
