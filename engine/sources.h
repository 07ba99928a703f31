/* Sources: how many connections each address has, over all shards.
 *
 * Model.  A table of words, each a source's mark and its count; a word without connections is
 *         nobody's. A source has its words in a window of the table, of which it mostly uses one:
 *         its count is the sum. Who comes adds itself first, and leaves again when the sum is then
 *         above the limit: never too many are in, however many shards add at once, and of two that
 *         come as the last at the same instant both may be refused.
 * Owner.  Any thread. The memory is the caller's and outlives all use.
 * Bounds. Named at the making; nothing is allocated later. O(1): a window is 4 cache lines. Two
 *         sources are taken for one where 40 bits and the place of their hashes are the same.
 */
#ifndef ASX_ENGINE_SOURCES_H
#define ASX_ENGINE_SOURCES_H

#include <asx/shard/base/decls.h>

#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_SOURCES_MAX 65536u         /* at one time: 1 MiB */
#define ASX_SOURCE_COUNT_MAX 0xff0000u /* of one; above are those about to be refused */

typedef struct asx_sources asx_sources;

/* Whose connection it is: all of it counts. */
typedef struct asx_source {
    uint64_t prefix;
    uint8_t family, listener;
} asx_source;

typedef enum asx_sources_verdict {
    ASX_SOURCES_OK = 0,
    ASX_SOURCES_TOO_MANY, /* it has as many as it may */
    ASX_SOURCES_NO_ROOM,  /* there are more sources than can be counted */
} asx_sources_verdict;

/* Of the memory for `sources_max` at one time, 1..ASX_SOURCES_MAX; aligned as malloc's. */
size_t asx_sources_bytes(uint32_t sources_max);
/* storage  that many bytes, zero-filled */
asx_sources *asx_sources_init(void *storage, uint32_t sources_max);

/* Of the hash, so that nobody outside can know who shares a place: the first one counts, before
 * anybody enters. */
void asx_sources_seed(asx_sources *self, uint64_t seed);

/* A connection comes to a source that may have `most`, 1..ASX_SOURCE_COUNT_MAX.
 *
 * place  for asx_sources_leave, not 0; written when it is OK */
asx_sources_verdict asx_sources_enter(asx_sources *self, const asx_source *source, uint32_t most,
                                      uint32_t *place);
void asx_sources_leave(asx_sources *self, uint32_t place);

/* With a connection now. */
uint32_t asx_sources_count(const asx_sources *self);

ASX_END_DECLS

#endif
