/* The faults themselves. A draw is keyed by the shard, the kind and how many turns, operations or
 * looks the shard has had, so that none depends on another. */
#include <asx/lab/chaos.h>
#include <asx/lab/vdriver.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/disturb.h>
#include <asx/shard/inspect.h>

#include "world_internal.h"

#include <errno.h>

#define NODES_MAX 100000u
#define ALLOC_AHEAD 4u             /* the refused chunk is one of the next few */
#define DETAIL (UINT64_C(1) << 32) /* in a key: what a fault is like, not whether it comes up */

/* Where a fault came up; in the trace. */
enum {
    POINT_TURN = 0,
    POINT_OP,
    POINT_RING,
    POINT_AWAIT,
    POINT_TRANSFER,
};

/* A kind's own draw. A draw has eight lanes; the kinds beyond them draw of other objects. */
static uint64_t draw_of(const asx_lab_world *world, uint32_t kind, uint64_t object, uint64_t at)
{
    return asx_lab_draw(&world->rand, ASX_LAB_CHAOS, object + 4 * DETAIL * (kind / 8), at,
                        kind % 8);
}

static uint64_t detail(const asx_lab_world *world, asx_chaos_kind kind, uint64_t shard, uint64_t at)
{
    return draw_of(world, kind, DETAIL | shard, at);
}

/* Asks the run whether what the draw brought up happens: the list of a replay may say no. */
static bool confirm(asx_lab_world *world, uint32_t site, uint64_t object)
{
    const asx_lab_pick_info info = { .step = world->steps, .given = 1 + 1 };
    const uint32_t chosen = asx_lab_choose(world->choices, site, 2, object, &info);
    const uint64_t words[] = { site, 2, chosen, object };
    asxi_recorder_emit(&world->recorder, ASXI_WORLD_SHARD, ASX_TRACE_CHOICE, words,
                       asx_array_count(words));
    return chosen != 0;
}

static bool comes_up(asx_lab_world *world, asx_chaos_kind kind, uint32_t shard, uint64_t at)
{
    const uint32_t ppm = world->chaos.ppm[kind];
    if (ppm == 0) {
        return false;
    }
    if (ppm < 1000000 && !asx_lab_draw_hits(draw_of(world, kind, shard, at), ppm)) {
        return false;
    }
    return confirm(world, ASX_CHOICE_FAULT, (uint64_t)kind << 56 | (uint64_t)shard << 48 | at);
}

static void tell(asx_lab_world *world, uint32_t shard, uint64_t point, asx_chaos_kind kind,
                 uint64_t task, uint64_t arg)
{
    const uint64_t words[] = { point, kind, task, arg };
    world->chaos.stats.injected[kind]++;
    asxi_recorder_emit(&world->recorder, shard, ASX_TRACE_CHAOS, words, asx_array_count(words));
}

/* The nth live task, or how many there are. */
typedef struct search {
    uint64_t nth, seen;
    asx_handle found;
} search;

static void search_visit(void *arg, const asx_inspect_node *node)
{
    search *const self = arg;
    if (node->kind == ASX_INSPECT_TASK && self->seen++ == self->nth) {
        self->found = node->handle;
    }
}

/* False: no task is alive. */
static bool any_task(asx_shard *shard, uint64_t draw, asx_handle *task)
{
    search count = { .nth = UINT64_MAX };
    if (!asx_shard_root(shard)) {
        return false;
    }
    (void)asx_inspect(shard, NODES_MAX, search_visit, &count);
    if (count.seen == 0) {
        return false;
    }
    search pick = { .nth = asx_lab_draw_below(draw, count.seen) };
    (void)asx_inspect(shard, NODES_MAX, search_visit, &pick);
    *task = pick.found;
    return true;
}

