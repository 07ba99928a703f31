/* Forced replay, and where it first differed. */
#include <asx/lab/schedule.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"

#include <string.h>

typedef struct replayer {
    asx_lab_listener listener;
    const asx_lab_schedule *schedule;
    asx_lab_divergence *divergence;
    asxi_array rows; /* of this run */
} replayer;

static asx_lab_difference compare(const asx_lab_row *a, const asx_lab_row *b)
{
    if (a->kind != b->kind) {
        return ASX_LAB_DIFFERS_KIND;
    }
    if (a->kind == ASX_LAB_ROW_CHOICE) {
        return a->lane == b->lane && a->n == b->n && a->chosen == b->chosen &&
                       a->object == b->object
                   ? ASX_LAB_SAME
                   : ASX_LAB_DIFFERS_CHOICE;
    }
    if (a->shard != b->shard) {
        return ASX_LAB_DIFFERS_SHARD;
    }
    if (a->task != b->task) {
        return ASX_LAB_DIFFERS_TASK;
    }
    if (a->lane != b->lane) {
        return ASX_LAB_DIFFERS_LANE;
    }
    if (a->step != b->step) {
        return ASX_LAB_DIFFERS_STEP;
    }
    return a->vtime_ns == b->vtime_ns ? ASX_LAB_SAME : ASX_LAB_DIFFERS_TIME;
}

static void diverge(replayer *self, asx_lab_difference what, uint32_t index)
{
    if (self->divergence->what == ASX_LAB_SAME) {
        self->divergence->what = what;
        self->divergence->index = index;
    }
}

static void hear_row(asx_lab_listener *listener, const asx_lab_row *row)
{
    replayer *const self = asx_container_of(listener, replayer, listener);
    const uint32_t index = self->rows.count;
    asxi_array_append(&self->rows, row, 1);
    if (self->divergence->what == ASX_LAB_SAME) {
        if (index == self->schedule->row_count) {
            diverge(self, ASX_LAB_DIFFERS_EXHAUSTED, index);
        } else {
            diverge(self, compare(&self->schedule->rows[index], row), index);
        }
    } else if (index >= self->divergence->index + ASX_LAB_ROWS_AFTER) {
        listener->stop = true;
    }
}

/* The rows around the difference, from both runs. */
static void take_context(replayer *self)
{
    asx_lab_divergence *const d = self->divergence;
    const uint64_t first = d->index > ASX_LAB_ROWS_BEFORE ? d->index - ASX_LAB_ROWS_BEFORE : 0;
    d->first = (uint32_t)first;
    for (uint64_t i = first; i <= d->index + ASX_LAB_ROWS_AFTER; i++) {
        if (i < self->schedule->row_count) {
            d->expected[d->expected_count++] = self->schedule->rows[i];
        }
        if (i < self->rows.count) {
            d->actual[d->actual_count++] =
                *(const asx_lab_row *)asxi_array_at(&self->rows, (uint32_t)i);
        }
    }
}

static void judge(replayer *self, const asx_lab_report *report)
{
    if (self->rows.count < self->schedule->row_count) {
        diverge(self, ASX_LAB_DIFFERS_LEFT, self->rows.count);
    } else if (report->misfit != ASX_LAB_FITS) {
        diverge(self, ASX_LAB_DIFFERS_CHOICE, self->rows.count);
    } else if (report->schedule_hash != self->schedule->schedule_hash ||
               report->trace_hash != self->schedule->trace_hash) {
        diverge(self, ASX_LAB_DIFFERS_EVENT, self->rows.count);
    }
    if (self->divergence->what != ASX_LAB_SAME) {
        take_context(self);
    }
}

bool asx_lab_replay(const asx_lab_config *config, asx_task_fn *app, void *arg,
                    const asx_lab_schedule *schedule, asx_lab_divergence *divergence,
                    asx_lab_report *report)
{
    *divergence = (asx_lab_divergence){ .row_count = schedule->row_count };
    memset(report, 0, sizeof(*report));
    if (asx_lab_config_hash(config) != schedule->config_hash || schedule->truncated) {
        divergence->what = ASX_LAB_DIFFERS_CONFIG;
        return false;
    }
    asx_lab_choice *const choices = asxi_lab_alloc(schedule->row_count, sizeof(*choices));
    replayer self = { .schedule = schedule, .divergence = divergence };
    asxi_array_init(&self.rows, sizeof(asx_lab_row));
    self.listener = (asx_lab_listener){ .hear_row = hear_row, .next = config->listeners };
    asx_lab_config forced = *config;
    forced.mode = ASX_LAB_FORCED;
    forced.choices = choices;
    forced.choice_count = asx_lab_schedule_choices(schedule, choices);
    forced.steer = NULL;
    forced.bytes_len = 0;
    forced.listeners = &self.listener;
    (void)asx_lab_run(&forced, app, arg, report);
    judge(&self, report);
    asxi_array_deinit(&self.rows);
    asxi_lab_free(choices);
    return divergence->what == ASX_LAB_SAME;
}

