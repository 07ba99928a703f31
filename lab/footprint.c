#include <asx/lab/footprint.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/prng.h>

static void add(asx_lab_footprint *footprint, asx_lab_resource resource, uint64_t object,
                bool write)
{
    asx_assert_lt(footprint->count, ASX_LAB_FOOTPRINT_MAX);
    footprint->at[footprint->count++] =
        (asx_lab_access){ .object = object, .resource = (uint8_t)resource, .write = write };
}

static void reads(asx_lab_footprint *footprint, asx_lab_resource resource, uint64_t object)
{
    add(footprint, resource, object, false);
}

static void writes(asx_lab_footprint *footprint, asx_lab_resource resource, uint64_t object)
{
    add(footprint, resource, object, true);
}

static uint64_t slot_of(uint64_t ring, uint64_t seq)
{
    return asx_mix64(ring) + seq;
}

/* A message is read after it was written, and an operation at an edge is seen by the other end;
 * else the two ends do not meet. Who pushes also looks whether the other end sleeps and has heard a
 * bell: of two senders to a sleeper, only the first rings. */
static void ring_footprint(const asx_lab_event *event, asx_lab_footprint *footprint)
{
    const uint64_t ring = event->words[0];
    const bool push = event->kind == ASX_TRACE_RING_PUSH;
    writes(footprint, push ? ASX_LAB_RES_RING_TAIL : ASX_LAB_RES_RING_HEAD, ring);
    add(footprint, ASX_LAB_RES_RING_SLOT, slot_of(ring, event->words[1]), push);
    if (event->words[3]) {
        writes(footprint, ASX_LAB_RES_RING_EDGE, ring);
    }
    if (push) {
        reads(footprint, ASX_LAB_RES_SHARD, ring & 0xffff);
    }
}

static void race_footprint(const asx_lab_event *event, asx_lab_footprint *footprint)
{
    writes(footprint, ASX_LAB_RES_REGION, event->words[1]);
    for (uint32_t i = 2; i < asx_lab_event_count(event); i++) {
        reads(footprint, ASX_LAB_RES_TASK, event->words[i]);
    }
}

static void device_footprint(const asx_lab_event *event, asx_lab_footprint *footprint)
{
    if (event->words[0]) {
        writes(footprint, ASX_LAB_RES_IO, event->words[0]);
    } else {
        writes(footprint, ASX_LAB_RES_GLOBAL, 0);
    }
}

static void link_footprint(const asx_lab_event *event, asx_lab_footprint *footprint)
{
    const uint64_t *const w = event->words;
    writes(footprint, ASX_LAB_RES_TASK, w[1]);
    writes(footprint, ASX_LAB_RES_TASK, w[3]);
    reads(footprint, ASX_LAB_RES_REGION, w[2]);
    reads(footprint, ASX_LAB_RES_REGION, w[4]);
}

/* Each of these is false when the kind is another's. */

static bool obligation_footprint(const asx_lab_event *event, asx_lab_footprint *footprint)
{
    const uint64_t *const w = event->words;
    switch (event->kind) {
    case ASX_TRACE_OBL_RESERVE:
    case ASX_TRACE_OBL_COMMIT:
    case ASX_TRACE_OBL_ABORT:
    case ASX_TRACE_OBL_LEAK:
        writes(footprint, ASX_LAB_RES_OBL, w[0]);
        reads(footprint, ASX_LAB_RES_TASK, w[1]);
        reads(footprint, ASX_LAB_RES_REGION, w[2]);
        return true;
    case ASX_TRACE_OBL_TRANSFER:
        writes(footprint, ASX_LAB_RES_OBL, w[0]);
        writes(footprint, ASX_LAB_RES_TASK, w[1]);
        writes(footprint, ASX_LAB_RES_TASK, w[3]);
        reads(footprint, ASX_LAB_RES_REGION, w[2]);
        return true;
    default:
        return false;
    }
}

