#include <asx/shard/obligation_internal.h>
#include <asx/shard/sync/pool.h>

#include "line_internal.h"

#define MIN 1u
#define MAX 10u
#define ACQUIRE_TIMEOUT_NS (30 * ASX_NS_PER_S)
#define IDLE_TIMEOUT_NS (600 * ASX_NS_PER_S)
#define LIFETIME_NS (3600 * ASX_NS_PER_S)

/* One item, lent or idle; or a free entry. */
typedef struct pooled {
    uintptr_t item;
    asx_instant created_at, idle_since;
    struct pooled *next; /* idle: the one that was returned before; free: the next free one */
} pooled;

/* Outlives the region, because leases may. */
typedef struct pool_memory {
    asx_pool_options options;
    pooled *free;
    size_t len;
    pooled entries[];
} pool_memory;

typedef struct pool {
    asxi_object object;
    pool_memory *memory;
    const asx_pool_options *options; /* in it */
    pooled *idle;                    /* the last returned first */
    uint32_t idle_count, lent, creating;
    asxi_line waiting; /* told with a pooled item in amount, or with 0: the right to make one */
    uint64_t created, destroyed, acquired, timed_out;
} pool;

_Static_assert(sizeof(pool) <= ASXI_OBJECT_BYTES, "a pool fits a record");

static pool *pool_of(asxi_object *object)
{
    return asx_container_of(object, pool, object);
}

static uint32_t live(const pool *self)
{
    return self->idle_count + self->lent + self->creating;
}

typedef struct ending {
    const asx_pool_options *options;
    uintptr_t item;
} ending;

static void item_end(void *arg)
{
    const ending *const self = arg;
    self->options->destroy(self->item, self->options->arg);
}

static void item_destroy(const pool *self, uintptr_t item)
{
    ending it = { .options = self->options, .item = item };
    if (self->options->destroy) {
        asxi_region_drop(self->object.shard, self->object.region, item_end, &it);
    }
}

static void pooled_free(pool *self, pooled *entry)
{
    item_destroy(self, entry->item);
    self->destroyed++;
    entry->next = self->memory->free;
    self->memory->free = entry;
}

static void pool_close(asxi_object *object)
{
    pool *const self = pool_of(object);
    asxi_line_close(&self->waiting);
    while (self->idle) {
        pooled *const entry = self->idle;
        self->idle = entry->next;
        self->idle_count--;
        pooled_free(self, entry);
    }
}

static void pool_deinit(asxi_object *object)
{
    pool *const self = pool_of(object);
    asx_assert_eq(live(self), 0);
    if (self->memory) {
        asx_chunk_release(&object->shard->chunks, self->memory, self->memory->len);
    }
}

static const asxi_object_type pool_type = {
    .name = "pool",
    .close = pool_close,
    .deinit = pool_deinit,
};

static pool_memory *memory_create(asx_shard *shard, const asx_pool_options *options)
{
    size_t len = 0;
    const size_t wanted = sizeof(pool_memory) + options->max * sizeof(pooled);
    pool_memory *const memory = asx_chunk_acquire(&shard->chunks, wanted, &len);
    if (memory) {
        memory->options = *options;
        memory->len = len;
        memory->free = NULL;
        for (uint32_t i = options->max; i-- > 0;) {
            memory->entries[i].next = memory->free;
            memory->free = &memory->entries[i];
        }
    }
    return memory;
}

asx_err asx_pool_open(asx_cx *cx, const asx_pool_options *options, asx_pool *opened)
{
    asxi_object *object;
    *opened = (asx_pool){ 0 };
    asx_pool_options filled = *options;
    filled.max = filled.max ? filled.max : MAX;
    filled.min = filled.min ? filled.min : MIN;
    filled.acquire_timeout_ns =
        filled.acquire_timeout_ns ? filled.acquire_timeout_ns : ACQUIRE_TIMEOUT_NS;
    filled.idle_timeout_ns = filled.idle_timeout_ns ? filled.idle_timeout_ns : IDLE_TIMEOUT_NS;
    filled.lifetime_ns = filled.lifetime_ns ? filled.lifetime_ns : LIFETIME_NS;
    filled.what = filled.what ? filled.what : "pool";
    if (!filled.create || filled.min > filled.max || filled.max > ASX_POOL_MAX) {
        return ASX_E(INVALID_ARGUMENT);
    }
    const asx_err err = asxi_object_open(cx, &pool_type, sizeof(pool), &object);
    if (err) {
        return err;
    }
    pool *const self = pool_of(object);
    asxi_line_init(&self->waiting);
    self->memory = memory_create(object->shard, &filled);
    if (!self->memory) {
        asxi_object_close(object);
        return ASX_E(NO_MEMORY);
    }
    self->options = &self->memory->options;
    opened->_object = asx_handle_of(object);
    return ASX_OK;
}

/* errors  CLOSED, STALE */
static asx_err find(asx_cx *cx, asx_pool handle, pool **self)
{
    asxi_object *object;
    const asx_err err = asxi_object_find_open(cx, handle._object, &pool_type, &object);
    if (asx_likely(!err)) {
        *self = pool_of(object);
    }
    return err;
}

