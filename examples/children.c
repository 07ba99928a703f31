/* Three children, one of which fails: the others are cancelled, clean up, and are waited for. */
#include <asx/asx.h>

#include <stdio.h>

enum { NOT_FOUND = 404 };

static asx_outcome fetch(asx_cx *cx, void *arg)
{
    unsigned *const cleaned_up = *(unsigned **)arg;
    const asx_outcome slept = asx_sleep(cx, asx_s(60));
    *cleaned_up += 1; /* also when cancelled: the call returned, as any call does */
    return slept;
}

static asx_outcome fail(asx_cx *cx, ASX_UNUSED void *arg)
{
    ASX_TRY(asx_sleep(cx, asx_ms(1)));
    return asx_fail(ASX_ERR(ASX_ERR_DOMAIN_HTTP, NOT_FOUND));
}

static asx_outcome app(asx_cx *cx, ASX_UNUSED void *engine)
{
    unsigned cleaned_up = 0;
    unsigned *const counter = &cleaned_up;
    asx_outcome outcome;
    ASX_SCOPE(cx, s, ASX_FAIL_FAST, &outcome) {
        ASX_SPAWN(s, fetch, &counter);
        ASX_SPAWN(s, fetch, &counter);
        ASX_SPAWN(s, fail, &counter);
    }
    if (outcome.severity == ASX_SEVERITY_ERR) {
        printf("failed with %u, %u siblings cleaned up\n", (unsigned)asx_err_code(outcome.err),
               cleaned_up);
    }
    return asx_ok(0);
}

int main(void)
{
    return asx_run(app);
}
