#include <asx/shard/obligation_internal.h>
#include <asx/shard/sync/semaphore.h>

#include "far_internal.h"
#include "select_internal.h"

typedef struct semaphore {
    asxi_object object;
    const char *what;
    uint64_t available;
    asxi_line waiting; /* baton->amount: what each needs */
} semaphore;

_Static_assert(sizeof(semaphore) <= ASXI_OBJECT_BYTES, "a semaphore fits a record");

static semaphore *semaphore_of(asxi_object *object)
{
    return asx_container_of(object, semaphore, object);
}

static void semaphore_close(asxi_object *object)
{
    semaphore *const self = semaphore_of(object);
    self->available = 0;
    asxi_line_close(&self->waiting);
}

static const asxi_far_ops far_ops;
static const asxi_object_type semaphore_type = { .name = "semaphore",
                                                 .close = semaphore_close,
                                                 .far = &far_ops };

asx_err asx_semaphore_open(asx_cx *cx, uint64_t permits, const char *what, asx_semaphore *opened)
{
    asxi_object *object;
    *opened = (asx_semaphore){ 0 };
    if (permits > ASX_SEMAPHORE_PERMITS_MAX) {
        return ASX_E(INVALID_ARGUMENT);
    }
    const asx_err err = asxi_object_open(cx, &semaphore_type, sizeof(semaphore), &object);
    if (!err) {
        semaphore *const self = semaphore_of(object);
        self->what = what ? what : "semaphore";
        self->available = permits;
        asxi_line_init(&self->waiting);
        opened->_object = asx_handle_of(object);
    }
    return err;
}

/* A closed object that permits keep is still found. errors: CLOSED, STALE */
ASX_INLINE asx_err find(asx_cx *cx, asx_semaphore handle, semaphore **self)
{
    asxi_object *object;
    const asx_err err = asxi_object_find_open(cx, handle._object, &semaphore_type, &object);
    if (asx_likely(!err)) {
        *self = semaphore_of(object);
    }
    return err;
}

void asx_semaphore_close(asx_cx *cx, asx_semaphore handle)
{
    asxi_object_close_found(cx, handle._object, &semaphore_type);
}

static ASX_NOINLINE void grant(semaphore *self)
{
    for (asxi_baton *head;
         (head = asxi_line_head(&self->waiting)) != NULL && head->amount <= self->available;) {
        self->available -= head->amount;
        asxi_line_tell(head, ASXI_LINE_GRANTED);
    }
}

ASX_INLINE void give_back(semaphore *self, uint64_t n)
{
    self->available += n;
    if (asx_unlikely(!asxi_line_empty(&self->waiting))) {
        grant(self);
    }
}

static void waiter_leave(asxi_baton *baton, bool granted)
{
    give_back(semaphore_of(baton->object),
              granted && !ASXI_PLANTED(PERMIT_LEAK) ? baton->amount : 0);
}

static void permit_lost(void *object, uint64_t amount, asx_settlement how)
{
    (void)how;
    if (asxi_object_is_open(object)) {
        give_back(semaphore_of(object), amount);
    }
    asxi_object_unref(object);
}

ASX_INLINE asx_err permit_make(asx_cx *cx, semaphore *self, uint64_t n,
                               asx_semaphore_permit *permit)
{
    const asx_obligation_options options = { .kind = ASX_OBLIGATION_SEMAPHORE_PERMIT,
                                             .what = self->what,
                                             .settle = permit_lost,
                                             .object = &self->object,
                                             .amount = n };
    const asx_err err = asxi_obligation_make(cx, &options, &permit->_obligation);
    if (err) {
        give_back(self, n);
    } else {
        asxi_object_ref(&self->object);
    }
    return err;
}

ASX_INLINE asx_err try_take(semaphore *self, uint64_t n)
{
    if (self->available < n || !asxi_line_empty(&self->waiting)) {
        return ASX_E(NO_PERMITS);
    }
    self->available -= n;
    return ASX_OK;
}

/* For other shards */

static asx_err far_ask(asxi_object *object, asxi_baton *baton, asxi_line **line)
{
    semaphore *const self = semaphore_of(object);
    baton->leave = waiter_leave;
    if (try_take(self, baton->amount)) {
        *line = &self->waiting;
    }
    return ASX_OK;
}

static void far_release(asxi_object *object, uint64_t amount, uint32_t tag, asx_settlement how)
{
    (void)tag;
    (void)how;
    give_back(semaphore_of(object), amount);
}

static void add(semaphore *self, uint64_t n)
{
    const uint64_t most = ASX_SEMAPHORE_PERMITS_MAX - self->available;
    give_back(self, n < most ? n : most);
}

static void far_tell(asxi_object *object, uint32_t op, uint64_t amount)
{
    (void)op; /* there is one */
    add(semaphore_of(object), amount);
}

static const asxi_far_ops far_ops = { .ask = far_ask, .release = far_release, .tell = far_tell };

