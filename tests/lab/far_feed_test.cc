/* At stake: what home shows to other shards arrives there in order, whole and to the end: a
 * broadcast receiver knows of each item or is told that it missed it, a watch receiver ends with
 * the last value, whoever closes, leaves, panics or is cancelled, and at whatever point. Home sends
 * to two other shards, and every order of turns is tried. */
#include <asx/shard/limb.h>
#include <asx/shard/scope.h>
#include <asx/shard/sync/broadcast.h>
#include <asx/shard/sync/watch.h>

#include "explore_all.h"

#include <vector>

const char *malloc_conf = "retain:false";

namespace
{

constexpr uint32_t readers = 2;

enum feed_kind { BROADCAST, WATCH, FEED_KINDS };
const char *const kind_names[FEED_KINDS] = { "broadcast", "watch" };

enum feed_story {
    ALL_READ,
    SENDER_CLOSES,    /* after `at` items */
    HOME_CLOSES,      /* the region of the channel, after `at` items */
    READER_CLOSES,    /* the first one, after `at` items */
    READER_REGION,    /* that its end is in */
    READER_PANICS,    /* after `at` items */
    READER_CANCELLED, /* by home, after `at` items were sent */
    NOT_IMPORTED,     /* by the first one */
    STORIES
};
const char *const story_names[STORIES] = {
    "all is read",           "the sender closes",        "the channel's region closes",
    "a reader closes",       "a reader's region closes", "a reader panics",
    "a reader is cancelled", "a reader never imports"
};

struct reading {
    uint64_t known = 0; /* items that were got or missed, or the last value */
    uint32_t missed = 0;
    bool disorder = false;
    bool ended = false; /* was told that nothing more will come */
};

struct feed_world {
    feed_kind kind = BROADCAST;
    feed_story tells = ALL_READ;
    uint32_t at = 0, capacity = 4, items = 2;
    asx_lab_config config = {};
    asx_explore_world world;

    asx_broadcast_far broadcast[readers];
    asx_watch_far watch[readers];
    reading read[readers];
    uint64_t sent = 0, refused = 0;

    feed_world();
};
feed_world *now;

bool marked(uint32_t who, feed_story story)
{
    return who == 0 && now->tells == story;
}

/* What ends the reading early. */
bool stops(uint32_t who, uint64_t count)
{
    if (marked(who, READER_PANICS) && count == now->at) {
        asx_panic("as a reader");
    }
    return (marked(who, READER_CLOSES) || marked(who, READER_REGION)) && count == now->at;
}

asx_outcome read_items(asx_cx *cx, uint32_t who)
{
    asx_broadcast_receiver rx;
    reading *const self = &now->read[who];
    if (asx_broadcast_import(cx, &now->broadcast[who], &rx)) {
        return asx_fail(ASX_E(REGION_CLOSED));
    }
    asx_outcome outcome = asx_ok(0);
    while (asx_is_ok(outcome) && !stops(who, self->known)) {
        uint64_t item = 0, lagged = 0;
        outcome = asx_broadcast_recv(cx, rx, &item, &lagged);
        if (asx_is_ok(outcome)) {
            self->disorder |= item != ++self->known;
        } else if (asx_is_err(outcome, ASX_E(LAGGED))) {
            self->disorder |= lagged == 0;
            self->known += lagged;
            self->missed += (uint32_t)lagged;
            outcome = asx_ok(0);
        }
    }
    self->ended = asx_is_err(outcome, ASX_E(CLOSED));
    if (!marked(who, READER_REGION)) {
        asx_broadcast_receiver_close(cx, rx);
    }
    return self->ended ? asx_ok(0) : outcome;
}

/* The value that was exported counts as seen: it is 0. */
asx_outcome read_values(asx_cx *cx, uint32_t who)
{
    asx_watch_receiver rx;
    reading *const self = &now->read[who];
    asx_outcome outcome = asx_watch_import(cx, &now->watch[who], ASX_TIME_NEVER, &rx);
    if (!asx_is_ok(outcome)) {
        self->ended = false; /* it may have gone before it was there */
        return asx_is_err(outcome, ASX_E(CLOSED)) ? asx_ok(0) : outcome;
    }
    for (uint64_t count = 0; asx_is_ok(outcome) && !stops(who, count); count++) {
        outcome = asx_watch_changed(cx, rx);
        if (asx_is_ok(outcome)) {
            const uint64_t value = *static_cast<const uint64_t *>(asx_watch_borrow(cx, rx));
            self->disorder |= value <= self->known;
            self->known = value;
        }
    }
    self->ended = asx_is_err(outcome, ASX_E(CLOSED));
    if (!marked(who, READER_REGION)) {
        asx_watch_receiver_close(cx, rx);
    }
    return self->ended ? asx_ok(0) : outcome;
}

asx_outcome reader(asx_cx *cx, void *arg)
{
    const uint32_t who = *static_cast<uint32_t *>(arg);
    asx_outcome outcome = asx_ok(0);
    if (marked(who, NOT_IMPORTED)) {
        asx_broadcast_far_abandon(cx, &now->broadcast[who]);
        asx_watch_far_abandon(cx, &now->watch[who]);
        return outcome;
    }
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        outcome = now->kind == BROADCAST ? read_items(&s->cx, who) : read_values(&s->cx, who);
    }
    return outcome;
}

