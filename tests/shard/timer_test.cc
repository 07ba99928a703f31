/* At stake: a timer that fires early, late, twice, out of order, or never. Every boundary of the
 * wheel is driven one below, at and above, and a sorted container is the judge of random play. */
#include <asx/shard/base/prng.h>
#include <asx/shard/timer.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <functional>
#include <memory>
#include <set>
#include <utility>
#include <vector>

namespace
{

constexpr asx_instant MS = ASX_NS_PER_MS;
constexpr asx_instant DAY = UINT64_C(86400) * ASX_NS_PER_S;
constexpr unsigned ALL = ~0u;

struct Probe {
    asx_timer timer{};
    int id = 0;
    std::vector<int> *log = nullptr;
    std::function<void()> then;
};

void probe_fired(asx_timer *timer)
{
    auto *const probe = reinterpret_cast<Probe *>(timer);
    probe->log->push_back(probe->id);
    if (probe->then) {
        probe->then();
    }
}

struct Bench {
    std::unique_ptr<asx_timer_wheel> wheel{ new asx_timer_wheel };
    std::vector<int> log;

    explicit Bench(asx_instant now = 0)
    {
        asx_timer_wheel_init(wheel.get(), now);
    }
    void arm(Probe &probe, int id, asx_instant at)
    {
        probe.id = id;
        probe.log = &log;
        probe.timer.fn = probe_fired;
        asx_timer_arm(wheel.get(), &probe.timer, at);
    }
    unsigned advance(asx_instant now, unsigned limit = ALL)
    {
        const unsigned fired = asx_timer_wheel_advance(wheel.get(), now, limit);
        asx_timer_wheel_check(wheel.get());
        return fired;
    }
    asx_instant next() const
    {
        return asx_timer_wheel_next(wheel.get());
    }
    size_t count() const
    {
        return asx_timer_wheel_count(wheel.get());
    }
};

/* The widest slot that may hold a timer this far away: what next() may be early by. */
asx_instant slot_width(asx_instant now, asx_instant at)
{
    const uint64_t differs = (now / MS) ^ (at / MS);
    asx_instant width = MS;
    for (unsigned level = 1; level < ASX_TIMER_LEVELS && differs >> (8 * level); level++) {
        width = asx_time_mul(width, 256);
    }
    return width;
}

} // namespace

TEST_CASE("timer: no boundary of tick, level or span fires early or late", "[timer]")
{
    std::vector<asx_instant> spans = { 0, MS, 256 * MS, 65536 * MS, 16777216 * MS, DAY, 7 * DAY };
    spans.push_back(UINT64_C(4294967296) * MS);       /* 49.7 days */
    spans.push_back(UINT64_C(4294967296) * MS * 256); /* 34.8 years */
    const std::vector<asx_instant> starts = {
        0,
        1,
        MS - 1,
        MS,
        255 * MS + 7,
        256 * MS - 1,
        65535 * MS,
        16777215 * MS + 999999,
        UINT64_C(4294967295) * MS,
        123456789012345678,
    };
    for (const asx_instant start : starts) {
        for (const asx_instant span : spans) {
            for (int delta = -2; delta <= 2; delta++) {
                const asx_instant at = start + span + static_cast<asx_instant>(delta);
                if (delta < 0 && start + span < 2) {
                    continue;
                }
                Bench bench(start);
                Probe probe;
                bench.arm(probe, 1, at);
                INFO("start " << start << " at " << at);
                const asx_instant next = bench.next();
                REQUIRE(next <= std::max(at, start));
                if (at > start) {
                    REQUIRE(at - next < slot_width(start, at));
                    REQUIRE(bench.advance(at - 1) == 0);
                    REQUIRE(bench.next() == at); /* alone in its slot: exact */
                }
                REQUIRE(bench.advance(std::max(at, start)) == 1);
                REQUIRE_FALSE(asx_timer_armed(&probe.timer));
                REQUIRE(bench.count() == 0);
                REQUIRE(bench.next() == ASX_TIME_NEVER);
            }
        }
    }
}

TEST_CASE("timer: every pair of slots of a level is reached by one jump", "[timer]")
{
    for (unsigned level = 0; level < 4; level++) {
        const asx_instant width = MS << (8 * level);
        for (unsigned from = 0; from < 256; from += 5) {
            for (unsigned to = from + 1; to < 256; to += 3) {
                Bench bench(from * width + 17);
                Probe before, at, after;
                const asx_instant due = to * width + 3;
                bench.arm(after, 3, due + 1);
                bench.arm(at, 2, due);
                bench.arm(before, 1, due - 1);
                REQUIRE(bench.advance(due) == (from * width + 17 > due ? 0u : 2u));
                REQUIRE(bench.log == std::vector<int>{ 1, 2 });
                REQUIRE(bench.next() == due + 1);
                REQUIRE(bench.advance(due + 1) == 1);
            }
        }
    }
}

