#include <asx/proto/url.h>
#include <asx/shard/base/assert.h>

const char *asx_url_error_name(asx_url_error error)
{
    switch (error) {
    case ASX_URL_OK:
        return "OK";
    case ASX_URL_BAD_ESCAPE:
        return "BAD_ESCAPE";
    case ASX_URL_NUL:
        return "NUL";
    case ASX_URL_CONTROL:
        return "CONTROL";
    case ASX_URL_ENCODED_SLASH:
        return "ENCODED_SLASH";
    case ASX_URL_BACKSLASH:
        return "BACKSLASH";
    case ASX_URL_DOT_SEGMENT:
        return "DOT_SEGMENT";
    case ASX_URL_ESCAPES_ROOT:
        return "ESCAPES_ROOT";
    case ASX_URL_NOT_UTF8:
        return "NOT_UTF8";
    case ASX_URL_NOT_ABSOLUTE:
        return "NOT_ABSOLUTE";
    case ASX_URL_TOO_LONG:
        return "TOO_LONG";
    }
    asx_unreachable();
}

static int hex_digit(char c)
{
    const unsigned d = (unsigned)(uint8_t)c;
    return d - '0' < 10u ? (int)(d - '0') : (d | 32) - 'a' < 6u ? (int)((d | 32) - 'a' + 10) : -1;
}

