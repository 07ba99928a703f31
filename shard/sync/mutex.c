#include <asx/shard/obligation_internal.h>
#include <asx/shard/sync/mutex.h>

#include "far_internal.h"

typedef struct mutex {
    asxi_object object;
    const char *what;
    /* Who locked it or was granted it; NULL: free. May be another shard's: never followed. */
    asx_task *holder;
    bool poisoned;
    asxi_line waiting;
    uint64_t acquired;
} mutex;

_Static_assert(sizeof(mutex) <= ASXI_OBJECT_BYTES, "a mutex fits a record");

static mutex *mutex_of(asxi_object *object)
{
    return asx_container_of(object, mutex, object);
}

static void mutex_close(asxi_object *object)
{
    asxi_line_close(&mutex_of(object)->waiting);
}

static const asxi_far_ops far_ops;
static const asxi_object_type mutex_type = { .name = "mutex",
                                             .close = mutex_close,
                                             .far = &far_ops };

asx_err asx_mutex_open(asx_cx *cx, const char *what, asx_mutex *opened)
{
    asxi_object *object;
    *opened = (asx_mutex){ 0 };
    const asx_err err = asxi_object_open(cx, &mutex_type, sizeof(mutex), &object);
    if (!err) {
        mutex_of(object)->what = what ? what : "mutex";
        asxi_line_init(&mutex_of(object)->waiting);
        opened->_object = asx_handle_of(object);
    }
    return err;
}

const asx_task *asxi_mutex_holder(const asxi_object *object)
{
    _Static_assert(offsetof(mutex, object) == 0, "an object of this type is one");
    return object->type == &mutex_type ? ((const mutex *)(const void *)object)->holder : NULL;
}

/* errors  CLOSED, STALE */
ASX_INLINE asx_err find(asx_cx *cx, asx_mutex handle, mutex **self)
{
    asxi_object *object;
    const asx_err err = asxi_object_find_open(cx, handle._object, &mutex_type, &object);
    if (asx_likely(!err)) {
        *self = mutex_of(object);
    }
    return err;
}

void asx_mutex_close(asx_cx *cx, asx_mutex handle)
{
    asxi_object_close_found(cx, handle._object, &mutex_type);
}

static ASX_NOINLINE void grant(mutex *self)
{
    asxi_baton *head = asxi_line_head(&self->waiting);
    if (ASXI_PLANTED(MUTEX_UNFAIR)) {
        head = asx_container_of(asx_list_last(&self->waiting.waiting), asxi_baton, wait.link);
    }
    self->holder = head->wait.task;
    asxi_line_tell(head, ASXI_LINE_GRANTED);
}

/* The lock is free: the oldest waiter has it next. */
ASX_INLINE void pass_on(mutex *self)
{
    self->holder = NULL;
    if (asx_unlikely(!asxi_line_empty(&self->waiting))) {
        grant(self);
    }
}

static ASX_COLD void poison(mutex *self)
{
    self->poisoned = true;
    self->holder = NULL;
    while (!asxi_line_empty(&self->waiting)) {
        asxi_line_tell(asxi_line_head(&self->waiting), ASX_E(POISONED));
    }
}

static void waiter_leave(asxi_baton *baton, bool granted)
{
    if (granted) {
        pass_on(mutex_of(baton->object));
    }
}

ASX_INLINE void unlocked(mutex *self, asx_settlement how)
{
    if (how == ASX_SETTLED_CANCEL) {
        pass_on(self);
    } else {
        poison(self);
    }
}

static void guard_lost(void *object, uint64_t amount, asx_settlement how)
{
    mutex *const self = mutex_of(object);
    (void)amount;
    if (asxi_object_is_open(&self->object)) {
        unlocked(self, how);
    }
    asxi_object_unref(&self->object);
}

ASX_INLINE asx_err guard_make(asx_cx *cx, mutex *self, asx_mutex_guard *guard)
{
    const asx_obligation_options options = { .kind = ASX_OBLIGATION_LEASE,
                                             .what = self->what,
                                             .settle = guard_lost,
                                             .object = &self->object };
    const asx_err err = asxi_obligation_make(cx, &options, &guard->_obligation);
    if (err) {
        pass_on(self);
        return err;
    }
    asxi_object_ref(&self->object);
    self->acquired++;
    return ASX_OK;
}

ASX_INLINE asx_err try_take(mutex *self, asx_task *task)
{
    if (asx_unlikely(self->poisoned)) {
        return ASX_E(POISONED);
    }
    if (asx_likely(!self->holder)) {
        asx_assert(asxi_line_empty(&self->waiting)); /* a free lock was passed on */
        self->holder = task;
        return ASX_OK;
    }
    return self->holder == task && !ASXI_PLANTED(SELF_LOCK) ? ASX_E(WOULD_DEADLOCK) : ASX_E(LOCKED);
}

