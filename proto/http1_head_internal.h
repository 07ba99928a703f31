/* The head parser, compiled once per scanner: a variant's source defines ASXI_SCAN_... and
 * ASXI_HTTP1_PARSE (the function's name) and includes this.
 *
 *   START --CRLF--> AFTER_EMPTY
 *   START, AFTER_EMPTY --first byte--> LINE --line whole--> FIELDS --empty line--> WHOLE
 *   any of them --bad byte, limit--> FAILED        START --HTTP/2 preface--> HANDED_OVER
 *
 * LINE       _line is where the line starts; nothing of it is stored
 * FIELDS     the first line is decoded; fields[0..field_count) too; _line is where the next starts
 * in both    bytes before _scan are known to be good, and _colon is the cut field's colon or 0
 * WHOLE      head is valid; FAILED: error is
 *
 * A line that is cut is parsed again from its start, except for what _scan and _colon say: so the
 * decisions need no state of their own, and the bytes are still scanned once. */

#include <asx/shard/base/assert.h>

#include "http1_parse_internal.h"
#include "http1_scan_internal.h"

ASX_INLINE bool asxi_is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* The line goes on past what there is: more bytes are needed, unless the limit stands at `wall`. */
ASX_INLINE asx_http1_verdict asxi_cut(asx_http1_parser *parser, const char *base, const char *line,
                                      const char *scanned, const char *end, const char *wall,
                                      asx_http1_code code)
{
    if (end >= wall) {
        return asxi_http1_fail(parser, code, base, wall);
    }
    parser->_base = base;
    parser->_line = (uint32_t)(line - base);
    parser->_scan = (uint32_t)(scanned - base);
    return ASX_HTTP1_NEED_MORE;
}

/* Finds the method: returns what follows its space, or NULL with *verdict set. */
static const char *asxi_method(asx_http1_parser *parser, const char *base, const char *p,
                               const char *end, asx_http1_verdict *verdict)
{
    const uint32_t max = parser->limits->method_bytes_max;
    const char *m = p;
    while (m < end && asxi_tchar[(uint8_t)*m]) {
        if ((size_t)(m - p) == max) {
            *verdict = asxi_http1_fail(parser, ASX_HTTP1_CODE_METHOD_TOO_LONG, base, m);
            return NULL;
        }
        m++;
    }
    if (m == end) {
        *verdict = ASX_HTTP1_NEED_MORE;
        return NULL;
    }
    if (*m != ' ' || m == p) {
        *verdict = asxi_http1_fail(
            parser, *m == '\n' ? ASX_HTTP1_CODE_BARE_LF : ASX_HTTP1_CODE_METHOD_INVALID, base, m);
        return NULL;
    }
    parser->head.method_name = asx_view_of(p, (size_t)(m - p));
    parser->head.method = (uint8_t)asx_http_method_lookup(parser->head.method_name);
    return m + 1;
}

static asx_http1_code asxi_target_code(char stop)
{
    switch (stop) {
    case '\n':
        return ASX_HTTP1_CODE_BARE_LF;
    case '\r':
        return ASX_HTTP1_CODE_VERSION_MISSING;
    case '#':
        return ASX_HTTP1_CODE_TARGET_FRAGMENT;
    default:
        return ASX_HTTP1_CODE_TARGET_BYTE;
    }
}

