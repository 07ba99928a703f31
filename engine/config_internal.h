/* Settings from the inside: the table's rows, and how a text becomes a value of the struct. */
#ifndef ASX_ENGINE_CONFIG_INTERNAL_H
#define ASX_ENGINE_CONFIG_INTERNAL_H

#include <asx/engine/config.h>

typedef enum asxi_setting_kind {
    ASXI_SETTING_ADDRS, /* repeatable */
    ASXI_SETTING_ADDR,
    ASXI_SETTING_COUNT,
    ASXI_SETTING_SIZE,
    ASXI_SETTING_DURATION,
    ASXI_SETTING_RATE, /* a second */
    ASXI_SETTING_CORES,
    ASXI_SETTING_DRIVER,
    ASXI_SETTING_PATH,
} asxi_setting_kind;

typedef struct asxi_setting_group {
    const char *table; /* in a file, where no name needs one */
    const char *title;
} asxi_setting_group;

typedef struct asxi_setting {
    const char *name; /* "--name" is the flag, "name = value" the line */
    asxi_setting_kind kind;
    size_t offset;
    uint64_t min, max;
    const char *initial; /* parsed like any other value; "" leaves zero */
    const char *shape;   /* of the value, for people */
    const asxi_setting_group *group;
    const char *help;
    bool hot; /* a reload changes it; others need a restart */
} asxi_setting;

extern const asxi_setting asxi_settings[];
extern const size_t asxi_setting_count;

/* One source of values, while it is read. */
typedef struct asxi_config_reader {
    asx_config *config;
    char *message; /* ASX_CONFIG_MESSAGE_MAX bytes */
    asx_config_origin origin;
    uint32_t seen; /* bit a setting: given by this source already */
} asxi_config_reader;
_Static_assert(ASX_CONFIG_SETTINGS_MAX <= 32, "seen has a bit for each");

/* Writes the message and returns false. */
ASX_PRINTF(2, 3) bool asxi_config_refuse(const asxi_config_reader *r, const char *fmt, ...);

/* where   "--listen", "ASX_LISTEN" or "FILE:LINE: listen" */
bool asxi_config_set(asxi_config_reader *r, const asxi_setting *s, const char *where,
                     const char *value);

/* The setting of that name, or NULL. */
const asxi_setting *asxi_setting_find(const char *name, size_t len);
/* The name of one that is not further than `most` edits away, or NULL. */
const char *asxi_setting_nearest(const char *name, size_t len, unsigned most);
#define ASXI_SETTING_NEAR 3u /* edits, to be suggested */

/* config_file.c: a file's settings. where  "--config" or "ASX_CONFIG" */
bool asxi_config_read_file(asx_config *config, const char *where, const char *path, char *message);

/* Whether a setting's value is the same in both. */
bool asxi_setting_same(const asxi_setting *s, const asx_config *a, const asx_config *b);
/* Takes over the value, and where it came from. */
void asxi_setting_copy(const asxi_setting *s, asx_config *to, const asx_config *from);

/* The text of a field's value that asxi_config_set would read; of a list its entry `at`. False: it
 * is empty, or has no such entry. */
bool asxi_config_text(const asx_config *config, const asxi_setting *s, uint32_t at, char *buf,
                      size_t cap);

#endif
