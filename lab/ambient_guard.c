/* The guard: takes the place of the C library's clocks, sleeps and generators in the program that
 * links it. A call from the program's own code while a shard takes its turn is told to ambient.c;
 * calls of libraries (an allocator's clock, say) pass. Every call is answered. */
#include <asx/lab/ambient.h>

#include <stdlib.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

extern const char __executable_start, etext; /* the linker's */

static void heard(const void *caller, const char *name)
{
    const uintptr_t at = (uintptr_t)caller;
    if (at >= (uintptr_t)&__executable_start && at < (uintptr_t)&etext) {
        asx_lab_ambient_called(name);
    }
}

#define HEARD(name) heard(__builtin_return_address(0), name)

int clock_gettime(clockid_t clock, struct timespec *now)
{
    HEARD("clock_gettime");
    return (int)syscall(SYS_clock_gettime, clock, now);
}

static time_t seconds_now(void)
{
    struct timespec now = { 0 };
    (void)syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return now.tv_sec;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone)
{
    struct timespec precise = { 0 };
    HEARD("gettimeofday");
    (void)zone;
    const int result = (int)syscall(SYS_clock_gettime, CLOCK_REALTIME, &precise);
    *now = (struct timeval){ .tv_sec = precise.tv_sec, .tv_usec = precise.tv_nsec / 1000 };
    return result;
}

time_t time(time_t *now)
{
    HEARD("time");
    const time_t seconds = seconds_now();
    if (now) {
        *now = seconds;
    }
    return seconds;
}

int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    HEARD("nanosleep");
    return (int)syscall(SYS_clock_nanosleep, CLOCK_REALTIME, 0, wanted, left);
}

int usleep(useconds_t wanted)
{
    const struct timespec sleep = { .tv_sec = wanted / 1000000,
                                    .tv_nsec = wanted % 1000000 * 1000 };
    HEARD("usleep");
    return (int)syscall(SYS_clock_nanosleep, CLOCK_REALTIME, 0, &sleep, NULL);
}

unsigned sleep(unsigned wanted)
{
    const struct timespec sleep = { .tv_sec = wanted };
    HEARD("sleep");
    (void)syscall(SYS_clock_nanosleep, CLOCK_REALTIME, 0, &sleep, NULL);
    return 0;
}

ssize_t getrandom(void *bytes, size_t len, unsigned flags)
{
    HEARD("getrandom");
    return syscall(SYS_getrandom, bytes, len, flags);
}

int getentropy(void *bytes, size_t len)
{
    HEARD("getentropy");
    return syscall(SYS_getrandom, bytes, len, 0) == (long)len ? 0 : -1;
}

static uint32_t any_bits(void)
{
    uint32_t bits = 0;
    (void)syscall(SYS_getrandom, &bits, sizeof(bits), 0);
    return bits;
}

int rand(void)
{
    HEARD("rand");
    return (int)(any_bits() >> 1);
}

long random(void)
{
    HEARD("random");
    return (long)(any_bits() >> 1);
}

uint32_t arc4random(void)
{
    HEARD("arc4random");
    return any_bits();
}
