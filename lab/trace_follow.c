#include <asx/lab/trace_follow.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include <string.h>

typedef struct follower {
    asx_lab_listener listener;
    asx_lab_feed feed;
    asx_lab_trace_reader *reader;
    asx_lab_trace_divergence *divergence;
    asx_lab_event expected; /* the next record, when `peeked` */
    bool peeked, ended;     /* ended: the file has no more */
    uint64_t index;
} follower;

asx_lab_difference asx_lab_trace_compare(const asx_lab_event *a, const asx_lab_event *b)
{
    if (a->payload_len == b->payload_len && memcmp(a, b, asx_lab_event_size(a)) == 0) {
        return ASX_LAB_SAME;
    }
    if (a->kind != b->kind) {
        return ASX_LAB_DIFFERS_KIND;
    }
    if (a->kind == ASX_TRACE_CHOICE) {
        return ASX_LAB_DIFFERS_CHOICE;
    }
    if (a->shard != b->shard) {
        return ASX_LAB_DIFFERS_SHARD;
    }
    if (a->kind == ASX_TRACE_TASK_DISPATCH && a->words[0] != b->words[0]) {
        return ASX_LAB_DIFFERS_TASK;
    }
    if (a->kind == ASX_TRACE_TASK_DISPATCH && a->words[2] != b->words[2]) {
        return ASX_LAB_DIFFERS_LANE;
    }
    return a->vtime_ns == b->vtime_ns ? ASX_LAB_DIFFERS_EVENT : ASX_LAB_DIFFERS_TIME;
}

void asx_lab_trace_side_add(asx_lab_trace_side *side, const asx_lab_event *event, uint32_t max)
{
    asx_assert_le(max, ASX_LAB_TRACE_AROUND);
    if (side->count == max) {
        memmove(side->at, side->at + 1, (max - 1) * sizeof(*event));
        side->count--;
    }
    side->at[side->count++] = *event;
}

static bool peek(follower *self)
{
    if (!self->peeked && !self->ended) {
        self->peeked = asx_lab_trace_reader_next(self->reader, &self->expected);
        self->ended = !self->peeked;
    }
    return self->peeked;
}

/* What stands in the file from the difference on. */
static void expected_take(follower *self)
{
    asx_lab_trace_divergence *const d = self->divergence;
    d->before = d->expected.count;
    for (uint32_t i = 0; i <= ASX_LAB_ROWS_AFTER && peek(self); i++) {
        asx_lab_trace_side_add(&d->expected, &self->expected, ASX_LAB_TRACE_AROUND);
        self->peeked = false;
    }
}

static void diverge(follower *self, asx_lab_difference what)
{
    if (self->divergence->what == ASX_LAB_SAME) {
        self->divergence->what = what;
        self->divergence->index = self->index;
        expected_take(self);
    }
}

/* Whether the file ends here because it is the beginning of a longer one, or is wrong. */
static bool ends_early(follower *self)
{
    return asx_lab_trace_reader_wrong(self->reader) || asx_lab_trace_reader_info(self->reader)->cut;
}

static void hear(asx_lab_listener *listener, const asx_lab_event *event)
{
    follower *const self = asx_container_of(listener, follower, listener);
    asx_lab_trace_divergence *const d = self->divergence;
    if (d->what != ASX_LAB_SAME) {
        if (d->actual.count < d->before + 1 + ASX_LAB_ROWS_AFTER) {
            asx_lab_trace_side_add(&d->actual, event, ASX_LAB_TRACE_AROUND);
        } else {
            listener->stop = true;
        }
        return;
    }
    if (!peek(self)) {
        if (ends_early(self)) {
            listener->stop = true;
            return;
        }
        diverge(self, ASX_LAB_DIFFERS_EXHAUSTED);
        asx_lab_trace_side_add(&d->actual, event, ASX_LAB_TRACE_AROUND);
        return;
    }
    const asx_lab_difference what = asx_lab_trace_compare(&self->expected, event);
    if (what != ASX_LAB_SAME) {
        diverge(self, what);
        asx_lab_trace_side_add(&d->actual, event, ASX_LAB_TRACE_AROUND);
        return;
    }
    asx_lab_trace_side_add(&d->expected, event, ASX_LAB_ROWS_BEFORE);
    asx_lab_trace_side_add(&d->actual, event, ASX_LAB_ROWS_BEFORE);
    self->peeked = false;
    self->index++;
}

/* Everything before it was compared when it happened: the next record is the answer. */
static bool feed_next(asx_lab_feed *feed, asx_lab_choice *row)
{
    follower *const self = asx_container_of(feed, follower, feed);
    if (self->divergence->what != ASX_LAB_SAME || !peek(self) ||
        self->expected.kind != ASX_TRACE_CHOICE) {
        return false;
    }
    const uint64_t *const w = self->expected.words;
    *row = (asx_lab_choice){
        .site = (uint16_t)w[0], .n = (uint16_t)w[1], .chosen = (uint16_t)w[2], .object = w[3]
    };
    return true;
}

