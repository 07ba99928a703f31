/* Linearizability: is there an order of the operations that a sequential object could have shown,
 * which keeps each process's own order and never puts an operation before one that had ended before
 * it began? Exhaustive, with a memory of what was tried: for histories of up to 64 operations.
 *
 * Source.  Wing & Gong, 1993; the memory is Lowe's. */
#ifndef TESTS_LAB_LINEAR_H
#define TESTS_LAB_LINEAR_H

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

/* An operation of a history: `begun` and `ended` are instants of the whole run. */
struct linear_op {
    static constexpr uint64_t open = UINT64_MAX; /* `ended`: its effect may come at any time */
    uint32_t process;
    uint32_t kind;
    uint64_t value;
    uint64_t result;
    uint64_t begun, ended;
};

/* `Model` is copied, has `bool apply(const linear_op &)`, false: it could not have answered so; and
 * `std::string key() const`, equal for states that cannot be told apart. */
template <class Model> class linear
{
  public:
    static bool holds(const std::vector<linear_op> &history, const Model &model)
    {
        linear self(history);
        return history.size() <= 64 && self.search(0, model);
    }

  private:
    explicit linear(const std::vector<linear_op> &history) : history_(history)
    {
    }

    bool is_next(uint64_t taken, size_t i) const
    {
        for (size_t k = 0; k < history_.size(); k++) {
            const bool before = history_[k].ended < history_[i].begun ||
                                (history_[k].process == history_[i].process && k < i);
            if (!(taken >> k & 1) && before) {
                return false;
            }
        }
        return true;
    }

    bool search(uint64_t taken, const Model &model)
    {
        bool all = true;
        if (!tried_.emplace(taken, model.key()).second) {
            return false;
        }
        for (size_t i = 0; i < history_.size(); i++) {
            if (taken >> i & 1) {
                continue;
            }
            all = false;
            Model next = model;
            if (is_next(taken, i) && next.apply(history_[i]) &&
                search(taken | uint64_t{ 1 } << i, next)) {
                return true;
            }
        }
        return all;
    }

    const std::vector<linear_op> &history_;
    std::set<std::pair<uint64_t, std::string>> tried_;
};

/* Numbers the instants of a run and keeps its history, in order of beginning within a process. */
struct history {
    uint64_t now = 0;
    std::vector<linear_op> ops;

    size_t begin(uint32_t process, uint32_t kind, uint64_t value)
    {
        ops.push_back({ process, kind, value, 0, ++now, linear_op::open });
        return ops.size() - 1;
    }
    void end(size_t op, uint64_t result)
    {
        ops[op].result = result;
        ops[op].ended = ++now;
    }
};

#endif
