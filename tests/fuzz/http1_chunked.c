/* A chunked body in pieces gives the same data, trailers, end or error as the whole. The first byte
 * is the size of the pieces, the second the policy on trailers. */
#include <asx/proto/http1_parse.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

typedef struct account {
    uint64_t hash, data_len; /* of all data and trailers in order */
    asx_http1_event last;
    asx_http1_error error;
    size_t consumed;
} account;

static void mix(account *a, asx_view bytes, unsigned mark)
{
    a->hash = a->hash * 31 + mark;
    for (size_t i = 0; i < bytes.len; i++) {
        a->hash = (a->hash ^ (uint8_t)bytes.ptr[i]) * UINT64_C(0x100000001b3);
    }
}

/* Takes all events of `len` bytes, kept whole in `bytes`; returns how many are done with. */
static size_t drain(account *a, asx_http1_body *body, const char *bytes, size_t len)
{
    size_t at = 0, used;
    for (;;) {
        a->last = asx_http1_body_next(body, bytes + at, len - at, &used);
        at += used;
        if (a->last == ASX_HTTP1_BODY_DATA) {
            if (body->data.len == 0) {
                abort();
            }
            a->data_len += body->data.len;
            for (size_t i = 0; i < body->data.len; i++) {
                mix(a, asx_view_of(body->data.ptr + i, 1), 1);
            }
        } else if (a->last == ASX_HTTP1_BODY_TRAILER) {
            mix(a, body->trailer.name, 2);
            mix(a, body->trailer.value, 3);
        } else {
            return at;
        }
    }
}

static account run(const uint8_t *data, size_t len, size_t step, bool refuse)
{
    account a = { 0 };
    asx_http1_body body;
    size_t offered = 0, done = 0;

    asx_http1_body_init_framing(&body, ASX_HTTP1_FRAMING_CHUNKED, 0, &asx_http1_limits_default);
    body.trailer_policy = refuse ? ASX_HTTP1_TRAILERS_REFUSE : ASX_HTTP1_TRAILERS_DROP;
    do {
        offered = len - offered < step ? len : offered + step;
        char *const bytes = malloc(offered - done + 1);
        memcpy(bytes, data + done, offered - done);
        done += drain(&a, &body, bytes, offered - done);
        free(bytes);
    } while (a.last == ASX_HTTP1_BODY_NEED_MORE && offered < len);
    a.error = body.error;
    a.consumed = a.last == ASX_HTTP1_BODY_END ? done : 0;
    if (a.data_len != body.received_bytes) {
        abort();
    }
    return a;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2) {
        return 0;
    }
    const bool refuse = data[1] & 1;
    const account whole = run(data + 2, len - 2, len, refuse);
    const account pieces = run(data + 2, len - 2, data[0] + 1u, refuse);
    if (whole.last != pieces.last || whole.consumed != pieces.consumed ||
        whole.error.code != pieces.error.code || whole.error.offset != pieces.error.offset ||
        whole.hash != pieces.hash) {
        abort();
    }
    return 0;
}
