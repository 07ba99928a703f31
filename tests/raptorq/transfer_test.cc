/* A sender and a receiver on a virtual clock, with a path between them that loses, doubles,
 * reorders, delays and forges as a seed says. At stake: whatever the path does, the object arrives
 * bit-exact or the end names why not; a forged datagram never counts; ends that are restarted go
 * on; and nobody sends much more than the loss asks for. */
#include "transfer.h"

#include <cstring>
#include <memory>

using rq::path;
using rq::transfer;

namespace
{

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

TEST_CASE("transfer: with a key, three forged symbols for every ten true ones cost nothing else",
          "[raptorq][net]")
{
    for (uint64_t seed = 1; seed <= 10; seed++) {
        CAPTURE(seed);
        transfer t(100000, seed);
        t.there.forge_ppm = 300000;
        t.start_sender();
        t.start_receiver();
        t.run();
        CHECK(t.arrived());
        CHECK(t.sent().repairs == 0);
        CHECK(t.came().conflicts == 0);
        /* A changed head makes a datagram foreign or malformed before its tag is looked at. */
        const auto &came = t.came();
        uint64_t dropped = came.forged + came.foreign + came.invalid;
        for (const uint64_t malformed : came.malformed) {
            dropped += malformed;
        }
        CHECK(came.forged > 100);
        CHECK(dropped + t.sent().datagrams == came.datagrams);
    }
}

TEST_CASE("transfer: a wrong key is silence to one end and forgery to the other", "[raptorq][net]")
{
    transfer t(5000, 1);
    t.sending.silence_ns = ASX_NS_PER_S;
    t.start_sender();
    t.their_keys = rq::ring_of(10);
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
