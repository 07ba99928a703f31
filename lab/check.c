#include <asx/lab/check.h>
#include <asx/shard/base/assert.h>

#include "check_internal.h"

#include <stdarg.h>
#include <stdio.h>

#define IO_MORE 1u /* in the flags of an io_result: not the final one */

struct asx_lab_check {
    asxi_entities entities;
    bool partial;
    uint64_t count;
    asx_lab_breach breach;
};

ASX_PRINTF(4, 5)
static void breach(asx_lab_check *self, const asx_lab_event *event, asx_lab_rule rule,
                   const char *fmt, ...)
{
    asx_lab_breach *const b = &self->breach;
    if (b->rule != ASX_LAB_RULE_NONE) {
        return;
    }
    va_list args;
    b->rule = rule;
    b->index = self->count;
    b->seq = event->seq;
    va_start(args, fmt);
    vsnprintf(b->detail, sizeof(b->detail), fmt, args);
    va_end(args);
}

static void breach_of(asx_lab_check *self, const asx_lab_event *event, asx_lab_rule rule)
{
    char text[120];
    breach(self, event, rule, "%s", asx_lab_event_text(event, text, sizeof(text)));
}

/* What a partial trace does not know, it takes to have been there. */
static asxi_entity *find(asx_lab_check *self, asxi_entity_kind kind, uint64_t id, uint64_t region)
{
    asxi_entity *entity = asxi_entities_find(&self->entities, kind, id);
    if (!entity && self->partial) {
        entity = asxi_entities_add(&self->entities, kind, id);
        entity->adopted = true;
        entity->region = region;
    }
    return entity;
}

static asxi_entity *region_of(asx_lab_check *self, uint64_t id)
{
    return find(self, ASXI_ENTITY_REGION, id, 0);
}

static void less(uint32_t *count)
{
    *count -= *count > 0; /* an adopted one was not counted when it came */
}

static void on_spawn(asx_lab_check *self, const asx_lab_event *event)
{
    const uint64_t *const w = event->words;
    if (asxi_entities_find(&self->entities, ASXI_ENTITY_TASK, w[0])) {
        breach_of(self, event, ASX_LAB_RULE_SPAWN_1);
        return;
    }
    asxi_entity *const region = region_of(self, w[1]);
    if (!region || region->over) {
        breach_of(self, event, ASX_LAB_RULE_SPAWN_2);
        return;
    }
    region->tasks++;
    asxi_entities_add(&self->entities, ASXI_ENTITY_TASK, w[0])->region = w[1];
}

static void on_complete(asx_lab_check *self, const asx_lab_event *event)
{
    const uint64_t *const w = event->words;
    asxi_entity *const task = find(self, ASXI_ENTITY_TASK, w[0], w[1]);
    if (!task) {
        breach_of(self, event, ASX_LAB_RULE_TASK_1);
    } else if (task->region != w[1]) {
        breach_of(self, event, ASX_LAB_RULE_TASK_2);
    } else if (task->over) {
        breach_of(self, event, ASX_LAB_RULE_TASK_3);
    } else {
        const bool adopted = task->adopted;
        asxi_entities_end(&self->entities, task);
        asxi_entity *const region = adopted ? NULL : region_of(self, w[1]);
        if (region) {
            less(&region->tasks);
        }
    }
}

static void on_cancel(asx_lab_check *self, const asx_lab_event *event)
{
    const uint64_t *const w = event->words;
    asxi_entity *const task = find(self, ASXI_ENTITY_TASK, w[0], w[1]);
    if (!task) {
        breach_of(self, event, ASX_LAB_RULE_CANCEL_1);
    } else if (task->region != w[1]) {
        breach_of(self, event, ASX_LAB_RULE_CANCEL_2);
    } else if (task->over) {
        breach_of(self, event, ASX_LAB_RULE_CANCEL_3);
    } else {
        task->requested = true;
    }
}

static void on_ack(asx_lab_check *self, const asx_lab_event *event)
{
    const uint64_t *const w = event->words;
    const asxi_entity *const task = find(self, ASXI_ENTITY_TASK, w[0], w[1]);
    if (!task) {
        breach_of(self, event, ASX_LAB_RULE_CANCEL_4);
    } else if (task->region != w[1]) {
        breach_of(self, event, ASX_LAB_RULE_CANCEL_5);
    } else if (!task->requested && !task->adopted) {
        breach_of(self, event, ASX_LAB_RULE_CANCEL_6);
    }
}

static void on_create(asx_lab_check *self, const asx_lab_event *event)
{
    const uint64_t *const w = event->words;
    asxi_entity *const parent = w[1] ? region_of(self, w[1]) : NULL;
    if (asxi_entities_find(&self->entities, ASXI_ENTITY_REGION, w[0]) ||
        (w[1] && (!parent || parent->closing))) {
        breach_of(self, event, ASX_LAB_RULE_REGION_1);
        return;
    }
    if (parent) {
        parent->children++;
    }
    asxi_entities_add(&self->entities, ASXI_ENTITY_REGION, w[0])->region = w[1];
}

