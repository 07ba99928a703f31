#include <asx/shard/sync/select.h>

#include "select_internal.h"

/* A case while it is registered. */
typedef struct entry {
    asxi_baton baton;   /* in the line of its object; object NULL: not registered there */
    asxi_joiner joiner; /* of a JOIN */
    struct selecting *all;
    asx_select_case *which;
    bool joining;
} entry;

typedef struct selecting {
    asxi_wait wait;
    entry entries[ASX_SELECT_MAX];
    uint32_t count;
    entry *won; /* whose baton was told */
    uintptr_t told;
} selecting;

/* NULL: a timer, or a join. */
static const asxi_select_ops *ops_of(asx_select_kind kind)
{
    static const asxi_select_ops *const ops[] = {
        [ASX_SELECT_RECV] = &asxi_select_recv,
        [ASX_SELECT_SEND] = &asxi_select_send,
        [ASX_SELECT_ONESHOT] = &asxi_select_oneshot,
        [ASX_SELECT_BROADCAST] = &asxi_select_broadcast,
        [ASX_SELECT_WATCH] = &asxi_select_watch,
        [ASX_SELECT_NOTIFY] = &asxi_select_notify,
        [ASX_SELECT_SEMAPHORE] = &asxi_select_semaphore,
        [ASX_SELECT_TIMER] = NULL,
        [ASX_SELECT_JOIN] = NULL,
    };
    asx_assert(kind < asx_array_count(ops));
    return ops[kind];
}

static void unregister(entry *e)
{
    asxi_object *const object = e->baton.object;
    if (e->joining) {
        e->joining = false;
        if (e->joiner.told) {
            asx_outcome_release(e->joiner.outcome);
        } else {
            asxi_joiner_remove(e->joiner.target, &e->joiner);
        }
    }
    if (object) {
        e->baton.object = NULL;
        if (e != e->all->won) {
            asxi_baton *const baton = &e->baton;
            baton->object = object; /* for its leave */
            asxi_line_leave(baton);
            baton->object = NULL;
        }
        asxi_object_unref(object);
    }
}

/* The first that is told wins; the others leave their lines at once, so that nothing else is
 * granted to this task. */
static void told(asxi_baton *baton, uintptr_t value)
{
    entry *const e = asx_container_of(baton, entry, baton);
    selecting *const all = e->all;
    all->won = e;
    all->told = value;
    for (uint32_t i = 0; i < all->count; i++) {
        if (&all->entries[i] != e) {
            unregister(&all->entries[i]);
        }
    }
    if (!all->wait.resolved) {
        asxi_wait_resolve(&all->wait, 0);
    }
}

static void unregister_all(selecting *all)
{
    for (uint32_t i = 0; i < all->count; i++) {
        unregister(&all->entries[i]);
    }
}

/* The task leaves with a grant that it does not use. */
static void give_back(selecting *all)
{
    entry *const e = all->won;
    if (e && e->baton.object && all->told == ASXI_LINE_GRANTED) {
        e->baton.leave(&e->baton, true);
    }
}

static void abandoned(asxi_wait *wait)
{
    selecting *const all = asx_container_of(wait, selecting, wait);
    give_back(all);
    unregister_all(all);
}

static ASX_NOINLINE bool try_other(asx_cx *cx, asx_select_case *which)
{
    if (which->kind == ASX_SELECT_TIMER) {
        which->outcome = asx_ok(0);
        return cx->_shard->now_ns >= which->_n;
    }
    void *record;
    const bool waits = !asx_handle_lookup(&cx->_shard->tasks, which->_handle, &record) &&
                       ((const asx_task *)record)->state != ASX_TASK_COMPLETED &&
                       record != cx->_task;
    if (!waits) {
        which->outcome = asx_join(cx, which->_handle);
    }
    return !waits;
}