static void cancel_any(asx_lab_world *world, asx_chaos_kind kind, uint32_t index, uint64_t at)
{
    asx_shard *const shard = world->seats[index].shard;
    const bool polls = kind == ASX_CHAOS_BUDGET;
    asx_handle task;
    if (any_task(shard, detail(world, kind, index, at), &task) &&
        asx_disturb_cancel(shard, task, polls ? ASX_CANCEL_POLL_QUOTA : ASX_CANCEL_USER,
                           polls ? "chaos: out of polls" : "chaos")) {
        tell(world, index, POINT_TURN, kind, asx_trace_id(task), 0);
    }
}

static void wake_some(asx_lab_world *world, asx_chaos_kind kind, uint32_t index, uint64_t at)
{
    asx_shard *const shard = world->seats[index].shard;
    const uint32_t most = world->config.chaos.storm_max ? world->config.chaos.storm_max : 4;
    const uint64_t draw = detail(world, kind, index, at);
    const uint64_t count = kind == ASX_CHAOS_STORM ? 1 + asx_lab_draw_below(draw, most) : 1;
    for (uint64_t i = 0; i < count; i++) {
        asx_handle task;
        const uint64_t which = draw_of(world, kind, 2 * DETAIL | index, at << 16 | i);
        if (any_task(shard, which, &task) && asx_disturb_wake(shard, task)) {
            world->chaos.stats.wakes++;
            tell(world, index, POINT_TURN, kind, asx_trace_id(task), i);
        }
    }
}

static void jump(asx_lab_world *world, uint32_t index, uint64_t at)
{
    const asx_duration ns = 1 + asx_lab_draw_below(detail(world, ASX_CHAOS_JUMP, index, at),
                                                   world->config.chaos.jump_max_ns);
    asx_vdriver_clock_jump(world->seats[index].driver, ns);
    world->chaos.stats.jumped_ns += ns;
    tell(world, index, POINT_TURN, ASX_CHAOS_JUMP, 0, ns);
}

/* From the next step on. */
static void stall(asx_lab_world *world, uint32_t index, uint64_t at)
{
    const uint32_t most = world->config.chaos.stall_max ? world->config.chaos.stall_max : 8;
    const uint32_t steps =
        1 + (uint32_t)asx_lab_draw_below(detail(world, ASX_CHAOS_STALL, index, at), most);
    world->chaos.stalled[index] = steps;
    tell(world, index, POINT_TURN, ASX_CHAOS_STALL, 0, steps);
}

uint32_t asxi_chaos_stall(asx_lab_world *world, uint32_t *list, uint32_t n)
{
    uint32_t *const stalled = world->chaos.stalled;
    uint32_t left = 0;
    if (world->chaos.ppm[ASX_CHAOS_STALL] == 0) {
        return n;
    }
    for (uint32_t i = 0; i < n; i++) {
        if (stalled[list[i]] == 0 || world->tearing_down) {
            list[left++] = list[i];
        }
    }
    for (uint32_t i = 0; i < world->config.shards; i++) {
        stalled[i] = left == 0 ? 0 : stalled[i] - (stalled[i] > 0);
    }
    return left == 0 ? n : left; /* none was left out of the list before any was kept */
}

static bool healed(const asx_lab_world *world)
{
    const asx_instant heal_at_ns = world->config.chaos.heal_at_ns;
    return heal_at_ns > 0 && world->env.now_ns >= heal_at_ns;
}

/* The program must have begun, or there would be nobody to close its root. */
static bool begun(const asx_lab_world *world)
{
    return !world->main.app || world->main.began;
}

