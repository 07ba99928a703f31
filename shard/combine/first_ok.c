#include <asx/shard/combine/first_ok.h>

/* The outcome of one branch alone in a scope of its own. */
static asx_outcome run_alone(asx_cx *cx, const asx_branch *branch)
{
    return asx_race(cx, branch, 1, NULL);
}

asx_outcome asx_first_ok(asx_cx *cx, const asx_branch *branches, uint32_t count, asx_err *errors,
                         asx_attempts *attempts)
{
    asx_attempts none;
    attempts = attempts ? attempts : &none;
    *attempts = (asx_attempts){ 0 };
    for (uint32_t i = 0; errors && i < count; i++) {
        errors[i] = ASX_OK;
    }
    if (count == 0) {
        return asx_fail(ASX_E(EMPTY));
    }
    for (uint32_t i = 0; i < count; i++) {
        attempts->attempted = i + 1;
        attempts->winner = i;
        const asx_outcome outcome = run_alone(cx, &branches[i]);
        if (outcome.severity != ASX_SEVERITY_ERR) {
            return outcome;
        }
        if (errors) {
            errors[i] = outcome.err;
        }
    }
    return asx_fail(ASX_E(ALL_FAILED));
}