/* Parses the request line at *at, and moves *at behind it. */
ASX_INLINE asx_http1_verdict asxi_request_line(asx_http1_parser *parser, const char *base,
                                               const char **at, const char *end)
{
    const asx_http1_code too_long = ASX_HTTP1_CODE_REQUEST_LINE_TOO_LONG;
    const char *const line = *at;
    const char *const wall = line + parser->limits->request_line_bytes_max + 2;
    asx_http1_head *const head = &parser->head;
    asx_http1_verdict verdict;
    const char *t;

    end = end < wall ? end : wall;
    if (asx_likely(end - line >= 4 && asx_load_u32(line) == 0x20544547 /* "GET " */)) {
        head->method_name = asx_view_of(line, 3);
        head->method = ASX_HTTP_GET;
        t = line + 4;
    } else if (!(t = asxi_method(parser, base, line, end, &verdict))) {
        return verdict == ASX_HTTP1_NEED_MORE
                   ? asxi_cut(parser, base, line, line, end, wall, too_long)
                   : verdict;
    }
    const char *const known = base + parser->_scan;
    const char *const stop = asxi_scan_target(base, known > t ? known : t, end);
    if (stop == end) {
        return asxi_cut(parser, base, line, stop, end, wall, too_long);
    }
    if (asx_unlikely(*stop != ' ' || stop == t)) {
        return asxi_http1_fail(parser,
                               *stop == ' ' ? ASX_HTTP1_CODE_TARGET_EMPTY : asxi_target_code(*stop),
                               base, stop);
    }
    head->target = asx_view_of(t, (size_t)(stop - t));
    const char *v = stop + 1;
    if (asx_likely(end - v >= 10 && asx_load_u64(v) == 0x312e312f50545448 /* "HTTP/1.1" */ &&
                   asx_load_u32(v + 6) >> 16 == 0x0a0d)) {
        head->version_minor = 1;
        v += 10;
    } else if (!(v = asxi_http1_version(parser, base, v, end, &verdict))) {
        return verdict == ASX_HTTP1_NEED_MORE
                   ? asxi_cut(parser, base, line, stop, end, wall, too_long)
                   : verdict;
    }
    *at = v;
    if (asx_likely(*t == '/' && head->method != ASX_HTTP_CONNECT)) {
        head->form = ASX_HTTP1_TARGET_ORIGIN;
        head->path = head->target;
        if (asx_unlikely(head->target.len > 1 && t[1] == '/')) {
            return asxi_http1_fail(parser, ASX_HTTP1_CODE_TARGET_FORM, base, t + 1);
        }
        return ASX_HTTP1_DONE;
    }
    return asxi_http1_target(parser, base);
}

/* Three digits and what follows them; *at stands behind the version's space. */
static asx_http1_code asxi_status_code(asx_http1_head *head, const char **at, const char *end)
{
    const char *p = *at;
    uint32_t status = 0;
    for (int i = 0; i < 3; i++, p++) {
        *at = p;
        if (p == end) {
            return ASX_HTTP1_CODE_NONE;
        }
        if ((unsigned)(uint8_t)*p - '0' > 9 || (i == 0 && *p == '0')) {
            return ASX_HTTP1_CODE_STATUS_INVALID;
        }
        status = status * 10 + (uint32_t)(*p - '0');
    }
    *at = p;
    head->status = (uint16_t)status;
    if (p < end && *p != ' ' && *p != '\r') {
        return *p == '\n' ? ASX_HTTP1_CODE_BARE_LF : ASX_HTTP1_CODE_REASON_INVALID;
    }
    return ASX_HTTP1_CODE_NONE;
}

static asx_http1_code asxi_value_code(char stop)
{
    return stop == '\n' ? ASX_HTTP1_CODE_BARE_LF : ASX_HTTP1_CODE_CONTROL_BYTE;
}

static asx_http1_verdict asxi_status_line(asx_http1_parser *parser, const char *base,
                                          const char **at, const char *end)
{
    const asx_http1_code too_long = ASX_HTTP1_CODE_STATUS_LINE_TOO_LONG;
    const char *const line = *at;
    const char *const wall = line + parser->limits->request_line_bytes_max + 2;
    asx_http1_head *const head = &parser->head;
    asx_http1_verdict verdict;

    end = end < wall ? end : wall;
    const char *p = asxi_http1_version(parser, base, line, end, &verdict);
    if (!p) {
        return verdict == ASX_HTTP1_NEED_MORE
                   ? asxi_cut(parser, base, line, line, end, wall, too_long)
                   : verdict;
    }
    const asx_http1_code code = asxi_status_code(head, &p, end);
    if (code != ASX_HTTP1_CODE_NONE) {
        return asxi_http1_fail(parser, code, base, p);
    }
    const char *const known = base + parser->_scan;
    const char *const reason = p < end && *p == ' ' ? p + 1 : p;
    const char *const stop = asxi_scan_value(base, known > reason ? known : reason, end);
    if (stop == end || (*stop == '\r' && stop + 1 == end)) {
        return asxi_cut(parser, base, line, stop > known ? stop : known, end, wall, too_long);
    }
    if (*stop != '\r' || stop[1] != '\n') {
        return asxi_http1_fail(
            parser, *stop == '\r' ? ASX_HTTP1_CODE_BARE_CR : asxi_value_code(*stop), base, stop);
    }
    head->reason = asx_view_of(reason, (size_t)(stop - reason));
    *at = stop + 2;
    return ASX_HTTP1_DONE;
}

/* Why a field name ended at `stop`, which is neither its colon nor the end of what there is. */
static asx_http1_code asxi_name_code(const char *name, const char *stop)
{
    switch (*stop) {
    case ':':
        return ASX_HTTP1_CODE_FIELD_NAME_EMPTY;
    case '\n':
        return ASX_HTTP1_CODE_BARE_LF;
    case '\r':
        return ASX_HTTP1_CODE_FIELD_NO_COLON;
    case ' ':
    case '\t':
        return stop == name ? ASX_HTTP1_CODE_FIELD_FOLDED : ASX_HTTP1_CODE_FIELD_NAME_SPACE;
    default:
        return ASX_HTTP1_CODE_FIELD_NAME_BYTE;
    }
}