TEST_CASE("timer: one turn fires by deadline, and equal deadlines as they were armed", "[timer]")
{
    Bench bench(5 * MS);
    Probe a, b, c, d, e, f;
    bench.arm(a, 1, 9 * MS + 5);
    bench.arm(b, 2, 9 * MS + 4);
    bench.arm(c, 3, 9 * MS + 5);
    bench.arm(d, 4, 300 * MS);
    bench.arm(e, 5, 3 * MS); /* past */
    bench.arm(f, 6, 9 * MS + 5);
    CHECK(bench.next() <= 5 * MS);
    CHECK(bench.advance(400 * MS) == 6);
    CHECK(bench.log == std::vector<int>{ 5, 2, 1, 3, 6, 4 });
}

TEST_CASE("timer: a deadline is compared in nanoseconds within the tick in progress", "[timer]")
{
    Bench bench(10 * MS);
    Probe early, late;
    bench.arm(late, 2, 10 * MS + 700);
    bench.arm(early, 1, 10 * MS + 300);
    CHECK(bench.next() == 10 * MS + 300);
    CHECK(bench.advance(10 * MS + 299) == 0);
    CHECK(bench.next() == 10 * MS + 300);
    CHECK(bench.advance(10 * MS + 300) == 1);
    CHECK(bench.next() == 10 * MS + 700);
    CHECK(bench.advance(10 * MS + 700) == 1);
    CHECK(bench.log == std::vector<int>{ 1, 2 });
}

TEST_CASE("timer: a disarmed one does not fire, even when its turn has begun", "[timer]")
{
    Bench bench;
    Probe killer, victim, later;
    bench.arm(killer, 1, 2 * MS);
    bench.arm(victim, 2, 2 * MS);
    bench.arm(later, 3, 2 * MS);
    killer.then = [&] {
        asx_timer_disarm(bench.wheel.get(), &victim.timer);
        asx_timer_disarm(bench.wheel.get(), &victim.timer);
        asx_timer_disarm(bench.wheel.get(), &killer.timer); /* itself, fired already */
    };
    CHECK(bench.advance(3 * MS) == 2);
    CHECK(bench.log == std::vector<int>{ 1, 3 });
    CHECK(bench.count() == 0);
}

TEST_CASE("timer: what a callback arms in the past fires in the next advance", "[timer]")
{
    Bench bench;
    Probe again;
    int left = 3;
    again.then = [&] {
        if (--left > 0) {
            asx_timer_arm(bench.wheel.get(), &again.timer, 1);
        }
    };
    bench.arm(again, 1, MS);
    CHECK(bench.advance(2 * MS) == 1);
    CHECK(bench.next() <= 2 * MS);
    CHECK(bench.advance(2 * MS) == 1);
    CHECK(bench.advance(2 * MS) == 1);
    CHECK(bench.advance(2 * MS) == 0);
    CHECK(bench.next() == ASX_TIME_NEVER);
}

TEST_CASE("timer: what exceeds the limit stays due, in order, and bounds the park", "[timer]")
{
    Bench bench;
    std::vector<Probe> probes(100);
    for (int i = 0; i < 100; i++) {
        bench.arm(probes[static_cast<size_t>(i)], 100 - i, MS + static_cast<asx_instant>(100 - i));
    }
    std::vector<int> expected;
    for (unsigned turn = 0; turn < 10; turn++) {
        CHECK(bench.advance(5 * MS + turn, 10) == 10);
        for (int i = 1; i <= 10; i++) {
            expected.push_back(static_cast<int>(turn) * 10 + i);
        }
        CHECK(bench.log == expected);
        CHECK(bench.next() == (turn == 9 ? ASX_TIME_NEVER : MS + turn * 10 + 11));
    }
    Probe one;
    bench.arm(one, 1, 1);
    CHECK(bench.advance(6 * MS, 0) == 0);
    CHECK(bench.next() <= 6 * MS);
    CHECK(bench.advance(6 * MS, 1) == 1);
}

