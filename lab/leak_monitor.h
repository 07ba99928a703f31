/* Leak monitor: are obligations of one kind being resolved as fast as they should be?
 *
 * Model.   The null says that every pending obligation resolves with hazard >= 1/tau. With A the
 *          time that obligations spent pending, summed, and K their resolutions, the likelihood
 *          ratio of hazard rho/tau against it is ln E = (1 - rho) A/tau + K ln rho: a non-negative
 *          supermartingale under the null, so a look at any instant is sound. A long healthy past
 *          is credit that hides a later leak; the same sum that never falls below zero (CUSUM)
 *          forgets it, gives up the guarantee "ever", and keeps 1/alpha looks between false alarms.
 * Bounds.  O(1) an event.
 * Owner.   One shard and kind of obligation.
 * Source.  Ville's inequality for the ratio; Page, Biometrika 1954, for the CUSUM. */
#ifndef ASX_LAB_LEAK_MONITOR_H
#define ASX_LAB_LEAK_MONITOR_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/time.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef enum asx_leak_state { ASX_LEAK_CLEAR, ASX_LEAK_WATCHING, ASX_LEAK_ALERT } asx_leak_state;

typedef struct asx_leak_config { /* zero-filled fields are the defaults */
    asx_duration tau_ns;         /* 10 ms */
    double alpha;                /* 0.01 */
    double rho;                  /* 0.5 */
} asx_leak_config;

typedef struct asx_leak_monitor {
    asx_leak_config config;
    uint64_t pending;
    uint64_t resolved;
    double log_e; /* of the ratio, up to _last_ns */
    double cusum; /* the same, never below zero */
    asx_instant _last_ns;
} asx_leak_monitor;

/* config  NULL: all defaults */
void asx_leak_monitor_init(asx_leak_monitor *monitor, const asx_leak_config *config,
                           asx_instant now_ns);

void asx_leak_monitor_reserved(asx_leak_monitor *monitor, asx_instant now_ns);
void asx_leak_monitor_resolved(asx_leak_monitor *monitor, asx_instant now_ns);

/* Brings both sums up to now. WATCHING: one of them says more than "even"; ALERT: one of them has
 * reached ln(1/alpha). */
asx_leak_state asx_leak_monitor_scan(asx_leak_monitor *monitor, asx_instant now_ns);

const char *asx_leak_state_name(asx_leak_state state);

/* ln E over finished lifetimes, one of each obligation: E is the product of max(1, age/tau) over
 * 1 + 1/e. Polling the ages of what is still pending breaks the guarantee: those go to a monitor.
 * Fewer than three lifetimes are no evidence yet: alert when count >= 3 and E >= 1/alpha. */
double asx_leak_log_e_of_lifetimes(const asx_duration *ages_ns, size_t count, asx_duration tau_ns);

/* A pending obligation, as an alert names it. */
typedef struct asx_leak_suspect {
    uint64_t obligation, holder, region;
    asx_duration age_ns;
    const char *checkpoint; /* the holder's last message; may be NULL */
} asx_leak_suspect;

/* Writes the alert, the oldest suspects first (then by id): a number alone helps nobody.
 *
 * suspects  reordered
 * lines_max how many of them to name */
const char *asx_leak_monitor_text(const asx_leak_monitor *monitor, asx_leak_suspect *suspects,
                                  size_t count, size_t lines_max, char *buf, size_t cap);

ASX_END_DECLS

#endif
