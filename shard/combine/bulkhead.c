#include <asx/shard/base/assert.h>
#include <asx/shard/combine/bulkhead.h>
#include <asx/shard/shard_internal.h>

#define CONCURRENT_MAX 10u
#define QUEUE_MAX 100u
#define QUEUE_TIMEOUT_NS (5 * ASX_NS_PER_S)

asx_err asx_bulkhead_open(asx_cx *cx, const asx_bulkhead_options *options, asx_bulkhead *bulkhead)
{
    *bulkhead = (asx_bulkhead){ 0 };
    asx_bulkhead_options *const o = &bulkhead->_options;
    if (options) {
        *o = *options;
    }
    o->concurrent_max = o->concurrent_max ? o->concurrent_max : CONCURRENT_MAX;
    o->queue_max = o->no_queue ? 0 : o->queue_max ? o->queue_max : QUEUE_MAX;
    o->queue_timeout_ns = o->queue_timeout_ns ? o->queue_timeout_ns : QUEUE_TIMEOUT_NS;
    o->what = o->what ? o->what : "bulkhead";
    return asx_semaphore_open(cx, o->concurrent_max, o->what, &bulkhead->_slots);
}

typedef struct queued {
    asx_defer defer;
    asx_bulkhead *bulkhead;
} queued;

static void queue_left(asx_cx *cx, asx_defer *defer)
{
    (void)cx;
    asx_container_of(defer, queued, defer)->bulkhead->_queued--;
}

static asx_outcome slot_wait(asx_cx *cx, asx_bulkhead *bulkhead, uint32_t weight,
                             asx_semaphore_permit *permit, asx_duration *waited_ns)
{
    const asx_bulkhead_options *const o = &bulkhead->_options;
    const asx_instant since_ns = cx->_shard->now_ns;
    if (bulkhead->_queued >= o->queue_max) {
        return asx_fail(o->queue_max == 0 ? ASX_E(FULL) : ASX_E(QUEUE_FULL));
    }
    queued place = { .bulkhead = bulkhead };
    bulkhead->_queued++;
    asx_defer_push(cx, &place.defer, queue_left);
    const asx_outcome outcome = asx_semaphore_acquire_until(
        cx, bulkhead->_slots, weight, asx_time_add(since_ns, o->queue_timeout_ns), permit);
    asx_defer_pop(cx, &place.defer);
    bulkhead->_queued--;
    if (waited_ns) {
        *waited_ns = asx_time_sub(cx->_shard->now_ns, since_ns);
    }
    return asx_is_err(outcome, ASX_E(TIMED_OUT)) ? asx_fail(ASX_E(QUEUE_TIMEOUT)) : outcome;
}

asx_outcome asx_bulkhead_call(asx_cx *cx, asx_bulkhead *bulkhead, uint32_t weight, asx_task_fn *fn,
                              void *arg, asx_duration *waited_ns)
{
    asx_semaphore_permit permit;
    if (waited_ns) {
        *waited_ns = 0;
    }
    if (weight > bulkhead->_options.concurrent_max) {
        return asx_fail(ASX_E(FULL));
    }
    const asx_err err = asx_semaphore_try_acquire(cx, bulkhead->_slots, weight, &permit);
    if (err && err != ASX_E(NO_PERMITS)) {
        return asx_fail(err);
    }
    if (err) {
        ASX_TRY(slot_wait(cx, bulkhead, weight, &permit, waited_ns));
    }
    const asx_outcome outcome = fn(cx, arg);
    asx_semaphore_release(cx, permit);
    return outcome;
}
