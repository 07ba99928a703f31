/* The run loop. What a run answers to its devices and what is left of it: world_env.c, world_end.c.
 */
#include <asx/lab/ambient.h>
#include <asx/lab/vdriver.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"
#include "world_internal.h"

static bool over(asx_lab_world *world, asx_lab_termination termination)
{
    if (!world->over) {
        world->over = true;
        world->termination = termination;
    }
    return false;
}

asx_lab_env *asx_lab_world_env(asx_lab_world *world)
{
    return &world->env;
}

asx_shard *asx_lab_world_shard(asx_lab_world *world, uint32_t index)
{
    asx_assert_lt(index, world->config.shards);
    return world->seats[index].shard;
}

asx_mesh *asx_lab_world_mesh(asx_lab_world *world)
{
    return world->mesh;
}

void asx_lab_world_hold(asx_lab_world *world, uint32_t shard, bool held)
{
    asx_assert_lt(shard, world->config.shards);
    world->seats[shard].held = held;
}

/* When the seat wants to go on. A bell is heard once, by whoever asks: the seat remembers it. */
static asx_instant wants(asx_lab_world *world, asxi_seat *seat)
{
    const asx_instant wants_ns = asx_vdriver_wants(seat->driver);
    seat->busy |= wants_ns <= world->env.now_ns;
    return wants_ns;
}

static bool runnable(asx_lab_world *world, asxi_seat *seat)
{
    if (seat->held && !world->tearing_down) {
        return false;
    }
    return seat->busy || wants(world, seat) <= world->env.now_ns;
}

/* Those that can take a turn, in production's order: round robin after the last. */
static uint32_t runnable_list(asx_lab_world *world, uint32_t *list)
{
    const uint32_t count = world->config.shards;
    uint32_t n = 0;
    for (uint32_t i = 1; i <= count; i++) {
        const uint32_t index = (world->last + i) % count;
        if (runnable(world, &world->seats[index])) {
            list[n++] = index;
        }
    }
    return n;
}

static void clock_move(asx_lab_world *world, asx_instant to_ns, asxi_advance_why why)
{
    const uint64_t words[] = { world->env.now_ns, to_ns, why };
    asx_assert_le(world->env.now_ns, to_ns);
    world->env.now_ns = to_ns;
    world->time_advances += why != ASXI_ADVANCE_COST;
    world->spin_advances += why == ASXI_ADVANCE_SPIN;
    asxi_recorder_emit(&world->recorder, ASXI_WORLD_SHARD, ASX_TRACE_TIME_ADVANCE, words,
                       asx_array_count(words));
}

static bool clock_jump(asx_lab_world *world, asx_instant to_ns, asxi_advance_why why)
{
    const asx_lab_config *const config = &world->config;
    if (!world->tearing_down) {
        if (config->no_auto_advance) {
            return over(world, ASX_LAB_STOPPED);
        }
        if (config->max_vtime_ns > 0 &&
            to_ns > asx_time_add(config->start_ns, config->max_vtime_ns)) {
            return over(world, ASX_LAB_VTIME_LIMIT);
        }
    }
    clock_move(world, to_ns, why);
    return true;
}

/* The first instant at which a shard that cannot go on now wants to. */
static asx_instant next_wanted(asx_lab_world *world)
{
    asx_instant next_ns = ASX_TIME_NEVER;
    for (uint32_t i = 0; i < world->config.shards; i++) {
        asxi_seat *const seat = &world->seats[i];
        if (!seat->held || world->tearing_down) {
            const asx_instant wants_ns = wants(world, seat);
            next_ns = wants_ns < next_ns ? wants_ns : next_ns;
        }
    }
    return next_ns;
}

/* The first instant after now at which anything is due, whoever is runnable. */
static asx_instant next_due(asx_lab_world *world)
{
    asx_instant next_ns = ASX_TIME_NEVER;
    for (uint32_t i = 0; i < world->config.shards; i++) {
        asxi_seat *const seat = &world->seats[i];
        asx_instant due_ns = asx_shard_next_due(seat->shard);
        if (seat->busy) {
            seat->driver->ops->park(seat->driver, ASX_TIME_NEVER); /* what devices alone want */
        }
        const asx_instant wants_ns = wants(world, seat);
        due_ns = wants_ns < due_ns ? wants_ns : due_ns;
        if (due_ns > world->env.now_ns && due_ns < next_ns) {
            next_ns = due_ns;
        }
    }
    return next_ns;
}

