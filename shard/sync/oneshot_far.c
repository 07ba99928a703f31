#include "oneshot_internal.h"

/*   EMPTY ──reserve──> RESERVED ──send──> DONE
 *     └──send, close──> DONE <──abort, loss──┘
 *
 *   DONE  home was told: by the item, or that none will come */
typedef enum far_state { EMPTY, RESERVED, DONE } far_state;

typedef struct far_oneshot {
    asxi_object object;
    asx_handle home; /* the exported side */
    asx_drop_fn *drop;
    const char *what;
    uint32_t item_size;
    uint8_t state; /* far_state */
} far_oneshot;

_Static_assert(sizeof(far_oneshot) <= ASXI_OBJECT_BYTES, "a far oneshot fits a record");

static far_oneshot *far_of(asxi_object *object)
{
    return asx_container_of(object, far_oneshot, object);
}

static void none_will_come(far_oneshot *self)
{
    self->state = DONE;
    asxi_far_close(self->object.shard, self->home);
}

/* What is left of it is a permit, which tells home. */
static void far_close(asxi_object *object)
{
    if (far_of(object)->state == EMPTY) {
        none_will_come(far_of(object));
    }
}

static void far_side_close(asxi_object *object, uint32_t side)
{
    (void)side; /* there is one */
    asxi_object_close(object);
}

static const asxi_object_type far_type = {
    .name = "far oneshot",
    .close = far_close,
    .side_close = far_side_close,
};

asx_err asxi_oneshot_far_open(asx_cx *cx, const asx_oneshot_far *far, asx_handle *sender)
{
    asxi_object *object;
    asx_err err = asxi_mail_require(cx, far->_sender.shard);
    if (!err) {
        err = asxi_object_open(cx, &far_type, sizeof(far_oneshot), &object);
    }
    if (!err) {
        far_oneshot *const self = far_of(object);
        self->home = far->_sender;
        self->drop = far->_drop;
        self->what = far->_what;
        self->item_size = far->_item_size;
        *sender = asxi_object_side(object, ASXI_ONESHOT_SENDER);
    }
    return err;
}

/* errors  STALE, TYPE_MISMATCH, ALREADY_RESERVED */
static asx_err claim(asx_cx *cx, asx_handle sender, far_oneshot **self)
{
    asxi_object *object;
    const asx_err err = asxi_object_find(cx, sender, &far_type, &object);
    if (err) {
        return err;
    }
    *self = far_of(object);
    if ((*self)->state != EMPTY) {
        return ASX_E(ALREADY_RESERVED);
    }
    if (!asxi_object_is_open(object)) {
        return ASX_E(STALE);
    }
    (*self)->state = RESERVED;
    return ASX_OK;
}

static void fill(far_oneshot *self, const void *item)
{
    asx_assert_eq(self->state, RESERVED);
    self->state = DONE;
    asxi_far_item(self->object.shard, self->home, &asxi_oneshot_type, item, self->item_size,
                  self->drop);
}

static void permit_lost(void *object, uint64_t amount, asx_settlement how)
{
    (void)amount;
    (void)how;
    none_will_come(far_of(object));
    asxi_object_unref(object);
}

asx_outcome asxi_oneshot_far_reserve(asx_cx *cx, asx_handle sender, asx_oneshot_permit *permit)
{
    far_oneshot *self;
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    asx_err err = claim(cx, sender, &self);
    if (err) {
        return asx_fail(err);
    }
    err = asxi_oneshot_permit_make(cx, &self->object, self->what, permit_lost, permit);
    if (err) {
        self->state = EMPTY;
        return asx_fail(err);
    }
    return asx_ok(0);
}

asx_err asxi_oneshot_far_permit_send(asx_cx *cx, asx_oneshot_permit permit, const void *item)
{
    asxi_object *object;
    asx_err err = asxi_object_find(cx, permit._channel, &far_type, &object);
    if (!err) {
        err = asx_obligation_commit(cx, permit._obligation);
    }
    if (!err) {
        fill(far_of(object), item);
        asxi_object_unref(object);
    }
    return err;
}

void asxi_oneshot_far_permit_abort(asx_cx *cx, asx_oneshot_permit permit)
{
    asxi_object *object;
    if (!asxi_object_find(cx, permit._channel, &far_type, &object) &&
        !asx_obligation_abort(cx, permit._obligation)) {
        permit_lost(object, 0, ASX_SETTLED_CANCEL);
    }
}

asx_err asxi_oneshot_far_send(asx_cx *cx, asx_handle sender, const void *item)
{
    far_oneshot *self;
    const asx_err err = claim(cx, sender, &self);
    if (!err) {
        fill(self, item);
        asxi_object_close(&self->object);
    }
    return err;
}

asx_outcome asxi_oneshot_far_closed(asx_cx *cx, asx_handle sender, asx_instant deadline_ns)
{
    asxi_object *object;
    const asx_err err = asxi_object_find_open(cx, sender, &far_type, &object);
    if (err) {
        return asx_fail(err == ASX_E(CLOSED) ? ASX_E(STALE) : err);
    }
    const asxi_far_request request = { .type = &asxi_oneshot_type,
                                       .object = far_of(object)->home,
                                       .closed = ASX_E(CLOSED),
                                       .what = far_of(object)->what };
    const asx_outcome outcome = asxi_far_wait(cx, &request, deadline_ns, NULL);
    const bool gone = asx_is_err(outcome, ASX_E(CLOSED)) || asx_is_err(outcome, ASX_E(STALE));
    return gone ? asx_ok(0) : outcome;
}
