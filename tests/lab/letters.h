/* A program of letters: each process is a list of operations on a few variables, each operation one
 * step. Small enough that its classes of schedules are counted by hand. */
#ifndef TESTS_LAB_LETTERS_H
#define TESTS_LAB_LETTERS_H

#include <asx/lab/explore_run.h>

#include <functional>
#include <string>
#include <vector>

struct letter {
    bool write;
    char variable;
};

class letters
{
  public:
    using check = std::function<bool(const std::vector<int> &order)>;

    /* "rx wx | rx wx": processes parted by bars. `fails` judges the order in which they ran. */
    explicit letters(const std::string &text, check fails = nullptr) : fails_(std::move(fails))
    {
        processes_.emplace_back();
        for (size_t i = 0; i < text.size(); i++) {
            if (text[i] == '|') {
                processes_.emplace_back();
            } else if (text[i] == 'r' || text[i] == 'w') {
                processes_.back().push_back({ text[i] == 'w', text[i + 1] });
                i++;
            }
        }
        program_.base.name = "letters";
        program_.base.processes = static_cast<uint32_t>(processes_.size());
        program_.base.run = run;
        program_.self = this;
    }
    letters(const letters &) = delete;

    asx_explore_program *program()
    {
        return &program_.base;
    }

    /* A value that each step asks for, and its alternatives. */
    uint32_t values = 1;

  private:
    struct holder {
        asx_explore_program base;
        letters *self;
    };

    static void run(asx_explore_program *base, asx_explore_run *run)
    {
        letters *self = reinterpret_cast<holder *>(base)->self;
        std::vector<size_t> at(self->processes_.size());
        std::vector<int> order;
        while (!asx_explore_run_stopped(run)) {
            std::vector<uint32_t> enabled;
            for (uint32_t p = 0; p < at.size(); p++) {
                if (at[p] < self->processes_[p].size()) {
                    enabled.push_back(p);
                }
            }
            if (enabled.empty()) {
                break;
            }
            const uint32_t alternative = asx_explore_run_turn(run, enabled.data(), enabled.size());
            if (asx_explore_run_stopped(run)) {
                break;
            }
            const uint32_t p = enabled[alternative];
            const letter &l = self->processes_[p][at[p]++];
            asx_lab_access access = {};
            access.object = static_cast<uint64_t>(l.variable);
            access.resource = ASX_LAB_RES_OBL;
            access.write = l.write;
            asx_explore_run_touch(run, &access);
            asx_explore_run_value(run, ASX_CHOICE_IORES, self->values, 0);
            order.push_back(static_cast<int>(p));
        }
        asx_explore_verdict verdict = {};
        if (!asx_explore_run_stopped(run) && self->fails_ && self->fails_(order)) {
            verdict.signature = 7;
            snprintf(verdict.text, sizeof verdict.text, "lost update");
        }
        asx_explore_run_finish(run, &verdict);
    }

    std::vector<std::vector<letter>> processes_;
    check fails_;
    holder program_ = {};
};

/* "rx wx | rx wx | ...": each process adds one to what it read; true when an addition was lost. */
inline bool lost_update(const std::vector<int> &order)
{
    std::vector<int> seen(8, -1);
    int value = 0, processes = 0;
    for (int p : order) {
        if (seen[p] < 0) {
            seen[p] = value;
            processes++;
        } else {
            value = seen[p] + 1;
        }
    }
    return value != processes;
}

#endif