const char *asx_lab_difference_name(asx_lab_difference what)
{
    static const char *const names[] = {
        [ASX_LAB_SAME] = "same",
        [ASX_LAB_DIFFERS_CONFIG] = "config",
        [ASX_LAB_DIFFERS_KIND] = "event-type",
        [ASX_LAB_DIFFERS_TASK] = "task",
        [ASX_LAB_DIFFERS_SHARD] = "shard",
        [ASX_LAB_DIFFERS_LANE] = "lane",
        [ASX_LAB_DIFFERS_STEP] = "step",
        [ASX_LAB_DIFFERS_TIME] = "time",
        [ASX_LAB_DIFFERS_CHOICE] = "choice",
        [ASX_LAB_DIFFERS_EXHAUSTED] = "exhausted",
        [ASX_LAB_DIFFERS_LEFT] = "left over",
        [ASX_LAB_DIFFERS_EVENT] = "event",
    };
    return (unsigned)what < asx_array_count(names) ? names[what] : "?";
}

const char *asx_lab_difference_hint(asx_lab_difference what)
{
    switch (what) {
    case ASX_LAB_SAME:
        return "";
    case ASX_LAB_DIFFERS_CONFIG:
        return "the file belongs to another configuration or seed, or lost rows when it was made";
    case ASX_LAB_DIFFERS_KIND:
    case ASX_LAB_DIFFERS_TASK:
    case ASX_LAB_DIFFERS_SHARD:
    case ASX_LAB_DIFFERS_LANE:
        return "something the lab does not choose decided who runs: a pointer that is compared or "
               "hashed, a static that kept its value from another run, an unseeded table";
    case ASX_LAB_DIFFERS_STEP:
        return "work was cut into other turns: look for a budget that depends on real time";
    case ASX_LAB_DIFFERS_TIME:
        return "a deadline was computed from a clock that is not the shard's";
    case ASX_LAB_DIFFERS_CHOICE:
        return "another question was asked: the program did something else before it";
    case ASX_LAB_DIFFERS_EXHAUSTED:
    case ASX_LAB_DIFFERS_LEFT:
        return "the program ended at another place: look at what decides that it is done";
    case ASX_LAB_DIFFERS_EVENT:
        return "the same steps did other things: look for real randomness or time in payloads";
    }
    return "";
}

static void row_print(const asx_lab_row *row, FILE *out)
{
    if (row->kind == ASX_LAB_ROW_CHOICE) {
        fprintf(out, "choose %s %u of %u, object %" PRIu64, asx_choice_site_name(row->lane),
                row->chosen, row->n, row->object);
    } else {
        fprintf(out, "run T%u.%u.%u on shard %u, lane %u", (unsigned)(row->task >> 56),
                (unsigned)(row->task >> 32 & 0xffffff), (unsigned)row->task, row->shard, row->lane);
    }
    fprintf(out, ", step %" PRIu64 ", %" PRIu64 " ns\n", row->step, row->vtime_ns);
}

static void rows_print(const asx_lab_divergence *d, const asx_lab_row *rows, uint32_t count,
                       FILE *out)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t index = d->first + i;
        fprintf(out, "  %c%8" PRIu64 "  ", index == d->index ? '>' : ' ', index);
        row_print(&rows[i], out);
    }
    if (d->index >= (uint64_t)d->first + count) {
        fprintf(out, "  >%8" PRIu64 "  nothing more\n", d->index);
    }
}

void asx_lab_divergence_print(const asx_lab_divergence *d, FILE *out)
{
    if (d->what == ASX_LAB_SAME) {
        fprintf(out, "no divergence in %" PRIu64 " rows\n", d->row_count);
        return;
    }
    const uint64_t percent = d->row_count ? 100 * d->index / d->row_count : 0;
    fprintf(out, "diverged at row %" PRIu64 " of %" PRIu64 " (%" PRIu64 " %%): %s\n", d->index,
            d->row_count, percent, asx_lab_difference_name(d->what));
    fprintf(out, "hint: %s\n", asx_lab_difference_hint(d->what));
    if (d->what == ASX_LAB_DIFFERS_CONFIG) {
        return;
    }
    fprintf(out, "recorded\n");
    rows_print(d, d->expected, d->expected_count, out);
    fprintf(out, "this run\n");
    rows_print(d, d->actual, d->actual_count, out);
}
