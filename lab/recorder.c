#include <asx/shard/base/assert.h>

#include "recorder_internal.h"

#include <string.h>

void asxi_recorder_init(asxi_recorder *self, const asx_lab_config *config,
                        const asx_instant *now_ns)
{
    memset(self, 0, sizeof(*self));
    self->now_ns = now_ns;
    self->listeners = config->listeners;
    self->steer = config->steer && config->steer->touch ? config->steer : NULL;
    self->capacity = config->trace_capacity;
    self->ring_capacity = config->ring_capacity;
    self->events = asxi_lab_alloc(self->capacity, sizeof(asx_lab_event));
    self->clocks =
        asxi_lab_alloc((size_t)ASX_LAB_SHARDS_MAX * ASX_LAB_SHARDS_MAX, sizeof(asxi_ring_clock));
    self->trace_hash = self->schedule_hash = ASX_FNV64_EMPTY;
    self->check = config->unchecked ? NULL : asx_lab_check_create(false);
    if (self->check) {
        self->oracles = asx_lab_oracles_create(
            self->check, asx_lab_oracles_select(config->oracles, NULL, 0), config->cancel_streak);
    }
    self->rows_max = config->keep_schedule ? config->choice_rows_max : 0;
    asxi_array_init(&self->rows, sizeof(asx_lab_row));
}

/* Where the Lamport time of a message is kept between its push and its pop. */
static uint64_t *message_clock(asxi_recorder *self, const uint64_t *words)
{
    const uint32_t from = (uint32_t)(words[0] >> 16), to = words[0] & 0xffff;
    asx_assert(from < ASX_LAB_SHARDS_MAX && to < ASX_LAB_SHARDS_MAX);
    asxi_ring_clock *const clock = &self->clocks[to * ASX_LAB_SHARDS_MAX + from];
    if (!clock->sent) {
        clock->sent = asxi_lab_alloc(self->ring_capacity, sizeof(uint64_t));
    }
    return &clock->sent[words[1] & (self->ring_capacity - 1)];
}

static uint64_t lamport_tick(asxi_recorder *self, uint32_t shard, asx_trace_kind kind,
                             const uint64_t *words)
{
    uint64_t *const own = &self->lamport[shard < ASX_LAB_SHARDS_MAX ? shard : ASX_LAB_SHARDS_MAX];
    if (kind == ASX_TRACE_RING_POP) {
        const uint64_t sent = *message_clock(self, words);
        *own = sent > *own ? sent : *own;
    }
    ++*own;
    if (kind == ASX_TRACE_RING_PUSH) {
        *message_clock(self, words) = *own;
    }
    return *own;
}

/* What a task that spins on yield makes happen, over and over, chaos beside it or not. */
static bool is_spinning(asx_trace_kind kind)
{
    return kind == ASX_TRACE_TASK_DISPATCH || kind == ASX_TRACE_TASK_YIELD ||
           kind == ASX_TRACE_TASK_READY || kind == ASX_TRACE_CHOICE || kind == ASX_TRACE_CHAOS ||
           kind == ASX_TRACE_USER_MARK;
}

static void touch(asx_lab_steer *steer, const asx_lab_event *event)
{
    asx_lab_footprint footprint;
    asx_lab_event_footprint(event, &footprint);
    for (uint32_t i = 0; i < footprint.count; i++) {
        steer->touch(steer, &footprint.at[i]);
    }
}

static void row_add(asxi_recorder *self, const asx_lab_event *event)
{
    const uint64_t *const w = event->words;
    asx_lab_row row = { .kind = ASX_LAB_ROW_DISPATCH, .shard = event->shard, .step = self->step };
    row.vtime_ns = event->vtime_ns;
    row.lane = (uint8_t)(event->kind == ASX_TRACE_CHOICE ? w[0] : w[2]);
    if (event->kind == ASX_TRACE_CHOICE) {
        row.kind = ASX_LAB_ROW_CHOICE;
        row.n = (uint16_t)w[1];
        row.chosen = (uint16_t)w[2];
        row.object = w[3];
    } else {
        row.task = w[0];
    }
    if (self->rows.count < self->rows_max) {
        asxi_array_append(&self->rows, &row, 1);
    } else {
        self->rows_truncated |= self->rows_max > 0;
    }
    for (asx_lab_listener *each = self->listeners; each; each = each->next) {
        if (each->hear_row) {
            each->hear_row(each, &row);
        }
    }
}

static void schedule_add(asxi_recorder *self, asx_trace_kind kind, const uint64_t *words)
{
    if (kind == ASX_TRACE_TASK_DISPATCH) {
        const uint64_t row[] = { words[0], words[2], self->step };
        self->schedule_hash = asx_fnv64_words(self->schedule_hash, row, asx_array_count(row));
    } else {
        const uint64_t row[] = { words[0] | words[1] << 16 | words[2] << 32, words[3] };
        self->schedule_hash = asx_fnv64_words(self->schedule_hash, row, asx_array_count(row));
    }
}