asx_duration asxi_chaos_before(asx_lab_world *world, uint32_t index)
{
    asxi_chaos *const chaos = &world->chaos;
    if (!chaos->on || world->tearing_down || !begun(world) || healed(world)) {
        return 0;
    }
    const uint64_t at = ++chaos->turns[index];
    asx_duration late_ns = 0;
    chaos->stats.points++;
    if (index == 0 && at == 1 && world->config.chaos.alloc_nth > 0) {
        asx_disturb_alloc(world->seats[0].shard, world->config.chaos.alloc_nth);
        tell(world, 0, POINT_TURN, ASX_CHAOS_ALLOC, 0, world->config.chaos.alloc_nth);
    }
    if (comes_up(world, ASX_CHAOS_CANCEL, index, at)) {
        cancel_any(world, ASX_CHAOS_CANCEL, index, at);
    }
    if (comes_up(world, ASX_CHAOS_DELAY, index, at)) {
        late_ns = 1 + asx_lab_draw_below(detail(world, ASX_CHAOS_DELAY, index, at),
                                         world->config.chaos.delay_max_ns);
        chaos->stats.delay_ns += late_ns;
        tell(world, index, POINT_TURN, ASX_CHAOS_DELAY, 0, late_ns);
    }
    if (comes_up(world, ASX_CHAOS_BUDGET, index, at)) {
        cancel_any(world, ASX_CHAOS_BUDGET, index, at);
    }
    if (comes_up(world, ASX_CHAOS_STORM, index, at)) {
        wake_some(world, ASX_CHAOS_STORM, index, at);
    }
    if (comes_up(world, ASX_CHAOS_WAKE, index, at)) {
        wake_some(world, ASX_CHAOS_WAKE, index, at);
    }
    if (comes_up(world, ASX_CHAOS_STALL, index, at)) {
        stall(world, index, at);
    }
    if (comes_up(world, ASX_CHAOS_JUMP, index, at)) {
        jump(world, index, at);
    }
    if (comes_up(world, ASX_CHAOS_ALLOC, index, at)) {
        const uint64_t nth =
            1 + asx_lab_draw_below(detail(world, ASX_CHAOS_ALLOC, index, at), ALLOC_AHEAD);
        asx_disturb_alloc(world->seats[index].shard, nth);
        tell(world, index, POINT_TURN, ASX_CHAOS_ALLOC, 0, nth);
    }
    return late_ns;
}

/* Who came to the await point is cancelled before anything else happens. */
static void cancel_awaiting(asx_lab_world *world)
{
    const uint64_t id = world->chaos.await_task;
    const uint32_t index = (uint32_t)(id >> 56);
    world->chaos.await_task = 0;
    asx_assert_lt(index, world->config.shards);
    if (!confirm(world, ASX_CHOICE_CANCELPT, world->config.chaos.await_point)) {
        return;
    }
    const asx_handle task = { .index = (uint32_t)(id >> 32) & 0xffffff,
                              .generation = (uint32_t)id,
                              .shard = (uint16_t)index,
                              .kind = ASX_HANDLE_TASK };
    world->chaos.stats.await_hit = true;
    if (asx_disturb_cancel(world->seats[index].shard, task, ASX_CANCEL_USER, "await point")) {
        tell(world, index, POINT_AWAIT, ASX_CHAOS_CANCEL, id, world->config.chaos.await_point);
        world->seats[index].busy = true;
    }
}

void asxi_chaos_after(asx_lab_world *world, uint32_t index)
{
    if (world->tearing_down) {
        return;
    }
    if (world->chaos.ppm[ASX_CHAOS_ALLOC] > 0) {
        asx_disturb_alloc(world->seats[index].shard, 0);
    }
    if (world->chaos.await_task != 0) {
        cancel_awaiting(world);
    }
}

void asxi_chaos_hear(asx_lab_world *world, asx_trace_kind kind, const uint64_t *words)
{
    asxi_chaos *const chaos = &world->chaos;
    if ((kind == ASX_TRACE_TASK_SPAWN || kind == ASX_TRACE_TASK_BLOCK ||
         kind == ASX_TRACE_TASK_YIELD) &&
        !world->tearing_down && begun(world) &&
        ++chaos->stats.await_points == world->config.chaos.await_point) {
        chaos->await_task = words[0];
    }
}

