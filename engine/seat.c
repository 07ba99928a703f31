/* A seat: the thread of one shard, its gate, its control fiber, and the app that it runs. */
#include <asx/shard/base/assert.h>
#include <asx/shard/deadline.h>
#include <asx/shard/explain.h>
#include <asx/shard/inspect.h>
#include <asx/shard/op.h>

#include "access_log.h"
#include "admin.h"
#include "engine_internal.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Of what a drain leaves: nodes looked at, requests named, lines about each. */
#define LEFT_NODES 65536u
#define LEFT_TOLD 3u
#define LEFT_LINES 4u

static void diagnose(ASX_UNUSED void *arg, asx_shard *shard, const char *text)
{
    asxi_say("shard %u: %s", asx_shard_index(shard), text);
}

static void app_cancel(asxi_seat *seat, const char *why)
{
    asx_region *region;
    if (asx_region_lookup(seat->shard, seat->app, &region) == ASX_OK) {
        asx_region_cancel(region, ASX_CANCEL_SHUTDOWN, why);
    }
}

typedef struct left {
    asxi_seat *seat;
    uint32_t told;
} left;

static void say_why(void *arg, const char *line)
{
    const left *const self = arg;
    asxi_say("shard %u: %s", self->seat->index, line);
}

static void visit_left(void *arg, const asx_inspect_node *node)
{
    left *const self = arg;
    if (node->kind == ASX_INSPECT_TASK && strcmp(node->label, "request") == 0 &&
        self->told < LEFT_TOLD &&
        asx_explain(self->seat->shard, node->handle, LEFT_LINES, say_why, self) == ASX_OK) {
        self->told++;
    }
}

/* Of the requests that the drain did not see end, the first say what they were waiting for. */
static void say_left(asxi_seat *seat)
{
    left self = { .seat = seat };
    (void)asx_inspect(seat->shard, LEFT_NODES, visit_left, &self);
}

static asx_err spawn_seat(asx_cx *cx, asx_region *region, asxi_seat *seat, asx_task_fn *fn,
                          const char *label)
{
    const asx_spawn_options options = { .label = label, .detached_result = true };
    asx_handle task;
    return asx_spawn(cx, region, fn, &seat, sizeof(seat), &options, &task);
}

static void watch_drain(asx_cx *cx, asxi_seat *seat)
{
    const asx_err err = spawn_seat(cx, NULL, seat, asxi_drain_watch_body, "drain");
    if (err) {
        char name[64];
        asxi_say("shard %u: nobody watches the drain: %s", seat->index,
                 asx_err_name(err, name, sizeof(name)));
    }
}

/* The seat looks at what the others want of it. */
static void heed_phase(asx_cx *cx, asxi_seat *seat)
{
    const uint32_t phase = asx_load_acquire(&seat->engine->phase);
    asx_http_stats http = { 0 };
    if (seat->phase_seen == phase) {
        return;
    }
    asxi_services_stats(seat, &http);
    if (seat->phase_seen < ASX_ENGINE_DRAINING) {
        seat->in_flight_at_drain = http.requests_in_flight;
        seat->connections_at_drain = http.connections_open;
        watch_drain(cx, seat);
        asxi_services_drain(seat);
        if (asx_list_empty(&seat->services)) {
            app_cancel(seat, "drain"); /* nothing that could be told to finish */
        }
    }
    if (phase == ASX_ENGINE_FORCING) {
        seat->in_flight_at_force = http.requests_in_flight;
        say_left(seat);
        app_cancel(seat, "drain budget spent");
    }
    seat->phase_seen = phase;
}

static void heed(asx_cx *cx, asxi_seat *seat)
{
    asx_engine *const engine = seat->engine;
    asxi_figures_publish(seat);
    asxi_report_answer(seat);
    heed_phase(cx, seat);
    asxi_reload_heed(cx, seat);
    const uint32_t log_epoch = asx_load_acquire(&engine->log_epoch);
    if (seat->log && log_epoch != seat->log_epoch_seen) {
        asx_access_log_reopen(seat->log);
    }
    seat->log_epoch_seen = log_epoch;
    if (seat->index == 0 && asx_load_acquire(&engine->apps_done) == engine->shard_count) {
        asx_event_set(&seat->all_done);
    }
}

static asx_outcome control_body(asx_cx *cx, void *arg)
{
    asxi_seat *const seat = *(asxi_seat **)arg;
    for (;;) {
        uint64_t rings;
        struct iovec iov = { .iov_base = &rings, .iov_len = sizeof(rings) };
        asx_op op = {
            .code = ASX_OP_READ, .fd = seat->bell, .iov = &iov, .iov_count = 1, .offset = UINT64_MAX
        };
        ASX_TRY(asx_op_await(cx, &op));
        heed(cx, seat);
    }
}

