/* The turn of the loop, and nothing else but what makes and unmakes a shard. */
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>
#include <asx/shard/shard.h>

#include "migrate_internal.h"
#include "shard_internal.h"

#include <stdlib.h>
#include <string.h>

static void lane_init(asxi_lane_queue *queue)
{
    for (unsigned p = 0; p < ASXI_PRIORITY_COUNT; p++) {
        asx_list_init(&queue->fifo[p]);
    }
}

static void root_closed(asx_region_waiter *waiter, asx_outcome value)
{
    asx_shard *const shard = asx_container_of(waiter, asx_shard, root_waiter);
    shard->root = NULL;
    shard->root_closed = true;
    shard->root_value = asx_outcome_retain(value);
}

static asx_err root_open(asx_shard *shard, uint64_t seed)
{
    const asx_region_options options = { .policy = ASX_COLLECT_ALL, .label = "root" };
    const asx_err err = asxi_region_create(shard, NULL, &options, ASX_CAP_ALL, &shard->root);
    if (err) {
        return err;
    }
    if (seed == 0) {
        shard->driver->ops->entropy(shard->driver, &seed, sizeof(seed));
    }
    shard->root->entropy = seed + shard->index;
    shard->root_waiter.fn = root_closed;
    asx_region_on_closed(shard->root, &shard->root_waiter);
    return ASX_OK;
}

static void bell_rung(void *arg)
{
    asx_driver *const driver = arg;
    driver->ops->wake(driver);
}

/* What not every shard has. */
static asx_err parts_create(asx_shard *shard, const asx_shard_config *config)
{
    asx_err err = config->keep_cleanups ? asxi_cleanups_create(shard) : ASX_OK;
    if (!err && shard->mesh) {
        asx_mesh_attach(shard->mesh, shard->index, bell_rung, shard->driver);
        err = asxi_limbs_create(shard);
        if (!err) {
            err = asxi_mail_create(shard);
        }
    }
    return err;
}

asx_err asx_shard_create(const asx_shard_config *config, asx_shard **out)
{
    asx_shard *const shard =
        aligned_alloc(ASX_CACHE_PAIR, asx_align_up(sizeof(*shard), ASX_CACHE_PAIR));
    if (!shard) {
        config->driver->ops->destroy(config->driver);
        return ASX_E(NO_MEMORY);
    }
    memset(shard, 0, sizeof(*shard));
    shard->driver = config->driver;
    shard->trace = config->trace;
    shard->turn_dispatch_max =
        config->turn_dispatch_max ? config->turn_dispatch_max : ASX_TURN_DISPATCH_MAX;
    shard->mesh = config->mesh;
    shard->index = config->index;
    shard->leak_response = config->leak_response;
    shard->leak_threshold = config->leak_threshold;
    shard->leak_escalation = config->leak_escalation;
    shard->edf_horizon_ns = config->edf_horizon_ns ? config->edf_horizon_ns : ASX_EDF_HORIZON_NS;
    shard->slice_ns = config->slice_ns ? config->slice_ns : ASX_TURN_SLICE_NS;
    shard->slice_gap = 1;
    shard->diagnostic = config->diagnostic;
    shard->diagnostic_arg = config->diagnostic_arg;
    shard->sched.plain_priority = ASXI_PRIORITY_COUNT;
    shard->sched.streak_max = config->cancel_streak ? config->cancel_streak : ASX_CANCEL_STREAK_MAX;
    shard->sched.chooses = config->driver->ops->choose != NULL;
    lane_init(&shard->sched.ready);
    lane_init(&shard->sched.cancel);
    asx_list_init(&shard->late_expiries);
    asx_list_init(&shard->turn_ends);
    asx_list_init(&shard->advancing);
    const asx_chunk_config chunk_config = { .bytes_max = config->heap_bytes_max, .numa_node = -1 };
    asx_chunk_source_init(&shard->chunks, &chunk_config);
    const asx_stack_config stack_config = {
        .count_max = config->stack_pool_max,
        .guard_bytes = ASX_STACK_YELLOW_BYTES + 1, /* and a page that stays shut */
    };
    asx_stack_pool_init(&shard->stacks, &stack_config);
    asx_handle_table_init(&shard->tasks, ASX_HANDLE_TASK, (uint16_t)shard->index, sizeof(asx_task),
                          &shard->chunks, ASX_TASK_COUNT_MAX);
    asx_handle_table_init(&shard->regions, ASX_HANDLE_REGION, (uint16_t)shard->index,
                          sizeof(asx_region), &shard->chunks, ASX_REGION_COUNT_MAX);
    asxi_obligation_table_init(shard);
    shard->now_ns = shard->driver->ops->now(shard->driver);
    asx_timer_wheel_init(&shard->wheel, shard->now_ns);
    asx_timer_wheel_shape(&shard->wheel, &config->timers);
    shard->wheel._shard = shard;
    asxi_panic_install();
    asxi_panic_thread_enter(shard);
    asx_fiber_init_thread(&shard->thread_fiber);
    asx_err err = root_open(shard, config->seed);
    if (!err) {
        err = parts_create(shard, config);
        if (err) {
            asx_region_close_begin(shard->root, ASX_CLOSE_CANCEL, NULL);
        }
    }
    if (err) {
        shard->root_closed = true;
        asx_shard_destroy(shard);
        return err;
    }
    *out = shard;
    return ASX_OK;
}

