/* The registry: names, selection, verdicts. What is asked of a run: oracle_rules.c. */
#include <asx/lab/oracle.h>
#include <asx/shard/base/assert.h>

#include "near_internal.h"
#include "oracle_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define BIT(name) (UINT32_C(1) << ASX_LAB_ORACLE_##name)
#define FUTURELOCK_LOOK 1000u

static const struct {
    const char *name, *meaning;
} registry[] = {
#define X(name, text, meaning) [ASX_LAB_ORACLE_##name] = { #text, meaning },
    ASX_LAB_ORACLE_LIST(X)
#undef X
};

/* Which oracles a rule of the checker's belongs to. */
static uint32_t view_of(asx_lab_rule rule)
{
    switch (rule) {
    case ASX_LAB_RULE_SPAWN_2:
    case ASX_LAB_RULE_QUIESCE_1:
        return BIT(TASK_LEAK) | BIT(QUIESCENCE);
    case ASX_LAB_RULE_SPAWN_1:
    case ASX_LAB_RULE_TASK_1:
    case ASX_LAB_RULE_TASK_2:
    case ASX_LAB_RULE_TASK_3:
        return BIT(TASK_LEAK);
    case ASX_LAB_RULE_CANCEL_1:
    case ASX_LAB_RULE_CANCEL_2:
    case ASX_LAB_RULE_CANCEL_3:
    case ASX_LAB_RULE_CANCEL_4:
    case ASX_LAB_RULE_CANCEL_5:
    case ASX_LAB_RULE_CANCEL_6:
        return BIT(CANCELLATION_PROTOCOL);
    case ASX_LAB_RULE_REGION_1:
    case ASX_LAB_RULE_QUIESCE_2:
        return BIT(REGION_TREE) | BIT(QUIESCENCE);
    case ASX_LAB_RULE_REGION_2:
    case ASX_LAB_RULE_REGION_3:
    case ASX_LAB_RULE_REGION_4:
    case ASX_LAB_RULE_REGION_5:
        return BIT(REGION_TREE);
    case ASX_LAB_RULE_QUIESCE_3:
        return BIT(FINALIZER) | BIT(QUIESCENCE);
    case ASX_LAB_RULE_OBL_1:
        return BIT(OBLIGATION_LEAK) | BIT(QUIESCENCE);
    case ASX_LAB_RULE_OBL_4:
    case ASX_LAB_RULE_OBL_6:
        return BIT(OBLIGATION_LEAK);
    case ASX_LAB_RULE_OBL_2:
    case ASX_LAB_RULE_OBL_3:
    case ASX_LAB_RULE_OBL_5:
    case ASX_LAB_RULE_OBL_7:
    case ASX_LAB_RULE_OBL_8:
    case ASX_LAB_RULE_OBL_9:
    case ASX_LAB_RULE_OBL_10:
        return BIT(OBLIGATION_LINEAR);
    case ASX_LAB_RULE_RING_1:
        return BIT(RING_FIFO);
    case ASX_LAB_RULE_IO_1:
    case ASX_LAB_RULE_IO_2:
    case ASX_LAB_RULE_SCHEMA_1:
    case ASX_LAB_RULE_SCHEMA_2:
    case ASX_LAB_RULE_NONE:
    case ASX_LAB_RULE_END:
        return 0;
    }
    return 0;
}

/* Which oracles look at events of a kind. */
static uint32_t lookers(uint32_t kind)
{
    switch (kind) {
    case ASX_TRACE_TASK_SPAWN:
    case ASX_TRACE_TASK_COMPLETE:
        return BIT(TASK_LEAK);
    case ASX_TRACE_REGION_CREATE:
        return BIT(REGION_TREE);
    case ASX_TRACE_REGION_CLOSE_END:
        return BIT(QUIESCENCE) | BIT(REGION_TREE);
    case ASX_TRACE_OBL_RESERVE:
    case ASX_TRACE_OBL_COMMIT:
    case ASX_TRACE_OBL_ABORT:
        return BIT(OBLIGATION_LEAK) | BIT(OBLIGATION_LINEAR) | BIT(FUTURELOCK);
    case ASX_TRACE_CANCEL_REQUEST:
    case ASX_TRACE_CANCEL_ACK:
        return BIT(CANCELLATION_PROTOCOL) | BIT(CANCEL_STUCK);
    case ASX_TRACE_REGION_CANCEL:
        return BIT(CANCELLATION_PROTOCOL) | BIT(CANCEL_ORDER);
    case ASX_TRACE_FINALIZER_ADD:
    case ASX_TRACE_FINALIZER_RUN:
        return BIT(FINALIZER);
    case ASX_TRACE_RACE_BEGIN:
    case ASX_TRACE_RACE_END:
        return BIT(LOSER_DRAIN);
    case ASX_TRACE_RING_PUSH:
    case ASX_TRACE_RING_POP:
        return BIT(RING_FIFO) | BIT(DOORBELL);
    case ASX_TRACE_TASK_DISPATCH:
        return BIT(LANE_FAIRNESS) | BIT(EDF_ORDER) | BIT(WAKER_DEDUP) | BIT(SHARD_AFFINITY);
    case ASX_TRACE_BUDGET_INSTALL:
        return BIT(DEADLINE_MONOTONE);
    case ASX_TRACE_CAP_INSTALL:
    case ASX_TRACE_CAP_USE:
        return BIT(AMBIENT_AUTHORITY);
    default:
        return 0;
    }
}

const char *asx_lab_oracle_name(asx_lab_oracle oracle)
{
    return oracle < ASX_LAB_ORACLE_COUNT ? registry[oracle].name : "?";
}