static void on_close_begin(asx_lab_check *self, const asx_lab_event *event)
{
    asxi_entity *const region = region_of(self, event->words[0]);
    if (!region) {
        breach_of(self, event, ASX_LAB_RULE_REGION_2); /* it never was, or ended long ago */
    } else if (region->over) {
        breach_of(self, event, ASX_LAB_RULE_REGION_2);
    } else if (region->closing) {
        breach_of(self, event, ASX_LAB_RULE_REGION_3);
    } else {
        region->closing = true;
    }
}

/* The rule that a region breaks by ending now. */
static asx_lab_rule end_rule(const asxi_entity *region)
{
    if (region->over) {
        return ASX_LAB_RULE_REGION_5;
    }
    if (!region->closing && !region->adopted) {
        return ASX_LAB_RULE_REGION_4;
    }
    if (region->tasks > 0) {
        return ASX_LAB_RULE_QUIESCE_1;
    }
    if (region->children > 0) {
        return ASX_LAB_RULE_QUIESCE_2;
    }
    if (region->finalizers > 0) {
        return ASX_LAB_RULE_QUIESCE_3;
    }
    return region->permits > 0 ? ASX_LAB_RULE_OBL_1 : ASX_LAB_RULE_NONE;
}

static void on_close_end(asx_lab_check *self, const asx_lab_event *event)
{
    asxi_entity *const region = region_of(self, event->words[0]);
    const asx_lab_rule rule = region ? end_rule(region) : ASX_LAB_RULE_REGION_4;
    if (rule != ASX_LAB_RULE_NONE) {
        breach_of(self, event, rule);
        return;
    }
    const bool adopted = region->adopted;
    asxi_entities_end(&self->entities, region);
    asxi_entity *const parent =
        adopted ? NULL : asxi_entities_find(&self->entities, ASXI_ENTITY_REGION, event->words[1]);
    if (parent) {
        less(&parent->children);
    }
}

static void on_finalizer(asx_lab_check *self, const asx_lab_event *event)
{
    asxi_entity *const region = region_of(self, event->words[0]);
    if (region && event->kind == ASX_TRACE_FINALIZER_ADD) {
        region->finalizers++;
    } else if (region) {
        less(&region->finalizers);
    }
}

static void on_reserve(asx_lab_check *self, const asx_lab_event *event)
{
    const uint64_t *const w = event->words;
    if (asxi_entities_find(&self->entities, ASXI_ENTITY_PERMIT, w[0])) {
        breach_of(self, event, ASX_LAB_RULE_OBL_2);
        return;
    }
    const asxi_entity *const task = find(self, ASXI_ENTITY_TASK, w[1], w[2]);
    if (!task) {
        breach_of(self, event, ASX_LAB_RULE_OBL_3);
    } else if (task->region != w[2]) {
        breach_of(self, event, ASX_LAB_RULE_OBL_5);
    } else if (task->over) {
        breach_of(self, event, ASX_LAB_RULE_OBL_6);
    } else {
        asxi_entity *const permit = asxi_entities_add(&self->entities, ASXI_ENTITY_PERMIT, w[0]);
        permit->holder = w[1];
        permit->region = w[2];
        asxi_entity *const region = region_of(self, w[2]);
        if (region) {
            region->permits++;
        }
    }
}

static void on_resolve(asx_lab_check *self, const asx_lab_event *event, asx_lab_rule unreserved)
{
    const uint64_t *const w = event->words;
    asxi_entity *const permit = asxi_entities_find(&self->entities, ASXI_ENTITY_PERMIT, w[0]);
    if (!permit) {
        if (!self->partial) {
            breach_of(self, event, unreserved);
        }
    } else if (permit->over) {
        breach_of(self, event, ASX_LAB_RULE_OBL_10);
    } else if (permit->holder != w[1] || permit->region != w[2]) {
        breach_of(self, event, ASX_LAB_RULE_OBL_9);
    } else if (event->kind == ASX_TRACE_OBL_TRANSFER) {
        permit->holder = w[3];
    } else {
        asxi_entities_end(&self->entities, permit);
        asxi_entity *const region = region_of(self, w[2]);
        if (region) {
            less(&region->permits);
        }
    }
}

#define UNSEEN UINT64_MAX /* the place of a ring's end, in a trace that began after it */

static void on_ring(asx_lab_check *self, const asx_lab_event *event)
{
    const uint64_t seq = event->words[1];
    asxi_entity *ring = asxi_entities_find(&self->entities, ASXI_ENTITY_RING, event->words[0]);
    if (!ring) {
        ring = asxi_entities_add(&self->entities, ASXI_ENTITY_RING, event->words[0]);
        ring->pushed = ring->popped = self->partial ? UNSEEN : 0;
    }
    const bool push = event->kind == ASX_TRACE_RING_PUSH;
    uint64_t *const end = push ? &ring->pushed : &ring->popped;
    const bool out_of_order = *end != UNSEEN && seq != *end + 1;
    const bool unpushed = !push && ring->pushed != UNSEEN && seq > ring->pushed;
    if (out_of_order || unpushed) {
        breach_of(self, event, ASX_LAB_RULE_RING_1);
    }
    *end = seq;
}

