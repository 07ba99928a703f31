/* Budgets: deadline, poll quota, cost quota, priority; `meet` tightens (BUD-1..5).
 *
 * A value of 24 bytes. Absent fields are their extreme: ASX_TIME_NEVER, UINT32_MAX, UINT64_MAX.
 * Then meet is min, min, min, max, and a bounded semilattice by construction: UNLIMITED is its
 * unit, ZERO absorbs. */
#ifndef ASX_SHARD_BUDGET_H
#define ASX_SHARD_BUDGET_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/time.h>

#include <stdbool.h>
#include <stdint.h>

#define ASX_POLLS_UNLIMITED UINT32_MAX
#define ASX_COST_UNLIMITED UINT64_MAX
#define ASX_PRIORITY_DEFAULT 128u

typedef struct asx_budget {
    asx_instant deadline_ns;
    uint64_t cost_quota;
    uint32_t poll_quota;
    uint8_t priority; /* larger is more urgent */
} asx_budget;

#define ASX_BUDGET_INIT(deadline, polls, cost, prio) \
    {                                                \
        (deadline), (cost), (polls), (prio)          \
    }
static const asx_budget ASX_BUDGET_UNLIMITED =
    ASX_BUDGET_INIT(ASX_TIME_NEVER, ASX_POLLS_UNLIMITED, ASX_COST_UNLIMITED, 0);
static const asx_budget ASX_BUDGET_DEFAULT =
    ASX_BUDGET_INIT(ASX_TIME_NEVER, ASX_POLLS_UNLIMITED, ASX_COST_UNLIMITED, ASX_PRIORITY_DEFAULT);
static const asx_budget ASX_BUDGET_ZERO = ASX_BUDGET_INIT(0, 0, 0, 255);
static const asx_budget ASX_BUDGET_MINIMAL =
    ASX_BUDGET_INIT(ASX_TIME_NEVER, 100, ASX_COST_UNLIMITED, ASX_PRIORITY_DEFAULT);

ASX_INLINE asx_budget asx_budget_meet(asx_budget a, asx_budget b)
{
    asx_budget m;
    m.deadline_ns = a.deadline_ns < b.deadline_ns ? a.deadline_ns : b.deadline_ns;
    m.cost_quota = a.cost_quota < b.cost_quota ? a.cost_quota : b.cost_quota;
    m.poll_quota = a.poll_quota < b.poll_quota ? a.poll_quota : b.poll_quota;
    m.priority = a.priority > b.priority ? a.priority : b.priority;
    return m;
}

ASX_INLINE bool asx_budget_eq(asx_budget a, asx_budget b)
{
    return a.deadline_ns == b.deadline_ns && a.cost_quota == b.cost_quota &&
           a.poll_quota == b.poll_quota && a.priority == b.priority;
}

/* now > deadline: the instant of the deadline still belongs to the task (BUD-8). */
ASX_INLINE bool asx_budget_past_deadline(const asx_budget *budget, asx_instant now_ns)
{
    return now_ns > budget->deadline_ns;
}

#endif
