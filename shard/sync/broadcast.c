#include <asx/shard/sync/broadcast.h>

#include "select_internal.h"

#include <string.h>

enum { SENDER = 1, RECEIVER };

typedef struct broadcast {
    asxi_object object;
    char *items; /* a ring, in the region's heap */
    const char *what;
    uint64_t next_seq; /* of the next item sent; a receiver's end->mark is the next it reads */
    uint32_t capacity, item_size;
    uint32_t kept; /* the items next_seq - kept .. next_seq - 1 */
    uint32_t senders, receivers;
    asxi_line waiting;
} broadcast;

_Static_assert(sizeof(broadcast) <= ASXI_OBJECT_BYTES, "a broadcast fits a record");

static broadcast *broadcast_of(asxi_object *object)
{
    return asx_container_of(object, broadcast, object);
}

static char *slot_of(const broadcast *self, uint64_t seq)
{
    return self->items + (size_t)(seq % self->capacity) * self->item_size;
}

static void wake_all(broadcast *self)
{
    while (!asxi_line_empty(&self->waiting)) {
        asxi_line_tell(asxi_line_head(&self->waiting), ASXI_LINE_GRANTED);
    }
}

static void broadcast_close(asxi_object *object)
{
    broadcast *const self = broadcast_of(object);
    asxi_line_close(&self->waiting);
    asx_heap_free(&object->region->heap, self->items, (size_t)self->capacity * self->item_size);
}

static void broadcast_end_close(asxi_object *object, const asxi_end *end)
{
    broadcast *const self = broadcast_of(object);
    if (end->role == SENDER) {
        self->senders--;
        if (self->senders == 0) {
            wake_all(self);
        }
    } else {
        self->receivers--;
        self->kept = self->receivers == 0 ? 0 : self->kept;
        wake_all(self); /* who waits through this end finds it stale */
    }
    if (self->senders == 0 && self->receivers == 0) {
        asxi_object_close(object);
    }
}

static const asxi_object_type broadcast_type = {
    .name = "broadcast",
    .close = broadcast_close,
    .end_close = broadcast_end_close,
};

asx_err asx_broadcast_open(asx_cx *cx, const asx_broadcast_options *options,
                           asx_broadcast_sender *sender)
{
    asxi_object *object;
    *sender = (asx_broadcast_sender){ 0 };
    if (options->capacity == 0 || options->capacity > ASX_BROADCAST_CAPACITY_MAX ||
        options->item_size == 0 || options->item_size > ASX_BROADCAST_ITEM_MAX) {
        return ASX_E(INVALID_ARGUMENT);
    }
    asx_err err = asxi_object_open(cx, &broadcast_type, sizeof(broadcast), &object);
    if (err) {
        return err;
    }
    broadcast *const self = broadcast_of(object);
    self->capacity = options->capacity;
    self->item_size = options->item_size;
    self->what = options->what ? options->what : "broadcast";
    asxi_line_init(&self->waiting);
    self->senders = 1;
    self->items = asx_heap_alloc(&object->region->heap, (size_t)self->capacity * self->item_size);
    err = self->items ? asxi_end_open(object, SENDER, &sender->_end, NULL) : ASX_E(NO_MEMORY);
    if (err) {
        asxi_object_close(object);
    }
    return err;
}

asx_err asx_broadcast_sender_clone(asx_cx *cx, asx_broadcast_sender sender,
                                   asx_broadcast_sender *clone)
{
    asxi_end *end;
    *clone = (asx_broadcast_sender){ 0 };
    asx_err err = asxi_end_find(cx, sender._end, &broadcast_type, SENDER, &end);
    if (!err) {
        err = asxi_end_open(end->object, SENDER, &clone->_end, NULL);
    }
    if (!err) {
        broadcast_of(end->object)->senders++;
    }
    return err;
}

static asx_err receiver_open(asxi_object *object, uint64_t mark, asx_broadcast_receiver *receiver)
{
    asxi_end *opened;
    const asx_err err = asxi_end_open(object, RECEIVER, &receiver->_end, &opened);
    if (!err) {
        opened->mark = mark;
        broadcast_of(object)->receivers++;
    }
    return err;
}

asx_err asx_broadcast_subscribe(asx_cx *cx, asx_broadcast_sender sender,
                                asx_broadcast_receiver *receiver)
{
    asxi_end *end;
    *receiver = (asx_broadcast_receiver){ 0 };
    const asx_err err = asxi_end_find(cx, sender._end, &broadcast_type, SENDER, &end);
    return err ? err : receiver_open(end->object, broadcast_of(end->object)->next_seq, receiver);
}

