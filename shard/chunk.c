#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>
#include <asx/shard/chunk.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if ASX_ASAN
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(addr, size) ((void)(addr), (void)(size))
#endif

#if defined(ASX_DEBUG) || ASX_ASAN
#define CHUNK_REUSE_LATE 1
#else
#define CHUNK_REUSE_LATE 0
#endif

/* The sanitizers' own allocator keeps leak roots and shadow memory right: it serves their builds.
 */
#if ASX_ASAN || ASX_TSAN || defined(ASX_NO_JEMALLOC)
#define CHUNK_JEMALLOC 0
#else
#define CHUNK_JEMALLOC 1
#include <jemalloc/jemalloc.h>
#endif

void asx_chunk_source_init(asx_chunk_source *source, const asx_chunk_config *config)
{
    *source = (asx_chunk_source){
        .bytes_max = config->bytes_max == 0 ? SIZE_MAX : config->bytes_max,
        .numa_node = config->numa_node,
    };
#if CHUNK_JEMALLOC
    size_t len = sizeof(source->_arena);
    if (mallctl("arenas.create", &source->_arena, &len, NULL, 0) == 0) {
        source->_arena_flags = (unsigned)MALLOCX_ARENA(source->_arena);
    }
#endif
}

/* The pooled size that serves `bytes`, or whole pages. */
static size_t chunk_round(size_t bytes)
{
    if (bytes <= ASX_CHUNK_SMALL) {
        return ASX_CHUNK_SMALL;
    }
    return bytes <= ASX_CHUNK_BIG ? ASX_CHUNK_BIG : asx_align_up(bytes, ASX_CHUNK_PAGE);
}

static asx_chunk_cache *chunk_cache(asx_chunk_source *source, size_t rounded)
{
    return rounded == ASX_CHUNK_SMALL ? &source->_cache[0]
           : rounded == ASX_CHUNK_BIG ? &source->_cache[1]
                                      : NULL;
}

static void cache_push(asx_chunk_cache *cache, void *chunk, size_t bytes)
{
#ifdef ASX_DEBUG
    memset(chunk, 0xdd, bytes);
#endif
    void **const link = chunk;
    if (CHUNK_REUSE_LATE && cache->_last != NULL) {
        *link = NULL;
        ASAN_UNPOISON_MEMORY_REGION(cache->_last, sizeof(void *));
        *(void **)cache->_last = chunk;
        ASAN_POISON_MEMORY_REGION(cache->_last, sizeof(void *));
        cache->_last = chunk;
    } else {
        *link = cache->_first;
        if (cache->_first == NULL) {
            cache->_last = chunk;
        }
        cache->_first = chunk;
    }
    cache->count++;
    ASAN_POISON_MEMORY_REGION(chunk, bytes);
}

static void *cache_pop(asx_chunk_cache *cache, size_t bytes)
{
    void **const chunk = cache->_first;
    ASAN_UNPOISON_MEMORY_REGION(chunk, bytes);
    cache->_first = *chunk;
    if (cache->_first == NULL) {
        cache->_last = NULL;
    }
    cache->count--;
    return chunk;
}

static void *global_alloc(asx_chunk_source *source, size_t bytes)
{
    source->global_alloc_count++;
#if CHUNK_JEMALLOC
    const int flags = MALLOCX_ALIGN(ASX_CHUNK_PAGE);
    const int pinned = (int)source->_arena_flags | MALLOCX_TCACHE_NONE | flags;
    void *const chunk = source->_arena_flags != 0 ? mallocx(bytes, pinned) : mallocx(bytes, flags);
#else
    void *const chunk = aligned_alloc(ASX_CHUNK_PAGE, bytes);
#endif
    if (chunk != NULL) {
        source->bytes_held += bytes;
    }
    return chunk;
}

static void global_free(asx_chunk_source *source, void *chunk, size_t bytes)
{
    asx_assert_le(bytes, source->bytes_held);
    source->global_alloc_count++;
    source->bytes_held -= bytes;
#if CHUNK_JEMALLOC
    const int flags = MALLOCX_ALIGN(ASX_CHUNK_PAGE);
    const int pinned = (int)source->_arena_flags | MALLOCX_TCACHE_NONE | flags;
    sdallocx(chunk, bytes, source->_arena_flags != 0 ? pinned : flags);
#else
    free(chunk);
#endif
}