TEST_CASE("timer: armed for never it counts, but neither fires nor bounds the park", "[timer]")
{
    Bench bench;
    Probe never;
    bench.arm(never, 1, ASX_TIME_NEVER);
    CHECK(asx_timer_armed(&never.timer));
    CHECK(bench.count() == 1);
    CHECK(bench.next() == ASX_TIME_NEVER);
    CHECK(bench.advance(ASX_TIME_NEVER - 1) == 0);
    CHECK(bench.advance(ASX_TIME_NEVER) == 0);
    asx_timer_disarm(bench.wheel.get(), &never.timer);
    CHECK(bench.count() == 0);
}

TEST_CASE("timer: the last instant before never is reached", "[timer]")
{
    Bench bench;
    Probe last;
    bench.arm(last, 1, ASX_TIME_NEVER - 1);
    CHECK(bench.next() <= ASX_TIME_NEVER - 1);
    CHECK(bench.advance(ASX_TIME_NEVER - 2) == 0);
    CHECK(bench.advance(ASX_TIME_NEVER - 1) == 1);
}

TEST_CASE("timer: a jump of forty days fires all on the way and keeps the rest", "[timer]")
{
    Bench bench(12345);
    std::vector<Probe> probes(5000);
    std::vector<std::pair<asx_instant, int>> order;
    asx_prng prng;
    asx_prng_init(&prng, 40);
    for (int i = 0; i < 5000; i++) {
        const asx_instant at = asx_prng_below(&prng, 80 * DAY);
        bench.arm(probes[static_cast<size_t>(i)], i, at);
        order.emplace_back(at, i);
    }
    std::sort(order.begin(), order.end());
    bench.advance(40 * DAY);
    const auto split = std::find_if(order.begin(), order.end(),
                                    [](const auto &entry) { return entry.first > 40 * DAY; });
    REQUIRE(bench.log.size() == static_cast<size_t>(split - order.begin()));
    REQUIRE(bench.next() <= split->first);
    bench.advance(80 * DAY);
    std::vector<int> expected;
    for (const auto &entry : order) {
        expected.push_back(entry.second);
    }
    CHECK(bench.log == expected);
}

TEST_CASE("timer: a clock that steps back is held", "[timer]")
{
    Bench bench(50 * MS);
    Probe probe;
    bench.arm(probe, 1, 60 * MS);
    CHECK(bench.advance(20 * MS) == 0);
    CHECK(bench.next() == 60 * MS);
    CHECK(bench.advance(60 * MS) == 1);
}

TEST_CASE("timer: following next() reaches a far timer in a few wake-ups", "[timer]")
{
    Bench bench(999);
    std::vector<Probe> probes(50); /* more than next() is willing to look at */
    const asx_instant at = 45 * DAY + 123456789;
    for (int i = 0; i < 50; i++) {
        bench.arm(probes[static_cast<size_t>(i)], i, at);
    }
    unsigned wakes = 0;
    for (asx_instant now = 999; bench.count() > 0; wakes++) {
        REQUIRE(bench.next() > now);
        now = bench.next();
        REQUIRE(now <= at);
        bench.advance(now);
    }
    CHECK(wakes <= ASX_TIMER_LEVELS);
}

namespace
{

/* Random play against std::set; everything that fires is compared at once. */
class Model
{
  public:
    Model(uint64_t seed, size_t timer_count) : probes_(timer_count), seqs_(timer_count)
    {
        asx_prng_init(&prng_, seed);
        now_ = asx_prng_below(&prng_, 400 * DAY);
        asx_timer_wheel_init(wheel_.get(), now_);
        for (size_t i = 0; i < timer_count; i++) {
            probes_[i].model = this;
            probes_[i].timer.fn = [](asx_timer *timer) {
                auto *const probe = reinterpret_cast<Node *>(timer);
                probe->model->fired(*probe);
            };
        }
    }

    void step()
    {
        const uint64_t dice = asx_prng_below(&prng_, 100);
        if (dice < 55) {
            arm(pick());
        } else if (dice < 80) {
            disarm(pick());
        } else {
            advance();
        }
    }

    void check()
    {
        asx_timer_wheel_check(wheel_.get());
        REQUIRE(asx_timer_wheel_count(wheel_.get()) == armed_.size());
    }

  private:
    struct Node {
        asx_timer timer{};
        Model *model = nullptr;
    };
    using Key = std::tuple<asx_instant, uint64_t, size_t>;

