/* Rings: one producer, one consumer, fixed 64-byte messages, published in batches.
 *
 * Model.   A power of two of slots; two counters that only grow. The producer fills slots beyond
 *          the published tail and publishes them with one store; the consumer reads up to the tail
 *          it last saw and hands slots back with one store.
 * Owner.   The two shards of the pair: `_producer` is touched by the sender's thread only,
 *          `_consumer` by the receiver's only, each published counter has one writer.
 * Bounds.  Every call O(1), none waits. The last control_reserved slots are for control messages,
 *          so data can never block a cancel, a done or a credit return.
 * Layout.  Each part on its own 128 B (adjacent-line prefetch). */
#ifndef ASX_SHARD_RING_H
#define ASX_SHARD_RING_H

#include <asx/shard/base/assert.h>
#include <asx/shard/base/atomic.h>
#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef struct asx_msg {
    uint16_t kind;
    uint16_t flags;
    uint32_t arg32;
    uint64_t words[7];
} asx_msg;

typedef struct asx_ring {
    struct {
        uint64_t tail; /* messages ever published; written by the producer */
        char _pad[ASX_CACHE_PAIR - 8];
    } _published;
    struct {
        uint64_t head; /* slots ever handed back; written by the consumer */
        char _pad[ASX_CACHE_PAIR - 8];
    } _consumed;
    struct {
        asx_msg *slots;
        uint64_t mask;
        uint64_t tail;             /* published and merely reserved */
        uint64_t tail_published;   /* what _published.tail holds */
        uint64_t head_seen;        /* _consumed.head when last looked at */
        uint64_t control_reserved; /* slots that data leaves free */
        char _pad[ASX_CACHE_PAIR - 48];
    } _producer;
    struct {
        asx_msg *slots;
        uint64_t mask;
        uint64_t head;          /* popped, handed back or not */
        uint64_t head_consumed; /* what _consumed.head holds */
        uint64_t tail_seen;     /* _published.tail when last looked at */
        char _pad[ASX_CACHE_PAIR - 40];
    } _consumer;
} __attribute__((aligned(ASX_CACHE_PAIR))) asx_ring;

/* Both sides see it only after it was handed over by something that orders memory.
 *
 * slots             memory of the caller's, 64 B aligned, `capacity` messages
 * capacity          a power of two
 * control_reserved  below capacity */
void asx_ring_init(asx_ring *ring, asx_msg *slots, uint32_t capacity, uint32_t control_reserved);

/* Walks nothing, asserts the order of the counters. Only while both sides are still. */
void asx_ring_check(const asx_ring *ring);

ASX_END_DECLS

/* Producer: the next unpublished slot, counted as reserved, or NULL when full. The slot's old
 * content is unspecified; it is the producer's until asx_ring_publish.
 *
 * control  may use the reserved slots */
ASX_INLINE asx_msg *asx_ring_reserve(asx_ring *ring, bool control)
{
    const uint64_t tail = ring->_producer.tail;
    const uint64_t room =
        ring->_producer.mask + (control ? 1 : 1 - ring->_producer.control_reserved);
    if (asx_unlikely(tail - ring->_producer.head_seen >= room)) {
        /* Pairs with the store in asx_ring_consume_done: the consumer is done reading the slots. */
        ring->_producer.head_seen = asx_load_acquire(&ring->_consumed.head);
        if (tail - ring->_producer.head_seen >= room) {
            return NULL;
        }
    }
    ring->_producer.tail = tail + 1;
    return &ring->_producer.slots[tail & ring->_producer.mask];
}

/* Producer: fills a reserved slot at once, past the caches: the line need not come back from the
 * consumer before it is written, nor be asked from here when it is read. Between cores without a
 * common cache a stream of messages takes a fifth of the time. Where both ends are one thread, a
 * plain copy is better. */
