#include <asx/shard/base/assert.h>
#include <asx/shard/sync/event.h>

#include "../shard_internal.h"

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
    asxi_wait wait;
    asx_assert(!event->_waiter);
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    if (!event->_set) {
        asxi_wait_init(&wait, cx);
        event->_waiter = &wait;
        const asxi_woken woken = asxi_wait_park(cx, &wait, what, deadline_ns);
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
    asxi_wait wait;
    asx_assert(!event->_waiter);
    if (!event->_set) {
        asxi_wait_init(&wait, cx);
        event->_waiter = &wait;
        asxi_wait_park_masked(cx, &wait, what);
        event->_waiter = NULL;
    }
    event->_set = false;
}
