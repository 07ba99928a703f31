#include <asx/proto/http1_write.h>
#include <asx/proto/http_status.h>
#include <asx/shard/base/assert.h>

#define U64_DIGITS_MAX 20

static void fail(asx_http1_writer *writer, asx_err err)
{
    writer->err = writer->err ? writer->err : err;
}

/* Lends room for len bytes, already counted, or NULL. */
static char *room(asx_http1_writer *writer, size_t len)
{
    if (writer->err || writer->cap - writer->len < len) {
        fail(writer, ASX_E(TOO_LONG));
        return NULL;
    }
    char *const p = writer->buf + writer->len;
    writer->len += len;
    return p;
}

static void put(asx_http1_writer *writer, const char *ptr, size_t len)
{
    char *const p = room(writer, len);
    if (p && len) {
        memcpy(p, ptr, len);
    }
}

/* The decimal digits of n, right-aligned in buf; returns where they start. */
static char *digits(uint64_t n, char buf[U64_DIGITS_MAX])
{
    char *p = buf + U64_DIGITS_MAX;
    do {
        *--p = (char)('0' + n % 10);
        n /= 10;
    } while (n);
    return p;
}

void asx_http1_writer_init(asx_http1_writer *writer, char *buf, size_t cap)
{
    *writer = (asx_http1_writer){ .buf = buf, .cap = cap };
}

void asx_http1_write_status(asx_http1_writer *writer, uint32_t status, asx_view reason)
{
    asx_assert(status >= 100 && status <= 999);
    const asx_view line = asx_http_status_line(status);

    writer->_bodiless = status < 200 || status == 204;
    if (reason.len == 0 && line.len) {
        put(writer, line.ptr, line.len);
        return;
    }
    for (size_t i = 0; i < reason.len; i++) {
        const uint8_t c = (uint8_t)reason.ptr[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f) {
            fail(writer, ASX_E(INVALID_ARGUMENT));
            return;
        }
    }
    char buf[U64_DIGITS_MAX];
    put(writer, "HTTP/1.1 ", 9);
    put(writer, digits(status, buf), 3);
    put(writer, " ", 1);
    put(writer, reason.ptr, reason.len);
    put(writer, "\r\n", 2);
}

void asx_http1_write_request(asx_http1_writer *writer, asx_view method, asx_view target)
{
    bool good = asx_header_name_check(method) && target.len > 0;
    for (size_t i = 0; i < target.len; i++) {
        const uint8_t c = (uint8_t)target.ptr[i];
        good = good && c > 0x20 && c < 0x7f && c != '#';
    }
    if (!good) {
        fail(writer, ASX_E(INVALID_ARGUMENT));
        return;
    }
    put(writer, method.ptr, method.len);
    put(writer, " ", 1);
    put(writer, target.ptr, target.len);
    put(writer, " HTTP/1.1\r\n", 11);
}

static void put_line(asx_http1_writer *writer, asx_view name, asx_view value)
{
    char *p = room(writer, name.len + value.len + 4);
    if (!p) {
        return;
    }
    memcpy(p, name.ptr, name.len);
    p += name.len;
    *p++ = ':';
    *p++ = ' ';
    if (value.len) {
        memcpy(p, value.ptr, value.len);
        p += value.len;
    }
    *p++ = '\r';
    *p = '\n';
}

static bool is_reserved(asx_header_id id)
{
    return id == ASX_HEADER_CONTENT_LENGTH || id == ASX_HEADER_TRANSFER_ENCODING ||
           id == ASX_HEADER_CONNECTION;
}

void asx_http1_write_field(asx_http1_writer *writer, asx_view name, asx_view value)
{
    if (!asx_header_name_check(name) || !asx_header_value_check(value) ||
        is_reserved(asx_header_lookup(name))) {
        fail(writer, ASX_E(INVALID_ARGUMENT));
        return;
    }
    put_line(writer, name, value);
}

