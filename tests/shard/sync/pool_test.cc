/* Pools: never more than `max` items, each lent to one, none lost, whoever is cancelled when. */
#include <asx/shard/sync/pool.h>

#include "sync_fixture.h"

#include <set>

namespace
{

struct maker {
    uintptr_t next = 0;
    asx_duration takes_ns = 0;
    int failures = 0; /* how many of the next creations fail */
    std::set<uintptr_t> live, bad;
    size_t most = 0;

    static asx_outcome create(asx_cx *cx, void *arg)
    {
        maker *const m = static_cast<maker *>(arg);
        ASX_TRY(asx_sleep(cx, m->takes_ns));
        if (m->failures > 0) {
            m->failures--;
            return asx_fail(ASX_ERR(ASX_ERR_DOMAIN_USER, 4));
        }
        m->live.insert(++m->next);
        m->most = std::max(m->most, m->live.size());
        return asx_ok(m->next);
    }

    static void destroy(uintptr_t item, void *arg)
    {
        CHECK(static_cast<maker *>(arg)->live.erase(item) == 1);
    }

    static bool check(asx_cx *, uintptr_t item, void *arg)
    {
        return static_cast<maker *>(arg)->bad.count(item) == 0;
    }

    asx_pool open(asx_cx *cx, uint32_t max, uint32_t min = 1)
    {
        asx_pool_options options{};
        options.create = create;
        options.destroy = destroy;
        options.check = check;
        options.arg = this;
        options.max = max;
        options.min = min;
        asx_pool pool;
        REQUIRE(asx_pool_open(cx, &options, &pool) == ASX_OK);
        return pool;
    }
};

} // namespace

TEST_CASE("pool: items are used again, and the third of two times out at exactly 30 s", "[sync]")
{
    maker m;
    run_body([&](asx_cx *cx) {
        const asx_pool pool = m.open(cx, 2);
        asx_pool_lease a, b, c;
        ASX_TRY(asx_pool_acquire(cx, pool, &a, nullptr));
        ASX_TRY(asx_pool_acquire(cx, pool, &b, nullptr));
        const asx_instant begin = asx_now(cx);
        CHECK(asx_is_err(asx_pool_acquire(cx, pool, &c, nullptr), ASX_E(TIMED_OUT)));
        CHECK(asx_now(cx) - begin == asx_s(30));
        asx_pool_return(cx, a);
        asx_pool_return(cx, a); /* settled: no effect */
        ASX_TRY(asx_pool_acquire(cx, pool, &c, nullptr));
        CHECK(c.item == a.item);
        asx_pool_discard(cx, c);
        CHECK(m.live.size() == 1);
        ASX_TRY(asx_pool_acquire(cx, pool, &c, nullptr));
        CHECK(c.item == 3);
        asx_pool_return(cx, b);
        asx_pool_return(cx, c);
        const asx_pool_stats stats = asx_pool_stats_read(cx, pool);
        CHECK(stats.idle == 2);
        CHECK(stats.created == 3);
        CHECK(stats.timed_out == 1);
        return asx_ok(0);
    });
    CHECK(m.live.empty()); /* the region destroyed the idle ones */
}

TEST_CASE("pool: idle and old items go, bad ones are not lent, and the minimum stays", "[sync]")
{
    maker m;
    run_body([&](asx_cx *cx) {
        const asx_pool pool = m.open(cx, 4, 2);
        asx_pool_lease leases[4];
        CHECK(asx_pool_warm(cx, pool).value == 2);
        CHECK(m.next == 2);
        for (asx_pool_lease &lease : leases) {
            ASX_TRY(asx_pool_acquire(cx, pool, &lease, nullptr));
        }
        for (asx_pool_lease &lease : leases) {
            asx_pool_return(cx, lease);
        }
        ASX_TRY(asx_sleep(cx, asx_s(600)));
        ASX_TRY(asx_pool_acquire(cx, pool, &leases[0], nullptr));
        CHECK(m.live.size() == 2);
        asx_pool_return(cx, leases[0]);
        m.bad.insert(leases[0].item);
        ASX_TRY(asx_pool_acquire(cx, pool, &leases[1], nullptr));
        CHECK(leases[1].item != leases[0].item);
        CHECK(m.live.count(leases[0].item) == 0);
        ASX_TRY(asx_sleep(cx, asx_s(3600)));
        asx_pool_return(cx, leases[1]); /* too old to be used again */
        CHECK(m.live.empty());
        return asx_ok(0);
    });
}

