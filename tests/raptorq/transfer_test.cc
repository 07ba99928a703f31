/* A sender and a receiver on a virtual clock, with a path between them that loses, doubles,
 * reorders, delays and forges as a seed says. At stake: whatever the path does, the object arrives
 * bit-exact or the end names why not; a forged datagram never counts; ends that are restarted go
 * on; and nobody sends much more than the loss asks for. */
#include <asx/raptorq/net/receiver.h>
#include <asx/raptorq/net/sender.h>

#include "support.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <memory>

namespace
{

struct path {
    uint32_t loss_ppm = 0, twice_ppm = 0, forge_ppm = 0;
    uint64_t delay_ns = 1000000, jitter_ns = 0;
};

struct room {
    rq::bytes target;
    uint64_t opened = 0;
    int opens = 0, stores = 0;
    asx_err open_err = ASX_OK, store_err = ASX_OK;

    static asx_err open(void *arg, uint64_t size, void **target)
    {
        room *r = (room *)arg;
        r->opens++;
        r->target.assign(size, 0xEE);
        *target = r->target.data();
        return r->open_err;
    }
    static asx_err store(void *arg)
    {
        room *r = (room *)arg;
        r->stores++;
        return r->store_err;
    }
};

asx_rq_key key_of(uint32_t seed)
{
    asx_rq_key key;
    const rq::bytes bytes = rq::object(32, seed);
    REQUIRE(asx_rq_key_parse(&key, bytes.data(), bytes.size()) == ASX_OK);
    return key;
}

struct transfer {
    rq::bytes object;
    asx_rq_key key;
    bool is_keyed = true;
    asx_rq_sender_config sending = {};
    asx_rq_receiver_config receiving = {};
    path there, back;
    room place;
    asx_prng prng;
    uint64_t now = 1000, session = 1;
    asx_rq_sender *sender = nullptr;
    asx_rq_receiver *receiver = nullptr;
    std::multimap<uint64_t, std::pair<bool, rq::bytes>> flying; /* by instant; true: to receiver */
    asx_rq_step step = ASX_RQ_STEP_WAIT;

    transfer(size_t size, uint64_t seed) : object(rq::object(size, (uint32_t)seed)), key(key_of(9))
    {
        asx_prng_init(&prng, seed);
        sending.symbol_size = 200;
        sending.block_size = 20000;
        sending.has_feedback = true;
        sending.rate = 10000000;
        sending.digest = asx_rq_sha256;
        receiving.digest = asx_rq_sha256;
        receiving.open = room::open;
        receiving.store = room::store;
    }
    transfer(const transfer &) = delete;
    transfer &operator=(const transfer &) = delete;
    ~transfer()
    {
        asx_rq_sender_destroy(sender);
        asx_rq_receiver_destroy(receiver);
    }