void asx_http1_write_field_u64(asx_http1_writer *writer, asx_view name, uint64_t value)
{
    char buf[U64_DIGITS_MAX];
    const char *const p = digits(value, buf);
    asx_http1_write_field(writer, name, asx_view_of(p, (size_t)(buf + U64_DIGITS_MAX - p)));
}

void asx_http1_write_date(asx_http1_writer *writer, const char date[ASX_HTTP_DATE_LEN])
{
    put(writer, "Date: ", 6);
    put(writer, date, ASX_HTTP_DATE_LEN);
    put(writer, "\r\n", 2);
}

/* True once: a second framing, or one where none may stand, fails. */
static bool frame(asx_http1_writer *writer)
{
    if (writer->_framed || writer->_bodiless) {
        fail(writer, ASX_E(INVALID_ARGUMENT));
    }
    writer->_framed = true;
    return writer->err == ASX_OK;
}

void asx_http1_write_length(asx_http1_writer *writer, uint64_t content_length)
{
    char buf[U64_DIGITS_MAX];
    if (content_length > (uint64_t)INT64_MAX) {
        fail(writer, ASX_E(INVALID_ARGUMENT));
    }
    if (frame(writer)) {
        const char *const p = digits(content_length, buf);
        put_line(writer, asx_view_of("Content-Length", 14),
                 asx_view_of(p, (size_t)(buf + U64_DIGITS_MAX - p)));
    }
}

void asx_http1_write_chunked(asx_http1_writer *writer)
{
    if (frame(writer)) {
        put(writer, "Transfer-Encoding: chunked\r\n", 28);
    }
}

void asx_http1_write_connection(asx_http1_writer *writer, asx_view value)
{
    if (!asx_header_value_check(value)) {
        fail(writer, ASX_E(INVALID_ARGUMENT));
        return;
    }
    put_line(writer, asx_view_of("Connection", 10), value);
}

asx_err asx_http1_write_end(asx_http1_writer *writer)
{
    put(writer, "\r\n", 2);
    return writer->err;
}

static void write_framing(asx_http1_writer *writer, const asx_http1_response *response)
{
    switch (response->framing) {
    case ASX_HTTP1_FRAMING_LENGTH:
        asx_http1_write_length(writer, response->content_length);
        break;
    case ASX_HTTP1_FRAMING_CHUNKED:
        if (response->version_minor == 0) {
            fail(writer, ASX_E(INVALID_ARGUMENT));
        }
        asx_http1_write_chunked(writer);
        break;
    case ASX_HTTP1_FRAMING_NONE:
        if (!asx_http_status_is_bodiless(response->status) && !response->head) {
            asx_http1_write_length(writer, 0);
        }
        break;
    case ASX_HTTP1_FRAMING_CLOSE:
    case ASX_HTTP1_FRAMING_TUNNEL:
        break;
    }
}

asx_err asx_http1_write_response(const asx_http1_response *response, char *buf, size_t cap,
                                 size_t *len)
{
    asx_http1_writer writer;
    const bool close = !response->keep_alive || response->framing == ASX_HTTP1_FRAMING_CLOSE;

    asx_http1_writer_init(&writer, buf, cap);
    asx_http1_write_status(&writer, response->status, response->reason);
    if (response->date) {
        asx_http1_write_date(&writer, response->date);
    }
    for (size_t i = 0; i < response->field_count; i++) {
        asx_http1_write_field(&writer, response->fields[i].name, response->fields[i].value);
    }
    write_framing(&writer, response);
    if (response->framing == ASX_HTTP1_FRAMING_TUNNEL) {
        if (response->status == 101) {
            asx_http1_write_connection(&writer, asx_view_of("upgrade", 7));
        }
    } else if (close && response->status >= 200) {
        asx_http1_write_connection(&writer, asx_view_of("close", 5));
    } else if (response->version_minor == 0 && response->status >= 200) {
        asx_http1_write_connection(&writer, asx_view_of("keep-alive", 10));
    }
    const asx_err err = asx_http1_write_end(&writer);
    *len = err ? 0 : writer.len;
    return err;
}

