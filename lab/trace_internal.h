/* The drawers of trace files: their encoding, and the codec. */
#ifndef ASX_LAB_TRACE_INTERNAL_H
#define ASX_LAB_TRACE_INTERNAL_H

#include <asx/lab/trace_file.h>

#include "array_internal.h"

#include <assert.h>

#define ASXI_TRACE_MAGIC "ASLABTRC"
#define ASXI_TRACE_FLAGS_KNOWN                                                       \
    (ASX_LAB_TRACE_COMPRESSED | ASX_LAB_TRACE_DIGESTED | ASX_LAB_TRACE_OVERWRITTEN | \
     ASX_LAB_TRACE_PRODUCTION)

typedef struct asxi_trace_header {
    char magic[8];
    uint16_t version, flags, schema, codec;
    uint64_t seed, config_hash, build_id, kept, total, trace_hash;
    unsigned char digest[32];
    uint32_t meta_len, crc; /* of the tags, without their own checksum; of all before it */
} asxi_trace_header;

typedef struct asxi_trace_chunk {
    uint32_t raw_len, stored_len, crc;
} asxi_trace_chunk;

static_assert(sizeof(asxi_trace_header) == ASX_LAB_TRACE_HEADER_LEN &&
                  sizeof(asxi_trace_chunk) == ASX_LAB_TRACE_CHUNK_HEADER_LEN,
              "no padding in files");

void asxi_trace_header_of(const asx_lab_trace_info *info, uint32_t meta_len,
                          asxi_trace_header *header);
/* Why it is refused, or NULL: then it is taken over into `info`. */
const char *asxi_trace_header_take(const asxi_trace_header *header, asx_lab_trace_info *info);

/* The metadata and its checksum, as long as every other of the same configuration.
 *
 * owns  the caller, with asxi_array_deinit */
void asxi_trace_meta_of(const asx_lab_trace_info *info, asxi_array *meta);
/* Why `len` bytes are none, or NULL. */
const char *asxi_trace_meta_take(const char *meta, size_t len, asx_lab_trace_info *info);

uint32_t asxi_trace_chunk_crc(const asxi_trace_chunk *chunk, const void *stored);

/* Compresses `len` bytes to fewer than `cap`; 0: they do not become that short. */
size_t asxi_trace_pack(const void *raw, size_t len, void *stored, size_t cap);
/* False: the bytes are not the compressed form of `raw_len` others. */
bool asxi_trace_unpack(const void *stored, size_t stored_len, void *raw, size_t raw_len);
/* More than this, no byte of the compressed form becomes. */
#define ASXI_TRACE_UNPACK_RATIO 255u

#endif
