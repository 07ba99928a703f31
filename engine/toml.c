/* Lines: blanks, comments, tables, keys and arrays. What stands in a value is toml_value.c's. */
#include "toml_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

asx_toml_place asxi_toml_place_of(const asx_toml *self, const char *byte)
{
    asx_toml_place place = { .line = self->_line, .column = 1 };
    for (const char *c = self->_line_begin; c < byte; c++) {
        place.column += ((unsigned char)*c & 0xC0) != 0x80;
    }
    return place;
}

bool asxi_toml_fail(asx_toml *self, const char *byte, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(self->message, sizeof(self->message), fmt, args);
    va_end(args);
    self->at = asxi_toml_place_of(self, byte);
    self->_failed = true;
    return false;
}

/* How many bytes the character at `c` takes; 0: it is no UTF-8 (RFC 3629). */
static size_t character(const unsigned char *c, size_t left)
{
    const unsigned lead = c[0];
    const size_t len = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    if (len == 0 || len > left || lead > 0xF4) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((c[i] & 0xC0) != 0x80) {
            return 0;
        }
    }
    const bool wrong = (lead == 0xE0 && c[1] < 0xA0) || (lead == 0xED && c[1] > 0x9F) ||
                       (lead == 0xF0 && c[1] < 0x90) || (lead == 0xF4 && c[1] > 0x8F);
    return wrong ? 0 : len;
}

/* The line up to its end holds characters, and no control character but the tab. */
static bool line_check(asx_toml *self)
{
    for (const char *c = self->_line_begin; c < self->_end && *c != '\n';) {
        const size_t len = character((const unsigned char *)c, (size_t)(self->_end - c));
        const bool is_newline = *c == '\r' && c + 1 < self->_end && c[1] == '\n';
        if (len == 0) {
            return asxi_toml_fail(self, c, "this is not UTF-8");
        }
        if (((unsigned char)*c < 0x20 && *c != '\t' && !is_newline) || *c == 0x7F) {
            return asxi_toml_fail(self, c, "a control character (0x%02x)", (unsigned char)*c);
        }
        c += len;
    }
    return true;
}

void asx_toml_init(asx_toml *self, const char *bytes, size_t len)
{
    memset(self, 0, offsetof(asx_toml, text));
    memset(&self->text_len, 0, sizeof(*self) - offsetof(asx_toml, text_len));
    self->text[0] = '\0';
    self->_begin = self->_next = self->_line_begin = bytes;
    self->_end = bytes + len;
    self->_line = 1;
    (void)line_check(self);
}

static void blanks(asx_toml *self)
{
    while (asxi_toml_peek(self, 0) == ' ' || asxi_toml_peek(self, 0) == '\t') {
        self->_next++;
    }
}

static void comment(asx_toml *self)
{
    if (asxi_toml_peek(self, 0) == '#') {
        while (self->_next < self->_end && *self->_next != '\n') {
            self->_next++;
        }
    }
}

/* Past a line's end; false: this is none. */
static bool newline(asx_toml *self)
{
    const bool with_return = asxi_toml_peek(self, 0) == '\r' && asxi_toml_peek(self, 1) == '\n';
    if (!with_return && asxi_toml_peek(self, 0) != '\n') {
        return false;
    }
    self->_next += with_return ? 2 : 1;
    self->_line_begin = self->_next;
    self->_line++;
    return true;
}

/* Blanks, comments and empty lines. */
static bool skip(asx_toml *self)
{
    do {
        blanks(self);
        comment(self);
        if (!newline(self)) {
            return true;
        }
    } while (line_check(self));
    return false;
}

/* Nothing but a comment may follow on the line. */
static bool line_over(asx_toml *self, const char *what)
{
    blanks(self);
    comment(self);
    const char c = asxi_toml_peek(self, 0);
    return self->_next == self->_end || c == '\n' || c == '\r' ||
           asxi_toml_fail(self, self->_next, "nothing but a comment may stand behind %s", what);
}

/* A name, bare or in quotes. */
static bool name(asx_toml *self, char *to, asx_toml_place *at)
{
    const char *const begin = self->_next;
    const char first = asxi_toml_peek(self, 0);
    size_t len = 0;
    *at = asxi_toml_place_of(self, begin);
    if (first == '"' || first == '\'') {
        if (!asxi_toml_string(self, to, ASX_TOML_NAME_BYTES, &len)) {
            return false;
        }
        return strlen(to) == len || asxi_toml_fail(self, begin, "a name with a 0 in it");
    }
    while (asxi_toml_is_bare(asxi_toml_peek(self, 0))) {
        self->_next++;
    }
    len = (size_t)(self->_next - begin);
    if (len == 0) {
        return asxi_toml_fail(self, begin, "'name = value' or '[table]' is wanted");
    }
    if (len >= ASX_TOML_NAME_BYTES) {
        return asxi_toml_fail(self, begin, "a name of more than %u bytes", ASX_TOML_NAME_BYTES - 1);
    }
    memcpy(to, begin, len);
    to[len] = '\0';
    return true;
}

