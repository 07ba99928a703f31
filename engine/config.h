/* Settings: one table of names, defaults, ranges and units; sources that fill it in.
 *
 * Model.  Defaults < file (TOML) < environment (ASX_NAME) < flags. The table is
 *         also the help text, so a setting that exists is documented. Values carry units: "10s",
 *         "250ms", "64k". Each knows where it came from.
 * Owner.  The caller's struct; the engine reads it and never writes it.
 */
#ifndef ASX_ENGINE_CONFIG_H
#define ASX_ENGINE_CONFIG_H

#include <asx/engine/topology.h>
#include <asx/reactor/probe.h>
#include <asx/shard/base/addr.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/time.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

ASX_BEGIN_DECLS

#define ASX_LISTEN_MAX 16u
#define ASX_CONFIG_PATH_MAX 1024u

typedef struct asx_addr_list {
    uint32_t count;
    asx_addr addrs[ASX_LISTEN_MAX];
} asx_addr_list;

typedef enum asx_config_source {
    ASX_CONFIG_DEFAULT = 0,
    ASX_CONFIG_FILE,
    ASX_CONFIG_ENVIRONMENT,
    ASX_CONFIG_FLAG,
} asx_config_source;

typedef struct asx_config_origin {
    uint8_t source;   /* asx_config_source */
    uint32_t line;    /* of the file */
    const char *file; /* as it was named; lent by the arguments or the environment */
} asx_config_origin;

#define ASX_CONFIG_SETTINGS_MAX 32u

typedef struct asx_config {
    asx_addr_list listen;
    asx_addr_list admin; /* none or one */
    uint64_t shards;     /* 0: as many as the cores allow */
    asx_core_list cores; /* empty: chosen by topology */
    asx_driver_choice driver;
    char root[ASX_CONFIG_PATH_MAX];       /* of static files; "": none */
    char access_log[ASX_CONFIG_PATH_MAX]; /* "": none; "-": standard output */
    asx_duration drain_timeout_ns;
    asx_duration drain_delay_ns;
    uint64_t connections_max; /* of a shard */
    uint64_t in_flight_max;   /* of a shard */
    uint64_t per_ip_max;      /* connections, of a listener; 0: no limit */
    uint64_t accept_rate;     /* a second, of a shard and listener; 0: no limit */
    uint64_t accept_burst;    /* 0: a second's worth */
    uint64_t requests_per_connection;
    uint64_t body_bytes_max;
    asx_duration head_timeout_ns, idle_timeout_ns, write_timeout_ns, body_grace_ns;
    asx_duration request_timeout_ns;                    /* 0: none */
    asx_config_origin origins[ASX_CONFIG_SETTINGS_MAX]; /* by row of the table */
    uint64_t seed;                                      /* 0: drawn from the operating system */
    uint32_t file_count;
    int argc; /* what it was parsed from; lent */
    char **argv;
    char *const *env;
} asx_config;

typedef enum asx_config_result {
    ASX_CONFIG_OK,
    ASX_CONFIG_HELP,
    ASX_CONFIG_VERSION,
    ASX_CONFIG_EFFECTIVE, /* parsed, to be shown instead of used */
    ASX_CONFIG_ERROR,     /* message says what and where, in one line */
} asx_config_result;

#define ASX_CONFIG_MESSAGE_MAX 512u

/* argv[0] is not looked at. A variable that is empty counts as none, and one that is nearly a
 * setting's is refused.
 *
 * env  "NAME=value" each, NULL behind the last; NULL: there is none */
ASX_NODISCARD asx_config_result asx_config_parse(asx_config *config, int argc, char **argv,
                                                 char *const *env,
                                                 char message[ASX_CONFIG_MESSAGE_MAX]);

/* The sources of `before` as they are now. */
ASX_NODISCARD asx_config_result asx_config_reparse(const asx_config *before, asx_config *config,
                                                   char message[ASX_CONFIG_MESSAGE_MAX]);

/* Every setting with its value and where that came from, as a file that would be read so. */
void asx_config_show(FILE *out, const asx_config *config);

/* The table as help: settings by group, each with its default and range. */
void asx_config_help(FILE *out, const char *program);

/* "1500ms", "10s", "2m", "1h", "500us", "0". errors  INVALID_ARGUMENT */
ASX_NODISCARD asx_err asx_duration_parse(const char *text, asx_duration *duration);
/* "100/s", "100", a second either way. errors  INVALID_ARGUMENT */
ASX_NODISCARD asx_err asx_rate_parse(const char *text, uint64_t *rate);
/* "512", "64k", "16m", "1g", powers of 1024, an optional "ib" or "b" behind the letter.
 * errors  INVALID_ARGUMENT */
ASX_NODISCARD asx_err asx_size_parse(const char *text, uint64_t *size);

ASX_END_DECLS

#endif
