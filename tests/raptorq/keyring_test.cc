/* Keys change while objects are under way. At stake: that no datagram of those who follow the rule
 * is lost for it, that an ended key opens nothing, and that a core file has none. */
#include <asx/raptorq/net/tag.h>

#include "transfer.h"

#include <cstring>

namespace
{

struct ring {
    asx_rq_keyring *self;
    asx_rq_tagger *tagger = nullptr;
    explicit ring(uint32_t seed) : self(rq::ring_of(seed))
    {
        const rq::bytes id = rq::object(16, 3);
        REQUIRE(asx_rq_tagger_create(&tagger, self, id.data()) == ASX_OK);
    }
    ring(const ring &) = delete;
    ring &operator=(const ring &) = delete;
    ~ring()
    {
        asx_rq_tagger_destroy(tagger);
        asx_rq_keyring_destroy(self);
    }
    asx_err accept(uint32_t seed, asx_instant until)
    {
        const asx_rq_key key = rq::key_of(seed);
        return asx_rq_keyring_accept(self, &key, until);
    }
    asx_err rotate(uint32_t seed, asx_instant until)
    {
        const asx_rq_key key = rq::key_of(seed);
        return asx_rq_keyring_rotate(self, &key, until);
    }
    /* Does this ring believe what the other one tags, symbols and records alike? */
    bool believes(ring &other)
    {
        const rq::bytes content = rq::object(60, 4);
        const asx_rq_symbol_body symbol = { 1, 2, content.data(), content.size() };
        uint8_t of_symbol[ASX_RQ_FRAME_TAG], of_record[ASX_RQ_FRAME_TAG];
        asx_rq_tagger_symbol(other.tagger, &symbol, false, of_symbol);
        asx_rq_tagger_record(other.tagger, content.data(), content.size(), of_record);
        const bool symbols = asx_rq_tagger_symbol_check(tagger, &symbol, false, of_symbol);
        CHECK(asx_rq_tagger_record_check(tagger, content.data(), content.size(), of_record) ==
              symbols);
        return symbols;
    }
    bool holds(uint32_t seed) const
    {
        const asx_rq_key key = rq::key_of(seed);
        return memmem(self, 4096, key.bytes, sizeof(key.bytes)) != nullptr;
    }
};

/* The flags of the mapping that `at` is in. */
std::string flags_of(const void *at)
{
    std::ifstream maps("/proc/self/smaps");
    bool is_here = false;
    for (std::string line; std::getline(maps, line);) {
        unsigned long first, end;
        if (std::sscanf(line.c_str(), "%lx-%lx ", &first, &end) == 2) {
            is_here = (uintptr_t)at >= first && (uintptr_t)at < end;
        } else if (is_here && line.rfind("VmFlags:", 0) == 0) {
            return line + " ";
        }
    }
    return "";
}

} // namespace

TEST_CASE("keyring: a key that was rotated out is believed until its deadline and tags nothing",
          "[raptorq][net]")
{
    ring changed(1), old(1), fresh(2);
    REQUIRE(changed.rotate(2, 1000) == ASX_OK);
    CHECK(asx_rq_keyring_count(changed.self) == 2);
    CHECK(changed.believes(old));
    CHECK(changed.believes(fresh));
    CHECK(fresh.believes(changed)); /* it tags by the new one */
    CHECK_FALSE(old.believes(changed));
    asx_rq_keyring_expire(changed.self, 999);
    CHECK(changed.believes(old));
    CHECK(changed.holds(1));
    asx_rq_keyring_expire(changed.self, 1000);
    CHECK_FALSE(changed.believes(old));
    CHECK(changed.believes(fresh));
    CHECK(asx_rq_keyring_count(changed.self) == 1);
    CHECK_FALSE(changed.holds(1));
    CHECK(changed.holds(2));
    asx_rq_keyring_expire(changed.self, ASX_TIME_NEVER - 1); /* the active one has no end */
    CHECK(changed.believes(fresh));
}

TEST_CASE("keyring: accepted first and rotated to afterwards, a new key costs nobody anything",
          "[raptorq][net]")
{
    ring a(1), b(1);
    const auto both = [&] { return a.believes(b) && b.believes(a); };
    CHECK(both());
    REQUIRE(a.accept(2, 5000) == ASX_OK);
    CHECK(both());
    REQUIRE(b.accept(2, 5000) == ASX_OK);
    CHECK(both());
    REQUIRE(b.rotate(2, 5000) == ASX_OK);
    CHECK(both());
    REQUIRE(a.rotate(2, 5000) == ASX_OK);
    CHECK(both());
    asx_rq_keyring_expire(a.self, 5000); /* what became active has lost its deadline */
    CHECK(both());
    asx_rq_keyring_expire(b.self, 5000);
    CHECK(both());
    CHECK_FALSE(a.holds(1));
}

