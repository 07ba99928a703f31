#include <asx/shard/combine/hedge.h>

#include "set_internal.h"

/* Both run. */
static asx_outcome hedge_race(asxi_set *set, asx_cx *cx, const asx_branch *branches, bool ok_only,
                              uint32_t *winner)
{
    for (;;) {
        for (uint32_t i = 0; i < 2; i++) {
            const asxi_joiner *const joiner = &set->joiners[i];
            if (joiner->told && (!ok_only || joiner->outcome.severity != ASX_SEVERITY_ERR)) {
                *winner = i;
                return asxi_set_finish(set, cx, branches, (int)i);
            }
        }
        if (asxi_set_all_done(set)) {
            break;
        }
        if (asxi_set_wait(set, cx, "hedge", ASX_TIME_NEVER) != ASXI_WOKEN) {
            return asxi_set_finish_cancelled(set, cx, branches);
        }
    }
    *winner = 0; /* two errors: the primary's by OUT-2 */
    return asxi_task_lend(cx->_task,
                          asx_outcome_join(set->joiners[0].outcome, set->joiners[1].outcome));
}

static asx_outcome hedge_run(asxi_set *set, asx_scope *scope, asx_cx *cx,
                             const asx_branch *branches, const asx_hedge_options *options,
                             uint32_t *winner)
{
    const asx_duration delay_ns = options->delay_ns ? options->delay_ns : ASX_HEDGE_DELAY_NS;
    const asx_instant backup_ns = asx_time_add(cx->_shard->now_ns, delay_ns);
    asxi_set_wait_init(set, &scope->cx);
    asx_err err = asxi_set_start_one(set, scope, &branches[0]);
    if (err) {
        return asx_fail(err);
    }
    const asxi_woken woken = asxi_set_wait(set, cx, "hedge", backup_ns);
    if (woken == ASXI_WOKEN_CANCELLED) {
        return asxi_set_finish_cancelled(set, cx, branches);
    }
    if (set->joiners[0].told) {
        return asxi_task_lend(cx->_task, set->joiners[0].outcome);
    }
    err = asxi_set_start_one(set, scope, &branches[1]);
    if (!err) {
        return hedge_race(set, cx, branches, options->ok_only, winner);
    }
    asxi_set_drain(set, cx);
    const asx_outcome primary = set->joiners[0].outcome;
    const bool counts = asx_is_ok(primary) || primary.severity == ASX_SEVERITY_PANICKED;
    return counts ? asxi_task_lend(cx->_task, primary) : asx_fail(err);
}

asx_outcome asx_hedge(asx_cx *cx, const asx_branch branches[2], const asx_hedge_options *options,
                      uint32_t *winner)
{
    static const asx_hedge_options defaults;
    asxi_set set;
    uint32_t first = 0;
    asx_outcome result = asx_ok(0);
    if (asxi_observe_cancel(cx)) {
        return asxi_cancelled(cx);
    }
    const asx_err refused = asxi_set_open(&set, cx, 2);
    if (refused) {
        return asx_fail(refused);
    }
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        result = hedge_run(&set, s, cx, branches, options ? options : &defaults, &first);
    }
    asxi_set_close(&set);
    if (winner) {
        *winner = first;
    }
    return result;
}
