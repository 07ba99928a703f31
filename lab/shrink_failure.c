#include <asx/lab/chaos.h>
#include <asx/lab/shrink.h>
#include <asx/lab/strategy.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"
#include "explore_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct search {
    asx_explore_program *program;
    asx_explore_run *run;
    asx_strategy *replay;
    uint64_t seed, signature;
    asxi_array rows;                /* asx_lab_choice: what a list of values becomes */
    const asx_lab_choice *original; /* whose sites and sizes the rows keep */
    uint32_t original_count;
    asx_shrunk *shrunk;
    asxi_array faults;        /* uint64_t: those that happen, sorted */
    const uint64_t *happened; /* all of them, sorted */
    uint32_t replays_max;
    asxi_explore_mirror *mirror; /* the failure is a crash: every replay has its own process */
} search;

static const asx_explore_verdict *make(search *s)
{
    uint64_t seed;
    s->replay->begin(s->replay, 0, &seed);
    asx_explore_run_make(s->run, s->program, s->replay, seed, true);
    return asx_explore_run_verdict(s->run);
}

/* The same in a child, whose death is the verdict. Without processes, a run that passed. */
static const asx_explore_verdict *make_apart(search *s)
{
    asx_explore_verdict *const verdict = &s->mirror->verdict;
    *verdict = (asx_explore_verdict){ .end = ASX_EXPLORE_CRASHED };
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0) {
        asxi_explore_run_mirror(s->run, s->mirror);
        const asx_explore_verdict made = *make(s);
        *verdict = made;
        _exit(0);
    }
    int status = 0;
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (status != 0) {
        verdict->signature = asxi_explore_crash(status, verdict->text, sizeof(verdict->text));
    }
    return verdict;
}

/* Makes the run of these answers; whether it fails in the same way. */
static bool replay_fails(search *s, const asx_lab_choice *rows, uint32_t count)
{
    asx_strategy_replay_set(s->replay, rows, count);
    const asx_explore_verdict *const verdict = s->mirror ? make_apart(s) : make(s);
    const bool fails = verdict->signature == s->signature;
    if (fails) {
        s->shrunk->verdict = *verdict;
    }
    return fails;
}

static void rows_of(search *s, const uint16_t *values, uint32_t count)
{
    asxi_array_cut(&s->rows, 0);
    for (uint32_t i = 0; i < count; i++) {
        asx_lab_choice *const row = asxi_array_push(&s->rows);
        *row = s->original[i];
        row->chosen = values[i]; /* of a fault it says nothing: s->faults does */
    }
}

static bool values_fail(void *arg, const uint16_t *values, uint32_t count)
{
    search *const s = arg;
    rows_of(s, values, count);
    return replay_fails(s, asxi_array_items(&s->rows), count);
}

uint32_t asx_explore_preemptions(const asx_explore_run *run)
{
    uint32_t count, preemptions = 0;
    const asx_lab_choice *const rows = asx_explore_run_choices(run, &count);
    const uint16_t *const same = asx_explore_run_same(run);
    for (uint32_t i = 0; i < count; i++) {
        preemptions +=
            rows[i].site == ASX_CHOICE_SHARD && same[i] < rows[i].n && same[i] != rows[i].chosen;
    }
    return preemptions;
}

static asx_lab_choice *copy_choices(const asx_lab_choice *rows, uint32_t count)
{
    asx_lab_choice *const copy = asxi_lab_alloc(count, sizeof(*copy));
    if (count) {
        memcpy(copy, rows, sizeof(*copy) * count);
    }
    return copy;
}

static void keep_calm(search *s)
{
    asx_shrunk *const shrunk = s->shrunk;
    asxi_lab_free(shrunk->calm);
    const asx_lab_choice *const rows = asx_explore_run_choices(s->run, &shrunk->calm_count);
    shrunk->calm = copy_choices(rows, shrunk->calm_count);
    shrunk->preemptions = asx_explore_preemptions(s->run);
}

/* Lets the process go on, instead of switching, at the turns of one stretch of the calmest run. */
static bool calm_stretch(search *s, const uint16_t *same, uint32_t at, uint32_t len)
{
    asx_shrunk *const shrunk = s->shrunk;
    asxi_array_cut(&s->rows, 0);
    asxi_array_append(&s->rows, shrunk->calm, shrunk->calm_count);
    asx_lab_choice *const rows = asxi_array_items(&s->rows);
    bool differs = false;
    for (uint32_t i = at; i < at + len && i < shrunk->calm_count; i++) {
        if (rows[i].site == ASX_CHOICE_SHARD && same[i] < rows[i].n) {
            differs |= rows[i].chosen != same[i];
            rows[i].chosen = same[i];
        }
    }
    if (!differs || !replay_fails(s, rows, shrunk->calm_count)) {
        return false;
    }
    return asx_explore_preemptions(s->run) < shrunk->preemptions;
}

