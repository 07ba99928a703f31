#include <asx/proto/http1_parse.h>
#include <asx/proto/url.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include "header_internal.h"
#include "http1_parse_internal.h"

const asx_http1_limits asx_http1_limits_default = ASX_HTTP1_LIMITS_DEFAULT;

void asx_http1_parser_init_request(asx_http1_parser *parser, const asx_http1_limits *limits,
                                   asx_header_field *fields, uint32_t field_cap)
{
    /* Offsets are 32 bits wide. */
    asx_assert_lt((uint64_t)limits->request_line_bytes_max + limits->fields_bytes_max, UINT32_C(1)
                                                                                           << 31);
    parser->limits = limits;
    parser->accept_preface = false;
    parser->head.fields = fields;
    parser->head.field_cap = field_cap;
    parser->_response = false;
    parser->_request_method = ASX_HTTP_OTHER;
    parser->_good_host_len = 0;
    asx_http1_parser_reset(parser);
}

void asx_http1_parser_init_response(asx_http1_parser *parser, const asx_http1_limits *limits,
                                    asx_header_field *fields, uint32_t field_cap,
                                    asx_http_method request_method)
{
    asx_http1_parser_init_request(parser, limits, fields, field_cap);
    parser->_response = true;
    parser->_request_method = (uint8_t)request_method;
}

/* Field by field: the compiler clears a struct of this size by a string instruction, whose start
 * alone costs more than the parse of a short line. */
void asx_http1_parser_reset(asx_http1_parser *parser)
{
    asx_http1_head *const head = &parser->head;
    const asx_view none = asx_view_of(NULL, 0);

    head->field_count = 0;
    head->method = ASX_HTTP_OTHER;
    head->form = ASX_HTTP1_TARGET_ORIGIN;
    head->framing = ASX_HTTP1_FRAMING_NONE;
    head->version_minor = 0;
    head->status = 0;
    head->keep_alive = false;
    head->expect_continue = false;
    head->has_length = false;
    head->content_length = 0;
    head->method_name = none;
    head->target = none;
    head->path = none;
    head->host = none;
    head->upgrade = none;
    head->reason = none;
    head->head_len = 0;
    parser->error.code = ASX_HTTP1_CODE_NONE;
    parser->error.status = 0;
    parser->error.offset = 0;
    parser->_phase = ASXI_HTTP1_START;
    parser->_connection = 0;
    parser->_seen = 0;
    parser->_base = NULL;
    parser->_line = 0;
    parser->_scan = 0;
    parser->_colon = 0;
    parser->_upgrade = none;
    parser->_host = none;
}

asx_http1_verdict asxi_http1_fail(asx_http1_parser *parser, asx_http1_code code, const char *base,
                                  const char *at)
{
    parser->error.code = (uint32_t)code;
    parser->error.status = parser->_response ? 502 : asx_http1_code_status(code);
    parser->error.offset = (uint64_t)(at - base);
    parser->_phase = ASXI_HTTP1_FAILED;
    return ASX_HTTP1_ERROR;
}

/* Why `c` cannot stand where the version has its `index`th byte. A version that begins like one
 * is another version; anything else is no version. */
static asx_http1_code version_code(char c, size_t index)
{
    if (c == '\n') {
        return ASX_HTTP1_CODE_BARE_LF;
    }
    if (index == 0 && c == '\r') {
        return ASX_HTTP1_CODE_VERSION_MISSING;
    }
    return index >= 5 && c > ' ' && c < 0x7f ? ASX_HTTP1_CODE_VERSION_UNSUPPORTED
                                             : ASX_HTTP1_CODE_VERSION_INVALID;
}

