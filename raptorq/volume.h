/* A file as a directory of volumes: symbols spread over some files, so that losing or damaging a
 * part
 * of them loses nothing.
 *
 * Model.   Symbol e of each block is in volume e modulo the number of volumes, as a record of
 *          payload id, 16 bytes of a digest over object and symbol, and the T bytes. A record that
 *          is damaged, cut off or of another object is skipped and counted. `manifest` holds size,
 *          digest and transfer information. Blocks are decoded one after the other into a mapping
 *          of the output, which takes its name only when the whole object's digest is right.
 * Bounds.  Memory: one block's repair symbols and slab; the files are mapped.
 */
#ifndef ASX_RAPTORQ_VOLUME_H
#define ASX_RAPTORQ_VOLUME_H

#include <asx/raptorq/error.h>
#include <asx/raptorq/proof.h>
#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_RQ_VOLUMES_MAX 99

typedef struct asx_rq_volume_config {
    uint32_t symbol_size;       /* T */
    uint64_t block_size;        /* bytes of source in a block, at most; raised for large files */
    uint32_t overhead_permille; /* repair symbols for each thousand source symbols */
    uint32_t volumes;           /* 1..99 */
    asx_rq_digest_fn *digest;   /* SHA-256 */
    /* Called after each block; may be NULL. */
    void (*progress)(void *arg, uint64_t done, uint64_t total);
    void *progress_arg;
} asx_rq_volume_config;

/* What was found, filled in also when the outcome is an error. */
typedef struct asx_rq_volume_report {
    uint64_t size; /* of the object */
    uint32_t blocks;
    uint64_t symbols; /* records written or read and found good */
    uint64_t damaged; /* records that are no symbol of this object, and cut-off ends */
    uint32_t volumes, volumes_missing;
    uint32_t blocks_bad; /* blocks that cannot be decoded */
    char text[256];      /* one line on what went wrong; empty when nothing did */
} asx_rq_volume_report;

/* Writes manifest and volumes of the file into `dir`, which is made if it is not there.
 *
 * errors  an errno; SYMBOL_SIZE, TOO_LARGE, NO_MEMORY
 */
ASX_NODISCARD asx_err asx_rq_volume_encode(const char *file, const char *dir,
                                           const asx_rq_volume_config *config,
                                           asx_rq_volume_report *report);

/* Decodes `dir` into `file`; with `file` NULL only checks that it could, every record included.
 * config's shape fields are not used.
 *
 * errors  an errno; BAD_OTI (manifest); TOO_FEW or RANK, the text naming block and number; CORRUPT
 *         when the whole object's digest is wrong. No output is left behind on any
 */
ASX_NODISCARD asx_err asx_rq_volume_decode(const char *dir, const char *file,
                                           const asx_rq_volume_config *config,
                                           asx_rq_volume_report *report);

ASX_END_DECLS

#endif
