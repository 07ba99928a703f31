/* The test kit: everything a test in the lab needs, in one header.
 *
 *     static asx_outcome transfers(asx_cx *cx, void *arg)
 *     {
 *         ...
 *         ASX_LAB_CHECK_EQ(total, 100);
 *         return asx_ok(0);
 *     }
 *
 *     asx_lab_test test = { .name = "transfers", .app = transfers, .config = { .shards = 3 } };
 *     return asx_lab_explore(&test) ? 0 : 1;
 *
 * Model.   A test is a program and a configuration. asx_lab_test_run makes one run of it,
 *          asx_lab_explore searches many for one that fails; that one is shrunk and told, and a
 *          line says how to see it again.
 * Replay.  ASX_LAB_REPLAY=PACK in the environment makes the test of that name repeat the pack
 *          instead, in words; ASX_LAB_SEED=N makes it run that seed only.
 * Rule.    Runs follow one another in one process: what the program keeps outside of its regions is
 *          set back by reset(). */
#ifndef ASX_LAB_KIT_H
#define ASX_LAB_KIT_H

#include <asx/lab/chaos_everywhere.h>
#include <asx/lab/crashpack.h>
#include <asx/lab/explore.h>
#include <asx/lab/lab.h>
#include <asx/shard/cx.h>

ASX_BEGIN_DECLS

typedef struct asx_lab_test { /* zero-filled fields are the defaults */
    const char *name;
    asx_lab_config config;
    asx_task_fn *app;
    void *arg;
    void (*reset)(void *arg);
    void (*judge)(void *arg, asx_lab_report *report);
    const char *strategy; /* "random" (the default), "pct", "pos", "dpor" */
    uint64_t runs;        /* at most; 0: 1,000 */
    const char *packs;   /* folder of crashpacks; NULL: ASX_LAB_PACKS of the environment, or none */
    const char *command; /* that runs this test, for the line of the replay; NULL: "this test" */
    FILE *out;           /* NULL: stderr. Nothing is written about a run that passes */
} asx_lab_test;

/* One run under the configured seed. True: it passed. */
bool asx_lab_test_run(const asx_lab_test *test);

/* Runs until one fails, the strategy has seen everything or the runs are spent. True: none failed.
 */
bool asx_lab_explore(const asx_lab_test *test);

/* Repeats a crashpack of this test, and tells it. True: it failed as it did. */
bool asx_lab_test_replay(const asx_lab_test *test, const char *pack);

/* Inside of a program: what must hold. */
#define ASX_LAB_CHECK(condition)                                                          \
    do {                                                                                  \
        if (!(condition)) {                                                               \
            asx_panic("%s:%d: it does not hold that %s", __FILE__, __LINE__, #condition); \
        }                                                                                 \
    } while (0)

#define ASX_LAB_CHECK_EQ(actual, expected)                                                         \
    do {                                                                                           \
        const unsigned long long asx_a_ = (unsigned long long)(actual);                            \
        const unsigned long long asx_e_ = (unsigned long long)(expected);                          \
        if (asx_a_ != asx_e_) {                                                                    \
            asx_panic("%s:%d: %s is %llu, not %llu", __FILE__, __LINE__, #actual, asx_a_, asx_e_); \
        }                                                                                          \
    } while (0)

ASX_END_DECLS

#endif
