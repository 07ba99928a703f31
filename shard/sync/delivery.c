/* An item that was taken stands in memory of its holder's, with the number under which it was
 * queued: those that come back stand in front of the queue, in order of their numbers. Until then
 * its slot is reserved, as a permit's is, so that there is room for it.
 *
 *   far: the holder           home: the channel
 *   ASK       ──>             an item, or a place in the receivers' line
 *             <──ANSWER       the item, its mark, and what drops it
 *   RELEASE   ──>             committed: the slot is free
 *   ITEM      ──>             it comes back */
#include <asx/shard/obligation_internal.h>
#include <asx/shard/sync/delivery.h>

#include "far_internal.h"
#include "item_internal.h"
#include "mpsc_internal.h"

/* Behind an item on its way between shards. */
typedef struct tail {
    asx_handle home;
    asx_drop_fn *drop;
    asxi_mpsc_mark mark;
} tail;

#define FAR_BYTES_MAX (ASX_MPSC_ITEM_MAX + sizeof(tail))

typedef struct delivery {
    asx_region *region;  /* whose memory this is */
    asxi_object *object; /* the channel, a reference; NULL: another shard's */
    uint32_t item_size;
    tail tail;
    char item[];
} delivery;

/* A task that waits for an item. */
typedef struct taking {
    asxi_baton baton;
    void *item;
    asxi_mpsc_mark mark;
} taking;

static uint32_t padded(uint32_t item_size)
{
    return (uint32_t)asx_align_up(item_size, 8);
}

/* The queue's side */

static asx_err book_open(asxi_mpsc *self)
{
    if (!self->book) {
        const size_t size = sizeof(*self->book) + self->capacity * sizeof(self->book->marks[0]);
        self->book = asx_heap_alloc(&self->object.region->heap, size);
        if (!self->book) {
            return ASX_E(NO_MEMORY);
        }
        memset(self->book, 0, size);
    }
    return ASX_OK;
}

void asxi_mpsc_book_close(asxi_mpsc *self)
{
    if (self->book) {
        asx_heap_free(&self->object.region->heap, self->book,
                      sizeof(*self->book) + self->capacity * sizeof(self->book->marks[0]));
    }
}

static void fetch(asxi_mpsc *self, void *item, asxi_mpsc_mark *mark)
{
    asxi_mpsc_book *const book = self->book;
    if (book->returned > 0) {
        *mark = book->marks[asxi_mpsc_index(self, 0)];
    } else {
        *mark = (asxi_mpsc_mark){ .number = book->next++ };
    }
    mark->attempts++;
    asxi_mpsc_item_pop(self, item);
    self->reserved++;
}

static void put_back(asxi_mpsc *self, const void *item, const asxi_mpsc_mark *mark)
{
    asxi_mpsc_book *const book = self->book;
    uint32_t nth = 0;
    asx_assert(self->reserved > 0);
    self->reserved--;
    self->head = self->head == 0 ? self->capacity - 1 : self->head - 1;
    self->queued++;
    book->returned++;
    while (nth + 1 < book->returned &&
           book->marks[asxi_mpsc_index(self, nth + 1)].number < mark->number) {
        asxi_mpsc_item_move(self, nth + 1, nth);
        nth++;
    }
    asxi_mpsc_item_set(self, nth, item);
    book->marks[asxi_mpsc_index(self, nth)] = *mark;
    asxi_mpsc_serve(self);
}

/* It was not received: to the front, or to nobody. */
static void undelivered(asxi_mpsc *self, void *item, const asxi_mpsc_mark *mark)
{
    if (asxi_object_is_open(&self->object) && !self->receiver_gone) {
        put_back(self, item, mark);
        return;
    }
    if (self->drop) {
        asxi_region_drop(self->object.shard, self->object.region, self->drop, item);
    }
    if (asxi_object_is_open(&self->object)) {
        asxi_mpsc_slots_return(self, 1);
    }
}

static tail *tail_of(asxi_baton *baton)
{
    char *const bytes = asxi_far_reply(baton);
    return (tail *)(void *)(bytes + asxi_far_reply_size(baton) - sizeof(tail));
}

static void fetch_far(asxi_mpsc *self, asxi_baton *baton)
{
    tail *const after = tail_of(baton);
    fetch(self, asxi_far_reply(baton), &after->mark);
    after->home = asx_handle_of(self);
    after->drop = self->drop;
}

