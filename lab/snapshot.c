#include <asx/lab/snapshot.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/inspect.h>

#include "array_internal.h"
#include "world_internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static_assert(sizeof(asx_lab_snapshot_node) == 80 &&
                  sizeof(asx_lab_snapshot_place) == 32 + 11 * 8 + ASX_LAB_STREAM_COUNT * 32 + 8 &&
                  sizeof(asx_prng) == 32,
              "no padding in files");

typedef struct walk {
    asxi_array nodes;
    asxi_array path; /* of the regions above this one */
} walk;

static void visit(void *arg, const asx_inspect_node *seen)
{
    walk *const self = arg;
    const uint64_t id = asx_trace_id(seen->handle);
    asx_lab_snapshot_node *const node = asxi_array_push(&self->nodes);
    asxi_array_cut(&self->path, seen->depth);
    *node = (asx_lab_snapshot_node){
        .id = id,
        .parent = seen->depth ? *(uint64_t *)asxi_array_at(&self->path, seen->depth - 1) : 0,
        .kind = seen->kind,
        .severity = (uint32_t)seen->outcome.severity,
        .reason = seen->reason ? (uint32_t)seen->reason->kind + 1 : 0,
        .obligations = seen->obligations,
        .ops = seen->ops,
        .tasks = seen->tasks,
        .children = seen->children,
    };
    snprintf(node->state, sizeof(node->state), "%s", seen->state);
    snprintf(node->waits_for, sizeof(node->waits_for), "%s",
             seen->waits_for ? seen->waits_for : "");
    if (seen->kind == ASX_INSPECT_REGION) {
        asxi_array_append(&self->path, &id, 1);
    }
}

/* Regions before tasks, each by identity. */
static int by_identity(const void *a, const void *b)
{
    const asx_lab_snapshot_node *const x = a, *const y = b;
    if (x->kind != y->kind) {
        return x->kind < y->kind ? -1 : 1;
    }
    return (x->id > y->id) - (x->id < y->id);
}

static void nodes_take(asx_lab_world *world, asx_lab_snapshot *snapshot)
{
    walk self;
    asxi_array_init(&self.nodes, sizeof(asx_lab_snapshot_node));
    asxi_array_init(&self.path, sizeof(uint64_t));
    for (uint32_t i = 0; i < world->config.shards; i++) {
        (void)asx_inspect(world->seats[i].shard, UINT64_MAX, visit, &self);
    }
    const uint32_t count = self.nodes.count;
    snapshot->place.node_count = count;
    snapshot->nodes = asxi_lab_alloc(count, sizeof(asx_lab_snapshot_node));
    if (count > 0) {
        memcpy(snapshot->nodes, asxi_array_items(&self.nodes),
               count * sizeof(asx_lab_snapshot_node));
        qsort(snapshot->nodes, count, sizeof(asx_lab_snapshot_node), by_identity);
    }
    asxi_array_deinit(&self.nodes);
    asxi_array_deinit(&self.path);
}

const char *asx_lab_snapshot_take(asx_lab_world *world, const char *scenario,
                                  asx_lab_snapshot *snapshot)
{
    uint32_t rows;
    uint64_t tasks, regions;
    asx_lab_snapshot_place *const place = &snapshot->place;
    const asx_lab_choice *const choices = asx_lab_choices_rows(world->choices, &rows);
    *snapshot = (asx_lab_snapshot){ 0 };
    if (world->over || !world->main.app) {
        return "the run is over, or was not begun";
    }
    if (rows != asx_lab_choices_count(world->choices)) {
        return "its choices were not all recorded";
    }
    place->seed = world->config.seed;
    place->config_hash = asx_lab_config_hash(&world->config);
    place->build_id = asx_lab_build_id();
    place->steps = world->steps;
    place->now_ns = world->env.now_ns;
    place->records = world->recorder.total;
    place->trace_hash = world->recorder.trace_hash;
    place->schedule_hash = world->recorder.schedule_hash;
    place->state_hash = asxi_world_state_hash(world, &tasks, &regions);
    place->choices = rows;
    place->cursor = asx_lab_choices_cursor(world->choices);
    memcpy(place->generators, world->rand.prng, sizeof(place->generators));
    snprintf(place->scenario, sizeof(place->scenario), "%s", scenario ? scenario : "");
    snapshot->choices = asxi_lab_alloc(rows, sizeof(asx_lab_choice));
    for (uint32_t i = 0; i < rows; i++) {
        snapshot->choices[i] = choices[i];
        snapshot->choices[i].flags = 0; /* how the source came to it is not what was chosen */
    }
    nodes_take(world, snapshot);
    return NULL;
}

