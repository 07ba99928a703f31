/* The stall detector, over a real driver and real time: a turn that does not end is reported once,
 * with the function that holds it; one that waits or works in small pieces never is. */
#include <asx/reactor/epoll.h>
#include <asx/shard/stall.h>

#include "kernel_fixture.h"

#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>

namespace
{
struct seen {
    std::mutex mutex;
    std::vector<asx_stall_report> reports;

    static void note(void *arg, const asx_stall_report *report)
    {
        seen *const self = static_cast<seen *>(arg);
        const std::lock_guard<std::mutex> lock(self->mutex);
        self->reports.push_back(*report);
        noted++;
    }
    static std::atomic<uint32_t> noted;
};
std::atomic<uint32_t> seen::noted{ 0 };

uint64_t real_ms()
{
    return (uint64_t)std::chrono::duration_cast<std::chrono::milliseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

extern "C" __attribute__((noinline)) void stall_test_spin(uint64_t ms)
{
    const uint64_t end = real_ms() + ms;
    while (real_ms() < end) {
    }
    asm volatile("" ::: "memory"); /* no tail call: the frame must be there */
}

/* The kernel asks for a stack's pages while it gives the stack back, once in thousands: then, if
 * this is set, the shard stalls there. */
std::atomic<bool> pages_stall{ false };

extern "C" int mincore(void *at, size_t len, unsigned char *pages)
{
    if (pages_stall.exchange(false)) {
        const uint32_t before = seen::noted;
        for (int ms = 0; ms < 30000 && seen::noted == before; ms++) {
            stall_test_spin(1);
        }
    }
    return (int)syscall(SYS_mincore, at, len, pages);
}

/* Runs fn on a shard of its own that is watched; its counters. */
asx_shard_stats run_watched(const asx_stall_config &config, asx_task_fn *fn)
{
    asx_stall_watch *watch = nullptr;
    REQUIRE(asx_stall_watch_create(&config, &watch) == ASX_OK);
    asx_driver_config driver_config{};
    asx_shard_config shard_config{};
    shard_config.seed = 1;
    REQUIRE(asx_epoll_create(&driver_config, &shard_config.driver) == ASX_OK);
    asx_shard *shard = nullptr;
    REQUIRE(asx_shard_create(&shard_config, &shard) == ASX_OK);
    asx_stall_watch_join(watch, shard);
    CHECK(asx_is_ok(asx_shard_run(shard, fn, nullptr)));
    asx_stall_watch_leave(watch, shard);
    asx_shard_stats stats;
    asx_shard_stats_read(shard, &stats);
    asx_shard_destroy(shard);
    asx_stall_watch_destroy(watch);
    return stats;
}

asx_stall_config config_of(seen *list, unsigned threshold_ms)
{
    asx_stall_config config{};
    config.threshold_ns = asx_ms(threshold_ms);
    config.report = seen::note;
    config.arg = list;
    return config;
}

/* What the machine itself holds up is a stall too: the count is `wanted` in one run of ten, or the
 * detector is wrong. */
asx_shard_stats run_watched_until(uint64_t wanted, seen *list, unsigned threshold_ms,
                                  asx_task_fn *fn)
{
    asx_shard_stats stats{};
    for (int run = 0; run < 10; run++) {
        list->reports.clear();
        stats = run_watched(config_of(list, threshold_ms), fn);
        if (stats.stalls == wanted) {
            break;
        }
    }
    return stats;
}
} // namespace

TEST_CASE("stall: a turn that does not end is reported once, with the code that holds it",
          "[stall][threads]")
{
    seen list;
    const asx_shard_stats stats = run_watched_until(
        1, &list, 20, TASK {
            asx_outcome value;
            ASX_SCOPE(cx, s, ASX_FAIL_FAST, &value) {
                asx_spawn_options options{};
                options.label = "spinner";
                asx_scope_spawn(
                    s,
                    TASK {
                        stall_test_spin(300);
                        return asx_ok(0);
                    },
                    nullptr, 0, &options);
            }
            ASX_TRY(asx_sleep(cx, asx_ms(50)));
            return value;
        });
    CHECK(stats.stalls == 1);
    REQUIRE(list.reports.size() == 1);
    const asx_stall_report &report = list.reports[0];
    CHECK(report.held_ns >= asx_ms(20));
    REQUIRE(report.task != nullptr);
    CHECK(std::string(report.task) == "spinner");
    REQUIRE(report.frame_count > 0);
    bool found = false;
    for (uint32_t i = 0; i < report.frame_count; i++) {
        const uintptr_t at = (uintptr_t)report.frames[i];
        found |= at >= (uintptr_t)stall_test_spin && at < (uintptr_t)stall_test_spin + 512;
    }
    /* A sample that lands in the C library, built without frame pointers, may miss its caller. */
    CHECK((found || report.frame_count < 4));
    char text[2048];
    asx_stall_report_print(&report, text, sizeof(text));
    CHECK(strstr(text, "STALL: shard 0 has been in one turn for"));
    CHECK(strstr(text, "in task spinner of region"));
    CHECK(strstr(text, "  at "));
}

TEST_CASE("stall: a shard that sleeps, and one that works in small pieces, is never reported",
          "[stall][threads]")
{
    seen list;
    const asx_shard_stats stats = run_watched_until(
        0, &list, 100, TASK {
            ASX_TRY(asx_sleep(cx, asx_ms(200)));
            for (int i = 0; i < 100; i++) {
                stall_test_spin(2);
                ASX_TRY(asx_yield(cx));
            }
            return asx_ok(0);
        });
    CHECK(stats.stalls == 0);
    CHECK(list.reports.empty());
}

TEST_CASE("stall: a task whose fiber is being given back has its own name, or none",
          "[stall][threads]")
{
    static const char label[] = "short-lived";
    seen list;
    pages_stall = true;
    run_watched(
        config_of(&list, 20), TASK {
            asx_spawn_options options{};
            options.label = label;
            for (int i = 0; i < 20000 && pages_stall; i++) {
                asx_handle task;
                REQUIRE(asx_spawn(
                            cx, nullptr, TASK { return asx_ok(0); }, nullptr, 0, &options, &task) ==
                        ASX_OK);
                ASX_TRY(asx_join(cx, task));
            }
            return asx_ok(0);
        });
    REQUIRE(!pages_stall.exchange(false));
    REQUIRE(!list.reports.empty());
    for (const asx_stall_report &report : list.reports) {
        const bool named =
            report.task == nullptr || report.task == label || report.task == std::string("main");
        CHECK(named);
    }
}

TEST_CASE("stall: reports are few, and the next one tells of those that were left out",
          "[stall][threads]")
{
    seen list;
    asx_stall_config config = config_of(&list, 8);
    config.reports_per_minute = 2;
    const asx_shard_stats stats = run_watched(
        config, TASK {
            for (int i = 0; i < 5; i++) {
                stall_test_spin(100);
                ASX_TRY(asx_sleep(cx, asx_ms(10)));
            }
            return asx_ok(0);
        });
    CHECK(stats.stalls >= 3);
    CHECK(list.reports.size() == 2);
}

TEST_CASE("stall: a report is cut to the space there is", "[stall]")
{
    asx_stall_report report{};
    report.frame_count = ASX_STALL_FRAMES_MAX;
    for (void *&frame : report.frames) {
        frame = (void *)&stall_test_spin;
    }
    report.unreported = 7;
    char text[600];
    for (size_t size = 1; size <= sizeof(text); size++) {
        memset(text, 'x', sizeof(text));
        asx_stall_report_print(&report, text, size);
        CHECK(strlen(text) < size);
    }
    CHECK(strstr(text, "(7 more not reported)"));
}

TEST_CASE("stall: shards come and go while others are watched", "[stall][threads]")
{
    seen list;
    const asx_stall_config config = config_of(&list, 4);
    asx_stall_watch *watch = nullptr;
    REQUIRE(asx_stall_watch_create(&config, &watch) == ASX_OK);
    std::vector<std::thread> threads;
    std::atomic<int> ended{ 0 };
    for (int t = 0; t < 3; t++) {
        threads.emplace_back([&] {
            for (int round = 0; round < 10; round++) {
                asx_driver_config driver_config{};
                asx_shard_config shard_config{};
                shard_config.seed = 1;
                asx_assert(asx_epoll_create(&driver_config, &shard_config.driver) == ASX_OK);
                asx_shard *shard = nullptr;
                asx_assert(asx_shard_create(&shard_config, &shard) == ASX_OK);
                asx_stall_watch_join(watch, shard);
                const asx_outcome ran = asx_shard_run(
                    shard,
                    TASK {
                        stall_test_spin(6);
                        return asx_sleep(cx, asx_ms(1));
                    },
                    nullptr);
                ended += asx_is_ok(ran);
                asx_stall_watch_leave(watch, shard);
                asx_shard_destroy(shard);
            }
        });
    }
    for (std::thread &thread : threads) {
        thread.join();
    }
    asx_stall_watch_destroy(watch);
    CHECK(ended == 30);
}