    Node &pick()
    {
        return probes_[asx_prng_below(&prng_, probes_.size())];
    }
    size_t index(const Node &node) const
    {
        return static_cast<size_t>(&node - probes_.data());
    }
    asx_instant instant()
    {
        const asx_instant spans[] = { 3,        MS,         10 * MS,
                                      300 * MS, 70000 * MS, 16777300 * MS,
                                      2 * DAY,  60 * DAY };
        const asx_instant offset = asx_prng_below(&prng_, spans[asx_prng_below(&prng_, 8)]);
        const uint64_t dice = asx_prng_below(&prng_, 64);
        if (dice == 0) {
            return ASX_TIME_NEVER;
        }
        return dice < 6 ? asx_time_sub(now_, offset) : now_ + offset;
    }
    void arm(Node &node)
    {
        disarm(node);
        const asx_instant at = instant();
        asx_timer_arm(wheel_.get(), &node.timer, at);
        seqs_[index(node)] = seq_++;
        armed_.insert(key(node));
    }
    Key key(const Node &node) const
    {
        return { node.timer.at_ns, seqs_[index(node)], index(node) };
    }
    void disarm(Node &node)
    {
        if (asx_timer_armed(&node.timer)) {
            REQUIRE(armed_.erase(key(node)) == 1);
        }
        asx_timer_disarm(wheel_.get(), &node.timer);
    }
    void fired(Node &node)
    {
        /* The least of what was armed before this advance began. */
        auto least = armed_.begin();
        while (std::get<1>(*least) >= turn_seq_) {
            ++least;
        }
        REQUIRE(*least == key(node));
        REQUIRE(node.timer.at_ns <= now_);
        armed_.erase(least);
        const uint64_t dice = asx_prng_below(&prng_, 10);
        if (dice < 3) {
            arm(pick());
        } else if (dice < 5) {
            disarm(pick());
        }
    }
    void advance()
    {
        const asx_instant next = asx_timer_wheel_next(wheel_.get());
        const asx_instant least = armed_.empty() ? ASX_TIME_NEVER : std::get<0>(*armed_.begin());
        REQUIRE(next <= std::max(least, now_));
        if (least == ASX_TIME_NEVER) {
            REQUIRE(next == ASX_TIME_NEVER);
        } else {
            REQUIRE(least <= asx_time_add(std::max(next, now_), slot_width(now_, least)));
        }
        const asx_instant steps[] = { 1, MS / 7, MS, 5 * MS, 300 * MS, 80000 * MS };
        const uint64_t dice = asx_prng_below(&prng_, 100);
        if (dice < 30 && next != ASX_TIME_NEVER) {
            now_ = std::max(now_, next);
        } else if (dice == 99 && asx_prng_below(&prng_, 50) == 0) {
            now_ += asx_prng_below(&prng_, 40 * DAY);
        } else {
            now_ += asx_prng_below(&prng_, steps[asx_prng_below(&prng_, dice < 90 ? 4 : 6)] + 1);
        }
        turn_seq_ = seq_;
        const unsigned limit =
            asx_prng_below(&prng_, 3) == 0 ? static_cast<unsigned>(asx_prng_below(&prng_, 6)) : ALL;
        const unsigned count = asx_timer_wheel_advance(wheel_.get(), now_, limit);
        REQUIRE(count <= limit);
        if (count < limit) { /* nothing due was left but what callbacks armed */
            for (const Key &entry : armed_) {
                if (std::get<0>(entry) > now_) {
                    break;
                }
                REQUIRE(std::get<1>(entry) >= turn_seq_);
            }
        }
    }

    std::unique_ptr<asx_timer_wheel> wheel_{ new asx_timer_wheel };
    std::vector<Node> probes_;
    std::vector<uint64_t> seqs_;
    std::set<Key> armed_;
    asx_prng prng_;
    asx_instant now_ = 0;
    uint64_t seq_ = 0, turn_seq_ = 0;
};

} // namespace

TEST_CASE("timer: two million random operations agree with a sorted set", "[timer]")
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        Model model(seed, seed % 4 == 0 ? 3000 : 20 + seed);
        for (unsigned i = 0; i < 50000; i++) {
            model.step();
            if (i % 1024 == 0) {
                model.check();
            }
        }
        model.check();
    }
}