/* The byte that the escape at `i` stands for, or -1. */
static int escape_at(asx_view text, size_t i)
{
    if (text.len - i < 3) {
        return -1;
    }
    const int high = hex_digit(text.ptr[i + 1]), low = hex_digit(text.ptr[i + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

/* Bytes of a registered name: unreserved and sub-delims without the comma. '%' needs two digits
 * behind it and is looked at apart. */
static const uint8_t name_bytes[256] = {
    ['0' ... '9'] = 1, ['a' ... 'z'] = 1, ['A' ... 'Z'] = 1, ['-'] = 1, ['.'] = 1,  ['_'] = 1,
    ['~'] = 1,         ['!'] = 1,         ['$'] = 1,         ['&'] = 1, ['('] = 1,  [')'] = 1,
    ['*'] = 1,         ['+'] = 1,         [';'] = 1,         ['='] = 1, ['\''] = 1,
};

/* d.d.d.d, each 0-255 without leading zeros */
static bool ipv4_check(asx_view text)
{
    size_t i = 0;
    for (int part = 0; part < 4; part++) {
        unsigned value = 0;
        size_t digits = 0;
        if (part > 0 && (i == text.len || text.ptr[i++] != '.')) {
            return false;
        }
        for (; i < text.len && (unsigned)(uint8_t)text.ptr[i] - '0' < 10u; i++, digits++) {
            value = value * 10 + (unsigned)(text.ptr[i] - '0');
            if (value > 255 || (digits > 0 && value < 10)) {
                return false;
            }
        }
        if (digits == 0) {
            return false;
        }
    }
    return i == text.len;
}

/* RFC 4291, 2.2: eight groups, one run of zeros as "::", the last two may be IPv4 */
static bool ipv6_check(asx_view text)
{
    unsigned groups = 0;
    bool gap = false;
    size_t i = 0;

    if (text.len >= 2 && text.ptr[0] == ':' && text.ptr[1] == ':') {
        gap = true;
        i = 2;
    }
    while (i < text.len) {
        size_t start = i;
        while (i < text.len && i - start < 5 && hex_digit(text.ptr[i]) >= 0) {
            i++;
        }
        if (i < text.len && text.ptr[i] == '.') {
            const asx_view rest = asx_view_of(text.ptr + start, text.len - start);
            return ipv4_check(rest) && (gap ? groups < 6 : groups == 6);
        }
        if (i == start || i - start > 4 || ++groups > 8) {
            return false;
        }
        if (i == text.len) {
            break;
        }
        if (text.ptr[i++] != ':' || i == text.len) {
            return false;
        }
        if (text.ptr[i] == ':') {
            if (gap) {
                return false;
            }
            gap = true;
            i++;
        }
    }
    return gap ? groups < 8 : groups == 8;
}

/* How many bytes at the front of `text` are a host; 0 when none. */
static size_t host_len(asx_view text)
{
    if (text.len > 0 && text.ptr[0] == '[') {
        const char *const close = memchr(text.ptr, ']', text.len);
        const size_t len = close ? (size_t)(close - text.ptr) + 1 : 0;
        return close && ipv6_check(asx_view_of(text.ptr + 1, len - 2)) ? len : 0;
    }
    const char *p = text.ptr, *const end = p + text.len;
    for (;;) {
        while (p < end && name_bytes[(uint8_t)*p]) {
            p++;
        }
        if (p == end || *p != '%' || escape_at(text, (size_t)(p - text.ptr)) <= 0x20) {
            return (size_t)(p - text.ptr);
        }
        p += 3;
    }
}

bool asx_url_authority_split(asx_view authority, asx_view *host, uint32_t *port)
{
    const size_t len = host_len(authority);
    uint32_t value = 0;

    if (len == 0) {
        return false;
    }
    *host = asx_view_of(authority.ptr, len);
    *port = ASX_URL_PORT_NONE;
    if (len == authority.len) {
        return true;
    }
    if (authority.ptr[len] != ':') {
        return false;
    }
    for (size_t i = len + 1; i < authority.len; i++) {
        const unsigned digit = (unsigned)(uint8_t)authority.ptr[i] - '0';
        value = value * 10 + digit;
        if (digit > 9 || value > 65535) {
            return false;
        }
    }
    if (len + 1 < authority.len) {
        *port = value;
    }
    return true;
}

bool asx_url_parse(asx_view text, asx_url *url)
{
    size_t scheme_len;

    if (text.len >= 7 && asx_view_eq_nocase(asx_view_of(text.ptr, 7), asx_view_of("http://", 7))) {
        url->secure = false;
        scheme_len = 7;
    } else if (text.len >= 8 &&
               asx_view_eq_nocase(asx_view_of(text.ptr, 8), asx_view_of("https://", 8))) {
        url->secure = true;
        scheme_len = 8;
    } else {
        return false;
    }
    size_t end = scheme_len;
    while (end < text.len && text.ptr[end] != '/' && text.ptr[end] != '?') {
        end++;
    }
    url->authority = asx_view_of(text.ptr + scheme_len, end - scheme_len);
    url->path_query = asx_view_of(text.ptr + end, text.len - end);
    if (!asx_url_authority_split(url->authority, &url->host, &url->port)) {
        return false;
    }
    if (url->port == ASX_URL_PORT_NONE) {
        url->port = url->secure ? 443 : 80;
    }
    return true;
}

bool asx_url_query_split(asx_view path_query, asx_view *path, asx_view *query)
{
    const char *const mark = path_query.len ? memchr(path_query.ptr, '?', path_query.len) : NULL;
    if (!mark) {
        *path = path_query;
        *query = asx_view_of(path_query.ptr + path_query.len, 0);
        return false;
    }
    const size_t len = (size_t)(mark - path_query.ptr);
    *path = asx_view_of(path_query.ptr, len);
    *query = asx_view_of(mark + 1, path_query.len - len - 1);
    return true;
}

bool asx_url_query_next(asx_view *rest, asx_view *name, asx_view *value)
{
    while (rest->len > 0) {
        const char *const amp = memchr(rest->ptr, '&', rest->len);
        const size_t len = amp ? (size_t)(amp - rest->ptr) : rest->len;
        const asx_view pair = asx_view_of(rest->ptr, len);
        const size_t used = amp ? len + 1 : len;
        *rest = asx_view_of(rest->ptr + used, rest->len - used);
        if (pair.len == 0) {
            continue;
        }
        const char *const eq = memchr(pair.ptr, '=', pair.len);
        const size_t name_len = eq ? (size_t)(eq - pair.ptr) : pair.len;
        const size_t skip = eq ? name_len + 1 : name_len;
        *name = asx_view_of(pair.ptr, name_len);
        *value = asx_view_of(pair.ptr + skip, pair.len - skip);
        return true;
    }
    return false;
}

asx_url_error asx_url_decode(asx_view text, bool plus, char *buf, size_t cap, asx_view *out)
{
    size_t n = 0;
    for (size_t i = 0; i < text.len; i++) {
        int byte = (uint8_t)text.ptr[i];
        if (byte == '%') {
            byte = escape_at(text, i);
            if (byte < 0) {
                return ASX_URL_BAD_ESCAPE;
            }
            i += 2;
        } else if (byte == '+' && plus) {
            byte = ' ';
        }
        if (byte == 0) {
            return ASX_URL_NUL;
        }
        if (n == cap) {
            return ASX_URL_TOO_LONG;
        }
        buf[n++] = (char)byte;
    }
    *out = asx_view_of(buf, n);
    return ASX_URL_OK;
}

/* Bytes of the UTF-8 sequence at p, or 0. Ranges of the second byte: RFC 3629, section 4. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
    const uint8_t b = p[0];
    uint8_t low = 0x80, high = 0xbf;
    size_t len;

    if (b < 0x80) {
        return 1;
    }
    if (b < 0xc2 || b > 0xf4) {
        return 0;
    }
    len = b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
    low = b == 0xe0 ? 0xa0 : b == 0xf0 ? 0x90 : low;
    high = b == 0xed ? 0x9f : b == 0xf4 ? 0x8f : high;
    if (left < len || p[1] < low || p[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

bool asx_url_utf8_check(asx_view text)
{
    for (size_t i = 0; i < text.len;) {
        const size_t len = utf8_len((const uint8_t *)text.ptr + i, text.len - i);
        if (len == 0) {
            return false;
        }
        i += len;
    }
    return true;
}
