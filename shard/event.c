#include <asx/shard/base/assert.h>
#include <asx/shard/event.h>

#include "shard_internal.h"

typedef struct event_wait {
    asxi_wait wait;
    asx_event *event;
} event_wait;

/* The waiter's frame, and with it the wait, is about to go. */
static void event_leave(asxi_wait *wait)
{
    if (!wait->resolved) {
        asx_container_of(wait, event_wait, wait)->event->_waiter = NULL;
    }
}

static void event_wait_init(event_wait *self, asx_cx *cx, asx_event *event)
{
    asxi_wait_init(&self->wait, cx);
    self->wait.leave = event_leave;
    self->event = event;
    event->_waiter = &self->wait;
}

void asx_event_set(asx_event *event)
{
    event->_set = true;
    if (event->_waiter) {
        asxi_wait *const waiter = event->_waiter;
        event->_waiter = NULL;
        asxi_wait_resolve(waiter, 0);
    }
}

asx_outcome asx_event_wait(asx_cx *cx, asx_event *event, const char *what, asx_instant deadline_ns)
{
    event_wait self;
    asx_assert(!event->_waiter);
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    if (!event->_set) {
        event_wait_init(&self, cx, event);
        const asxi_woken woken = asxi_wait_park(cx, &self.wait, what, deadline_ns);
        event->_waiter = NULL;
        if (woken != ASXI_WOKEN) {
            return woken == ASXI_WOKEN_CANCELLED ? asxi_cancelled(cx) : asx_fail(ASX_E(TIMED_OUT));
        }
    }
    event->_set = false;
    return asx_ok(0);
}

void asx_event_wait_masked(asx_cx *cx, asx_event *event, const char *what)
{
    event_wait self;
    asx_assert(!event->_waiter);
    if (!event->_set) {
        event_wait_init(&self, cx, event);
        asxi_wait_park_masked(cx, &self.wait, what);
        event->_waiter = NULL;
    }
    event->_set = false;
}
