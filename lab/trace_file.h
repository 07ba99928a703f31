/* Trace files: the records of a run on disk, as their writer and their reader agree on them.
 *
 *   header    104 bytes, patched when the run is over; until then `total` is all ones
 *   metadata  tag u16, zero u16, length u32 and its bytes, each; then its own CRC-32C
 *   chunks    raw length u32, stored length u32, CRC-32C of both and of the stored bytes u32, and
 *             these; equal lengths mean that they are stored as they are
 *
 * Model.   Records are those of event.h, and never straddle chunks. The checksum is of what lies on
 *          disk: two compressed forms may decode alike, and a damaged one is not to be decoded.
 *          That the decoded records are those written, hash and digest say at the end.
 * Limits.  Named below; a reader checks every length before it makes room for it.
 * Owner.   Everything here is a value. Little-endian. */
#ifndef ASX_LAB_TRACE_FILE_H
#define ASX_LAB_TRACE_FILE_H

#include <asx/lab/lab.h>
#include <asx/lab/schedule.h>

#include <stdio.h>

ASX_BEGIN_DECLS

#define ASX_LAB_TRACE_VERSION 1u
#define ASX_LAB_TRACE_SCHEMA 3u /* of the kinds: another number when one is added */
#define ASX_LAB_TRACE_HEADER_LEN 104u
#define ASX_LAB_TRACE_CHUNK_HEADER_LEN 12u
#define ASX_LAB_TRACE_CHUNK_LEN (64u << 10) /* raw, unless the writer is told otherwise */

#define ASX_LAB_TRACE_META_MAX (1u << 20)
#define ASX_LAB_TRACE_RECORD_MAX ((64u << 10) + ASX_LAB_EVENT_HEADER_LEN)
#define ASX_LAB_TRACE_CHUNK_MAX (64u << 20)
#define ASX_LAB_TRACE_RECORDS_MAX 10000000u /* held at once; nobody counts those that stream by */
#define ASX_LAB_TRACE_AUTO_BYTES (1u << 20) /* from here on, AUTO compresses */
#define ASX_LAB_TRACE_UNFINISHED UINT64_MAX
#define ASX_LAB_TRACE_WRONG_MAX 240u /* text of what is wrong with a file */

enum {
    ASX_LAB_TRACE_COMPRESSED = 1u << 0, /* chunks may be; then the codec is not NONE */
    ASX_LAB_TRACE_DIGESTED = 1u << 1,
    ASX_LAB_TRACE_OVERWRITTEN = 1u << 2, /* the oldest records of the run are not there */
    ASX_LAB_TRACE_PRODUCTION = 1u << 3,  /* sequence numbers are each shard's own */
};

typedef enum asx_lab_trace_codec {
    ASX_LAB_TRACE_NONE = 0,
    ASX_LAB_TRACE_LZ4 = 1,
    ASX_LAB_TRACE_AUTO = 2, /* of a writer only: LZ4 for what is long */
} asx_lab_trace_codec;

/* How much of a run is kept. */
typedef enum asx_lab_trace_level {
    ASX_LAB_TRACE_LOSSLESS = 0,
    ASX_LAB_TRACE_STRUCTURAL, /* without marks, wake-ups, timers armed and fired */
    ASX_LAB_TRACE_SKELETON,   /* lives, cancels, regions, permits, races, finalizers, links */
} asx_lab_trace_level;

/* What must be found again in the records: they are hashed and counted as they are kept. */
typedef struct asx_lab_trace_certificate {
    uint64_t events, trace_hash;
    asx_lab_counts counts;
} asx_lab_trace_certificate;

/* How the run ended, for whoever repeats it; zero in a file that was never finished. */
typedef struct asx_lab_trace_receipt {
    uint64_t steps, now_ns, choices;
    uint64_t run_total, run_hash, schedule_hash, fingerprint; /* of all its records, kept or not */
    uint32_t termination;                                     /* asx_lab_termination */
    uint32_t ended;                                           /* 0: the rest is not filled in */
    char violation[ASX_LAB_TEXT_MAX];                         /* the first, or empty */
} asx_lab_trace_receipt;

/* Header and metadata. */
typedef struct asx_lab_trace_info {
    uint16_t flags, schema, codec; /* ASX_LAB_TRACE_*, asx_lab_trace_codec */
    uint64_t seed, config_hash, build_id;
    uint64_t kept, total; /* records in the file, and of the run */
    uint64_t trace_hash;  /* of those kept */
    unsigned char digest[32];

    char scenario[ASX_LAB_SCENARIO_NAME_MAX];
    asx_lab_config config; /* its numbers and mode; no pointer */
    uint32_t level;        /* asx_lab_trace_level */
    uint32_t cut;          /* the last records are missing: a prefix was recovered */
    asx_lab_trace_certificate certificate;
    asx_lab_trace_receipt receipt;
} asx_lab_trace_info;

/* Whether records of this kind are kept at the level. */
bool asx_lab_trace_keeps(asx_lab_trace_level level, uint32_t kind);
/* The highest kind that a schema knows; 0: there is no such schema. */
uint32_t asx_lab_trace_kind_max(uint32_t schema);

/* The next record, which may be any of a run. */
void asx_lab_trace_certify(asx_lab_trace_certificate *certificate, const asx_lab_event *event);
/* The name of the first check in which two certificates differ, or NULL. */
const char *asx_lab_trace_certificate_differs(const asx_lab_trace_certificate *a,
                                              const asx_lab_trace_certificate *b);

/* The configuration of the run: the numbers of the file over what `base` alone knows. */
asx_lab_config asx_lab_trace_config(const asx_lab_trace_info *info, const asx_lab_config *base);

/* "trace of limbs, seed 42: ..."; a few lines for people. */
void asx_lab_trace_info_print(const asx_lab_trace_info *info, FILE *out);

/* "lossless"; the names may be parsed. */
const char *asx_lab_trace_level_name(uint32_t level);
bool asx_lab_trace_level_parse(const char *name, asx_lab_trace_level *level);
const char *asx_lab_trace_codec_name(uint32_t codec);

ASX_END_DECLS

#endif
