/* A copy on another shard is a broadcast like any other, whose sender is a link (link_internal.h):
 *
 *   copy                      home
 *   ATTACH(n)  ──>            up to n items may be under way
 *              <──SKIP(k)──   the next k items were overwritten before they could be sent
 *              <──ITEM──
 *   TAKEN(k)   ──>            k more */
#include <asx/shard/sync/broadcast.h>

#include "far_internal.h"
#include "item_internal.h"
#include "link_internal.h"
#include "select_internal.h"

#include <string.h>

#define UNDER_WAY_MAX 64u /* items, or the capacity */

enum { SENDER = 1, RECEIVER, LINK };
enum { TO_HOME_TAKEN = ASXI_LINK_OPS, TO_COPY_SKIP };

typedef struct broadcast {
    asxi_object object;
    char *items; /* a ring, in the region's heap */
    const char *what;
    uint64_t next_seq; /* of the next item sent; a receiver's end->mark is the next it reads */
    uint32_t capacity, item_size;
    uint32_t kept;      /* the items next_seq - kept .. next_seq - 1 */
    uint32_t senders;   /* of a copy: its link */
    uint32_t receivers; /* links as well */
    uint32_t taken;     /* of a copy: home was not told yet */
    asx_handle home;    /* of a copy; else null */
    asxi_link *links;
    asxi_line waiting;
} broadcast;

typedef struct feed {
    asxi_link link;    /* in the line of those that wait when everything was sent */
    uint64_t next_seq; /* to be sent */
    uint32_t credits;
} feed;

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
    /* Those that enter meanwhile have got it. */
    for (uint32_t n = self->waiting.count; n > 0 && !asxi_line_empty(&self->waiting); n--) {
        asxi_line_tell(asxi_line_head(&self->waiting), ASXI_LINE_GRANTED);
    }
}

static bool is_copy(const broadcast *self)
{
    return !asx_handle_is_null(self->home);
}

static void broadcast_close(asxi_object *object)
{
    broadcast *const self = broadcast_of(object);
    asxi_line_close(&self->waiting);
    asxi_links_gone(self->links);
    if (is_copy(self)) {
        asxi_link_send_home(object, self->home, ASXI_LINK_DETACH, 0);
    }
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
        if (end->role == LINK) {
            asxi_link_close(asxi_link_of(end), sizeof(feed));
        }
        self->receivers--;
        self->kept = self->receivers == 0 ? 0 : self->kept;
        wake_all(self); /* who waits through this end finds it stale */
    }
    if (self->receivers == 0 && (self->senders == 0 || is_copy(self))) {
        asxi_object_close(object);
    }
}

static void append(broadcast *self, const void *item)
{
    memcpy(slot_of(self, self->next_seq), item, self->item_size);
    self->next_seq++;
    self->kept += self->kept < self->capacity;
    wake_all(self);
}

/* Home's side of a copy */

static void feed_told(asxi_baton *baton, uintptr_t value);

static void feed_skip(const broadcast *self, feed *to)
{
    const uint64_t oldest = self->next_seq - self->kept;
    const uint64_t most = UINT32_MAX;
    while (to->next_seq < oldest) {
        const uint64_t missed = oldest - to->next_seq;
        const uint64_t count = missed < most ? missed : most;
        asxi_link_send(&to->link, TO_COPY_SKIP, (uint32_t)count);
        to->next_seq += count;
    }
}

/* Sends what there is, as far as its credits go. */
static void feed_next(broadcast *self, feed *to)
{
    for (; to->credits > 0 && to->next_seq < self->next_seq; to->credits--) {
        feed_skip(self, to);
        asxi_link_send_item(&to->link, slot_of(self, to->next_seq), self->item_size);
        to->next_seq++;
    }
    if (to->next_seq < self->next_seq || to->link.waits) {
        return;
    }
    if (self->senders == 0) {
        asxi_link_send(&to->link, ASXI_LINK_GONE, 0);
    } else {
        asxi_link_wait(&to->link, &self->waiting, feed_told);
    }
}