void asx_pool_close(asx_cx *cx, asx_pool handle)
{
    asxi_object_close_found(cx, handle._object, &pool_type);
}

/* A place is free: the oldest waiter may make an item. A closed pool has none. */
static void place_free(pool *self)
{
    asxi_baton *const head = asxi_line_head(&self->waiting);
    if (head && live(self) < self->options->max) {
        self->creating++;
        head->amount = 0;
        asxi_line_tell(head, ASXI_LINE_GRANTED);
    }
}

static void discard(pool *self, pooled *entry)
{
    pooled_free(self, entry);
    place_free(self);
}

/* Not lent any more: to the oldest waiter, or idle. */
static void give(pool *self, pooled *entry)
{
    const asx_instant now_ns = self->object.shard->now_ns;
    if (asx_time_sub(now_ns, entry->created_at) >= self->options->lifetime_ns) {
        discard(self, entry);
        return;
    }
    asxi_baton *const head = asxi_line_head(&self->waiting);
    if (head) {
        self->lent++;
        head->amount = (uintptr_t)entry;
        asxi_line_tell(head, ASXI_LINE_GRANTED);
        return;
    }
    entry->idle_since = now_ns;
    entry->next = self->idle;
    self->idle = entry;
    self->idle_count++;
}

static void waiter_leave(asxi_baton *baton, bool granted)
{
    pool *const self = pool_of(baton->object);
    if (granted && baton->amount != 0) {
        pooled *const entry = (pooled *)(uintptr_t)baton->amount;
        self->lent--;
        if (asxi_object_is_open(baton->object)) {
            give(self, entry);
        } else {
            pooled_free(self, entry);
        }
    } else if (granted) {
        self->creating--;
        place_free(self);
    }
}

/* Destroys what was idle too long, down to `min`, and what lived too long. */
static void expire(pool *self)
{
    const asx_pool_options *const o = self->options;
    const asx_instant now_ns = self->object.shard->now_ns;
    for (pooled **at = &self->idle; *at;) {
        pooled *const entry = *at;
        const bool stale = asx_time_sub(now_ns, entry->idle_since) >= o->idle_timeout_ns;
        const bool old = asx_time_sub(now_ns, entry->created_at) >= o->lifetime_ns;
        if (old || (stale && live(self) > o->min)) {
            *at = entry->next;
            self->idle_count--;
            pooled_free(self, entry);
        } else {
            at = &entry->next;
        }
    }
}

typedef struct making {
    asx_defer defer;
    pool *self;
} making;

/* The creation is over without an item: its place is free. */
static void making_failed(asx_cx *cx, asx_defer *defer)
{
    pool *const self = asx_container_of(defer, making, defer)->self;
    (void)cx;
    self->creating--;
    if (asxi_object_is_open(&self->object)) {
        place_free(self);
    }
    asxi_object_unref(&self->object);
}

/* With the right to: makes an item, which counts as lent. */
static asx_outcome make(asx_cx *cx, pool *self, pooled **made, asx_err *why)
{
    making now = { .self = self };
    asxi_object_ref(&self->object);
    asx_defer_push(cx, &now.defer, making_failed);
    const asx_outcome outcome = self->options->create(cx, self->options->arg);
    asx_defer_pop(cx, &now.defer);
    if (!asx_is_ok(outcome)) {
        making_failed(cx, &now.defer);
        if (why && outcome.severity == ASX_SEVERITY_ERR) {
            *why = outcome.err;
        }
        return outcome.severity == ASX_SEVERITY_ERR ? asx_fail(ASX_E(CREATE_FAILED)) : outcome;
    }
    if (!asxi_object_is_open(&self->object)) { /* closed meanwhile */
        item_destroy(self, outcome.value);
        making_failed(cx, &now.defer);
        return asx_fail(ASX_E(CLOSED));
    }
    pooled *const entry = self->memory->free;
    asx_assert(entry != NULL); /* as many as may live */
    self->memory->free = entry->next;
    *entry = (pooled){ .item = outcome.value, .created_at = cx->_shard->now_ns };
    self->creating--;
    self->lent++;
    self->created++;
    asxi_object_unref(&self->object);
    *made = entry;
    return asx_ok(0);
}

static void lease_lost(void *object, uint64_t amount, asx_settlement how)
{
    pool *const self = pool_of(object);
    pooled *const entry = (pooled *)(uintptr_t)amount;
    (void)how;
    self->lent--;
    if (asxi_object_is_open(&self->object)) {
        give(self, entry);
    } else {
        pooled_free(self, entry);
    }
    asxi_object_unref(&self->object);
}

/* An entry that counts as lent becomes the task's, or goes back. */
static asx_outcome lease_make(asx_cx *cx, pool *self, pooled *entry, asx_pool_lease *lease)
{
    const asx_obligation_options options = { .kind = ASX_OBLIGATION_LEASE,
                                             .what = self->options->what,
                                             .settle = lease_lost,
                                             .object = &self->object,
                                             .amount = (uintptr_t)entry };
    const asx_err err = asx_obligation_reserve(cx, &options, &lease->_obligation);
    asxi_object_ref(&self->object);
    if (err) {
        lease_lost(&self->object, (uintptr_t)entry, ASX_SETTLED_CANCEL);
        return asx_fail(err);
    }
    lease->item = entry->item;
    self->acquired++;
    return asx_ok(0);
}

