#include "line_internal.h"

void asxi_line_enter(asxi_line *line, asxi_baton *baton)
{
    asx_assert(baton->object != NULL && baton->leave != NULL);
    baton->line = line;
    baton->since_ns = baton->object->shard->now_ns;
    baton->object->waits.waiting++;
    asx_list_push_back(&line->waiting, &baton->wait.link);
    line->count++;
}

static inline void take_out(asxi_baton *baton)
{
    asx_assert(baton->line->count > 0 && baton->object->waits.waiting > 0);
    asx_list_unlink(&baton->wait.link);
    baton->line->count--;
    baton->object->waits.waiting--;
}

void asxi_line_tell(asxi_baton *baton, uintptr_t value)
{
    asxi_object *const object = baton->object;
    take_out(baton);
    if (value == ASXI_LINE_GRANTED) {
        object->waits.granted++;
        object->waits.waited_ns += asx_time_sub(object->shard->now_ns, baton->since_ns);
    }
    if (baton->tell) {
        baton->tell(baton, value);
    } else {
        asxi_wait_resolve(&baton->wait, value);
    }
}

void asxi_line_close_all(asxi_line *line)
{
    for (asxi_baton *baton; (baton = asxi_line_head(line)) != NULL;) {
        asxi_line_tell(baton, ASXI_LINE_CLOSED);
    }
}

void asxi_line_leave(asxi_baton *baton)
{
    take_out(baton);
    baton->leave(baton, false);
}

void asxi_line_hold_nothing(asxi_baton *baton, bool granted)
{
    (void)baton;
    (void)granted;
}

/* The fiber leaves without having been told, or without using what it was granted. */
static void fiber_leave(asxi_wait *wait)
{
    asxi_baton *const baton = asx_container_of(wait, asxi_baton, wait);
    asxi_object *const object = baton->object;
    if (!wait->resolved) {
        asxi_line_leave(baton);
    } else if (wait->value == ASXI_LINE_GRANTED && !ASXI_PLANTED(BATON_DROPPED)) {
        baton->leave(baton, true);
    }
    asxi_object_unref(object);
}

asxi_object *asxi_line_target(asxi_wait *wait)
{
    return wait->leave == fiber_leave ? asx_container_of(wait, asxi_baton, wait)->object : NULL;
}

asx_outcome asxi_line_wait(asx_cx *cx, asxi_line *line, asxi_baton *baton, const char *what,
                           asx_instant deadline_ns, asx_err closed)
{
    asxi_object *const object = baton->object;
    asxi_wait_init(&baton->wait, cx);
    baton->wait.leave = fiber_leave;
    baton->wait.resource = object;
    baton->tell = NULL;
    asxi_line_enter(line, baton);
    asxi_object_ref(object);
    const asxi_woken woken = asxi_wait_park(cx, &baton->wait, what, deadline_ns);
    if (asx_unlikely(woken != ASXI_WOKEN)) {
        fiber_leave(&baton->wait);
        return woken == ASXI_WOKEN_CANCELLED ? asxi_cancelled(cx) : asx_fail(ASX_E(TIMED_OUT));
    }
    const bool open = asxi_object_is_open(object);
    const uintptr_t told = baton->wait.value;
    if (asx_unlikely(!open && told == ASXI_LINE_GRANTED)) {
        baton->leave(baton, true); /* of what closed in between */
    }
    asxi_object_unref(object);
    if (asx_likely(open && told == ASXI_LINE_GRANTED)) {
        return asx_ok(0);
    }
    return asx_fail(open && told != ASXI_LINE_CLOSED ? told : closed);
}

asx_waits asx_waits_of(asx_cx *cx, asx_handle handle)
{
    void *record;
    const asxi_objects *const objects = cx->_shard->objects;
    if (objects && !asx_handle_lookup(&objects->objects, handle, &record)) {
        return ((const asxi_object *)record)->waits;
    }
    if (objects && !asx_handle_lookup(&objects->ends, handle, &record)) {
        return ((const asxi_end *)record)->object->waits;
    }
    return (asx_waits){ 0 };
}