TEST_CASE("keyring: holds so many keys and no more, each once", "[raptorq][net]")
{
    ring r(1), third(3), fourth(4);
    REQUIRE(r.accept(2, 100) == ASX_OK);
    REQUIRE(r.accept(3, 200) == ASX_OK);
    REQUIRE(r.accept(4, 300) == ASX_OK);
    CHECK(asx_rq_keyring_count(r.self) == ASX_RQ_KEYRING_MAX);
    CHECK(r.accept(5, 100) == ASX_RQ_E(FULL));
    CHECK(r.rotate(5, 100) == ASX_RQ_E(FULL));
    CHECK(r.accept(3, 250) == ASX_OK); /* longer */
    CHECK(r.accept(3, 50) == ASX_OK);  /* never shorter */
    CHECK(r.rotate(1, 100) == ASX_OK); /* it is */
    CHECK(asx_rq_keyring_count(r.self) == ASX_RQ_KEYRING_MAX);
    CHECK(r.believes(third));
    CHECK(r.believes(fourth));
    CHECK(r.believes(third));
    asx_rq_keyring_expire(r.self, 200);
    CHECK(asx_rq_keyring_count(r.self) == 3);
    CHECK(r.believes(third));
    CHECK(r.believes(fourth));
    asx_rq_keyring_expire(r.self, 250);
    CHECK_FALSE(r.believes(third));
    CHECK(r.believes(fourth));
    REQUIRE(r.rotate(4, 260) == ASX_OK);
    CHECK(asx_rq_keyring_count(r.self) == 2);
    CHECK(fourth.believes(r));
    REQUIRE(r.rotate(1, 400) == ASX_OK); /* and back */
    CHECK_FALSE(fourth.believes(r));
    CHECK(r.believes(fourth));
}

TEST_CASE("keyring: keys and what is derived of them are in no core file", "[raptorq][net]")
{
    ring r(1);
    CHECK(r.believes(r));
    for (const void *at : { (const void *)r.self, (const void *)r.tagger }) {
        const std::string flags = flags_of(at);
        CAPTURE(flags);
        CHECK(flags.find(" dd ") != std::string::npos);
    }
    int on_stack;
    CHECK(flags_of(&on_stack).find(" dd ") == std::string::npos);
}

TEST_CASE("keyring: objects arrive while keys are changed under way", "[raptorq][net]")
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        CAPTURE(seed);
        rq::transfer t(100000, seed);
        t.there.loss_ppm = t.back.loss_ppm = 100000;
        t.there.forge_ppm = 50000;
        t.sending.rate = 2000000;
        t.their_keys = rq::ring_of(9);
        t.start_sender();
        t.start_receiver();
        const asx_rq_key next = rq::key_of(10);
        asx_rq_keyring *const order[2][2] = { { t.keys, t.their_keys }, { t.their_keys, t.keys } };
        const asx_instant late = t.now + 60 * ASX_NS_PER_S;
        while (asx_rq_receiver_state_of(t.receiver) != ASX_RQ_RECEIVER_RECEIVING) {
            t.run(t.now + 1000000 + asx_prng_below(&t.prng, 5000000));
        }
        for (asx_rq_keyring *keys : order[seed % 2]) {
            REQUIRE(asx_rq_keyring_accept(keys, &next, late) == ASX_OK);
            t.run(t.now + 5000000);
        }
        for (asx_rq_keyring *keys : order[seed / 2 % 2]) {
            REQUIRE(asx_rq_keyring_rotate(keys, &next, late) == ASX_OK);
            t.run(t.now + 5000000);
        }
        const bool is_under_way = asx_rq_receiver_state_of(t.receiver) == ASX_RQ_RECEIVER_RECEIVING;
        asx_rq_keyring_expire(t.keys, late);
        asx_rq_keyring_expire(t.their_keys, late);
        CHECK(asx_rq_keyring_count(t.their_keys) == 1);
        t.run();
        CHECK(is_under_way);
        CHECK(t.arrived());
        CHECK(t.step == ASX_RQ_STEP_ENDED);
    }
}

TEST_CASE("keyring: who was rotated away from is forgery from the deadline on", "[raptorq][net]")
{
    rq::transfer t(100000, 5);
    t.sending.silence_ns = ASX_NS_PER_S;
    t.sending.rate = 2000000;
    t.their_keys = rq::ring_of(9);
    t.start_sender();
    t.start_receiver();
    t.run(t.now + 15000000);
    REQUIRE(asx_rq_receiver_state_of(t.receiver) == ASX_RQ_RECEIVER_RECEIVING);
    CHECK(t.came().forged == 0);
    const asx_rq_key next = rq::key_of(10);
    const asx_instant deadline = t.now + 5000000;
    REQUIRE(asx_rq_keyring_rotate(t.their_keys, &next, deadline) == ASX_OK);
    const uint64_t before = t.came().symbols;
    t.run(deadline);
    CHECK(t.came().symbols > before); /* still believed */
    CHECK(t.came().forged == 0);
    asx_rq_keyring_expire(t.their_keys, deadline);
    const uint64_t then = t.came().symbols;
    t.run();
    CHECK(t.came().symbols == then);
    CHECK(t.came().forged > 0);
    CHECK(asx_rq_sender_err(t.sender) == ASX_RQ_E(SILENCE));
}
