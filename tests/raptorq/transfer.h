/* A sender and a receiver on a virtual clock, with a path between them that loses, doubles,
 * reorders, delays and forges as a seed says. */
#ifndef ASX_TESTS_RAPTORQ_TRANSFER_H
#define ASX_TESTS_RAPTORQ_TRANSFER_H

#include <asx/raptorq/net/receiver.h>
#include <asx/raptorq/net/sender.h>

#include "support.h"

#include <catch2/catch.hpp>
#include <functional>
#include <map>

namespace rq
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

inline asx_rq_key key_of(uint32_t seed)
{
    asx_rq_key key;
    const rq::bytes bytes = rq::object(32, seed);
    REQUIRE(asx_rq_key_parse(&key, bytes.data(), bytes.size()) == ASX_OK);
    return key;
}

inline asx_rq_keyring *ring_of(uint32_t seed)
{
    const asx_rq_key key = key_of(seed);
    asx_rq_keyring *ring;
    REQUIRE(asx_rq_keyring_create(&ring, &key) == ASX_OK);
    return ring;
}

struct transfer {
    rq::bytes object;
    asx_rq_keyring *keys = ring_of(9), *their_keys = nullptr; /* the receiver's, if others */
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
    /* A datagram changed what the receiver holds. */
    std::function<void(const rq::bytes &)> taken;

    transfer(size_t size, uint64_t seed) : object(rq::object(size, (uint32_t)seed))
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
        asx_rq_keyring_destroy(keys);
        asx_rq_keyring_destroy(their_keys);
    }

    void start_sender()
    {
        asx_rq_sender_destroy(sender);
        sending.source = object.data();
        sending.size = object.size();
        sending.keys = is_keyed ? keys : nullptr;
        sending.session = session++ * UINT64_C(0x9E3779B97F4A7C15);
        REQUIRE(asx_rq_sender_create(&sender, &sending) == ASX_OK);
        step = ASX_RQ_STEP_WAIT;
    }
    void start_receiver()
    {
        asx_rq_receiver_destroy(receiver);
        receiving.keys = !is_keyed ? nullptr : their_keys != nullptr ? their_keys : keys;
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
        if (taken && asx_rq_receiver_took(receiver)) {
            taken(bytes);
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

} // namespace rq

#endif