asx_err asx_http1_frozen_init(asx_http1_frozen *frozen, uint32_t status,
                              const asx_header_field *fields, size_t field_count)
{
    static const char blank[ASX_HTTP_DATE_LEN] = "                            ";
    asx_http1_writer writer;

    if (asx_http_status_is_bodiless(status)) {
        return ASX_E(INVALID_ARGUMENT);
    }
    asx_http1_writer_init(&writer, frozen->bytes, sizeof(frozen->bytes));
    asx_http1_write_status(&writer, status, asx_view_of(NULL, 0));
    frozen->_date_at = (uint32_t)writer.len + 6;
    asx_http1_write_date(&writer, blank);
    for (size_t i = 0; i < field_count; i++) {
        asx_http1_write_field(&writer, fields[i].name, fields[i].value);
    }
    put(&writer, "Content-Length: ", 16);
    frozen->len = writer.err ? 0 : (uint32_t)writer.len;
    return writer.err;
}

size_t asx_http1_frozen_write(const asx_http1_frozen *frozen, const char date[ASX_HTTP_DATE_LEN],
                              uint64_t content_length, char *buf, size_t cap)
{
    char text[U64_DIGITS_MAX];
    const char *const p = digits(content_length, text);
    const size_t digit_count = (size_t)(text + U64_DIGITS_MAX - p);
    const size_t len = frozen->len + digit_count + 4;

    asx_assert(frozen->len > 0);
    if (len > cap) {
        return 0;
    }
    memcpy(buf, frozen->bytes, frozen->len);
    memcpy(buf + frozen->_date_at, date, ASX_HTTP_DATE_LEN);
    memcpy(buf + frozen->len, p, digit_count);
    memcpy(buf + len - 4, "\r\n\r\n", 4);
    return len;
}

size_t asx_http1_chunk_head(uint64_t len, char buf[ASX_HTTP1_CHUNK_HEAD_MAX])
{
    asx_assert(len > 0); /* an empty chunk would end the body */
    const unsigned digit_count = (67u - (unsigned)__builtin_clzll(len)) / 4;
    for (unsigned i = digit_count; i-- > 0; len >>= 4) {
        buf[i] = "0123456789abcdef"[len & 15];
    }
    buf[digit_count] = '\r';
    buf[digit_count + 1] = '\n';
    return digit_count + 2;
}

asx_err asx_http1_write_trailers(const asx_header_field *fields, size_t field_count, char *buf,
                                 size_t cap, size_t *len)
{
    asx_http1_writer writer;

    asx_http1_writer_init(&writer, buf, cap);
    put(&writer, "0\r\n", 3);
    for (size_t i = 0; i < field_count; i++) {
        const asx_header_id id = asx_header_lookup(fields[i].name);
        if (asx_header_flags(id) & ASX_HEADER_NO_TRAILER) {
            fail(&writer, ASX_E(INVALID_ARGUMENT));
        }
        asx_http1_write_field(&writer, fields[i].name, fields[i].value);
    }
    const asx_err err = asx_http1_write_end(&writer);
    *len = err ? 0 : writer.len;
    return err;
}

void asx_http1_output_init(asx_http1_output *output, asx_http1_framing framing,
                           uint64_t content_length)
{
    output->framing = (uint8_t)framing;
    output->left = framing == ASX_HTTP1_FRAMING_LENGTH ? content_length
                   : framing == ASX_HTTP1_FRAMING_NONE ? 0
                                                       : UINT64_MAX;
}

bool asx_http1_output_take(asx_http1_output *output, uint64_t len)
{
    const bool counted =
        output->framing == ASX_HTTP1_FRAMING_LENGTH || output->framing == ASX_HTTP1_FRAMING_NONE;
    if (counted && len > output->left) {
        return false;
    }
    output->left -= counted ? len : 0;
    return true;
}

bool asx_http1_output_is_whole(const asx_http1_output *output)
{
    return output->framing != ASX_HTTP1_FRAMING_LENGTH || output->left == 0;
}
