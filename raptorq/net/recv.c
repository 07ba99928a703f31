#include <asx/raptorq/net/link.h>
#include <asx/raptorq/net/recv.h>
#include <asx/shard/op.h>

#include <string.h>

enum {
    RECEIVES = 32,
    SENDS = 8,
    SOCKET_BYTES = 8 << 20,
    PROGRESS_EVERY_NS = 100 * 1000 * 1000,
    LINGERS_MAX = 5,
    JOURNAL_EVERY_NS = 1000 * 1000 * 1000,
};

typedef struct receiving {
    const asx_rq_recv_config *config;
    asx_rq_receiver *receiver;
    asx_rq_link *link;
    asx_instant heard_ns; /* the last datagram of the object, or the beginning */
    asx_instant ended_ns; /* done or failed; 0 before */
    asx_instant shown_ns;
    asx_op finish; /* check and store */
    asx_err finished;
    asx_rq_journal *journal; /* NULL: none */
    asx_instant written_ns;
    asx_err journaled;
    bool is_over; /* the journal has served */
    bool is_kept;
    uint64_t resumed;
} receiving;

static void work(asx_op *op)
{
    const receiving *r = op->work_arg;
    asx_rq_receiver_work(r->receiver);
}

static void finish_work(asx_op *op)
{
    receiving *r = op->work_arg;
    r->finished = asx_rq_receiver_finish(r->receiver);
}

static void pool_done(asx_op *op)
{
    const receiving *r = op->work_arg;
    asx_rq_link_wake(r->link);
}

static void journal_begin(asx_op *op)
{
    receiving *r = op->work_arg;
    r->journaled = asx_rq_journal_open(&r->journal, r->config->journal);
    if (r->journaled == ASX_OK) {
        r->journaled = asx_rq_journal_replay(r->journal, r->receiver);
        r->resumed = asx_rq_receiver_stats_get(r->receiver)->symbols;
    }
}

static void journal_write(asx_op *op)
{
    receiving *r = op->work_arg;
    r->journaled = asx_rq_journal_write(r->journal);
}

static void journal_end(asx_op *op)
{
    receiving *r = op->work_arg;
    r->is_kept = asx_rq_journal_close(r->journal, r->is_over);
    r->journal = NULL;
}

static asx_outcome write_journal(asx_cx *cx, receiving *r)
{
    asx_op op = { .code = ASX_OP_TASK, .work = journal_write, .work_arg = r };
    r->written_ns = asx_now(cx);
    return asx_op_await(cx, &op);
}

/* When the journal is next to be written. */
static asx_instant journal_due(const receiving *r)
{
    return r->journal != NULL && !asx_rq_journal_is_empty(r->journal)
               ? asx_time_add(r->written_ns, JOURNAL_EVERY_NS)
               : ASX_TIME_NEVER;
}

static asx_outcome keep(asx_cx *cx, receiving *r, const uint8_t *bytes, size_t len)
{
    if (r->journal != NULL && asx_rq_receiver_took(r->receiver) &&
        !asx_rq_journal_add(r->journal, bytes, len)) {
        ASX_TRY(write_journal(cx, r));
        const bool has_room = asx_rq_journal_add(r->journal, bytes, len);
        asx_assert(has_room);
    }
    return asx_ok(0);
}

static void show(asx_cx *cx, receiving *r, bool is_last)
{
    const asx_instant now_ns = asx_now(cx);
    if (r->config->progress != NULL &&
        (is_last || asx_time_sub(now_ns, r->shown_ns) >= PROGRESS_EVERY_NS)) {
        r->shown_ns = now_ns;
        r->config->progress(r->config->arg, asx_rq_receiver_stats_get(r->receiver));
    }
}

/* Takes in what has come, so much at once that a flood starves nothing else, and answers. What the
 * pool has to do is done before the datagram is given back, since the receiver still reads it. */
static asx_outcome hear_some(asx_cx *cx, receiving *r)
{
    const uint8_t *bytes;
    size_t len;
    const asx_addr *from;
    const asx_rq_receiver_stats *stats = asx_rq_receiver_stats_get(r->receiver);
    if (r->config->receiver.keys != NULL) {
        asx_rq_keyring_expire(r->config->receiver.keys, asx_now(cx));
    }
    for (int i = 0; i < RECEIVES && asx_rq_link_peek(r->link, &bytes, &len, &from); i++) {
        ASX_TRY(asx_checkpoint(cx));
        const uint64_t before = stats->symbols + stats->offers;
        if (asx_rq_receiver_hear(r->receiver, bytes, len)) {
            asx_op op = { .code = ASX_OP_TASK, .work = work, .work_arg = r };
            ASX_TRY(asx_op_await(cx, &op));
        }
        ASX_TRY(keep(cx, r, bytes, len));
        uint8_t *out = asx_rq_link_reserve(r->link); /* NULL: the answer is as good as lost */
        const size_t answer = out != NULL ? asx_rq_receiver_answer(r->receiver, out) : 0;
        if (answer > 0) {
            asx_rq_link_commit(cx, r->link, answer, from);
        }
        asx_rq_link_pop(cx, r->link);
        if (stats->symbols + stats->offers != before) {
            r->heard_ns = asx_now(cx);
        }
        show(cx, r, false);
    }
    return asx_ok(0);
}

