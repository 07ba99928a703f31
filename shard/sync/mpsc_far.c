/* What stands for a channel on a sender's shard: credits, as mpsc_internal.h draws them. */
#include "item_internal.h"
#include "mpsc_internal.h"

#define BATCH_FIRST 64u /* credits wanted at once, at first: a quarter of the channel, up to this */

typedef struct far_mpsc {
    asxi_object object;
    asx_handle home;
    asx_drop_fn *drop;
    const char *what;
    asxi_line reservers;
    uint32_t item_size, capacity;
    uint32_t batch;    /* credits it likes to have */
    uint32_t credits;  /* neither reserved nor spent */
    uint32_t reserved; /* permits out, and credits granted to waiters that have not run yet */
    uint32_t asked;    /* wanted, and not granted yet */
    uint32_t senders;
    bool stopped;  /* reserves fail */
    bool gone;     /* what is sent reaches nobody */
    bool recalled; /* what is not needed goes home at once */
    bool detached;
} far_mpsc;

_Static_assert(sizeof(far_mpsc) <= ASXI_OBJECT_BYTES, "a far mpsc fits a record");

static far_mpsc *far_of(asxi_object *object)
{
    return asx_container_of(object, far_mpsc, object);
}

static void far_send(far_mpsc *self, uint16_t op, uint32_t arg)
{
    asxi_link_send_home(&self->object, self->home, op, arg);
}

/* Nothing of this shard's will be sent any more. */
static void detach_if_over(far_mpsc *self)
{
    const bool over = !asxi_object_is_open(&self->object) || self->senders == 0;
    if (over && self->reserved == 0 && !self->detached) {
        self->detached = true;
        self->credits = 0;
        far_send(self, ASXI_LINK_DETACH, 0);
    }
}

static void want(far_mpsc *self, uint32_t waiting)
{
    asx_assert(self->asked == 0);
    self->asked = (waiting > self->batch ? waiting : self->batch) - self->credits;
    far_send(self, ASXI_MPSC_WANT, self->asked);
}

static void ask(far_mpsc *self)
{
    const uint32_t waiting = self->reservers.count;
    if (self->asked == 0 && !self->stopped &&
        (waiting > 0 || (self->batch > 1 && self->credits < self->batch / 2))) {
        want(self, waiting);
    }
}

static void batch_init(far_mpsc *self)
{
    const uint32_t quarter = self->capacity / 4;
    self->batch = quarter < BATCH_FIRST ? quarter : BATCH_FIRST;
    self->batch += self->batch == 0;
}

/* What was asked for did not come in time. */
static void batch_grow(far_mpsc *self)
{
    const uint32_t most = self->capacity / 2;
    const uint32_t twice = 2 * self->batch;
    self->batch = twice < most ? twice : most > self->batch ? most : self->batch;
}

static void credits_share(far_mpsc *self)
{
    while (self->credits > 0 && !asxi_line_empty(&self->reservers)) {
        self->credits--;
        self->reserved++;
        asxi_line_tell(asxi_line_head(&self->reservers), ASXI_LINE_GRANTED);
    }
}

static void credits_return(far_mpsc *self)
{
    far_send(self, ASXI_MPSC_RETURN, self->credits);
    self->credits = 0;
}

static void far_stop(far_mpsc *self)
{
    self->stopped = true;
    asxi_line_close(&self->reservers);
    if (self->credits > 0) {
        credits_return(self);
    }
}

static void far_message(asxi_end *end, const asx_msg *msg)
{
    far_mpsc *const self = far_of(end->object);
    switch (msg->flags) {
    case ASXI_MPSC_GRANT:
        self->asked = 0;
        self->recalled = false;
        self->credits += msg->arg32;
        credits_share(self);
        if (self->stopped) {
            far_stop(self);
        } else if (!asxi_line_empty(&self->reservers)) {
            ask(self);
        }
        return;
    case ASXI_MPSC_RECALL:
        self->recalled = true;
        batch_init(self);
        credits_return(self);
        return;
    case ASXI_MPSC_STOPPED:
        far_stop(self);
        return;
    case ASXI_LINK_GONE:
        self->gone = true;
        far_stop(self);
        return;
    }
    asx_unreachable();
}

/* The object is unlinked from its region next: what is left of it are permits. */
static void far_close(asxi_object *object)
{
    far_mpsc *const self = far_of(object);
    self->gone = true;
    self->stopped = true;
    asxi_line_close(&self->reservers);
    if (self->detached) {
        return;
    }
    if (self->reserved == 0) {
        self->detached = true;
        far_send(self, ASXI_LINK_DETACH, 0);
    } else if (self->credits > 0) {
        credits_return(self);
    }
}

static void far_end_close(asxi_object *object, const asxi_end *end)
{
    far_mpsc *const self = far_of(object);
    asx_assert_eq(end->role, ASXI_MPSC_SENDER);
    self->senders--;
    if (self->senders == 0) {
        asxi_object_close(object);
    }
}

