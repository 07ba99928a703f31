#include <asx/proto/header.h>
#include <asx/shard/base/assert.h>

#include "header_internal.h"

const char asxi_header_names[ASX_HEADER_ID_COUNT][40] = {
#define X(id, text, flags) [ASX_HEADER_##id] = text,
    ASX_HEADER_LIST(X)
#undef X
};

const uint8_t asxi_header_lens[ASX_HEADER_ID_COUNT] = {
#define X(id, text, flags) [ASX_HEADER_##id] = sizeof(text) - 1,
    ASX_HEADER_LIST(X)
#undef X
};

static const uint8_t header_flags[ASX_HEADER_ID_COUNT] = {
#define X(id, text, flags) [ASX_HEADER_##id] = flags,
    ASX_HEADER_LIST(X)
#undef X
};

#define X(id, text, flags) static_assert_len(sizeof(text) - 1);
#define static_assert_len(n)                                                   \
    _Static_assert((n) >= ASXI_HEADER_NAME_MIN && (n) <= ASXI_HEADER_NAME_MAX, \
                   "the lookup refuses other lengths")
ASX_HEADER_LIST(X)
#undef static_assert_len
#undef X
_Static_assert(ASX_HEADER_ID_COUNT <= 256, "slots hold one byte");

const uint8_t asxi_header_slots[ASXI_HEADER_SLOTS] = {
    [5] = ASX_HEADER_PRIORITY,
    [7] = ASX_HEADER_SEC_FETCH_DEST,
    [18] = ASX_HEADER_SERVER,
    [21] = ASX_HEADER_SEC_CH_UA_PLATFORM,
    [36] = ASX_HEADER_SEC_FETCH_USER,
    [37] = ASX_HEADER_SEC_WEBSOCKET_VERSION,
    [45] = ASX_HEADER_SEC_WEBSOCKET_ACCEPT,
    [47] = ASX_HEADER_FROM,
    [56] = ASX_HEADER_LOCATION,
    [65] = ASX_HEADER_GRPC_TIMEOUT,
    [72] = ASX_HEADER_ACCEPT,
    [75] = ASX_HEADER_X_FORWARDED_FOR,
    [84] = ASX_HEADER_CONTENT_ENCODING,
    [88] = ASX_HEADER_ACCESS_CONTROL_ALLOW_CREDENTIALS,
    [91] = ASX_HEADER_RETRY_AFTER,
    [98] = ASX_HEADER_PROXY_AUTHENTICATION_INFO,
    [99] = ASX_HEADER_EXPIRES,
    [103] = ASX_HEADER_SET_COOKIE,
    [105] = ASX_HEADER_ALLOW,
    [111] = ASX_HEADER_REFERRER_POLICY,
    [113] = ASX_HEADER_CONTENT_LANGUAGE,
    [114] = ASX_HEADER_VIA,
    [116] = ASX_HEADER_X_FORWARDED_PROTO,
    [120] = ASX_HEADER_ETAG,
    [124] = ASX_HEADER_SEC_FETCH_MODE,
    [128] = ASX_HEADER_HOST,
    [143] = ASX_HEADER_SEC_WEBSOCKET_EXTENSIONS,
    [148] = ASX_HEADER_SEC_WEBSOCKET_PROTOCOL,
    [154] = ASX_HEADER_IF_UNMODIFIED_SINCE,
    [156] = ASX_HEADER_SEC_CH_UA_MOBILE,
    [157] = ASX_HEADER_ACCEPT_ENCODING,
    [175] = ASX_HEADER_HTTP2_SETTINGS,
    [176] = ASX_HEADER_STRICT_TRANSPORT_SECURITY,
    [181] = ASX_HEADER_WARNING,
    [183] = ASX_HEADER_PROXY_AUTHORIZATION,
    [186] = ASX_HEADER_ACCEPT_LANGUAGE,
    [193] = ASX_HEADER_PROXY_CONNECTION,
    [195] = ASX_HEADER_LINK,
    [196] = ASX_HEADER_ALT_SVC,
    [203] = ASX_HEADER_COOKIE,
    [207] = ASX_HEADER_GRPC_STATUS,
    [216] = ASX_HEADER_DNT,
    [228] = ASX_HEADER_GRPC_ENCODING,
    [238] = ASX_HEADER_ACCESS_CONTROL_REQUEST_METHOD,
    [252] = ASX_HEADER_WWW_AUTHENTICATE,
    [262] = ASX_HEADER_TRANSFER_ENCODING,
    [264] = ASX_HEADER_CONTENT_SECURITY_POLICY,
    [265] = ASX_HEADER_CONTENT_DISPOSITION,
    [270] = ASX_HEADER_IF_MODIFIED_SINCE,
    [275] = ASX_HEADER_CONNECTION,
    [288] = ASX_HEADER_X_REQUEST_ID,
    [291] = ASX_HEADER_CONTENT_LOCATION,
    [300] = ASX_HEADER_TRACEPARENT,
    [302] = ASX_HEADER_IF_RANGE,
    [309] = ASX_HEADER_X_REQUESTED_WITH,
    [310] = ASX_HEADER_VARY,
    [313] = ASX_HEADER_ACCESS_CONTROL_ALLOW_HEADERS,
    [315] = ASX_HEADER_TE,
    [319] = ASX_HEADER_DATE,
    [324] = ASX_HEADER_CONTENT_RANGE,
    [329] = ASX_HEADER_ACCESS_CONTROL_MAX_AGE,
    [337] = ASX_HEADER_CONTENT_TYPE,
    [342] = ASX_HEADER_LAST_MODIFIED,
    [348] = ASX_HEADER_EARLY_DATA,
    [350] = ASX_HEADER_USER_AGENT,
    [352] = ASX_HEADER_GRPC_MESSAGE,
    [355] = ASX_HEADER_X_REAL_IP,
    [358] = ASX_HEADER_X_FORWARDED_HOST,
    [364] = ASX_HEADER_MAX_FORWARDS,
    [366] = ASX_HEADER_FORWARDED,
    [368] = ASX_HEADER_SEC_FETCH_SITE,
    [371] = ASX_HEADER_TRACESTATE,
    [372] = ASX_HEADER_ACCEPT_CHARSET,
    [380] = ASX_HEADER_IF_NONE_MATCH,
    [397] = ASX_HEADER_CACHE_CONTROL,
    [398] = ASX_HEADER_SEC_CH_UA,
    [400] = ASX_HEADER_AGE,
    [403] = ASX_HEADER_UPGRADE,
    [404] = ASX_HEADER_ACCEPT_RANGES,
    [408] = ASX_HEADER_RANGE,
    [411] = ASX_HEADER_IF_MATCH,
    [417] = ASX_HEADER_ORIGIN,
    [423] = ASX_HEADER_KEEP_ALIVE,
    [432] = ASX_HEADER_ACCESS_CONTROL_ALLOW_METHODS,
    [434] = ASX_HEADER_PROXY_AUTHENTICATE,
    [435] = ASX_HEADER_ACCESS_CONTROL_REQUEST_HEADERS,
    [440] = ASX_HEADER_ACCESS_CONTROL_ALLOW_ORIGIN,
    [450] = ASX_HEADER_EXPECT,
    [464] = ASX_HEADER_TRAILER,
    [470] = ASX_HEADER_UPGRADE_INSECURE_REQUESTS,
    [471] = ASX_HEADER_CONTENT_LENGTH,
    [473] = ASX_HEADER_X_CONTENT_TYPE_OPTIONS,
    [475] = ASX_HEADER_PRAGMA,
    [479] = ASX_HEADER_REFERER,
    [480] = ASX_HEADER_AUTHORIZATION,
    [484] = ASX_HEADER_SEC_WEBSOCKET_KEY,
    [493] = ASX_HEADER_ACCESS_CONTROL_EXPOSE_HEADERS,
    [508] = ASX_HEADER_X_FRAME_OPTIONS,
};