    void start_sender()
    {
        asx_rq_sender_destroy(sender);
        sending.source = object.data();
        sending.size = object.size();
        sending.key = is_keyed ? &key : nullptr;
        sending.session = session++ * UINT64_C(0x9E3779B97F4A7C15);
        REQUIRE(asx_rq_sender_create(&sender, &sending) == ASX_OK);
        step = ASX_RQ_STEP_WAIT;
    }
    void start_receiver()
    {
        asx_rq_receiver_destroy(receiver);
        receiving.key = is_keyed ? &key : nullptr;
        receiving.arg = &place;
        REQUIRE(asx_rq_receiver_create(&receiver, &receiving) == ASX_OK);
    }
    bool chance(uint32_t ppm)
    {
        return asx_prng_below(&prng, 1000000) < ppm;
    }
    void fly(bool to_receiver, const rq::bytes &bytes)
    {
        const path &way = to_receiver ? there : back;
        if (chance(way.forge_ppm)) {
            rq::bytes forged = bytes;
            forged[asx_prng_below(&prng, forged.size())] ^=
                (uint8_t)(1 + asx_prng_below(&prng, 255));
            land(to_receiver, way, forged);
        }
        for (int copies = chance(way.twice_ppm) ? 2 : 1; copies > 0; copies--) {
            if (!chance(way.loss_ppm)) {
                land(to_receiver, way, bytes);
            }
        }
    }
    void land(bool to_receiver, const path &way, const rq::bytes &bytes)
    {
        const uint64_t jitter = way.jitter_ns > 0 ? asx_prng_below(&prng, way.jitter_ns) : 0;
        flying.insert({ now + way.delay_ns + jitter, { to_receiver, bytes } });
    }
    void deliver(bool to_receiver, const rq::bytes &bytes)
    {
        if (!to_receiver) {
            asx_rq_sender_hear(sender, now, bytes.data(), bytes.size());
            return;
        }
        if (receiver == nullptr) {
            return;
        }
        if (asx_rq_receiver_hear(receiver, bytes.data(), bytes.size())) {
            asx_rq_receiver_work(receiver);
        }
        rq::bytes answer(ASX_RQ_FRAME_SIZE(0));
        answer.resize(asx_rq_receiver_answer(receiver, answer.data()));
        REQUIRE(answer.size() <= bytes.size());
        if (!answer.empty()) {
            fly(false, answer);
        }
        if (asx_rq_receiver_state_of(receiver) == ASX_RQ_RECEIVER_WHOLE) {
            asx_rq_receiver_settle(receiver, asx_rq_receiver_finish(receiver));
        }
    }
    /* Runs until the sender has ended and everything has landed, or `until`, or too many steps. */
    void run(uint64_t until = UINT64_MAX)
    {
        rq::bytes out(asx_rq_sender_frame_size(sender));
        for (uint64_t steps = 0; now < until; steps++) {
            REQUIRE(steps < 3000000);
            size_t len;
            uint64_t wake = UINT64_MAX;
            step = asx_rq_sender_next(sender, now, out.data(), &len, &wake);
            if (step == ASX_RQ_STEP_SEND) {
                fly(true, rq::bytes(out.begin(), out.begin() + (long)len));
            } else if (step == ASX_RQ_STEP_PREPARE) {
                asx_rq_sender_prepare(sender);
            } else {
                if (flying.empty() && wake == UINT64_MAX) {
                    return;
                }
                const uint64_t next = flying.empty() ? wake : std::min(wake, flying.begin()->first);
                now = std::max(now, std::min(next, until));
            }
            while (!flying.empty() && flying.begin()->first <= now) {
                const auto first = flying.begin()->second;
                flying.erase(flying.begin());
                deliver(first.first, first.second);
            }
        }
    }
    const asx_rq_sender_stats &sent() const
    {
        return *asx_rq_sender_stats_get(sender);
    }
    const asx_rq_receiver_stats &came() const
    {
        return *asx_rq_receiver_stats_get(receiver);
    }
    bool arrived() const
    {
        return asx_rq_receiver_state_of(receiver) == ASX_RQ_RECEIVER_DONE &&
               place.target == object && place.stores == 1;
    }
};

path bad_path(uint32_t loss_percent)
{
    path p;
    p.loss_ppm = loss_percent * 10000;
    p.twice_ppm = 50000;
    p.forge_ppm = 50000;
    p.jitter_ns = 5000000;
    return p;
}

} // namespace

TEST_CASE("transfer: over a clean path every source symbol goes once and no repair",
          "[raptorq][net]")
{
    for (size_t size : { 1u, 199u, 200u, 201u, 20000u, 123457u }) {
        CAPTURE(size);
        transfer t(size, size);
        t.start_sender();
        t.start_receiver();
        t.run();
        CHECK(t.step == ASX_RQ_STEP_ENDED);
        CHECK(t.arrived());
        CHECK(t.sent().sources == (size + 199) / 200);
        CHECK(t.sent().repairs == 0);
        CHECK(t.sent().done_bytes == size);
        CHECK(t.came().done_bytes == size);
        CHECK(asx_rq_receiver_released(t.receiver));
    }
}

TEST_CASE("transfer: an empty object is an offer and its answer", "[raptorq][net]")
{
    for (bool has_feedback : { true, false }) {
        transfer t(0, 1);
        t.sending.has_feedback = has_feedback;
        t.start_sender();
        t.start_receiver();
        t.run();
        CHECK(t.step == ASX_RQ_STEP_ENDED);
        CHECK(t.arrived());
        CHECK(t.sent().sources + t.sent().repairs == 0);
    }
}

