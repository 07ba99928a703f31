/* The body decoder.
 *
 *   COUNTED --all bytes--> ENDED                       (by length)
 *   FOREVER --asx_http1_body_eof--> ENDED              (until close)
 *   SIZE --digits--> SIZE --';'--> EXT --CR--> SIZE_LF --LF--> DATA | TRAILER
 *   DATA --chunk's bytes--> DATA_CR --CR--> DATA_LF --LF--> SIZE
 *   TRAILER --field line--> TRAILER                    TRAILER --empty line--> ENDED
 *   any --bad byte, limit--> FAILED
 *
 * SIZE       _left is the number read so far from _digits digits; _line_bytes bytes of the line
 * DATA       _left bytes of the chunk are still to come, more than 0; COUNTED: of the body
 * TRAILER    what is offered starts at a line; _scan bytes of that line are known to hold no end
 */
#include <asx/proto/http1_parse.h>
#include <asx/shard/base/assert.h>

#include "header_internal.h"

enum {
    COUNTED,
    FOREVER,
    SIZE,
    EXT,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER,
    ENDED,
    FAILED,
};

void asx_http1_body_init_framing(asx_http1_body *body, asx_http1_framing framing,
                                 uint64_t content_length, const asx_http1_limits *limits)
{
    *body = (asx_http1_body){ ._framing = (uint8_t)framing, ._limits = limits };
    switch (framing) {
    case ASX_HTTP1_FRAMING_LENGTH:
        body->_state = content_length ? COUNTED : ENDED;
        body->_left = content_length;
        break;
    case ASX_HTTP1_FRAMING_CHUNKED:
        body->_state = SIZE;
        break;
    case ASX_HTTP1_FRAMING_CLOSE:
        body->_state = FOREVER;
        break;
    case ASX_HTTP1_FRAMING_NONE:
    case ASX_HTTP1_FRAMING_TUNNEL:
        body->_state = ENDED;
        break;
    }
}

void asx_http1_body_init(asx_http1_body *body, const asx_http1_head *head,
                         const asx_http1_limits *limits)
{
    asx_http1_body_init_framing(body, (asx_http1_framing)head->framing, head->content_length,
                                limits);
    body->_response = head->status != 0;
}

/* at  of the deciding byte, counted from the bytes of this call */
static asx_http1_event fail(asx_http1_body *body, asx_http1_code code, size_t at)
{
    body->error.code = (uint32_t)code;
    body->error.status = body->_response ? 502 : asx_http1_code_status(code);
    body->error.offset = body->_offset + at;
    body->_state = FAILED;
    return ASX_HTTP1_BODY_ERROR;
}

/* Lends up to _left bytes from `i` on. */
static asx_http1_event lend(asx_http1_body *body, const char *ptr, size_t i, size_t len,
                            size_t *consumed)
{
    const size_t n = len - i < body->_left ? len - i : (size_t)body->_left;
    body->data = asx_view_of(ptr + i, n);
    body->_left -= n;
    body->received_bytes += n;
    *consumed = i + n;
    return ASX_HTTP1_BODY_DATA;
}

static asx_http1_event next_counted(asx_http1_body *body, const char *ptr, size_t len,
                                    size_t *consumed)
{
    if (body->received_bytes == 0 && body->_left > body->_limits->body_bytes_max) {
        return fail(body, ASX_HTTP1_CODE_BODY_TOO_LARGE, 0);
    }
    if (len == 0) {
        return ASX_HTTP1_BODY_NEED_MORE;
    }
    const asx_http1_event event = lend(body, ptr, 0, len, consumed);
    body->_state = body->_left ? COUNTED : ENDED;
    return event;
}

static asx_http1_event next_forever(asx_http1_body *body, const char *ptr, size_t len,
                                    size_t *consumed)
{
    const uint64_t room = body->_limits->body_bytes_max - body->received_bytes;
    if (len == 0) {
        return ASX_HTTP1_BODY_NEED_MORE;
    }
    if (room == 0) {
        return fail(body, ASX_HTTP1_CODE_BODY_TOO_LARGE, 0);
    }
    body->_left = room;
    return lend(body, ptr, 0, len, consumed);
}

/* One byte of a chunk size. NONE: go on. */
static asx_http1_code size_byte(asx_http1_body *body, uint8_t c)
{
    const unsigned digit = c - '0' + 0u < 10u ? c - '0' + 0u : (c | 32u) - 'a' + 10u;
    const bool hex = c - '0' + 0u < 10u || (c | 32u) - 'a' < 6u;

    if (hex) {
        if (body->_digits == 16) {
            return ASX_HTTP1_CODE_CHUNK_SIZE_INVALID;
        }
        body->_digits++;
        body->_left = body->_left << 4 | digit;
        return ASX_HTTP1_CODE_NONE;
    }
    if (body->_digits == 0 || (c != '\r' && c != ';')) {
        return c == '\n' ? ASX_HTTP1_CODE_BARE_LF : ASX_HTTP1_CODE_CHUNK_SIZE_INVALID;
    }
    body->_state = c == '\r' ? SIZE_LF : EXT;
    return ASX_HTTP1_CODE_NONE;
}