void asxi_mpsc_deliver(asxi_mpsc *self, asxi_baton *baton)
{
    if (baton->tell) {
        fetch_far(self, baton);
    } else {
        taking *const to = asx_container_of(baton, taking, baton);
        fetch(self, to->item, &to->mark);
    }
    asxi_line_tell(baton, ASXI_LINE_GRANTED);
}

static void taking_leave(asxi_baton *baton, bool granted)
{
    taking *const from = asx_container_of(baton, taking, baton);
    if (granted) {
        undelivered(asxi_mpsc_of(baton->object), from->item, &from->mark);
    }
}

static void far_leave(asxi_baton *baton, bool granted)
{
    if (granted) {
        undelivered(asxi_mpsc_of(baton->object), asxi_far_reply(baton), &tail_of(baton)->mark);
    }
}

/* For other shards */

asx_err asxi_mpsc_far_deliver(asxi_mpsc *self, asxi_baton *baton, asxi_line **line)
{
    baton->leave = far_leave;
    if (self->calls || asxi_far_reply_size(baton) != padded(self->item_size) + sizeof(tail)) {
        return ASX_E(INVALID_ARGUMENT);
    }
    const asx_err err = book_open(self);
    if (err) {
        return err;
    }
    if (self->queued > 0) {
        fetch_far(self, baton);
    } else if (asxi_mpsc_is_over(self)) {
        return ASX_E(DISCONNECTED);
    } else {
        *line = &self->receiver;
    }
    return ASX_OK;
}

void asxi_mpsc_far_undelivered(asxi_mpsc *self, const asx_msg *msg)
{
    char item[FAR_BYTES_MAX];
    tail after;
    memcpy(item, asxi_item_of(msg), msg->arg32);
    memcpy(&after, item + msg->arg32 - sizeof(after), sizeof(after));
    asxi_item_taken(msg);
    undelivered(self, item, &after.mark);
}

void asxi_mpsc_far_lost(asxi_baton *baton)
{
    if (tail_of(baton)->drop) {
        tail_of(baton)->drop(asxi_far_reply(baton));
    }
}

/* The holder's side */

static void item_send_back(asx_shard *shard, const delivery *self)
{
    char bytes[FAR_BYTES_MAX];
    const uint32_t at = padded(self->item_size);
    memset(bytes, 0, at);
    memcpy(bytes, self->item, self->item_size);
    memcpy(bytes + at, &self->tail, sizeof(tail));
    asxi_far_item(shard, self->tail.home, &asxi_mpsc_type, bytes, at + (uint32_t)sizeof(tail),
                  self->tail.drop);
}

static void delivery_free(delivery *self)
{
    if (self->object) {
        asxi_object_unref(self->object);
    }
    asx_heap_free(&self->region->heap, self, sizeof(*self) + self->item_size);
}

static void delivery_lost(void *object, uint64_t amount, asx_settlement how)
{
    delivery *const self = object;
    (void)amount;
    (void)how;
    if (self->object) {
        undelivered(asxi_mpsc_of(self->object), self->item, &self->tail.mark);
    } else {
        item_send_back(self->region->shard, self);
    }
    delivery_free(self);
}

/* An item that was taken becomes the task's debt; without one it stays with the caller. */
static asx_err delivery_make(asx_cx *cx, asxi_object *object, const void *item, uint32_t item_size,
                             const tail *after, asx_delivery *made)
{
    asx_region *const region = cx->_task->cx._region;
    delivery *const self = asx_heap_alloc(&region->heap, sizeof(*self) + item_size);
    if (!self) {
        return ASX_E(NO_MEMORY);
    }
    *self =
        (delivery){ .region = region, .object = object, .item_size = item_size, .tail = *after };
    memcpy(self->item, item, item_size);
    if (object) {
        asxi_object_ref(object);
    }
    const asx_obligation_options options = { .kind = ASX_OBLIGATION_ACK,
                                             .what = "a delivered item",
                                             .settle = delivery_lost,
                                             .object = self };
    const asx_err err = asx_obligation_reserve(cx, &options, &made->_obligation);
    if (err) {
        delivery_free(self);
        return err;
    }
    made->attempt = after->mark.attempts;
    return ASX_OK;
}

