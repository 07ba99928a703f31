/* Fiber stacks: a shard's own pool, four size classes, guarded, reused without a system call.
 *
 * Model.   Slabs of address space per class, each twice the one before; a slab is carved upwards in
 *          batches, and the guards of a batch are set when it is carved. A stack fills its cell:
 *          guard at the bottom, record near the top. The record's distance from the top cycles
 *          through 16 colours, so that the tops of many stacks do not share cache sets.
 * Owner.   The shard. Only its thread calls in; guard_hit may also run in its signal handler.
 * Bounds.  acquire and release O(1); an untouched stack costs no memory, nor does one that trim
 *          took from the pool; a pooled one keeps the pages that its last user touched.
 */
#ifndef ASX_SHARD_STACK_H
#define ASX_SHARD_STACK_H

#include <asx/shard/base/assert.h>
#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_STACK_CLASSES 4 /* 16 KiB, 64 KiB, 256 KiB, 1 MiB, record included */
#define ASX_STACK_BYTES_DEFAULT ((size_t)64 << 10)
#define ASX_STACK_BYTES_MAX ((size_t)1 << 20)
#define ASX_STACK_SLABS_MAX \
    48 /* per class; slabs double, so the address space ends before this \
        */

typedef enum asx_stack_guard_kind {
    ASX_STACK_GUARD_AUTO = 0,     /* in a configuration only: the first below that works here */
    ASX_STACK_GUARD_MADVISE = 1,  /* MADV_GUARD_INSTALL, Linux 6.13: costs no mapping */
    ASX_STACK_GUARD_MPROTECT = 2, /* two mappings a stack: ends near vm.max_map_count / 2 stacks */
    ASX_STACK_GUARD_NONE = 3,     /* an overflow runs into the neighbour */
} asx_stack_guard_kind;

const char *asx_stack_guard_kind_name(asx_stack_guard_kind kind);

typedef struct asx_stack_slab asx_stack_slab;
typedef struct asx_stack asx_stack;

/* The record lies at the top of its own stack: the page that every use touches anyway. It fills a
 * line, so that what is reserved below it begins one. */
struct asx_stack {
    char *base __attribute__((aligned(ASX_CACHE_LINE))); /* lowest usable byte, above the guard */
    char *top;     /* one past the highest usable byte, 16-aligned; asx_stack_reserve lowers it */
    size_t size;   /* bytes from base to this record */
    uint8_t cls;   /* index of the size class */
    uint8_t _live; /* 1: acquired, not yet released; 2: and its yellow zone is open */
    uint32_t _valgrind_id;
    asx_stack *_next; /* pooled: the next older one */
};

struct asx_stack_slab {
    char *_cells;
    uint64_t *_bare; /* a bit a cell: carved and used, but all its memory was given back */
    size_t _mapped_bytes;
    size_t _cell_count;
    size_t _carved; /* cells below this have their guard */
    size_t _used;   /* cells below this have a record, unless they are bare; <= _carved */
    size_t _bare_count;
};

typedef struct asx_stack_class {
    size_t _stack_bytes; /* of the class, record included */
    size_t _cell_bytes;  /* with the guard */
    asx_stack *_pooled;  /* newest first */
    size_t _made_count;  /* with a record; those that are not live are pooled */
    size_t _live_count;
    size_t _high_water;
    unsigned _slab_count;
    asx_stack_slab _slabs[ASX_STACK_SLABS_MAX]; /* the last one is carved; those before are full */
} asx_stack_class;

/* Zero-filled is a good default. */
typedef struct asx_stack_config {
    size_t default_bytes; /* for acquire(pool, 0); 0: ASX_STACK_BYTES_DEFAULT */
    size_t count_max;     /* 0: no limit */
    size_t guard_bytes;   /* rounded up to an odd number of pages; 0: one */
    asx_stack_guard_kind guard;
} asx_stack_config;

typedef struct asx_stack_pool {
    asx_stack_config _config;
    asx_stack_guard_kind _guard;
    size_t _page_bytes;
    asx_stack_class *_default_class; /* holds default_bytes */
    uint32_t _sample_countdown;      /* releases until the next is sampled */
    asx_stack_class _classes[ASX_STACK_CLASSES];
} asx_stack_pool;