static void feed_told(asxi_baton *baton, uintptr_t value)
{
    asxi_link *const link = asxi_link_told(baton);
    if (value == ASXI_LINE_GRANTED) {
        feed_next(broadcast_of(baton->object), asx_container_of(link, feed, link));
    }
}

static void feed_credit(asxi_end *end, uint32_t count)
{
    feed *const to = asx_container_of(asxi_link_of(end), feed, link);
    to->credits += count;
    asx_assert(to->credits <= UNDER_WAY_MAX);
    feed_next(broadcast_of(end->object), to);
}

/* The copy's side */

static uint32_t under_way_max(uint32_t capacity)
{
    return capacity < UNDER_WAY_MAX ? capacity : UNDER_WAY_MAX;
}

static void copy_append(broadcast *self, const asx_msg *msg)
{
    asx_assert_eq(msg->arg32, self->item_size);
    append(self, asxi_item_of(msg));
    asxi_item_taken(msg);
    self->taken++;
    if (self->taken >= (under_way_max(self->capacity) + 1) / 2) {
        asxi_link_send_home(&self->object, self->home, TO_HOME_TAKEN, self->taken);
        self->taken = 0;
    }
}

static void broadcast_message(asxi_end *end, const asx_msg *msg)
{
    broadcast *const self = broadcast_of(end->object);
    switch (msg->flags) {
    case ASXI_LINK_ATTACH:
        asxi_link_attached(asxi_link_of(end), msg);
        feed_credit(end, msg->arg32);
        return;
    case TO_HOME_TAKEN:
        feed_credit(end, msg->arg32);
        return;
    case ASXI_LINK_DETACH:
        asxi_end_close(end);
        return;
    case ASXI_LINK_ITEM:
        copy_append(self, msg);
        return;
    case TO_COPY_SKIP:
        self->next_seq += msg->arg32;
        self->kept = 0;
        wake_all(self);
        return;
    case ASXI_LINK_GONE:
        self->senders = 0;
        wake_all(self);
        return;
    }
    asx_unreachable();
}

/* For senders that are used on other shards: the amount of the answer is who got it. */
static asx_err far_ask(asxi_object *object, asxi_baton *baton, asxi_line **line)
{
    broadcast *const self = broadcast_of(object);
    (void)line; /* sending never waits */
    baton->leave = asxi_line_hold_nothing;
    baton->amount = self->receivers;
    if (self->receivers == 0) {
        return ASX_E(CLOSED);
    }
    append(self, asxi_far_sent(baton));
    return ASX_OK;
}

static const asxi_far_ops far_ops = { .ask = far_ask };

static const asxi_object_type broadcast_type = {
    .name = "broadcast",
    .close = broadcast_close,
    .end_close = broadcast_end_close,
    .message = broadcast_message,
    .message_discard = asxi_link_discard,
    .message_refuse = asxi_link_refuse,
    .far = &far_ops,
};

/* One without ends. */
static asx_err create(asx_cx *cx, const asx_broadcast_options *options, broadcast **created)
{
    asxi_object *object;
    const asx_err err = asxi_object_open(cx, &broadcast_type, sizeof(broadcast), &object);
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
    if (!self->items) {
        asxi_object_close(object);
        return ASX_E(NO_MEMORY);
    }
    *created = self;
    return ASX_OK;
}