const char *asxi_http1_version(asx_http1_parser *parser, const char *base, const char *p,
                               const char *end, asx_http1_verdict *verdict)
{
    const char *const text = parser->_response ? "HTTP/1.x " : "HTTP/1.x\r\n";
    const size_t len = parser->_response ? 9 : 10;

    for (size_t i = 0; i < len; i++) {
        if (p + i == end) {
            *verdict = ASX_HTTP1_NEED_MORE;
            return NULL;
        }
        const bool good = text[i] == 'x' ? p[i] == '0' || p[i] == '1' : p[i] == text[i];
        if (!good) {
            const asx_http1_code code = i == 9 ? ASX_HTTP1_CODE_BARE_CR : version_code(p[i], i);
            *verdict = asxi_http1_fail(parser, code, base, i == 9 ? p + 8 : p + i);
            return NULL;
        }
    }
    parser->head.version_minor = (uint8_t)(p[7] - '0');
    return p + len;
}

static asx_http1_verdict absolute_target(asx_http1_parser *parser, const char *base)
{
    asx_http1_head *const head = &parser->head;
    asx_url url;

    if (!asx_url_parse(head->target, &url)) {
        const bool scheme =
            head->target.len >= 7 &&
            (asx_view_eq_nocase(asx_view_of(head->target.ptr, 7), asx_view_of("http://", 7)) ||
             asx_view_eq_nocase(asx_view_of(head->target.ptr, 7), asx_view_of("https:/", 7)));
        return asxi_http1_fail(
            parser, scheme ? ASX_HTTP1_CODE_TARGET_AUTHORITY : ASX_HTTP1_CODE_TARGET_FORM, base,
            head->target.ptr);
    }
    head->form = ASX_HTTP1_TARGET_ABSOLUTE;
    head->host = url.authority;
    head->path = url.path_query;
    if (url.path_query.len == 0) {
        /* RFC 9112, 3.2.4: OPTIONS without a path asks about the server */
        head->path = head->method == ASX_HTTP_OPTIONS ? asx_view_of("*", 1) : asx_view_of("/", 1);
    } else if (url.path_query.ptr[0] != '/') {
        /* "http://host?query": there is no path to lend that begins with '/' */
        return asxi_http1_fail(parser, ASX_HTTP1_CODE_TARGET_FORM, base, url.path_query.ptr);
    }
    return ASX_HTTP1_DONE;
}

asx_http1_verdict asxi_http1_target(asx_http1_parser *parser, const char *base)
{
    asx_http1_head *const head = &parser->head;
    const asx_view target = head->target;

    if (head->method == ASX_HTTP_CONNECT) {
        asx_view host;
        uint32_t port;
        if (!asx_url_authority_split(target, &host, &port) || port == ASX_URL_PORT_NONE ||
            port == 0) {
            return asxi_http1_fail(parser, ASX_HTTP1_CODE_TARGET_AUTHORITY, base, target.ptr);
        }
        head->form = ASX_HTTP1_TARGET_AUTHORITY;
        head->host = target;
        return ASX_HTTP1_DONE;
    }
    if (target.len == 1 && target.ptr[0] == '*' && head->method == ASX_HTTP_OPTIONS) {
        head->form = ASX_HTTP1_TARGET_ASTERISK;
        head->path = target;
        return ASX_HTTP1_DONE;
    }
    return absolute_target(parser, base);
}

static uint32_t connection_bits(asx_view value)
{
    uint32_t bits = 0;
    asx_view element;

    /* What nearly every request says, if it says anything. */
    if (value.len == 10 && asxi_header_text_eq(value.ptr, "keep-alive", 10)) {
        return ASXI_CONNECTION_KEEP_ALIVE;
    }
    while (asx_header_list_next(&value, &element)) {
        if (asx_view_eq_nocase(element, asx_view_of("close", 5))) {
            bits |= ASXI_CONNECTION_CLOSE;
        } else if (asx_view_eq_nocase(element, asx_view_of("keep-alive", 10))) {
            bits |= ASXI_CONNECTION_KEEP_ALIVE;
        } else if (asx_view_eq_nocase(element, asx_view_of("upgrade", 7))) {
            bits |= ASXI_CONNECTION_UPGRADE;
        }
    }
    return bits;
}

/* Tells a coding that we do not have from a value that says nothing: every element a token, and one
 * of them not chunked, is the first. */