bool asxi_slice_look(asx_shard *shard)
{
    shard->slice_looked_ns = shard->driver->ops->now(shard->driver);
    if (shard->slice_looked_ns >= asx_time_add(shard->now_ns, shard->slice_ns)) {
        shard->stats.slices_spent += !shard->slice_over;
        shard->slice_over = true;
        shard->slice_left = 1;
    }
    return shard->slice_over;
}

static uint64_t steps_run(const asx_shard *shard)
{
    return shard->sched.taken - shard->sched.requeued;
}

static void steps_look(asx_shard *shard, asx_instant now_ns)
{
    shard->steps_from_ns = now_ns;
    shard->steps_seen = steps_run(shard);
}

/* What ran since the last look took until now. */
static void steps_time(asx_shard *shard, asx_instant now_ns)
{
    const uint64_t count = steps_run(shard) - shard->steps_seen;
    if (shard->steps_from_ns != 0 && count > 0) {
        const asx_duration took_ns = asx_time_sub(now_ns, shard->steps_from_ns);
        const uint64_t mean_ns = took_ns / count;
        const uint64_t each = mean_ns > 0 ? (mean_ns - 1) / ASX_SHARD_STEP_FIRST_NS : 0;
        const unsigned last = ASX_SHARD_STEP_BUCKETS - 1;
        const unsigned bucket = each == 0 ? 0 : (65 - (unsigned)__builtin_clzll(each)) / 2;
        shard->stats.step_buckets[bucket < last ? bucket : last] += count;
        shard->stats.step_ns_sum += took_ns;
    }
    steps_look(shard, now_ns);
}

/* Not in every turn, as a look costs as much as a short step; but where steps were long of late. */
static bool steps_timed(const asx_shard *shard)
{
    return shard->stats.turns % ASX_STEP_SAMPLE_TURNS == 0 || shard->slice_gap == 1;
}

/* Up to the next look at the clock, or to the end of the turn's share. */
static void stretch_begin(asx_shard *shard)
{
    const uint32_t gap = shard->slice_gap;
    shard->slice_left = gap < shard->slice_share ? gap : shard->slice_share;
    shard->slice_share -= shard->slice_left;
}

static void slice_begin(asx_shard *shard)
{
    shard->slice_over = false;
    shard->slice_looked_ns = shard->now_ns;
    shard->slice_share = shard->turn_dispatch_max;
    stretch_begin(shard);
    steps_look(shard, steps_timed(shard) ? shard->driver->ops->now(shard->driver) : 0);
}

