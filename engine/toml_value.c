/* Values: strings with their escapes, numbers in all their spellings, true and false. */
#include "toml_internal.h"

#include <stdio.h>
#include <string.h>

typedef struct sink {
    char *text;
    size_t len, cap; /* with the 0 behind */
} sink;

static bool put(sink *s, const char *bytes, size_t len)
{
    if (s->cap - s->len <= len) {
        return false;
    }
    memcpy(s->text + s->len, bytes, len);
    s->len += len;
    return true;
}

static bool put_code(sink *s, uint32_t code)
{
    const char one[] = { (char)code };
    const char two[] = { (char)(0xC0 | code >> 6), (char)(0x80 | (code & 0x3F)) };
    const char three[] = { (char)(0xE0 | code >> 12), (char)(0x80 | (code >> 6 & 0x3F)),
                           (char)(0x80 | (code & 0x3F)) };
    const char four[] = { (char)(0xF0 | code >> 18), (char)(0x80 | (code >> 12 & 0x3F)),
                          (char)(0x80 | (code >> 6 & 0x3F)), (char)(0x80 | (code & 0x3F)) };
    return code < 0x80      ? put(s, one, 1)
           : code < 0x800   ? put(s, two, 2)
           : code < 0x10000 ? put(s, three, 3)
                            : put(s, four, 4);
}

/* 0..35; 99 for what is no digit in any base. */
static unsigned digit_of(char c)
{
    if (c >= '0' && c <= '9') {
        return (unsigned)(c - '0');
    }
    const char lower = (char)(c | 0x20);
    return lower >= 'a' && lower <= 'z' ? (unsigned)(lower - 'a') + 10 : 99;
}

/* Behind \u or \U; false: no such character. */
static bool unicode(asx_toml *self, unsigned digits, uint32_t *code)
{
    *code = 0;
    for (unsigned i = 0; i < digits; i++) {
        const unsigned digit = digit_of(asxi_toml_peek(self, i));
        if (digit > 15) {
            return false;
        }
        *code = *code << 4 | digit;
    }
    self->_next += digits;
    return *code < 0x110000 && (*code < 0xD800 || *code > 0xDFFF);
}

/* The reader stands behind the backslash. */
static bool escape(asx_toml *self, uint32_t *code)
{
    static const char names[] = "btnfr\"\\", codes[] = "\b\t\n\f\r\"\\";
    const char c = asxi_toml_peek(self, 0);
    const char *const at = c ? strchr(names, c) : NULL;
    const char *const begin = self->_next - 1;
    if (at) {
        *code = (uint32_t)codes[at - names];
        self->_next++;
        return true;
    }
    if (c == 'u' || c == 'U') {
        self->_next++;
        return unicode(self, c == 'u' ? 4 : 8, code) ||
               asxi_toml_fail(self, begin, "\\%c wants the %c hexadecimal digits of a character", c,
                              c == 'u' ? '4' : '8');
    }
    return asxi_toml_fail(self, begin,
                          "an escape that is none of \\b \\t \\n \\f \\r \\\" \\\\ \\u "
                          "\\U; in '...' there are none");
}

bool asxi_toml_string(asx_toml *self, char *text, size_t cap, size_t *len)
{
    sink s = { .text = text, .cap = cap };
    const char *const begin = self->_next;
    const char quote = *begin;
    if (asxi_toml_peek(self, 1) == quote && asxi_toml_peek(self, 2) == quote) {
        return asxi_toml_fail(self, begin, "strings of several lines are not read here");
    }
    for (self->_next++; asxi_toml_peek(self, 0) != quote;) {
        const char c = asxi_toml_peek(self, 0);
        uint32_t code = 0;
        bool fits;
        if (self->_next == self->_end || c == '\n' || c == '\r') {
            return asxi_toml_fail(self, begin, "the string has no end on its line");
        }
        self->_next++;
        if (c == '\\' && quote == '"') {
            if (!escape(self, &code)) {
                return false;
            }
            fits = put_code(&s, code);
        } else {
            fits = put(&s, &c, 1);
        }
        if (!fits) {
            return asxi_toml_fail(self, begin, "a string of more than %zu bytes", cap - 1);
        }
    }
    self->_next++;
    text[s.len] = '\0';
    *len = s.len;
    return true;
}

/* Digits of a base with single underscores between them. How many bytes they take; 0: none. */
static size_t digits(const char *token, size_t len, unsigned base)
{
    size_t i = 0;
    while (i < len &&
           (digit_of(token[i]) < base || (token[i] == '_' && i > 0 && token[i - 1] != '_' &&
                                          i + 1 < len && digit_of(token[i + 1]) < base))) {
        i++;
    }
    return i;
}