static asx_http1_code coding_code(asx_view value)
{
    bool unknown = false;
    asx_view element;

    if (value.len == 0 || value.ptr[0] == ',' || value.ptr[value.len - 1] == ',') {
        return ASX_HTTP1_CODE_CODING_INVALID;
    }
    while (asx_header_list_next(&value, &element)) {
        if (!asx_header_name_check(element)) {
            return ASX_HTTP1_CODE_CODING_INVALID;
        }
        unknown |= !asx_view_eq_nocase(element, asx_view_of("chunked", 7));
    }
    return unknown ? ASX_HTTP1_CODE_CODING_UNKNOWN : ASX_HTTP1_CODE_CODING_INVALID;
}

static asx_http1_code see_coding(asx_http1_parser *parser, asx_view value)
{
    if (parser->_seen & ASXI_SEEN_CODING) {
        return ASX_HTTP1_CODE_CODING_REPEATED;
    }
    parser->_seen |= ASXI_SEEN_CODING;
    if (parser->head.version_minor == 0) {
        return ASX_HTTP1_CODE_CODING_IN_1_0;
    }
    return asx_view_eq_nocase(value, asx_view_of("chunked", 7)) ? ASX_HTTP1_CODE_NONE
                                                                : coding_code(value);
}

static asx_http1_code see_length(asx_http1_parser *parser, asx_view value)
{
    if (parser->_seen & ASXI_SEEN_LENGTH) {
        return ASX_HTTP1_CODE_LENGTH_REPEATED;
    }
    parser->_seen |= ASXI_SEEN_LENGTH;
    parser->head.has_length = true;
    return asx_header_parse_u63(value, &parser->head.content_length)
               ? ASX_HTTP1_CODE_NONE
               : ASX_HTTP1_CODE_LENGTH_INVALID;
}

static asx_http1_code see_expect(asx_http1_parser *parser, asx_view value)
{
    parser->_seen |= ASXI_SEEN_EXPECT;
    return asx_view_eq_nocase(value, asx_view_of("100-continue", 12))
               ? ASX_HTTP1_CODE_NONE
               : ASX_HTTP1_CODE_EXPECT_UNKNOWN;
}

asx_http1_verdict asxi_http1_field(asx_http1_parser *parser, const char *base,
                                   const asx_header_field *field)
{
    const uint32_t at = (uint32_t)(field->value.ptr - base);
    asx_http1_code code = ASX_HTTP1_CODE_NONE;

    if (field->id == ASX_HEADER_HOST) {
        if (!parser->_response) {
            code = parser->_seen & ASXI_SEEN_HOST ? ASX_HTTP1_CODE_HOST_REPEATED : code;
            parser->_seen |= ASXI_SEEN_HOST;
            parser->_host = field->value;
            parser->_host_at = at;
        }
    } else if (field->id == ASX_HEADER_CONNECTION) {
        parser->_connection |= (uint8_t)connection_bits(field->value);
    } else if (field->id == ASX_HEADER_CONTENT_LENGTH) {
        code = see_length(parser, field->value);
        parser->_length_at = at;
    } else if (field->id == ASX_HEADER_TRANSFER_ENCODING) {
        code = see_coding(parser, field->value);
        parser->_coding_at = at;
    } else if (field->id == ASX_HEADER_EXPECT) {
        code = parser->_response ? code : see_expect(parser, field->value);
    } else if (field->id == ASX_HEADER_UPGRADE) {
        /* Several lines are one list; the first is what a server would choose from. */
        parser->_upgrade = parser->_upgrade.ptr ? parser->_upgrade : field->value;
    }
    return code == ASX_HTTP1_CODE_NONE ? ASX_HTTP1_DONE
                                       : asxi_http1_fail(parser, code, base, field->value.ptr);
}

/* Whether Host names what the target's authority names; ports default by scheme. */
static bool hosts_agree(const asx_http1_head *head, asx_view host, uint32_t port)
{
    asx_view target_host = host;
    uint32_t target_port = ASX_URL_PORT_NONE, scheme_port = ASX_URL_PORT_NONE;
    asx_url url;

    if (head->form == ASX_HTTP1_TARGET_ABSOLUTE) {
        if (!asx_url_parse(head->target, &url)) {
            return false;
        }
        target_host = url.host;
        target_port = url.port;
        scheme_port = url.secure ? 443 : 80;
    } else if (!asx_url_authority_split(head->target, &target_host, &target_port)) {
        return false;
    }
    port = port == ASX_URL_PORT_NONE ? scheme_port : port;
    /* CONNECT names the port of the tunnel; a Host without one says nothing against it. */
    return asx_view_eq_nocase(target_host, host) &&
           (port == target_port || port == ASX_URL_PORT_NONE);
}