void asxi_recorder_emit(asxi_recorder *self, uint32_t shard, asx_trace_kind kind,
                        const uint64_t *words, uint32_t count)
{
    if (self->muted) {
        return;
    }
    asx_lab_event *const event = &self->events[self->total % self->capacity];
    asx_lab_event_init(event, shard, kind, words, count);
    event->seq = self->total++;
    event->vtime_ns = *self->now_ns;
    event->lamport = lamport_tick(self, shard, kind, words);
    self->trace_hash = asx_lab_event_chain(self->trace_hash, event);
    self->by_kind[kind]++;
    self->moves += !is_spinning(kind);
    if (kind == ASX_TRACE_TASK_DISPATCH || kind == ASX_TRACE_CHOICE) {
        schedule_add(self, kind, words);
        if (self->rows_max > 0 || self->listeners) {
            row_add(self, event);
        }
    } else if (kind == ASX_TRACE_CANCEL_REQUEST) {
        self->strengthened += (words[2] & ASX_TRACE_STRENGTHENED) != 0;
    }
    if (self->steer) {
        touch(self->steer, event);
    }
    if (self->check) {
        asx_lab_check_event(self->check, event);
        asx_lab_oracles_event(self->oracles, event);
    }
    for (asx_lab_listener *each = self->listeners; each; each = each->next) {
        if (each->hear) {
            each->hear(each, event);
        }
    }
}

void asxi_recorder_turn(asxi_recorder *self, uint32_t shard)
{
    if (self->oracles) {
        asx_lab_oracles_turn(self->oracles, shard);
    }
}

static void report_events(asxi_recorder *self, asx_lab_report *report)
{
    const uint64_t kept = self->total < self->capacity ? self->total : self->capacity;
    const uint64_t first = (self->total - kept) % self->capacity;
    if (first > 0) { /* turned until the oldest is first */
        asx_lab_event *const turned = asxi_lab_alloc(kept, sizeof(*turned));
        memcpy(turned, self->events + first, (kept - first) * sizeof(*turned));
        memcpy(turned + (kept - first), self->events, first * sizeof(*turned));
        asxi_lab_free(self->events);
        self->events = turned;
    }
    report->events = self->events;
    report->events_kept = (uint32_t)kept;
    self->events = NULL;
}

static void report_oracles(asxi_recorder *self, asx_lab_report *report)
{
    const asx_lab_breach *const breach = asx_lab_check_breach(self->check);
    if (breach->rule != ASX_LAB_RULE_NONE) {
        asx_lab_report_violate(report, asx_lab_rule_name(breach->rule), "event %" PRIu64 ": %s",
                               breach->seq, breach->detail);
    }
    asx_lab_oracles_end(self->oracles, report->termination == ASX_LAB_DEADLOCK);
    for (uint32_t i = 0; i < ASX_LAB_ORACLE_COUNT; i++) {
        const asx_lab_verdict verdict = asx_lab_oracles_verdict(self->oracles, (asx_lab_oracle)i);
        report->oracles[i] = verdict;
        if (verdict.finding == ASX_LAB_FAIL) {
            asx_lab_report_violate(report, asx_lab_oracle_name((asx_lab_oracle)i),
                                   "event %" PRIu64 ": %s", verdict.seq, verdict.first);
        }
    }
}

void asxi_recorder_report(asxi_recorder *self, asx_lab_report *report)
{
    const uint64_t *const n = self->by_kind;
    report->trace_total = self->total;
    report->trace_hash = self->trace_hash;
    report->schedule_hash = self->schedule_hash;
    report->dispatches = n[ASX_TRACE_TASK_DISPATCH];
    report->timer_fires = n[ASX_TRACE_TIMER_FIRE];
    report->counts = (asx_lab_counts){
        .spawned = n[ASX_TRACE_TASK_SPAWN],
        .completed = n[ASX_TRACE_TASK_COMPLETE],
        .cancel_requested = n[ASX_TRACE_CANCEL_REQUEST] - self->strengthened,
        .cancel_acknowledged = n[ASX_TRACE_CANCEL_ACK],
        .reserved = n[ASX_TRACE_OBL_RESERVE],
        .committed = n[ASX_TRACE_OBL_COMMIT],
        .aborted = n[ASX_TRACE_OBL_ABORT],
        .leaked = n[ASX_TRACE_OBL_LEAK],
        .pushed = n[ASX_TRACE_RING_PUSH],
        .popped = n[ASX_TRACE_RING_POP],
    };
    if (self->check) {
        report_oracles(self, report);
    }
    report_events(self, report);
    report->row_count = self->rows.count;
    report->rows_truncated = self->rows_truncated;
    report->rows = asxi_lab_alloc(self->rows.count, sizeof(asx_lab_row));
    if (self->rows.count > 0) {
        memcpy(report->rows, asxi_array_items(&self->rows), self->rows.count * sizeof(asx_lab_row));
    }
}

void asxi_recorder_deinit(asxi_recorder *self)
{
    for (size_t i = 0; i < (size_t)ASX_LAB_SHARDS_MAX * ASX_LAB_SHARDS_MAX; i++) {
        asxi_lab_free(self->clocks[i].sent);
    }
    asxi_array_deinit(&self->rows);
    if (self->check) {
        asx_lab_oracles_destroy(self->oracles);
        asx_lab_check_destroy(self->check);
    }
    asxi_lab_free(self->clocks);
    asxi_lab_free(self->events);
}