#define DIGITS(v)                                                                           \
    ['0'] = v, ['1'] = v, ['2'] = v, ['3'] = v, ['4'] = v, ['5'] = v, ['6'] = v, ['7'] = v, \
    ['8'] = v, ['9'] = v
#define LETTERS(A, v)                                                                              \
    [A] = v, [A + 1] = v, [A + 2] = v, [A + 3] = v, [A + 4] = v, [A + 5] = v, [A + 6] = v,         \
    [A + 7] = v, [A + 8] = v, [A + 9] = v, [A + 10] = v, [A + 11] = v, [A + 12] = v, [A + 13] = v, \
    [A + 14] = v, [A + 15] = v, [A + 16] = v, [A + 17] = v, [A + 18] = v, [A + 19] = v,            \
    [A + 20] = v, [A + 21] = v, [A + 22] = v, [A + 23] = v, [A + 24] = v, [A + 25] = v

const uint8_t asxi_tchar[256] = {
    ['!'] = 1, ['#'] = 1, ['$'] = 1, ['%'] = 1, ['&'] = 1,       ['\''] = 1,
    ['*'] = 1, ['+'] = 1, ['-'] = 1, ['.'] = 1, ['^'] = 1,       ['_'] = 1,
    ['`'] = 1, ['|'] = 1, ['~'] = 1, DIGITS(1), LETTERS('a', 1), LETTERS('A', 1),
};

