/* A value that lives on shard 0, and clients on other shards that add one by reading and then
 * writing: the update of one is lost when the other reads in between. */
#ifndef TESTS_LAB_STORE_WORLD_H
#define TESTS_LAB_STORE_WORLD_H

#include <asx/lab/explore_world.h>
#include <asx/shard/limb.h>

struct store {
    uint64_t value;
    uint32_t clients;
    bool blind; /* they write without having read */
};

inline asx_outcome get(asx_cx *cx, void *arg)
{
    (void)cx;
    return asx_ok((*static_cast<store **>(arg))->value);
}

struct put_args {
    store *self;
    uint64_t value;
};

inline asx_outcome put(asx_cx *cx, void *arg)
{
    (void)cx;
    const auto *args = static_cast<put_args *>(arg);
    args->self->value = args->value;
    return asx_ok(0);
}

inline asx_outcome client(asx_cx *cx, void *arg)
{
    store *self = *static_cast<store **>(arg);
    asx_handle limb;
    asx_err err = ASX_OK;
    asx_outcome got = asx_ok(0);
    if (!self->blind) {
        err = asx_spawn_on(cx, 0, get, &self, sizeof self, nullptr, &limb);
        if (err) {
            return asx_fail(err);
        }
        got = asx_join_limb(cx, limb);
    }
    const put_args args = { self, got.value + 1 };
    err = asx_spawn_on(cx, 0, put, &args, sizeof args, nullptr, &limb);
    return err ? asx_fail(err) : asx_join_limb(cx, limb);
}

inline asx_outcome lost_update(asx_cx *cx, void *arg)
{
    store *self = static_cast<store *>(arg);
    asx_handle limbs[8];
    for (uint32_t i = 0; i < self->clients; i++) {
        const asx_err err = asx_spawn_on(cx, i + 1, client, &self, sizeof self, nullptr, &limbs[i]);
        if (err) {
            return asx_fail(err);
        }
    }
    for (uint32_t i = 0; i < self->clients; i++) {
        const asx_outcome ended = asx_join_limb(cx, limbs[i]);
        if (!asx_is_ok(ended)) {
            return ended;
        }
    }
    return asx_ok(0);
}

inline void reset(void *arg)
{
    static_cast<store *>(arg)->value = 0;
}

inline void judge(void *arg, asx_lab_report *report)
{
    const auto *self = static_cast<store *>(arg);
    if (self->value != self->clients) {
        asx_lab_report_violate(report, "lost_update", "%u clients added one, and the sum is %u",
                               self->clients, static_cast<unsigned>(self->value));
    }
}

struct store_world {
    store state;
    asx_lab_config config = {};
    asx_explore_world world;

    explicit store_world(uint32_t clients) : state{ 0, clients, false }
    {
        config.shards = 1 + clients;
        asx_explore_world_init(&world, "lost update", &config, lost_update, &state);
        world.reset = reset;
        world.judge = judge;
    }
};

#endif