asx_err asx_broadcast_open(asx_cx *cx, const asx_broadcast_options *options,
                           asx_broadcast_sender *sender)
{
    broadcast *self;
    *sender = (asx_broadcast_sender){ 0 };
    if (options->capacity == 0 || options->capacity > ASX_BROADCAST_CAPACITY_MAX ||
        options->item_size == 0 || options->item_size > ASX_BROADCAST_ITEM_MAX) {
        return ASX_E(INVALID_ARGUMENT);
    }
    asx_err err = create(cx, options, &self);
    if (err) {
        return err;
    }
    sender->_item_size = self->item_size;
    err = asxi_end_open(&self->object, SENDER, &sender->_end, NULL);
    if (err) {
        asxi_object_close(&self->object);
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
        clone->_item_size = sender._item_size;
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

asx_err asx_broadcast_export(asx_cx *cx, asx_broadcast_receiver receiver, asx_broadcast_far *far)
{
    asxi_end *end;
    asxi_link *link;
    *far = (asx_broadcast_far){ 0 };
    asx_err err = asxi_end_find(cx, receiver._end, &broadcast_type, RECEIVER, &end);
    if (err) {
        return err;
    }
    broadcast *const self = broadcast_of(end->object);
    if (is_copy(self)) {
        return ASX_E(WRONG_SHARD);
    }
    err = asxi_link_open(end->object, &self->links, sizeof(feed), LINK, &far->_link, &link);
    if (!err) {
        asx_container_of(link, feed, link)->next_seq = end->mark;
        self->receivers++;
        far->_what = self->what;
        far->_capacity = self->capacity;
        far->_item_size = self->item_size;
    }
    return err;
}

static asx_err import_here(asx_cx *cx, const asx_broadcast_far *far,
                           asx_broadcast_receiver *receiver)
{
    asxi_end *end;
    asx_err err = asxi_end_find(cx, far->_link, &broadcast_type, LINK, &end);
    if (!err) {
        const feed *const from = asx_container_of(asxi_link_of(end), feed, link);
        err = receiver_open(end->object, from->next_seq, receiver);
    }
    if (!err) {
        asxi_end_close(end);
    }
    return err;
}

asx_err asx_broadcast_import(asx_cx *cx, const asx_broadcast_far *far,
                             asx_broadcast_receiver *receiver)
{
    broadcast *self;
    *receiver = (asx_broadcast_receiver){ 0 };
    if (far->_link.shard == cx->_shard->index) {
        return import_here(cx, far, receiver);
    }
    const asx_broadcast_options options = { far->_capacity, far->_item_size, far->_what };
    asx_err err = asxi_mail_require(cx, far->_link.shard);
    if (!err) {
        err = create(cx, &options, &self);
    }
    if (err) {
        return err;
    }
    err = receiver_open(&self->object, 0, receiver);
    if (!err) {
        err = asxi_link_attach(&self->object, LINK, far->_link, under_way_max(self->capacity));
    }
    if (err) {
        asxi_object_close(&self->object);
    } else {
        self->home = far->_link;
    }
    return err;
}

static asx_outcome send_far(asx_cx *cx, asx_broadcast_sender sender, const void *item)
{
    uint64_t receivers = 0;
    const asxi_far_request request = { .type = &broadcast_type,
                                       .object = sender._end,
                                       .role = SENDER,
                                       .sent = item,
                                       .sent_size = sender._item_size,
                                       .grant_wins = true,
                                       .closed = ASX_E(CLOSED),
                                       .what = "far broadcast" };
    const asx_outcome outcome = asxi_far_wait(cx, &request, ASX_TIME_NEVER, &receivers);
    return asx_is_ok(outcome) ? asx_ok(receivers) : outcome;
}

asx_outcome asx_broadcast_send(asx_cx *cx, asx_broadcast_sender sender, const void *item)
{
    asxi_end *end;
    const asx_err err = asxi_end_find(cx, sender._end, &broadcast_type, SENDER, &end);
    if (asx_unlikely(err)) {
        return err == ASX_E(WRONG_SHARD) ? send_far(cx, sender, item) : asx_fail(err);
    }
    if (asx_unlikely(asxi_observe_cancel(cx))) {
        return asxi_cancelled(cx);
    }
    broadcast *const self = broadcast_of(end->object);
    if (self->receivers == 0) {
        return asx_fail(ASX_E(CLOSED));
    }
    append(self, item);
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