/* At the end of a stretch; false when it is the turn's. Looks come closer when a gap took a good
 * part of the slice, and drift apart when it did not: a look costs more than a short dispatch. */
bool asxi_slice_goes_on(asx_shard *shard)
{
    if (shard->slice_over || shard->slice_share == 0) {
        return false;
    }
    const asx_instant looked_ns = shard->slice_looked_ns;
    const bool over = asxi_slice_look(shard);
    const asx_duration took_ns = asx_time_sub(shard->slice_looked_ns, looked_ns);
    steps_time(shard, shard->slice_looked_ns);
    if (took_ns > shard->slice_ns / 8) {
        const uint64_t fits = shard->slice_gap * (shard->slice_ns / 8) / took_ns;
        shard->slice_gap = fits > 1 ? (uint32_t)fits : 1;
    } else if (shard->slice_gap < ASX_SLICE_LOOK_MAX) {
        shard->slice_gap *= 2;
    }
    if (!over) {
        stretch_begin(shard);
    }
    return !over;
}

/* Runs tasks until the lanes are empty or the turn's share is used up. A panic of a poll step lands
 * here, with the step's frame gone and the dispatch it cut short still to be finished. */
static void dispatch_some(asx_shard *shard)
{
    slice_begin(shard);
    if (__builtin_setjmp(shard->panic_jump)) {
        asxi_task_step_panicked(shard, shard->running);
        shard->running = NULL;
        asxi_charge_end(shard);
    }
    asxi_task_dispatch_some(shard);
    if (asx_unlikely(steps_timed(shard)) && steps_run(shard) != shard->steps_seen) {
        steps_time(shard, shard->driver->ops->now(shard->driver));
    }
}

/* Deadlines at this very instant, now that what was ready at it has run (TMR-3a). */
static void expire_late(asx_shard *shard)
{
    asx_list *node;
    while ((node = asx_list_pop_front(&shard->late_expiries)) != NULL) {
        asx_task *const task = asx_container_of(node, asxi_wait, late_link)->task;
        task->flags |= ASXI_TASK_TIMED_OUT;
        asx_task_notify(task);
    }
}

static bool runnable(const asx_shard *shard)
{
    return shard->sched.queued != shard->sched.taken;
}

static void clock_read(asx_shard *shard)
{
    const asx_instant now_ns = shard->driver->ops->now(shard->driver);
    if (now_ns > shard->now_ns) {
        shard->now_ns = now_ns;
        expire_late(shard); /* their instant has passed, whatever is still runnable */
    }
}

/* Of a timer and a completion that are due at one instant, live, the completion is first. */
static bool timers_go_first(asx_shard *shard)
{
    const asx_driver_ops *const ops = shard->driver->ops;
    if (asx_likely(ops->choose == NULL)) {
        return false;
    }
    return ops->ready(shard->driver) && asx_timer_wheel_next(&shard->wheel) <= shard->now_ns &&
           ops->choose(shard->driver, ASX_CHOICE_TIMEIO, 2, shard->index) != 0;
}

