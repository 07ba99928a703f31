/* Chunks: where a shard's memory comes from.
 *
 * Model.   Two pooled sizes, 4 KiB and 64 KiB, each with a LIFO cache, so that a steady state never
 *          asks the global allocator; anything larger is exact (whole pages) and not cached.
 * Owner.   The shard; embedded in it. One jemalloc arena a source; first touch by the pinned
 *          thread puts the pages on its node.
 * Bounds.  acquire and release O(1). bytes_held (live and cached) never exceeds bytes_max.
 * Poison.  Under ASan a cached chunk is poisoned; in debug builds it is also overwritten. In both,
 *          reuse is FIFO instead of LIFO, so that a stale pointer has time to be noticed. */
#ifndef ASX_SHARD_CHUNK_H
#define ASX_SHARD_CHUNK_H

#include <asx/shard/base/decls.h>

#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

enum {
    ASX_CHUNK_SMALL = 4096,
    ASX_CHUNK_BIG = 65536,
    ASX_CHUNK_PAGE = 4096, /* every chunk is aligned to this, and larger ones are multiples of it */
};

typedef struct asx_chunk_config {
    size_t bytes_max; /* 0: no limit */
    int numa_node;    /* -1: wherever the thread first touches; kept for reports */
} asx_chunk_config;

typedef struct asx_chunk_cache {
    void *_first, *_last; /* linked through the first word of each chunk */
    size_t count;
} asx_chunk_cache;

/* Fields without an underscore may be read, by anyone on the shard. */
typedef struct asx_chunk_source {
    asx_chunk_cache _cache[2];   /* small, big */
    size_t bytes_max;            /* SIZE_MAX: no limit */
    size_t bytes_held;           /* from the global allocator: live and cached */
    size_t bytes_live;           /* lent out */
    size_t bytes_live_peak;      /* highest bytes_live so far */
    uint64_t global_alloc_count; /* calls into the global allocator, either way */
    uint64_t refused;            /* acquires that returned NULL */
    uint64_t _fail_in;           /* 0: off; n: the nth acquire from now fails */
    unsigned _arena_flags;       /* mallocx flags naming the arena, 0: the automatic one */
    unsigned _arena;
    int numa_node;
} asx_chunk_source;

void asx_chunk_source_init(asx_chunk_source *source, const asx_chunk_config *config);

/* A chunk of at least `bytes` bytes, page-aligned, uninitialised; NULL at the limit or when memory
 * is exhausted. `*got` is its real size.
 *
 * lends    until asx_chunk_release with the size that was asked for or the one that was got */
ASX_NODISCARD void *asx_chunk_acquire(asx_chunk_source *source, size_t bytes, size_t *got);
void asx_chunk_release(asx_chunk_source *source, void *chunk, size_t bytes);

/* Gives every cached chunk back to the global allocator. */
void asx_chunk_trim(asx_chunk_source *source);

/* Gives cached chunks back, of the big ones first, until at most `bytes_kept` of either size are
 * cached, or `count_max` have gone; and then to the system what the global allocator keeps. For
 * idle time. Returns how many: less than count_max, and there are no more. */
size_t asx_chunk_trim_some(asx_chunk_source *source, size_t bytes_kept, size_t count_max);

/* The nth acquire from now (1: the next one) fails, once; 0 disarms. */
void asx_chunk_fail_nth(asx_chunk_source *source, uint64_t n);

/* asserts  nothing is live */
void asx_chunk_source_deinit(asx_chunk_source *source);

ASX_END_DECLS

#endif
