/* The mesh: one ring for every ordered pair of shards, and who sleeps.
 *
 * Model.   N x N rings (ring.h) and one sleeping word a shard.
 *            sender   fill slots, asx_ring_publish, then asx_mesh_wake_needed: if true, ring the
 *                     target driver's doorbell
 *            target   asx_mesh_sleep_begin, then asx_mesh_inbox_empty: only if true, block in the
 *                     driver's one wait; then asx_mesh_sleep_end in either case
 *          Each side stores its word and then loads the other's, all four sequentially consistent:
 *          they cannot both miss. The doorbell must be sticky (eventfd, message ring): one rung
 *          before the target blocks makes it not block.
 * Owner.   The engine creates it before the shards start and destroys it after they ended.
 * Bounds.  No call waits. inbox_empty O(shards). At most one of any number of senders is told to
 *          ring for each sleep.
 * Proof.   tests/shard/mesh_wake.pml, checked with spin. */
#ifndef ASX_SHARD_MESH_H
#define ASX_SHARD_MESH_H

#include <asx/shard/ring.h>

#include <stddef.h>

ASX_BEGIN_DECLS

enum { ASX_MESH_SHARDS_MAX = 1024 };

/* Ends a present or the next wait of one shard's driver; callable from any thread. */
typedef void asx_mesh_bell_fn(void *arg);

typedef struct asx_mesh_sleeper {
    uint32_t sleeping;      /* 1 from sleep_begin until a sender claims it or sleep_end */
    asx_mesh_bell_fn *bell; /* set before the first sleep, which publishes it */
    void *bell_arg;
    char _pad[ASX_CACHE_PAIR - 24];
} __attribute__((aligned(ASX_CACHE_PAIR))) asx_mesh_sleeper;

typedef struct asx_mesh {
    asx_ring *_rings; /* [to][from]: a target's inbox is one run */
    asx_mesh_sleeper *_sleepers;
    void *_memory; /* one mapping holds everything, this struct included */
    size_t _memory_len;
    uint32_t shard_count;
    uint32_t capacity;
    uint32_t _closed_count; /* shards whose root is CLOSED; any thread adds */
    uint32_t _all_closed;   /* set by the last of them */
} asx_mesh;

/* NULL when memory is exhausted.
 *
 * shard_count  1..ASX_MESH_SHARDS_MAX
 * capacity     messages a ring, a power of two >= 8; an eighth is reserved for control
 * owns         the caller, until asx_mesh_destroy */
ASX_NODISCARD asx_mesh *asx_mesh_create(uint32_t shard_count, uint32_t capacity);

/* Shard `self`, on its thread, before it first sleeps: how to wake it. */
void asx_mesh_attach(asx_mesh *mesh, uint32_t self, asx_mesh_bell_fn *bell, void *arg);

/* Rings the doorbell of a shard; no effect on one that is not attached. */
void asx_mesh_ring_bell(asx_mesh *mesh, uint32_t target);

/* One more shard has nothing left to do for itself. The last one wakes all the others; they may go,
 * and their doorbells with them, once asx_mesh_all_closed. */
void asx_mesh_closed_add(asx_mesh *mesh);
/* All have: true from just before the last one rings on, so that nobody goes to sleep again. */
bool asx_mesh_all_closing(const asx_mesh *mesh);
/* No message that needs an answer can come any more, and no bell is rung. */
bool asx_mesh_all_closed(const asx_mesh *mesh);

/* Target: no message is waiting from anybody. */
bool asx_mesh_inbox_empty(const asx_mesh *mesh, uint32_t self);

void asx_mesh_destroy(asx_mesh *mesh);

ASX_END_DECLS

/* The ring on which `from` sends and `to` receives. */
ASX_INLINE asx_ring *asx_mesh_ring(const asx_mesh *mesh, uint32_t from, uint32_t to)
{
    asx_debug_assert(from < mesh->shard_count && to < mesh->shard_count);
    return &mesh->_rings[(size_t)to * mesh->shard_count + from];
}

/* Target: announces that it is about to block. Recheck with asx_mesh_inbox_empty before blocking.
 */
ASX_INLINE void asx_mesh_sleep_begin(asx_mesh *mesh, uint32_t self)
{
    /* Ordered before the loads in asx_mesh_inbox_empty; pairs with the load in wake_needed. */
    asx_store_seq_cst(&mesh->_sleepers[self].sleeping, 1u);
}

/* Target: awake again, or decided not to block. */
ASX_INLINE void asx_mesh_sleep_end(asx_mesh *mesh, uint32_t self)
{
    /* Publishes nothing: a sender that still sees 1 rings a bell that wakes nobody. */
    asx_store_relaxed(&mesh->_sleepers[self].sleeping, 0u);
}

/* Sender, after asx_ring_publish: true when it, and only it, must ring `target`'s doorbell. */
ASX_INLINE bool asx_mesh_wake_needed(asx_mesh *mesh, uint32_t target)
{
    uint32_t *const sleeping = &mesh->_sleepers[target].sleeping;
    /* Ordered after the store in asx_ring_publish; pairs with the store in sleep_begin. */
    if (asx_likely(asx_load_seq_cst(sleeping) == 0)) {
        return false;
    }
    /* Of several senders that saw 1, the exchange picks the one that rings. */
    return asx_exchange_seq_cst(sleeping, 0u) == 1;
}

#endif
