/* Our rows of channels, locks and select: what one message, lock or choice costs. */
#include <asx/asx.h>
#include <asx/shard/limb.h>

#include "sample.h"

enum { CAPACITY = 1024, BATCH = 64, FAN_OUT = 8, RIVALS = 4 };

typedef struct source {
    asx_mpsc_sender to;
    asx_mpsc_far far; /* used by the senders of another shard */
    uint64_t count;
} source;

static asx_outcome send_all(asx_cx *cx, void *arg)
{
    const source *const self = arg;
    for (uint64_t i = 0; i < self->count; i++) {
        ASX_TRY(asx_mpsc_send(cx, self->to, &i));
    }
    asx_mpsc_sender_close(cx, self->to);
    return asx_ok(0);
}

static asx_outcome send_all_far(asx_cx *cx, void *arg)
{
    source self = *(source *)arg;
    const asx_err err = asx_mpsc_import(cx, &self.far, &self.to);
    return err ? asx_fail(err) : send_all(cx, &self);
}

static asx_outcome receive_all(asx_cx *cx, asx_mpsc_receiver from, uint32_t batch)
{
    uint64_t items[BATCH];
    uint64_t sum = 0;
    for (;;) {
        const asx_outcome got =
            batch > 1 ? asx_mpsc_recv_many(cx, from, items, batch) : asx_mpsc_recv(cx, from, items);
        if (!asx_is_ok(got) || (batch > 1 && got.value == 0)) {
            asx_assert(asx_is_ok(got) || asx_is_err(got, ASX_E(DISCONNECTED)));
            return asx_ok(sum);
        }
        sum += items[0];
    }
}

static asx_outcome mpsc(asx_cx *cx, uint64_t n, uint32_t senders, uint32_t batch, bool far)
{
    const asx_mpsc_options options = { CAPACITY, sizeof(uint64_t), NULL, "-" };
    source each = { .count = n / senders };
    asx_mpsc_receiver rx;
    asx_mpsc_sender tx;
    if (asx_mpsc_open(cx, &options, &tx, &rx)) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    const uint64_t begun = cpu_ns();
    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
        for (uint32_t i = 0; i < senders; i++) {
            asx_handle limb;
            asx_err err =
                far ? asx_mpsc_export(cx, tx, &each.far) : asx_mpsc_sender_clone(cx, tx, &each.to);
            if (!err && far) {
                err = asx_spawn_on(&s->cx, 1, send_all_far, &each, sizeof(each), NULL, &limb);
            } else if (!err) {
                ASX_SPAWN(s, send_all, &each);
            }
            ASX_TRY(err ? asx_fail(err) : asx_ok(0));
        }
        asx_mpsc_sender_close(cx, tx);
        ASX_TRY(receive_all(&s->cx, rx, batch));
    }
    sample("asx", (double)(cpu_ns() - begun) / (double)(each.count * senders));
    return asx_ok(0);
}

asx_outcome mpsc_1(asx_cx *cx, uint64_t n)
{
    return mpsc(cx, n, 1, 1, false);
}

asx_outcome mpsc_4(asx_cx *cx, uint64_t n)
{
    return mpsc(cx, n, 4, 1, false);
}

asx_outcome mpsc_batch(asx_cx *cx, uint64_t n)
{
    return mpsc(cx, n, 1, BATCH, false);
}

asx_outcome mpsc_1_far(asx_cx *cx, uint64_t n)
{
    return mpsc(cx, n, 1, 1, true);
}

asx_outcome mpsc_4_far(asx_cx *cx, uint64_t n)
{
    return mpsc(cx, n, 4, 1, true);
}

asx_outcome mpsc_batch_far(asx_cx *cx, uint64_t n)
{
    return mpsc(cx, n, 1, BATCH, true);
}

asx_outcome oneshot(asx_cx *cx, uint64_t n)
{
    const asx_oneshot_options options = { sizeof(uint64_t), NULL, "-" };
    const uint64_t begun = cpu_ns();
    for (uint64_t i = 0; i < n; i++) {
        asx_oneshot_sender tx;
        asx_oneshot_receiver rx;
        uint64_t value = i;
        asx_err err = asx_oneshot_open(cx, &options, &tx, &rx);
        err = err ? err : asx_oneshot_send(cx, tx, &value);
        ASX_TRY(err ? asx_fail(err) : asx_oneshot_recv(cx, rx, &value));
        asx_oneshot_receiver_close(cx, rx);
    }
    sample("asx", (double)(cpu_ns() - begun) / (double)n);
    return asx_ok(0);
}

typedef struct listener {
    asx_broadcast_receiver from;
    uint64_t *delivered;
} listener;

static asx_outcome listen_all(asx_cx *cx, void *arg)
{
    const listener *const self = arg;
    uint64_t item, lagged;
    while (asx_is_ok(asx_broadcast_recv(cx, self->from, &item, &lagged))) {
        ++*self->delivered;
    }
    return asx_ok(0);
}

