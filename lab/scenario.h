/* Scenarios: named programs that the lab's command runs, and its golden file pins.
 *
 * Model.   A scenario is a program, the least configuration it needs, and a line for people. It
 *          must be its own judge: what must hold is asserted inside, and a failed assertion is a
 *          violation of the run. */
#ifndef ASX_LAB_SCENARIO_H
#define ASX_LAB_SCENARIO_H

#include <asx/lab/lab.h>

ASX_BEGIN_DECLS

typedef struct asx_lab_scenario {
    const char *name;
    const char *about;
    uint32_t shards; /* by default; the program works on any number from shards_min */
    uint32_t shards_min;
    asx_task_fn *app;
    void (*configure)(asx_lab_config *config); /* NULL: nothing beyond the defaults */
    bool withstands; /* it judges only what holds under every fault: cancellation, lateness, errors,
                        missing memory */
} asx_lab_scenario;

/* The lab's own, in the order of names. */
const asx_lab_scenario *asx_lab_scenario_list(uint32_t *count);
/* NULL: there is none. */
const asx_lab_scenario *asx_lab_scenario_find(const char *name);

/* The same among more of them: those of the rooms above, of which the last has no name. more may be
 * NULL. */
const asx_lab_scenario *asx_lab_scenario_among(const asx_lab_scenario *more, const char *name);
/* The known name that is nearest to a mistyped one. */
const char *asx_lab_scenario_nearest(const asx_lab_scenario *more, const char *name);

/* The configuration it runs under; shards 0: its default. The program is given a pointer to it. */
asx_lab_config asx_lab_scenario_config(const asx_lab_scenario *scenario, uint64_t seed,
                                       uint32_t shards);

ASX_END_DECLS

#endif