TEST_CASE("transfer: comes through loss, doubles, disorder and forgery both ways", "[raptorq][net]")
{
    for (uint64_t seed = 1; seed <= 60; seed++) {
        CAPTURE(seed);
        transfer t(30000 + seed * 1777, seed);
        t.there = bad_path((uint32_t)(seed % 6) * 10);
        t.back = bad_path((uint32_t)(seed % 5) * 10);
        t.start_sender();
        t.start_receiver();
        t.run();
        REQUIRE(t.step == ASX_RQ_STEP_ENDED);
        REQUIRE(t.arrived());
        CHECK(t.came().forged > 0);
        CHECK(t.came().conflicts == 0);
        /* What was sent for each symbol that was needed, beside what the loss makes necessary. */
        const double needed =
            (double)(t.object.size() / 200 + 1) / (1 - (double)t.there.loss_ppm / 1e6);
        CHECK((double)(t.sent().sources + t.sent().repairs) < 1.5 * needed + 60);
    }
}

TEST_CASE("transfer: without feedback, overhead and rounds carry it", "[raptorq][net]")
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        CAPTURE(seed);
        transfer t(100000, seed);
        t.there = bad_path(20);
        t.back.loss_ppm = 1000000;
        t.sending.has_feedback = false;
        t.sending.overhead_permille = 300;
        t.sending.rounds = 2;
        t.start_sender();
        t.start_receiver();
        t.run();
        CHECK(t.step == ASX_RQ_STEP_ENDED);
        CAPTURE(asx_rq_receiver_state_name(asx_rq_receiver_state_of(t.receiver)));
        CAPTURE(t.came().symbols, t.came().refused, t.came().conflicts, t.came().foreign);
        CHECK(t.arrived());
        CHECK(t.came().answers == 0);
        CHECK(t.sent().answers == 0);
        CHECK(t.sent().sources == 500);
        CHECK(t.sent().repairs == 450);
    }
}

TEST_CASE("transfer: too little without feedback leaves a gap that is named", "[raptorq][net]")
{
    transfer t(20000, 5);
    t.there.loss_ppm = 500000;
    t.sending.has_feedback = false;
    t.sending.overhead_permille = 100;
    t.start_sender();
    t.start_receiver();
    t.run();
    CHECK(t.step == ASX_RQ_STEP_ENDED);
    CHECK(asx_rq_receiver_state_of(t.receiver) == ASX_RQ_RECEIVER_RECEIVING);
    const asx_rq_receiver_gap gap = asx_rq_receiver_gap_of(t.receiver);
    CHECK(gap.sbn == 0);
    CHECK(gap.k == 100);
    CHECK(gap.have < 100);
    CHECK(gap.need == 100 - gap.have);
    CHECK(t.place.stores == 0);
    /* Another one-way sender with fresh numbers completes it. */
    t.sending.is_fresh = true;
    t.start_sender();
    t.run();
    t.start_sender();
    t.run();
    CHECK(t.arrived());
}

TEST_CASE("transfer: a restarted sender goes on with numbers nobody saw", "[raptorq][net]")
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        CAPTURE(seed);
        transfer t(200000, seed);
        t.there.loss_ppm = 100000;
        t.start_sender();
        t.start_receiver();
        t.run(t.now + seed * 2000000);
        const uint64_t before = t.came().symbols;
        const bool was_done = t.arrived();
        asx_rq_sender_destroy(t.sender);
        t.sender = nullptr;
        t.flying.clear();
        t.start_sender();
        t.run();
        CHECK(t.step == ASX_RQ_STEP_ENDED);
        REQUIRE(t.arrived());
        CHECK(t.place.opens == 1);
        CHECK((t.came().duplicates == 0 || was_done));
        const uint64_t again = t.sent().sources + t.sent().repairs;
        CHECK(again * 9 / 10 < 1000 - before + 150);
    }
}

