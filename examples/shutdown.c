/* Shutdown that loses nothing: a worker carries jobs from an inbox to an outbox, slowly, and is
 * cancelled in the middle of it. Every job is then in the one or in the other.
 *
 * The order makes it so: room in the outbox first, which may wait and is given back when the worker
 * is cancelled; then the job; then the commit, which can neither wait nor fail. */
#include <asx/asx.h>

#include <stdio.h>

enum { JOBS = 100 };

typedef struct boxes {
    asx_mpsc_receiver inbox;
    asx_mpsc_sender outbox;
} boxes;

static asx_outcome carry(asx_cx *cx, void *arg)
{
    const boxes *const self = arg;
    for (;;) {
        asx_mpsc_permit room;
        int job;
        ASX_TRY(asx_mpsc_reserve(cx, self->outbox, &room));
        ASX_TRY(
            asx_mpsc_recv(cx, self->inbox, &job)); /* cancelled here: the kernel aborts `room` */
        const asx_err err = asx_mpsc_permit_send(cx, room, &job);
        if (err) {
            return asx_fail(err);
        }
        ASX_TRY(asx_sleep(cx, asx_ms(1)));
    }
}

static unsigned count(asx_cx *cx, asx_mpsc_receiver box)
{
    unsigned jobs = 0;
    for (int job; asx_mpsc_try_recv(cx, box, &job) == ASX_OK; jobs++) {
    }
    return jobs;
}

static asx_outcome app(asx_cx *cx, ASX_UNUSED void *engine)
{
    const asx_mpsc_options options = { JOBS, sizeof(int), NULL, "jobs" };
    asx_mpsc_sender inbox_in, outbox_in;
    asx_mpsc_receiver inbox, outbox;
    if (asx_mpsc_open(cx, &options, &inbox_in, &inbox) ||
        asx_mpsc_open(cx, &options, &outbox_in, &outbox)) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    for (int job = 0; job < JOBS; job++) {
        ASX_TRY(asx_mpsc_send(cx, inbox_in, &job));
    }
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        ASX_SPAWN(s, carry, &((boxes){ .inbox = inbox, .outbox = outbox_in }));
        ASX_TRY(asx_sleep(cx, asx_ms(5)));
        asx_scope_cancel(s, ASX_CANCEL_SHUTDOWN, "enough");
    } /* the worker has ended when the block has */
    const unsigned done = count(cx, outbox);
    const unsigned left = count(cx, inbox);
    printf("%u jobs, %s\n", done + left, done > 0 && left > 0 ? "some done, some left" : "?");
    return asx_ok(0);
}

int main(void)
{
    return asx_run(app);
}