/* Looks for a failing run with fewer preemptions, in stretches of half the run, a quarter ... */
static void calm_down(search *s)
{
    asx_shrunk *const shrunk = s->shrunk;
    asxi_array same;
    asxi_array_init(&same, sizeof(uint16_t));
    asxi_array_append(&same, asx_explore_run_same(s->run), shrunk->calm_count);
    const uint32_t replays_max = s->replays_max;
    uint32_t size = shrunk->calm_count;
    for (uint32_t replays = 0; size > 0 && replays < replays_max && shrunk->preemptions > 0;) {
        bool changed = false;
        for (uint32_t at = 0; at < shrunk->calm_count && replays < replays_max; at += size) {
            replays++;
            if (calm_stretch(s, asxi_array_items(&same), at, size)) {
                keep_calm(s);
                asxi_array_cut(&same, 0);
                asxi_array_append(&same, asx_explore_run_same(s->run), shrunk->calm_count);
                changed = true;
            }
        }
        size = changed ? size : size / 2;
    }
    asxi_array_deinit(&same);
}

static bool these_fail(search *s, const uint64_t *faults, uint32_t count)
{
    asx_strategy_replay_faults(s->replay, faults, count);
    return replay_fails(s, s->original, s->original_count);
}

static bool kept_fail(void *arg, const uint8_t *keep, uint32_t count)
{
    search *const s = arg;
    asxi_array_cut(&s->faults, 0);
    for (uint32_t i = 0; i < count; i++) {
        if (keep[i]) {
            asxi_array_append(&s->faults, &s->happened[i], 1);
        }
    }
    return these_fail(s, asxi_array_items(&s->faults), s->faults.count);
}