bool asx_shard_turn(asx_shard *shard)
{
    asx_assert(!shard->in_turn && !shard->running);
    shard->in_turn = true;
    __atomic_store_n(&shard->pulse, shard->pulse + 1, __ATOMIC_RELAXED);
    asxi_shard_self = shard; /* in the lab, shards take turns on one thread */
    clock_read(shard);
    if (shard->mesh) {
        shard->stats.messages_received += asxi_mail_drain(shard, ASX_TURN_MESSAGE_MAX);
    }
    const bool timers_first = timers_go_first(shard);
    if (asx_unlikely(timers_first)) {
        (void)asx_timer_wheel_advance(&shard->wheel, shard->now_ns, ASX_TURN_TIMER_MAX);
    }
    (void)shard->driver->ops->reap(shard->driver, ASX_TURN_COMPLETION_MAX);
    if (asx_likely(!timers_first)) {
        (void)asx_timer_wheel_advance(&shard->wheel, shard->now_ns, ASX_TURN_TIMER_MAX);
    }
    dispatch_some(shard);
    if (asx_unlikely(!asx_list_empty(&shard->late_expiries)) && !runnable(shard)) {
        expire_late(shard);
    }
    for (asx_list *node; (node = asx_list_pop_front(&shard->turn_ends)) != NULL;) {
        asx_turn_end *const hook = asx_container_of(node, asx_turn_end, _link);
        hook->fn(hook);
    }
    if (shard->mesh) {
        if (asx_unlikely(shard->migrate != NULL)) {
            asxi_migrate_turn(shard);
        }
        asxi_mail_publish(shard);
    }
    shard->stats.turns++;
    __atomic_store_n(&shard->pulse, shard->pulse + 1, __ATOMIC_RELAXED);
    shard->in_turn = false;
    return runnable(shard) || !asx_list_empty(&shard->late_expiries);
}

void asx_shard_park(asx_shard *shard)
{
    asx_instant until = 0;
    if (!runnable(shard) && asx_list_empty(&shard->late_expiries)) {
        until = asx_timer_wheel_next(&shard->wheel);
        shard->stats.parks++;
    }
    if (until > shard->now_ns) {
        until = asxi_quiet_look(shard, until);
    }
    if (!shard->mesh || until <= shard->now_ns) {
        shard->driver->ops->park(shard->driver, until);
        return;
    }
    asxi_park_idle(shard, until);
}

typedef struct main_task {
    asx_task_fn *fn;
    void *arg;
    asx_outcome outcome;
    asx_defer defer;
} main_task;

/* The main task is over, by whatever path: the root follows. */
static void main_ended(asx_cx *cx, asx_defer *defer)
{
    (void)defer;
    asx_region *const root = cx->_shard->root;
    if (root) {
        asx_region_close_begin(root, ASX_CLOSE_JOIN, NULL);
        if (!asx_is_ok(cx->_task->outcome)) {
            asx_region_cancel(root, ASX_CANCEL_FAIL_FAST, "main task failed");
        }
    }
}

static asx_outcome main_body(asx_cx *cx, void *arg)
{
    main_task *const self = arg;
    asx_defer_push(cx, &self->defer, main_ended);
    const asx_outcome outcome = self->fn(cx, self->arg);
    self->outcome = asx_outcome_retain(outcome);
    return outcome;
}

/* Requests from other shards are answered, if only with a refusal, until they are over too. */
static bool all_over(const asx_shard *shard)
{
    return shard->root_closed && (!shard->mesh || asx_mesh_all_closed(shard->mesh));
}

void asx_shard_serve(asx_shard *shard)
{
    while (!all_over(shard)) {
        (void)asx_shard_turn(shard);
        if (!all_over(shard) && !(shard->mesh && asx_mesh_all_closing(shard->mesh))) {
            asx_shard_park(shard);
        }
    }
}

asx_err asx_shard_start(asx_shard *shard, asx_task_fn *fn, void *arg, size_t arg_size)
{
    asx_task *task = NULL;
    const asx_spawn_options options = { .label = "main", .detached_result = true };
    const asx_err err = asxi_task_create(NULL, shard->root, &options, 0, &task);
    if (err) {
        return err;
    }
    const asx_err refused = asxi_task_arg_put(task, arg, arg_size, arg, NULL);
    if (refused) {
        asxi_task_uncreate(task);
        return refused;
    }
    task->fn = fn;
    asxi_task_start(task);
    return ASX_OK;
}

