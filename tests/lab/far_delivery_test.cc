/* At stake: an item that was handed to another shard is received there once, or comes back to its
 * place, or is dropped once: whoever leaves, panics, aborts or closes, in every order of turns. */
#include <asx/shard/limb.h>
#include <asx/shard/scope.h>
#include <asx/shard/sync/delivery.h>

#include "explore_all.h"
#include "linear.h"

#include <algorithm>
#include <cstring>
#include <deque>

namespace
{

constexpr uint32_t takers = 2;

enum story { ALL_COMMIT, ABORTS, CANCELLED, PANICS, GIVES_UP, CLOSES, REGION_CLOSES, STORIES };
const char *const story_names[STORIES] = { "all commit",
                                           "the first is aborted",
                                           "one is cancelled",
                                           "one panics as a holder",
                                           "one gives up at once",
                                           "the receiver closes",
                                           "the channel's region closes" };

enum operation { SEND, TAKE, COMMIT, ABORT };

struct delivery_world {
    story tells = ALL_COMMIT;
    uint32_t at = 0;
    asx_lab_config config = {};
    asx_explore_world world;

    asx_mpsc_receiver rx;
    history seen;
    std::vector<uint64_t> received, dropped, left;
    uint32_t attempts = 0; /* of the first item, most */

    delivery_world();
};
delivery_world *now;

void item_dropped(void *item)
{
    uint64_t number;
    memcpy(&number, item, sizeof(number));
    now->dropped.push_back(number);
}

/* Two where their order is at stake: more worlds can then be exhausted. */
uint64_t items_of(story tells)
{
    return tells == ALL_COMMIT || tells == ABORTS || tells == PANICS ? 2 : 1;
}

bool ends_before_all(story tells)
{
    return tells == CLOSES || tells == REGION_CLOSES;
}

/* Ok(1): it has received one. */
asx_outcome take_one(asx_cx *cx, uint32_t who, uint32_t round)
{
    const bool marked = who == 0 && round == 0;
    const bool gives_up = marked && now->tells == GIVES_UP;
    uint64_t item = 0;
    asx_delivery delivery;
    const size_t taken = now->seen.begin(who, TAKE, 0);
    ASX_TRY(asx_delivery_next_until(cx, now->rx, &item, sizeof(item),
                                    gives_up ? asx_shard_now(asx_shard_of(cx)) : ASX_TIME_NEVER,
                                    &delivery));
    now->seen.ops[taken].value = item;
    now->seen.end(taken, 1);
    now->attempts = std::max(now->attempts, delivery.attempt);
    const bool aborts = now->tells == ABORTS && item == 0 && delivery.attempt == 1;
    const bool panics = marked && now->tells == PANICS;
    /* Where it comes back without having been told so, it may come at any time from here on. */
    now->seen.begin(who, aborts || panics ? ABORT : COMMIT, item);
    if (panics) {
        asx_panic("as a holder");
    }
    if (aborts) {
        asx_delivery_abort(cx, delivery);
    } else {
        now->received.push_back(item);
        asx_delivery_commit(cx, delivery);
    }
    return asx_ok(!aborts);
}

/* Until all is over; where each is to have one, until it has. */
asx_outcome taker(asx_cx *cx, void *arg)
{
    const uint32_t who = *static_cast<uint32_t *>(arg);
    const bool takes_one = now->tells == ALL_COMMIT || now->tells == ABORTS;
    for (uint32_t round = 0;; round++) {
        const asx_outcome outcome = take_one(cx, who, round);
        if (takes_one && asx_is_ok(outcome) && outcome.value == 1) {
            return outcome;
        }
        if (asx_is_err(outcome, ASX_E(TIMED_OUT))) {
            continue;
        }
        if (!asx_is_ok(outcome)) {
            const bool over =
                asx_is_err(outcome, ASX_E(DISCONNECTED)) || asx_is_err(outcome, ASX_E(STALE));
            return over ? asx_ok(0) : outcome;
        }
    }
}

/* Its region goes before the takers do, when the story says so. */
asx_outcome send_all(asx_cx *cx, asx_cx *outer)
{
    const uint64_t items = items_of(now->tells);
    const asx_mpsc_options options = { 2, sizeof(uint64_t), item_dropped, "far" };
    asx_mpsc_sender tx;
    asx_handle limb;
    if (asx_mpsc_open(cx, &options, &tx, &now->rx)) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    asx_handle first{};
    for (uint32_t i = 0; i < takers; i++) {
        if (asx_spawn_on(outer, i + 1, taker, &i, sizeof(i), nullptr, &limb)) {
            return asx_fail(ASX_E(NO_SLOTS));
        }
        first = i == 0 ? limb : first;
    }
    for (uint64_t i = 0; i < items; i++) {
        const size_t op = now->seen.begin(takers, SEND, i);
        if (asx_mpsc_try_send(cx, tx, &i)) {
            return asx_fail(ASX_E(FULL));
        }
        now->seen.end(op, 1);
    }
    for (uint32_t i = 0; i < now->at; i++) {
        ASX_TRY(asx_yield(cx));
    }
    if (now->tells == CANCELLED) {
        asx_limb_cancel(cx, first, ASX_CANCEL_USER, "test");
    }
    if (now->tells == CLOSES) {
        asx_mpsc_receiver_close(cx, now->rx);
    }
    asx_mpsc_sender_close(cx, tx);
    return asx_ok(0);
}

asx_outcome home(asx_cx *cx, void *)
{
    ASX_SCOPE(cx, outer, ASX_COLLECT_ALL) {
        if (now->tells == REGION_CLOSES) {
            ASX_SCOPE(cx, inner, ASX_COLLECT_ALL) {
                ASX_TRY(send_all(&inner->cx, &outer->cx));
            }
        } else {
            ASX_TRY(send_all(&outer->cx, &outer->cx));
        }
    }
    uint64_t item; /* of those that ended early */
    while (!ends_before_all(now->tells) && asx_mpsc_try_recv(cx, now->rx, &item) == ASX_OK) {
        now->left.push_back(item);
    }
    return asx_ok(0);
}

/* A queue to whose front items come back. */
struct queue_model {
    std::deque<uint64_t> queued;
    std::vector<uint64_t> out;