const char *asx_lab_oracle_meaning(asx_lab_oracle oracle)
{
    return oracle < ASX_LAB_ORACLE_COUNT ? registry[oracle].meaning : "?";
}

const char *asx_lab_finding_name(asx_lab_finding finding)
{
    static const char *const names[] = { "unasked", "vacuous", "pass", "fail" };
    return (unsigned)finding < asx_array_count(names) ? names[finding] : "?";
}

static uint32_t nearest(const char *name)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < ASX_LAB_ORACLE_COUNT; i++) {
        if (asxi_name_distance(name, registry[i].name) <
            asxi_name_distance(name, registry[best].name)) {
            best = i;
        }
    }
    return best;
}

uint32_t asx_lab_oracles_select(const char *names, char *why, size_t cap)
{
    uint32_t selected = 0;
    if (!names) {
        return ASX_LAB_ORACLES_ALL;
    }
    for (const char *at = names; *at;) {
        char name[64];
        const size_t len = strcspn(at, ",");
        uint32_t i = 0;
        snprintf(name, sizeof(name), "%.*s", (int)len, at);
        while (i < ASX_LAB_ORACLE_COUNT && strcmp(name, registry[i].name) != 0) {
            i++;
        }
        if (i == ASX_LAB_ORACLE_COUNT) {
            snprintf(why, cap, "there is no oracle %s; the nearest is %s", name,
                     registry[nearest(name)].name);
            return 0;
        }
        selected |= UINT32_C(1) << i;
        at += len + (at[len] == ',');
    }
    if (selected == 0) {
        snprintf(why, cap, "no oracle is named");
    }
    return selected;
}

asx_lab_oracles *asx_lab_oracles_create(asx_lab_check *check, uint32_t selected,
                                        uint32_t cancel_streak)
{
    asx_lab_oracles *const self = asxi_lab_alloc(1, sizeof(*self));
    self->check = check;
    self->entities = asxi_check_entities(check);
    self->selected = selected;
    self->turn = ASX_LAB_NO_TURN;
    self->streak_max = 2 * cancel_streak; /* while a region drains, and nobody says when */
    asxi_array_init(&self->holders, sizeof(uint64_t));
    for (uint32_t i = 0; i < ASXI_ORACLE_SHARDS; i++) {
        asxi_array_init(&self->shards[i].cut, sizeof(uint64_t));
        asxi_array_init(&self->shards[i].asked, sizeof(uint64_t));
    }
    return self;
}

void asx_lab_oracles_destroy(asx_lab_oracles *self)
{
    for (uint32_t i = 0; i < ASXI_ORACLE_SHARDS; i++) {
        asxi_array_deinit(&self->shards[i].cut);
        asxi_array_deinit(&self->shards[i].asked);
    }
    asxi_array_deinit(&self->holders);
    asxi_lab_free(self);
}

static void note(asx_lab_verdict *verdict, uint64_t seq, const char *text)
{
    if (verdict->violations++ == 0) {
        verdict->seq = seq;
        snprintf(verdict->first, sizeof(verdict->first), "%s", text);
    }
}

void asxi_oracle_fail(asx_lab_oracles *self, asx_lab_oracle oracle, const asx_lab_event *event,
                      const char *fmt, ...)
{
    char text[160];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    note(&self->verdicts[oracle], event ? event->seq : 0, text);
}

static void breached(asx_lab_oracles *self, const asx_lab_breach *breach)
{
    const uint32_t view = view_of(breach->rule);
    for (uint32_t i = 0; i < ASX_LAB_ORACLE_COUNT; i++) {
        if (view >> i & 1) {
            note(&self->verdicts[i], breach->seq, breach->detail);
        }
    }
}

void asx_lab_oracles_event(asx_lab_oracles *self, const asx_lab_event *event)
{
    const asx_lab_breach *const breach = asx_lab_check_breach(self->check);
    uint32_t looking = lookers(event->kind);
    for (; looking != 0; looking &= looking - 1) {
        self->verdicts[__builtin_ctz(looking)].events++;
    }
    if (breach->rule != ASX_LAB_RULE_NONE) {
        if (breach->seq == event->seq) {
            breached(self, breach);
        }
        return;
    }
    if (event->shard >= ASXI_ORACLE_SHARDS) {
        return; /* of the run itself */
    }
    asxi_oracle_order_event(self, event);
    asxi_oracle_sched_event(self, event);
    asxi_oracle_task_event(self, event);
    asxi_oracle_region_event(self, event);
    asxi_oracle_shard *const shard = &self->shards[event->shard];
    shard->kinds[1] = shard->kinds[0];
    shard->kinds[0] = event->kind;
    if (event->kind == ASX_TRACE_TASK_DISPATCH && shard->dispatches % FUTURELOCK_LOOK == 0) {
        asxi_oracle_futurelock(self, event, false);
    }
}

void asx_lab_oracles_turn(asx_lab_oracles *self, uint32_t shard)
{
    self->turn = shard;
}

void asx_lab_oracles_end(asx_lab_oracles *self, bool stuck)
{
    if (stuck && asx_lab_check_breach(self->check)->rule == ASX_LAB_RULE_NONE) {
        asxi_oracle_futurelock(self, NULL, true);
        asxi_oracle_order_end(self);
    }
}

asx_lab_verdict asx_lab_oracles_verdict(const asx_lab_oracles *self, asx_lab_oracle oracle)
{
    asx_lab_verdict verdict = self->verdicts[oracle];
    if (!(self->selected >> oracle & 1)) {
        return (asx_lab_verdict){ .finding = ASX_LAB_UNASKED };
    }
    verdict.finding = verdict.violations > 0 ? ASX_LAB_FAIL
                      : verdict.events > 0   ? ASX_LAB_PASS
                                             : ASX_LAB_VACUOUS;
    return verdict;
}
