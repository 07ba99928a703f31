#include <asx/shard/obligation_internal.h>
#include <asx/shard/sync/rwlock.h>

#include "far_internal.h"

enum { READS = 1, WRITES }; /* a far call's tag */

typedef struct rwlock {
    asxi_object object;
    const char *what;
    asx_task *writer;  /* never followed; NULL: none */
    uint32_t readers;  /* inside, or granted */
    uint32_t handoffs; /* writers in a row that went before a waiting reader */
    uint64_t arrivals; /* the next baton->amount: who came first */
    bool poisoned;
    asxi_line reading, writing;
    uint64_t acquired;
} rwlock;

_Static_assert(sizeof(rwlock) <= ASXI_OBJECT_BYTES, "a rwlock fits a record");

static rwlock *rwlock_of(asxi_object *object)
{
    return asx_container_of(object, rwlock, object);
}

static void rwlock_close(asxi_object *object)
{
    asxi_line_close(&rwlock_of(object)->reading);
    asxi_line_close(&rwlock_of(object)->writing);
}

static const asxi_far_ops far_ops;
static const asxi_object_type rwlock_type = { .name = "rwlock",
                                              .close = rwlock_close,
                                              .far = &far_ops };

asx_err asx_rwlock_open(asx_cx *cx, const char *what, asx_rwlock *opened)
{
    asxi_object *object;
    *opened = (asx_rwlock){ 0 };
    const asx_err err = asxi_object_open(cx, &rwlock_type, sizeof(rwlock), &object);
    if (!err) {
        rwlock *const self = rwlock_of(object);
        self->what = what ? what : "rwlock";
        asxi_line_init(&self->reading);
        asxi_line_init(&self->writing);
        opened->_object = asx_handle_of(object);
    }
    return err;
}

/* errors  CLOSED, STALE */
static asx_err find(asx_cx *cx, asx_rwlock handle, rwlock **self)
{
    asxi_object *object;
    const asx_err err = asxi_object_find_open(cx, handle._object, &rwlock_type, &object);
    if (asx_likely(!err)) {
        *self = rwlock_of(object);
    }
    return err;
}

void asx_rwlock_close(asx_cx *cx, asx_rwlock handle)
{
    asxi_object_close_found(cx, handle._object, &rwlock_type);
}

static void admit_reader(rwlock *self)
{
    self->readers++;
    asxi_line_tell(asxi_line_head(&self->reading), ASXI_LINE_GRANTED);
}

/* The readers that came before `arrival` enter together. */
static void admit_readers_before(rwlock *self, uint64_t arrival)
{
    self->handoffs = 0;
    for (asxi_baton *head; (head = asxi_line_head(&self->reading)) != NULL;) {
        if (head->amount > arrival) {
            return;
        }
        admit_reader(self);
    }
}

static void admit_writer(rwlock *self)
{
    asxi_baton *const head = asxi_line_head(&self->writing);
    self->handoffs = asxi_line_empty(&self->reading) ? 0 : self->handoffs + 1;
    self->writer = head->wait.task;
    asxi_line_tell(head, ASXI_LINE_GRANTED);
}

/* Lets in whoever is next, as far as those inside allow. */
static void admit(rwlock *self)
{
    const asxi_baton *const writer = asxi_line_head(&self->writing);
    const asxi_baton *const reader = asxi_line_head(&self->reading);
    if (self->writer || (!writer && !reader)) {
        return;
    }
    if (!writer) {
        admit_readers_before(self, UINT64_MAX);
    } else if (reader && reader->amount < writer->amount) {
        admit_readers_before(self, writer->amount);
    } else if (self->readers == 0 && reader && self->handoffs >= ASX_RWLOCK_WRITER_RUN_MAX) {
        self->handoffs = 0;
        admit_reader(self);
    } else if (self->readers == 0) {
        admit_writer(self);
    }
}

static void poison(rwlock *self)
{
    self->poisoned = true;
    self->writer = NULL;
    while (!asxi_line_empty(&self->reading)) {
        asxi_line_tell(asxi_line_head(&self->reading), ASX_E(POISONED));
    }
    while (!asxi_line_empty(&self->writing)) {
        asxi_line_tell(asxi_line_head(&self->writing), ASX_E(POISONED));
    }
}

static void reader_out(rwlock *self)
{
    asx_assert(self->readers > 0 && !self->writer);
    self->readers--;
    admit(self);
}

static void writer_out(rwlock *self)
{
    asx_assert(self->writer && self->readers == 0);
    self->writer = NULL;
    admit(self);
}

/* A reader or writer that leaves without a grant may have been what held others back. */
static void reader_leave(asxi_baton *baton, bool granted)
{
    if (granted) {
        reader_out(rwlock_of(baton->object));
    }
}

