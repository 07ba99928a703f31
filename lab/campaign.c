#include <asx/lab/campaign.h>
#include <asx/lab/schedule.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"
#include "worker_internal.h"

#include <stdio.h>

#define HEAR_MS 100 /* between two looks at the clock while nothing is heard */

/* What a child says of one run. */
typedef struct frame {
    asx_campaign_end end;
    bool replayed;
    uint64_t dispatches, events, choices, faults;
    asx_duration vtime_ns;
} frame;

typedef struct share {
    const asx_campaign *campaign;
    uint64_t index; /* the first; then every jobs-th */
} share;

bool asx_campaign_replays(const asx_campaign *self, uint64_t index)
{
    const uint64_t replays = self->replays < self->count ? self->replays : self->count;
    /* The integer part of index * replays / count grows `replays` times. */
    return (unsigned __int128)index * replays / self->count !=
           (unsigned __int128)(index + 1) * replays / self->count;
}

bool asx_campaign_replay(asx_task_fn *app, const asx_lab_config *config, asx_lab_report *report,
                         asx_lab_divergence *divergence)
{
    asx_lab_config recorded = *config;
    asx_lab_schedule schedule;
    asx_lab_report again;
    recorded.keep_schedule = true;
    (void)asx_lab_run(&recorded, app, NULL, report);
    asx_lab_schedule_of(report, &schedule);
    const bool same = asx_lab_replay(config, app, NULL, &schedule, divergence, &again);
    asx_lab_report_deinit(&again);
    asx_lab_schedule_deinit(&schedule);
    return same;
}

static frame run_of(const asx_campaign *self, uint64_t index)
{
    asx_lab_config config;
    asx_lab_report report;
    frame f = { .replayed = asx_campaign_replays(self, index) };
    bool same = true;
    self->configure(self, self->first + index, &config);
    if (f.replayed) {
        asx_lab_divergence *const divergence = asxi_lab_alloc(1, sizeof(*divergence));
        same = asx_campaign_replay(self->app, &config, &report, divergence);
        asxi_lab_free(divergence);
    } else {
        (void)asx_lab_run(&config, self->app, NULL, &report);
    }
    f.dispatches = report.dispatches;
    f.events = report.trace_total;
    f.choices = report.choice_count;
    f.faults = asx_chaos_injected(&report.chaos);
    f.vtime_ns = report.now_ns;
    f.end = !asx_lab_report_passed(&report) ? ASX_CAMPAIGN_FAILED
            : !same                         ? ASX_CAMPAIGN_DIVERGED
                                            : ASX_CAMPAIGN_PASSED;
    asx_lab_report_deinit(&report);
    return f;
}

static bool work(const void *arg, int fd)
{
    const share *const self = arg;
    const asx_campaign *const campaign = self->campaign;
    for (uint64_t i = self->index; i < campaign->count; i += campaign->jobs) {
        const frame f = run_of(campaign, i);
        if (!asxi_worker_write(fd, &f, sizeof(f))) {
            return false;
        }
    }
    return true;
}

static void tell(const asx_campaign *self, const asx_campaign_sum *sum)
{
    if (self->progress) {
        self->progress(self, sum);
    }
}

/* Hears of run `index`. */
static asx_campaign_end hear(const asx_campaign *self, asxi_worker *worker, uint64_t index,
                             asx_campaign_sum *sum, char *why)
{
    const share part = { self, index };
    frame f;
    if (worker->pid == 0 && !asxi_worker_start(worker, work, &part)) {
        return ASX_CAMPAIGN_NO_PROCESSES;
    }
    while (!asxi_worker_ready(worker, HEAR_MS)) {
        tell(self, sum);
    }
    if (!asxi_worker_read(worker, &f, sizeof(f))) {
        asxi_worker_end_tell(asxi_worker_reap(worker), why, ASX_CAMPAIGN_WHY_MAX);
        return ASX_CAMPAIGN_CRASHED;
    }
    if (f.end == ASX_CAMPAIGN_PASSED) {
        sum->passed++;
        sum->replayed += f.replayed;
        sum->dispatches += f.dispatches;
        sum->events += f.events;
        sum->choices += f.choices;
        sum->faults += f.faults;
        sum->vtime_ns = asx_time_add(sum->vtime_ns, f.vtime_ns);
        tell(self, sum);
    }
    return f.end;
}

asx_campaign_end asx_campaign_run(const asx_campaign *self, asx_campaign_sum *sum,
                                  char why[ASX_CAMPAIGN_WHY_MAX])
{
    asx_campaign_end end = ASX_CAMPAIGN_PASSED;
    asx_assert_lt(0, self->jobs);
    asxi_worker *const workers = asxi_lab_alloc(self->jobs, sizeof(*workers));
    *sum = (asx_campaign_sum){ 0 };
    for (uint64_t i = 0; i < self->count && end == ASX_CAMPAIGN_PASSED; i++) {
        end = hear(self, &workers[i % self->jobs], i, sum, why);
    }
    for (uint32_t i = 0; i < self->jobs; i++) {
        asxi_worker_stop(&workers[i]);
    }
    asxi_lab_free(workers);
    return end;
}