static ASX_NOINLINE asx_outcome acquire_far(asx_cx *cx, asx_semaphore handle, uint64_t n,
                                            asx_instant deadline_ns, asx_semaphore_permit *permit)
{
    const asxi_far_request request = { .type = &semaphore_type,
                                       .object = handle._object,
                                       .amount = n,
                                       .closed = ASX_E(CLOSED),
                                       .what = "far semaphore" };
    return asxi_far_acquire(cx, &request, ASX_OBLIGATION_SEMAPHORE_PERMIT, deadline_ns,
                            &permit->_obligation);
}

static ASX_NOINLINE asx_outcome acquire_wait(asx_cx *cx, semaphore *self, uint64_t n,
                                             asx_instant deadline_ns, asx_semaphore_permit *permit)
{
    asxi_baton baton = { .object = &self->object, .leave = waiter_leave, .amount = n };
    const asx_outcome outcome =
        asxi_line_wait(cx, &self->waiting, &baton, self->what, deadline_ns, ASX_E(CLOSED));
    if (!asx_is_ok(outcome)) {
        return outcome;
    }
    const asx_err err = permit_make(cx, self, n, permit);
    return err ? asx_fail(err) : asx_ok(0);
}

asx_outcome asx_semaphore_acquire_until(asx_cx *cx, asx_semaphore handle, uint64_t n,
                                        asx_instant deadline_ns, asx_semaphore_permit *permit)
{
    semaphore *self;
    *permit = (asx_semaphore_permit){ 0 };
    asx_err err = find(cx, handle, &self);
    if (asx_unlikely(err)) {
        const bool far = err == ASX_E(WRONG_SHARD) && n > 0;
        return far ? acquire_far(cx, handle, n, deadline_ns, permit) : asx_fail(err);
    }
    if (asx_unlikely(asxi_observe_cancel(cx))) {
        return asxi_cancelled(cx);
    }
    if (n == 0) {
        return asx_ok(0);
    }
    if (asx_unlikely(try_take(self, n))) {
        return acquire_wait(cx, self, n, deadline_ns, permit);
    }
    err = permit_make(cx, self, n, permit);
    return asx_unlikely(err) ? asx_fail(err) : asx_ok(0);
}

asx_err asx_semaphore_try_acquire(asx_cx *cx, asx_semaphore handle, uint64_t n,
                                  asx_semaphore_permit *permit)
{
    semaphore *self;
    *permit = (asx_semaphore_permit){ 0 };
    asx_err err = find(cx, handle, &self);
    if (!err && n > 0) {
        err = try_take(self, n);
        err = err ? err : permit_make(cx, self, n, permit);
    }
    return err;
}

void asx_semaphore_release(asx_cx *cx, asx_semaphore_permit permit)
{
    void *object;
    uint64_t n;
    if (!asxi_obligation_resolve(cx, permit._obligation, ASX_OBLIGATION_COMMITTED, permit_lost,
                                 &object, &n)) {
        permit_lost(object, n, ASX_SETTLED_CANCEL);
    } else {
        asxi_far_release(cx, permit._obligation, ASX_OBLIGATION_COMMITTED);
    }
}

void asx_semaphore_forget(asx_cx *cx, asx_semaphore_permit permit)
{
    void *object;
    uint64_t n;
    if (!asxi_obligation_resolve(cx, permit._obligation, ASX_OBLIGATION_ABORTED, permit_lost,
                                 &object, &n)) {
        asxi_object_unref(object);
    } else {
        asxi_far_release(cx, permit._obligation, ASX_OBLIGATION_ABORTED);
    }
}

void asx_semaphore_add(asx_cx *cx, asx_semaphore handle, uint64_t n)
{
    semaphore *self;
    const asx_err err = find(cx, handle, &self);
    if (!err) {
        add(self, n);
    } else if (err == ASX_E(WRONG_SHARD)) {
        asxi_far_tell(cx, handle._object, &semaphore_type, 0, n);
    }
}

uint64_t asx_semaphore_available(asx_cx *cx, asx_semaphore handle)
{
    semaphore *self;
    return find(cx, handle, &self) ? 0 : self->available;
}

/* In a select */

static bool select_attempt(asx_cx *cx, asx_select_case *which)
{
    const asx_err err =
        asx_semaphore_try_acquire(cx, (asx_semaphore){ which->_handle }, which->_n, which->_permit);
    which->outcome = err ? asx_fail(err) : asx_ok(0);
    return err != ASX_E(NO_PERMITS);
}

static asxi_line *select_line(asx_cx *cx, asx_select_case *which, asxi_baton *baton)
{
    semaphore *self = NULL;
    const asx_err found = find(cx, (asx_semaphore){ which->_handle }, &self);
    asx_assert_eq(found, ASX_OK);
    *baton = (asxi_baton){ .object = &self->object, .leave = waiter_leave, .amount = which->_n };
    return &self->waiting;
}

static void select_granted(asx_cx *cx, asx_select_case *which, asxi_object *object)
{
    const asx_err err = permit_make(cx, semaphore_of(object), which->_n, which->_permit);
    which->outcome = err ? asx_fail(err) : asx_ok(0);
}

const asxi_select_ops asxi_select_semaphore = {
    .attempt = select_attempt,
    .line = select_line,
    .granted = select_granted,
};