static bool task_footprint(const asx_lab_event *event, asx_lab_footprint *footprint)
{
    const uint64_t *const w = event->words;
    switch (event->kind) {
    case ASX_TRACE_TASK_SPAWN:
    case ASX_TRACE_TASK_READY:
    case ASX_TRACE_TASK_DISPATCH:
    case ASX_TRACE_TASK_YIELD:
    case ASX_TRACE_TASK_BLOCK:
    case ASX_TRACE_TASK_COMPLETE:
    case ASX_TRACE_CANCEL_ACK:
    case ASX_TRACE_SPAWN_ENQUEUED:
    case ASX_TRACE_SPAWN_ADMITTED:
    case ASX_TRACE_BUDGET_CHARGE:
        writes(footprint, ASX_LAB_RES_TASK, w[0]);
        reads(footprint, ASX_LAB_RES_REGION, w[1]);
        return true;
    case ASX_TRACE_BUDGET_INSTALL:
        writes(footprint, w[0] ? ASX_LAB_RES_TASK : ASX_LAB_RES_REGION, w[0] ? w[0] : w[1]);
        return true;
    case ASX_TRACE_CAP_INSTALL:
    case ASX_TRACE_CAP_USE:
        writes(footprint, ASX_LAB_RES_TASK, w[0]);
        return true;
    case ASX_TRACE_CANCEL_REQUEST:
        writes(footprint, ASX_LAB_RES_TASK, w[0]);
        writes(footprint, ASX_LAB_RES_REGION, w[1]);
        return true;
    case ASX_TRACE_FUTURELOCK:
        reads(footprint, ASX_LAB_RES_TASK, w[0]);
        reads(footprint, ASX_LAB_RES_REGION, w[1]);
        return true;
    case ASX_TRACE_MASK_ENTER:
    case ASX_TRACE_MASK_EXIT:
        writes(footprint, ASX_LAB_RES_TASK, w[0]);
        return true;
    case ASX_TRACE_MONITOR_ADD:
    case ASX_TRACE_MONITOR_DEL:
        writes(footprint, ASX_LAB_RES_TASK, w[1]);
        reads(footprint, ASX_LAB_RES_REGION, w[2]);
        reads(footprint, ASX_LAB_RES_TASK, w[3]);
        return true;
    case ASX_TRACE_DOWN:
        writes(footprint, ASX_LAB_RES_TASK, w[1]);
        reads(footprint, ASX_LAB_RES_TASK, w[2]);
        reads(footprint, ASX_LAB_RES_CLOCK, 0);
        return true;
    case ASX_TRACE_LINK_ADD:
    case ASX_TRACE_LINK_DEL:
        link_footprint(event, footprint);
        return true;
    case ASX_TRACE_EXIT_SIGNAL:
        writes(footprint, ASX_LAB_RES_TASK, w[2]);
        reads(footprint, ASX_LAB_RES_TASK, w[1]);
        reads(footprint, ASX_LAB_RES_CLOCK, 0);
        return true;
    case ASX_TRACE_CHILD_FAIL:
    case ASX_TRACE_CHILD_RESTART:
    case ASX_TRACE_ESCALATE:
        writes(footprint, ASX_LAB_RES_TASK, w[0]);
        writes(footprint, ASX_LAB_RES_TASK, w[1]);
        return true;
    default:
        return false;
    }
}

static bool region_footprint(const asx_lab_event *event, asx_lab_footprint *footprint)
{
    const uint64_t *const w = event->words;
    switch (event->kind) {
    case ASX_TRACE_REGION_CREATE:
        writes(footprint, ASX_LAB_RES_REGION, w[0]);
        reads(footprint, ASX_LAB_RES_REGION, w[1]);
        return true;
    case ASX_TRACE_REGION_CLOSE_BEGIN:
    case ASX_TRACE_REGION_CLOSE_END:
    case ASX_TRACE_REGION_CANCEL:
    case ASX_TRACE_FINALIZER_ADD:
    case ASX_TRACE_FINALIZER_RUN:
        writes(footprint, ASX_LAB_RES_REGION, w[0]);
        return true;
    case ASX_TRACE_RACE_BEGIN:
    case ASX_TRACE_RACE_END:
        race_footprint(event, footprint);
        return true;
    default:
        return false;
    }
}

static bool shard_footprint(const asx_lab_event *event, asx_lab_footprint *footprint)
{
    const uint64_t *const w = event->words;
    switch (event->kind) {
    case ASX_TRACE_RING_PUSH:
    case ASX_TRACE_RING_POP:
        ring_footprint(event, footprint);
        return true;
    case ASX_TRACE_RING_FULL:
    case ASX_TRACE_RING_EMPTY:
        writes(footprint, ASX_LAB_RES_RING_EDGE, w[0]);
        return true;
    case ASX_TRACE_DOORBELL:
        writes(footprint, ASX_LAB_RES_SHARD, w[1]);
        return true;
    case ASX_TRACE_SHARD_PARK:
    case ASX_TRACE_SHARD_UNPARK:
        writes(footprint, ASX_LAB_RES_SHARD, w[0]);
        return true;
    case ASX_TRACE_LOCK_WAIT:
    case ASX_TRACE_LOCK_TAKE:
    case ASX_TRACE_LOCK_RELEASE:
        writes(footprint, ASX_LAB_RES_LOCK, w[0]);
        reads(footprint, ASX_LAB_RES_TASK, w[1]);
        return true;
    case ASX_TRACE_ACTOR_MSG_SEND:
    case ASX_TRACE_ACTOR_MSG_RECV:
        writes(footprint, ASX_LAB_RES_RING_EDGE, w[0]);
        return true;
    case ASX_TRACE_NAME_LEASE:
    case ASX_TRACE_NAME_RELEASE:
        writes(footprint, ASX_LAB_RES_NAME, w[0]);
        return true;
    default:
        return false;
    }
}

