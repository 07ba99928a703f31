/* At stake: a program that reads a clock or a generator of its own is not replayed, and nobody
 * would know. This program links the guard, as the lab's command does. */
#include "lab_fixture.h"

#include <cstdlib>
#include <ctime>
#include <sys/random.h>
#include <sys/time.h>
#include <unistd.h>

namespace
{

asx_outcome reads_clock(asx_cx *, void *)
{
    struct timespec now;
    return asx_ok(clock_gettime(CLOCK_MONOTONIC, &now) == 0 && now.tv_sec > 0);
}

asx_outcome reads_entropy(asx_cx *, void *)
{
    uint64_t word = 0;
    return asx_ok(getrandom(&word, sizeof(word), 0) == 8);
}

} // namespace

TEST_CASE("ambient: each clock and generator is named, and answered", "[lab]")
{
    lab_report clock(of_shards(1), reads_clock);
    INFO(clock.text());
    CHECK(clock.report.value == 1);
    CHECK_FALSE(clock.passed);
    CHECK(clock.violates("ambient", "clock_gettime was called 1 times"));
    lab_report entropy(of_shards(1), reads_entropy);
    CHECK(entropy.report.value == 1);
    CHECK(entropy.violates("ambient", "getrandom"));
    CHECK_FALSE(entropy.violates("ambient", "clock_gettime"));
}

TEST_CASE("ambient: whatever the call, a run that made it fails", "[lab]")
{
    static int (*const calls[])() = {
        [] { return int(time(nullptr)); },
        [] {
            struct timeval now;
            return gettimeofday(&now, nullptr);
        },
        [] { return rand(); },
        [] { return int(random()); },
        [] { return usleep(1); },
        [] {
            unsigned char byte;
            return getentropy(&byte, 1);
        },
    };
    for (auto &call : calls) {
        lab_report run(
            of_shards(1),
            [](asx_cx *, void *arg) -> asx_outcome {
                (void)(*static_cast<int (*const *)()>(arg))();
                return asx_ok(0);
            },
            const_cast<int (**)()>(&call));
        INFO(run.text());
        CHECK(run.violates("ambient"));
    }
}

TEST_CASE("ambient: outside of a turn, and through the cx, everybody may ask", "[lab]")
{
    lab_report run(
        of_shards(2), TASK {
            (void)asx_now(cx);
            (void)asx_random_u64(cx);
            void *const memory = asx_alloc(cx, 1 << 20);
            asx_free(cx, memory, 1 << 20);
            free(malloc(100000)); /* an allocator may read a clock */
            return asx_sleep(cx, asx_ms(1));
        });
    INFO(run.text());
    CHECK(run.passed);
    CHECK(time(nullptr) > 0);
    lab_report next(
        of_shards(1), TASK { return asx_ok(0); });
    CHECK(next.passed);
}