static const char *refused(const asx_lab_snapshot *snapshot, const char *scenario,
                           const asx_lab_config *config)
{
    const asx_lab_snapshot_place *const place = &snapshot->place;
    if (strncmp(place->scenario, scenario ? scenario : "", sizeof(place->scenario)) != 0) {
        return "it is a snapshot of another scenario";
    }
    if (place->build_id != asx_lab_build_id()) {
        return "it was taken by another build, whose runs may be others";
    }
    if (place->config_hash != asx_lab_config_hash(config)) {
        return "it was taken under another configuration or seed";
    }
    if (config->mode == ASX_LAB_STEERED || config->unrecorded) {
        return "a strategy cannot begin in the middle of a run, nor a run that is not recorded";
    }
    return asx_lab_snapshot_wrong(snapshot);
}

/* In what the world that was led here is not the one that the snapshot was taken of. */
static const char *differs(const asx_lab_snapshot *expected, const asx_lab_snapshot *actual)
{
    const asx_lab_snapshot_place *const x = &expected->place, *const y = &actual->place;
    if (x->records != y->records || x->trace_hash != y->trace_hash) {
        return "the run went another way: its events are others";
    }
    if (x->schedule_hash != y->schedule_hash || x->choices != y->choices) {
        return "the run went another way: its schedule is another";
    }
    if (x->now_ns != y->now_ns) {
        return "the run came to another instant";
    }
    for (uint32_t i = 0; i < ASX_LAB_STREAM_COUNT; i++) {
        /* Forced choices draw nothing from the scheduler's stream. */
        if (i != ASX_LAB_SCHED && memcmp(x->generators[i], y->generators[i], 32) != 0) {
            return "the run drew other random numbers";
        }
    }
    if (x->state_hash != y->state_hash || x->node_count != y->node_count ||
        (x->node_count > 0 &&
         memcmp(expected->nodes, actual->nodes, x->node_count * sizeof(*actual->nodes)) != 0)) {
        return "the run left its regions or tasks in another state";
    }
    return x->choices == 0 || memcmp(expected->choices, actual->choices,
                                     x->choices * sizeof(asx_lab_choice)) == 0
               ? NULL
               : "the run made other choices";
}

static void give_up(asx_lab_world *world)
{
    asx_lab_report report;
    asx_lab_world_finish(world, &report);
    asx_lab_world_destroy(world);
    asx_lab_report_deinit(&report);
}

/* From here on the run is as `config` says. */
static void go_on(asx_lab_world *world, const asx_lab_snapshot *snapshot,
                  const asx_lab_config *config)
{
    const asx_lab_snapshot_place *const place = &snapshot->place;
    world->config = asx_lab_config_fill(config);
    memcpy(world->rand.prng, place->generators, sizeof(place->generators));
    const asx_lab_choices_config choices = asxi_world_choices_config(&world->config);
    asx_lab_choices_resume(world->choices, &choices, place->cursor);
}

const char *asx_lab_snapshot_restore(const asx_lab_snapshot *snapshot, const char *scenario,
                                     const asx_lab_config *config, asx_task_fn *app, void *arg,
                                     asx_lab_world **world)
{
    const asx_lab_snapshot_place *const place = &snapshot->place;
    *world = NULL;
    const char *why = refused(snapshot, scenario, config);
    if (why) {
        return why;
    }
    asx_lab_config led = *config;
    led.mode = ASX_LAB_FORCED;
    led.choices = snapshot->choices;
    led.choice_count = place->choices;
    led.bytes_len = 0;
    led.feed = NULL;
    asx_lab_world *const self = asx_lab_world_create(&led);
    asx_lab_world_start(self, app, arg);
    while (self->steps < place->steps && asx_lab_world_step(self)) {
    }
    asx_lab_snapshot here;
    why = self->over ? "the run ended before it came there"
                     : asx_lab_snapshot_take(self, place->scenario, &here);
    if (!why) {
        why = differs(snapshot, &here);
        asx_lab_snapshot_deinit(&here);
    }
    if (why) {
        give_up(self);
        return why;
    }
    go_on(self, snapshot, config);
    *world = self;
    return NULL;
}

void asx_lab_snapshot_deinit(asx_lab_snapshot *snapshot)
{
    asxi_lab_free(snapshot->nodes);
    asxi_lab_free(snapshot->choices);
    *snapshot = (asx_lab_snapshot){ 0 };
}
