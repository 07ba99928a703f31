/* The mesh: at stake is that no message waits for a shard that sleeps. The hammer sleeps for real,
 * on a doorbell that only the told sender rings: a lost wake-up is a time-out. */
#include <asx/shard/mesh.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <poll.h>
#include <sys/eventfd.h>
#include <thread>
#include <unistd.h>
#include <vector>

TEST_CASE("mesh: every ordered pair has its own ring", "[shard][mesh]")
{
    asx_mesh *const mesh = asx_mesh_create(3, 8);
    REQUIRE(mesh != nullptr);
    for (uint32_t from = 0; from < 3; from++) {
        for (uint32_t to = 0; to < 3; to++) {
            asx_msg *const msg = asx_ring_reserve(asx_mesh_ring(mesh, from, to), false);
            REQUIRE(msg != nullptr);
            msg->arg32 = from * 3 + to;
            CHECK(asx_mesh_inbox_empty(mesh, to) == (from == 0));
            asx_ring_publish(asx_mesh_ring(mesh, from, to));
            CHECK_FALSE(asx_mesh_inbox_empty(mesh, to));
        }
    }
    for (uint32_t from = 0; from < 3; from++) {
        for (uint32_t to = 0; to < 3; to++) {
            asx_msg *const msg = asx_ring_pop(asx_mesh_ring(mesh, from, to));
            REQUIRE(msg != nullptr);
            CHECK(msg->arg32 == from * 3 + to);
        }
    }
    CHECK(asx_mesh_inbox_empty(mesh, 1));
    asx_mesh_destroy(mesh);
}

TEST_CASE("mesh: one sender of many is told to ring, and only for a sleeper", "[shard][mesh]")
{
    asx_mesh *const mesh = asx_mesh_create(4, 8);
    REQUIRE(mesh != nullptr);
    CHECK_FALSE(asx_mesh_wake_needed(mesh, 2));
    asx_mesh_sleep_begin(mesh, 2);
    CHECK_FALSE(asx_mesh_wake_needed(mesh, 1));
    CHECK(asx_mesh_wake_needed(mesh, 2));
    CHECK_FALSE(asx_mesh_wake_needed(mesh, 2));
    asx_mesh_sleep_begin(mesh, 2);
    asx_mesh_sleep_end(mesh, 2);
    CHECK_FALSE(asx_mesh_wake_needed(mesh, 2));
    asx_mesh_destroy(mesh);
}

namespace
{
/* A shard reduced to its inbox and its bell: it drains, then sleeps, and answers each message that
 * is not itself an answer. */
struct party {
    asx_mesh *mesh;
    uint32_t self, other;
    int bells[2];
    uint64_t to_send; /* party 0 may send fewer, and marks its last */
    uint64_t sent = 0, received = 0, sleeps = 0, wrong = 0;
    bool timed_out = false, enough = false;

    bool drain()
    {
        asx_ring *const inbox = asx_mesh_ring(mesh, other, self);
        const uint64_t before = received;
        while (asx_msg *const msg = asx_ring_pop(inbox)) {
            wrong += msg->words[0] != received;
            received++;
            if (msg->words[1] != 0) {
                to_send = received;
            }
        }
        asx_ring_consume_done(inbox);
        return received != before;
    }

    /* Never more than one message ahead of the other side: each side sleeps all the time. */
    void send()
    {
        asx_ring *const ring = asx_mesh_ring(mesh, self, other);
        while (sent < to_send && sent < received + (self == 0 ? 1 : 0)) {
            asx_msg *const msg = asx_ring_reserve(ring, false);
            if (msg == nullptr) {
                break;
            }
            if (enough) {
                to_send = sent + 1;
            }
            msg->words[0] = sent++;
            msg->words[1] = sent == to_send;
        }
        if (asx_ring_publish(ring) && asx_mesh_wake_needed(mesh, other)) {
            const uint64_t one = 1;
            wrong += write(bells[other], &one, sizeof(one)) != sizeof(one);
        }
    }

    void sleep()
    {
        asx_mesh_sleep_begin(mesh, self);
        if (asx_mesh_inbox_empty(mesh, self)) {
            sleeps++;
            struct pollfd bell = { bells[self], POLLIN, 0 };
            timed_out = poll(&bell, 1, 20000) == 0;
        }
        asx_mesh_sleep_end(mesh, self);
        uint64_t rung;
        (void)!read(bells[self], &rung, sizeof(rung));
    }

    void run(std::chrono::steady_clock::time_point until)
    {
        while (received < to_send && !timed_out) {
            const bool got = drain();
            send();
            if (!got && received < to_send) {
                sleep();
            }
            enough = self == 0 && std::chrono::steady_clock::now() > until;
        }
    }
};
} // namespace

TEST_CASE("mesh: two shards that sleep at every chance lose no wake-up", "[shard][mesh][threads]")
{
    asx_mesh *const mesh = asx_mesh_create(2, 8);
    REQUIRE(mesh != nullptr);
    const int bells[2] = { eventfd(0, EFD_NONBLOCK), eventfd(0, EFD_NONBLOCK) };
    const uint64_t count = ASX_TSAN ? 8000 : 20000;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    party a = { mesh, 0, 1, { bells[0], bells[1] }, count };
    party b = { mesh, 1, 0, { bells[0], bells[1] }, count };
    std::thread other([&] { b.run(until); });
    a.run(until);
    other.join();
    CHECK_FALSE(a.timed_out);
    CHECK_FALSE(b.timed_out);
    CHECK(a.wrong + b.wrong == 0);
    CHECK(a.sent > 0);
    CHECK(a.received == a.sent);
    CHECK(b.received == a.sent);
    CHECK(b.sent == a.sent);
    CHECK(a.sleeps + b.sleeps > 0);
    close(bells[0]);
    close(bells[1]);
    asx_mesh_destroy(mesh);
}
