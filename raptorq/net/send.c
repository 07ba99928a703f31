#include <asx/raptorq/net/link.h>
#include <asx/raptorq/net/send.h>
#include <asx/shard/op.h>

#include <string.h>

enum { RECEIVES = 8, SENDS = 32, SOCKET_BYTES = 4 << 20 };

typedef struct sending {
    const asx_rq_send_config *config;
    asx_rq_sender_config sender_config;
    asx_rq_sender *sender;
    asx_err created;
    asx_rq_link *link;
    asx_instant shown_ns;
} sending;

static void create_work(asx_op *op)
{
    sending *s = op->work_arg;
    s->created = asx_rq_sender_create(&s->sender, &s->sender_config);
}

static void prepare_work(asx_op *op)
{
    const sending *s = op->work_arg;
    asx_rq_sender_prepare(s->sender);
}

/* In the pool: it reads or computes for as long as a block, or the whole object, takes. */
static asx_outcome aside(asx_cx *cx, sending *s, asx_op_fn *work)
{
    asx_op op = { .code = ASX_OP_TASK, .work = work, .work_arg = s };
    return asx_op_await(cx, &op);
}

/* So much at once that a flood does not keep it from sending. */
static void hear_some(asx_cx *cx, sending *s)
{
    const uint8_t *bytes;
    size_t len;
    const asx_addr *from;
    if (s->sender_config.keys != NULL) {
        asx_rq_keyring_expire(s->sender_config.keys, asx_now(cx));
    }
    for (int i = 0; i < RECEIVES && asx_rq_link_peek(s->link, &bytes, &len, &from); i++) {
        asx_rq_sender_hear(s->sender, asx_now(cx), bytes, len);
        asx_rq_link_pop(cx, s->link);
    }
}

static void show(asx_cx *cx, sending *s, bool is_last)
{
    const asx_instant now_ns = asx_now(cx);
    if (s->config->progress != NULL &&
        (is_last || asx_time_sub(now_ns, s->shown_ns) >= ASX_RQ_PROGRESS_EVERY_NS)) {
        s->shown_ns = now_ns;
        s->config->progress(s->config->progress_arg, asx_rq_sender_stats_get(s->sender));
    }
}

static asx_outcome wait(asx_cx *cx, sending *s, asx_instant until_ns)
{
    if (asx_rq_link_has(s->link)) {
        return asx_ok(0);
    }
    const asx_outcome woken = asx_rq_link_wait(cx, s->link, until_ns);
    return asx_is_err(woken, ASX_E(TIMED_OUT)) ? asx_ok(0) : woken;
}

static asx_outcome send_all(asx_cx *cx, sending *s)
{
    for (;;) {
        ASX_TRY(asx_checkpoint(cx));
        hear_some(cx, s);
        if (asx_rq_link_err(s->link) != ASX_OK) {
            return asx_fail(asx_rq_link_err(s->link));
        }
        show(cx, s, false);
        uint8_t *out = asx_rq_link_reserve(s->link);
        size_t len = 0;
        asx_instant until_ns = ASX_TIME_NEVER; /* without a buffer, until a send has ended */
        const asx_rq_step step =
            out == NULL ? ASX_RQ_STEP_WAIT
                        : asx_rq_sender_next(s->sender, asx_now(cx), out, &len, &until_ns);
        switch (step) {
        case ASX_RQ_STEP_SEND:
            asx_rq_link_commit(cx, s->link, len, &s->config->to);
            break;
        case ASX_RQ_STEP_PREPARE:
            ASX_TRY(aside(cx, s, prepare_work));
            break;
        case ASX_RQ_STEP_WAIT:
            ASX_TRY(wait(cx, s, until_ns));
            break;
        case ASX_RQ_STEP_ENDED:
            return asx_ok(0);
        case ASX_RQ_STEP_FAILED:
            return asx_fail(asx_rq_sender_err(s->sender));
        }
    }
}

static asx_outcome run(asx_cx *cx, sending *s)
{
    ASX_TRY(aside(cx, s, create_work));
    if (s->created != ASX_OK) {
        return asx_fail(s->created);
    }
    const asx_rq_link_config config = { .family = (asx_addr_family)s->config->to.family,
                                        .receives = RECEIVES,
                                        .sends = SENDS,
                                        .receive_cap = ASX_RQ_FRAME_SIZE(0) + 1,
                                        .send_cap = asx_rq_sender_frame_size(s->sender),
                                        .socket_bytes = SOCKET_BYTES };
    const asx_err err = asx_rq_link_open(cx, &config, &s->link);
    if (err != ASX_OK) {
        return asx_fail(err);
    }
    const asx_outcome outcome = send_all(cx, s);
    show(cx, s, true);
    return outcome;
}

asx_outcome asx_rq_send(asx_cx *cx, const asx_rq_send_config *config, asx_rq_send_report *report)
{
    sending s = { .config = config, .sender_config = config->sender };
    memset(report, 0, sizeof(*report));
    s.sender_config.session = asx_random_u64(cx);
    const asx_outcome outcome = run(cx, &s);
    if (s.link != NULL) {
        asx_rq_link_close(cx, s.link);
    }
    if (s.sender != NULL) {
        report->stats = *asx_rq_sender_stats_get(s.sender);
        report->peer = asx_rq_sender_peer(s.sender);
    }
    asx_rq_sender_destroy(s.sender);
    return outcome;
}