static asx_http1_code ext_byte(asx_http1_body *body, uint8_t c)
{
    if (c == '\r') {
        body->_state = SIZE_LF;
    } else if (c == '\n') {
        return ASX_HTTP1_CODE_BARE_LF;
    } else if ((c < 0x20 && c != '\t') || c == 0x7f) {
        return ASX_HTTP1_CODE_CHUNK_EXT_INVALID;
    }
    return ASX_HTTP1_CODE_NONE;
}

/* The chunk line is whole. */
static asx_http1_code size_end(asx_http1_body *body, uint8_t c)
{
    if (c != '\n') {
        return ASX_HTTP1_CODE_BARE_CR;
    }
    if (body->_left > (uint64_t)INT64_MAX) {
        return ASX_HTTP1_CODE_CHUNK_SIZE_TOO_LARGE;
    }
    if (body->_left > body->_limits->body_bytes_max - body->received_bytes) {
        return ASX_HTTP1_CODE_BODY_TOO_LARGE;
    }
    body->_state = body->_left ? DATA : TRAILER;
    body->_scan = 0;
    return ASX_HTTP1_CODE_NONE;
}

/* What a line may still hold is checked on every byte that belongs to it: not on its CRLF. */
static asx_http1_code line_limits(asx_http1_body *body)
{
    if (body->_line_bytes == body->_limits->chunk_line_bytes_max) {
        return ASX_HTTP1_CODE_CHUNK_LINE_TOO_LONG;
    }
    body->_line_bytes++;
    if (body->_state == EXT) {
        if (body->_ext_bytes == body->_limits->chunk_ext_bytes_max) {
            return ASX_HTTP1_CODE_CHUNK_EXT_TOO_LONG;
        }
        body->_ext_bytes++;
    }
    return ASX_HTTP1_CODE_NONE;
}

/* One byte of what stands between chunks. */
static asx_http1_code frame_byte(asx_http1_body *body, uint8_t c)
{
    asx_http1_code code = ASX_HTTP1_CODE_NONE;

    if (body->_state == SIZE || body->_state == EXT) {
        code = body->_state == SIZE ? size_byte(body, c) : ext_byte(body, c);
        return code == ASX_HTTP1_CODE_NONE && body->_state != SIZE_LF ? line_limits(body) : code;
    }
    if (body->_state == SIZE_LF) {
        return size_end(body, c);
    }
    if (c != (body->_state == DATA_CR ? '\r' : '\n')) {
        return ASX_HTTP1_CODE_CHUNK_END_INVALID;
    }
    if (body->_state == DATA_CR) {
        body->_state = DATA_LF;
        return ASX_HTTP1_CODE_NONE;
    }
    body->_state = SIZE;
    body->_digits = 0;
    body->_line_bytes = 0;
    body->_left = 0;
    return ASX_HTTP1_CODE_NONE;
}

/* Why a trailer line's name ended at `c`. */
static asx_http1_code trailer_name_code(char c, bool first)
{
    if (c == ' ' || c == '\t') {
        return first ? ASX_HTTP1_CODE_FIELD_FOLDED : ASX_HTTP1_CODE_FIELD_NAME_SPACE;
    }
    if (c == ':') {
        return ASX_HTTP1_CODE_FIELD_NAME_EMPTY;
    }
    return c == '\r' ? ASX_HTTP1_CODE_FIELD_NO_COLON : ASX_HTTP1_CODE_FIELD_NAME_BYTE;
}

/* Splits the whole line [line, end) into body->trailer; *bad is the byte that decided an error. */
static asx_http1_code trailer_split(asx_http1_body *body, const char *line, size_t len, size_t *bad)
{
    size_t i = 0;
    while (i < len && asxi_tchar[(uint8_t)line[i]]) {
        i++;
    }
    *bad = i;
    if (i == len || line[i] != ':' || i == 0) {
        return trailer_name_code(i < len ? line[i] : '\r', i == 0);
    }
    const size_t name_len = i;
    for (i++; i < len; i++) {
        const uint8_t c = (uint8_t)line[i];
        *bad = i;
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            return c == '\r' ? ASX_HTTP1_CODE_BARE_CR : ASX_HTTP1_CODE_CONTROL_BYTE;
        }
    }
    size_t start = name_len + 1;
    while (start < len && (line[start] == ' ' || line[start] == '\t')) {
        start++;
    }
    while (len > start && (line[len - 1] == ' ' || line[len - 1] == '\t')) {
        len--;
    }
    body->trailer.name = asx_view_of(line, name_len);
    body->trailer.value = asx_view_of(line + start, len - start);
    body->trailer.id = (uint32_t)asxi_header_lookup(line, name_len);
    *bad = 0;
    return ASX_HTTP1_CODE_NONE;
}