asx_header_id asx_header_lookup(asx_view name)
{
    return asxi_header_lookup(name.ptr, name.len);
}

const char *asx_header_id_name(asx_header_id id)
{
    asx_assert_lt(id, ASX_HEADER_ID_COUNT);
    return asxi_header_names[id];
}

uint32_t asx_header_flags(asx_header_id id)
{
    asx_assert_lt(id, ASX_HEADER_ID_COUNT);
    return header_flags[id];
}

bool asx_header_name_check(asx_view name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!asxi_tchar[(uint8_t)name.ptr[i]]) {
            return false;
        }
    }
    return name.len > 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

bool asx_header_value_check(asx_view value)
{
    for (size_t i = 0; i < value.len; i++) {
        const uint8_t c = (uint8_t)value.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return value.len == 0 || (!is_space(value.ptr[0]) && !is_space(value.ptr[value.len - 1]));
}

const asx_header_field *asx_header_find(const asx_header_field *fields, size_t count,
                                        asx_header_id id)
{
    for (size_t i = 0; i < count; i++) {
        if (fields[i].id == (uint32_t)id) {
            return &fields[i];
        }
    }
    return NULL;
}

const asx_header_field *asx_header_find_name(const asx_header_field *fields, size_t count,
                                             asx_view name)
{
    for (size_t i = 0; i < count; i++) {
        if (asx_view_eq_nocase(fields[i].name, name)) {
            return &fields[i];
        }
    }
    return NULL;
}

/* Where the element that starts at `i` ends: at a comma outside quotes, or the end. */
static size_t element_end(asx_view list, size_t i)
{
    bool quoted = false;
    for (; i < list.len; i++) {
        const char c = list.ptr[i];
        if (quoted && c == '\\') {
            i++;
        } else if (c == '"') {
            quoted = !quoted;
        } else if (c == ',' && !quoted) {
            return i;
        }
    }
    return list.len;
}

bool asx_header_list_next(asx_view *rest, asx_view *element)
{
    size_t i = 0;
    while (i < rest->len && (is_space(rest->ptr[i]) || rest->ptr[i] == ',')) {
        i++;
    }
    if (i == rest->len) {
        *rest = asx_view_of(rest->ptr + i, 0);
        return false;
    }
    size_t end = element_end(*rest, i);
    *element = asx_view_of(rest->ptr + i, end - i);
    while (is_space(element->ptr[element->len - 1])) {
        element->len--;
    }
    *rest = asx_view_of(rest->ptr + end, rest->len - end);
    return true;
}

bool asx_header_list_has(asx_view list, asx_view token)
{
    asx_view element;
    while (asx_header_list_next(&list, &element)) {
        if (asx_view_eq_nocase(element, token)) {
            return true;
        }
    }
    return false;
}

bool asx_header_is_hop(const asx_header_field *fields, size_t count, const asx_header_field *field)
{
    const uint32_t flags = field->id ? header_flags[field->id] : 0;
    if (flags & ASX_HEADER_HOP) {
        return true;
    }
    if (flags & ASX_HEADER_PINNED) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (fields[i].id == ASX_HEADER_CONNECTION &&
            asx_header_list_has(fields[i].value, field->name)) {
            return true;
        }
    }
    return false;
}

bool asx_header_parse_u63(asx_view value, uint64_t *out)
{
    uint64_t n = 0;
    for (size_t i = 0; i < value.len; i++) {
        const unsigned digit = (unsigned)(uint8_t)value.ptr[i] - '0';
        if (digit > 9 || n > (uint64_t)INT64_MAX / 10) {
            return false;
        }
        n = n * 10 + digit; /* at most 2^63+1: no wrap */
        if (n > (uint64_t)INT64_MAX) {
            return false;
        }
    }
    *out = n;
    return value.len > 0;
}