static asx_outcome deadlines_body(asx_cx *cx, ASX_UNUSED void *arg)
{
    const asx_deadline_config config = { 0 };
    return asx_deadline_watch(cx, &config);
}

/* What a seat runs beside its app: control and the watch over deadlines; on seat 0, signals and the
 * admin listener. */
static asx_err helpers_start(asx_cx *cx, asx_region *region, asxi_seat *seat)
{
    asx_engine *const engine = seat->engine;
    asx_err err = spawn_seat(cx, region, seat, control_body, "control");
    if (!err) {
        err = spawn_seat(cx, region, seat, deadlines_body, "deadlines");
    }
    if (!err && engine->config->access_log[0] != '\0') {
        err = asx_access_log_start(cx, region, engine->config->access_log, engine->epoch_unix_ns,
                                   &seat->log);
    }
    if (!err && seat->index == 0) {
        err = spawn_seat(cx, region, seat, asxi_drain_body, "signals");
        if (!err && engine->config->admin.count > 0) {
            err = spawn_seat(cx, region, seat, asxi_admin_body, "admin");
        }
    }
    return err;
}

static void app_over(asxi_seat *seat, asx_outcome outcome)
{
    asx_engine *const engine = seat->engine;
    const bool shutdown = asx_load_acquire(&engine->phase) != ASX_ENGINE_RUNNING;
    if (!asx_is_ok(outcome) && !(shutdown && outcome.severity == ASX_SEVERITY_CANCELLED)) {
        char name[64];
        asxi_say("shard %u: the app ended with %s%s%s", seat->index,
                 asx_severity_name((asx_severity)outcome.severity),
                 outcome.severity == ASX_SEVERITY_ERR ? ": " : "",
                 outcome.severity == ASX_SEVERITY_ERR
                     ? asx_err_name(outcome.err, name, sizeof(name))
                     : "");
        asx_store_release(&engine->failed, 1u);
        if (!shutdown) {
            kill(getpid(), SIGTERM); /* the others end in the same order as for anybody else */
        }
    }
    /* Pairs with the acquire in heed(): seat 0 ends the helpers behind the last app. */
    __atomic_fetch_add(&engine->apps_done, 1, __ATOMIC_ACQ_REL);
    asxi_seat_ring(&engine->seats[0]);
}

static asx_outcome app_run(asx_cx *cx, asxi_seat *seat)
{
    const asx_region_options options = { .policy = ASX_COLLECT_ALL, .label = "app" };
    const asx_spawn_options spawn = { .label = "app" };
    asx_region *region;
    asx_handle task;
    asx_err err = asx_region_open(cx, &options, &region);
    if (err) {
        return asx_fail(err);
    }
    seat->app = asx_region_handle(region);
    err = asx_spawn(cx, region, seat->engine->app, seat->engine, 0, &spawn, &task);
    const asx_outcome outcome = err ? asx_fail(err) : asx_outcome_retain(asx_join(cx, task));
    /* A cancelled region closes by itself when its last task ends: the pointer may be stale. */
    if (asx_region_lookup(seat->shard, seat->app, &region) == ASX_OK) {
        asx_region_close_begin(region, ASX_CLOSE_JOIN, NULL);
    }
    const asx_outcome closed = asx_region_close_wait(cx, seat->app);
    asx_maybe(asx_is_ok(closed)); /* what a descendant ended with, and answered for then */
    return outcome;
}

static asx_outcome seat_body(asx_cx *cx, void *arg)
{
    asxi_seat *const seat = arg;
    const asx_region_options options = { .policy = ASX_COLLECT_ALL, .label = "engine" };
    asx_region *helpers;
    asx_err err = asx_region_open(cx, &options, &helpers);
    if (err) {
        return asx_fail(err);
    }
    err = helpers_start(cx, helpers, seat);
    const asx_outcome outcome = err ? asx_fail(err) : app_run(cx, seat);
    app_over(seat, outcome);
    asx_outcome_release(outcome);
    asxi_drain_over(seat);
    if (seat->index == 0) {
        asx_event_wait_masked(cx, &seat->all_done, "the apps of the other shards");
        seat->engine->ended_at_ns = asx_now(cx);
    }
    const asx_handle handle = asx_region_handle(helpers);
    asx_region_close_begin(helpers, ASX_CLOSE_CANCEL, NULL);
    const asx_outcome closed = asx_region_close_wait(cx, handle);
    asx_maybe(asx_is_ok(closed)); /* cancelled, as asked */
    seat->log = NULL;
    return asx_ok(0);
}

