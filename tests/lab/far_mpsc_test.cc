/* At stake: between shards an item is received once, dropped once or handed back, whoever closes,
 * leaves or is cancelled, and at whatever point. The worlds are small, and every order of turns of
 * them is tried; what they did is compared with a plain queue. */
#include <asx/shard/event.h>
#include <asx/shard/limb.h>
#include <asx/shard/scope.h>
#include <asx/shard/sync/mpsc.h>

#include "explore_all.h"
#include "linear.h"

#include <algorithm>
#include <cstring>
#include <deque>

const char *malloc_conf = "retain:false";

namespace
{

constexpr uint32_t senders = 2, items = 2;

enum operation { SEND, RECV, LAST_CLOSE };
enum { DONE = 0, REFUSED, OVER, LEFT };

enum story {
    ALL_ARRIVE,
    SENDER_CLOSES,      /* the first one, after `at` items */
    SENDER_REGION,      /* that its end is in */
    SENDER_CANCELLED,   /* once `at` items were received */
    SENDER_PANICS,      /* with a permit, after `at` items */
    RECEIVER_CLOSES,    /* once `at` items were received */
    RECEIVER_STOPS,     /* likewise */
    RECEIVER_CANCELLED, /* likewise; somebody else receives the rest */
    RECEIVER_REGION,    /* that the channel is in */
    STORIES
};

const char *const story_names[STORIES] = { "all arrive",
                                           "a sender closes",
                                           "a sender's region closes",
                                           "a sender is cancelled",
                                           "a sender panics",
                                           "the receiver closes",
                                           "the receiver stops",
                                           "the receiver is cancelled",
                                           "the channel's region closes" };

struct far_world {
    story tells = ALL_ARRIVE;
    uint32_t at = 0, capacity = 1;
    bool permits = false;
    asx_lab_config config = {};
    asx_explore_world world;

    asx_mpsc_far far[senders];
    history seen;
    std::vector<uint64_t> sent, got, dropped;
    uint32_t used_max = 0;

    far_world();
};
far_world *now;

void item_dropped(void *item)
{
    uint64_t number;
    memcpy(&number, item, sizeof(number));
    now->dropped.push_back(number);
}

asx_outcome send_one(asx_cx *cx, asx_mpsc_sender tx, uint64_t number, bool panics)
{
    const size_t op = now->seen.begin(static_cast<uint32_t>(number / 10), SEND, number);
    asx_outcome outcome = asx_ok(0);
    if (now->permits || panics) {
        asx_mpsc_permit permit;
        outcome = asx_mpsc_reserve(cx, tx, &permit);
        if (asx_is_ok(outcome) && panics) {
            asx_panic("with a permit");
        }
        if (asx_is_ok(outcome) && asx_mpsc_permit_send(cx, permit, &number)) {
            outcome = asx_fail(ASX_E(DISCONNECTED));
        }
    } else {
        outcome = asx_mpsc_send(cx, tx, &number);
    }
    if (asx_is_ok(outcome)) {
        now->sent.push_back(number); /* what it does there may come later: it never ends here */
    } else {
        now->seen.end(op, REFUSED);
    }
    return outcome;
}

asx_outcome sender_in(asx_cx *cx, uint32_t who)
{
    asx_mpsc_sender tx;
    asx_outcome outcome = asx_ok(0);
    if (asx_mpsc_import(cx, &now->far[who], &tx)) {
        return asx_fail(ASX_E(REGION_CLOSED));
    }
    const bool ends_early =
        who == 0 && (now->tells == SENDER_CLOSES || now->tells == SENDER_REGION);
    for (uint32_t i = 0; i < items && asx_is_ok(outcome); i++) {
        if (ends_early && i == now->at) {
            break;
        }
        outcome =
            send_one(cx, tx, who * 10 + i, who == 0 && now->tells == SENDER_PANICS && i == now->at);
    }
    if (!(who == 0 && now->tells == SENDER_REGION)) {
        asx_mpsc_sender_close(cx, tx);
    }
    return outcome;
}

asx_outcome sender(asx_cx *cx, void *arg)
{
    const uint32_t who = *static_cast<uint32_t *>(arg);
    asx_outcome outcome = asx_ok(0);
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        outcome = sender_in(&s->cx, who);
    }
    return outcome;
}

