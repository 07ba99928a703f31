#include <asx/lab/explore_run.h>
#include <asx/lab/foata.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"
#include "explore_internal.h"

#include <string.h>

struct asx_explore_run {
    uint32_t processes;
    asx_explore_limits limits;
    asx_strategy *strategy; /* of the run in progress */
    asxi_explore_mirror *mirror;
    uint64_t seed;
    asxi_array choices;  /* asx_lab_choice */
    asxi_array same;     /* uint16_t, one a choice */
    asxi_array accesses; /* asx_lab_access: of the current step */
    asxi_array mine;     /* uint32_t: steps of each process, for the fingerprint */
    asx_race_order *order;
    asx_foata *classes;
    bool keep_order, stepping, stopped, finished;
    asx_race_step step; /* the current one */
    uint32_t steps, turns;
    asx_explore_end stop;
    asx_explore_verdict verdict;
};

asx_explore_run *asx_explore_run_create(uint32_t processes, const asx_explore_limits *limits)
{
    asx_assert_lt(0, processes);
    asx_explore_run *const run = asxi_lab_alloc(1, sizeof(*run));
    run->processes = processes;
    run->limits = *limits;
    run->limits.steps_max = limits->steps_max ? limits->steps_max : 100000;
    run->limits.choices_max = limits->choices_max ? limits->choices_max : 1000000;
    asxi_array_init(&run->choices, sizeof(asx_lab_choice));
    asxi_array_init(&run->same, sizeof(uint16_t));
    asxi_array_init(&run->accesses, sizeof(asx_lab_access));
    asxi_array_init(&run->mine, sizeof(uint32_t));
    run->order = asx_race_order_create(processes);
    run->classes = asx_foata_create();
    return run;
}

void asx_explore_run_destroy(asx_explore_run *run)
{
    asxi_array_deinit(&run->choices);
    asxi_array_deinit(&run->same);
    asxi_array_deinit(&run->accesses);
    asxi_array_deinit(&run->mine);
    asx_race_order_destroy(run->order);
    asx_foata_destroy(run->classes);
    asxi_lab_free(run);
}

uint64_t asx_explore_run_seed(const asx_explore_run *run)
{
    return run->seed;
}

static void stop(asx_explore_run *run, asx_explore_end end)
{
    if (!run->stopped) {
        run->stopped = true;
        run->stop = end;
    }
}

bool asx_explore_run_stopped(const asx_explore_run *run)
{
    return run->stopped;
}

/* Adds the finished step to what is kept of the run, and tells the strategy. */
static void end_step(asx_explore_run *run)
{
    if (!run->stepping) {
        return;
    }
    run->stepping = false;
    asx_lab_access *const at = asxi_array_items(&run->accesses);
    run->step.accesses = (asx_accesses){ at, asx_accesses_normalise(at, run->accesses.count) };
    if (run->keep_order) {
        asx_race_order_add(run->order, &run->step);
    }
    uint32_t *const rank = asxi_array_at(&run->mine, run->step.process);
    const uint64_t key[3] = { run->step.process, ++*rank, 0 };
    asx_foata_add_item(run->classes, 0, key, at, run->step.accesses.count);
    if (run->strategy->stepped) {
        run->strategy->stepped(run->strategy, run->steps - 1, run->step.accesses);
    }
}

static void record(asx_explore_run *run, uint32_t site, uint32_t n, uint32_t chosen,
                   uint64_t object, uint32_t same)
{
    if (n == 1) {
        return;
    }
    if (run->choices.count == run->limits.choices_max) {
        stop(run, ASX_EXPLORE_STEP_LIMIT);
        return;
    }
    const asx_lab_choice row = {
        .site = (uint16_t)site, .n = (uint16_t)n, .chosen = (uint16_t)chosen, .object = object
    };
    const uint16_t same_row = (uint16_t)same;
    asxi_array_append(&run->choices, &row, 1);
    asxi_array_append(&run->same, &same_row, 1);
    if (run->mirror && run->mirror->count < ASXI_MIRROR_ROWS) {
        run->mirror->rows[run->mirror->count++] = row;
    }
}

void asxi_explore_run_mirror(asx_explore_run *run, asxi_explore_mirror *mirror)
{
    run->mirror = mirror;
}

static asx_turn describe_turn(const asx_explore_run *run, const uint32_t *processes, uint32_t count)
{
    asx_turn turn = { .processes = processes, .count = count, .same = count, .step = run->steps };
    for (uint32_t i = 0; i < count; i++) {
        asx_assert_lt(processes[i], run->processes);
        turn.enabled |= UINT64_C(1) << processes[i];
        if (run->steps > 0 && processes[i] == run->step.process) {
            turn.same = i;
        }
    }
    asx_assert_eq(__builtin_popcountll(turn.enabled), count);
    return turn;
}