static void writer_leave(asxi_baton *baton, bool granted)
{
    if (granted) {
        writer_out(rwlock_of(baton->object));
    } else {
        admit(rwlock_of(baton->object));
    }
}

static void read_guard_lost(void *object, uint64_t amount, asx_settlement how)
{
    (void)amount;
    (void)how;
    if (asxi_object_is_open(object)) {
        reader_out(rwlock_of(object));
    }
    asxi_object_unref(object);
}

static void write_unlocked(rwlock *self, asx_settlement how)
{
    if (how == ASX_SETTLED_CANCEL) {
        writer_out(self);
    } else {
        poison(self);
    }
}

static void write_guard_lost(void *object, uint64_t amount, asx_settlement how)
{
    (void)amount;
    if (asxi_object_is_open(object)) {
        write_unlocked(rwlock_of(object), how);
    }
    asxi_object_unref(object);
}

static asx_err guard_make(asx_cx *cx, rwlock *self, asx_obligation_fn *lost,
                          asx_rwlock_guard *guard)
{
    const asx_obligation_options options = {
        .kind = ASX_OBLIGATION_LEASE, .what = self->what, .settle = lost, .object = &self->object
    };
    const asx_err err = asx_obligation_reserve(cx, &options, &guard->_obligation);
    asxi_object_ref(&self->object);
    if (err) {
        lost(&self->object, 0, ASX_SETTLED_CANCEL);
        return err;
    }
    self->acquired++;
    return ASX_OK;
}

static asx_err try_read(rwlock *self, const asx_task *task)
{
    if (self->poisoned) {
        return ASX_E(POISONED);
    }
    if (self->writer == task) {
        return ASX_E(WOULD_DEADLOCK);
    }
    if (self->writer || !asxi_line_empty(&self->writing)) {
        return ASX_E(LOCKED);
    }
    self->readers++;
    return ASX_OK;
}

static asx_err try_write(rwlock *self, asx_task *task)
{
    if (self->poisoned) {
        return ASX_E(POISONED);
    }
    if (self->writer == task) {
        return ASX_E(WOULD_DEADLOCK);
    }
    if (self->writer || self->readers > 0 || !asxi_line_empty(&self->writing)) {
        return ASX_E(LOCKED);
    }
    self->writer = task;
    return ASX_OK;
}

static asx_outcome wait_turn(asx_cx *cx, rwlock *self, bool writes, asx_instant deadline_ns)
{
    asxi_baton baton = { .object = &self->object,
                         .leave = writes ? writer_leave : reader_leave,
                         .amount = self->arrivals++ };
    asxi_line *const line = writes ? &self->writing : &self->reading;
    return asxi_line_wait(cx, line, &baton, self->what, deadline_ns, ASX_E(CLOSED));
}

/* For other shards */

static asx_err far_ask(asxi_object *object, asxi_baton *baton, asxi_line **line)
{
    rwlock *const self = rwlock_of(object);
    const bool writes = baton->tag == WRITES;
    const asx_err err =
        writes ? try_write(self, baton->wait.task) : try_read(self, baton->wait.task);
    baton->leave = writes ? writer_leave : reader_leave;
    if (err == ASX_E(LOCKED)) {
        baton->amount = self->arrivals++;
        *line = writes ? &self->writing : &self->reading;
        return ASX_OK;
    }
    return err;
}

static void far_release(asxi_object *object, uint64_t amount, uint32_t tag, asx_settlement how)
{
    rwlock *const self = rwlock_of(object);
    (void)amount;
    self->acquired++;
    if (tag == WRITES) {
        write_unlocked(self, how);
    } else {
        reader_out(self);
    }
}

enum { TELL_REPAIRED = 1, TELL_DOWNGRADED };

static void downgraded(rwlock *self)
{
    const asxi_baton *const writer = asxi_line_head(&self->writing);
    asx_assert(self->writer && self->readers == 0);
    self->writer = NULL;
    self->readers = 1;
    admit_readers_before(self, writer ? writer->amount : UINT64_MAX);
}

static void far_tell(asxi_object *object, uint32_t op, uint64_t amount)
{
    (void)amount;
    if (op == TELL_DOWNGRADED) {
        downgraded(rwlock_of(object));
    } else {
        rwlock_of(object)->poisoned = false;
    }
}

static const asxi_far_ops far_ops = { .ask = far_ask, .release = far_release, .tell = far_tell };

static asx_outcome lock_far(asx_cx *cx, asx_rwlock handle, bool writes, asx_instant deadline_ns,
                            asx_rwlock_guard *guard)
{
    const asxi_far_request request = { .type = &rwlock_type,
                                       .object = handle._object,
                                       .tag = writes ? WRITES : READS,
                                       .closed = ASX_E(CLOSED),
                                       .what = "far rwlock" };
    return asxi_far_acquire(cx, &request, ASX_OBLIGATION_LEASE, deadline_ns, &guard->_obligation);
}