static void park(asx_lab_world *world, uint32_t index)
{
    asxi_seat *const seat = &world->seats[index];
    asx_shard_park(seat->shard);
    const asx_instant wants_ns = wants(world, seat);
    if (wants_ns <= world->env.now_ns) {
        return;
    }
    /* In the lab, park returns at once; the sleep goes on until the next turn. */
    asx_mesh_sleep_begin(world->mesh, index);
    seat->asleep = true;
    const uint64_t words[] = { index, wants_ns };
    asxi_recorder_emit(&world->recorder, index, ASX_TRACE_SHARD_PARK, words,
                       asx_array_count(words));
}

static void unpark(asx_lab_world *world, uint32_t index)
{
    asxi_seat *const seat = &world->seats[index];
    if (seat->asleep) {
        const uint64_t words[] = { index, world->env.now_ns };
        seat->asleep = false;
        asx_mesh_sleep_end(world->mesh, index);
        asxi_recorder_emit(&world->recorder, index, ASX_TRACE_SHARD_UNPARK, words,
                           asx_array_count(words));
    }
}

static void turn(asx_lab_world *world, uint32_t index)
{
    asxi_seat *const seat = &world->seats[index];
    const uint64_t *const dispatches = &world->recorder.by_kind[ASX_TRACE_TASK_DISPATCH];
    const uint64_t before = *dispatches;
    world->last = index;
    unpark(world, index);
    asx_lab_ambient_state()->inside = !world->tearing_down;
    asxi_recorder_turn(&world->recorder, index);
    seat->busy = asx_shard_turn(seat->shard);
    asxi_recorder_turn(&world->recorder, ASX_LAB_NO_TURN);
    asx_lab_ambient_state()->inside = false;
    if (!seat->busy) {
        park(world, index);
    }
    const uint64_t cost_ns = asx_time_mul(*dispatches - before, world->config.dispatch_cost_ns);
    if (cost_ns > 0) {
        clock_move(world, asx_time_add(world->env.now_ns, cost_ns), ASXI_ADVANCE_COST);
    }
}

/* True while tasks do something else than yield, or time could be moved. */
static bool spin_watch(asx_lab_world *world, uint64_t moves, uint64_t dispatches)
{
    const bool spun = world->recorder.moves == moves &&
                      world->recorder.by_kind[ASX_TRACE_TASK_DISPATCH] > dispatches;
    world->spun = spun ? world->spun + 1 : 0;
    if (world->spun < world->config.spin_limit) {
        return true;
    }
    world->spun = 0;
    const asx_instant next_ns = next_due(world);
    return next_ns == ASX_TIME_NEVER || clock_jump(world, next_ns, ASXI_ADVANCE_SPIN);
}

/* The implicit observation of every turn: what is in the rings to this shard. */
static void touch_inbox(asx_lab_world *world, uint32_t index)
{
    asx_lab_steer *const steer = world->recorder.steer;
    if (!steer || world->recorder.muted) {
        return;
    }
    for (uint32_t from = 0; from < world->config.shards; from++) {
        const uint64_t ring = (uint64_t)from << 16 | index;
        const asx_lab_access empty = { .object = ring, .resource = ASX_LAB_RES_RING_EDGE };
        const asx_lab_access count = { .object = ring, .resource = ASX_LAB_RES_RING_TAIL };
        steer->touch(steer, &empty);
        steer->touch(steer, &count); /* of which some may be hidden */
    }
}

static uint32_t choose_shard(asx_lab_world *world, const uint32_t *list, uint32_t n)
{
    asx_lab_steer *const steer = world->config.steer;
    world->asked = list;
    uint32_t k = 0;
    if (n > 1) {
        k = world->env.choose(&world->env, ASX_CHOICE_SHARD, n, 0);
    } else if (steer && !world->tearing_down) {
        (void)steer->turn(steer, list, 1); /* a strategy sees every step */
    }
    world->asked = NULL;
    return list[k];
}

static void snapshot(asx_lab_world *world)
{
    const uint64_t every = world->config.snapshot_every;
    if (every > 0 && world->steps % every == 0 && !world->tearing_down) {
        uint64_t words[4] = { world->steps / every };
        words[3] = asxi_world_state_hash(world, &words[1], &words[2]);
        asxi_recorder_emit(&world->recorder, ASXI_WORLD_SHARD, ASX_TRACE_CHECKPOINT, words,
                           asx_array_count(words));
    }
}

static bool stopped(const asx_lab_world *world)
{
    asx_lab_steer *const steer = world->config.steer;
    for (const asx_lab_listener *each = world->config.listeners; each; each = each->next) {
        if (each->stop) {
            return true;
        }
    }
    return asx_lab_choices_stopped(world->choices) ||
           (steer && steer->stopped && steer->stopped(steer));
}