/* Ok: *entry counts as lent; NULL: the right to make one was granted. */
static asx_outcome take(asx_cx *cx, pool *self, asx_instant deadline_ns, pooled **entry)
{
    *entry = NULL;
    expire(self);
    if (asxi_line_empty(&self->waiting) && self->idle) {
        *entry = self->idle;
        self->idle = self->idle->next;
        self->idle_count--;
        self->lent++;
        return asx_ok(0);
    }
    if (asxi_line_empty(&self->waiting) && live(self) < self->options->max) {
        self->creating++;
        return asx_ok(0);
    }
    asxi_baton baton = { .object = &self->object, .leave = waiter_leave };
    const asx_outcome outcome =
        asxi_line_wait(cx, &self->waiting, &baton, self->options->what, deadline_ns, ASX_E(CLOSED));
    if (asx_is_ok(outcome)) {
        *entry = (pooled *)(uintptr_t)baton.amount;
    } else if (asx_is_err(outcome, ASX_E(TIMED_OUT))) {
        self->timed_out++;
    }
    return outcome;
}

typedef struct checking {
    asx_defer defer;
    pool *self;
    pooled *entry;
} checking;

/* The check ended without an answer: the item is not trusted. */
static void checking_ended(asx_cx *cx, asx_defer *defer)
{
    checking *const now = asx_container_of(defer, checking, defer);
    (void)cx;
    now->self->lent--;
    discard(now->self, now->entry);
    asxi_object_unref(&now->self->object);
}

/* False: the item was bad and is gone, or the pool is. */
static bool checked(asx_cx *cx, pool *self, pooled *entry)
{
    checking now = { .self = self, .entry = entry };
    if (!self->options->check) {
        return true;
    }
    asxi_object_ref(&self->object);
    asx_defer_push(cx, &now.defer, checking_ended);
    const bool good = self->options->check(cx, entry->item, self->options->arg);
    asx_defer_pop(cx, &now.defer);
    if (good && asxi_object_is_open(&self->object)) {
        asxi_object_unref(&self->object);
        return true;
    }
    checking_ended(cx, &now.defer);
    return false;
}

asx_outcome asx_pool_acquire(asx_cx *cx, asx_pool handle, asx_pool_lease *lease, asx_err *why)
{
    asx_instant deadline_ns = 0;
    for (;;) {
        pool *self;
        pooled *entry;
        const asx_err err = find(cx, handle, &self);
        if (err) {
            return asx_fail(err);
        }
        if (asxi_observe_cancel(cx)) {
            return asxi_cancelled(cx);
        }
        if (deadline_ns == 0) {
            deadline_ns = asx_time_add(cx->_shard->now_ns, self->options->acquire_timeout_ns);
        }
        ASX_TRY(take(cx, self, deadline_ns, &entry));
        if (!entry) {
            ASX_TRY(make(cx, self, &entry, why));
        } else if (!checked(cx, self, entry)) {
            continue;
        }
        return lease_make(cx, self, entry, lease);
    }
}

asx_outcome asx_pool_warm(asx_cx *cx, asx_pool handle)
{
    for (;;) {
        pool *self;
        pooled *entry;
        const asx_err err = find(cx, handle, &self);
        if (err) {
            return asx_fail(err);
        }
        if (live(self) >= self->options->min) {
            return asx_ok(live(self));
        }
        self->creating++;
        ASX_TRY(make(cx, self, &entry, NULL));
        self->lent--;
        give(self, entry);
    }
}

void asx_pool_return(asx_cx *cx, asx_pool_lease lease)
{
    void *object;
    uint64_t entry;
    if (!asxi_obligation_resolve(cx, lease._obligation, ASX_OBLIGATION_COMMITTED, lease_lost,
                                 &object, &entry)) {
        lease_lost(object, entry, ASX_SETTLED_CANCEL);
    }
}

void asx_pool_discard(asx_cx *cx, asx_pool_lease lease)
{
    void *object;
    uint64_t entry;
    if (asxi_obligation_resolve(cx, lease._obligation, ASX_OBLIGATION_ABORTED, lease_lost, &object,
                                &entry)) {
        return;
    }
    pool *const self = pool_of(object);
    self->lent--;
    discard(self, (pooled *)(uintptr_t)entry);
    asxi_object_unref(&self->object);
}

asx_pool_stats asx_pool_stats_read(asx_cx *cx, asx_pool handle)
{
    pool *self;
    if (find(cx, handle, &self)) {
        return (asx_pool_stats){ 0 };
    }
    return (asx_pool_stats){ .idle = self->idle_count,
                             .lent = self->lent,
                             .creating = self->creating,
                             .waiting = self->waiting.count,
                             .created = self->created,
                             .destroyed = self->destroyed,
                             .acquired = self->acquired,
                             .timed_out = self->timed_out };
}