/* Finds colon and value end of the line at p in its first 32 bytes. False: take the slow way. */
ASX_INLINE bool asxi_field_fast(const char *base, const char *p, const char *end,
                                const char **colon, const char **stop, asx_header_id *id)
{
#if ASXI_SCAN_VECTOR
    asxi_block block;
    const char *next = p + 32;
    if (asx_likely(end - p >= 32)) {
        block = asxi_load_block(p);
    } else if (asx_likely(end - base >= 32)) {
        const unsigned known = 32u - (unsigned)(end - p);
        block = asxi_load_block(end - 32);
        block.colon >>= known;
        block.value_stop >>= known;
        next = end;
    } else {
        return false;
    }
    if (asx_unlikely(block.colon == 0)) {
        return false;
    }
    const unsigned len = (unsigned)__builtin_ctz(block.colon);
    *id = asxi_header_lookup(p, len);
    if (*id == ASX_HEADER_OTHER && (len == 0 || asxi_scan_name(p, p + len) != p + len)) {
        return false;
    }
    *colon = p + len;
    const uint32_t stops = block.value_stop >> len; /* the colon itself is none */
    *stop = asx_likely(stops) ? *colon + __builtin_ctz(stops) : asxi_scan_value(base, next, end);
    return true;
#else
    (void)base, (void)p, (void)end, (void)colon, (void)stop, (void)id;
    return false;
#endif
}

/* Stores the line between name and stop; true when somebody must look at it. */
ASX_INLINE bool asxi_field_store(asx_header_field *field, const char *name, const char *colon,
                                 const char *stop, asx_header_id id)
{
    const char *v = colon + 1;
    while (v < stop && asxi_is_space(*v)) {
        v++;
    }
    while (stop > v && asxi_is_space(stop[-1])) {
        stop--;
    }
    field->name = asx_view_of(name, (size_t)(colon - name));
    field->value = asx_view_of(v, (size_t)(stop - v));
    field->id = (uint32_t)id;
    return id == ASX_HEADER_HOST || id == ASX_HEADER_CONNECTION ||
           id == ASX_HEADER_CONTENT_LENGTH || id == ASX_HEADER_TRANSFER_ENCODING ||
           id == ASX_HEADER_EXPECT || id == ASX_HEADER_UPGRADE;
}

static asx_http1_verdict asxi_fields(asx_http1_parser *parser, const char *base, const char *p,
                                     const char *end)
{
    const asx_http1_code too_large = ASX_HTTP1_CODE_FIELDS_TOO_LARGE;
    asx_http1_head *const head = &parser->head;
    const char *const wall = base + parser->_fields + parser->limits->fields_bytes_max + 2;
    const uint32_t count_max = head->field_cap < parser->limits->field_count_max
                                   ? head->field_cap
                                   : parser->limits->field_count_max;
    const char *known = base + parser->_scan; /* <= p unless a cut line is taken up again */

    end = end < wall ? end : wall;
    for (;;) {
        const char *colon = NULL, *stop = p;
        asx_header_id id = ASX_HEADER_OTHER;
        if (p == end || (*p == '\r' && p + 1 == end)) {
            return asxi_cut(parser, base, p, p, end, wall, too_large);
        }
        if (*p == '\r') {
            return p[1] == '\n' ? asxi_http1_finish(parser, base, p + 2)
                                : asxi_http1_fail(parser, ASX_HTTP1_CODE_BARE_CR, base, p);
        }
        if (asx_unlikely(head->field_count == count_max)) {
            return asxi_http1_fail(parser, ASX_HTTP1_CODE_FIELDS_TOO_MANY, base, p);
        }
        if (known > p || !asxi_field_fast(base, p, end, &colon, &stop, &id)) {
            colon =
                parser->_colon ? base + parser->_colon : asxi_scan_name(known > p ? known : p, end);
            if (colon == end) {
                return asxi_cut(parser, base, p, end, end, wall, too_large);
            }
            if (*colon != ':' || colon == p) {
                return asxi_http1_fail(parser, asxi_name_code(p, colon), base, colon);
            }
            id = asxi_header_lookup(p, (size_t)(colon - p));
            stop = asxi_scan_value(base, known > colon ? known : colon + 1, end);
        }
        if (stop == end || (*stop == '\r' && stop + 1 == end)) {
            parser->_colon = (uint32_t)(colon - base);
            return asxi_cut(parser, base, p, stop, end, wall, too_large);
        }
        if (asx_unlikely(*stop != '\r' || stop[1] != '\n')) {
            return asxi_http1_fail(parser,
                                   *stop == '\r' ? ASX_HTTP1_CODE_BARE_CR : asxi_value_code(*stop),
                                   base, stop);
        }
        known = base;
        parser->_colon = 0;
        asx_header_field *const field = &head->fields[head->field_count++];
        if (asxi_field_store(field, p, colon, stop, id) &&
            asxi_http1_field(parser, base, field) == ASX_HTTP1_ERROR) {
            return ASX_HTTP1_ERROR;
        }
        p = stop + 2;
    }
}

