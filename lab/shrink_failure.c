#include <asx/lab/shrink.h>
#include <asx/lab/strategy.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"
#include "explore_internal.h"

#include <errno.h>
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
        row->chosen = values[i];
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
static void calm_down(search *s, uint32_t replays_max)
{
    asx_shrunk *const shrunk = s->shrunk;
    asxi_array same;
    asxi_array_init(&same, sizeof(uint16_t));
    asxi_array_append(&same, asx_explore_run_same(s->run), shrunk->calm_count);
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

static void shrink_values(search *s, uint32_t replays_max)
{
    uint16_t *const values = asxi_lab_alloc(s->original_count, sizeof(*values));
    for (uint32_t i = 0; i < s->original_count; i++) {
        values[i] = s->original[i].chosen;
    }
    uint32_t count = s->original_count;
    s->shrunk->result = asx_shrink_list(values, &count, replays_max, values_fail, s);
    rows_of(s, values, count);
    s->shrunk->choices = copy_choices(asxi_array_items(&s->rows), count);
    s->shrunk->choice_count = count;
    for (uint32_t i = 0; i < count; i++) {
        s->shrunk->deviations += values[i] != 0;
    }
    asxi_lab_free(values);
}

/* Takes the rows of the replay itself: their sites and sizes are those of the shrunk run. */
static void name_choices(search *s)
{
    uint32_t asked;
    const asx_lab_choice *rows = asx_explore_run_choices(s->run, &asked);
    if (s->mirror) {
        rows = s->mirror->rows;
        asked = s->mirror->count;
    }
    asx_shrunk *const shrunk = s->shrunk;
    shrunk->choice_count = asked < shrunk->choice_count ? asked : shrunk->choice_count;
    if (shrunk->choice_count > 0) {
        memcpy(shrunk->choices, rows, sizeof(*rows) * shrunk->choice_count);
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
                 .mirror = asxi_explore_is_crash(signature) ? asxi_explore_mirror_create() : NULL };
    asxi_array_init(&s.rows, sizeof(asx_lab_choice));
    shrink_values(&s, replays_max);
    if (shrunk->result.reproduced && replay_fails(&s, shrunk->choices, shrunk->choice_count)) {
        name_choices(&s);
    }
    if (shrunk->result.reproduced && !s.mirror) {
        keep_calm(&s);
        calm_down(&s, replays_max ? replays_max : ASX_SHRINK_REPLAYS_MAX);
        replay_fails(&s, shrunk->calm, shrunk->calm_count);
    }
    asxi_explore_mirror_destroy(s.mirror);
    asx_strategy_destroy(s.replay);
    asxi_array_deinit(&s.rows);
}

void asx_shrunk_deinit(asx_shrunk *shrunk)
{
    asxi_lab_free(shrunk->choices);
    asxi_lab_free(shrunk->calm);
    asx_explore_run_destroy(shrunk->run);
    *shrunk = (asx_shrunk){ 0 };
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
