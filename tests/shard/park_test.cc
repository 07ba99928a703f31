/* How a shard waits for others: at stake is that a busy pair of shards does not ring and sleep for
 * every message, and that an idle one does not burn its core. The clock is the case's: a look at it
 * takes a microsecond, and a sleep a millisecond, so that nothing depends on the machine. */
#include <asx/reactor/epoll.h>
#include <asx/shard/limb.h>
#include <asx/shard/mesh.h>
#include <asx/shard/shard.h>

#include <catch2/catch.hpp>

namespace
{

struct pair_of_shards {
    asx_driver_ops ops;
    const asx_driver_ops *real;
    asx_shard *shards[2];
    asx_instant clock_ns = ASX_NS_PER_S;
    uint32_t posts = 0, sleeps = 0, looks = 0;
    uint32_t answer_after = 0; /* looks of shard 0, while it is parked; 0: only once it sleeps */
    bool parked = false;
};
pair_of_shards *now;

void posted(asx_shard *, void *)
{
    now->posts++;
}

asx_outcome poster(asx_cx *cx, void *)
{
    while (asx_shard_post(cx, 0, posted, nullptr) == ASX_OK && asx_is_ok(asx_yield(cx))) {
    }
    return asx_ok(0);
}

asx_instant clock_look(asx_driver *)
{
    now->clock_ns += ASX_NS_PER_US;
    if (now->parked && ++now->looks == now->answer_after) {
        now->parked = false;
        (void)asx_shard_turn(now->shards[1]);
    }
    return now->clock_ns;
}

void park(asx_driver *driver, asx_instant until)
{
    now->real->park(driver, 0);
    if (until > 0) {
        now->sleeps++;
        now->parked = false;
        now->clock_ns += ASX_NS_PER_MS;
    }
}

asx_shard *shard_make(asx_mesh *mesh, uint32_t index)
{
    asx_shard_config config{};
    asx_driver_config driver_config{};
    REQUIRE(asx_epoll_create(&driver_config, &config.driver) == ASX_OK);
    now->real = config.driver->ops;
    now->ops = *now->real;
    now->ops.now = clock_look;
    now->ops.park = park;
    config.driver->ops = &now->ops;
    config.index = index;
    config.mesh = mesh;
    config.seed = 1;
    config.turn_dispatch_max = 1; /* one post a turn */
    asx_shard *shard = nullptr;
    REQUIRE(asx_shard_create(&config, &shard) == ASX_OK);
    return shard;
}

/* Shard 1 posts once, shard 0 hears of it and waits for more, `rounds` times. */
void run(pair_of_shards &self, uint32_t rounds)
{
    now = &self;
    asx_mesh *const mesh = asx_mesh_create(2, 64);
    REQUIRE(mesh != nullptr);
    for (uint32_t i = 0; i < 2; i++) {
        self.shards[i] = shard_make(mesh, i);
    }
    REQUIRE(asx_shard_start(self.shards[1], poster, nullptr, 0) == ASX_OK);
    for (uint32_t i = 0; i < rounds; i++) {
        (void)asx_shard_turn(self.shards[1]);
        (void)asx_shard_turn(self.shards[0]);
        self.parked = true;
        self.looks = 0;
        asx_shard_park(self.shards[0]);
        self.parked = false;
    }
    self.answer_after = 0;
    asx_shard_shutdown(self.shards[1], "the case is over");
    for (uint32_t i = 0; i < 100; i++) {
        (void)asx_shard_turn(self.shards[i % 2]);
    }
    for (asx_shard *shard : self.shards) {
        REQUIRE(asx_shard_root(shard) == nullptr);
        asx_shard_destroy(shard);
    }
    asx_mesh_destroy(mesh);
}

} // namespace

TEST_CASE("park: whose messages are answered soon does not sleep", "[shard][park]")
{
    for (uint32_t looks : { 2u, 5u, 30u }) {
        pair_of_shards self{};
        self.answer_after = looks;
        run(self, 200);
        INFO("an answer after " << looks << " us");
        CHECK(self.sleeps == 0);
        CHECK(self.posts >= 400);
    }
}

TEST_CASE("park: who waits in vain gives up looking, and sleeps at once", "[shard][park]")
{
    pair_of_shards self{};
    const asx_instant begun = self.clock_ns;
    run(self, 200);
    CHECK(self.sleeps == 200);
    CHECK(self.posts >= 200);
    const asx_duration awake = self.clock_ns - begun - 200 * ASX_NS_PER_MS;
    CHECK(awake < 200 * 10 * ASX_NS_PER_US); /* with the looks that every turn takes */
}
