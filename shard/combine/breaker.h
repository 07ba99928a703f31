/* Circuit breakers: calls that keep failing are refused for a while (CMB-17).
 *
 *   CLOSED ──too many failures──> OPEN ──open_ns──> HALF_OPEN ──enough successes──> CLOSED
 *                                  ^                    └──one failure──> OPEN
 *
 * Model.  HALF_OPEN lets a few probes through. A probe carries the epoch in which it began; what an
 *         older epoch answers is ignored. A panic is a failure whatever the predicate says; a call
 *         that was cancelled says nothing, and gives its probe back.
 * Owner.  Memory of the caller's, of one shard; it must outlive its calls. */
#ifndef ASX_SHARD_COMBINE_BREAKER_H
#define ASX_SHARD_COMBINE_BREAKER_H

#include <asx/shard/base/decls.h>
#include <asx/shard/task.h>

ASX_BEGIN_DECLS

#define ASX_BREAKER_WINDOW_MAX 256u

typedef enum asx_breaker_state {
    ASX_BREAKER_CLOSED = 0,
    ASX_BREAKER_OPEN,
    ASX_BREAKER_HALF_OPEN,
} asx_breaker_state;

typedef struct asx_breaker_options {            /* zero-filled fields are the defaults */
    uint32_t failure_threshold;                 /* in a row; 0: 5 */
    uint32_t success_threshold;                 /* of probes; 0: 2 */
    uint32_t probes_max;                        /* at once; 0: 1 */
    asx_duration open_ns;                       /* 0: 30 s */
    bool (*is_failure)(asx_err err, void *arg); /* NULL: every Err is one */
    void *is_failure_arg;
    uint32_t window;              /* calls that are looked back at, <= ASX_BREAKER_WINDOW_MAX; 0: no
                                      window */
    uint32_t window_calls_min;    /* before the window is judged */
    uint32_t window_failures_ppm; /* of the calls in it, that open */
} asx_breaker_options;

typedef struct asx_breaker {
    asx_breaker_options _options;
    uint8_t _state; /* asx_breaker_state */
    asx_instant _opened_at;
    uint64_t _epoch;
    uint32_t _failures, _successes, _probes;
    uint32_t _window_at, _window_count, _window_failures;
    uint8_t _window[ASX_BREAKER_WINDOW_MAX / 8];
} asx_breaker;

void asx_breaker_init(asx_breaker *breaker, const asx_breaker_options *options);

/* Calls fn in this task, if the breaker lets it.
 * remaining_ns  with CIRCUIT_OPEN: until a probe is let through, 0 when the probes are out; NULL
 *               allowed
 * errors        CIRCUIT_OPEN, and what fn answers */
ASX_NODISCARD asx_outcome asx_breaker_call(asx_cx *cx, asx_breaker *breaker, asx_task_fn *fn,
                                           void *arg, asx_duration *remaining_ns);

asx_breaker_state asx_breaker_state_of(const asx_breaker *breaker, asx_instant now_ns);
const char *asx_breaker_state_name(asx_breaker_state state);

ASX_END_DECLS

#endif