TEST_CASE("transfer: a restarted receiver gets what it needs from the same sender",
          "[raptorq][net]")
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        CAPTURE(seed);
        transfer t(500000, seed); /* more blocks than an answer lists */
        t.there.loss_ppm = 200000;
        t.start_sender();
        t.start_receiver();
        t.run(t.now + seed * 6000000);
        REQUIRE(t.place.stores == 0);
        const int opens = t.place.opens; /* 0 when the first OFFERs were lost */
        t.start_receiver();
        t.run();
        CHECK(t.step == ASX_RQ_STEP_ENDED);
        CHECK(t.arrived());
        CHECK(t.place.opens == opens + 1);
    }
}

TEST_CASE("transfer: silence is an error after the time allowed, not before", "[raptorq][net]")
{
    transfer t(1000, 1);
    t.there.loss_ppm = 1000000;
    t.sending.silence_ns = 3 * ASX_NS_PER_S;
    t.start_sender();
    const uint64_t from = t.now;
    t.run();
    CHECK(t.step == ASX_RQ_STEP_FAILED);
    CHECK(asx_rq_sender_err(t.sender) == ASX_RQ_E(SILENCE));
    CHECK(t.now - from == 3 * ASX_NS_PER_S);
    CHECK(t.sent().sources == 0);
    CHECK(t.sent().probes < 20); /* asked less and less often */

    transfer later(100000, 2);
    later.sending.silence_ns = 3 * ASX_NS_PER_S;
    later.start_sender();
    later.start_receiver();
    later.run(later.now + 4000000);
    REQUIRE(later.sent().answers > 0);
    later.there.loss_ppm = 1000000;
    later.run();
    CHECK(asx_rq_sender_err(later.sender) == ASX_RQ_E(SILENCE));
}

TEST_CASE("transfer: a receiver that cannot or will not is told to the sender", "[raptorq][net]")
{
    transfer large(5000, 1);
    large.receiving.size_max = 4999;
    large.start_sender();
    large.start_receiver();
    large.run();
    CHECK(asx_rq_sender_err(large.sender) == ASX_RQ_E(REFUSED));
    CHECK(asx_rq_sender_peer(large.sender) == ASX_RQ_NEED_REFUSED);
    CHECK(asx_rq_receiver_err(large.receiver) == ASX_RQ_E(TOO_LARGE));
    CHECK(large.place.opens == 0);

    transfer memory(50000, 1);
    memory.receiving.memory_max = 30000;
    memory.start_sender();
    memory.start_receiver();
    memory.run();
    CHECK(asx_rq_sender_peer(memory.sender) == ASX_RQ_NEED_REFUSED);

    transfer full(5000, 1);
    full.place.open_err = asx_err_errno(28);
    full.start_sender();
    full.start_receiver();
    full.run();
    CHECK(asx_rq_sender_peer(full.sender) == ASX_RQ_NEED_REFUSED);
    CHECK(asx_rq_receiver_err(full.receiver) == asx_err_errno(28));

    transfer store(5000, 1);
    store.place.store_err = asx_err_errno(28);
    store.start_sender();
    store.start_receiver();
    store.run();
    CHECK(asx_rq_sender_peer(store.sender) == ASX_RQ_NEED_FAILED);
    CHECK(asx_rq_receiver_err(store.receiver) == asx_err_errno(28));

    transfer busy(5000, 1);
    busy.start_sender();
    busy.start_receiver();
    busy.run();
    REQUIRE(busy.arrived());
    busy.object = rq::object(5000, 99);
    busy.start_sender();
    busy.run();
    CHECK(asx_rq_sender_peer(busy.sender) == ASX_RQ_NEED_BUSY);
    CHECK(busy.came().foreign > 0);
}

TEST_CASE("transfer: a small memory means fewer blocks at once, not failure", "[raptorq][net]")
{
    transfer t(300000, 4);
    t.there = bad_path(30);
    t.receiving.memory_max = 3 * 230 * 200;
    t.sending.window = 16;
    t.start_sender();
    t.start_receiver();
    t.run();
    CHECK(t.step == ASX_RQ_STEP_ENDED);
    CHECK(t.arrived());
}

