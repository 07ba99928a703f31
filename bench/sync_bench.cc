/* Channels and locks between fibers of one shard, in virtual time: what one item or one lock costs
 * on top of the switches it needs. */
#include <asx/shard/scope.h>
#include <asx/shard/sync/broadcast.h>
#include <asx/shard/sync/mpsc.h>
#include <asx/shard/sync/mutex.h>
#include <asx/shard/sync/oneshot.h>
#include <asx/shard/sync/semaphore.h>

#include "in_shard.h"

static asx_mpsc_sender tx;
static asx_mpsc_receiver rx;
static const uint64_t round_items = 4096;

static asx_outcome produce(asx_cx *cx, void *)
{
    for (;;) {
        for (uint64_t i = 0; i < round_items; i++) {
            const asx_outcome sent = asx_mpsc_send(cx, tx, &i);
            if (!asx_is_ok(sent)) {
                return asx_ok(0);
            }
        }
    }
}

template <int Senders> static asx_outcome mpsc_body(asx_cx *cx, void *arg)
{
    auto &state = *static_cast<benchmark::State *>(arg);
    const asx_mpsc_options options = { (uint32_t)state.range(0), sizeof(uint64_t), nullptr, "-" };
    if (asx_mpsc_open(cx, &options, &tx, &rx)) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
        const int none = 0;
        for (int i = 0; i < Senders; i++) {
            asx_scope_spawn(s, produce, &none, sizeof(none), nullptr);
        }
        uint64_t value = 0;
        for (auto _ : state) {
            for (uint64_t i = 0; i < round_items; i++) {
                ASX_TRY(asx_mpsc_recv(cx, rx, &value));
            }
        }
        asx_mpsc_receiver_close(cx, rx);
    }
    state.SetItemsProcessed((int64_t)(state.iterations() * round_items));
    return asx_ok(0);
}

static void mpsc_1_to_1(benchmark::State &state)
{
    in_shard(mpsc_body<1>, state);
}
BENCHMARK(mpsc_1_to_1)->Arg(1)->Arg(64)->Arg(1024);

static void mpsc_4_to_1(benchmark::State &state)
{
    in_shard(mpsc_body<4>, state);
}
BENCHMARK(mpsc_4_to_1)->Arg(1024);

static void mutex_uncontended(benchmark::State &state)
{
    in_shard(
        [](asx_cx *cx, void *arg) -> asx_outcome {
            asx_mutex mutex;
            if (asx_mutex_open(cx, "-", &mutex)) {
                return asx_fail(ASX_E(NO_MEMORY));
            }
            for (auto _ : *static_cast<benchmark::State *>(arg)) {
                asx_mutex_guard guard;
                ASX_TRY(asx_mutex_lock(cx, mutex, &guard));
                asx_mutex_unlock(cx, guard);
            }
            return asx_ok(0);
        },
        state);
}
BENCHMARK(mutex_uncontended);

static void semaphore_uncontended(benchmark::State &state)
{
    in_shard(
        [](asx_cx *cx, void *arg) -> asx_outcome {
            asx_semaphore semaphore;
            if (asx_semaphore_open(cx, 4, "-", &semaphore)) {
                return asx_fail(ASX_E(NO_MEMORY));
            }
            for (auto _ : *static_cast<benchmark::State *>(arg)) {
                asx_semaphore_permit permit;
                ASX_TRY(asx_semaphore_acquire(cx, semaphore, 1, &permit));
                asx_semaphore_release(cx, permit);
            }
            return asx_ok(0);
        },
        state);
}
BENCHMARK(semaphore_uncontended);

static void oneshot_one_task(benchmark::State &state)
{
    in_shard(
        [](asx_cx *cx, void *arg) -> asx_outcome {
            for (auto _ : *static_cast<benchmark::State *>(arg)) {
                const asx_oneshot_options options = { sizeof(uint64_t), nullptr, "-" };
                asx_oneshot_sender sender;
                asx_oneshot_receiver receiver;
                uint64_t value = 7;
                if (asx_oneshot_open(cx, &options, &sender, &receiver) ||
                    asx_oneshot_send(cx, sender, &value)) {
                    return asx_fail(ASX_E(NO_MEMORY));
                }
                ASX_TRY(asx_oneshot_recv(cx, receiver, &value));
                asx_oneshot_receiver_close(cx, receiver);
            }
            return asx_ok(0);
        },
        state);
}
BENCHMARK(oneshot_one_task);

BENCHMARK_MAIN();