/* Arrives at the gate and waits; true when it opens. */
static bool gate_pass(asx_engine *engine, asx_err err)
{
    pthread_mutex_lock(&engine->gate_lock);
    engine->gate_arrived++;
    if (err) {
        engine->gate = -1;
    } else if (engine->gate_arrived == engine->shard_count && engine->gate == 0) {
        engine->gate = 1;
    }
    pthread_cond_broadcast(&engine->gate_moved);
    while (engine->gate == 0) {
        pthread_cond_wait(&engine->gate_moved, &engine->gate_lock);
    }
    const bool open = engine->gate > 0;
    pthread_mutex_unlock(&engine->gate_lock);
    return open;
}

/* Where the shards' clock stands in Unix time, for dates in headers and logs: read once, so that a
 * step of the wall clock changes no order. */
static void epoch_read(asx_engine *engine, asx_instant now_ns)
{
    struct timespec wall;
    engine->booted_at_ns = now_ns;
    if (timespec_get(&wall, TIME_UTC) == TIME_UTC) {
        engine->epoch_unix_ns =
            asx_time_sub((uint64_t)wall.tv_sec * ASX_NS_PER_S + (uint64_t)wall.tv_nsec, now_ns);
    }
}

static asx_err seat_create(asxi_seat *seat)
{
    asx_engine *const engine = seat->engine;
    const asx_driver_choice choice =
        engine->driver == ASX_DRIVER_URING ? ASX_DRIVER_CHOICE_URING : ASX_DRIVER_CHOICE_EPOLL;
    const asx_driver_config driver_config = { .blocking = engine->blocking };
    asx_driver *driver;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(seat->core, &set);
    const int errnum = pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
    if (errnum != 0) {
        return asx_err_errno(errnum);
    }
    const asx_err err = asx_driver_create(choice, &driver_config, &driver, NULL, 0);
    if (err) {
        return err;
    }
    if (seat->index == 0) {
        epoch_read(engine, driver->ops->now(driver)); /* the others see it behind the gate */
    }
    const asx_shard_config config = {
        .index = seat->index,
        .mesh = engine->mesh,
        .driver = driver,
        .seed = engine->config->seed,
        .keep_cleanups = true,
        .diagnostic = diagnose,
    };
    const asx_err failed = asx_shard_create(&config, &seat->shard);
    if (!failed && engine->stalls) {
        asx_stall_watch_join(engine->stalls, seat->shard);
    }
    return failed;
}

static asx_outcome nothing(ASX_UNUSED asx_cx *cx, ASX_UNUSED void *arg)
{
    return asx_ok(0);
}

static void *seat_main(void *arg)
{
    asxi_seat *const seat = arg;
    seat->boot_err = seat_create(seat);
    const bool open = gate_pass(seat->engine, seat->boot_err);
    if (seat->boot_err) {
        return NULL;
    }
    (void)asx_shard_run(seat->shard, open ? seat_body : nothing, seat);
    if (seat->engine->stalls) {
        asx_stall_watch_leave(seat->engine->stalls, seat->shard);
    }
    asx_shard_destroy(seat->shard);
    return NULL;
}

bool asxi_seats_start(asx_engine *engine)
{
    char name[16];
    const asx_stall_config stalls = { 0 };
    if (asx_stall_watch_create(&stalls, &engine->stalls)) {
        engine->stalls = NULL;
    }
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        asxi_seat *const seat = &engine->seats[i];
        const int errnum = pthread_create(&seat->thread, NULL, seat_main, seat);
        if (errnum != 0) {
            asxi_say("cannot start a thread for shard %u: %s", i, strerrordesc_np(errnum));
            (void)gate_pass(engine, asx_err_errno(errnum));
            return false;
        }
        seat->started = true;
        snprintf(name, sizeof(name), "asx-%u", i);
        pthread_setname_np(seat->thread, name);
    }
    return true;
}

int asxi_seats_join(asx_engine *engine)
{
    int status = 0;
    char name[64];
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        asxi_seat *const seat = &engine->seats[i];
        if (!seat->started) {
            status = 2;
            continue;
        }
        pthread_join(seat->thread, NULL);
        if (seat->boot_err) {
            asxi_say("shard %u cannot start on core %u: %s", i, seat->core,
                     asx_err_name(seat->boot_err, name, sizeof(name)));
            status = 2;
        }
    }
    if (engine->stalls) {
        asx_stall_watch_destroy(engine->stalls);
        engine->stalls = NULL;
    }
    return status;
}
