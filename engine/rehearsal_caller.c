/* Callers: fibers that ask through the project's client, over connections that they share. */
#include <asx/proto/client.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/scope.h>

#include "rehearsal_internal.h"

#include <stdio.h>
#include <string.h>

#define PIECES_OF 97u /* bytes of a streamed body */

typedef struct caller {
    asxi_rehearsal *show;
    asx_http_client *client;
    uint64_t seed;
} caller;

/* A body that is given piece by piece. */
typedef struct pieces {
    char bytes[ASXI_ASK_BODY_MAX];
    uint32_t len, given;
    bool at_once;
} pieces;

static asx_outcome next_piece(asx_cx *cx, void *arg, asx_view *data)
{
    pieces *const self = arg;
    const uint32_t left = self->len - self->given, n = left < PIECES_OF ? left : PIECES_OF;
    if (n > 0 && !self->at_once) {
        ASX_TRY(asx_sleep(cx, ASX_NS_PER_MS));
    }
    *data = asx_view_of(self->bytes + self->given, n);
    self->given += n;
    return asx_ok(0);
}

/* The body, to its end or to where the caller loses interest. Ok(1): it was whole. */
static asx_outcome hear(asx_cx *cx, asx_http_call *call, const asxi_ask *ask, uint64_t interest,
                        asxi_rehearsal_tally *tally)
{
    uint64_t seen = 0;
    const unsigned status = asx_http_call_status(call);
    for (;;) {
        asx_view data;
        const asx_outcome more = asx_http_call_read(cx, call, &data);
        if (!asx_is_ok(more)) {
            return more;
        }
        if (more.value == 0) {
            asxi_ask_answered(ask, status, seen, tally);
            return asx_ok(1);
        }
        if (status == ask->status) {
            tally->wrong += !asxi_ask_matches(ask, seen, data);
        }
        seen += data.len;
        if (seen > interest) {
            return asx_ok(0);
        }
    }
}

static asx_outcome call(asx_cx *cx, const caller *self, asx_prng *prng)
{
    asxi_rehearsal *const show = self->show;
    char url[96], where[ASX_ADDR_TEXT_MAX], buf[ASXI_ASK_TARGET_MAX];
    pieces body = { .at_once = show->plan.calm };
    asx_http_call *call;
    const asxi_ask ask = asxi_ask_draw(prng, &show->plan, true);
    const asx_view target = asxi_ask_target(&ask, buf);
    const uint64_t interest = asx_prng_below(prng, 32) ? UINT64_MAX : asx_prng_below(prng, 400);
    const int len =
        snprintf(url, sizeof(url), "http://%s%.*s",
                 asx_addr_format(&show->addr, where, sizeof(where)), (int)target.len, target.ptr);
    body.len = asxi_ask_body(&ask, body.bytes);
    asx_http_request request = {
        .url = asx_view_of(url, (size_t)len),
        .method = asxi_ask_method(&ask),
        .body = asx_view_of(body.bytes, body.len),
        .timeout_ns = show->plan.rude && asx_prng_below(prng, 8) == 0
                          ? asx_ms(1 + asx_prng_below(prng, 200))
                          : asx_s(120),
        .expect_continue = asx_prng_below(prng, 8) == 0,
    };
    if (asxi_ask_is_chunked(&ask)) {
        request.body = asx_view_of(NULL, 0);
        request.next = next_piece;
        request.next_arg = &body;
        request.length = ASX_HTTP_BODY_CHUNKED;
    }
    show->tally.requests++;
    asx_outcome outcome = asx_http_call_begin(cx, self->client, &request, &call);
    if (asx_is_ok(outcome)) {
        outcome = hear(cx, call, &ask, show->plan.rude ? interest : UINT64_MAX, &show->tally);
        asx_http_call_end(cx, call);
        show->tally.calls_left += asx_is_ok(outcome) && outcome.value == 0;
    }
    if (outcome.severity == ASX_SEVERITY_ERR) {
        /* The network breaks messages off, and never makes others of them. */
        show->tally.wrong += outcome.err == ASX_ERR(ASX_ERR_DOMAIN_HTTP, 502);
        show->tally.calls_failed++;
        return asx_ok(0);
    }
    return outcome;
}

static asx_outcome caller_body(asx_cx *cx, void *arg)
{
    const caller self = *(const caller *)arg;
    const asxi_rehearsal_plan *const plan = &self.show->plan;
    asx_prng prng;
    asx_prng_init(&prng, self.seed);
    const uint64_t total = plan->exact ? plan->requests : 1 + asx_prng_below(&prng, plan->requests);
    ASX_TRY(asx_sleep(cx, asx_prng_below(&prng, plan->arrive_ns + 1)));
    for (uint64_t i = 0; i < total; i++) {
        const asx_outcome called = call(cx, &self, &prng);
        if (!asx_is_ok(called)) {
            self.show->tally.gave_up++;
            return called;
        }
    }
    return asx_ok(0);
}

asx_outcome asxi_rehearsal_callers_run(asx_cx *cx, asxi_rehearsal *self)
{
    const asx_http_client_config config = { .per_host_max = self->plan.kept_max };
    asx_http_client *client;
    asx_prng prng;
    const asx_err err = asx_http_client_create(cx, NULL, &config, &client);
    if (err) {
        return asx_fail(err);
    }
    asx_prng_init(&prng, self->plan.seed ^ 0xca11);
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        const asx_spawn_options options = { .label = "caller", .detached_result = true };
        for (uint32_t i = 0; i < self->plan.callers; i++) {
            const caller one = { self, client, asx_prng_u64(&prng) };
            (void)asx_scope_spawn(s, caller_body, &one, sizeof(one), &options);
        }
    }
    asx_http_client_destroy(client);
    return asx_ok(0);
}