static asx_outcome next_far(asx_cx *cx, asx_mpsc_receiver receiver, void *item, uint32_t item_size,
                            asx_instant deadline_ns, asx_delivery *made)
{
    char bytes[FAR_BYTES_MAX];
    tail after;
    const uint32_t at = padded(item_size);
    const asxi_far_request request = { .type = &asxi_mpsc_type,
                                       .object = receiver._end,
                                       .role = ASXI_MPSC_RECEIVER,
                                       .tag = ASXI_MPSC_DELIVERY,
                                       .reply = bytes,
                                       .reply_size = at + (uint32_t)sizeof(tail),
                                       .closed = ASX_E(DISCONNECTED),
                                       .what = "a far delivery" };
    ASX_TRY(asxi_far_wait(cx, &request, deadline_ns, NULL));
    memcpy(&after, bytes + at, sizeof(after));
    const asx_err err = delivery_make(cx, NULL, bytes, item_size, &after, made);
    if (err) {
        asxi_far_item(cx->_shard, after.home, &asxi_mpsc_type, bytes, request.reply_size,
                      after.drop);
        return asx_fail(err);
    }
    memcpy(item, bytes, item_size);
    return asx_ok(0);
}

static asx_outcome next_here(asx_cx *cx, asxi_mpsc *self, void *item, asx_instant deadline_ns,
                             asx_delivery *made)
{
    taking to = {
        .baton = { .object = &self->object, .leave = taking_leave, .tag = ASXI_MPSC_DELIVERY },
        .item = item
    };
    if (self->queued > 0) {
        fetch(self, item, &to.mark);
    } else if (asxi_mpsc_is_over(self)) {
        return asx_fail(ASX_E(DISCONNECTED));
    } else {
        ASX_TRY(asxi_line_wait(cx, &self->receiver, &to.baton, self->what, deadline_ns,
                               ASX_E(DISCONNECTED)));
    }
    const tail after = { .mark = to.mark };
    const asx_err err = delivery_make(cx, &self->object, item, self->item_size, &after, made);
    if (err) {
        undelivered(self, item, &to.mark);
        return asx_fail(err);
    }
    return asx_ok(0);
}

asx_outcome asx_delivery_next_until(asx_cx *cx, asx_mpsc_receiver receiver, void *item,
                                    uint32_t item_size, asx_instant deadline_ns, asx_delivery *made)
{
    asxi_end *end;
    *made = (asx_delivery){ 0 };
    if (item_size == 0 || item_size > ASX_MPSC_ITEM_MAX) {
        return asx_fail(ASX_E(INVALID_ARGUMENT));
    }
    asx_err err = asxi_end_find(cx, receiver._end, &asxi_mpsc_type, ASXI_MPSC_RECEIVER, &end);
    if (err == ASX_E(WRONG_SHARD)) {
        return next_far(cx, receiver, item, item_size, deadline_ns, made);
    }
    if (err) {
        return asx_fail(err);
    }
    asxi_mpsc *const self = asxi_mpsc_of(end->object);
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    err = self->calls || self->item_size != item_size ? ASX_E(INVALID_ARGUMENT) : book_open(self);
    return err ? asx_fail(err) : next_here(cx, self, item, deadline_ns, made);
}

void asx_delivery_commit(asx_cx *cx, asx_delivery made)
{
    void *object;
    uint64_t amount;
    if (asxi_obligation_resolve(cx, made._obligation, ASX_OBLIGATION_COMMITTED, delivery_lost,
                                &object, &amount)) {
        return;
    }
    delivery *const self = object;
    if (!self->object) {
        asxi_far_done(cx->_shard, self->tail.home, &asxi_mpsc_type, 1);
    } else if (asxi_object_is_open(self->object)) {
        asxi_mpsc_slots_return(asxi_mpsc_of(self->object), 1);
    }
    delivery_free(self);
}

void asx_delivery_abort(asx_cx *cx, asx_delivery made)
{
    void *object;
    uint64_t amount;
    if (!asxi_obligation_resolve(cx, made._obligation, ASX_OBLIGATION_ABORTED, delivery_lost,
                                 &object, &amount)) {
        delivery_lost(object, amount, ASX_SETTLED_CANCEL);
    }
}

asx_err asx_delivery_transfer(asx_cx *cx, asx_delivery made, asx_handle task)
{
    return asx_obligation_transfer(cx, made._obligation, task);
}
