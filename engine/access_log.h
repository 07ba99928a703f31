/* The access log: one JSON object a line, written by a fiber, never by a request.
 *
 * Model.  Two buffers a shard: requests append to one while the fiber writes the other out. A
 *         buffer without room drops the line and counts it; the next line says how many.
 * Owner.  The shard. Every shard appends to the same file through a descriptor of its own.
 */
#ifndef ASX_ENGINE_ACCESS_LOG_H
#define ASX_ENGINE_ACCESS_LOG_H

#include <asx/proto/http1.h>
#include <asx/shard/region.h>

ASX_BEGIN_DECLS

typedef struct asx_access_log asx_access_log;

#define ASX_ACCESS_LOG_BUFFER (256u * 1024u)
#define ASX_ACCESS_LOG_PERIOD (100 * ASX_NS_PER_MS)

typedef struct asx_access_log_stats {
    uint64_t lines, dropped, write_errors;
} asx_access_log_stats;

/* Memory from `region`, the fiber too: it writes out what is left when the region is cancelled.
 *
 * path           "-": standard output
 * epoch_unix_ns  Unix time at instant 0 of the shard clock
 * errors         those of asx_spawn */
ASX_NODISCARD asx_err asx_access_log_start(asx_cx *cx, asx_region *region, const char *path,
                                           uint64_t epoch_unix_ns, asx_access_log **log);

/* An asx_http_log_fn; arg is the log. */
void asx_access_log_request(void *log, const asx_http_log_record *record);

/* From its next opening on it is this file. */
void asx_access_log_rename(asx_access_log *log, const char *path);
/* The file is opened again, by name, before the next write. */
void asx_access_log_reopen(asx_access_log *log);

asx_access_log_stats asx_access_log_stats_of(const asx_access_log *log);

/* Appends the record as one line to buf; 0 when it does not fit. For the log, and for tests. */
size_t asx_access_log_format(const asx_http_log_record *record, uint64_t epoch_unix_ns, char *buf,
                             size_t cap);

ASX_END_DECLS

#endif