/* Half a ring at a time, so that nobody lags. */
asx_outcome broadcast(asx_cx *cx, uint64_t n)
{
    const asx_broadcast_options options = { .capacity = BATCH,
                                            .item_size = sizeof(uint64_t),
                                            .what = "-" };
    asx_broadcast_sender tx;
    listener each = { .delivered = &(uint64_t){ 0 } };
    if (asx_broadcast_open(cx, &options, &tx) || asx_broadcast_subscribe(cx, tx, &each.from)) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    uint64_t begun = 0;
    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
        for (uint32_t i = 0; i < FAN_OUT; i++) {
            if (i > 0 && asx_broadcast_subscribe(cx, tx, &each.from)) {
                return asx_fail(ASX_E(NO_MEMORY));
            }
            ASX_SPAWN(s, listen_all, &each);
        }
        ASX_TRY(asx_yield(cx));
        begun = cpu_ns();
        for (uint64_t i = 0; i < n / FAN_OUT; i++) {
            ASX_TRY(asx_broadcast_send(cx, tx, &i));
            if (i % (BATCH / 2) == 0) {
                ASX_TRY(asx_yield(cx));
            }
        }
        asx_broadcast_sender_close(cx, tx);
    }
    sample("asx", (double)(cpu_ns() - begun) / (double)*each.delivered);
    return asx_ok(0);
}

typedef struct rival {
    asx_mutex mutex;
    asx_semaphore semaphore;
    uint64_t count;
    bool waits; /* holds it over a yield: the others queue */
} rival;

static asx_outcome lock_all(asx_cx *cx, void *arg)
{
    const rival *const self = arg;
    for (uint64_t i = 0; i < self->count; i++) {
        asx_mutex_guard guard;
        ASX_TRY(asx_mutex_lock(cx, self->mutex, &guard));
        if (self->waits) {
            ASX_TRY(asx_yield(cx));
        }
        asx_mutex_unlock(cx, guard);
    }
    return asx_ok(0);
}

static asx_outcome acquire_all(asx_cx *cx, void *arg)
{
    const rival *const self = arg;
    for (uint64_t i = 0; i < self->count; i++) {
        asx_semaphore_permit permit;
        ASX_TRY(asx_semaphore_acquire(cx, self->semaphore, 1, &permit));
        if (self->waits) {
            ASX_TRY(asx_yield(cx));
        }
        asx_semaphore_release(cx, permit);
    }
    return asx_ok(0);
}

static asx_outcome contend(asx_cx *cx, uint64_t n, asx_task_fn *fn, uint32_t rivals)
{
    rival each = { .count = n / rivals, .waits = rivals > 1 };
    if (asx_mutex_open(cx, "-", &each.mutex) || asx_semaphore_open(cx, 2, "-", &each.semaphore)) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    const uint64_t begun = cpu_ns();
    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
        for (uint32_t i = 0; i < rivals; i++) {
            ASX_SPAWN(s, fn, &each);
        }
    }
    sample("asx", (double)(cpu_ns() - begun) / (double)(each.count * rivals));
    return asx_ok(0);
}

asx_outcome mutex_free(asx_cx *cx, uint64_t n)
{
    return contend(cx, n, lock_all, 1);
}

asx_outcome mutex_busy(asx_cx *cx, uint64_t n)
{
    return contend(cx, n, lock_all, RIVALS);
}

asx_outcome semaphore_free(asx_cx *cx, uint64_t n)
{
    return contend(cx, n, acquire_all, 1);
}

asx_outcome semaphore_busy(asx_cx *cx, uint64_t n)
{
    return contend(cx, n, acquire_all, RIVALS);
}

asx_outcome select_two(asx_cx *cx, uint64_t n)
{
    const asx_mpsc_options options = { CAPACITY, sizeof(uint64_t), NULL, "-" };
    source a = { .count = n / 2 }, b = a;
    asx_mpsc_receiver from_a, from_b;
    if (asx_mpsc_open(cx, &options, &a.to, &from_a) ||
        asx_mpsc_open(cx, &options, &b.to, &from_b)) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    const uint64_t begun = cpu_ns();
    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
        asx_select turn = { 0 };
        ASX_SPAWN(s, send_all, &a);
        ASX_SPAWN(s, send_all, &b);
        for (uint64_t left = 2 * a.count; left > 0;) {
            uint64_t item;
            asx_select_case cases[] = { asx_case_recv(from_a, &item),
                                        asx_case_recv(from_b, &item) };
            const asx_outcome chosen = asx_select_wait(&s->cx, &turn, cases, 2);
            ASX_TRY(chosen);
            left -= asx_is_ok(cases[chosen.value].outcome); /* the other end may be over already */
        }
    }
    sample("asx", (double)(cpu_ns() - begun) / (double)(2 * a.count));
    return asx_ok(0);
}