typedef struct asx_stack_stats {
    size_t live, pooled;
    size_t slabs, mapped_bytes; /* mapped is address space, not memory */
    /* The deepest use that was sampled, in bytes: at trim, and at one release in 8192. */
    size_t high_water_max[ASX_STACK_CLASSES];
} asx_stack_stats;

/* Probes which guard works here by using it. `config` may be NULL. Maps nothing yet. */
void asx_stack_pool_init(asx_stack_pool *pool, const asx_stack_config *config);

/* asserts  no stack is live */
void asx_stack_pool_deinit(asx_stack_pool *pool);

/* How deep the stack was ever used since its pages were last given back: whole pages, a resident
 * page counts as used. One system call; touches no page. */
size_t asx_stack_high_water(const asx_stack *stack);

asx_stack_guard_kind asx_stack_pool_guard(const asx_stack_pool *pool);

/* Whether `fault_addr` lies in a guard, and whose. Async-signal-safe on the pool's thread. `which`
 * may be NULL. */
bool asx_stack_guard_hit(const asx_stack_pool *pool, const void *fault_addr, asx_stack **which);

/* Makes all of the guard usable but its lowest page, until the stack is released: for a call that
 * must not end where it stands. Async-signal-safe. False: the system refuses, or it is open. */
ASX_NODISCARD bool asx_stack_yellow_open(const asx_stack_pool *pool, asx_stack *stack);

void asx_stack_stats_read(const asx_stack_pool *pool, asx_stack_stats *stats);

/* Gives back all memory of pooled stacks but of the `keep_count` most recently released of each
 * class, of at most `count_max` stacks. For idle time: two system calls a stack. Returns how many
 * stacks were trimmed: less than count_max, and there are no more. */
size_t asx_stack_pool_trim(asx_stack_pool *pool, size_t keep_count, size_t count_max);

asx_stack *asx_stack_acquire_slow(asx_stack_pool *pool, size_t bytes);
/* What a release does now and then: sets the guard again, samples the depth, poisons. */
void asx_stack_releasing(asx_stack_pool *pool, asx_stack *stack);

ASX_END_DECLS

ASX_INLINE void asxi_stack_lend(asx_stack_class *own, asx_stack *stack)
{
    asx_assert(!stack->_live);
    own->_live_count++;
    stack->_live = 1;
    stack->top = stack->base + (stack->size & ~(size_t)15);
}

/* The most recently released stack of the smallest class that holds `bytes`, or a new one. The
 * class sizes include the record, so up to 2 KiB less than the class is usable.
 *
 * bytes    0 for the pool's default
 * errors   NULL: more than ASX_STACK_BYTES_MAX, count_max reached, or no memory or mappings left
 */
ASX_NODISCARD ASX_INLINE asx_stack *asx_stack_acquire(asx_stack_pool *pool, size_t bytes)
{
    asx_stack_class *const own = pool->_default_class;
    if (asx_unlikely(ASX_ASAN || bytes != pool->_config.default_bytes || !own->_pooled ||
                     pool->_config.count_max != 0)) {
        return asx_stack_acquire_slow(pool, bytes);
    }
    asx_stack *const stack = own->_pooled;
    own->_pooled = stack->_next;
    asxi_stack_lend(own, stack);
    return stack;
}

/* Nothing may run on `stack` any more, nor point into it. */
ASX_INLINE void asx_stack_release(asx_stack_pool *pool, asx_stack *stack)
{
    asx_assert(stack->_live && stack->cls < ASX_STACK_CLASSES);
    asx_stack_class *const own = &pool->_classes[stack->cls];
    if (asx_unlikely(--pool->_sample_countdown == 0 || stack->_live != 1 || ASX_ASAN)) {
        asx_stack_releasing(pool, stack);
    }
    stack->_live = 0;
    stack->_next = own->_pooled;
    own->_pooled = stack;
    own->_live_count--;
}

/* Takes `bytes` off the top for a record that lives as long as the stack is held; 16-aligned, not
 * cleared. Before a fiber is set up on the stack. */
ASX_INLINE void *asx_stack_reserve(asx_stack *stack, size_t bytes)
{
    asx_assert(stack->_live);
    bytes = (bytes + 15) & ~(size_t)15;
    asx_assert(bytes < (size_t)(stack->top - stack->base));
    stack->top -= bytes;
    return stack->top;
}

#endif
