/* Plans: joins, races and timeouts as data, so that one can be rewritten before it runs (10.5).
 *
 * Model.  An expression over leaves. Nodes are never changed: a rewrite makes new ones and shares
 *         the rest, so that the plan before and the plan after stand side by side and can be
 *         compared. A node that stands twice in an expression runs twice.
 * Owner.  The region of the cx that opened it, whose heap holds the nodes. What the leaves point
 *         at is the caller's, and outlives every run.
 * Errors. A builder that cannot build answers ASX_PLAN_NONE, and what is built upon that is
 *         ASX_PLAN_NONE too; running it is Err(INVALID_ARGUMENT).
 * Cancel. As the combinators that a plan is run with. */
#ifndef ASX_SHARD_COMBINE_PLAN_H
#define ASX_SHARD_COMBINE_PLAN_H

#include <asx/shard/base/decls.h>
#include <asx/shard/combine/branch.h>

ASX_BEGIN_DECLS

#define ASX_PLAN_NODES_MAX 4096u /* of one plan, those that rewrites make included */
#define ASX_PLAN_CHILDREN_MAX 64u
#define ASX_PLAN_DEPTH_MAX 32u     /* each level is a fiber while it runs */
#define ASX_PLAN_LEAVES_MAX 65536u /* of an expression, each as often as it stands there */

typedef struct asx_plan asx_plan;
typedef uint32_t asx_plan_id;
#define ASX_PLAN_NONE UINT32_MAX

typedef enum asx_plan_kind {
    ASX_PLAN_LEAF,
    ASX_PLAN_JOIN,
    ASX_PLAN_RACE,
    ASX_PLAN_RACE_UNBIASED,
    ASX_PLAN_TIMEOUT,
} asx_plan_kind;

/* What a leaf promises; no rewrite that needs a promise is made without it. */
enum {
    /* Its outcome depends on its argument alone, it has no effect, and it never waits: nobody can
     * tell how often it ran, or when. */
    ASX_PLAN_PURE = 1u << 0,
    /* Shares nothing with its siblings. */
    ASX_PLAN_INDEPENDENT = 1u << 1,
    /* Once asked to stop it ends Cancelled, and makes no value any more. */
    ASX_PLAN_PROMPT = 1u << 2,
};

/* errors  INVALID_ARGUMENT: nodes_max is 0 or above the limit; NO_MEMORY, REGION_CLOSED */
ASX_NODISCARD asx_err asx_plan_open(asx_cx *cx, uint32_t nodes_max, asx_plan **plan);

asx_plan_id asx_plan_leaf(asx_plan *plan, const asx_branch *branch, uint32_t promises);
/* count 0 is join's neutral element. */
asx_plan_id asx_plan_join(asx_plan *plan, const asx_plan_id *children, uint32_t count);
/* count > 0. */
asx_plan_id asx_plan_race(asx_plan *plan, const asx_plan_id *children, uint32_t count);
/* A tie is broken by a draw, not by the order of the children. */
asx_plan_id asx_plan_race_unbiased(asx_plan *plan, const asx_plan_id *children, uint32_t count);
asx_plan_id asx_plan_timeout(asx_plan *plan, asx_duration timeout, asx_plan_id child);

/* errors  INVALID_ARGUMENT: no such node; else what the combinators answer */
ASX_NODISCARD asx_outcome asx_plan_run(asx_cx *cx, const asx_plan *plan, asx_plan_id root);

/* As text, `join(a, timeout(5 ms, b))`, leaves by their labels, cut to `size`.
 * returns  the length it has uncut */
size_t asx_plan_print(const asx_plan *plan, asx_plan_id root, char *text, size_t size);
/* The same expression, leaf by leaf. */
bool asx_plan_equal(const asx_plan *plan, asx_plan_id a, asx_plan_id b);

/* Rewrites */

typedef enum asx_law {
    ASX_LAW_JOIN_ASSOC,       /* join(a, join(b, c), d) = join(a, b, c, d) */
    ASX_LAW_JOIN_COMM,        /* join(a, b) = join(b, a), by severity */
    ASX_LAW_RACE_ASSOC,       /* race(a, race(b, c), d) = race(a, b, c, d) */
    ASX_LAW_RACE_COMM,        /* race(a, b) = race(b, a), where neither is preferred */
    ASX_LAW_TIMEOUT_MIN,      /* timeout(d, timeout(e, a)) = timeout(min(d, e), a) */
    ASX_LAW_TIMEOUT_IDENTITY, /* timeout(never, a) = a */
    ASX_LAW_DEDUP_RACE_JOIN,  /* race(join(a, b), join(a, c)) = join(a, race(b, c)), by severity */
} asx_law;
#define ASX_LAW_COUNT 7u

/* "LAW-JOIN-ASSOC" */
const char *asx_law_name(asx_law law);
/* The outcomes agree in severity only. */
bool asx_law_is_by_severity(asx_law law);

/* Why `law` cannot be applied to child `at` of `node` (ASSOC: the nested one; COMM: it and the
 * next; else 0), in words; NULL: it can. */
const char *asx_plan_why_not(const asx_plan *plan, asx_plan_id node, asx_law law, uint32_t at);
/* NONE where it cannot be applied, or the plan is full. */
asx_plan_id asx_plan_rewrite(asx_plan *plan, asx_plan_id node, asx_law law, uint32_t at);

typedef struct asx_plan_step {
    asx_plan_id before, after;
    asx_law law;
    uint32_t at;
} asx_plan_step;

/* Applies what makes fewer tasks, from the leaves up, until nothing does. by_severity: also what
 * keeps only the severity. steps, of steps_max entries, gets each application; *step_count how many
 * there were: it ends when they are full. */
asx_plan_id asx_plan_optimise(asx_plan *plan, asx_plan_id root, bool by_severity,
                              asx_plan_step *steps, uint32_t steps_max, uint32_t *step_count);
/* Whether the step is what its law says, side conditions included. */
bool asx_plan_step_holds(asx_plan *plan, const asx_plan_step *step);

ASX_END_DECLS

#endif