/* After the end: a while after the last question, and not for ever, whoever goes on asking. */
static asx_instant linger_until(const receiving *r)
{
    const asx_duration linger_ns =
        r->config->linger_ns > 0 ? r->config->linger_ns : ASX_RQ_RECV_LINGER_NS;
    const asx_instant heard_ns = asx_time_add(r->heard_ns, linger_ns);
    const asx_instant last_ns = asx_time_add(r->ended_ns, LINGERS_MAX * linger_ns);
    return heard_ns < last_ns ? heard_ns : last_ns;
}

static asx_instant deadline(const receiving *r)
{
    const asx_rq_recv_config *config = r->config;
    switch (asx_rq_receiver_state_of(r->receiver)) {
    case ASX_RQ_RECEIVER_WAITING:
        return config->wait_ns == 0 ? ASX_TIME_NEVER : asx_time_add(r->heard_ns, config->wait_ns);
    case ASX_RQ_RECEIVER_OPENING:
    case ASX_RQ_RECEIVER_RECEIVING:
        return asx_time_add(r->heard_ns,
                            config->idle_ns > 0 ? config->idle_ns : ASX_RQ_RECV_IDLE_NS);
    case ASX_RQ_RECEIVER_WHOLE:
        return ASX_TIME_NEVER;
    case ASX_RQ_RECEIVER_DONE:
    case ASX_RQ_RECEIVER_FAILED: /* lets the sender know as well */
        break;
    }
    return linger_until(r);
}

/* Starts the check when every block is there, and takes its result when it has ended. */
static asx_outcome follow_finish(asx_cx *cx, receiving *r)
{
    if (asx_rq_receiver_state_of(r->receiver) != ASX_RQ_RECEIVER_WHOLE ||
        asx_op_in_flight(&r->finish)) {
        return asx_ok(0);
    }
    if (r->finish.code == ASX_OP_NONE) {
        r->finish = (asx_op){ .code = ASX_OP_TASK, .work = finish_work, .work_arg = r };
        const asx_err err = asx_op_start(cx, &r->finish, pool_done);
        return err == ASX_OK ? asx_ok(0) : asx_fail(err);
    }
    asx_rq_receiver_settle(r->receiver, r->finish.err != ASX_OK ? r->finish.err : r->finished);
    r->heard_ns = asx_now(cx);
    return asx_ok(0);
}

/* Is there nothing left to wait for? Without feedback nobody asks, and so nobody needs to be told.
 */
static bool is_over(asx_cx *cx, receiving *r)
{
    const asx_rq_receiver_state state = asx_rq_receiver_state_of(r->receiver);
    if (state != ASX_RQ_RECEIVER_DONE && state != ASX_RQ_RECEIVER_FAILED) {
        return false;
    }
    r->ended_ns = r->ended_ns == 0 ? asx_now(cx) : r->ended_ns;
    const bool is_alone = asx_rq_receiver_stats_get(r->receiver)->answers == 0 && r->resumed == 0;
    return asx_rq_receiver_released(r->receiver) || is_alone;
}

static asx_outcome receive(asx_cx *cx, receiving *r)
{
    for (;;) {
        ASX_TRY(hear_some(cx, r));
        ASX_TRY(follow_finish(cx, r));
        if (is_over(cx, r)) {
            return asx_ok(0);
        }
        if (asx_rq_link_err(r->link) != ASX_OK) {
            return asx_fail(asx_rq_link_err(r->link));
        }
        const asx_instant until_ns = deadline(r);
        if (asx_now(cx) >= until_ns) {
            return asx_ok(0);
        }
        const asx_instant due_ns = journal_due(r);
        if (asx_now(cx) >= due_ns) {
            ASX_TRY(write_journal(cx, r));
        }
        if (asx_rq_link_has(r->link)) {
            continue;
        }
        const asx_outcome woken =
            asx_rq_link_wait(cx, r->link, due_ns < until_ns ? due_ns : until_ns);
        if (!asx_is_ok(woken) && !asx_is_err(woken, ASX_E(TIMED_OUT))) {
            return woken;
        }
    }
}