static bool world_footprint(const asx_lab_event *event, asx_lab_footprint *footprint)
{
    const uint64_t *const w = event->words;
    switch (event->kind) {
    case ASX_TRACE_TIME_ADVANCE:
        writes(footprint, ASX_LAB_RES_CLOCK, 0);
        return true;
    case ASX_TRACE_TIMER_ARM:
    case ASX_TRACE_TIMER_FIRE:
    case ASX_TRACE_TIMER_CANCEL:
        writes(footprint, ASX_LAB_RES_TIMER, w[0]);
        reads(footprint, ASX_LAB_RES_CLOCK, 0);
        return true;
    case ASX_TRACE_IO_SUBMIT:
    case ASX_TRACE_IO_READY:
    case ASX_TRACE_IO_RESULT:
    case ASX_TRACE_IO_CANCEL:
    case ASX_TRACE_CONN_OPEN:
    case ASX_TRACE_CONN_CLOSE:
        writes(footprint, ASX_LAB_RES_IO, w[0]);
        return true;
    case ASX_TRACE_NET_FAULT:
    case ASX_TRACE_DISK_FAULT:
        device_footprint(event, footprint);
        return true;
    case ASX_TRACE_RNG_SEED:
    case ASX_TRACE_RNG_VALUE:
        writes(footprint, ASX_LAB_RES_RNG, w[0]);
        return true;
    case ASX_TRACE_CHECKPOINT:
    case ASX_TRACE_SNAPSHOT:
        reads(footprint, ASX_LAB_RES_GLOBAL, 0);
        return true;
    case ASX_TRACE_CHAOS:
        writes(footprint, ASX_LAB_RES_GLOBAL, 0);
        if (w[2]) {
            writes(footprint, ASX_LAB_RES_TASK, w[2]);
        }
        return true;
    case ASX_TRACE_USER_MARK:
    case ASX_TRACE_CHOICE:
    case ASX_TRACE_LOG_OVERFLOW:
        return true;
    default: /* MEM_FAIL, and what nobody knows */
        return false;
    }
}

void asx_lab_event_footprint(const asx_lab_event *event, asx_lab_footprint *footprint)
{
    footprint->count = 0;
    if (asx_lab_event_valid(event) &&
        (task_footprint(event, footprint) || obligation_footprint(event, footprint) ||
         region_footprint(event, footprint) || shard_footprint(event, footprint) ||
         world_footprint(event, footprint))) {
        return;
    }
    footprint->count = 0;
    writes(footprint, ASX_LAB_RES_GLOBAL, 0);
}

static bool access_conflict(const asx_lab_access *a, const asx_lab_access *b)
{
    const bool global = a->resource == ASX_LAB_RES_GLOBAL || b->resource == ASX_LAB_RES_GLOBAL;
    if (!global && (a->resource != b->resource || a->object != b->object)) {
        return false;
    }
    return a->write || b->write;
}

bool asx_lab_footprint_conflict(const asx_lab_footprint *a, const asx_lab_footprint *b)
{
    for (uint32_t i = 0; i < a->count; i++) {
        for (uint32_t k = 0; k < b->count; k++) {
            if (access_conflict(&a->at[i], &b->at[k])) {
                return true;
            }
        }
    }
    return false;
}

bool asx_lab_event_conflict(const asx_lab_event *a, const asx_lab_event *b)
{
    asx_lab_footprint of_a, of_b;
    asx_lab_event_footprint(a, &of_a);
    asx_lab_event_footprint(b, &of_b);
    return asx_lab_footprint_conflict(&of_a, &of_b);
}

const char *asx_lab_resource_name(asx_lab_resource resource)
{
    static const char *const names[] = {
        [ASX_LAB_RES_TASK] = "task",
        [ASX_LAB_RES_REGION] = "region",
        [ASX_LAB_RES_OBL] = "obligation",
        [ASX_LAB_RES_TIMER] = "timer",
        [ASX_LAB_RES_IO] = "io",
        [ASX_LAB_RES_RING_HEAD] = "ring head",
        [ASX_LAB_RES_RING_TAIL] = "ring tail",
        [ASX_LAB_RES_RING_EDGE] = "ring edge",
        [ASX_LAB_RES_RING_SLOT] = "message",
        [ASX_LAB_RES_SHARD] = "shard",
        [ASX_LAB_RES_NAME] = "name",
        [ASX_LAB_RES_CLOCK] = "clock",
        [ASX_LAB_RES_RNG] = "random stream",
        [ASX_LAB_RES_LOCK] = "lock",
        [ASX_LAB_RES_GLOBAL] = "everything",
    };
    return (unsigned)resource < asx_array_count(names) && names[resource] ? names[resource] : "?";
}
