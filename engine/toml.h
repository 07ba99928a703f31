/* TOML, the part that settings need: bytes in, one entry at a time out.
 *
 * Model.  Tables, arrays of tables, keys, dotted once at most, and values: strings of one line,
 *         integers, floats, booleans, and arrays of these. What else TOML has (dates, inline
 *         tables, strings of several lines, arrays in arrays) is refused by name. Names are not
 *         looked at: who reads them knows which there are, and which were given before.
 * Owner.  The caller's record; views into it are good until the next call. Nothing is allocated.
 * Source. TOML 1.0.0.
 */
#ifndef ASX_ENGINE_TOML_H
#define ASX_ENGINE_TOML_H

#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_TOML_NAME_BYTES 64u   /* of a table or a key */
#define ASX_TOML_TEXT_BYTES 2048u /* of a value */
#define ASX_TOML_MESSAGE_BYTES 160u

typedef enum asx_toml_event {
    ASX_TOML_END = 0,
    ASX_TOML_ERROR,       /* message, at line and column; so from here on */
    ASX_TOML_TABLE,       /* `table` begins */
    ASX_TOML_ARRAY_TABLE, /* one more of `table` begins */
    ASX_TOML_VALUE,
    ASX_TOML_EMPTY_ARRAY,
} asx_toml_event;

typedef enum asx_toml_kind {
    ASX_TOML_STRING = 0,
    ASX_TOML_INTEGER, /* text: decimal, -2^63 .. 2^64 - 1 */
    ASX_TOML_FLOAT,   /* text: as strtod reads it */
    ASX_TOML_BOOLEAN, /* text: "true" or "false" */
} asx_toml_kind;

typedef struct asx_toml_place {
    uint32_t line, column; /* from 1; columns are characters */
} asx_toml_place;

typedef struct asx_toml {
    /* Of the last event */
    char table[ASX_TOML_NAME_BYTES]; /* "": before the first; of a dotted key, its first part */
    char key[ASX_TOML_NAME_BYTES];
    char text[ASX_TOML_TEXT_BYTES];
    size_t text_len; /* a string may hold 0 bytes */
    asx_toml_kind kind;
    bool in_array;
    uint32_t index; /* there */
    asx_toml_place table_at, key_at, at;
    char message[ASX_TOML_MESSAGE_BYTES];

    const char *_begin, *_next, *_end, *_line_begin;
    uint32_t _line;
    bool _failed, _array_open;
    char _header[ASX_TOML_NAME_BYTES]; /* of the table that the next line belongs to */
    asx_toml_place _header_at;
} asx_toml;

/* bytes  lent until the end */
void asx_toml_init(asx_toml *self, const char *bytes, size_t len);
asx_toml_event asx_toml_next(asx_toml *self);

ASX_END_DECLS

#endif
