/* A document from the inside: where the reader stands, and how it fails. */
#ifndef ASX_ENGINE_TOML_INTERNAL_H
#define ASX_ENGINE_TOML_INTERNAL_H

#include <asx/engine/toml.h>

/* Past the end: 0, which no document holds outside of its end. */
ASX_INLINE char asxi_toml_peek(const asx_toml *self, size_t ahead)
{
    return (size_t)(self->_end - self->_next) > ahead ? self->_next[ahead] : '\0';
}

/* Of a byte of this line. */
asx_toml_place asxi_toml_place_of(const asx_toml *self, const char *byte);

/* Writes the message for that byte of this line and returns false. */
ASX_PRINTF(3, 4) bool asxi_toml_fail(asx_toml *self, const char *byte, const char *fmt, ...);

/* The name's characters that need no quotes. */
ASX_INLINE bool asxi_toml_is_bare(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

/* toml_value.c: reads one value into kind and text; `at` is set. */
bool asxi_toml_value(asx_toml *self);
/* A string in either kind of quotes, of this line. */
bool asxi_toml_string(asx_toml *self, char *text, size_t cap, size_t *len);

#endif