static int compare_faults(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Leaves in s->faults those that the failure cannot do without, if it needs any. */
static void drop_faults(search *s, uint64_t *happened, uint32_t count)
{
    asx_shrunk *const shrunk = s->shrunk;
    qsort(happened, count, sizeof(*happened), compare_faults);
    s->happened = happened;
    if (these_fail(s, NULL, 0)) {
        shrunk->by_fault = (asx_shrink_result){ .replays = 1, .reproduced = true };
        return;
    }
    uint8_t *const keep = asxi_lab_alloc(count, sizeof(*keep));
    uint32_t *const parents = asxi_lab_alloc(count, sizeof(*parents)); /* none has one */
    shrunk->by_fault = asx_shrink_scenario(parents, count, s->replays_max, kept_fail, s, keep);
    (void)kept_fail(s, keep, count);
    asxi_lab_free(parents);
    asxi_lab_free(keep);
}

static void shrink_faults(search *s)
{
    asxi_array happened;
    asxi_array_init(&happened, sizeof(uint64_t));
    for (uint32_t i = 0; i < s->original_count; i++) {
        const asx_lab_choice *const row = &s->original[i];
        if (asx_strategy_is_fault(row->site) && row->chosen != 0) {
            const uint64_t fault = asx_strategy_fault(row->site, row->object);
            asxi_array_append(&happened, &fault, 1);
        }
    }
    s->shrunk->faults = happened.count;
    if (happened.count > 0) {
        drop_faults(s, asxi_array_items(&happened), happened.count);
    }
    asx_strategy_replay_faults(s->replay, asxi_array_items(&s->faults), s->faults.count);
    s->shrunk->faults_left = s->faults.count;
    asxi_array_deinit(&happened);
}

static void shrink_values(search *s)
{
    uint16_t *const values = asxi_lab_alloc(s->original_count, sizeof(*values));
    for (uint32_t i = 0; i < s->original_count; i++) {
        values[i] = asx_strategy_is_fault(s->original[i].site) ? 0 : s->original[i].chosen;
    }
    uint32_t count = s->original_count;
    s->shrunk->result = asx_shrink_list(values, &count, s->replays_max, values_fail, s);
    rows_of(s, values, count);
    asxi_lab_free(values);
}

/* Takes the answers of the replay itself, with the faults among them: that list repeats it. */
static void name_choices(search *s)
{
    uint32_t count;
    const asx_lab_choice *rows = asx_explore_run_choices(s->run, &count);
    if (s->mirror) {
        rows = s->mirror->rows;
        count = s->mirror->count;
    }
    while (count > 0 && rows[count - 1].chosen == 0) {
        count--;
    }
    asx_shrunk *const shrunk = s->shrunk;
    shrunk->choices = copy_choices(rows, count);
    shrunk->choice_count = count;
    for (uint32_t i = 0; i < count; i++) {
        shrunk->deviations += rows[i].chosen != 0;
    }
}

void asx_shrink_failure(asx_shrunk *shrunk, asx_explore_program *program, uint64_t seed,
                        uint64_t signature, const asx_lab_choice *choices, uint32_t count,
                        const asx_explore_limits *limits, uint32_t replays_max)
{
    asx_assert_ne(signature, 0);
    *shrunk = (asx_shrunk){ .run = asx_explore_run_create(program->processes, limits) };
    search s = { .program = program,
                 .run = shrunk->run,
                 .replay = asx_strategy_replay(seed, NULL, 0),
                 .seed = seed,
                 .signature = signature,
                 .original = choices,
                 .original_count = count,
                 .shrunk = shrunk,
                 .replays_max = replays_max ? replays_max : ASX_SHRINK_REPLAYS_MAX,
                 .mirror = asxi_explore_is_crash(signature) ? asxi_explore_mirror_create() : NULL };
    asxi_array_init(&s.rows, sizeof(asx_lab_choice));
    asxi_array_init(&s.faults, sizeof(uint64_t));
    shrink_faults(&s);
    shrink_values(&s);
    if (shrunk->result.reproduced && replay_fails(&s, asxi_array_items(&s.rows), s.rows.count)) {
        name_choices(&s);
    }
    if (shrunk->result.reproduced && !s.mirror) {
        keep_calm(&s);
        calm_down(&s);
        replay_fails(&s, shrunk->calm, shrunk->calm_count);
    }
    asxi_explore_mirror_destroy(s.mirror);
    asx_strategy_destroy(s.replay);
    asxi_array_deinit(&s.rows);
    asxi_array_deinit(&s.faults);
}

void asx_shrunk_deinit(asx_shrunk *shrunk)
{
    asxi_lab_free(shrunk->choices);
    asxi_lab_free(shrunk->calm);
    asx_explore_run_destroy(shrunk->run);
    *shrunk = (asx_shrunk){ 0 };
}

void asx_shrunk_print_faults(const asx_shrunk *shrunk, FILE *out)
{
    if (shrunk->faults == 0) {
        return;
    }
    fprintf(out, "  faults     %u to %u; %u replays%s\n", shrunk->faults, shrunk->faults_left,
            shrunk->by_fault.replays, shrunk->by_fault.truncated ? ", cut short" : "");
    for (uint32_t i = 0; i < shrunk->choice_count; i++) {
        const asx_lab_choice *const row = &shrunk->choices[i];
        char text[64];
        if (row->chosen && row->site == ASX_CHOICE_FAULT) {
            fprintf(out, "  choice %-4u %s\n", i,
                    asx_chaos_fault_text(row->object, text, sizeof(text)));
        } else if (row->chosen && row->site == ASX_CHOICE_CANCELPT) {
            fprintf(out, "  choice %-4u cancelled at await point %" PRIu64 "\n", i, row->object);
        }
    }
}

void asx_explore_print_schedule(const asx_explore_run *run,
                                const char *(*name)(void *arg, uint32_t process), void *arg,
                                FILE *out)
{
    const asx_race_order *const order = asx_explore_run_order(run);
    asx_assert(order != NULL);
    const uint32_t steps = asx_race_order_count(order);
    for (uint32_t from = 0, to; from < steps; from = to) {
        const asx_race_step step = asx_race_order_step(order, from);
        to = from + 1;
        while (to < steps && asx_race_order_step(order, to).process == step.process) {
            to++;
        }
        const bool preempted =
            to < steps && (asx_race_order_step(order, to).enabled >> step.process & 1);
        if (name) {
            fprintf(out, "  %s", name(arg, step.process));
        } else {
            fprintf(out, "  process %u", step.process);
        }
        fprintf(out, ": steps %u..%u%s\n", from + 1, to, preempted ? ", then preempted" : "");
    }
}