/* One field line of `len` bytes without its CRLF. */
static asx_http1_code trailer_line(asx_http1_body *body, const char *line, size_t len, size_t *bad,
                                   bool *deliver)
{
    const asx_http1_code code = trailer_split(body, line, len, bad);
    if (code != ASX_HTTP1_CODE_NONE) {
        return code;
    }
    if (body->_trailer_count == body->_limits->trailer_count_max) {
        return ASX_HTTP1_CODE_TRAILERS_TOO_MANY;
    }
    body->_trailer_count++;
    *deliver = !(asx_header_flags((asx_header_id)body->trailer.id) & ASX_HEADER_NO_TRAILER);
    return !*deliver && body->trailer_policy == ASX_HTTP1_TRAILERS_REFUSE
               ? ASX_HTTP1_CODE_TRAILER_FORBIDDEN
               : ASX_HTTP1_CODE_NONE;
}

/* Takes trailer lines from `i` on until there is one to deliver, or the section ends. */
static asx_http1_event next_trailer(asx_http1_body *body, const char *ptr, size_t i, size_t len,
                                    size_t *consumed)
{
    for (;;) {
        const char *const line = ptr + i;
        const size_t have = len - i, seen = body->_scan;
        const size_t room = body->_limits->trailer_bytes_max - body->_trailer_bytes + 2u;
        const size_t look = have < room ? have : room;
        const char *const lf = look > seen ? memchr(line + seen, '\n', look - seen) : NULL;
        bool deliver = false;
        size_t bad;

        *consumed = i;
        if (!lf) {
            body->_scan = (uint32_t)look;
            return look == room ? fail(body, ASX_HTTP1_CODE_TRAILERS_TOO_LARGE, i + room)
                                : ASX_HTTP1_BODY_NEED_MORE;
        }
        const size_t line_len = (size_t)(lf - line);
        if (line_len == 0 || lf[-1] != '\r') {
            return fail(body, ASX_HTTP1_CODE_BARE_LF, i + line_len);
        }
        body->_scan = 0;
        *consumed = i += line_len + 1;
        if (line_len == 1) {
            body->_state = ENDED;
            return ASX_HTTP1_BODY_END;
        }
        if (line_len + 1 + body->_trailer_bytes > body->_limits->trailer_bytes_max) {
            return fail(body, ASX_HTTP1_CODE_TRAILERS_TOO_LARGE, i);
        }
        body->_trailer_bytes += (uint32_t)line_len + 1;
        const asx_http1_code code = trailer_line(body, line, line_len - 1, &bad, &deliver);
        if (code != ASX_HTTP1_CODE_NONE) {
            return fail(body, code, (size_t)(line - ptr) + bad);
        }
        if (deliver) {
            return ASX_HTTP1_BODY_TRAILER;
        }
    }
}

static asx_http1_event next_chunked(asx_http1_body *body, const char *ptr, size_t len,
                                    size_t *consumed)
{
    size_t i = 0;
    while (i < len && body->_state != DATA && body->_state != TRAILER) {
        const asx_http1_code code = frame_byte(body, (uint8_t)ptr[i]);
        if (asx_unlikely(code != ASX_HTTP1_CODE_NONE)) {
            return fail(body, code, i);
        }
        i++;
    }
    *consumed = i;
    if (body->_state == TRAILER) {
        return next_trailer(body, ptr, i, len, consumed);
    }
    if (i == len) {
        return ASX_HTTP1_BODY_NEED_MORE;
    }
    asx_assert(body->_left > 0);
    const asx_http1_event event = lend(body, ptr, i, len, consumed);
    body->_state = body->_left ? DATA : DATA_CR;
    return event;
}

asx_http1_event asx_http1_body_next(asx_http1_body *body, const char *ptr, size_t len,
                                    size_t *consumed)
{
    asx_http1_event event;

    *consumed = 0;
    switch (body->_state) {
    case ENDED:
        return ASX_HTTP1_BODY_END;
    case FAILED:
        return ASX_HTTP1_BODY_ERROR;
    case COUNTED:
        event = next_counted(body, ptr, len, consumed);
        break;
    case FOREVER:
        event = next_forever(body, ptr, len, consumed);
        break;
    default:
        event = next_chunked(body, ptr, len, consumed);
        break;
    }
    body->_offset += *consumed;
    return event;
}

asx_http1_event asx_http1_body_eof(asx_http1_body *body)
{
    if (body->_state == FOREVER) {
        body->_state = ENDED;
    }
    if (body->_state == ENDED) {
        return ASX_HTTP1_BODY_END;
    }
    return body->_state == FAILED ? ASX_HTTP1_BODY_ERROR : fail(body, ASX_HTTP1_CODE_BODY_CUT, 0);
}
