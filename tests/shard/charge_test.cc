/* At stake: processor time and I/O below a region that states how much there is are paid by it, by
 * those above it that state some, and by nobody else; who has used up more is cancelled, once, and
 * its neighbours go on. Over both drivers, since the lab's clock stands still within a step; steps
 * spin until that clock has moved far enough. */
#include <asx/shard/combine/branch.h>
#include <asx/shard/op.h>
#include <asx/shard/resource.h>

#include "live_fixture.h"

#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#define TASK [](ASX_UNUSED asx_cx * cx, ASX_UNUSED void *arg) -> asx_outcome

namespace
{

asx_resources stating(uint64_t cpu_ns, uint64_t io_bytes)
{
    asx_resources resources = ASX_RESOURCES_UNSTATED;
    resources.cpu_ns = cpu_ns;
    resources.io_bytes = io_bytes;
    return resources;
}

asx_region *open_with(asx_cx *cx, const asx_resources *resources)
{
    asx_region_options options{};
    options.policy = ASX_COLLECT_ALL;
    options.resources = resources;
    asx_region *region = nullptr;
    REQUIRE(asx_region_open(cx, &options, &region) == ASX_OK);
    return region;
}

void spin(asx_cx *cx, asx_duration for_ns)
{
    asx_driver *const driver = asx_shard_driver(asx_shard_of(cx));
    const asx_instant until_ns = driver->ops->now(driver) + for_ns;
    while (driver->ops->now(driver) < until_ns) {
    }
}

struct spins {
    unsigned most, done;
    bool panics;
};

/* 2 ms a step. */
asx_outcome fiber_spins(asx_cx *cx, void *arg)
{
    auto *const s = static_cast<spins *>(arg);
    while (s->done < s->most) {
        spin(cx, asx_ms(2));
        s->done++;
        ASX_TRY(asx_yield(cx));
    }
    return asx_ok(0);
}

bool step_spins(asx_cx *cx, void *frame, asx_outcome *outcome)
{
    auto *const s = *static_cast<spins **>(frame);
    if (s->done == s->most || asx_is_cancelled(cx)) {
        *outcome = asx_checkpoint(cx);
        return true;
    }
    spin(cx, asx_ms(2));
    s->done++;
    if (s->panics && s->done == s->most) {
        asx_panic("as asked");
    }
    asx_task_wake_at(cx, 0);
    return false;
}

enum kind { FIBER, POLL };

/* How a task of that region, which spins, ends. */
asx_outcome run_in(asx_cx *cx, asx_region *region, kind which, spins *s)
{
    asx_handle task;
    if (which == FIBER) {
        REQUIRE(asx_spawn(cx, region, fiber_spins, s, 0, nullptr, &task) == ASX_OK);
    } else {
        REQUIRE(asx_spawn_poll(cx, region, step_spins, &s, sizeof(s), nullptr, &task, nullptr) ==
                ASX_OK);
    }
    return asx_join(cx, task);
}

void end(asx_cx *cx, asx_handle region)
{
    asx_region *record;
    if (asx_region_lookup(asx_shard_of(cx), region, &record) == ASX_OK) {
        asx_region_close_begin(record, ASX_CLOSE_JOIN, nullptr);
        const asx_outcome closed = asx_region_close_wait(cx, region);
        asx_maybe(asx_is_ok(closed));
    }
}

bool is_spent(asx_outcome outcome)
{
    return outcome.severity == ASX_SEVERITY_CANCELLED &&
           asx_reason_any_cause_is(outcome.reason, ASX_CANCEL_COST_BUDGET);
}

asx_outcome cpu_case(asx_cx *cx, void *arg)
{
    const kind which = *static_cast<kind *>(arg);
    const asx_resources little = stating(asx_ms(5), ASX_RESOURCE_UNSTATED);
    const asx_resources much = stating(asx_s(3600), ASX_RESOURCE_UNSTATED);
    asx_region *const outer = open_with(cx, &much), *const beside = open_with(cx, &much);
    const asx_handle handles[] = { asx_region_handle(outer), asx_region_handle(beside) };
    spins bounded = { 1000, 0, false }, free_one = { 5, 0, false };
    asx_region *const poor = open_with(cx, &little);
    const asx_handle poor_handle = asx_region_handle(poor);
    CHECK(is_spent(run_in(cx, poor, which, &bounded)));
    CHECK(bounded.done >= 1);
    CHECK(bounded.done <= 3); /* 6 ms and more */
    CHECK(asx_is_ok(run_in(cx, outer, which, &free_one)));
    const uint64_t left = asx_region_resources_left(outer).cpu_ns;
    CHECK(left <= asx_s(3600) - asx_ms(10));
    CHECK(asx_region_resources_left(beside).cpu_ns == asx_s(3600));
    CHECK(asx_region_resources(outer).cpu_ns == asx_s(3600));
    spins panics = { 2, 0, true };
    if (which == POLL) {
        CHECK(run_in(cx, outer, which, &panics).severity == ASX_SEVERITY_PANICKED);
        CHECK(asx_region_resources_left(outer).cpu_ns <= left - asx_ms(4));
    }
    spins unpaid = { 5, 0, false }; /* of a region that states nothing */
    asx_region *const silent = open_with(cx, nullptr);
    const asx_handle silent_handle = asx_region_handle(silent);
    CHECK(asx_is_ok(run_in(cx, silent, which, &unpaid)));
    for (const asx_handle handle : { poor_handle, handles[0], handles[1], silent_handle }) {
        end(cx, handle);
    }
    return asx_ok(0);
}

struct moves {
    int fd;
    std::vector<size_t> sizes;
    size_t done;
};

asx_outcome sends(asx_cx *cx, void *arg)
{
    auto *const m = static_cast<moves *>(arg);
    static char bytes[256];
    for (const size_t size : m->sizes) {
        struct iovec iov = { bytes, size };
        asx_op op{};
        op.code = ASX_OP_SEND;
        op.fd = m->fd;
        op.iov = &iov;
        op.iov_count = 1;
        const asx_outcome sent = asx_op_await(cx, &op);
        ASX_TRY(sent);
        m->done += sent.value;
        ASX_TRY(asx_checkpoint(cx));
    }
    return asx_ok(0);
}

/* The same in a region below, which states what `arg` says. */
struct nested {
    const asx_resources *inner;
    moves *what;
    asx_outcome *outcome;
};

asx_outcome sends_below(asx_cx *cx, void *arg)
{
    auto *const n = static_cast<nested *>(arg);
    asx_region *const region = open_with(cx, n->inner);
    const asx_handle handle = asx_region_handle(region);
    asx_handle task;
    REQUIRE(asx_spawn(cx, region, sends, n->what, 0, nullptr, &task) == ASX_OK);
    *n->outcome = asx_outcome_retain(asx_join(cx, task));
    end(cx, handle);
    return asx_checkpoint(cx);
}

asx_outcome io_case(asx_cx *cx, void *arg)
{
    const int fd = *static_cast<int *>(arg);
    const asx_resources hundred = stating(ASX_RESOURCE_UNSTATED, 100);
    asx_handle task;
    asx_outcome inner = asx_ok(0);
    asx_region *region = open_with(cx, &hundred);
    asx_handle handle = asx_region_handle(region);
    moves exact = { fd, { 60, 40 }, 0 }, above = { fd, { 1, 1 }, 0 };
    REQUIRE(asx_spawn(cx, region, sends, &exact, 0, nullptr, &task) == ASX_OK);
    CHECK(asx_is_ok(asx_join(cx, task))); /* all that there was, and not more */
    CHECK(exact.done == 100);
    CHECK(asx_region_resources_left(region).io_bytes == 0);
    asx_resources child;
    asx_resource which;
    const asx_resources left = asx_region_resources_left(region);
    CHECK(asx_resources_plan(&left, &hundred, 1u << ASX_RESOURCE_IO, &child, &which) ==
          ASX_E(EXHAUSTED));
    REQUIRE(asx_spawn(cx, region, sends, &above, 0, nullptr, &task) == ASX_OK);
    CHECK(is_spent(asx_join(cx, task)));
    CHECK(above.done == 1);
    end(cx, handle);

    /* The inner one has more than the outer one, which pays as well. */
    const asx_resources wide = stating(ASX_RESOURCE_UNSTATED, 1000);
    for (const asx_resources *const stated : { (const asx_resources *)nullptr, &wide }) {
        moves what = { fd, { 50, 50, 50 }, 0 };
        nested n = { stated, &what, &inner };
        region = open_with(cx, &hundred);
        handle = asx_region_handle(region);
        REQUIRE(asx_spawn(cx, region, sends_below, &n, 0, nullptr, &task) == ASX_OK);
        const asx_outcome outer = asx_join(cx, task);
        CHECK(is_spent(outer));
        CHECK(inner.severity == ASX_SEVERITY_CANCELLED);
        CHECK(what.done == 150);
        asx_outcome_release(inner);
        end(cx, handle);
    }
    return asx_ok(0);
}

} // namespace

TEST_CASE("charge: steps are paid for by who states a budget, and by nobody beside it", "[charge]")
{
    const auto choice = BOTH_CHOICES;
    kind which = GENERATE(FIBER, POLL);
    CAPTURE(which);
    run_live(choice, cpu_case, &which);
}

TEST_CASE("charge: bytes of I/O are paid for by every region above that states some", "[charge]")
{
    const auto choice = BOTH_CHOICES;
    int fds[2];
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    run_live(choice, io_case, &fds[0]);
    char bytes[1024];
    CHECK(recv(fds[1], bytes, sizeof(bytes), 0) == 100 + 1 + 150 + 150);
    close(fds[0]);
    close(fds[1]);
}