static bool take_step(asx_lab_world *world)
{
    uint32_t list[ASX_LAB_SHARDS_MAX];
    const uint32_t n = asxi_chaos_stall(world, list, runnable_list(world, list));
    if (n == 0) {
        const asx_instant next_ns = next_wanted(world);
        if (next_ns == ASX_TIME_NEVER) {
            return over(world, ASX_LAB_QUIESCENT);
        }
        return clock_jump(world, next_ns, ASXI_ADVANCE_IDLE);
    }
    const uint64_t moves = world->recorder.moves;
    const uint64_t dispatches = world->recorder.by_kind[ASX_TRACE_TASK_DISPATCH];
    const uint32_t index = choose_shard(world, list, n);
    if (!world->tearing_down && stopped(world)) {
        return over(world, ASX_LAB_STOPPED);
    }
    const asx_duration late_ns = asxi_chaos_before(world, index);
    if (late_ns > 0) {
        clock_move(world, asx_time_add(world->env.now_ns, late_ns), ASXI_ADVANCE_CHAOS);
    }
    touch_inbox(world, index);
    turn(world, index);
    asxi_chaos_after(world, index);
    snapshot(world);
    return spin_watch(world, moves, dispatches);
}

bool asx_lab_world_step(asx_lab_world *world)
{
    if (world->over) {
        return false;
    }
    if (!world->tearing_down) {
        if (world->steps == world->config.max_steps) {
            return over(world, ASX_LAB_STEP_LIMIT);
        }
        world->steps++;
        world->recorder.step = world->steps;
    }
    const bool going = take_step(world);
    if (going && !world->tearing_down && stopped(world)) {
        return over(world, ASX_LAB_STOPPED);
    }
    return going;
}

static bool any_runnable(asx_lab_world *world)
{
    for (uint32_t i = 0; i < world->config.shards; i++) {
        if (runnable(world, &world->seats[i])) {
            return true;
        }
    }
    return false;
}

bool asx_lab_world_run_idle(asx_lab_world *world)
{
    while (any_runnable(world)) {
        if (!asx_lab_world_step(world)) {
            return false;
        }
    }
    return !world->over;
}

bool asx_lab_world_advance(asx_lab_world *world, asx_duration ns)
{
    const asx_instant until_ns = asx_time_add(world->env.now_ns, ns);
    while (asx_lab_world_run_idle(world)) {
        const asx_instant next_ns = next_wanted(world);
        if (next_ns > until_ns) {
            return world->env.now_ns == until_ns || clock_jump(world, until_ns, ASXI_ADVANCE_IDLE);
        }
        if (!asx_lab_world_step(world)) {
            return false;
        }
    }
    return false;
}

/* The program's end, by whatever path, is the root's. */
static void main_ended(asx_cx *cx, asx_defer *defer)
{
    asxi_lab_main *const self = asx_container_of(defer, asxi_lab_main, defer);
    asx_region *const root = asx_shard_root(asx_shard_of(cx));
    if (root) {
        asx_region_close_begin(root, ASX_CLOSE_JOIN, NULL);
        if (!self->returned || !asx_is_ok(self->outcome)) {
            asx_region_cancel(root, ASX_CANCEL_FAIL_FAST, "the program failed");
        }
    }
}

static void root_closed(asx_region_waiter *waiter, asx_outcome value)
{
    asxi_lab_main *const self = asx_container_of(waiter, asxi_lab_main, root_waiter);
    self->closed = true;
    if (!self->returned) {
        self->outcome = asx_outcome_retain(value);
    }
}

static asx_outcome main_body(asx_cx *cx, void *arg)
{
    asxi_lab_main *const self = arg;
    self->began = true;
    asx_defer_push(cx, &self->defer, main_ended);
    const asx_outcome outcome = self->app(cx, self->arg);
    self->outcome = asx_outcome_retain(outcome);
    self->returned = true;
    return outcome;
}

void asx_lab_world_start(asx_lab_world *world, asx_task_fn *app, void *arg)
{
    asx_assert(!world->main.app && app);
    world->main = (asxi_lab_main){ .world = world, .app = app, .arg = arg };
    world->main.root_waiter.fn = root_closed;
    asx_region_on_closed(asx_shard_root(world->seats[0].shard), &world->main.root_waiter);
    const asx_err err = asx_shard_start(world->seats[0].shard, main_body, &world->main, 0);
    asx_assert_eq(err, ASX_OK);
    world->seats[0].busy = true;
}
