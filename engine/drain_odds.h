/* The odds against a drain: how likely it is that it does not end in time.
 *
 * Model.  Each look takes a fall off the potential; the falls to come are taken for draws like the
 *         last ones, and two inequalities bound how likely their sum stays below what is left. One
 *         knows only the largest fall (Azuma, 1967), the other their variance too (Freedman, 1975);
 *         that one needs a few looks before it may be believed, and is never the larger.
 *         The mean that both lean on is itself an estimate: it is taken two standard errors low,
 *         and what that may still get wrong is added.
 * Rule.   Advisory: the deadline acts. */
#ifndef ASX_ENGINE_DRAIN_ODDS_H
#define ASX_ENGINE_DRAIN_ODDS_H

#include <asx/shard/drain.h>

ASX_BEGIN_DECLS

#define ASX_DRAIN_ODDS_LOOKS_MIN 10u /* falls seen, for the variance to be used */

typedef struct asx_drain_odds { /* of not ending, 0 to 1 */
    double worst;               /* by the largest fall alone */
    double likely;              /* by their variance; `worst` while too few were seen */
} asx_drain_odds;

/* With `looks_left` looks until the deadline. */
asx_drain_odds asx_drain_odds_of(const asx_drain *drain, uint64_t looks_left);

ASX_END_DECLS

#endif
