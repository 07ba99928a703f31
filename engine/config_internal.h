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

typedef struct asxi_setting {
    const char *name; /* "--name" is the flag, "name = value" the line */
    asxi_setting_kind kind;
    size_t offset;
    uint64_t min, max;
    const char *initial; /* parsed like any other value; "" leaves zero */
    const char *shape;   /* of the value, for people */
    const char *group;
    const char *help;
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

/* The text of a field's value that asxi_config_set would read; of a list its entry `at`. False: it
 * is empty, or has no such entry. */
bool asxi_config_text(const asx_config *config, const asxi_setting *s, uint32_t at, char *buf,
                      size_t cap);

#endif