TEST_CASE("transfer: a wrong key is silence to one end and forgery to the other", "[raptorq][net]")
{
    transfer t(5000, 1);
    t.sending.silence_ns = ASX_NS_PER_S;
    t.start_sender();
    t.key = key_of(10);
    t.start_receiver();
    t.run();
    CHECK(asx_rq_sender_err(t.sender) == ASX_RQ_E(SILENCE));
    CHECK(asx_rq_receiver_state_of(t.receiver) == ASX_RQ_RECEIVER_WAITING);
    CHECK(t.came().forged == t.came().datagrams);
    CHECK(t.place.opens == 0);
}

TEST_CASE("transfer: without a key, forgery can end a transfer but not falsify it",
          "[raptorq][net]")
{
    unsigned whole = 0, failed = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        CAPTURE(seed);
        transfer t(40000, seed);
        t.is_keyed = false;
        t.there.forge_ppm = 4000;
        t.there.loss_ppm = 100000;
        t.sending.silence_ns = 5 * ASX_NS_PER_S;
        t.start_sender();
        t.start_receiver();
        t.run();
        const bool is_done = asx_rq_receiver_state_of(t.receiver) == ASX_RQ_RECEIVER_DONE;
        whole += is_done;
        failed += !is_done;
        CHECK(t.arrived() == is_done);
        if (asx_rq_receiver_state_of(t.receiver) == ASX_RQ_RECEIVER_FAILED) {
            CHECK(asx_rq_receiver_err(t.receiver) == ASX_RQ_E(CORRUPT));
            CHECK(t.place.stores == 0);
        }
    }
    CHECK(whole > 0);
    CHECK(failed > 0);
}

TEST_CASE("transfer: the wire carries no more than the rate asked for", "[raptorq][net]")
{
    transfer t(200000, 3);
    t.sending.rate = 1000000;
    t.start_sender();
    t.start_receiver();
    const uint64_t from = t.now;
    t.run();
    REQUIRE(t.arrived());
    const double seconds = (double)(t.now - from) / 1e9;
    CHECK((double)t.sent().bytes / seconds < 1.02e6);
    CHECK((double)t.sent().bytes / seconds > 0.90e6);
}

TEST_CASE("transfer: answers that are old, of another session or replayed change nothing",
          "[raptorq][net]")
{
    transfer t(100000, 6);
    t.back.twice_ppm = 1000000;
    t.back.jitter_ns = 60000000; /* many arrive after later ones */
    t.start_sender();
    t.start_receiver();
    t.run();
    CHECK(t.step == ASX_RQ_STEP_ENDED);
    CHECK(t.arrived());
    CHECK(t.sent().stale > 0);
    CHECK(t.sent().repairs < 30);
}

TEST_CASE("transfer: a thousand bad paths, with ends that are restarted at any time",
          "[.campaign][raptorq][net]")
{
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        CAPTURE(seed);
        asx_prng prng;
        asx_prng_init(&prng, seed);
        const auto draw = [&](uint64_t low, uint64_t high) {
            return low + asx_prng_below(&prng, high - low + 1);
        };
        transfer t(draw(0, 200000), seed);
        t.sending.symbol_size = (uint32_t)draw(20, 1400);
        t.sending.block_size = draw(1000, 60000);
        t.sending.overhead_permille = (uint32_t)draw(0, 1) * (uint32_t)draw(0, 200);
        t.sending.window = (uint32_t)draw(0, 8);
        t.sending.rate = draw(1, 4) * 2000000 * draw(0, 3);
        t.is_keyed = true;
        t.there = bad_path((uint32_t)draw(0, 60));
        t.back = bad_path((uint32_t)draw(0, 60));
        t.there.delay_ns = draw(1000, 80000000);
        t.back.delay_ns = draw(1000, 80000000);
        t.there.jitter_ns = t.back.jitter_ns = draw(0, 30000000);
        t.start_sender();
        t.start_receiver();
        for (uint64_t restarts = draw(0, 3); restarts > 0; restarts--) {
            t.run(t.now + draw(1000, 300000000));
            if (t.step == ASX_RQ_STEP_ENDED) {
                break;
            }
            if (draw(0, 1) == 0 && t.place.stores == 0) {
                t.start_receiver();
            } else {
                t.start_sender();
            }
        }
        t.run();
        REQUIRE(t.step == ASX_RQ_STEP_ENDED);
        REQUIRE(t.arrived());
        CHECK(t.came().conflicts == 0);
    }
}