TEST_CASE("pool: a creation that fails or is cancelled gives its place to the next", "[sync]")
{
    maker m;
    m.takes_ns = 10;
    run_body([&](asx_cx *cx) {
        const asx_pool pool = m.open(cx, 1);
        uintptr_t got = 0;
        body user = [&](asx_cx *t) {
            asx_pool_lease lease;
            ASX_TRY(asx_pool_acquire(t, pool, &lease, nullptr));
            got = lease.item;
            asx_pool_return(t, lease);
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
            const asx_handle first = go(s, user);
            ASX_TRY(asx_sleep(cx, 1));
            const asx_handle second = go(s, user);
            ASX_TRY(asx_sleep(cx, 1));
            asx_task_cancel(cx, first, ASX_CANCEL_USER, "while creating");
            CHECK(asx_is_ok(asx_join(cx, second)));
        }
        CHECK(got == 1);
        asx_pool_lease lease;
        ASX_TRY(asx_pool_acquire(cx, pool, &lease, nullptr));
        asx_pool_discard(cx, lease);
        m.failures = 1;
        asx_err why = ASX_OK;
        CHECK(asx_is_err(asx_pool_acquire(cx, pool, &lease, &why), ASX_E(CREATE_FAILED)));
        CHECK(why == ASX_ERR(ASX_ERR_DOMAIN_USER, 4));
        CHECK(asx_pool_stats_read(cx, pool).creating == 0);
        return asx_ok(0);
    });
}

TEST_CASE("pool: closing tells waiters; what is out is destroyed when it comes back", "[sync]")
{
    maker m;
    run_body([&](asx_cx *cx) {
        const asx_pool pool = m.open(cx, 1);
        asx_pool_lease mine;
        ASX_TRY(asx_pool_acquire(cx, pool, &mine, nullptr));
        body waiter = [&](asx_cx *t) {
            asx_pool_lease lease;
            CHECK(asx_is_err(asx_pool_acquire(t, pool, &lease, nullptr), ASX_E(CLOSED)));
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            go(s, waiter);
            ASX_TRY(asx_sleep(cx, 1));
            asx_pool_close(cx, pool);
        }
        CHECK(m.live.size() == 1);
        asx_pool_return(cx, mine);
        CHECK(m.live.empty());
        CHECK(asx_is_err(asx_pool_acquire(cx, pool, &mine, nullptr), ASX_E(STALE)));
        /* Granted to one that has not run yet when the pool closes. */
        const asx_pool other = m.open(cx, 1);
        ASX_TRY(asx_pool_acquire(cx, other, &mine, nullptr));
        body late = [&](asx_cx *t) {
            asx_pool_lease lease;
            CHECK(asx_is_err(asx_pool_acquire(t, other, &lease, nullptr), ASX_E(CLOSED)));
            return asx_ok(0);
        };
        ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
            go(s, late);
            ASX_TRY(asx_sleep(cx, 1));
            asx_pool_return(cx, mine);
            asx_pool_close(cx, other);
        }
        CHECK(m.live.empty());
        return asx_ok(0);
    });
}

TEST_CASE("pool: random users under random cancels and panics", "[sync]")
{
    for (uint64_t seed = 1; seed <= 150; seed++) {
        maker m;
        m.takes_ns = 2;
        run_body(
            [&](asx_cx *cx) {
                const asx_pool pool = m.open(cx, 3);
                std::set<uintptr_t> out;
                body user = [&](asx_cx *t) {
                    for (int i = 0; i < 6; i++) {
                        asx_pool_lease lease;
                        ASX_TRY(asx_pool_acquire(t, pool, &lease, nullptr));
                        CHECK(out.insert(lease.item).second);
                        const asx_outcome slept = asx_sleep(t, asx_random_below(t, 4));
                        out.erase(lease.item);
                        ASX_TRY(slept);
                        if (asx_random_below(t, 20) == 0) {
                            asx_panic("with a lease");
                        }
                        if (asx_random_below(t, 4) == 0) {
                            asx_pool_discard(t, lease);
                        } else {
                            asx_pool_return(t, lease);
                        }
                    }
                    return asx_ok(0);
                };
                ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
                    asx_handle tasks[6];
                    for (asx_handle &task : tasks) {
                        task = go(s, user);
                    }
                    for (int i = 0; i < 3; i++) {
                        ASX_TRY(asx_sleep(cx, asx_random_below(cx, 12)));
                        asx_task_cancel(cx, tasks[asx_random_below(cx, 6)], ASX_CANCEL_USER, "-");
                    }
                }
                const asx_pool_stats stats = asx_pool_stats_read(cx, pool);
                CHECK(stats.lent + stats.creating + stats.waiting == 0);
                return asx_ok(0);
            },
            seed);
        CHECK(m.most <= 3);
        CHECK(m.live.empty());
    }
}
