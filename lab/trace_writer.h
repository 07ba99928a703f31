/* The writer of trace files: hears a run, and streams its records to disk.
 *
 * Model.   Records are gathered into chunks, and a chunk is written when the next record does not
 *          fit. A write that fails halts the writer: what was written stays a valid prefix, nothing
 *          more is written, and the run goes on unheard; halted() says why, and so does finish(),
 *          once.
 * Memory.  A chunk and its compressed form.
 * Owner.   Whoever created it; the file is lent until finish. */
#ifndef ASX_LAB_TRACE_WRITER_H
#define ASX_LAB_TRACE_WRITER_H

#include <asx/lab/trace_file.h>

ASX_BEGIN_DECLS

typedef struct asx_lab_trace_writer asx_lab_trace_writer;

typedef struct asx_lab_trace_options { /* zero-filled fields are the defaults */
    const char *scenario;              /* NULL: nobody says */
    const asx_lab_config *config;      /* of the run */
    asx_lab_trace_codec codec;
    asx_lab_trace_level level;
    uint32_t chunk_len; /* raw bytes, up to ASX_LAB_TRACE_CHUNK_MAX; 0: ASX_LAB_TRACE_CHUNK_LEN */
    bool undigested;    /* without SHA-256, which is most of the time a record takes */
    bool production;    /* sequence numbers are each shard's own */
} asx_lab_trace_options;

/* Writes the header of a file that is not finished.
 *
 * out     seekable, at its beginning
 * errors  the errno; *writer is NULL */
ASX_NODISCARD asx_err asx_lab_trace_writer_create(FILE *out, const asx_lab_trace_options *options,
                                                  asx_lab_trace_writer **writer);

/* The next record of the run; one that the level leaves out is counted. */
void asx_lab_trace_writer_add(asx_lab_trace_writer *writer, const asx_lab_event *event);

/* The same as a listener, for asx_lab_config.listeners. */
asx_lab_listener *asx_lab_trace_writer_listener(asx_lab_trace_writer *writer);

/* Why nothing is written any more; ASX_OK: it is. */
asx_err asx_lab_trace_writer_halted(const asx_lab_trace_writer *writer);
/* Records that are on disk. */
uint64_t asx_lab_trace_writer_kept(const asx_lab_trace_writer *writer);

/* Writes the last chunk, and what is only known at the end into the header.
 *
 * report  of the run; NULL: it says nothing about the end
 * errors  the errno that halted it: the file stays one that was never finished */
ASX_NODISCARD asx_err asx_lab_trace_writer_finish(asx_lab_trace_writer *writer,
                                                  const asx_lab_report *report);
/* The same for a copy of another file, whose receipt is kept.
 *
 * cut  whether this is only its beginning */
ASX_NODISCARD asx_err asx_lab_trace_writer_finish_copy(asx_lab_trace_writer *writer,
                                                       const asx_lab_trace_info *original,
                                                       bool cut);

void asx_lab_trace_writer_destroy(asx_lab_trace_writer *writer);

/* The events that a report kept, as a file: the last ones of the run, if there were more.
 *
 * errors  the errno */
ASX_NODISCARD asx_err asx_lab_trace_write(const asx_lab_report *report,
                                          const asx_lab_trace_options *options, FILE *out);

ASX_END_DECLS

#endif
