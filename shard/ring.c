#include <asx/shard/base/bits.h>
#include <asx/shard/ring.h>

#include <assert.h>
#include <stddef.h>

static_assert(sizeof(asx_msg) == 64, "one message is one cache line");
static_assert(sizeof(asx_ring) == 4 * ASX_CACHE_PAIR, "four parts, none shared");
static_assert(offsetof(asx_ring, _producer) % ASX_CACHE_PAIR == 0, "the producer's own lines");
static_assert(offsetof(asx_ring, _consumer) % ASX_CACHE_PAIR == 0, "the consumer's own lines");

void asx_ring_init(asx_ring *ring, asx_msg *slots, uint32_t capacity, uint32_t control_reserved)
{
    asx_assert(asx_is_pow2(capacity));
    asx_assert_lt(control_reserved, capacity);
    asx_assert_eq((uintptr_t)slots % sizeof(asx_msg), 0);
    *ring = (asx_ring){
        ._producer = { .slots = slots, .mask = capacity - 1, .control_reserved = control_reserved },
        ._consumer = { .slots = slots, .mask = capacity - 1 },
    };
}

void asx_ring_check(const asx_ring *ring)
{
    const uint64_t capacity = ring->_producer.mask + 1;
    asx_assert_eq(ring->_published.tail, ring->_producer.tail_published);
    asx_assert_eq(ring->_consumed.head, ring->_consumer.head_consumed);
    asx_assert_le(ring->_consumer.head_consumed, ring->_consumer.head);
    asx_assert_le(ring->_consumer.head, ring->_consumer.tail_seen);
    asx_assert_le(ring->_consumer.tail_seen, ring->_published.tail);
    asx_assert_le(ring->_producer.tail_published, ring->_producer.tail);
    asx_assert_le(ring->_producer.head_seen, ring->_consumed.head);
    asx_assert_le(ring->_producer.tail - ring->_consumed.head, capacity);
}
