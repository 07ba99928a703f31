#include <asx/shard/sync/latch.h>

#include "far_internal.h"

typedef struct latch {
    asxi_object object;
    const char *what;
    uint64_t count;
    asxi_line waiting;
} latch;

_Static_assert(sizeof(latch) <= ASXI_OBJECT_BYTES, "a latch fits a record");

static latch *latch_of(asxi_object *object)
{
    return asx_container_of(object, latch, object);
}

static void latch_close(asxi_object *object)
{
    asxi_line_close(&latch_of(object)->waiting);
}

static const asxi_far_ops far_ops;
static const asxi_object_type latch_type = { .name = "latch",
                                             .close = latch_close,
                                             .far = &far_ops };

asx_err asx_latch_open(asx_cx *cx, uint64_t count, const char *what, asx_latch *opened)
{
    asxi_object *object;
    *opened = (asx_latch){ 0 };
    const asx_err err = asxi_object_open(cx, &latch_type, sizeof(latch), &object);
    if (!err) {
        latch *const self = latch_of(object);
        self->what = what ? what : "latch";
        self->count = count;
        asxi_line_init(&self->waiting);
        opened->_object = asx_handle_of(object);
    }
    return err;
}

/* errors  CLOSED, STALE */
static asx_err find(asx_cx *cx, asx_latch handle, latch **self)
{
    asxi_object *object;
    const asx_err err = asxi_object_find_open(cx, handle._object, &latch_type, &object);
    if (asx_likely(!err)) {
        *self = latch_of(object);
    }
    return err;
}

void asx_latch_close(asx_cx *cx, asx_latch handle)
{
    asxi_object_close_found(cx, handle._object, &latch_type);
}

asx_err asx_latch_add(asx_cx *cx, asx_latch handle, uint64_t count)
{
    latch *self;
    const asx_err err = find(cx, handle, &self);
    if (err) {
        return err;
    }
    if (self->count == 0) {
        return ASX_E(ALREADY_SET);
    }
    self->count = count < UINT64_MAX - self->count ? self->count + count : UINT64_MAX;
    return ASX_OK;
}

static void count_down(latch *self, uint64_t count)
{
    self->count -= count < self->count ? count : self->count;
    while (self->count == 0 && !asxi_line_empty(&self->waiting)) {
        asxi_line_tell(asxi_line_head(&self->waiting), ASXI_LINE_GRANTED);
    }
}

void asx_latch_done(asx_cx *cx, asx_latch handle, uint64_t count)
{
    latch *self;
    const asx_err err = find(cx, handle, &self);
    if (!err) {
        count_down(self, count);
    } else if (err == ASX_E(WRONG_SHARD)) {
        asxi_far_tell(cx, handle._object, &latch_type, 0, count);
    }
}

/* For other shards */

static asx_err far_ask(asxi_object *object, asxi_baton *baton, asxi_line **line)
{
    latch *const self = latch_of(object);
    baton->leave = asxi_line_hold_nothing;
    *line = self->count > 0 ? &self->waiting : NULL;
    return ASX_OK;
}

static void far_tell(asxi_object *object, uint32_t op, uint64_t amount)
{
    (void)op; /* there is one */
    count_down(latch_of(object), amount);
}

static const asxi_far_ops far_ops = { .ask = far_ask, .tell = far_tell };

static asx_outcome wait_far(asx_cx *cx, asx_latch handle, asx_instant deadline_ns)
{
    const asxi_far_request request = {
        .type = &latch_type, .object = handle._object, .closed = ASX_E(CLOSED), .what = "far latch"
    };
    return asxi_far_wait(cx, &request, deadline_ns, NULL);
}

asx_outcome asx_latch_wait_until(asx_cx *cx, asx_latch handle, asx_instant deadline_ns)
{
    latch *self;
    const asx_err err = find(cx, handle, &self);
    if (err) {
        return err == ASX_E(WRONG_SHARD) ? wait_far(cx, handle, deadline_ns) : asx_fail(err);
    }
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    if (self->count == 0) {
        return asx_ok(0);
    }
    asxi_baton baton = { .object = &self->object, .leave = asxi_line_hold_nothing };
    return asxi_line_wait(cx, &self->waiting, &baton, self->what, deadline_ns, ASX_E(CLOSED));
}