static asx_http1_code check_host(asx_http1_parser *parser)
{
    asx_http1_head *const head = &parser->head;
    asx_view host;
    uint32_t port;

    if (!(parser->_seen & ASXI_SEEN_HOST)) {
        return head->version_minor == 1 ? ASX_HTTP1_CODE_HOST_MISSING : ASX_HTTP1_CODE_NONE;
    }
    const asx_view value = parser->_host;
    if (asx_likely(value.len == parser->_good_host_len && !head->host.len && value.len) &&
        memcmp(value.ptr, parser->_good_host, value.len) == 0) {
        head->host = value;
        return ASX_HTTP1_CODE_NONE;
    }
    if (!asx_url_authority_split(value, &host, &port)) {
        return ASX_HTTP1_CODE_HOST_INVALID;
    }
    if (value.len <= sizeof(parser->_good_host)) {
        memcpy(parser->_good_host, value.ptr, value.len);
        parser->_good_host_len = (uint8_t)value.len;
    }
    if (asx_unlikely(head->host.len)) {
        return hosts_agree(head, host, port) ? ASX_HTTP1_CODE_NONE : ASX_HTTP1_CODE_HOST_DISAGREES;
    }
    head->host = value;
    return ASX_HTTP1_CODE_NONE;
}

static asx_http1_framing response_framing(const asx_http1_parser *parser)
{
    const uint32_t status = parser->head.status;
    const bool tunnel = parser->_request_method == ASX_HTTP_CONNECT && status / 100 == 2;

    if (status == 101 || tunnel) {
        return ASX_HTTP1_FRAMING_TUNNEL;
    }
    if (status < 200 || status == 204 || status == 304 ||
        parser->_request_method == ASX_HTTP_HEAD) {
        return ASX_HTTP1_FRAMING_NONE;
    }
    if (parser->_seen & ASXI_SEEN_CODING) {
        return ASX_HTTP1_FRAMING_CHUNKED;
    }
    if (!parser->head.has_length) {
        return ASX_HTTP1_FRAMING_CLOSE;
    }
    return parser->head.content_length ? ASX_HTTP1_FRAMING_LENGTH : ASX_HTTP1_FRAMING_NONE;
}

static asx_http1_framing request_framing(const asx_http1_parser *parser)
{
    if (parser->_seen & ASXI_SEEN_CODING) {
        return ASX_HTTP1_FRAMING_CHUNKED;
    }
    return parser->head.content_length ? ASX_HTTP1_FRAMING_LENGTH : ASX_HTTP1_FRAMING_NONE;
}

asx_http1_verdict asxi_http1_finish(asx_http1_parser *parser, const char *base, const char *p)
{
    asx_http1_head *const head = &parser->head;
    const uint32_t both = ASXI_SEEN_LENGTH | ASXI_SEEN_CODING;

    if (asx_unlikely((parser->_seen & both) == both)) {
        const uint32_t at =
            parser->_length_at > parser->_coding_at ? parser->_length_at : parser->_coding_at;
        return asxi_http1_fail(parser, ASX_HTTP1_CODE_LENGTH_AND_CHUNKED, base, base + at);
    }
    if (!parser->_response) {
        const asx_http1_code code = check_host(parser);
        if (asx_unlikely(code != ASX_HTTP1_CODE_NONE)) {
            return asxi_http1_fail(parser, code, base,
                                   code == ASX_HTTP1_CODE_HOST_MISSING ? p
                                                                       : base + parser->_host_at);
        }
        head->framing = (uint8_t)request_framing(parser);
    } else {
        head->framing = (uint8_t)response_framing(parser);
    }
    head->keep_alive = !(parser->_connection & ASXI_CONNECTION_CLOSE) &&
                       (head->version_minor || parser->_connection & ASXI_CONNECTION_KEEP_ALIVE) &&
                       head->framing < ASX_HTTP1_FRAMING_CLOSE;
    head->expect_continue = parser->_seen & ASXI_SEEN_EXPECT && head->version_minor &&
                            head->framing != ASX_HTTP1_FRAMING_NONE;
    if (parser->_connection & ASXI_CONNECTION_UPGRADE && head->version_minor) {
        head->upgrade = parser->_upgrade;
    }
    head->head_len = (uint32_t)(p - base);
    parser->_base = base;
    parser->_line = head->head_len;
    parser->_phase = ASXI_HTTP1_WHOLE;
    return ASX_HTTP1_DONE;
}

