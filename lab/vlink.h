/* Links: what the way between two hosts does to what is sent over it.
 *
 * Model.  Conditions of one direction, and one verdict a packet, drawn from (object, operation) and
 *         nothing else: taking one packet out of a run changes no other's fate. A byte stream sees
 *         loss as delay.
 * Bounds. Integers only: every host draws the same. */
#ifndef ASX_LAB_VLINK_H
#define ASX_LAB_VLINK_H

#include <asx/lab/rand.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>
#include <asx/shard/base/time.h>

#include <stdbool.h>

ASX_BEGIN_DECLS

typedef enum asx_vlink_model {
    ASX_VLINK_FIXED = 0,  /* latency_ns */
    ASX_VLINK_UNIFORM,    /* latency_ns .. latency_ns + spread_ns */
    ASX_VLINK_NORMAL,     /* mean latency_ns, standard deviation spread_ns, never below 0 */
    ASX_VLINK_LOG_NORMAL, /* median latency_ns, one deviation up is latency_ns + spread_ns */
    ASX_VLINK_BIMODAL,    /* latency_ns, or latency_ns + spread_ns for far_ppm */
} asx_vlink_model;

const char *asx_vlink_model_name(asx_vlink_model model);

typedef struct asx_vlink_conditions { /* zero-filled: at once, and nothing is lost */
    asx_vlink_model model;
    asx_duration latency_ns, spread_ns;
    uint32_t far_ppm;
    asx_duration jitter_ns; /* up to so much more */
    asx_duration burst_ns;  /* so much more for burst_ppm */
    uint64_t bandwidth;     /* bytes a second; 0: no limit */
    uint32_t burst_ppm, loss_ppm, corrupt_ppm, truncate_ppm, reorder_ppm, duplicate_ppm;
    uint32_t in_flight_max; /* packets; 0: no limit */
    uint32_t mtu;           /* longer packets vanish; 0: no limit */
} asx_vlink_conditions;

/* ideal, local, lan, wan, lossy, satellite, congested.
 * errors  INVALID_ARGUMENT for any other name */
ASX_NODISCARD asx_err asx_vlink_preset(const char *name, asx_vlink_conditions *conditions);

/* What becomes of one packet. */
typedef struct asx_vlink_verdict {
    bool lost, corrupted, truncated, reordered, duplicated;
    asx_duration delay_ns;           /* without what the bandwidth adds */
    asx_duration duplicate_delay_ns; /* of the second copy, after the first */
    uint64_t damage;                 /* a draw: which bit, which length */
} asx_vlink_verdict;

asx_vlink_verdict asx_vlink_judge(const asx_vlink_conditions *conditions, const asx_lab_rand *rand,
                                  uint64_t object, uint64_t op);

/* The latency alone. */
asx_duration asx_vlink_latency(const asx_vlink_conditions *conditions, uint64_t draw);

/* How long `bytes` keep a link of this bandwidth busy. */
asx_duration asx_vlink_serialisation(const asx_vlink_conditions *conditions, uint64_t bytes);

ASX_END_DECLS

#endif
