/* What writing and reading volumes share: the manifest, records, mapped files. */
#ifndef ASX_RAPTORQ_VOLUME_INTERNAL_H
#define ASX_RAPTORQ_VOLUME_INTERNAL_H

#include <asx/raptorq/oti.h>
#include <asx/raptorq/volume.h>

#include <limits.h>
#include <stddef.h>

enum { RECORD_TAG = 16, RECORD_HEAD = ASX_RQ_PAYLOAD_ID_SIZE + RECORD_TAG };

typedef struct asxi_manifest {
    uint64_t size;
    uint32_t volumes;
    asx_rq_oti oti; /* meaningless when size is 0 */
    uint8_t digest[ASX_RQ_DIGEST_SIZE];
} asxi_manifest;

/* A file in memory. */
typedef struct asxi_map {
    uint8_t *data; /* NULL when size is 0 */
    size_t size;
} asxi_map;

asx_err asxi_map_open(asxi_map *map, const char *path);
void asxi_map_close(asxi_map *map);

void asxi_volume_path(char path[PATH_MAX], const char *dir, uint32_t volume, const char *suffix);
void asxi_manifest_path(char path[PATH_MAX], const char *dir, const char *suffix);

asx_err asxi_manifest_write(const asxi_manifest *manifest, const char *path);
asx_err asxi_manifest_read(asxi_manifest *manifest, const char *path);

/* The record's tag: digest of object digest, payload id, T and the symbol, which stands at
 * scratch + 64. */
void asxi_record_tag(const asxi_manifest *manifest, const uint8_t id[ASX_RQ_PAYLOAD_ID_SIZE],
                     uint8_t *scratch, asx_rq_digest_fn *digest, uint8_t tag[RECORD_TAG]);

#endif