static bool expect(asx_toml *self, const char *mark, const char *behind)
{
    for (size_t i = 0; mark[i]; i++) {
        if (asxi_toml_peek(self, i) != mark[i]) {
            return asxi_toml_fail(self, self->_next, "'%s' is wanted behind %s", mark, behind);
        }
    }
    self->_next += strlen(mark);
    return true;
}

static asx_toml_event table(asx_toml *self)
{
    const bool array = asxi_toml_peek(self, 1) == '[';
    self->_next += array ? 2 : 1;
    blanks(self);
    if (!name(self, self->_header, &self->_header_at)) {
        return ASX_TOML_ERROR;
    }
    blanks(self);
    if (asxi_toml_peek(self, 0) == '.') {
        asxi_toml_fail(self, self->_next, "there are no tables in tables here");
        return ASX_TOML_ERROR;
    }
    if (!expect(self, array ? "]]" : "]", "a table's name") || !line_over(self, "a table's name")) {
        return ASX_TOML_ERROR;
    }
    memcpy(self->table, self->_header, sizeof(self->table));
    self->table_at = self->at = self->_header_at;
    return array ? ASX_TOML_ARRAY_TABLE : ASX_TOML_TABLE;
}

/* Up to the value: "key =", or "table.key =" before the first table. */
static bool key(asx_toml *self)
{
    memcpy(self->table, self->_header, sizeof(self->table));
    self->table_at = self->_header_at;
    if (!name(self, self->key, &self->key_at)) {
        return false;
    }
    blanks(self);
    if (asxi_toml_peek(self, 0) == '.') {
        if (self->table[0]) {
            return asxi_toml_fail(self, self->_next, "there are no tables in tables here");
        }
        memcpy(self->table, self->key, sizeof(self->table));
        self->table_at = self->key_at;
        self->_next++;
        blanks(self);
        if (!name(self, self->key, &self->key_at)) {
            return false;
        }
        blanks(self);
    }
    if (!expect(self, "=", "a name")) {
        return false;
    }
    blanks(self);
    return true;
}

/* The next of an array's values, or its end. */
static asx_toml_event array_next(asx_toml *self)
{
    const bool first = self->index == UINT32_MAX;
    if (!skip(self)) {
        return ASX_TOML_ERROR;
    }
    if (!first && asxi_toml_peek(self, 0) == ',') {
        self->_next++;
        if (!skip(self)) {
            return ASX_TOML_ERROR;
        }
    } else if (!first && asxi_toml_peek(self, 0) != ']') {
        asxi_toml_fail(self, self->_next, "',' or ']' is wanted behind a value of an array");
        return ASX_TOML_ERROR;
    }
    if (asxi_toml_peek(self, 0) == ']') {
        self->_next++;
        self->_array_open = false;
        self->at = self->key_at;
        return !line_over(self, "an array") ? ASX_TOML_ERROR
               : first                      ? ASX_TOML_EMPTY_ARRAY
                                            : ASX_TOML_END; /* of the array: the reader goes on */
    }
    self->in_array = true;
    self->index++;
    return asxi_toml_value(self) ? ASX_TOML_VALUE : ASX_TOML_ERROR;
}

static asx_toml_event entry(asx_toml *self)
{
    self->in_array = false;
    self->index = 0;
    if (!key(self)) {
        return ASX_TOML_ERROR;
    }
    if (asxi_toml_peek(self, 0) == '[') {
        self->_next++;
        self->_array_open = true;
        self->index = UINT32_MAX;
        return array_next(self);
    }
    return asxi_toml_value(self) && line_over(self, "a value") ? ASX_TOML_VALUE : ASX_TOML_ERROR;
}

asx_toml_event asx_toml_next(asx_toml *self)
{
    if (!self->_failed && self->_array_open) {
        const asx_toml_event event = array_next(self);
        if (event != ASX_TOML_END) {
            return event;
        }
    }
    if (self->_failed || !skip(self)) {
        return ASX_TOML_ERROR;
    }
    if (self->_next == self->_end) {
        return ASX_TOML_END;
    }
    return asxi_toml_peek(self, 0) == '[' ? table(self) : entry(self);
}
