/* The reader of trace files: record after record, in the memory of one chunk.
 *
 * Model.   Strict by default: what is unknown, contradictory, unfinished or changed is refused, in
 *          words that say what and at which byte. A chunk is believed when its checksum is right,
 *          the whole when hash, digest and certificate of the header are those of the records. A
 *          file of an older schema reads as it stands, for kinds are only ever appended.
 * Memory.  One chunk and its stored form, whatever the file is long.
 * Owner.   Whoever created it; the file is lent until destroy. */
#ifndef ASX_LAB_TRACE_READER_H
#define ASX_LAB_TRACE_READER_H

#include <asx/lab/trace_writer.h>

ASX_BEGIN_DECLS

typedef struct asx_lab_trace_reader asx_lab_trace_reader;

typedef enum asx_lab_trace_manner {
    ASX_LAB_TRACE_STRICT = 0,
    ASX_LAB_TRACE_PREFIX, /* what was never finished or is cut short is read as far as it is good */
} asx_lab_trace_manner;

/* Reads header and metadata; wrong() says whether they are. Never NULL.
 *
 * in  at its beginning */
asx_lab_trace_reader *asx_lab_trace_reader_create(FILE *in, asx_lab_trace_manner manner);

/* What the file says of itself; zeroed as far as it could not be read. */
const asx_lab_trace_info *asx_lab_trace_reader_info(const asx_lab_trace_reader *reader);

/* The next record. False: there is none, because the file ends or is wrong. */
bool asx_lab_trace_reader_next(asx_lab_trace_reader *reader, asx_lab_event *event);

/* The bytes of the next record, of whatever kind it says it is: for looking at what next() refuses.
 * Lent until the next call. */
bool asx_lab_trace_reader_next_raw(asx_lab_trace_reader *reader, const void **bytes, size_t *len);

/* What is wrong, and where, or NULL. */
const char *asx_lab_trace_reader_wrong(const asx_lab_trace_reader *reader);
/* Records returned. */
uint64_t asx_lab_trace_reader_records(const asx_lab_trace_reader *reader);
/* Bytes of the file that are good: header, metadata, whole chunks. */
uint64_t asx_lab_trace_reader_bytes(const asx_lab_trace_reader *reader);
/* Bytes that the reader holds for records. */
size_t asx_lab_trace_reader_memory(const asx_lab_trace_reader *reader);

void asx_lab_trace_reader_destroy(asx_lab_trace_reader *reader);

/* Whether these bytes begin as a trace file does. */
bool asx_lab_trace_is(const char *bytes, size_t len);

/* What recovery found. */
typedef struct asx_lab_trace_recovery {
    uint64_t records, bytes;              /* of the longest prefix that is good */
    char reason[ASX_LAB_TRACE_WRONG_MAX]; /* why it ends there; empty: the whole file is good */
} asx_lab_trace_recovery;

/* Copies the longest valid prefix of `in` to a file of its own, at a level that is not lower than
 * the original's; a chunk that is bad ends it, and nothing behind it is looked at. With a whole
 * file of an older schema, this is its migration. False: nothing is to be had from it, or `out`
 * could not be written: then *err is set, and the receipt says what was read.
 *
 * out  NULL: only the receipt is wanted */
bool asx_lab_trace_recover(FILE *in, FILE *out, asx_lab_trace_level level,
                           asx_lab_trace_recovery *recovery, asx_err *err);

/* Reads what is left into a report: events (the last `events_max` of them), totals, seed and
 * hashes; for whoever tells the story of a run. False: the file is wrong.
 *
 * owns  the caller, with asx_lab_report_deinit in either case */
bool asx_lab_trace_load(asx_lab_trace_reader *reader, uint32_t events_max, asx_lab_report *report);

ASX_END_DECLS

#endif