static asx_outcome run(asx_cx *cx, receiving *r)
{
    const asx_rq_link_config config = { .family = (asx_addr_family)r->config->local.family,
                                        .local = &r->config->local,
                                        .receives = RECEIVES,
                                        .sends = SENDS,
                                        .receive_cap = ASX_RQ_FRAME_MAX + 1,
                                        .send_cap = ASX_RQ_FRAME_SIZE(0),
                                        .socket_bytes = SOCKET_BYTES };
    if (r->config->journal != NULL) {
        asx_op op = { .code = ASX_OP_TASK, .work = journal_begin, .work_arg = r };
        ASX_TRY(asx_op_await(cx, &op));
        if (r->journaled != ASX_OK) {
            return asx_fail(r->journaled);
        }
    }
    asx_err err = asx_rq_link_open(cx, &config, &r->link);
    if (err != ASX_OK) {
        return asx_fail(err);
    }
    asx_addr local;
    err = asx_rq_link_addr(r->link, &local);
    if (err != ASX_OK) {
        return asx_fail(err);
    }
    if (r->config->bound != NULL) {
        r->config->bound(r->config->arg, &local);
    }
    r->heard_ns = asx_now(cx);
    const asx_outcome outcome = receive(cx, r);
    show(cx, r, true);
    return outcome;
}

/* What became of it: a stored object is Ok, whatever came meanwhile. */
static asx_outcome verdict(const receiving *r, asx_outcome outcome)
{
    const asx_rq_receiver_state state = asx_rq_receiver_state_of(r->receiver);
    if (state == ASX_RQ_RECEIVER_DONE) {
        return asx_ok(0);
    }
    if (!asx_is_ok(outcome)) {
        return outcome;
    }
    return asx_fail(state == ASX_RQ_RECEIVER_FAILED ? asx_rq_receiver_err(r->receiver)
                                                    : ASX_RQ_E(SILENCE));
}

/* Closes the journal, in the pool; here and now when the pool takes nothing any more. */
static void end_journal(asx_cx *cx, receiving *r)
{
    if (r->journal == NULL) {
        return;
    }
    const asx_rq_receiver_state state = asx_rq_receiver_state_of(r->receiver);
    r->is_over =
        state == ASX_RQ_RECEIVER_DONE ||
        (state == ASX_RQ_RECEIVER_FAILED && asx_rq_receiver_err(r->receiver) == ASX_RQ_E(CORRUPT));
    asx_op op = { .code = ASX_OP_TASK, .work = journal_end, .work_arg = r };
    if (r->link != NULL && asx_op_start(cx, &op, pool_done) == ASX_OK) {
        while (asx_op_in_flight(&op)) {
            asx_rq_link_wait_masked(cx, r->link);
        }
    }
    if (r->journal != NULL) {
        journal_end(&op);
    }
}

asx_outcome asx_rq_recv(asx_cx *cx, const asx_rq_recv_config *config, asx_rq_recv_report *report)
{
    receiving r = { .config = config };
    memset(report, 0, sizeof(*report));
    const asx_err err = asx_rq_receiver_create(&r.receiver, &config->receiver);
    if (err != ASX_OK) {
        return asx_fail(err);
    }
    asx_outcome outcome = run(cx, &r);
    if (r.link != NULL) {
        asx_op_cancel(&r.finish); /* only while it is queued; one that runs is waited for */
        while (asx_op_in_flight(&r.finish)) {
            asx_rq_link_wait_masked(cx, r.link);
        }
        if (r.finish.code != ASX_OP_NONE &&
            asx_rq_receiver_state_of(r.receiver) == ASX_RQ_RECEIVER_WHOLE) {
            asx_rq_receiver_settle(r.receiver, r.finish.err != ASX_OK ? r.finish.err : r.finished);
        }
    }
    end_journal(cx, &r);
    if (r.link != NULL) {
        asx_rq_link_close(cx, r.link);
    }
    outcome = verdict(&r, outcome);
    report->stats = *asx_rq_receiver_stats_get(r.receiver);
    report->state = asx_rq_receiver_state_of(r.receiver);
    report->gap = asx_rq_receiver_gap_of(r.receiver);
    report->resumed = r.resumed;
    report->is_kept = r.is_kept;
    report->is_stored = report->state == ASX_RQ_RECEIVER_DONE;
    asx_rq_receiver_destroy(r.receiver);
    return outcome;
}