/* Beyond the caches: within the limit if dropping what is cached makes room. */
ASX_COLD static void *chunk_acquire_global(asx_chunk_source *source, size_t bytes)
{
    if (bytes > source->bytes_max - source->bytes_live) {
        return NULL;
    }
    if (bytes > source->bytes_max - source->bytes_held) {
        asx_chunk_trim(source);
    }
    void *chunk = global_alloc(source, bytes);
    if (chunk == NULL && source->bytes_held > source->bytes_live) {
        asx_chunk_trim(source);
        chunk = global_alloc(source, bytes);
    }
    return chunk;
}

void *asx_chunk_acquire(asx_chunk_source *source, size_t bytes, size_t *got)
{
    if (asx_unlikely(source->_fail_in != 0) && --source->_fail_in == 0) {
        source->refused++;
        return NULL;
    }
    if (asx_unlikely(bytes > SIZE_MAX / 2)) {
        source->refused++;
        return NULL;
    }
    const size_t rounded = chunk_round(bytes);
    asx_chunk_cache *const cache = chunk_cache(source, rounded);
    void *chunk;
    if (asx_likely(cache != NULL && cache->_first != NULL)) {
        chunk = cache_pop(cache, rounded);
    } else {
        chunk = chunk_acquire_global(source, rounded);
        if (chunk == NULL) {
            source->refused++;
            return NULL;
        }
    }
    source->bytes_live += rounded;
    if (source->bytes_live > source->bytes_live_peak) {
        source->bytes_live_peak = source->bytes_live;
    }
    *got = rounded;
    return chunk;
}

void asx_chunk_release(asx_chunk_source *source, void *chunk, size_t bytes)
{
    const size_t rounded = chunk_round(bytes);
    asx_assert_le(rounded, source->bytes_live);
    source->bytes_live -= rounded;
    asx_chunk_cache *const cache = chunk_cache(source, rounded);
    if (asx_likely(cache != NULL)) {
        cache_push(cache, chunk, rounded);
    } else {
        global_free(source, chunk, rounded);
    }
}

/* Frees at most `count_max` chunks of `bytes` each beyond `count_kept`; returns how many. */
static size_t cache_trim(asx_chunk_source *source, asx_chunk_cache *cache, size_t bytes,
                         size_t count_kept, size_t count_max)
{
    size_t freed = 0;
    for (; cache->count > count_kept && freed < count_max; freed++) {
        global_free(source, cache_pop(cache, bytes), bytes);
    }
    return freed;
}

void asx_chunk_trim(asx_chunk_source *source)
{
    cache_trim(source, &source->_cache[0], ASX_CHUNK_SMALL, 0, SIZE_MAX);
    cache_trim(source, &source->_cache[1], ASX_CHUNK_BIG, 0, SIZE_MAX);
    asx_assert_eq(source->bytes_held, source->bytes_live);
}

static void arena_do(const asx_chunk_source *source, const char *what)
{
#if CHUNK_JEMALLOC
    char name[48];
    snprintf(name, sizeof(name), "arena.%u.%s", source->_arena, what);
    if (source->_arena_flags != 0) {
        (void)mallctl(name, NULL, NULL, NULL, 0);
    }
#else
    (void)source, (void)what;
#endif
}

size_t asx_chunk_trim_some(asx_chunk_source *source, size_t bytes_kept, size_t count_max)
{
    size_t freed = cache_trim(source, &source->_cache[1], ASX_CHUNK_BIG, bytes_kept / ASX_CHUNK_BIG,
                              count_max);
    freed += cache_trim(source, &source->_cache[0], ASX_CHUNK_SMALL, bytes_kept / ASX_CHUNK_SMALL,
                        count_max - freed);
    arena_do(source, "purge");
    return freed;
}

void asx_chunk_fail_nth(asx_chunk_source *source, uint64_t n)
{
    source->_fail_in = n;
}

void asx_chunk_source_deinit(asx_chunk_source *source)
{
    asx_assert_eq(source->bytes_live, 0);
    asx_chunk_trim(source);
    arena_do(source, "destroy");
    *source = (asx_chunk_source){ .numa_node = -1 };
}