struct receiving {
    asx_mpsc_sender tx;
    asx_mpsc_receiver rx;
    asx_handle limbs[senders];
    uint32_t count = 0;
    asx_event reached = {};
};

/* Until all is over, or until `at` were received and the story says what happens then. */
asx_outcome receive(asx_cx *cx, receiving *r, bool to_the_end)
{
    for (;;) {
        const bool there = !to_the_end && r->count == now->at;
        if (there && now->tells == SENDER_CANCELLED) {
            asx_limb_cancel(cx, r->limbs[0], ASX_CANCEL_USER, "test");
        } else if (there && now->tells == RECEIVER_STOPS) {
            asx_mpsc_stop(cx, r->rx);
        } else if (there && now->tells == RECEIVER_CANCELLED) {
            asx_event_set(&r->reached);
        } else if (there && (now->tells == RECEIVER_CLOSES || now->tells == RECEIVER_REGION)) {
            return asx_ok(0);
        }
        uint64_t number = 0;
        const size_t op = now->seen.begin(to_the_end ? 4 : 3, RECV, 0);
        const asx_outcome outcome = asx_mpsc_recv(cx, r->rx, &number);
        now->seen.ops[op].value = number;
        now->seen.end(op, asx_is_ok(outcome)                         ? DONE
                          : asx_is_err(outcome, ASX_E(DISCONNECTED)) ? OVER
                                                                     : LEFT);
        if (!asx_is_ok(outcome)) {
            return outcome;
        }
        r->count++;
        now->got.push_back(number);
        now->used_max = std::max(now->used_max, asx_mpsc_used(cx, r->rx));
    }
}

asx_outcome receive_first(asx_cx *cx, void *arg)
{
    return receive(cx, *static_cast<receiving **>(arg), false);
}

asx_outcome receiver_in(asx_cx *cx, receiving *r, asx_scope *limbs)
{
    const asx_mpsc_options options = { now->capacity, sizeof(uint64_t), item_dropped, "far" };
    asx_err err = asx_mpsc_open(cx, &options, &r->tx, &r->rx);
    for (uint32_t i = 0; i < senders && !err; i++) {
        err = asx_mpsc_export(cx, r->tx, &now->far[i]);
        if (!err) {
            err = asx_spawn_on(&limbs->cx, i + 1, sender, &i, sizeof(i), nullptr, &r->limbs[i]);
        }
    }
    if (err) {
        return asx_fail(err);
    }
    asx_mpsc_sender_close(cx, r->tx);
    if (now->tells == RECEIVER_CANCELLED) {
        ASX_SCOPE(cx, inner, ASX_COLLECT_ALL) {
            const asx_handle first = asx_scope_spawn(inner, receive_first, &r, sizeof(r), nullptr);
            ASX_TRY(asx_event_wait(cx, &r->reached, "the point to cancel at", ASX_TIME_NEVER));
            asx_task_cancel(cx, first, ASX_CANCEL_USER, "test");
        }
        (void)receive(cx, r, true);
    } else {
        (void)receive(cx, r, false);
    }
    if (now->tells != RECEIVER_REGION) {
        asx_mpsc_receiver_close(cx, r->rx);
    }
    return asx_ok(0);
}

asx_outcome home(asx_cx *cx, void *)
{
    receiving r;
    ASX_SCOPE(cx, limbs, ASX_COLLECT_ALL) {
        ASX_SCOPE(&limbs->cx, s, ASX_COLLECT_ALL) {
            ASX_TRY(receiver_in(&s->cx, &r, limbs));
        }
    }
    return asx_ok(0);
}

/* What a channel is to those who see only its ends. */
struct plain_queue {
    uint32_t capacity;
    std::deque<uint64_t> queue;
    bool may_refuse, may_drop;
    uint32_t sends_left;