bool asxi_chaos_ring_full(asx_lab_world *world, uint64_t ring)
{
    asxi_chaos *const chaos = &world->chaos;
    if (!chaos->on || chaos->ppm[ASX_CHAOS_RING] == 0 || world->tearing_down || healed(world)) {
        return false;
    }
    const uint32_t from = (uint32_t)(ring >> 16) & (ASXI_CHAOS_SHARDS_MAX - 1);
    chaos->stats.points++;
    if (!comes_up(world, ASX_CHAOS_RING, from, ++chaos->looks[from])) {
        return false;
    }
    tell(world, from, POINT_RING, ASX_CHAOS_RING, 0, ring);
    return true;
}

static int error_of(const asx_lab_world *world, uint64_t draw, bool disk)
{
    static const int errors[] = { ECONNRESET,   ETIMEDOUT,    EAGAIN, /* wide: */
                                  ECONNREFUSED, ECONNABORTED, EPIPE,  ENOTCONN };
    const uint32_t count = world->config.chaos.wide_errors ? asx_array_count(errors) : 3;
    return disk ? EIO : errors[asx_lab_draw_below(draw, count)];
}

/* What ends something, and what needs no device, is left alone: a close that fails still closes. */
static asx_err env_fault(asx_lab_env *env, uint32_t shard, asx_op_code code)
{
    asx_lab_world *const world = asx_container_of(env, asx_lab_world, env);
    asxi_chaos *const chaos = &world->chaos;
    if (code == ASX_OP_CLOSE || code == ASX_OP_SHUTDOWN || code == ASX_OP_TASK ||
        code == ASX_OP_POLL || world->tearing_down || healed(world)) {
        return ASX_OK;
    }
    const uint64_t at = ++chaos->ops[shard];
    chaos->stats.points++;
    if (!comes_up(world, ASX_CHAOS_IO, shard, at)) {
        return ASX_OK;
    }
    const bool disk = code == ASX_OP_OPEN || code == ASX_OP_STAT || code == ASX_OP_READ ||
                      code == ASX_OP_WRITE || code == ASX_OP_FSYNC || code == ASX_OP_SENDFILE;
    const int err = error_of(world, detail(world, ASX_CHAOS_IO, shard, at), disk);
    tell(world, shard, POINT_OP, ASX_CHAOS_IO, code, (uint64_t)err);
    return asx_err_errno(err);
}

static uint32_t env_shorten(asx_lab_env *env, uint32_t shard, uint32_t len)
{
    asx_lab_world *const world = asx_container_of(env, asx_lab_world, env);
    asxi_chaos *const chaos = &world->chaos;
    if (world->tearing_down || healed(world)) {
        return len;
    }
    const uint64_t at = ++chaos->transfers[shard];
    chaos->stats.points++;
    if (!comes_up(world, ASX_CHAOS_SHORT, shard, at)) {
        return len;
    }
    const uint32_t some =
        1 + (uint32_t)asx_lab_draw_below(detail(world, ASX_CHAOS_SHORT, shard, at), len - 1);
    tell(world, shard, POINT_TRANSFER, ASX_CHAOS_SHORT, 0, some);
    return some;
}

void asxi_chaos_open(asx_lab_world *world)
{
    const asx_chaos_config *const config = &world->config.chaos;
    asxi_chaos *const chaos = &world->chaos;
    for (uint32_t kind = 0; kind < ASX_CHAOS_KIND_COUNT; kind++) {
        const bool out = config->swarm && (draw_of(world, kind, UINT64_MAX, 0) >> 63) != 0;
        chaos->ppm[kind] = out ? 0 : config->ppm[kind];
        chaos->on |= chaos->ppm[kind] > 0;
    }
    if (chaos->ppm[ASX_CHAOS_IO] > 0) {
        world->env.fault = env_fault;
    }
    if (chaos->ppm[ASX_CHAOS_SHORT] > 0) {
        world->env.shorten = env_shorten;
    }
    chaos->on |= config->alloc_nth > 0;
}

void asxi_chaos_close(asx_lab_world *world)
{
    world->env.fault = NULL;
    world->env.shorten = NULL;
    for (uint32_t i = 0; i < world->config.shards; i++) {
        asx_disturb_alloc(world->seats[i].shard, 0);
    }
}