uint32_t asx_explore_run_turn(asx_explore_run *run, const uint32_t *processes, uint32_t count)
{
    asx_assert(count >= 1 && count <= ASX_RACE_PROCESSES_MAX);
    end_step(run);
    if (run->steps == run->limits.steps_max) {
        stop(run, ASX_EXPLORE_STEP_LIMIT);
    }
    const asx_turn turn = describe_turn(run, processes, count);
    uint32_t chosen = 0;
    if (!run->stopped) {
        chosen = run->strategy->turn(run->strategy, &turn);
        if (chosen == ASX_TURN_ABANDON) {
            stop(run, ASX_EXPLORE_ABANDONED);
        }
    }
    if (run->stopped) {
        return 0;
    }
    asx_assert_lt(chosen, count);
    record(run, ASX_CHOICE_SHARD, count, chosen, 0, turn.same);
    run->step = (asx_race_step){ .process = processes[chosen], .enabled = turn.enabled };
    asxi_array_cut(&run->accesses, 0);
    run->stepping = true;
    run->steps++;
    run->turns += count > 1;
    return chosen;
}

uint32_t asx_explore_run_value(asx_explore_run *run, uint32_t site, uint32_t n, uint64_t object)
{
    asx_assert(n >= 1 && n <= UINT16_MAX);
    if (n == 1 || run->stopped) {
        return 0;
    }
    const uint32_t chosen = run->strategy->value(run->strategy, site, n, object);
    asx_assert_lt(chosen, n);
    record(run, site, n, chosen, object, n);
    return chosen;
}

void asx_explore_run_touch(asx_explore_run *run, const asx_lab_access *access)
{
    if (run->stepping) {
        asxi_array_append(&run->accesses, access, 1);
    }
}

static uint64_t hash_choices(const asx_explore_run *run)
{
    const asx_lab_choice *const rows = asxi_array_items(&run->choices);
    uint64_t hash = ASX_FNV64_EMPTY;
    if (run->choices.count) {
        hash = asx_fnv64(hash, rows, sizeof(*rows) * run->choices.count);
    }
    return hash;
}

void asx_explore_run_finish(asx_explore_run *run, const asx_explore_verdict *verdict)
{
    asx_assert(!run->finished);
    end_step(run);
    run->finished = true;
    run->verdict = *verdict;
    if (run->stopped) {
        run->verdict.end = run->stop;
    }
    if (verdict->fingerprint == 0) {
        run->verdict.fingerprint = asx_foata_take(run->classes).fingerprint;
    }
    if (verdict->schedule_hash == 0) {
        run->verdict.schedule_hash = hash_choices(run);
    }
}

static void clear(asx_explore_run *run)
{
    asxi_array_cut(&run->choices, 0);
    asxi_array_cut(&run->same, 0);
    asxi_array_cut(&run->accesses, 0);
    asxi_array_cut(&run->mine, 0);
    for (uint32_t p = 0; p < run->processes; p++) {
        asxi_array_push(&run->mine);
    }
    asx_race_order_clear(run->order);
    asx_foata_clear(run->classes);
    run->stepping = run->stopped = run->finished = false;
    run->step = (asx_race_step){ 0 };
    run->steps = run->turns = 0;
    if (run->mirror) {
        run->mirror->count = 0;
    }
}

void asx_explore_run_make(asx_explore_run *run, asx_explore_program *program,
                          asx_strategy *strategy, uint64_t seed, bool keep_order)
{
    asx_assert_le(program->processes, run->processes);
    clear(run);
    run->strategy = strategy;
    run->seed = seed;
    run->keep_order = keep_order || strategy->wants_order;
    program->run(program, run);
    asx_assert(run->finished);
    if (strategy->end) {
        strategy->end(strategy, run);
    }
}

const asx_explore_verdict *asx_explore_run_verdict(const asx_explore_run *run)
{
    return &run->verdict;
}

const asx_lab_choice *asx_explore_run_choices(const asx_explore_run *run, uint32_t *count)
{
    *count = run->choices.count;
    return asxi_array_items(&run->choices);
}

const uint16_t *asx_explore_run_same(const asx_explore_run *run)
{
    return asxi_array_items(&run->same);
}

uint32_t asx_explore_run_steps(const asx_explore_run *run)
{
    return run->steps;
}

uint32_t asx_explore_run_turns(const asx_explore_run *run)
{
    return run->turns;
}

asx_race_order *asx_explore_run_order(const asx_explore_run *run)
{
    return run->keep_order ? run->order : NULL;
}

const char *asx_explore_end_name(asx_explore_end end)
{
    static const char *const names[] = { "quiescent", "deadlock", "step_limit",
                                         "abandoned", "crashed",  "diverged" };
    asx_assert_lt(end, asx_array_count(names));
    return names[end];
}
