/* Systematic exploration: source sets and sleep sets, one run for each class of schedules.
 *
 * Model.   Depth first over a tree of runs. A turn node knows who was enabled, who was tried
 *          (done), who must still be (backtrack), and whose next step leads nowhere new (sleep).
 *          After each run, every reversible immediate race (e, f) asks the node before e for a
 *          process that can start the run with f before e. Values within a step are data: all of
 *          them are tried, or `data_max` of them, the boundaries first.
 * Claim.   "exhaustive" holds when nothing is left to try and no cap, limit or mismatch was met:
 *          then every class of a terminating program was visited.
 * Owner.   The explorer, until destroy. One process: what is left to try depends on every run.
 * Source.  Abdulla, Aronis, Jonsson & Sagonas, Optimal DPOR, POPL 2014; Godefroid, LNCS 1032. */
#ifndef ASX_LAB_DPOR_H
#define ASX_LAB_DPOR_H

#include <asx/lab/explore_run.h>

ASX_BEGIN_DECLS

/* Choice sites that say when something is seen, and not what: an order of whole turns that sees it
 * later stands for most of what they would add, and they multiply the runs. */
#define ASX_DPOR_TIMING                                                        \
    (UINT64_C(1) << ASX_CHOICE_RINGVIS | UINT64_C(1) << ASX_CHOICE_RINGSPACE | \
     UINT64_C(1) << ASX_CHOICE_RINGORD | UINT64_C(1) << ASX_CHOICE_CQBATCH |   \
     UINT64_C(1) << ASX_CHOICE_CQORD | UINT64_C(1) << ASX_CHOICE_TIMEIO |      \
     UINT64_C(1) << ASX_CHOICE_DOORBELL | UINT64_C(1) << ASX_CHOICE_LATENCY |  \
     UINT64_C(1) << ASX_CHOICE_SKEW)

typedef struct asx_dpor_config { /* zero-filled fields are the defaults */
    uint64_t seed;               /* of every run */
    uint32_t data_max;           /* values tried of one question; 4 */
    uint64_t fixed_sites;        /* questions of these choice sites are answered 0 */
    bool sleepless;              /* without sleep sets: for measuring what they save */
} asx_dpor_config;

typedef struct asx_dpor_counts {
    uint64_t runs;
    uint64_t sleep_blocked; /* runs that ended because everyone was asleep */
    uint64_t races;         /* immediate ones between steps of different processes */
    uint64_t reversible;
    uint64_t backtracks;   /* processes that races added to nodes */
    uint64_t pruned_done;  /* races that asked for nothing new */
    uint64_t pruned_sleep; /* processes not tried because they slept */
    uint64_t data_capped;  /* questions of which not all values were tried */
    uint64_t fixed;        /* questions that were answered 0 because of their site */
    uint64_t fixed_sites;  /* which sites those had */
    uint64_t diverged;     /* runs in which the same answers met another question */
    uint64_t limited;      /* runs that met a limit */
    uint32_t depth_max;    /* nodes */
    bool finished;         /* nothing is left to try */
} asx_dpor_counts;

/* config  NULL: all defaults */
asx_strategy *asx_dpor_create(const asx_dpor_config *config);

asx_dpor_counts asx_dpor_counts_of(const asx_strategy *dpor);

/* Whether all classes were visited; if not, `why` (may be NULL) is what stood against it. */
bool asx_dpor_exhaustive(const asx_strategy *dpor, const char **why);

ASX_END_DECLS

#endif
