/* Insert, cancel in random order, and expire: the wheel beside a 4-ary heap with back indices and a
 * red-black tree (std::map). Deadlines are random within a minute; expiry steps 1 ms at a time, as
 * a busy shard does. Times are ns a timer; `hash` is over the order of expiry and must agree. */
#include <asx/shard/base/prng.h>
#include <asx/shard/timer.h>

#include <benchmark/benchmark.h>
#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <utility>
#include <vector>

namespace
{

constexpr asx_instant SPAN = 60 * ASX_NS_PER_S;

struct Input {
    std::vector<asx_instant> at;
    std::vector<uint32_t> order;
    explicit Input(size_t count) : at(count), order(count)
    {
        asx_prng prng;
        asx_prng_init(&prng, 7);
        for (size_t i = 0; i < count; i++) {
            at[i] = 1 + asx_prng_below(&prng, SPAN);
            order[i] = static_cast<uint32_t>(i);
        }
        for (size_t i = count; i > 1; i--) {
            std::swap(order[i - 1], order[asx_prng_below(&prng, i)]);
        }
    }
};

uint64_t hash_step(uint64_t hash, asx_instant at)
{
    return asx_mix64(hash ^ at);
}

uint64_t wheel_hash;

class Wheel
{
  public:
    explicit Wheel(size_t count) : timers_(count)
    {
        asx_timer_wheel_init(wheel_.get(), 0);
        for (asx_timer &timer : timers_) {
            timer.fn = [](asx_timer *fired) { wheel_hash = hash_step(wheel_hash, fired->at_ns); };
        }
    }
    void insert(uint32_t i, asx_instant at)
    {
        asx_timer_arm(wheel_.get(), &timers_[i], at);
    }
    void cancel(uint32_t i)
    {
        asx_timer_disarm(wheel_.get(), &timers_[i]);
    }
    uint64_t expire()
    {
        wheel_hash = 0;
        for (asx_instant now = 0; now <= SPAN + ASX_NS_PER_MS; now += ASX_NS_PER_MS) {
            asx_timer_wheel_advance(wheel_.get(), now, ~0u);
        }
        return wheel_hash;
    }
    size_t left() const
    {
        return asx_timer_wheel_count(wheel_.get());
    }

  private:
    std::unique_ptr<asx_timer_wheel> wheel_{ new asx_timer_wheel };
    std::vector<asx_timer> timers_;
};

class Heap4
{
  public:
    explicit Heap4(size_t count) : index_(count)
    {
        heap_.reserve(count);
    }
    void insert(uint32_t i, asx_instant at)
    {
        heap_.push_back({ at, i });
        up(heap_.size() - 1);
    }
    void cancel(uint32_t i)
    {
        remove(index_[i]);
    }
    uint64_t expire()
    {
        uint64_t hash = 0;
        for (asx_instant now = 0; now <= SPAN + ASX_NS_PER_MS; now += ASX_NS_PER_MS) {
            while (!heap_.empty() && heap_[0].first <= now) {
                hash = hash_step(hash, heap_[0].first);
                remove(0);
            }
        }
        return hash;
    }
    size_t left() const
    {
        return heap_.size();
    }

  private:
    using Entry = std::pair<asx_instant, uint32_t>;

    void put(size_t at, const Entry &entry)
    {
        heap_[at] = entry;
        index_[entry.second] = at;
    }
    void up(size_t at)
    {
        const Entry entry = heap_[at];
        for (; at > 0 && entry.first < heap_[(at - 1) / 4].first; at = (at - 1) / 4) {
            put(at, heap_[(at - 1) / 4]);
        }
        put(at, entry);
    }
    void down(size_t at)
    {
        const Entry entry = heap_[at];
        for (size_t child; (child = 4 * at + 1) < heap_.size();) {
            const size_t end = std::min(child + 4, heap_.size());
            for (size_t other = child + 1; other < end; other++) {
                child = heap_[other].first < heap_[child].first ? other : child;
            }
            if (heap_[child].first >= entry.first) {
                break;
            }
            put(at, heap_[child]);
            at = child;
        }
        put(at, entry);
    }
    void remove(size_t at)
    {
        const Entry last = heap_.back();
        heap_.pop_back();
        if (at < heap_.size()) {
            put(at, last);
            down(at);
            up(index_[last.second]);
        }
    }

    std::vector<Entry> heap_;
    std::vector<size_t> index_;
};

class Tree
{
  public:
    explicit Tree(size_t count) : where_(count)
    {
    }
    void insert(uint32_t i, asx_instant at)
    {
        where_[i] = tree_.emplace(std::make_pair(at, seq_++), i).first;
    }
    void cancel(uint32_t i)
    {
        tree_.erase(where_[i]);
    }
    uint64_t expire()
    {
        uint64_t hash = 0;
        for (asx_instant now = 0; now <= SPAN + ASX_NS_PER_MS; now += ASX_NS_PER_MS) {
            while (!tree_.empty() && tree_.begin()->first.first <= now) {
                hash = hash_step(hash, tree_.begin()->first.first);
                tree_.erase(tree_.begin());
            }
        }
        return hash;
    }
    size_t left() const
    {
        return tree_.size();
    }

  private:
    using Map = std::map<std::pair<asx_instant, uint64_t>, uint32_t>;
    Map tree_;
    std::vector<Map::iterator> where_;
    uint64_t seq_ = 0;
};

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start)
{
    return std::chrono::duration<double>(Clock::now() - start).count();
}

enum Phase { INSERT, CANCEL, EXPIRE };

template <class Structure, Phase phase> void timers(benchmark::State &state)
{
    const size_t count = static_cast<size_t>(state.range(0));
    const Input input(count);
    uint64_t hash = 0;
    Structure structure(count);
    for (auto _ : state) {
        const Clock::time_point begin = Clock::now();
        for (uint32_t i = 0; i < count; i++) {
            structure.insert(i, input.at[i]);
        }
        double seconds = seconds_since(begin);
        const Clock::time_point middle = Clock::now();
        if (phase == EXPIRE) {
            hash = structure.expire();
        } else {
            for (const uint32_t i : input.order) {
                structure.cancel(i);
            }
        }
        seconds = phase == INSERT ? seconds : seconds_since(middle);
        if (structure.left() != 0) {
            std::abort();
        }
        state.SetIterationTime(seconds);
        if (phase == EXPIRE) { /* the wheel's clock does not step back */
            structure.~Structure();
            new (&structure) Structure(count);
        }
    }
    state.SetItemsProcessed(static_cast<int64_t>(count) * state.iterations());
    state.counters["ns"] = benchmark::Counter(
        static_cast<double>(count) * static_cast<double>(state.iterations()) * 1e-9,
        benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
    if (phase == EXPIRE) {
        state.counters["hash"] = static_cast<double>(hash >> 40);
    }
}

} // namespace

#define TIMERS(structure)                                                                     \
    BENCHMARK_TEMPLATE(timers, structure, INSERT)->Arg(10000)->Arg(1000000)->UseManualTime(); \
    BENCHMARK_TEMPLATE(timers, structure, CANCEL)->Arg(10000)->Arg(1000000)->UseManualTime(); \
    BENCHMARK_TEMPLATE(timers, structure, EXPIRE)->Arg(10000)->Arg(1000000)->UseManualTime()

TIMERS(Wheel);
TIMERS(Heap4);
TIMERS(Tree);
BENCHMARK_MAIN();