const asxi_object_type asxi_mpsc_far_type = {
    .name = "far mpsc",
    .close = far_close,
    .end_close = far_end_close,
    .message = far_message,
    .message_discard = asxi_link_discard,
    .message_refuse = asxi_link_refuse,
};

static asx_err import_here(asx_cx *cx, const asx_mpsc_far *far, asx_mpsc_sender *sender)
{
    asxi_end *end;
    asx_err err = asxi_end_find(cx, far->_peer, &asxi_mpsc_type, ASXI_MPSC_LINK, &end);
    if (!err) {
        err = asxi_end_open(end->object, ASXI_MPSC_SENDER, &sender->_end, NULL);
    }
    if (!err) {
        asx_container_of(end->object, asxi_mpsc, object)->senders++;
        asxi_end_close(end);
    }
    return err;
}

asx_err asx_mpsc_import(asx_cx *cx, const asx_mpsc_far *far, asx_mpsc_sender *sender)
{
    asxi_object *object;
    *sender = (asx_mpsc_sender){ 0 };
    if (far->_peer.shard == cx->_shard->index) {
        return import_here(cx, far, sender);
    }
    asx_err err = asxi_mail_require(cx, far->_peer.shard);
    if (!err) {
        err = asxi_object_open(cx, &asxi_mpsc_far_type, sizeof(far_mpsc), &object);
    }
    if (err) {
        return err;
    }
    far_mpsc *const self = far_of(object);
    self->home = far->_peer;
    self->drop = far->_drop;
    self->what = far->_what;
    self->item_size = far->_item_size;
    self->capacity = far->_capacity;
    batch_init(self);
    self->detached = true; /* home still knows only the value that is imported here */
    asxi_line_init(&self->reservers);
    err = asxi_end_open(object, ASXI_MPSC_SENDER, &sender->_end, NULL);
    if (!err) {
        err = asxi_link_attach(object, ASXI_MPSC_LINK, self->home, 0);
    }
    if (err) {
        asxi_object_close(object);
        return err;
    }
    self->senders = 1;
    self->detached = false;
    return ASX_OK;
}

asx_err asxi_mpsc_far_clone(asxi_object *object, asx_handle *clone)
{
    const asx_err err = asxi_end_open(object, ASXI_MPSC_SENDER, clone, NULL);
    far_of(object)->senders += !err;
    return err;
}

const char *asxi_mpsc_far_what(asxi_object *object)
{
    return far_of(object)->what;
}

bool asxi_mpsc_far_listens(asxi_object *object)
{
    return asxi_object_is_open(object) && !far_of(object)->gone;
}

asx_err asxi_mpsc_far_slot_try(asxi_object *object)
{
    far_mpsc *const self = far_of(object);
    if (self->stopped) {
        return ASX_E(DISCONNECTED);
    }
    const bool free = self->credits > 0 && asxi_line_empty(&self->reservers);
    if (asx_likely(free)) {
        self->credits--;
        self->reserved++;
    }
    ask(self);
    return free ? ASX_OK : ASX_E(FULL);
}

static void waiter_leave(asxi_baton *baton, bool granted)
{
    if (granted) {
        asxi_mpsc_far_slot_return(baton->object);
    }
}

asx_outcome asxi_mpsc_far_slot_wait(asx_cx *cx, asxi_object *object, asx_instant deadline_ns)
{
    far_mpsc *const self = far_of(object);
    asxi_baton baton = { .object = object, .leave = waiter_leave, .amount = 1 };
    batch_grow(self);
    if (self->asked == 0) {
        want(self, self->reservers.count + 1); /* the line is entered below */
    }
    return asxi_line_wait(cx, &self->reservers, &baton, self->what, deadline_ns,
                          ASX_E(DISCONNECTED));
}

void asxi_mpsc_far_item_push(asxi_object *object, const void *item)
{
    far_mpsc *const self = far_of(object);
    asx_msg msg;
    asx_assert(self->reserved > 0);
    self->reserved--;
    asxi_object_address(&msg, &self->home, &asxi_mpsc_far_type, ASXI_LINK_ITEM);
    asxi_item_put(&msg, item, self->item_size, self->drop);
    asxi_mail_send(object->shard, self->home.shard, &msg);
    detach_if_over(self);
}

void asxi_mpsc_far_slot_return(asxi_object *object)
{
    far_mpsc *const self = far_of(object);
    asx_assert(self->reserved > 0);
    self->reserved--;
    if (asxi_object_is_open(object)) {
        self->credits += !ASXI_PLANTED(CREDIT_LOST);
        credits_share(self);
        if ((self->stopped || self->recalled) && self->credits > 0) {
            credits_return(self);
        }
    }
    detach_if_over(self);
}