static asx_outcome lock(asx_cx *cx, asx_rwlock handle, bool writes, asx_instant deadline_ns,
                        asx_rwlock_guard *guard)
{
    rwlock *self;
    asx_err err = find(cx, handle, &self);
    if (asx_unlikely(err)) {
        return err == ASX_E(WRONG_SHARD) ? lock_far(cx, handle, writes, deadline_ns, guard)
                                         : asx_fail(err);
    }
    if (asx_unlikely(asxi_observe_cancel(cx))) {
        return asxi_cancelled(cx);
    }
    err = writes ? try_write(self, cx->_task) : try_read(self, cx->_task);
    if (err == ASX_E(LOCKED)) {
        const asx_outcome outcome = wait_turn(cx, self, writes, deadline_ns);
        if (!asx_is_ok(outcome)) {
            return outcome;
        }
        err = ASX_OK;
    }
    if (asx_likely(!err)) {
        err = guard_make(cx, self, writes ? write_guard_lost : read_guard_lost, guard);
    }
    return err ? asx_fail(err) : asx_ok(0);
}

asx_outcome asx_rwlock_read_until(asx_cx *cx, asx_rwlock handle, asx_instant deadline_ns,
                                  asx_rwlock_guard *guard)
{
    return lock(cx, handle, false, deadline_ns, guard);
}

asx_outcome asx_rwlock_write_until(asx_cx *cx, asx_rwlock handle, asx_instant deadline_ns,
                                   asx_rwlock_guard *guard)
{
    return lock(cx, handle, true, deadline_ns, guard);
}

asx_err asx_rwlock_try_read(asx_cx *cx, asx_rwlock handle, asx_rwlock_guard *guard)
{
    rwlock *self;
    asx_err err = find(cx, handle, &self);
    if (!err) {
        err = try_read(self, cx->_task);
    }
    return err ? err : guard_make(cx, self, read_guard_lost, guard);
}

asx_err asx_rwlock_try_write(asx_cx *cx, asx_rwlock handle, asx_rwlock_guard *guard)
{
    rwlock *self;
    asx_err err = find(cx, handle, &self);
    if (!err) {
        err = try_write(self, cx->_task);
    }
    return err ? err : guard_make(cx, self, write_guard_lost, guard);
}

void asx_rwlock_unlock(asx_cx *cx, asx_rwlock_guard guard)
{
    void *object;
    uint64_t amount;
    asx_err err = asxi_obligation_resolve(cx, guard._obligation, ASX_OBLIGATION_COMMITTED,
                                          read_guard_lost, &object, &amount);
    if (!err) {
        read_guard_lost(object, amount, ASX_SETTLED_CANCEL);
    } else if (err == ASX_E(TYPE_MISMATCH)) {
        err = asxi_obligation_resolve(cx, guard._obligation, ASX_OBLIGATION_COMMITTED,
                                      write_guard_lost, &object, &amount);
        if (!err) {
            write_guard_lost(object, amount, ASX_SETTLED_CANCEL);
        }
    }
    if (err == ASX_E(TYPE_MISMATCH)) {
        asxi_far_release(cx, guard._obligation, ASX_OBLIGATION_COMMITTED);
    }
}

asx_err asx_rwlock_downgrade(asx_cx *cx, asx_rwlock_guard *guard)
{
    void *object;
    uint64_t amount;
    const asx_err err = asxi_obligation_resolve(cx, guard->_obligation, ASX_OBLIGATION_COMMITTED,
                                                write_guard_lost, &object, &amount);
    if (err) {
        return err == ASX_E(TYPE_MISMATCH)
                   ? asxi_far_retag(cx, guard->_obligation, WRITES, READS, TELL_DOWNGRADED)
                   : err;
    }
    rwlock *const self = rwlock_of(object);
    if (asxi_object_is_open(&self->object)) {
        downgraded(self);
    }
    const asx_err made = guard_make(cx, self, read_guard_lost, guard);
    asxi_object_unref(&self->object); /* the write guard's */
    return made;
}

void asx_rwlock_clear_poison(asx_cx *cx, asx_rwlock handle)
{
    rwlock *self;
    const asx_err err = find(cx, handle, &self);
    if (!err) {
        self->poisoned = false;
    } else if (err == ASX_E(WRONG_SHARD)) {
        asxi_far_tell(cx, handle._object, &rwlock_type, TELL_REPAIRED, 0);
    }
}

asx_lock_stats asx_rwlock_stats(asx_cx *cx, asx_rwlock handle)
{
    rwlock *self;
    if (find(cx, handle, &self)) {
        return (asx_lock_stats){ 0 };
    }
    return (asx_lock_stats){ self->acquired, self->object.waits };
}