    bool apply(const linear_op &op)
    {
        const auto held = std::find(out.begin(), out.end(), op.value);
        switch (op.kind) {
        case SEND:
            queued.push_back(op.value);
            return true;
        case TAKE:
            if (op.ended == linear_op::open) {
                return true; /* it took nothing, or gave it back at once */
            }
            if (queued.empty() || queued.front() != op.value) {
                return false;
            }
            queued.pop_front();
            out.push_back(op.value);
            return true;
        default:
            if (held == out.end()) {
                return false;
            }
            out.erase(held);
            if (op.kind == ABORT) {
                queued.insert(std::lower_bound(queued.begin(), queued.end(), op.value), op.value);
            }
            return true;
        }
    }
    std::string key() const
    {
        std::string text;
        for (const uint64_t item : queued) {
            text += std::to_string(item) + ",";
        }
        text += "/";
        for (const uint64_t item : out) {
            text += std::to_string(item) + ",";
        }
        return text;
    }
};

void reset(void *arg)
{
    delivery_world *const w = static_cast<delivery_world *>(arg);
    now = w;
    w->seen = {};
    w->received.clear();
    w->dropped.clear();
    w->left.clear();
    w->attempts = 0;
}

void judge(void *arg, asx_lab_report *report)
{
    const delivery_world *const w = static_cast<delivery_world *>(arg);
    std::vector<uint64_t> all = w->received;
    all.insert(all.end(), w->dropped.begin(), w->dropped.end());
    all.insert(all.end(), w->left.begin(), w->left.end());
    std::sort(all.begin(), all.end());
    bool once = all.size() == items_of(w->tells);
    for (size_t i = 0; i < all.size(); i++) {
        once = once && all[i] == i;
    }
    if (!once) {
        asx_lab_report_violate(report, "not_once", "%zu received, %zu dropped, %zu left",
                               w->received.size(), w->dropped.size(), w->left.size());
    }
    if (!ends_before_all(w->tells) && !w->dropped.empty()) {
        asx_lab_report_violate(report, "dropped", "%zu", w->dropped.size());
    }
    if (w->tells == ABORTS && w->attempts != 2) {
        asx_lab_report_violate(report, "attempts", "%u", w->attempts);
    }
    /* Elsewhere what a leaver was granted comes back unseen. */
    const bool all_seen = w->tells == ALL_COMMIT || w->tells == ABORTS || w->tells == PANICS;
    if (all_seen && !linear<queue_model>::holds(w->seen.ops, {})) {
        asx_lab_report_violate(report, "not_linear", "no queue answers like this");
    }
}

delivery_world::delivery_world()
{
    config.shards = 1 + takers;
    asx_explore_world_init(&world, "far delivery", &config, home, this);
    world.reset = reset;
    world.judge = judge;
}

} // namespace

TEST_CASE("far deliveries: in every order of turns each item is received once, or comes back",
          "[lab][far]")
{
    for (int tells = 0; tells < STORIES; tells++) {
        explored_story sum;
        const bool one_world = tells <= ABORTS || tells == PANICS || tells == GIVES_UP;
        for (uint32_t at = 0; at < (one_world ? 1 : 3); at++) {
            delivery_world w;
            w.tells = static_cast<story>(tells);
            w.at = at;
            const std::string there = std::string(story_names[tells]) + " at " + std::to_string(at);
            sum.all(&w.world, 12000, there);
            sum.some(&w.world, 50, there);
        }
        CHECK(sum.told(story_names[tells]));
        CHECK(sum.classes > 20);
    }
}