/* True: `which` is decided, its outcome set. */
ASX_INLINE bool try_case(asx_cx *cx, asx_select_case *which)
{
    const asxi_select_ops *const ops = ops_of(which->kind);
    return asx_likely(ops != NULL) ? ops->attempt(cx, which) : try_other(cx, which);
}

ASX_INLINE int try_all(asx_cx *cx, const asx_select *select, asx_select_case *cases, uint32_t count)
{
    uint32_t at = select->biased || select->_next >= count ? 0 : select->_next;
    for (uint32_t i = 0; i < count; i++) {
        if (try_case(cx, &cases[at])) {
            return (int)at;
        }
        at = at + 1 == count ? 0 : at + 1;
    }
    return -1;
}

static void register_one(asx_cx *cx, selecting *all, entry *e, asx_select_case *which)
{
    const asxi_select_ops *const ops = ops_of(which->kind);
    *e = (entry){ .all = all, .which = which };
    if (ops) {
        asxi_line *const line = ops->line(cx, which, &e->baton);
        e->baton.tell = told;
        asxi_line_enter(line, &e->baton);
        asxi_object_ref(e->baton.object);
    } else if (which->kind == ASX_SELECT_JOIN) {
        void *record;
        const asx_err found = asx_handle_lookup(&cx->_shard->tasks, which->_handle, &record);
        asx_assert_eq(found, ASX_OK);
        e->joiner.group = &all->wait;
        asxi_joiner_append(record, &e->joiner);
        e->joining = true;
    }
}

/* Waits until a case may be ready. `outcome`: what ends the select instead. True: the winner was
 * granted its resource, and its outcome is set. */
static ASX_NOINLINE bool wait_any(asx_cx *cx, asx_select_case *cases, uint32_t count,
                                  uint32_t *winner, asx_outcome *outcome)
{
    selecting all;
    asx_instant until_ns = ASX_TIME_NEVER;
    asxi_wait_init(&all.wait, cx);
    all.wait.leave = abandoned;
    all.won = NULL;
    all.told = ASXI_LINE_GRANTED;
    all.count = 0;
    for (uint32_t i = 0; i < count; i++) {
        register_one(cx, &all, &all.entries[i], &cases[i]);
        all.count++;
        if (cases[i].kind == ASX_SELECT_TIMER && cases[i]._n < until_ns) {
            until_ns = cases[i]._n;
        }
    }
    const asxi_woken woken = asxi_wait_park(cx, &all.wait, "select", until_ns);
    if (woken == ASXI_WOKEN_CANCELLED) {
        abandoned(&all.wait);
        *outcome = asxi_cancelled(cx);
        return false;
    }
    *outcome = asx_ok(0);
    bool decided = false;
    entry *const e = all.won;
    if (e && all.told == ASXI_LINE_GRANTED) {
        const asxi_select_ops *const ops = ops_of(e->which->kind);
        decided = ops->granted != NULL && asxi_object_is_open(e->baton.object);
        if (decided) {
            *winner = (uint32_t)(e->which - cases);
            ops->granted(cx, e->which, e->baton.object);
        } else {
            e->baton.leave(&e->baton, true);
        }
    }
    unregister_all(&all);
    return decided; /* else the states say what is ready */
}

asx_outcome asx_select_wait(asx_cx *cx, asx_select *select, asx_select_case *cases, uint32_t count)
{
    uint32_t winner = 0;
    if (count == 0 || count > ASX_SELECT_MAX) {
        return asx_fail(ASX_E(INVALID_ARGUMENT));
    }
    for (;;) {
        if (asxi_observe_cancel(cx)) {
            return asxi_cancelled(cx);
        }
        const int ready = try_all(cx, select, cases, count);
        if (ready >= 0) {
            winner = (uint32_t)ready;
            break;
        }
        asx_outcome outcome;
        if (wait_any(cx, cases, count, &winner, &outcome)) {
            break;
        }
        if (!asx_is_ok(outcome)) {
            return outcome;
        }
    }
    select->_next = winner + 1;
    return asx_ok(winner);
}