struct sending {
    asx_broadcast_sender broadcast;
    asx_watch_sender watch;
};

asx_err open_and_export(asx_cx *cx, sending *to)
{
    const uint64_t zero = 0;
    asx_broadcast_receiver items;
    asx_watch_receiver values;
    const asx_broadcast_options options = { now->capacity, sizeof(uint64_t), "far" };
    asx_err err = asx_broadcast_open(cx, &options, &to->broadcast);
    err = err ? err : asx_broadcast_subscribe(cx, to->broadcast, &items);
    err = err ? err : asx_watch_open(cx, sizeof(zero), &zero, "far", &to->watch, &values);
    for (uint32_t i = 0; i < readers && !err; i++) {
        err = asx_broadcast_export(cx, items, &now->broadcast[i]);
        err = err ? err : asx_watch_export(cx, values, &now->watch[i]);
        if (!err && now->kind == BROADCAST) { /* one kind a world: the other is not used */
            asx_watch_far_abandon(cx, &now->watch[i]);
        } else if (!err) {
            asx_broadcast_far_abandon(cx, &now->broadcast[i]);
        }
    }
    asx_broadcast_receiver_close(cx, items);
    asx_watch_receiver_close(cx, values);
    return err;
}

asx_outcome send_one(asx_cx *cx, const sending *to)
{
    const uint64_t item = now->sent + 1;
    if (now->kind == WATCH) {
        const asx_err err = asx_watch_set(cx, to->watch, &item);
        now->sent++;
        return err ? asx_fail(err) : asx_ok(0);
    }
    const asx_outcome outcome = asx_broadcast_send(cx, to->broadcast, &item);
    now->sent += asx_is_ok(outcome);
    now->refused += asx_is_err(outcome, ASX_E(CLOSED));
    return asx_is_err(outcome, ASX_E(CLOSED)) ? asx_ok(0) : outcome;
}

