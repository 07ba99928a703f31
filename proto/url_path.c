/* One pass over a path: decode a segment behind what is kept already, then decide what it was. */
#include <asx/proto/url.h>
#include <asx/shard/base/assert.h>

typedef struct path_writer {
    const asx_url_policy *policy;
    char *buf;
    size_t cap, len;
    size_t segment; /* where the segment being written starts, behind its slash */
} path_writer;

static int hex_value(char c)
{
    const unsigned d = (unsigned)(uint8_t)c;
    if (d - '0' < 10u) {
        return (int)(d - '0');
    }
    return (d | 32) - 'a' < 6u ? (int)((d | 32) - 'a' + 10) : -1;
}

static asx_url_error put(path_writer *w, char c)
{
    if (w->len == w->cap) {
        return ASX_URL_TOO_LONG;
    }
    w->buf[w->len++] = c;
    return ASX_URL_OK;
}

/* Drops the segment before the one being written. */
static asx_url_error climb(path_writer *w)
{
    asx_assert(w->segment >= 1);
    size_t at = w->segment - 1; /* its slash */
    if (at == 0) {
        return ASX_URL_ESCAPES_ROOT;
    }
    do {
        at--;
    } while (w->buf[at] != '/');
    w->len = w->segment = at + 1;
    return ASX_URL_OK;
}

/* The segment is whole: resolves "." and "..", and, unless it is the last, adds the slash. */
static asx_url_error end_segment(path_writer *w, bool last)
{
    const char *const s = w->buf + w->segment;
    const size_t len = w->len - w->segment;
    const bool dot = len == 1 && s[0] == '.';
    const bool dots = len == 2 && s[0] == '.' && s[1] == '.';

    if (dot || dots) {
        if (w->policy->dots == ASX_URL_DOTS_REFUSE) {
            return ASX_URL_DOT_SEGMENT;
        }
        w->len = w->segment;
        return dots ? climb(w) : ASX_URL_OK;
    }
    if (last || (len == 0 && w->policy->merge_slashes)) {
        return ASX_URL_OK;
    }
    const asx_url_error error = put(w, '/');
    w->segment = w->len;
    return error;
}

/* Writes the byte that "%2F" stands for, or the escape itself. */
static asx_url_error put_slash(path_writer *w)
{
    switch (w->policy->slash) {
    case ASX_URL_SLASH_REFUSE:
        return ASX_URL_ENCODED_SLASH;
    case ASX_URL_SLASH_DECODE:
        return end_segment(w, false);
    case ASX_URL_SLASH_KEEP:
        break;
    }
    if (w->cap - w->len < 3) {
        return ASX_URL_TOO_LONG;
    }
    memcpy(w->buf + w->len, "%2F", 3);
    w->len += 3;
    return ASX_URL_OK;
}

static asx_url_error put_byte(path_writer *w, int byte, bool escaped)
{
    if (byte == 0) {
        return ASX_URL_NUL;
    }
    if (byte < 0x20 || byte == 0x7f) {
        return ASX_URL_CONTROL;
    }
    if (byte == '\\' && w->policy->refuse_backslash) {
        return escaped ? ASX_URL_ENCODED_SLASH : ASX_URL_BACKSLASH;
    }
    if (byte == '/') {
        return escaped ? put_slash(w) : end_segment(w, false);
    }
    return put(w, (char)byte);
}

asx_url_error asx_url_decode_path(asx_view path, const asx_url_policy *policy, char *buf,
                                  size_t cap, asx_view *out)
{
    path_writer w = { .policy = policy, .buf = buf, .cap = cap };

    if (path.len == 0 || path.ptr[0] != '/') {
        return ASX_URL_NOT_ABSOLUTE;
    }
    asx_url_error error = put(&w, '/');
    w.segment = w.len;
    for (size_t i = 1; i < path.len && error == ASX_URL_OK; i++) {
        int byte = (uint8_t)path.ptr[i];
        const bool escaped = byte == '%';
        if (escaped) {
            const int high = path.len - i < 3 ? -1 : hex_value(path.ptr[i + 1]);
            const int low = path.len - i < 3 ? -1 : hex_value(path.ptr[i + 2]);
            if (high < 0 || low < 0) {
                return ASX_URL_BAD_ESCAPE;
            }
            byte = high * 16 + low;
            i += 2;
        }
        error = put_byte(&w, byte, escaped);
    }
    if (error == ASX_URL_OK) {
        error = end_segment(&w, true);
    }
    *out = asx_view_of(buf, w.len);
    if (error == ASX_URL_OK && policy->require_utf8 && !asx_url_utf8_check(*out)) {
        return ASX_URL_NOT_UTF8;
    }
    return error;
}