    bool apply(const linear_op &op)
    {
        if (op.kind == SEND) {
            if (op.result == REFUSED) {
                return may_refuse;
            }
            sends_left--;
            queue.push_back(op.value);
            return queue.size() <= capacity || may_drop; /* behind the receiver's end */
        }
        if (op.result == DONE) {
            const bool first = !queue.empty() && queue.front() == op.value;
            if (first) {
                queue.pop_front();
            }
            return first;
        }
        return op.result == LEFT || (queue.empty() && sends_left == 0);
    }
    std::string key() const
    {
        std::string text;
        for (uint64_t number : queue) {
            text += static_cast<char>('a' + number);
        }
        return text;
    }
};

void reset(void *arg)
{
    far_world *const w = static_cast<far_world *>(arg);
    now = w;
    w->seen = {};
    w->sent.clear();
    w->got.clear();
    w->dropped.clear();
    w->used_max = 0;
}

void judge(void *arg, asx_lab_report *report)
{
    far_world *const w = static_cast<far_world *>(arg);
    std::vector<uint64_t> ended = w->got, sent = w->sent;
    ended.insert(ended.end(), w->dropped.begin(), w->dropped.end());
    std::sort(ended.begin(), ended.end());
    std::sort(sent.begin(), sent.end());
    if (ended != sent) {
        asx_lab_report_violate(report, "conservation", "%u sent, %u received, %u dropped",
                               (unsigned)w->sent.size(), (unsigned)w->got.size(),
                               (unsigned)w->dropped.size());
    }
    if (w->used_max > w->capacity) {
        asx_lab_report_violate(report, "capacity", "%u slots used", w->used_max);
    }
    if (w->tells == ALL_ARRIVE && w->got.size() != senders * items) {
        asx_lab_report_violate(report, "all_arrive", "%u received", (unsigned)w->got.size());
    }
    const bool drops = w->tells == RECEIVER_CLOSES || w->tells == RECEIVER_REGION;
    if (!drops && !w->dropped.empty()) {
        asx_lab_report_violate(report, "dropped", "%u items", (unsigned)w->dropped.size());
    }
    std::vector<linear_op> history = w->seen.ops;
    if (w->tells == SENDER_PANICS) { /* the send that a panic cut off had no effect */
        const auto cut_off = [w](const linear_op &op) {
            return op.kind == SEND && op.ended == linear_op::open &&
                   !std::count(w->sent.begin(), w->sent.end(), op.value);
        };
        history.erase(std::remove_if(history.begin(), history.end(), cut_off), history.end());
    }
    plain_queue model = { w->capacity, {}, drops, drops, 0 };
    model.may_refuse |= w->tells == RECEIVER_STOPS || w->tells == SENDER_CANCELLED;
    for (const linear_op &op : history) {
        model.sends_left += op.kind == SEND && op.result != REFUSED;
    }
    if (!linear<plain_queue>::holds(history, model)) {
        asx_lab_report_violate(report, "not_linear", "no queue answers like this");
    }
}

far_world::far_world()
{
    config.shards = 1 + senders;
    asx_explore_world_init(&world, "far mpsc", &config, home, nullptr);
    world.arg = this;
    world.reset = reset;
    world.judge = judge;
}

void explore_one(story tells, uint32_t at, uint32_t capacity, bool permits, explored_story *sum)
{
    far_world w;
    w.tells = tells;
    w.at = at;
    w.capacity = capacity;
    w.permits = permits;
    /* Of the cancelled receiver there are some 3,000 classes a world, of the others below 600. */
    const std::string name = std::string(story_names[tells]) + " at " + std::to_string(at) +
                             ", capacity " + std::to_string(capacity);
    sum->all(&w.world, tells == RECEIVER_CANCELLED ? 200 : 1000, name);
    sum->some(&w.world, 20, name);
}

} // namespace

TEST_CASE("far mpsc: in every order of turns each item is received, dropped or handed back, once",
          "[lab][far]")
{
    for (int tells = 0; tells < STORIES; tells++) {
        explored_story sum;
        for (uint32_t at = 0; at <= (tells == ALL_ARRIVE ? 0 : items); at++) {
            explore_one(static_cast<story>(tells), at, 1, false, &sum);
            explore_one(static_cast<story>(tells), at, 1, true, &sum);
            explore_one(static_cast<story>(tells), at, 2, true, &sum);
        }
        CHECK((sum.told(story_names[tells]) || tells == RECEIVER_CANCELLED));
    }
}