ASX_INLINE void asx_ring_write(asx_msg *slot, const asx_msg *msg)
{
    /* Field by field, as it was most likely just stored: a load across two young stores waits until
     * both have left the core, behind the lines that are on their way. */
    const uint64_t head = msg->kind | (uint64_t)msg->flags << 16 | (uint64_t)msg->arg32 << 32;
    uint64_t *const at = (uint64_t *)(void *)slot;
    asx_store_stream(&at[0], head, msg->words[0]);
    asx_store_stream(&at[2], msg->words[1], msg->words[2]);
    asx_store_stream(&at[4], msg->words[3], msg->words[4]);
    asx_store_stream(&at[6], msg->words[5], msg->words[6]);
}

/* Producer: whether asx_ring_reserve would succeed. */
ASX_INLINE bool asx_ring_has_room(asx_ring *ring, bool control)
{
    const uint64_t room =
        ring->_producer.mask + (control ? 1 : 1 - ring->_producer.control_reserved);
    /* Pairs with the store in asx_ring_consume_done, as in asx_ring_reserve. */
    ring->_producer.head_seen = asx_load_acquire(&ring->_consumed.head);
    return ring->_producer.tail - ring->_producer.head_seen < room;
}

/* Producer: makes every reserved message visible, with one store; false when there was none.
 *
 * The store is sequentially consistent, not just a release: the sleep protocol (mesh.h) needs it
 * ordered before the load of the target's sleeping word. On aarch64 it is the same instruction. */
ASX_INLINE bool asx_ring_publish(asx_ring *ring)
{
    const uint64_t tail = ring->_producer.tail;
    if (tail == ring->_producer.tail_published) {
        return false;
    }
    ring->_producer.tail_published = tail;
    asx_stream_fence();
    /* Pairs with the loads in asx_ring_peek and asx_ring_empty: publishes the slots' content. */
    asx_store_seq_cst(&ring->_published.tail, tail);
    return true;
}

/* Producer: how many messages are reserved and not published. */
ASX_INLINE uint32_t asx_ring_unpublished(const asx_ring *ring)
{
    return (uint32_t)(ring->_producer.tail - ring->_producer.tail_published);
}

/* Consumer: the next message, left in place, or NULL.
 *
 * lends    until the asx_ring_consume_done that follows its pop */
ASX_INLINE asx_msg *asx_ring_peek(asx_ring *ring)
{
    const uint64_t head = ring->_consumer.head;
    if (asx_unlikely(head == ring->_consumer.tail_seen)) {
        /* Pairs with the store in asx_ring_publish: the slots up to there are filled. */
        ring->_consumer.tail_seen = asx_load_acquire(&ring->_published.tail);
        if (head == ring->_consumer.tail_seen) {
            return NULL;
        }
    }
    return &ring->_consumer.slots[head & ring->_consumer.mask];
}

/* Consumer: as peek, and the next call sees the message after it. */
ASX_INLINE asx_msg *asx_ring_pop(asx_ring *ring)
{
    asx_msg *const msg = asx_ring_peek(ring);
    if (asx_likely(msg != NULL)) {
        ring->_consumer.head++;
    }
    return msg;
}

/* Consumer: hands every popped slot back to the producer, with one store. */
ASX_INLINE void asx_ring_consume_done(asx_ring *ring)
{
    const uint64_t head = ring->_consumer.head;
    if (head != ring->_consumer.head_consumed) {
        ring->_consumer.head_consumed = head;
        /* Pairs with the load in asx_ring_reserve: the slots are no longer read. */
        asx_store_release(&ring->_consumed.head, head);
    }
}

/* Consumer: nothing published beyond what was popped. Ordered for the sleep protocol (mesh.h). */
ASX_INLINE bool asx_ring_empty(const asx_ring *ring)
{
    return asx_load_seq_cst(&ring->_published.tail) == ring->_consumer.head;
}

/* Consumer: how many were published beyond what was popped. */
ASX_INLINE uint32_t asx_ring_count(const asx_ring *ring)
{
    return (uint32_t)(asx_load_acquire(&ring->_published.tail) - ring->_consumer.head);
}

#endif
