/* How a world is made, and what it answers to its kernel and devices. */
#include <asx/lab/ambient.h>
#include <asx/lab/vdisk.h>
#include <asx/lab/vdriver.h>
#include <asx/lab/vnet.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"
#include "world_internal.h"

#define READY_MAX 16u /* equals of a lane among which one is chosen */

static asx_lab_world *world_of(asx_lab_env *env)
{
    return asx_container_of(env, asx_lab_world, env);
}

/* True when the choice may not go against production any longer: nothing is hidden for ever. */
static bool hidden_enough(asx_lab_world *world, uint32_t site, uint64_t object)
{
    const uint32_t from = (uint32_t)(object >> 16) & 0xffff, to = object & 0xffff;
    asx_assert(from < ASX_LAB_SHARDS_MAX && to < ASX_LAB_SHARDS_MAX);
    uint16_t *const times =
        site == ASX_CHOICE_RINGVIS ? &world->hidden[to].vis[from] : &world->hidden[to].space[from];
    if (*times >= world->config.ring_delay_max) {
        *times = 0;
        return true;
    }
    return false;
}

static void hidden_count(asx_lab_world *world, uint32_t site, uint64_t object, bool hidden)
{
    const uint32_t from = (uint32_t)(object >> 16) & 0xffff, to = object & 0xffff;
    uint16_t *const times =
        site == ASX_CHOICE_RINGVIS ? &world->hidden[to].vis[from] : &world->hidden[to].space[from];
    *times = hidden ? (uint16_t)(*times + 1) : 0;
}

/* How many of the n alternatives this run offers at the site. */
static uint32_t offered(asx_lab_world *world, uint32_t site, uint32_t n, uint64_t object)
{
    const bool ring = site == ASX_CHOICE_RINGVIS || site == ASX_CHOICE_RINGSPACE;
    if (world->tearing_down) {
        return 1;
    }
    if (site == ASX_CHOICE_READY) {
        return !world->config.widen_ready ? 1 : n < READY_MAX ? n : READY_MAX;
    }
    if (site == ASX_CHOICE_RINGSPACE && !world->config.ring_pressure) {
        return 1;
    }
    return ring && hidden_enough(world, site, object) ? 1 : n;
}

static uint32_t steer_pick(void *self, uint32_t site, uint32_t n, uint64_t object,
                           const asx_lab_pick_info *info)
{
    asx_lab_steer *const steer = self;
    return site == ASX_CHOICE_SHARD ? steer->turn(steer, info->shards, n)
                                    : steer->value(steer, site, n, object);
}

static uint32_t env_choose(asx_lab_env *env, uint32_t site, uint32_t n, uint64_t object)
{
    asx_lab_world *const world = world_of(env);
    if (site == ASX_CHOICE_RINGSPACE && asxi_chaos_ring_full(world, object)) {
        return n - 1;
    }
    const uint32_t among = offered(world, site, n, object);
    if (among == 1) {
        return 0;
    }
    const asx_lab_pick_info info = { .step = world->steps, .shards = world->asked };
    const uint32_t k = asx_lab_choose(world->choices, site, among, object, &info);
    const uint64_t words[] = { site, among, k, object };
    asxi_recorder_emit(&world->recorder, ASXI_WORLD_SHARD, ASX_TRACE_CHOICE, words,
                       asx_array_count(words));
    if (site == ASX_CHOICE_RINGVIS || site == ASX_CHOICE_RINGSPACE) {
        hidden_count(world, site, object, k > 0);
    }
    return k;
}

static void env_event(asx_lab_env *env, uint32_t shard, uint16_t kind, const uint64_t *words,
                      uint32_t count)
{
    asxi_recorder_emit(&world_of(env)->recorder, shard, (asx_trace_kind)kind, words, count);
}

static void kernel_event(asx_trace_sink *sink, uint32_t shard, asx_trace_kind kind,
                         const uint64_t *words, uint32_t count)
{
    asx_lab_world *const world = asx_container_of(sink, asx_lab_world, sink);
    asxi_chaos_hear(world, kind, words);
    asxi_recorder_emit(&world->recorder, shard, kind, words, count);
}

static asx_lab_source source_of(asx_lab_mode mode)
{
    switch (mode) {
    case ASX_LAB_RANDOM:
        return ASX_LAB_SOURCE_RANDOM;
    case ASX_LAB_DEFAULT:
        return ASX_LAB_SOURCE_DEFAULT;
    case ASX_LAB_FORCED:
        return ASX_LAB_SOURCE_FORCED;
    case ASX_LAB_LENIENT:
        return ASX_LAB_SOURCE_LENIENT;
    case ASX_LAB_BYTES:
        return ASX_LAB_SOURCE_BYTES;
    case ASX_LAB_STEERED:
        return ASX_LAB_SOURCE_PLUGIN;
    }
    asx_unreachable();
}