asx_outcome send_all(asx_cx *cx, asx_scope *limbs)
{
    sending to;
    asx_handle limb[readers];
    asx_err err = open_and_export(cx, &to);
    for (uint32_t i = 0; i < readers && !err; i++) {
        err = asx_spawn_on(&limbs->cx, i + 1, reader, &i, sizeof(i), nullptr, &limb[i]);
    }
    if (err) {
        return asx_fail(err);
    }
    for (uint32_t i = 0; i <= now->items; i++) {
        if (i == now->at && now->tells == READER_CANCELLED) {
            asx_limb_cancel(cx, limb[0], ASX_CANCEL_USER, "test");
        }
        if (i == now->items ||
            (i == now->at && (now->tells == SENDER_CLOSES || now->tells == HOME_CLOSES))) {
            break;
        }
        ASX_TRY(send_one(cx, &to));
        ASX_TRY(asx_yield(cx));
    }
    if (now->tells != HOME_CLOSES) {
        asx_broadcast_sender_close(cx, to.broadcast);
        asx_watch_sender_close(cx, to.watch);
        /* The channel's region stays until they have read it all. */
        for (uint32_t i = 0; i < readers; i++) {
            const asx_outcome joined = asx_join_limb(cx, limb[i]);
            (void)joined;
        }
    }
    return asx_ok(0);
}

asx_outcome home(asx_cx *cx, void *)
{
    ASX_SCOPE(cx, limbs, ASX_COLLECT_ALL) {
        ASX_SCOPE(&limbs->cx, s, ASX_COLLECT_ALL) {
            ASX_TRY(send_all(&s->cx, limbs));
        }
    }
    return asx_ok(0);
}

void reset(void *arg)
{
    feed_world *const w = static_cast<feed_world *>(arg);
    now = w;
    w->sent = w->refused = 0;
    for (reading &each : w->read) {
        each = {};
    }
}

void judge(void *arg, asx_lab_report *report)
{
    feed_world *const w = static_cast<feed_world *>(arg);
    for (uint32_t i = 0; i < readers; i++) {
        const reading &self = w->read[i];
        const bool undisturbed = i > 0 || w->tells == ALL_READ || w->tells == SENDER_CLOSES;
        if (self.disorder) {
            asx_lab_report_violate(report, "disorder", "reader %u", i);
        }
        if (self.known > w->sent) {
            asx_lab_report_violate(report, "invented", "reader %u knows of %u", i,
                                   (unsigned)self.known);
        }
        if (undisturbed && w->tells != HOME_CLOSES && (!self.ended || self.known != w->sent)) {
            asx_lab_report_violate(report, "unfinished", "reader %u knows of %u of %u", i,
                                   (unsigned)self.known, (unsigned)w->sent);
        }
        if (self.missed > 0 && w->capacity >= w->items) {
            asx_lab_report_violate(report, "missed", "reader %u, with room for all", i);
        }
    }
    if (w->refused > 0) {
        asx_lab_report_violate(report, "refused", "while somebody read");
    }
}

feed_world::feed_world()
{
    config.shards = 1 + readers;
    asx_explore_world_init(&world, "far feed", &config, home, this);
    world.reset = reset;
    world.judge = judge;
}

void explore_one(feed_kind kind, feed_story tells, uint32_t at, uint32_t capacity,
                 explored_story *sum)
{
    feed_world w;
    w.kind = kind;
    w.tells = tells;
    w.at = at;
    w.capacity = capacity;
    const std::string name = std::string(kind_names[kind]) + ", " + story_names[tells] + " at " +
                             std::to_string(at) + ", capacity " + std::to_string(capacity);
    sum->all(&w.world, 8000, name);
    w.items = 6; /* by chance, with more of them */
    sum->some(&w.world, 40, name);
}

} // namespace

TEST_CASE("far feeds: in every order of turns each reader knows all of it, in order, to the end",
          "[lab][far]")
{
    for (int kind = 0; kind < FEED_KINDS; kind++) {
        for (int tells = 0; tells < STORIES; tells++) {
            explored_story sum;
            const bool once = tells == ALL_READ || tells == NOT_IMPORTED;
            for (uint32_t at = 0; at <= (once ? 0 : 2); at++) {
                for (uint32_t capacity : { 1, 8 }) {
                    if (capacity == 1 || kind == BROADCAST) {
                        explore_one(static_cast<feed_kind>(kind), static_cast<feed_story>(tells),
                                    at, capacity, &sum);
                    }
                }
            }
            CHECK(sum.told(std::string(kind_names[kind]) + ", " + story_names[tells]));
        }
    }
}