asx_err asx_broadcast_receiver_clone(asx_cx *cx, asx_broadcast_receiver receiver,
                                     asx_broadcast_receiver *clone)
{
    asxi_end *end;
    *clone = (asx_broadcast_receiver){ 0 };
    const asx_err err = asxi_end_find(cx, receiver._end, &broadcast_type, RECEIVER, &end);
    return err ? err : receiver_open(end->object, end->mark, clone);
}

asx_outcome asx_broadcast_send(asx_cx *cx, asx_broadcast_sender sender, const void *item)
{
    asxi_end *end;
    const asx_err err = asxi_end_find(cx, sender._end, &broadcast_type, SENDER, &end);
    if (asx_unlikely(err)) {
        return asx_fail(err);
    }
    if (asx_unlikely(asxi_observe_cancel(cx))) {
        return asxi_cancelled(cx);
    }
    broadcast *const self = broadcast_of(end->object);
    if (self->receivers == 0) {
        return asx_fail(ASX_E(CLOSED));
    }
    memcpy(slot_of(self, self->next_seq), item, self->item_size);
    self->next_seq++;
    self->kept += self->kept < self->capacity;
    wake_all(self);
    return asx_ok(self->receivers);
}

/* errors  EMPTY, LAGGED, CLOSED */
static asx_err take(const broadcast *self, asxi_end *end, void *item, uint64_t *lagged)
{
    const uint64_t oldest = self->next_seq - self->kept;
    if (end->mark < oldest) {
        if (lagged) {
            *lagged = oldest - end->mark;
        }
        end->mark = oldest;
        return ASX_E(LAGGED);
    }
    if (end->mark < self->next_seq) {
        memcpy(item, slot_of(self, end->mark), self->item_size);
        end->mark++;
        return ASX_OK;
    }
    return self->senders == 0 ? ASX_E(CLOSED) : ASX_E(EMPTY);
}

asx_outcome asx_broadcast_recv_until(asx_cx *cx, asx_broadcast_receiver receiver, void *item,
                                     uint64_t *lagged, asx_instant deadline_ns)
{
    for (;;) {
        asxi_end *end;
        asx_err err = asxi_end_find(cx, receiver._end, &broadcast_type, RECEIVER, &end);
        if (asx_unlikely(err)) {
            return asx_fail(err);
        }
        if (asx_unlikely(asxi_observe_cancel(cx))) {
            return asxi_cancelled(cx);
        }
        broadcast *const self = broadcast_of(end->object);
        err = take(self, end, item, lagged);
        if (err != ASX_E(EMPTY)) {
            return err ? asx_fail(err) : asx_ok(0);
        }
        asxi_baton baton = { .object = &self->object, .leave = asxi_line_hold_nothing };
        const asx_outcome outcome =
            asxi_line_wait(cx, &self->waiting, &baton, self->what, deadline_ns, ASX_E(CLOSED));
        if (!asx_is_ok(outcome)) {
            return outcome;
        }
    }
}

asx_err asx_broadcast_try_recv(asx_cx *cx, asx_broadcast_receiver receiver, void *item,
                               uint64_t *lagged)
{
    asxi_end *end;
    const asx_err err = asxi_end_find(cx, receiver._end, &broadcast_type, RECEIVER, &end);
    return err ? err : take(broadcast_of(end->object), end, item, lagged);
}

/* In a select */

static bool select_attempt(asx_cx *cx, asx_select_case *which)
{
    const asx_err err = asx_broadcast_try_recv(cx, (asx_broadcast_receiver){ which->_handle },
                                               which->_item, which->_lagged);
    which->outcome = err ? asx_fail(err) : asx_ok(0);
    return err != ASX_E(EMPTY);
}

static asxi_line *select_line(asx_cx *cx, asx_select_case *which, asxi_baton *baton)
{
    asxi_end *end = NULL;
    const asx_err found = asxi_end_find(cx, which->_handle, &broadcast_type, RECEIVER, &end);
    asx_assert_eq(found, ASX_OK);
    *baton = (asxi_baton){ .object = end->object, .leave = asxi_line_hold_nothing };
    return &broadcast_of(end->object)->waiting;
}

const asxi_select_ops asxi_select_broadcast = { .attempt = select_attempt, .line = select_line };
