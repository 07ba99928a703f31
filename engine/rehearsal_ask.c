/* What is asked for, and what the answer must be. */
#include <asx/proto/http.h>
#include <asx/shard/base/assert.h>

#include "rehearsal_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    ASK_PLAINTEXT = 0,
    ASK_JSON,
    ASK_BYTES,
    ASK_BYTES_HEAD,
    ASK_ECHO,
    ASK_ECHO_CHUNKED,
    ASK_SLEEP,
    ASK_STATUS,
    ASK_HEALTH,
    ASK_MISSING,
    ASK_METHOD,
    ASK_PANIC,
};

#define BIG_BYTES 20000u /* more than one receive buffer, and more than the server copies */

static char pattern(uint32_t salt, uint64_t at)
{
    return (char)('a' + (salt * 7 + at * 3 + (at >> 8)) % 26);
}

/* What /bytes/N is made of. */
static char digit(uint64_t at)
{
    static const char row[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    return row[at % 64];
}

static uint8_t kind_draw(asx_prng *prng, const asxi_rehearsal_plan *plan, bool with_body)
{
    /* In parts of 64. */
    static const struct {
        uint8_t kind, parts;
    } shares[] = {
        { ASK_ECHO, 7 },    { ASK_ECHO_CHUNKED, 3 }, { ASK_PLAINTEXT, 14 }, { ASK_JSON, 10 },
        { ASK_SLEEP, 4 },   { ASK_BYTES_HEAD, 2 },   { ASK_STATUS, 3 },     { ASK_HEALTH, 1 },
        { ASK_MISSING, 1 }, { ASK_METHOD, 1 },       { ASK_PANIC, 1 },      { ASK_BYTES, 17 },
    };
    uint64_t at = asx_prng_below(prng, 64);
    uint8_t kind = ASK_BYTES;
    for (size_t i = 0; i < asx_array_count(shares); i++) {
        if (at < shares[i].parts) {
            kind = shares[i].kind;
            break;
        }
        at -= shares[i].parts;
    }
    const bool body = kind == ASK_ECHO || kind == ASK_ECHO_CHUNKED;
    return (body && !with_body) || (kind == ASK_PANIC && !plan->panics) ||
                   (kind == ASK_SLEEP && plan->calm)
               ? ASK_PLAINTEXT
               : kind;
}

static uint32_t status_draw(asx_prng *prng)
{
    static const uint16_t codes[] = { 201, 204, 302, 304, 404, 418, 429, 500, 599 };
    return codes[asx_prng_below(prng, asx_array_count(codes))];
}

asxi_ask asxi_ask_draw(asx_prng *prng, const asxi_rehearsal_plan *plan, bool with_body)
{
    asxi_ask ask = {
        .kind = plan->halt_at ? ASK_BYTES : kind_draw(prng, plan, with_body),
        .status = 200,
        .number = (uint32_t)asx_prng_below(prng, ASXI_ASK_BODY_MAX),
        .salt = (uint32_t)asx_prng_below(prng, 1000),
    };
    char text[ASXI_ASK_TARGET_MAX];
    ask.number = plan->halt_at ? 100 : ask.number;
    ask.len = ask.number;
    switch (ask.kind) {
    case ASK_PLAINTEXT:
        ask.len = 13;
        break;
    case ASK_JSON:
        ask.len = 27;
        break;
    case ASK_BYTES:
        ask.len = ask.number = asx_prng_below(prng, 16) || plan->halt_at ? ask.number : BIG_BYTES;
        break;
    case ASK_BYTES_HEAD:
        ask.len = 0;
        break;
    case ASK_SLEEP:
        ask.len = (uint32_t)snprintf(text, sizeof(text), "slept %" PRIu32 " ms\n", ask.number);
        break;
    case ASK_STATUS:
        ask.number = status_draw(prng);
        break;
    case ASK_HEALTH:
        ask.len = 3;
        break;
    default:
        break;
    }
    ask.status = ask.kind == ASK_STATUS    ? (uint16_t)ask.number
                 : ask.kind == ASK_MISSING ? 404
                 : ask.kind == ASK_METHOD  ? 405
                 : ask.kind == ASK_PANIC   ? 500
                                           : 200;
    ask.len = ask.status != 200 ? ASXI_ASK_LEN_ANY : ask.len;
    return ask;
}

asx_view asxi_ask_method(const asxi_ask *ask)
{
    switch (ask->kind) {
    case ASK_ECHO:
    case ASK_ECHO_CHUNKED:
        return asx_view_of("POST", 4);
    case ASK_BYTES_HEAD:
        return asx_view_of("HEAD", 4);
    case ASK_METHOD:
        return asx_view_of("DELETE", 6);
    default:
        return asx_view_of("GET", 3);
    }
}

asx_view asxi_ask_target(const asxi_ask *ask, char buf[ASXI_ASK_TARGET_MAX])
{
    static const struct {
        const char *path;
        bool numbered;
    } targets[] = {
        [ASK_PLAINTEXT] = { "/plaintext", false }, [ASK_JSON] = { "/json", false },
        [ASK_BYTES] = { "/bytes/", true },         [ASK_BYTES_HEAD] = { "/bytes/", true },
        [ASK_ECHO] = { "/echo", false },           [ASK_ECHO_CHUNKED] = { "/echo", false },
        [ASK_SLEEP] = { "/sleep/", true },         [ASK_STATUS] = { "/status/", true },
        [ASK_HEALTH] = { "/healthz", false },      [ASK_MISSING] = { "/nothing", false },
        [ASK_METHOD] = { "/json", false },         [ASK_PANIC] = { "/panic", false },
    };
    asx_assert_lt(ask->kind, asx_array_count(targets));
    const char *const path = targets[ask->kind].path;
    if (!targets[ask->kind].numbered) {
        return asx_view_of(path, strlen(path));
    }
    const int len = snprintf(buf, ASXI_ASK_TARGET_MAX, "%s%" PRIu32, path, ask->number);
    return asx_view_of(buf, (size_t)len);
}

bool asxi_ask_is_chunked(const asxi_ask *ask)
{
    return ask->kind == ASK_ECHO_CHUNKED;
}

uint32_t asxi_ask_body(const asxi_ask *ask, char buf[ASXI_ASK_BODY_MAX])
{
    if (ask->kind != ASK_ECHO && ask->kind != ASK_ECHO_CHUNKED) {
        return 0;
    }
    for (uint32_t i = 0; i < ask->len; i++) {
        buf[i] = pattern(ask->salt, i);
    }
    return ask->len;
}

uint32_t asxi_ask_write(const asxi_ask *ask, char *out, bool close)
{
    char buf[ASXI_ASK_TARGET_MAX], body[ASXI_ASK_BODY_MAX];
    const asx_view method = asxi_ask_method(ask), target = asxi_ask_target(ask, buf);
    const uint32_t len = asxi_ask_body(ask, body);
    char framing[64] = "";
    if (ask->kind == ASK_ECHO) {
        snprintf(framing, sizeof(framing), "Content-Length: %" PRIu32 "\r\n", len);
    } else if (ask->kind == ASK_ECHO_CHUNKED) {
        snprintf(framing, sizeof(framing), "Transfer-Encoding: chunked\r\n");
    }
    int n = snprintf(out, ASXI_ASK_TEXT_MAX, "%.*s %.*s HTTP/1.1\r\nHost: lab\r\n%s%s\r\n",
                     (int)method.len, method.ptr, (int)target.len, target.ptr, framing,
                     close ? "Connection: close\r\n" : "");
    if (ask->kind == ASK_ECHO) {
        memcpy(out + n, body, len);
        n += (int)len;
    } else if (ask->kind == ASK_ECHO_CHUNKED) {
        if (len > 0) { /* in one chunk: an empty one would be the last */
            n += snprintf(out + n, ASXI_ASK_TEXT_MAX - (size_t)n, "%" PRIx32 "\r\n", len);
            memcpy(out + n, body, len);
            n += (int)len;
            memcpy(out + n, "\r\n", 2);
            n += 2;
        }
        memcpy(out + n, "0\r\n\r\n", 5);
        n += 5;
    }
    asx_assert_le(n, (int)ASXI_ASK_TEXT_MAX);
    return (uint32_t)n;
}

static bool text_matches(const char *text, uint64_t at, asx_view data)
{
    const size_t len = strlen(text);
    return at <= len && data.len <= len - at && memcmp(text + at, data.ptr, data.len) == 0;
}

bool asxi_ask_matches(const asxi_ask *ask, uint64_t at, asx_view data)
{
    char text[ASXI_ASK_TARGET_MAX];
    bool same = true;
    switch (ask->kind) {
    case ASK_PLAINTEXT:
        return text_matches("Hello, World!", at, data);
    case ASK_JSON:
        return text_matches("{\"message\":\"Hello, World!\"}", at, data);
    case ASK_HEALTH:
        return text_matches("ok\n", at, data);
    case ASK_SLEEP:
        snprintf(text, sizeof(text), "slept %" PRIu32 " ms\n", ask->number);
        return text_matches(text, at, data);
    case ASK_ECHO:
    case ASK_ECHO_CHUNKED:
        for (size_t i = 0; i < data.len; i++) {
            same &= data.ptr[i] == pattern(ask->salt, at + i);
        }
        return same;
    case ASK_BYTES:
        for (size_t i = 0; i < data.len; i++) {
            same &= data.ptr[i] == digit(at + i);
        }
        return same;
    default:
        return true;
    }
}

/* What a server may say instead of the answer: it sheds, times out, drains, is short of memory, was
 * cancelled, or found the body cut off. */
static bool may_be(const asxi_ask *ask, unsigned status)
{
    static const uint16_t codes[] = { 408, 499, 500, 503, 504 };
    bool may = status == 400 && (ask->kind == ASK_ECHO || ask->kind == ASK_ECHO_CHUNKED);
    for (size_t i = 0; i < asx_array_count(codes); i++) {
        may |= status == codes[i];
    }
    return may;
}

void asxi_ask_answered(const asxi_ask *ask, unsigned status, uint64_t len,
                       asxi_rehearsal_tally *tally)
{
    const bool whole = ask->len == ASXI_ASK_LEN_ANY || len == ask->len;
    if (status == ask->status && whole) {
        tally->right++;
    } else if (status != ask->status && may_be(ask, status)) {
        tally->other++;
    } else if (tally->wrong++ == 0) {
        char buf[ASXI_ASK_TARGET_MAX];
        const asx_view target = asxi_ask_target(ask, buf);
        snprintf(tally->first_wrong, sizeof(tally->first_wrong), "%.*s: %u, %" PRIu64 " bytes",
                 (int)target.len, target.ptr, status, len);
    }
}
