/* Where the codec's objects take their memory from.
 *
 * Model.   Two functions and a self pointer; NULL wherever an allocator is asked for means the
 *          process heap. Blocks are aligned to 64, large ones to 2 MiB with huge pages requested.
 *          A block is freed with the size it was asked for with.
 */
#ifndef ASX_RAPTORQ_ALLOC_H
#define ASX_RAPTORQ_ALLOC_H

#include <asx/shard/base/decls.h>

#include <stddef.h>

ASX_BEGIN_DECLS

typedef struct asx_rq_alloc {
    void *(*get)(void *self, size_t size); /* aligned to 64; NULL when out of memory */
    void (*put)(void *self, void *block, size_t size);
    void *self;
} asx_rq_alloc;

/* size > 0 */
void *asx_rq_alloc_get(const asx_rq_alloc *alloc, size_t size);

/* block may be NULL */
void asx_rq_alloc_put(const asx_rq_alloc *alloc, void *block, size_t size);

ASX_END_DECLS

#endif
