#include "crew_internal.h"

void asxi_crew_open(asxi_crew *crew, asx_cx *cx)
{
    const asx_region_options options = { .policy = ASX_COLLECT_ALL, .label = "flow" };
    asx_region *region = NULL;
    asx_list_init(&crew->ended);
    crew->refused = asx_region_open(cx, &options, &region);
    if (!crew->refused) {
        crew->region = asx_region_handle(region);
    }
}

typedef struct crew_closing {
    asx_region_waiter waiter;
    asxi_wait wait;
    asx_outcome value; /* a reference */
} crew_closing;

static void crew_closed(asx_region_waiter *waiter, asx_outcome value)
{
    crew_closing *const closing = asx_container_of(waiter, crew_closing, waiter);
    closing->value = asx_outcome_retain(value);
    asxi_wait_resolve(&closing->wait, 0);
}

asx_outcome asxi_crew_close(asxi_crew *crew, asx_cx *cx)
{
    asx_region *region;
    if (crew->refused || asx_region_lookup(cx->_shard, crew->region, &region)) {
        return asx_ok(0);
    }
    crew_closing closing = { .waiter = { .fn = crew_closed } };
    asxi_wait_init(&closing.wait, cx);
    asx_region_on_closed(region, &closing.waiter);
    asx_region_cancel(region, ASX_CANCEL_FAIL_FAST, "flow closed");
    asxi_wait_park_masked(cx, &closing.wait, "flow close");
    crew->refused = ASX_E(REGION_CLOSED);
    for (asxi_hand *hand; (hand = asxi_crew_ended(crew)) != NULL;) { /* their records are gone */
        asx_list_unlink(&hand->link);
        hand->running = false;
    }
    crew->running = 0;
    const bool panicked = closing.value.severity == ASX_SEVERITY_PANICKED;
    const asx_outcome answer = panicked ? asxi_task_lend(cx->_task, closing.value) : asx_ok(0);
    asx_outcome_release(closing.value);
    return answer;
}

/* The task's last word, whether or not its body ever ran. */
static void hand_ended(void *arg)
{
    asxi_hand *const hand = arg;
    asxi_crew *const crew = hand->crew;
    asx_assert(hand->running && !hand->ended);
    hand->ended = true;
    asx_list_push_back(&crew->ended, &hand->link);
    if (crew->waits) {
        asxi_wait *const wait = crew->waits;
        crew->waits = NULL;
        asxi_wait_resolve(wait, 0);
    }
}

static asx_outcome hand_run(asx_cx *cx, void *arg)
{
    asxi_hand *const hand = arg;
    hand->entered = true;
    hand->outcome = hand->fn(cx, hand);
    hand->returned = true;
    return hand->outcome;
}

asx_err asxi_hand_start(asxi_hand *hand, asxi_crew *crew, asx_cx *cx,
                        asx_outcome (*fn)(asx_cx *cx, asxi_hand *hand))
{
    const asx_spawn_options options = { .drop = hand_ended, .label = "flow" };
    asx_region *region = NULL;
    asx_assert(!hand->running);
    const asx_err gone =
        crew->refused ? crew->refused : asx_region_lookup(cx->_shard, crew->region, &region);
    if (gone) {
        return gone == ASX_E(STALE) ? ASX_E(REGION_CLOSED) : gone;
    }
    *hand = (asxi_hand){ .crew = crew, .fn = fn, .running = true };
    const asx_err err = asx_spawn(cx, region, hand_run, hand, 0, &options, &hand->task);
    if (err) { /* the refusal has ended it already */
        asx_list_unlink(&hand->link);
        hand->running = false;
        return err;
    }
    crew->running++;
    return ASX_OK;
}

asx_outcome asxi_hand_join(asxi_hand *hand, asx_cx *cx)
{
    asx_assert(hand->running && hand->ended);
    asx_list_unlink(&hand->link);
    hand->running = false;
    hand->crew->running--;
    const asx_outcome outcome = asx_join_drained(cx, hand->task, NULL);
    /* What a cancelled function still made is not lost. */
    return hand->returned && hand->outcome.severity < ASX_SEVERITY_CANCELLED ? hand->outcome
                                                                             : outcome;
}

asxi_hand *asxi_crew_ended(const asxi_crew *crew)
{
    asx_list *const first = asx_list_first(&crew->ended);
    return first ? asx_container_of(first, asxi_hand, link) : NULL;
}

typedef struct crew_wait {
    asxi_wait wait;
    asxi_crew *crew;
} crew_wait;

static void crew_leave(asxi_wait *wait)
{
    crew_wait *const self = asx_container_of(wait, crew_wait, wait);
    if (self->crew->waits == wait) {
        self->crew->waits = NULL;
    }
}

asx_outcome asxi_crew_wait(asxi_crew *crew, asx_cx *cx, const char *what, asx_instant deadline_ns)
{
    if (asxi_crew_ended(crew)) {
        return asx_ok(ASX_FLOW_ITEM);
    }
    if (deadline_ns == 0) {
        return asx_ok(ASX_FLOW_LATE);
    }
    crew_wait self = { .crew = crew };
    asx_assert(!crew->waits);
    asxi_wait_init(&self.wait, cx);
    self.wait.leave = crew_leave;
    crew->waits = &self.wait;
    const asxi_woken woken = asxi_wait_park(cx, &self.wait, what, deadline_ns);
    crew_leave(&self.wait);
    switch (woken) {
    case ASXI_WOKEN:
        break;
    case ASXI_WOKEN_CANCELLED:
        return asxi_cancelled(cx);
    case ASXI_WOKEN_TIMEOUT:
        return asx_ok(ASX_FLOW_LATE);
    }
    return asx_ok(ASX_FLOW_ITEM);
}