asx_outcome asx_shard_run(asx_shard *shard, asx_task_fn *fn, void *arg)
{
    main_task self = { .fn = fn, .arg = arg };
    self.outcome = asx_ok(0);
    const asx_err err = asx_shard_start(shard, main_body, &self, 0);
    if (err) {
        return asx_fail(err);
    }
    asx_shard_serve(shard);
    if (self.outcome.severity == ASX_SEVERITY_OK &&
        shard->root_value.severity == ASX_SEVERITY_PANICKED) {
        return shard->root_value; /* the main task itself may have panicked: it left no outcome */
    }
    asx_outcome_release(shard->root_value);
    shard->root_value = self.outcome;
    return self.outcome;
}

asx_region *asx_shard_root(asx_shard *shard)
{
    return shard->root;
}

asx_shard *asx_shard_of(const asx_cx *cx)
{
    return cx->_shard;
}

asx_driver *asx_shard_driver(const asx_shard *shard)
{
    return shard->driver;
}

uint32_t asx_shard_index(const asx_shard *shard)
{
    return shard->index;
}

asx_instant asx_shard_now(const asx_shard *shard)
{
    return shard->now_ns;
}

asx_instant asx_shard_next_due(const asx_shard *shard)
{
    return asx_timer_wheel_next(&shard->wheel);
}

void asx_shard_turn_end_link(asx_shard *shard, asx_turn_end *hook)
{
    if (!asx_list_linked(&hook->_link)) {
        asx_list_push_back(&shard->turn_ends, &hook->_link);
    }
}

void asx_shard_stats_read(asx_shard *shard, asx_shard_stats *stats)
{
    asx_stack_stats stacks;
    asx_stack_stats_read(&shard->stacks, &stacks);
    *stats = shard->stats;
    stats->spawned += shard->tasks.allocated;
    stats->tasks_live = asx_handle_table_live(&shard->tasks);
    stats->regions_live = asx_handle_table_live(&shard->regions);
    stats->obligations_pending = asx_handle_table_live(&shard->obligations);
    stats->ops_in_flight = shard->op_in_flight;
    stats->timers_armed = asx_timer_wheel_count(&shard->wheel);
    stats->dispatches = steps_run(shard);
    stats->ready_queued = (uint32_t)asxi_sched_ready_count(&shard->sched);
    stats->cancel_queued = shard->sched.cancel_count;
    stats->timed_queued = shard->sched.timed_count;
    stats->heap_bytes_live = shard->chunks.bytes_live;
    stats->chunk_bytes_held = shard->chunks.bytes_held;
    stats->global_allocs = shard->chunks.global_alloc_count;
    stats->stacks_live = stacks.live;
    stats->stacks_pooled = stacks.pooled;
}

void asx_shard_destroy(asx_shard *shard)
{
    asx_assert(shard->root_closed);
    asx_assert(asx_handle_table_live(&shard->tasks) == 0 &&
               asx_handle_table_live(&shard->regions) == 0 &&
               asx_handle_table_live(&shard->obligations) == 0);
    asx_assert_eq(shard->op_in_flight, 0);
    asx_assert_eq(asx_timer_wheel_count(&shard->wheel), 0);
    asxi_mail_destroy(shard);
    asxi_migrate_destroy(shard);
    asxi_limbs_destroy(shard);
    asxi_objects_destroy(shard);
    asxi_cleanups_destroy(shard);
    asx_outcome_release(shard->root_value);
    if (shard->sched.timed) {
        asx_chunk_release(&shard->chunks, shard->sched.timed,
                          shard->sched.timed_cap * sizeof(asx_task *));
    }
    asx_handle_table_deinit(&shard->obligations);
    asx_handle_table_deinit(&shard->regions);
    asx_handle_table_deinit(&shard->tasks);
    asx_stack_pool_deinit(&shard->stacks);
    asx_chunk_source_deinit(&shard->chunks);
    shard->driver->ops->destroy(shard->driver);
    asxi_panic_thread_leave(shard);
    free(shard);
}