static void judge(follower *self, const asx_lab_report *report)
{
    const asx_lab_trace_receipt *const receipt = &asx_lab_trace_reader_info(self->reader)->receipt;
    if (peek(self)) {
        diverge(self, ASX_LAB_DIFFERS_LEFT);
    } else if (!ends_early(self) && receipt->ended &&
               (receipt->schedule_hash != report->schedule_hash ||
                receipt->run_hash != report->trace_hash || receipt->steps != report->steps ||
                receipt->termination != report->termination)) {
        diverge(self, ASX_LAB_DIFFERS_EVENT);
    }
}

const char *asx_lab_trace_follow_refused(const asx_lab_trace_info *info,
                                         const asx_lab_config *config, asx_lab_trace_guide guide)
{
    const char *const refused = asx_lab_config_refused(config);
    if (info->level != ASX_LAB_TRACE_LOSSLESS) {
        return "it is reduced: what is left cannot be followed";
    }
    if (info->flags & (ASX_LAB_TRACE_OVERWRITTEN | ASX_LAB_TRACE_PRODUCTION)) {
        return "it does not hold a lab run from its beginning";
    }
    if (guide == ASX_LAB_TRACE_SEED && info->config.mode != ASX_LAB_RANDOM &&
        info->config.mode != ASX_LAB_DEFAULT) {
        return "its choices did not come from a seed: follow the choices";
    }
    if (refused) {
        return refused;
    }
    return asx_lab_config_hash(config) == info->config_hash ? NULL
                                                            : "it belongs to another configuration";
}

bool asx_lab_trace_follow(const asx_lab_config *config, asx_task_fn *app, void *arg,
                          asx_lab_trace_reader *reader, asx_lab_trace_guide guide,
                          asx_lab_trace_divergence *divergence, asx_lab_report *report)
{
    const asx_lab_trace_info *const info = asx_lab_trace_reader_info(reader);
    asx_lab_config followed = *config;
    followed.mode = guide == ASX_LAB_TRACE_SEED ? info->config.mode : ASX_LAB_FORCED;
    followed.choices = NULL;
    followed.choice_count = followed.bytes_len = 0;
    followed.steer = NULL;
    followed.feed = NULL;
    followed.unrecorded = true;
    asx_assert(asx_lab_trace_follow_refused(info, &followed, guide) == NULL);
    asx_assert_eq(asx_lab_trace_reader_records(reader), 0);
    *divergence = (asx_lab_trace_divergence){ .total = info->kept,
                                              .other_build = info->build_id != asx_lab_build_id() };
    follower self = { .listener = { .hear = hear, .next = config->listeners },
                      .feed = { .next = feed_next },
                      .reader = reader,
                      .divergence = divergence };
    followed.listeners = &self.listener;
    followed.feed = guide == ASX_LAB_TRACE_CHOICES ? &self.feed : NULL;
    (void)asx_lab_run(&followed, app, arg, report);
    judge(&self, report);
    return divergence->what == ASX_LAB_SAME && !asx_lab_trace_reader_wrong(reader);
}

static void side_print(const asx_lab_trace_divergence *d, const asx_lab_trace_side *side,
                       const char *name, FILE *out)
{
    char text[240];
    fprintf(out, "%s\n", name);
    for (uint32_t i = 0; i < side->count; i++) {
        const asx_lab_event *const event = &side->at[i];
        fprintf(out, "  %c%8" PRIu64 "  ", i == d->before ? '>' : ' ', d->index - d->before + i);
        if (event->shard < ASX_LAB_SHARDS_MAX) {
            fprintf(out, "shard %-2u", event->shard);
        } else {
            fputs("the run ", out);
        }
        fprintf(out, " %10" PRIu64 " ns  %s\n", event->vtime_ns,
                asx_lab_event_text(event, text, sizeof(text)));
    }
    if (side->count <= d->before) {
        fprintf(out, "  >%8" PRIu64 "  nothing more\n", d->index);
    }
}

void asx_lab_trace_divergence_print(const asx_lab_trace_divergence *d, const char *expected,
                                    const char *actual, FILE *out)
{
    if (d->what == ASX_LAB_SAME) {
        fprintf(out, "no divergence in %" PRIu64 " records\n", d->total);
        return;
    }
    const uint64_t percent = d->total ? 100 * d->index / d->total : 0;
    fprintf(out, "diverged at record %" PRIu64 " of %" PRIu64 " (%" PRIu64 " %%): %s\n", d->index,
            d->total, percent, asx_lab_difference_name(d->what));
    if (!d->of_files) {
        fprintf(out, "hint: %s\n",
                d->other_build ? "the file was made by another build, whose runs may be others"
                               : asx_lab_difference_hint(d->what));
    }
    side_print(d, &d->expected, expected, out);
    side_print(d, &d->actual, actual, out);
}