TEST_CASE("timer: coalesced deadlines fire together, none before its own, less than a window late",
          "[timer]")
{
    for (const asx_instant window : { MS, 7 * MS, ASX_NS_PER_S, asx_instant(1000) }) {
        CAPTURE(window);
        Bench bench(3 * MS + 5);
        asx_timer_shape shape{};
        shape.window_ns = window;
        asx_timer_wheel_shape(bench.wheel.get(), &shape);
        asx_prng prng;
        asx_prng_init(&prng, window);
        std::vector<Probe> probes(1000);
        std::vector<asx_instant> own(probes.size());
        const asx_instant begin = 10 * ASX_NS_PER_S / window * window;
        for (size_t i = 0; i < probes.size(); i++) {
            own[i] = begin + 1 + asx_prng_below(&prng, window);
            bench.arm(probes[i], (int)i, own[i]);
            CHECK(probes[i].timer.at_ns >= own[i]);
            CHECK(probes[i].timer.at_ns - own[i] < window);
        }
        CHECK(bench.advance(begin + window - 1) == 0);
        CHECK(bench.next() <= begin + window);
        CHECK(bench.advance(begin + window) == probes.size());
        for (size_t i = 0; i < bench.log.size(); i++) {
            CHECK(bench.log[i] == (int)i); /* equals, as they were armed */
        }
    }
}

TEST_CASE(
    "timer: a deadline on a multiple of the window, never, and the last instant stay where they "
    "are",
    "[timer]")
{
    Bench bench(0);
    asx_timer_shape shape{};
    shape.window_ns = MS;
    shape.jitter_max_ns = 0;
    asx_timer_wheel_shape(bench.wheel.get(), &shape);
    Probe on, never, last;
    bench.arm(on, 1, 5 * MS);
    bench.arm(never, 2, ASX_TIME_NEVER);
    bench.arm(last, 3, ASX_TIME_NEVER - 1);
    CHECK(on.timer.at_ns == 5 * MS);
    CHECK(never.timer.at_ns == ASX_TIME_NEVER);
    CHECK(last.timer.at_ns >= ASX_TIME_NEVER - 1);
    CHECK(last.timer.at_ns != ASX_TIME_NEVER);
    CHECK(bench.advance(ASX_TIME_NEVER - 1) == 2);
    asx_timer_disarm(bench.wheel.get(), &never.timer);
}

TEST_CASE("timer: jitter is later only, within its bound, spread over it, and the seed's",
          "[timer]")
{
    std::vector<asx_instant> runs[3];
    for (int run = 0; run < 3; run++) {
        Bench bench(0);
        asx_timer_shape shape{};
        shape.jitter_max_ns = MS;
        shape.jitter_seed = run < 2 ? 11 : 12;
        asx_timer_wheel_shape(bench.wheel.get(), &shape);
        std::vector<Probe> probes(2000);
        unsigned thirds[3] = {};
        for (size_t i = 0; i < probes.size(); i++) {
            bench.arm(probes[i], (int)i, 50 * MS);
            const asx_instant by = probes[i].timer.at_ns - 50 * MS;
            REQUIRE(by <= MS);
            thirds[by * 3 / (MS + 1)]++;
            runs[run].push_back(by);
        }
        for (const unsigned third : thirds) {
            CHECK(third > 500);
        }
        CHECK(bench.advance(51 * MS) == probes.size());
    }
    CHECK(runs[0] == runs[1]);
    CHECK(runs[0] != runs[2]);
}

TEST_CASE("timer: an instant from outside is refused beyond seven days, exactly", "[timer]")
{
    Bench bench(9 * MS);
    Probe probe;
    probe.log = &bench.log;
    probe.timer.fn = probe_fired;
    for (const asx_duration max : { asx_duration(0), 3 * DAY, asx_duration(5) }) {
        asx_timer_shape shape{};
        shape.max_ns = max;
        asx_timer_wheel_shape(bench.wheel.get(), &shape);
        const asx_instant limit = 9 * MS + (max ? max : 7 * DAY);
        for (const asx_instant at : { limit + 1, ASX_TIME_NEVER, ASX_TIME_NEVER - 1 }) {
            CHECK(asx_timer_try_arm(bench.wheel.get(), &probe.timer, at) ==
                  ASX_E(DURATION_EXCEEDED));
            CHECK_FALSE(asx_timer_armed(&probe.timer));
        }
        for (const asx_instant at : { limit, limit - 1, asx_instant(0) }) {
            CHECK(asx_timer_try_arm(bench.wheel.get(), &probe.timer, at) == ASX_OK);
            CHECK(probe.timer.at_ns == at);
            asx_timer_disarm(bench.wheel.get(), &probe.timer);
        }
    }
    bench.arm(probe, 1, 4000 * DAY); /* what the engine itself asks for is not limited */
    CHECK(bench.advance(4000 * DAY - 1) == 0);
    CHECK(bench.advance(4000 * DAY) == 1);
}