/* For other shards */

static asx_err far_ask(asxi_object *object, asxi_baton *baton, asxi_line **line)
{
    mutex *const self = mutex_of(object);
    const asx_err err = try_take(self, baton->wait.task);
    baton->leave = waiter_leave;
    if (err == ASX_E(LOCKED)) {
        *line = &self->waiting;
        return ASX_OK;
    }
    return err;
}

static void far_release(asxi_object *object, uint64_t amount, uint32_t tag, asx_settlement how)
{
    (void)tag;
    (void)amount;
    mutex_of(object)->acquired++;
    unlocked(mutex_of(object), how);
}

static void far_tell(asxi_object *object, uint32_t op, uint64_t amount)
{
    (void)op; /* there is one */
    (void)amount;
    mutex_of(object)->poisoned = false;
}

static const asxi_far_ops far_ops = { .ask = far_ask, .release = far_release, .tell = far_tell };

static ASX_NOINLINE asx_outcome lock_far(asx_cx *cx, asx_mutex handle, asx_instant deadline_ns,
                                         asx_mutex_guard *guard)
{
    const asxi_far_request request = {
        .type = &mutex_type, .object = handle._object, .closed = ASX_E(CLOSED), .what = "far mutex"
    };
    return asxi_far_acquire(cx, &request, ASX_OBLIGATION_LEASE, deadline_ns, &guard->_obligation);
}

static ASX_NOINLINE asx_outcome lock_wait(asx_cx *cx, mutex *self, asx_instant deadline_ns,
                                          asx_mutex_guard *guard)
{
    asxi_baton baton = { .object = &self->object, .leave = waiter_leave };
    const asx_outcome outcome =
        asxi_line_wait(cx, &self->waiting, &baton, self->what, deadline_ns, ASX_E(CLOSED));
    if (!asx_is_ok(outcome)) {
        return outcome;
    }
    const asx_err err = guard_make(cx, self, guard);
    return err ? asx_fail(err) : asx_ok(0);
}

asx_outcome asx_mutex_lock_until(asx_cx *cx, asx_mutex handle, asx_instant deadline_ns,
                                 asx_mutex_guard *guard)
{
    mutex *self;
    asx_err err = find(cx, handle, &self);
    if (asx_unlikely(err)) {
        return err == ASX_E(WRONG_SHARD) ? lock_far(cx, handle, deadline_ns, guard) : asx_fail(err);
    }
    if (asx_unlikely(asxi_observe_cancel(cx))) {
        return asxi_cancelled(cx);
    }
    err = try_take(self, cx->_task);
    if (asx_unlikely(err == ASX_E(LOCKED))) {
        return lock_wait(cx, self, deadline_ns, guard);
    }
    if (asx_likely(!err)) {
        err = guard_make(cx, self, guard);
    }
    return asx_unlikely(err) ? asx_fail(err) : asx_ok(0);
}

asx_err asx_mutex_try_lock(asx_cx *cx, asx_mutex handle, asx_mutex_guard *guard)
{
    mutex *self;
    asx_err err = find(cx, handle, &self);
    if (!err) {
        err = try_take(self, cx->_task);
    }
    return err ? err : guard_make(cx, self, guard);
}

void asx_mutex_unlock(asx_cx *cx, asx_mutex_guard guard)
{
    void *object;
    uint64_t amount;
    if (asx_likely(!asxi_obligation_resolve(cx, guard._obligation, ASX_OBLIGATION_COMMITTED,
                                            guard_lost, &object, &amount))) {
        guard_lost(object, amount, ASX_SETTLED_CANCEL);
    } else {
        asxi_far_release(cx, guard._obligation, ASX_OBLIGATION_COMMITTED);
    }
}

bool asx_mutex_is_poisoned(asx_cx *cx, asx_mutex handle)
{
    mutex *self;
    return !find(cx, handle, &self) && self->poisoned;
}

void asx_mutex_clear_poison(asx_cx *cx, asx_mutex handle)
{
    mutex *self;
    const asx_err err = find(cx, handle, &self);
    if (!err) {
        self->poisoned = false;
    } else if (err == ASX_E(WRONG_SHARD)) {
        asxi_far_tell(cx, handle._object, &mutex_type, 0, 0);
    }
}

asx_lock_stats asx_mutex_stats(asx_cx *cx, asx_mutex handle)
{
    mutex *self;
    if (find(cx, handle, &self)) {
        return (asx_lock_stats){ 0 };
    }
    return (asx_lock_stats){ self->acquired, self->object.waits };
}
