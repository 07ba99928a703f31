#include "drain.h"

#include <asx/reactor/signal.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/op.h>

#include "engine_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The next signal. errors  TIMED_OUT at the deadline */
static asx_outcome next_signal(asx_cx *cx, const asx_engine *engine, asx_instant deadline_ns,
                               asx_signal *got)
{
    char record[ASX_SIGNAL_RECORD_SIZE];
    struct iovec iov = { .iov_base = record, .iov_len = sizeof(record) };
    asx_op op = { .code = ASX_OP_READ,
                  .fd = engine->signal_fd,
                  .iov = &iov,
                  .iov_count = 1,
                  .offset = UINT64_MAX };
    const asx_outcome read = asx_op_await_until(cx, &op, deadline_ns);
    if (asx_is_ok(read) && !asx_signal_decode(record, read.value, got)) {
        return asx_fail(ASX_E(END_OF_STREAM));
    }
    return read;
}

/* The next signal that asks to end; those that ask for something else are served on the way. */
static asx_outcome next_ending(asx_cx *cx, asx_engine *engine, asx_instant deadline_ns,
                               asx_signal *got)
{
    for (;;) {
        ASX_TRY(next_signal(cx, engine, deadline_ns, got));
        if (got->number != SIGHUP) {
            return asx_ok(0);
        }
        asxi_say("SIGHUP: opening the access log again");
        /* Pairs with the acquire in the control fibers. */
        asx_store_release(&engine->log_epoch, engine->log_epoch + 1);
        asxi_engine_ring_all(engine);
    }
}

static void say_draining(const asx_engine *engine, const asx_signal *got)
{
    const double seconds = (double)engine->config->drain_timeout_ns / (double)ASX_NS_PER_S;
    if (asx_load_acquire(&engine->failed)) {
        asxi_say("an app failed: draining, %g s at most", seconds);
    } else {
        asxi_say("SIG%s: draining, %g s at most; again to cancel at once",
                 sigabbrev_np(got->number), seconds);
    }
}

asx_outcome asxi_drain_body(asx_cx *cx, void *arg)
{
    asx_engine *const engine = (*(asxi_seat **)arg)->engine;
    asx_signal got;
    ASX_TRY(next_ending(cx, engine, ASX_TIME_NEVER, &got));
    engine->drain_began_ns = asx_now(cx);
    say_draining(engine, &got);
    asxi_engine_phase_set(engine, ASX_ENGINE_DRAINING);
    asx_instant until_ns = asx_time_add(engine->drain_began_ns, engine->config->drain_timeout_ns);
    asx_outcome next = next_ending(cx, engine, until_ns, &got);
    if (next.severity == ASX_SEVERITY_CANCELLED) {
        return next; /* everything has ended */
    }
    engine->forced_at_once = asx_is_ok(next);
    asxi_say("%s: cancelling what is left", asx_is_ok(next) ? "second signal" : "time is up");
    asxi_engine_phase_set(engine, ASX_ENGINE_FORCING);
    until_ns = asx_time_add(asx_now(cx), ASX_DRAIN_GRACE);
    next = next_ending(cx, engine, until_ns, &got);
    if (next.severity == ASX_SEVERITY_CANCELLED) {
        return next;
    }
    uint64_t left = 0;
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        asx_figures figures;
        asx_figures_read(engine, i, &figures);
        left += figures.http.requests_in_flight;
    }
    asxi_say("stopped with about %llu requests that would not end", (unsigned long long)left);
    _exit(1); /* their stacks are in use: nothing can be taken down in order */
}

void asxi_drain_report(const asx_engine *engine)
{
    uint64_t connections = 0, in_flight = 0, cancelled = 0;
    if (asx_load_acquire(&engine->phase) == ASX_ENGINE_RUNNING) {
        return;
    }
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        connections += engine->seats[i].connections_at_drain;
        in_flight += engine->seats[i].in_flight_at_drain;
        cancelled += engine->seats[i].in_flight_at_force;
    }
    const asx_duration took_ns = asx_time_sub(engine->ended_at_ns, engine->drain_began_ns);
    asxi_say("stopped in %.3f s: %llu connections closed, of %llu requests in flight %llu "
             "finished and %llu were cancelled",
             (double)took_ns / (double)ASX_NS_PER_S, (unsigned long long)connections,
             (unsigned long long)in_flight,
             (unsigned long long)(in_flight > cancelled ? in_flight - cancelled : 0),
             (unsigned long long)cancelled);
}