/* Recognises the HTTP/2 preface: PREFACE, NEED_MORE, or DONE when this is something else. */
static asx_http1_verdict asxi_preface(const char *base, size_t len)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const size_t whole = sizeof(preface) - 1;
    if (memcmp(base, preface, len < whole ? len : whole) != 0) {
        return ASX_HTTP1_DONE;
    }
    return len < whole ? ASX_HTTP1_NEED_MORE : ASX_HTTP1_PREFACE;
}

/* Skips at most one empty line before a request: DONE at the first byte of a line. */
static asx_http1_verdict asxi_begin(asx_http1_parser *parser, const char *base, const char *end)
{
    const char *p = base + parser->_line;
    if (parser->_phase == ASXI_HTTP1_START && parser->accept_preface && *p == 'P') {
        const asx_http1_verdict verdict = asxi_preface(base, (size_t)(end - base));
        if (verdict != ASX_HTTP1_DONE) {
            parser->_phase =
                verdict == ASX_HTTP1_PREFACE ? ASXI_HTTP1_HANDED_OVER : ASXI_HTTP1_START;
            return verdict;
        }
    }
    if (*p == '\r' && parser->_phase == ASXI_HTTP1_START && !parser->_response) {
        if (p + 1 == end) {
            return ASX_HTTP1_NEED_MORE;
        }
        if (p[1] != '\n') {
            return asxi_http1_fail(parser, ASX_HTTP1_CODE_BARE_CR, base, p);
        }
        parser->_phase = ASXI_HTTP1_AFTER_EMPTY;
        parser->_line = 2;
        p += 2;
        if (p == end) {
            return ASX_HTTP1_NEED_MORE;
        }
    }
    if (asx_unlikely(*p == '\n')) {
        return asxi_http1_fail(parser, ASX_HTTP1_CODE_BARE_LF, base, p);
    }
    if (asx_unlikely(*p == '\r' && !parser->_response)) {
        return asxi_http1_fail(parser, ASX_HTTP1_CODE_EMPTY_LINES, base, p);
    }
    parser->_phase = ASXI_HTTP1_LINE;
    return ASX_HTTP1_DONE;
}

asx_http1_verdict ASXI_HTTP1_PARSE(asx_http1_parser *parser, const char *ptr, size_t len)
{
    const char *const end = ptr + len;
    asx_http1_verdict verdict;

    if (parser->_base && parser->_base != ptr) {
        asxi_http1_rebase(parser, ptr);
    }
    if (parser->_phase <= ASXI_HTTP1_AFTER_EMPTY) {
        if (len <= parser->_line) {
            return ASX_HTTP1_NEED_MORE;
        }
        verdict = asxi_begin(parser, ptr, end);
        if (verdict != ASX_HTTP1_DONE) {
            return verdict;
        }
    }
    const char *p = ptr + parser->_line;
    asx_assert(p <= end);
    if (parser->_phase == ASXI_HTTP1_LINE) {
        verdict = asx_unlikely(parser->_response) ? asxi_status_line(parser, ptr, &p, end)
                                                  : asxi_request_line(parser, ptr, &p, end);
        if (asx_unlikely(verdict != ASX_HTTP1_DONE)) {
            return verdict;
        }
        parser->_phase = ASXI_HTTP1_FIELDS;
        parser->_scan = 0;
        parser->_fields = (uint32_t)(p - ptr);
    }
    if (parser->_phase == ASXI_HTTP1_FIELDS) {
        return asxi_fields(parser, ptr, p, end);
    }
    return parser->_phase == ASXI_HTTP1_WHOLE    ? ASX_HTTP1_DONE
           : parser->_phase == ASXI_HTTP1_FAILED ? ASX_HTTP1_ERROR
                                                 : ASX_HTTP1_PREFACE;
}
