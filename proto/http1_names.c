/* What the enums of HTTP/1.1 are called, and which method a name is. */
#include <asx/proto/http1_parse.h>
#include <asx/shard/base/assert.h>

const char *asx_http1_code_name(asx_http1_code code)
{
    static const char *const names[ASX_HTTP1_CODE_COUNT] = {
#define X(name, status, text) [ASX_HTTP1_CODE_##name] = #name,
        ASX_HTTP1_CODE_LIST(X)
#undef X
    };
    asx_assert_lt(code, ASX_HTTP1_CODE_COUNT);
    return names[code];
}

const char *asx_http1_code_text(asx_http1_code code)
{
    static const char *const texts[ASX_HTTP1_CODE_COUNT] = {
#define X(name, status, text) [ASX_HTTP1_CODE_##name] = text,
        ASX_HTTP1_CODE_LIST(X)
#undef X
    };
    asx_assert_lt(code, ASX_HTTP1_CODE_COUNT);
    return texts[code];
}

uint32_t asx_http1_code_status(asx_http1_code code)
{
    static const uint16_t statuses[ASX_HTTP1_CODE_COUNT] = {
#define X(name, status, text) [ASX_HTTP1_CODE_##name] = status,
        ASX_HTTP1_CODE_LIST(X)
#undef X
    };
    asx_assert_lt(code, ASX_HTTP1_CODE_COUNT);
    return statuses[code];
}

const char *asx_http_method_name(asx_http_method method)
{
    static const char *const names[ASX_HTTP_METHOD_COUNT] = { [ASX_HTTP_OTHER] = "",
#define X(name) [ASX_HTTP_##name] = #name,
                                                              ASX_HTTP1_METHOD_LIST(X)
#undef X
    };
    asx_assert_lt(method, ASX_HTTP_METHOD_COUNT);
    return names[method];
}

asx_http_method asx_http_method_lookup(asx_view name)
{
#define X(text)                                                                \
    if (name.len == sizeof(#text) - 1 && !memcmp(name.ptr, #text, name.len)) { \
        return ASX_HTTP_##text;                                                \
    }
    ASX_HTTP1_METHOD_LIST(X)
#undef X
    return ASX_HTTP_OTHER;
}

const char *asx_http1_verdict_name(asx_http1_verdict verdict)
{
    switch (verdict) {
    case ASX_HTTP1_NEED_MORE:
        return "NEED_MORE";
    case ASX_HTTP1_DONE:
        return "DONE";
    case ASX_HTTP1_ERROR:
        return "ERROR";
    case ASX_HTTP1_PREFACE:
        return "PREFACE";
    }
    asx_unreachable();
}

const char *asx_http1_target_form_name(asx_http1_target_form form)
{
    switch (form) {
    case ASX_HTTP1_TARGET_ORIGIN:
        return "origin";
    case ASX_HTTP1_TARGET_ABSOLUTE:
        return "absolute";
    case ASX_HTTP1_TARGET_AUTHORITY:
        return "authority";
    case ASX_HTTP1_TARGET_ASTERISK:
        return "asterisk";
    }
    asx_unreachable();
}

const char *asx_http1_framing_name(asx_http1_framing framing)
{
    switch (framing) {
    case ASX_HTTP1_FRAMING_NONE:
        return "none";
    case ASX_HTTP1_FRAMING_LENGTH:
        return "length";
    case ASX_HTTP1_FRAMING_CHUNKED:
        return "chunked";
    case ASX_HTTP1_FRAMING_CLOSE:
        return "close";
    case ASX_HTTP1_FRAMING_TUNNEL:
        return "tunnel";
    }
    asx_unreachable();
}

const char *asx_http1_event_name(asx_http1_event event)
{
    switch (event) {
    case ASX_HTTP1_BODY_NEED_MORE:
        return "NEED_MORE";
    case ASX_HTTP1_BODY_DATA:
        return "DATA";
    case ASX_HTTP1_BODY_TRAILER:
        return "TRAILER";
    case ASX_HTTP1_BODY_END:
        return "END";
    case ASX_HTTP1_BODY_ERROR:
        return "ERROR";
    }
    asx_unreachable();
}

const char *asx_http1_variant_name(asx_http1_variant variant)
{
    static const char *const names[ASX_HTTP1_VARIANT_COUNT] = {
        [ASX_HTTP1_PLAIN] = "plain",
        [ASX_HTTP1_SWAR] = "swar",
        [ASX_HTTP1_SSE2] = "sse2",
        [ASX_HTTP1_AVX2] = "avx2",
    };
    asx_assert_lt(variant, ASX_HTTP1_VARIANT_COUNT);
    return names[variant];
}
