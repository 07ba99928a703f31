/* A trace made by hand, and what the oracles say of it. */
#ifndef ASX_TESTS_LAB_ORACLE_TRIAL_H
#define ASX_TESTS_LAB_ORACLE_TRIAL_H

#include <asx/lab/oracle.h>
#include <asx/shard/cancel.h>

#include <set>
#include <string>
#include <vector>

static const uint64_t R0 = 1, R1 = 2, R2 = 3, T1 = 11, T2 = 12, T3 = 13;
static const uint64_t O1 = 21, RING = 1 << 16;
static const uint64_t NEVER = UINT64_MAX;

struct trial {
    asx_lab_check *check = asx_lab_check_create(false);
    asx_lab_oracles *oracles;
    uint64_t seq = 0, now_ns = 0;
    std::set<uint64_t> woken; /* tasks that are to run */
    bool wakes = true;        /* requests wake whom they ask */

    explicit trial(const char *names = nullptr)
        : oracles(asx_lab_oracles_create(check, asx_lab_oracles_select(names, nullptr, 0), 4))
    {
        add(ASX_TRACE_REGION_CREATE, { R0, 0 });
        add(ASX_TRACE_REGION_CREATE, { R1, R0 });
        add(ASX_TRACE_TASK_SPAWN, { T1, R1 });
        add(ASX_TRACE_TASK_DISPATCH, { T1, R1, 3 });
    }
    ~trial()
    {
        asx_lab_oracles_destroy(oracles);
        asx_lab_check_destroy(check);
    }
    trial(const trial &) = delete;
    trial &add(asx_trace_kind kind, const std::vector<uint64_t> &words)
    {
        asx_lab_event event;
        asx_lab_event_init(&event, 0, kind, words.data(), uint32_t(words.size()));
        event.seq = seq++;
        event.vtime_ns = now_ns;
        asx_lab_check_event(check, &event);
        asx_lab_oracles_event(oracles, &event);
        if (kind == ASX_TRACE_TASK_SPAWN || kind == ASX_TRACE_TASK_READY) {
            woken.insert(words[0]);
        } else if (kind == ASX_TRACE_TASK_DISPATCH) {
            woken.erase(words[0]);
        } else if (kind == ASX_TRACE_CANCEL_REQUEST && wakes) {
            wake(words[0]);
        }
        return *this;
    }
    trial &wake(uint64_t task)
    {
        return woken.count(task) > 0 ? *this : add(ASX_TRACE_TASK_READY, { task, R1, 0 });
    }
    trial &dispatch(uint64_t task, uint64_t lane = 3)
    {
        wake(task);
        return add(ASX_TRACE_TASK_DISPATCH, { task, R1, lane });
    }
    asx_lab_verdict of(asx_lab_oracle oracle) const
    {
        return asx_lab_oracles_verdict(oracles, oracle);
    }
    /* The names of those that fail. */
    std::string failing() const
    {
        std::string names;
        for (uint32_t i = 0; i < ASX_LAB_ORACLE_COUNT; i++) {
            if (of(asx_lab_oracle(i)).finding == ASX_LAB_FAIL) {
                names += (names.empty() ? "" : " ") +
                         std::string(asx_lab_oracle_name(asx_lab_oracle(i)));
            }
        }
        return names;
    }
};

#endif