static void on_io(asx_lab_check *self, const asx_lab_event *event)
{
    const uint64_t *const w = event->words;
    asxi_entity *const op = asxi_entities_find(&self->entities, ASXI_ENTITY_IO, w[0]);
    if (event->kind == ASX_TRACE_IO_SUBMIT) {
        if (!op) {
            (void)asxi_entities_add(&self->entities, ASXI_ENTITY_IO, w[0]);
        }
    } else if (!op) {
        if (!self->partial) {
            breach_of(self, event, ASX_LAB_RULE_IO_1);
        }
    } else if (op->over) {
        breach_of(self, event, ASX_LAB_RULE_IO_2);
    } else if (!(w[2] & IO_MORE)) {
        asxi_entities_end(&self->entities, op);
    }
}

static void on_event(asx_lab_check *self, const asx_lab_event *event)
{
    switch (event->kind) {
    case ASX_TRACE_TASK_SPAWN:
        return on_spawn(self, event);
    case ASX_TRACE_TASK_COMPLETE:
        return on_complete(self, event);
    case ASX_TRACE_CANCEL_REQUEST:
        return on_cancel(self, event);
    case ASX_TRACE_CANCEL_ACK:
        return on_ack(self, event);
    case ASX_TRACE_REGION_CREATE:
        return on_create(self, event);
    case ASX_TRACE_REGION_CLOSE_BEGIN:
        return on_close_begin(self, event);
    case ASX_TRACE_REGION_CLOSE_END:
        return on_close_end(self, event);
    case ASX_TRACE_FINALIZER_ADD:
    case ASX_TRACE_FINALIZER_RUN:
        return on_finalizer(self, event);
    case ASX_TRACE_OBL_RESERVE:
        return on_reserve(self, event);
    case ASX_TRACE_OBL_COMMIT:
        return on_resolve(self, event, ASX_LAB_RULE_OBL_7);
    case ASX_TRACE_OBL_ABORT:
    case ASX_TRACE_OBL_TRANSFER:
        return on_resolve(self, event, ASX_LAB_RULE_OBL_8);
    case ASX_TRACE_OBL_LEAK:
        return breach_of(self, event, ASX_LAB_RULE_OBL_4);
    case ASX_TRACE_RING_PUSH:
    case ASX_TRACE_RING_POP:
        return on_ring(self, event);
    case ASX_TRACE_IO_SUBMIT:
    case ASX_TRACE_IO_RESULT:
        return on_io(self, event);
    default:
        return;
    }
}

asx_lab_check *asx_lab_check_create(bool partial)
{
    asx_lab_check *const self = asxi_lab_alloc(1, sizeof(*self));
    self->partial = partial;
    asxi_entities_init(&self->entities);
    return self;
}

void asx_lab_check_event(asx_lab_check *self, const asx_lab_event *event)
{
    if (self->breach.rule == ASX_LAB_RULE_NONE) {
        if (asx_lab_event_valid(event)) {
            on_event(self, event);
        } else if (asx_trace_kind_name(event->kind)[0] == '?') {
            breach(self, event, ASX_LAB_RULE_SCHEMA_1, "kind %u", event->kind);
        } else {
            breach(self, event, ASX_LAB_RULE_SCHEMA_2, "%s with %u bytes of payload",
                   asx_trace_kind_name(event->kind), event->payload_len);
        }
    }
    self->count++;
}

asxi_entities *asxi_check_entities(asx_lab_check *self)
{
    return &self->entities;
}

const asx_lab_breach *asx_lab_check_breach(const asx_lab_check *self)
{
    return &self->breach;
}

void asx_lab_check_destroy(asx_lab_check *self)
{
    asxi_entities_deinit(&self->entities);
    asxi_lab_free(self);
}

bool asx_lab_check_events(const asx_lab_event *events, size_t count, bool partial,
                          asx_lab_breach *result)
{
    asx_lab_check *const check = asx_lab_check_create(partial);
    for (size_t i = 0; i < count; i++) {
        asx_lab_check_event(check, &events[i]);
    }
    *result = *asx_lab_check_breach(check);
    asx_lab_check_destroy(check);
    return result->rule == ASX_LAB_RULE_NONE;
}

const char *asx_lab_rule_name(asx_lab_rule rule)
{
    static const char *const names[] = { [ASX_LAB_RULE_NONE] = "none",
#define X(name, text) [ASX_LAB_RULE_##name] = text,
                                         ASX_LAB_RULE_LIST(X)
#undef X
    };
    return (unsigned)rule < asx_array_count(names) ? names[rule] : "?";
}