asx_lab_choices_config asxi_world_choices_config(const asx_lab_config *config)
{
    return (asx_lab_choices_config){
        .source = source_of(config->mode),
        .list = config->choices,
        .list_len = config->choice_count,
        .feed = config->feed,
        .bytes = config->bytes,
        .bytes_len = config->bytes_len,
        .pick = steer_pick,
        .pick_self = config->steer,
        .rows_max = config->choice_rows_max,
        .full = config->choice_full,
        .unrecorded = config->unrecorded,
    };
}

static void choices_open(asx_lab_world *world)
{
    const asx_lab_choices_config choices = asxi_world_choices_config(&world->config);
    world->choices = asx_lab_choices_create(&choices, &world->rand);
}

static void devices_open(asx_lab_world *world)
{
    if (world->config.net) {
        asx_vnet_config config = *world->config.net;
        config.env = &world->env;
        const asx_err err = asx_vnet_create(&config, &world->net);
        asx_assert_eq(err, ASX_OK);
    }
    if (world->config.disk) {
        asx_vdisk_config config = *world->config.disk;
        config.env = &world->env;
        const asx_err err = asx_vdisk_create(&config, &world->disk);
        asx_assert_eq(err, ASX_OK);
    }
}

static void seat_open(asx_lab_world *world, uint32_t index)
{
    asxi_seat *const seat = &world->seats[index];
    const asx_lab_config *const config = &world->config;
    const asx_vdriver_config driver = {
        .env = &world->env,
        .net = world->net,
        .disk = world->disk,
        .shard = index,
        .host = index,
        .clock_offset_ns = config->clock_offset_ns ? config->clock_offset_ns[index] : 0,
        .clock_skew_ppm = config->clock_skew_ppm ? config->clock_skew_ppm[index] : 0,
    };
    asx_shard_config shard = {
        .index = index,
        .mesh = world->mesh,
        .seed = asx_lab_draw(&world->rand, ASX_LAB_ENTROPY, 0, 0, 0) | 1,
        .heap_bytes_max = config->heap_bytes_max,
        .cancel_streak = config->cancel_streak,
        .turn_dispatch_max =
            config->turn_budget == ASX_LAB_TURN_PRODUCTION ? 0 : config->turn_budget,
        .trace = &world->sink,
        .leak_response = config->keep_on_leak ? ASX_LEAK_LOG : ASX_LEAK_PANIC,
        .diagnostic = config->diagnostic,
        .diagnostic_arg = config->diagnostic_arg,
    };
    asx_err err = asx_vdriver_create(&driver, &shard.driver);
    if (!err) {
        seat->driver = shard.driver;
        err = asx_shard_create(&shard, &seat->shard);
    }
    asx_assert_eq(err, ASX_OK);
    seat->busy = true; /* the first turn finds out */
}

asx_lab_world *asx_lab_world_create(const asx_lab_config *config)
{
    asx_assert(asx_lab_config_refused(config) == NULL);
    asx_lab_world *const world = asxi_lab_alloc(1, sizeof(*world));
    world->config = asx_lab_config_fill(config);
    asx_lab_rand_init(&world->rand, world->config.seed, world->config.entropy_seed,
                      world->config.chaos_seed);
    world->env = (asx_lab_env){ .now_ns = world->config.start_ns,
                                .rand = &world->rand,
                                .choose = env_choose,
                                .event = env_event };
    world->sink.emit = kernel_event;
    *asx_lab_ambient_state() = (asx_lab_ambient){ 0 };
    asxi_recorder_init(&world->recorder, &world->config, &world->env.now_ns);
    choices_open(world);
    world->mesh = asx_mesh_create(world->config.shards, world->config.ring_capacity);
    asx_assert(world->mesh);
    devices_open(world);
    world->last = world->config.shards - 1;
    for (uint32_t i = 0; i < world->config.shards; i++) {
        seat_open(world, i);
    }
    asxi_chaos_open(world);
    return world;
}

bool asx_lab_run(const asx_lab_config *config, asx_task_fn *app, void *arg, asx_lab_report *report)
{
    asx_lab_world *const world = asx_lab_world_create(config);
    asx_lab_world_start(world, app, arg);
    while (asx_lab_world_step(world)) {
    }
    asx_lab_world_finish(world, report);
    asx_lab_world_destroy(world);
    return asx_lab_report_passed(report);
}