/* Whole: the token is one integer. False also when it does not fit. */
static bool integer(asx_toml *self, const char *token, size_t len)
{
    const bool negative = token[0] == '-';
    const size_t sign = negative || token[0] == '+';
    unsigned base = 10;
    uint64_t sum = 0;
    size_t i = sign;
    if (sign == 0 && len > 2 && token[0] == '0' && strchr("xob", token[1])) {
        base = token[1] == 'x' ? 16 : token[1] == 'o' ? 8 : 2;
        i = 2;
    }
    if (i == len || digits(token + i, len - i, base) != len - i ||
        (base == 10 && token[i] == '0' && len - i > 1)) {
        return false;
    }
    for (; i < len; i++) {
        if (token[i] != '_' && (__builtin_mul_overflow(sum, base, &sum) ||
                                __builtin_add_overflow(sum, digit_of(token[i]), &sum))) {
            return false;
        }
    }
    if (negative && sum > (uint64_t)INT64_MAX + 1) {
        return false;
    }
    self->kind = ASX_TOML_INTEGER;
    self->text_len = (size_t)snprintf(self->text, sizeof(self->text), "%s%llu",
                                      negative && sum ? "-" : "", (unsigned long long)sum);
    return true;
}

static bool is_float(const char *token, size_t len)
{
    size_t i = token[0] == '-' || token[0] == '+';
    if (len - i == 3 && (memcmp(token + i, "inf", 3) == 0 || memcmp(token + i, "nan", 3) == 0)) {
        return true;
    }
    const size_t whole = digits(token + i, len - i, 10);
    if (whole == 0 || (token[i] == '0' && whole > 1)) {
        return false;
    }
    i += whole;
    const size_t mantissa = i;
    if (i < len && token[i] == '.') {
        const size_t fraction = digits(token + i + 1, len - i - 1, 10);
        if (fraction == 0) {
            return false;
        }
        i += 1 + fraction;
    }
    if (i < len && (token[i] == 'e' || token[i] == 'E')) {
        i++;
        i += i < len && (token[i] == '-' || token[i] == '+');
        const size_t exponent = digits(token + i, len - i, 10);
        return exponent > 0 && i + exponent == len;
    }
    return i == len && i > mantissa;
}

static void take(asx_toml *self, asx_toml_kind kind, const char *token, size_t len)
{
    self->kind = kind;
    self->text_len = 0;
    for (size_t i = 0; i < len; i++) {
        if (token[i] != '_') {
            self->text[self->text_len++] = token[i];
        }
    }
    self->text[self->text_len] = '\0';
}

/* "1979-05-27", "07:32:00" and what is made of them. */
static bool is_date(const char *token, size_t len)
{
    return (len >= 8 && token[2] == ':') ||
           (len >= 10 && digits(token, 4, 10) == 4 && token[4] == '-' && token[7] == '-');
}

static bool bare(asx_toml *self)
{
    const char *const token = self->_next;
    while (asxi_toml_is_bare(asxi_toml_peek(self, 0)) || strchr("+.:/", asxi_toml_peek(self, 0))) {
        if (self->_next == self->_end) {
            break;
        }
        self->_next++;
    }
    const size_t len = (size_t)(self->_next - token);
    if (len == 0) {
        return asxi_toml_fail(self, token, "a value is wanted behind '='");
    }
    if (len >= ASX_TOML_TEXT_BYTES) {
        return asxi_toml_fail(self, token, "a value of more than %u bytes",
                              ASX_TOML_TEXT_BYTES - 1);
    }
    if ((len == 4 && memcmp(token, "true", 4) == 0) ||
        (len == 5 && memcmp(token, "false", 5) == 0)) {
        take(self, ASX_TOML_BOOLEAN, token, len);
        return true;
    }
    if (integer(self, token, len)) {
        return true;
    }
    if (is_float(token, len)) {
        take(self, ASX_TOML_FLOAT, token, len);
        return true;
    }
    if (is_date(token, len)) {
        return asxi_toml_fail(self, token, "dates and times are not read here");
    }
    return asxi_toml_fail(self, token, "'%.*s' is no value; text stands in quotes: \"%.*s\"",
                          len < 32 ? (int)len : 32, token, len < 32 ? (int)len : 32, token);
}

bool asxi_toml_value(asx_toml *self)
{
    const asx_toml_place at = asxi_toml_place_of(self, self->_next);
    const char c = asxi_toml_peek(self, 0);
    if (c == '[') {
        return asxi_toml_fail(self, self->_next, "arrays in arrays are not read here");
    }
    if (c == '{') {
        return asxi_toml_fail(self, self->_next, "tables in braces are not read here");
    }
    self->kind = ASX_TOML_STRING;
    const bool good = c == '"' || c == '\''
                          ? asxi_toml_string(self, self->text, sizeof(self->text), &self->text_len)
                          : bare(self);
    self->at = good ? at : self->at;
    return good;
}
