#include "drain.h"

#include <asx/reactor/signal.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/drain.h>
#include <asx/shard/explain.h>
#include <asx/shard/op.h>

#include "drain_odds.h"
#include "engine_internal.h"
#include "reload.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define STALLED_LINES 4u /* about the region at fault */

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
        ASX_TRY(asx_reload(cx, engine));
        /* Pairs with the acquire in the control fibers. */
        asx_store_release(&engine->log_epoch, engine->log_epoch + 1);
        asxi_engine_ring_all(engine);
    }
}

static void say_draining(const asx_engine *engine, const asx_signal *got)
{
    const double seconds = (double)engine->seats[0].config->drain_timeout_ns / (double)ASX_NS_PER_S;
    uint64_t connections = 0, requests = 0;
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        asx_figures figures;
        asx_figures_read(engine, i, &figures);
        connections += figures.http.connections_open;
        requests += figures.http.requests_in_flight;
    }
    if (asx_load_acquire(&engine->failed)) {
        asxi_say("an app failed: draining %llu connections and %llu requests, %g s at most",
                 (unsigned long long)connections, (unsigned long long)requests, seconds);
    } else {
        asxi_say("SIG%s: draining %llu connections and %llu requests, %g s at most; again to "
                 "cancel at once",
                 sigabbrev_np(got->number), (unsigned long long)connections,
                 (unsigned long long)requests, seconds);
    }
}

static void say_progress(const asx_engine *engine, asx_instant now_ns)
{
    const double took_s =
        (double)asx_time_sub(now_ns, engine->drain_began_ns) / (double)ASX_NS_PER_S;
    char estimate[64] = "no end in sight";
    asx_drain_figures sum;
    asx_figures_drain(engine, &sum);
    if (sum.left_ns != UINT64_MAX) {
        snprintf(estimate, sizeof(estimate), "over in about %.1f s",
                 (double)sum.left_ns / (double)ASX_NS_PER_S);
    }
    asxi_say("draining for %.0f s, %s: %llu tasks and %llu obligations left, %s", took_s,
             asx_drain_phase_name((asx_drain_phase)sum.phase), (unsigned long long)sum.tasks,
             (unsigned long long)sum.obligations, estimate);
}

/* What cuts the drain short; meanwhile it is told now and then how far it is.
 *
 * errors  TIMED_OUT at `until_ns` */
static asx_outcome await_drained(asx_cx *cx, asx_engine *engine, asx_instant until_ns,
                                 asx_signal *got)
{
    for (;;) {
        const asx_instant tell_ns = asx_time_add(asx_now(cx), ASX_DRAIN_TELL);
        const asx_outcome next =
            next_ending(cx, engine, tell_ns < until_ns ? tell_ns : until_ns, got);
        const bool is_late = next.severity == ASX_SEVERITY_ERR && next.err == ASX_E(TIMED_OUT);
        if (!is_late || tell_ns >= until_ns) {
            return next;
        }
        ASX_TRY(asx_figures_refresh(cx, engine));
        say_progress(engine, asx_now(cx));
    }
}

asx_outcome asxi_drain_body(asx_cx *cx, void *arg)
{
    asx_engine *const engine = (*(asxi_seat **)arg)->engine;
    asx_signal got;
    ASX_TRY(next_ending(cx, engine, ASX_TIME_NEVER, &got));
    engine->drain_began_ns = asx_now(cx);
    ASX_TRY(asx_figures_refresh(cx, engine));
    say_draining(engine, &got);
    asxi_engine_phase_set(engine, ASX_ENGINE_DRAINING);
    asx_instant until_ns =
        asx_time_add(engine->drain_began_ns, engine->seats[0].config->drain_timeout_ns);
    asx_outcome next = await_drained(cx, engine, until_ns, &got);
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

/* What the watch saw last, for who asks. */
static void watch_note(asxi_seat *seat, const asx_drain *drain, const asx_drain_left *left,
                       asx_instant now_ns, asx_instant until_ns)
{
    asx_drain_figures *const figures = &seat->drain;
    const uint64_t looks = asx_drain_looks_left(drain);
    const asx_drain_odds odds =
        asx_drain_odds_of(drain, asx_time_sub(until_ns, now_ns) / ASX_DRAIN_LOOK);
    const asx_drain_phase phase = asx_drain_phase_of(drain);
    const bool has_stalled = phase == ASX_DRAIN_STALLED && figures->phase != ASX_DRAIN_STALLED;
    *figures = (asx_drain_figures){
        .draining = 1,
        .phase = phase,
        .potential = drain->last,
        .stalls = figures->stalls + has_stalled,
        .tasks = left->tasks,
        .obligations = left->obligations,
        .operations = left->operations,
        .regions = left->regions,
        .left_ns = looks > UINT64_MAX / ASX_DRAIN_LOOK ? UINT64_MAX : looks * ASX_DRAIN_LOOK,
        .worst_ppm = (uint64_t)(odds.worst * 1e6),
        .likely_ppm = (uint64_t)(odds.likely * 1e6),
    };
}

static void say_line(void *arg, const char *line)
{
    const asxi_seat *const seat = arg;
    asxi_say("shard %u: %s", seat->index, line);
}

static void say_stalled(asxi_seat *seat, const asx_drain_left *left)
{
    asxi_say("shard %u: the drain has stalled: %llu tasks and %llu obligations in %llu regions",
             seat->index, (unsigned long long)left->tasks, (unsigned long long)left->obligations,
             (unsigned long long)left->regions);
    const asx_err err = asx_explain(seat->shard, left->heaviest, STALLED_LINES, say_line, seat);
    asx_maybe(err == ASX_OK); /* what ended meanwhile has nothing to say */
}

void asxi_drain_over(asxi_seat *seat)
{
    if (asx_load_acquire(&seat->engine->phase) != ASX_ENGINE_RUNNING) {
        seat->drain = (asx_drain_figures){ .draining = 1,
                                           .phase = ASX_DRAIN_QUIESCENT,
                                           .stalls = seat->drain.stalls };
    }
    asxi_figures_publish(seat);
    /* Pairs with the acquire of whoever would wait for the next publication. */
    asx_store_release(&seat->over, 1u);
}

asx_outcome asxi_drain_watch_body(asx_cx *cx, void *arg)
{
    asxi_seat *const seat = *(asxi_seat **)arg;
    const asx_handle root = asx_region_handle(asx_shard_root(seat->shard));
    const asx_instant began_ns = asx_now(cx);
    const asx_instant until_ns = asx_time_add(began_ns, seat->config->drain_timeout_ns);
    asx_drain drain = { 0 };
    asx_drain_left left;
    for (;;) {
        ASX_TRY(asx_drain_look(cx, root, asx_cx_region(cx), began_ns, &left));
        asx_drain_observe(&drain, asx_drain_potential(&left));
        const uint64_t stalls = seat->drain.stalls;
        watch_note(seat, &drain, &left, asx_now(cx), until_ns);
        if (seat->drain.stalls > stalls) {
            say_stalled(seat, &left);
        }
        ASX_TRY(asx_sleep(cx, ASX_DRAIN_LOOK));
    }
}