/* A view outside the buffer is one of our own constants ("/" for an absent path), and stays. */
static void move_view(asx_view *view, const char *from, const char *to, size_t len)
{
    if (view->ptr && (uintptr_t)view->ptr - (uintptr_t)from <= len) {
        view->ptr = to + ((uintptr_t)view->ptr - (uintptr_t)from);
    }
}

void asxi_http1_rebase(asx_http1_parser *parser, const char *base)
{
    asx_http1_head *const head = &parser->head;
    const char *const from = parser->_base;
    const size_t len = parser->_line > parser->_scan ? parser->_line : parser->_scan;
    asx_view *const views[] = {
        &head->method_name, &head->target, &head->path,       &head->host,
        &head->upgrade,     &head->reason, &parser->_upgrade, &parser->_host,
    };

    for (size_t i = 0; i < asx_array_count(views); i++) {
        move_view(views[i], from, base, len);
    }
    for (uint32_t i = 0; i < head->field_count; i++) {
        move_view(&head->fields[i].name, from, base, len);
        move_view(&head->fields[i].value, from, base, len);
    }
    parser->_base = base;
}

bool asx_http1_variant_has(asx_http1_variant variant)
{
#if defined(__x86_64__)
    if (variant == ASX_HTTP1_AVX2) {
        return __builtin_cpu_supports("avx2") != 0;
    }
    return variant < ASX_HTTP1_VARIANT_COUNT;
#else
    return variant == ASX_HTTP1_PLAIN || variant == ASX_HTTP1_SWAR;
#endif
}

asx_http1_variant asx_http1_variant_best(void)
{
#if defined(__x86_64__)
    return asx_http1_variant_has(ASX_HTTP1_AVX2) ? ASX_HTTP1_AVX2 : ASX_HTTP1_SSE2;
#else
    return ASX_HTTP1_SWAR;
#endif
}

asx_http1_verdict asx_http1_parse_variant(asx_http1_parser *parser, const char *ptr, size_t len,
                                          asx_http1_variant variant)
{
    asx_assert(asx_http1_variant_has(variant));
    switch (variant) {
    case ASX_HTTP1_PLAIN:
        return asxi_http1_parse_plain(parser, ptr, len);
    case ASX_HTTP1_SWAR:
        return asxi_http1_parse_swar(parser, ptr, len);
#if defined(__x86_64__)
    case ASX_HTTP1_SSE2:
        return asxi_http1_parse_sse2(parser, ptr, len);
    case ASX_HTTP1_AVX2:
        return asxi_http1_parse_avx2(parser, ptr, len);
#else
    case ASX_HTTP1_SSE2:
    case ASX_HTTP1_AVX2:
#endif
    case ASX_HTTP1_VARIANT_COUNT:
        break;
    }
    asx_unreachable();
}

/* The feature word is filled in before main by the compiler's runtime: one load and one test. */
asx_http1_verdict asx_http1_parse(asx_http1_parser *parser, const char *ptr, size_t len)
{
#if defined(__x86_64__)
    return asx_likely(__builtin_cpu_supports("avx2")) ? asxi_http1_parse_avx2(parser, ptr, len)
                                                      : asxi_http1_parse_sse2(parser, ptr, len);
#else
    return asxi_http1_parse_swar(parser, ptr, len);
#endif
}
