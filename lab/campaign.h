/* Campaigns: many seeds of one program over several processes, and a sample of them repeated.
 *
 * Model.   Seed first + i is run i. Each process makes every jobs-th run; the parent hears of them
 *          in order, so that what a campaign says depends on neither the number of processes nor
 *          their speed. It ends at the first run that failed, diverged, or took its process along.
 * Replays. So many of the runs, evenly spread, are recorded and followed to the last event. */
#ifndef ASX_LAB_CAMPAIGN_H
#define ASX_LAB_CAMPAIGN_H

#include <asx/lab/lab.h>

ASX_BEGIN_DECLS

typedef struct asx_campaign_sum {
    uint64_t passed; /* runs */
    uint64_t replayed;
    uint64_t dispatches, events, choices, faults;
    asx_duration vtime_ns;
} asx_campaign_sum;

typedef struct asx_campaign asx_campaign;
struct asx_campaign {
    asx_task_fn *app; /* its argument is NULL */
    uint64_t first, count, replays;
    uint32_t jobs; /* processes, 1 at least */
    void (*configure)(const asx_campaign *self, uint64_t seed, asx_lab_config *config);
    /* Called after runs; may be NULL. */
    void (*progress)(const asx_campaign *self, const asx_campaign_sum *sum);
    const void *arg; /* for the functions above */
};

typedef enum asx_campaign_end {
    ASX_CAMPAIGN_PASSED = 0,
    ASX_CAMPAIGN_FAILED,       /* the run with seed first + sum.passed */
    ASX_CAMPAIGN_DIVERGED,     /* its replay was another run */
    ASX_CAMPAIGN_CRASHED,      /* it ended its process: `why` */
    ASX_CAMPAIGN_NO_PROCESSES, /* the system has no more */
} asx_campaign_end;

#define ASX_CAMPAIGN_WHY_MAX 96u

/* why  filled when a run ended its process */
asx_campaign_end asx_campaign_run(const asx_campaign *self, asx_campaign_sum *sum,
                                  char why[ASX_CAMPAIGN_WHY_MAX]);

/* Whether run `index` is one of those that are repeated. */
bool asx_campaign_replays(const asx_campaign *self, uint64_t index);

/* One run, recorded and then followed; fills both. True: it was the same run. The divergence's rows
 * are its own; the report is to be deinited. */
struct asx_lab_divergence;
bool asx_campaign_replay(asx_task_fn *app, const asx_lab_config *config, asx_lab_report *report,
                         struct asx_lab_divergence *divergence);

ASX_END_DECLS

#endif
