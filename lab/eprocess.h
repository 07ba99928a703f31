/* E-processes: a test of "violations are rarer than p0" that may be looked at after every report.
 *
 * Model.   The null says that each report is a violation with conditional probability <= p0. A bet
 *          of lambda on violations multiplies its wealth by 1 + lambda * (x - p0), which is fair or
 *          worse under the null; by Ville's inequality the wealth ever reaches 1/alpha with
 *          probability <= alpha. Several bets side by side start with equal shares: their mean is
 *          an e-process too, and needs no guess of the true rate.
 * Owner.   Whoever counts. Rates only: one violation of a hard invariant is a bug by itself.
 * Source.  Shafer & Vovk, Game-Theoretic Foundations, 2019; Ramdas et al., Stat. Sci. 2023. */
#ifndef ASX_LAB_EPROCESS_H
#define ASX_LAB_EPROCESS_H

#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_EPROCESS_BETS_MAX 8

typedef struct asx_eprocess_config { /* zero-filled fields are the defaults */
    double p0;                       /* the violation rate that is allowed; 0.001 */
    double lambda;                   /* a single bet, 0 < lambda < 1/p0; 0: the mixture */
    double alpha;                    /* false rejections tolerated, for the whole family; 0.05 */
    uint32_t family;                 /* how many such tests share alpha (Bonferroni); 1 */
    double evalue_max;               /* a cap, which keeps the guarantee; 1e15 */
} asx_eprocess_config;

typedef struct asx_eprocess {
    asx_eprocess_config config;
    uint64_t observations, violations;
    uint64_t rejected_at; /* the observation, from 1, at which it first rejected; 0: it did not */
    uint32_t _bets;
    double _lambda[ASX_EPROCESS_BETS_MAX];
    double _log_e[ASX_EPROCESS_BETS_MAX];
} asx_eprocess;

/* config  NULL: all defaults
 * asserts  every bet is within what p0 allows */
void asx_eprocess_init(asx_eprocess *process, const asx_eprocess_config *config);

/* One report; a vacuous one (nothing was checked) is no observation and must not come here.
 * Returns whether the null is rejected, now or earlier. */
bool asx_eprocess_observe(asx_eprocess *process, bool violation);

double asx_eprocess_evalue(const asx_eprocess *process);
double asx_eprocess_log10(const asx_eprocess *process);

/* One line for people, or one JSON object; always terminated. Returns `buf`. */
const char *asx_eprocess_text(const asx_eprocess *process, char *buf, size_t cap);
const char *asx_eprocess_json(const asx_eprocess *process, char *buf, size_t cap);

ASX_END_DECLS

#endif
