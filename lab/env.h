/* What the virtual devices ask of the run they are part of: its clock, its choices, its draws, and
 * where to say what happened.
 *
 * Model.  A run has one env; its drivers, network and disk hold a pointer to it and nothing else of
 *         the run, so that a device can be tested alone, with an env of the test's own.
 * Owner.  The run, whose one thread uses it. Only the run's loop moves the clock. */
#ifndef ASX_LAB_ENV_H
#define ASX_LAB_ENV_H

#include <asx/lab/rand.h>
#include <asx/shard/base/time.h>
#include <asx/shard/driver.h>

typedef struct asx_lab_env asx_lab_env;

struct asx_lab_env {
    asx_instant now_ns; /* virtual; never goes back */
    const asx_lab_rand *rand;

    /* Picks one of n >= 1 alternatives at an asx_choice_site, and records it; 0 is what production
     * would do. n = 1 records nothing. */
    uint32_t (*choose)(asx_lab_env *env, uint32_t site, uint32_t n, uint64_t object);

    /* An event of the trace: a kind of lab/event.h and its payload words. NULL: nobody listens. */
    void (*event)(asx_lab_env *env, uint32_t shard, uint16_t kind, const uint64_t *words,
                  uint32_t count);

    /* The error in which an operation is to end, undone; ASX_OK: it goes on. NULL: no faults. */
    asx_err (*fault)(asx_lab_env *env, uint32_t shard, asx_op_code code);

    /* How many of len bytes a stream moves at once, 1..len. NULL: all of them. */
    uint32_t (*shorten)(asx_lab_env *env, uint32_t shard, uint32_t len);
};

#endif
