/* A message or a timeout, whichever comes first: asked twice, once for each to happen. */
#include <asx/asx.h>

#include <stdio.h>

static asx_outcome send_later(asx_cx *cx, void *arg)
{
    const asx_mpsc_sender *const tx = arg;
    const int message = 7;
    ASX_TRY(asx_sleep(cx, asx_ms(1)));
    return asx_mpsc_send(cx, *tx, &message);
}

/* The case that was not chosen has taken nothing: there is no message that it could have lost. */
static asx_outcome receive(asx_cx *cx, asx_mpsc_receiver rx, asx_duration timeout)
{
    int message;
    asx_select select = { .biased = true };
    asx_select_case cases[] = {
        asx_case_recv(rx, &message),
        asx_case_at(asx_now(cx) + timeout),
    };
    const asx_outcome chosen = asx_select_wait(cx, &select, cases, 2);
    ASX_TRY(chosen);
    if (chosen.value == 0) {
        ASX_TRY(cases[0].outcome);
        printf("message %d\n", message);
    } else {
        printf("timeout\n");
    }
    return asx_ok(0);
}

static asx_outcome app(asx_cx *cx, ASX_UNUSED void *engine)
{
    const asx_mpsc_options options = { 1, sizeof(int), NULL, "messages" };
    asx_mpsc_sender tx;
    asx_mpsc_receiver rx;
    if (asx_mpsc_open(cx, &options, &tx, &rx)) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    ASX_SCOPE(cx, s, ASX_FAIL_FAST) {
        ASX_SPAWN(s, send_later, &tx);
        ASX_TRY(receive(&s->cx, rx, asx_s(60)));
        ASX_TRY(receive(&s->cx, rx, asx_ms(1)));
    }
    return asx_ok(0);
}

int main(void)
{
    return asx_run(app);
}
