/* Datagrams from anyone, at both ends of a transfer. The input is a sequence of steps: bytes as
 * they are, true datagrams of a true sender, and true ones with some bytes changed. Whatever comes,
 * no byte is touched out of place, what decodes encodes to the same bytes, answers are no larger
 * than questions, and what is called done has the digest that was offered. */
#include <asx/raptorq/net/receiver.h>
#include <asx/raptorq/net/sender.h>
#include <asx/shard/base/assert.h>

#include "raptorq_fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { OBJECT = 900, OPEN_MAX_FUZZED = 1 << 20, STEPS_MAX = 600 };

typedef struct ends {
    asx_rq_sender *sender;
    asx_rq_receiver *receiver;
    uint8_t *target;
    uint64_t size;
    asx_instant now_ns;
    bool is_stored;
} ends;

static asx_err open_target(void *arg, uint64_t size, void **target)
{
    ends *e = arg;
    if (size > OPEN_MAX_FUZZED) {
        return ASX_RQ_E(TOO_LARGE);
    }
    free(e->target);
    e->target = malloc(size > 0 ? size : 1);
    e->size = size;
    *target = e->target;
    return ASX_OK;
}

static asx_err store(void *arg)
{
    ((ends *)arg)->is_stored = true;
    return ASX_OK;
}

/* The true sender's next datagram; 0 when it waits or has ended. */
static size_t true_datagram(ends *e, uint8_t *out)
{
    for (int i = 0; i < 8; i++) {
        size_t len = 0;
        asx_instant until_ns = 0;
        switch (asx_rq_sender_next(e->sender, e->now_ns, out, &len, &until_ns)) {
        case ASX_RQ_STEP_SEND:
            return len;
        case ASX_RQ_STEP_WAIT:
            e->now_ns = until_ns > e->now_ns ? until_ns : e->now_ns + 1;
            break;
        case ASX_RQ_STEP_PREPARE:
            asx_rq_sender_prepare(e->sender);
            break;
        case ASX_RQ_STEP_ENDED:
        case ASX_RQ_STEP_FAILED:
            return 0;
        }
    }
    return 0;
}

static void check_frame(const uint8_t *bytes, size_t len)
{
    asx_rq_frame frame;
    uint8_t *exact = malloc(len > 0 ? len : 1), *again = malloc(ASX_RQ_FRAME_MAX);
    memcpy(exact, bytes, len);
    if (asx_rq_frame_decode(&frame, exact, len) == ASX_RQ_FRAME_OK) {
        const size_t made = asx_rq_frame_encode(&frame, again);
        /* An OTI has an octet that a receiver ignores. */
        const size_t ignored = ASX_RQ_FRAME_HEAD + 21 + 5;
        if (frame.kind == ASX_RQ_FRAME_OFFER) {
            again[ignored] = exact[ignored];
        }
        if (made != frame.signed_len || memcmp(again, exact, made) != 0) {
            abort();
        }
    }
    free(exact);
    free(again);
}

static void deliver(ends *e, const uint8_t *bytes, size_t len)
{
    uint8_t answer[ASX_RQ_FRAME_SIZE(0)];
    check_frame(bytes, len);
    if (asx_rq_receiver_hear(e->receiver, bytes, len)) {
        asx_rq_receiver_work(e->receiver);
    }
    const size_t answer_len = asx_rq_receiver_answer(e->receiver, answer);
    if (answer_len > len) {
        abort();
    }
    if (answer_len > 0) {
        check_frame(answer, answer_len);
        asx_rq_sender_hear(e->sender, e->now_ns, answer, answer_len);
    }
    if (asx_rq_receiver_state_of(e->receiver) == ASX_RQ_RECEIVER_WHOLE) {
        const asx_err err = asx_rq_receiver_finish(e->receiver);
        asx_rq_receiver_settle(e->receiver, err);
        if ((err == ASX_OK) != e->is_stored) {
            abort();
        }
    }
    asx_rq_sender_hear(e->sender, e->now_ns, bytes, len);
}

static size_t step(ends *e, const uint8_t *data, size_t size)
{
    static uint8_t out[2048];
    const uint8_t what = data[0];
    size_t used = 2, len;
    if ((what & 3) == 0) { /* bytes as they are */
        len = size - 2 < data[1] ? size - 2 : data[1];
        deliver(e, data + 2, len);
        return 2 + len;
    }
    len = true_datagram(e, out);
    for (int changes = (what >> 2) & 3; changes > 0 && len > 0 && used + 2 <= size; changes--) {
        out[((data[used] << 1 | (what >> 7)) % len)] ^= data[used + 1];
        used += 2;
    }
    if ((what & 16) != 0 && len > 0) {
        len -= data[1] % len; /* cut off */
    }
    if (len > 0 && (what & 3) != 3) { /* or lost */
        deliver(e, out, len);
    }
    return used;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t object[OBJECT];
    static const asx_rq_key key = { { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13 } };
    static asx_rq_keyring *keys;
    ends e = { .now_ns = 1 };
    if (size < 3) {
        return 0;
    }
    if (keys == NULL && asx_rq_keyring_create(&keys, &key) != ASX_OK) {
        abort();
    }
    const bool is_keyed = (data[0] & 1) != 0;
    for (size_t i = 0; i < sizeof(object); i++) {
        object[i] = (uint8_t)(i * 31 + i / 251);
    }
    const asx_rq_sender_config sending = { .source = object,
                                           .size = (size_t)(data[1] * 4) % OBJECT,
                                           .symbol_size = 10 + data[2] % 60,
                                           .block_size = 300,
                                           .overhead_permille = 300,
                                           .has_feedback = (data[0] & 2) != 0,
                                           .rounds = 1,
                                           .keys = is_keyed ? keys : NULL,
                                           .digest = mix,
                                           .session = 1 };
    const asx_rq_receiver_config receiving = { .keys = is_keyed ? keys : NULL,
                                               .digest = mix,
                                               .memory_max = 4 << 20,
                                               .open = open_target,
                                               .store = store,
                                               .arg = &e };
    if (asx_rq_sender_create(&e.sender, &sending) != ASX_OK ||
        asx_rq_receiver_create(&e.receiver, &receiving) != ASX_OK) {
        abort();
    }
    size_t at = 3;
    for (int steps = 0; at + 2 <= size && steps < STEPS_MAX; steps++) {
        at += step(&e, data + at, size - at);
    }
    /* Who has no key cannot make an object of his own be taken for ours. */
    if (is_keyed && e.is_stored &&
        (e.size != sending.size || memcmp(e.target, object, e.size) != 0)) {
        abort();
    }
    asx_rq_receiver_destroy(e.receiver);
    asx_rq_sender_destroy(e.sender);
    free(e.target);
    return 0;
}
