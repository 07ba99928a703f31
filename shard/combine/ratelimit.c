#include <asx/shard/combine/ratelimit.h>
#include <asx/shard/obligation_internal.h>
#include <asx/shard/sync/line_internal.h>
#include <asx/shard/sync/semaphore.h>

#define RATE 100u
#define PERIOD_NS ASX_NS_PER_S
#define BURST 10u

typedef struct spent {
    asx_instant at_ns;
    uint32_t cost;
} spent;

typedef struct ratelimit {
    asxi_object object;
    asx_ratelimit_options options;
    asx_semaphore turn; /* one permit: its holder is the head of the line */
    /* TOKEN_BUCKET */
    uint64_t tokens;
    uint64_t fraction; /* of a token, in 1/period_ns; 0 when full */
    asx_instant refilled_at;
    /* SLIDING_LOG: a ring, in the region's heap; FIXED_WINDOW: the window and what it has given */
    spent *log;
    uint32_t log_at, log_count;
    uint64_t in_period;
    asx_instant window_at;
    asxi_line head; /* the holder of the turn, while it waits: told of refunds */
} ratelimit;

_Static_assert(sizeof(ratelimit) <= ASXI_OBJECT_BYTES, "a rate limit fits a record");

static ratelimit *ratelimit_of(asxi_object *object)
{
    return asx_container_of(object, ratelimit, object);
}

static void ratelimit_close(asxi_object *object)
{
    ratelimit *const self = ratelimit_of(object);
    asxi_line_close(&self->head);
    if (self->log) {
        asx_heap_free(&object->region->heap, self->log, self->options.rate * sizeof(spent));
    }
}

static const asxi_object_type ratelimit_type = { .name = "rate limit", .close = ratelimit_close };

asx_err asx_ratelimit_open(asx_cx *cx, const asx_ratelimit_options *options, asx_ratelimit *opened)
{
    asxi_object *object;
    asx_ratelimit_options o = { 0 };
    *opened = (asx_ratelimit){ 0 };
    if (options) {
        o = *options;
    }
    o.rate = o.rate ? o.rate : RATE;
    o.period_ns = o.period_ns ? o.period_ns : PERIOD_NS;
    o.burst = o.burst ? o.burst : BURST;
    o.what = o.what ? o.what : "rate limit";
    if (o.algorithm == ASX_SLIDING_LOG && o.rate > ASX_RATELIMIT_LOG_MAX) {
        return ASX_E(INVALID_ARGUMENT);
    }
    asx_err err = asxi_object_open(cx, &ratelimit_type, sizeof(ratelimit), &object);
    if (err) {
        return err;
    }
    ratelimit *const self = ratelimit_of(object);
    self->options = o;
    self->tokens = o.burst;
    asxi_line_init(&self->head);
    self->refilled_at = self->window_at = cx->_shard->now_ns;
    err = asx_semaphore_open(cx, 1, o.what, &self->turn);
    if (!err && o.algorithm == ASX_SLIDING_LOG) {
        self->log = asx_heap_alloc(&object->region->heap, o.rate * sizeof(spent));
        err = self->log ? ASX_OK : ASX_E(NO_MEMORY);
    }
    if (err) {
        asxi_object_close(object);
        return err;
    }
    opened->_object = asx_handle_of(object);
    return ASX_OK;
}

/* errors  CLOSED, STALE */
static asx_err find(asx_cx *cx, asx_ratelimit handle, ratelimit **self)
{
    asxi_object *object;
    const asx_err err = asxi_object_find(cx, handle._object, &ratelimit_type, &object);
    if (err) {
        return err;
    }
    *self = ratelimit_of(object);
    return asxi_object_is_open(object) ? ASX_OK : ASX_E(CLOSED);
}

/* What there can be at most. */
static uint64_t ceiling_of(const ratelimit *self)
{
    return self->options.algorithm == ASX_TOKEN_BUCKET ? self->options.burst : self->options.rate;
}

static void refill(ratelimit *self, asx_instant now_ns)
{
    const asx_ratelimit_options *const o = &self->options;
    const asx_duration passed_ns = asx_time_sub(now_ns, self->refilled_at);
    const unsigned __int128 gained =
        (unsigned __int128)passed_ns * o->rate + self->fraction; /* in 1/period_ns tokens */
    const unsigned __int128 tokens = self->tokens + gained / o->period_ns;
    const bool full = tokens >= o->burst;
    self->tokens = full ? o->burst : (uint64_t)tokens;
    self->fraction = full ? 0 : (uint64_t)(gained % o->period_ns);
    self->refilled_at = now_ns;
}

static void log_expire(ratelimit *self, asx_instant now_ns)
{
    while (self->log_count > 0 &&
           asx_time_sub(now_ns, self->log[self->log_at].at_ns) >= self->options.period_ns) {
        self->in_period -= self->log[self->log_at].cost;
        self->log_at = (self->log_at + 1) % self->options.rate;
        self->log_count--;
    }
}

/* When `cost` is there if nobody else takes anything; now_ns: it is. */
static asx_instant ready_at(ratelimit *self, uint32_t cost, asx_instant now_ns)
{
    const asx_ratelimit_options *const o = &self->options;
    if (o->algorithm == ASX_TOKEN_BUCKET) {
        refill(self, now_ns);
        if (self->tokens >= cost) {
            return now_ns;
        }
        const unsigned __int128 missing =
            (unsigned __int128)(cost - self->tokens) * o->period_ns - self->fraction;
        return asx_time_add(now_ns, (asx_duration)((missing + o->rate - 1) / o->rate));
    }
    if (o->algorithm == ASX_FIXED_WINDOW) {
        const asx_duration passed_ns = asx_time_sub(now_ns, self->window_at);
        if (passed_ns >= o->period_ns) {
            self->window_at = now_ns - passed_ns % o->period_ns;
            self->in_period = 0;
        }
        return self->in_period + cost <= o->rate ? now_ns
                                                 : asx_time_add(self->window_at, o->period_ns);
    }
    log_expire(self, now_ns);
    uint64_t left = self->in_period;
    asx_instant at_ns = now_ns;
    for (uint32_t i = 0; left + cost > o->rate; i++) {
        asx_assert(i < self->log_count);
        const spent *const oldest = &self->log[(self->log_at + i) % o->rate];
        left -= oldest->cost;
        at_ns = asx_time_add(oldest->at_ns, o->period_ns);
    }
    return at_ns;
}

/* Refunded entries cost nothing and only take room. */
static void log_compact(ratelimit *self)
{
    const uint32_t rate = self->options.rate;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < self->log_count; i++) {
        const spent entry = self->log[(self->log_at + i) % rate];
        if (entry.cost > 0) {
            self->log[(self->log_at + kept) % rate] = entry;
            kept++;
        }
    }
    self->log_count = kept;
}

static void spend(ratelimit *self, uint32_t cost, asx_instant now_ns)
{
    if (self->options.algorithm == ASX_TOKEN_BUCKET) {
        self->tokens -= cost;
        return;
    }
    self->in_period += cost;
    if (self->log && cost > 0) {
        if (self->log_count == self->options.rate) {
            log_compact(self);
        }
        asx_assert(self->log_count < self->options.rate); /* each costs at least one */
        const uint32_t at = (self->log_at + self->log_count) % self->options.rate;
        self->log[at] = (spent){ now_ns, cost };
        self->log_count++;
    }
}

/* Takes back what one permit spent: in a log, the youngest of that cost. */
static void refund(ratelimit *self, uint32_t cost)
{
    if (self->options.algorithm == ASX_TOKEN_BUCKET) {
        const uint64_t most = self->options.burst - self->tokens;
        self->tokens += cost < most ? cost : most;
        return;
    }
    if (self->log) {
        for (uint32_t i = self->log_count; i-- > 0;) {
            spent *const entry = &self->log[(self->log_at + i) % self->options.rate];
            if (entry->cost == cost) {
                entry->cost = 0;
                self->in_period -= cost;
                return;
            }
        }
    } else {
        self->in_period -= cost < self->in_period ? cost : self->in_period;
    }
}

static void permit_lost(void *object, uint64_t cost, asx_settlement how)
{
    (void)how;
    ratelimit *const self = ratelimit_of(object);
    if (asxi_object_is_open(object)) {
        refund(self, (uint32_t)cost);
        if (!asxi_line_empty(&self->head)) {
            asxi_line_tell(asxi_line_head(&self->head), ASXI_LINE_GRANTED);
        }
    }
    asxi_object_unref(object);
}

static asx_err permit_make(asx_cx *cx, ratelimit *self, uint32_t cost, asx_rate_permit *permit)
{
    const asx_obligation_options options = { .kind = ASX_OBLIGATION_SEMAPHORE_PERMIT,
                                             .what = self->options.what,
                                             .settle = permit_lost,
                                             .object = &self->object,
                                             .amount = cost };
    const asx_err err = asx_obligation_reserve(cx, &options, &permit->_obligation);
    if (!err) {
        spend(self, cost, cx->_shard->now_ns);
        asxi_object_ref(&self->object);
    }
    return err;
}

/* At the head of the line: sleeps until the cost is there. */
static asx_outcome wait_at_head(asx_cx *cx, asx_ratelimit handle, uint32_t cost,
                                asx_instant deadline_ns, asx_rate_permit *permit)
{
    for (;;) {
        ratelimit *self;
        asx_err err = find(cx, handle, &self);
        if (err) {
            return asx_fail(err);
        }
        const asx_instant now_ns = cx->_shard->now_ns;
        const asx_instant at_ns = ready_at(self, cost, now_ns);
        if (at_ns <= now_ns) {
            err = permit_make(cx, self, cost, permit);
            return err ? asx_fail(err) : asx_ok(0);
        }
        if (now_ns >= deadline_ns) {
            return asx_fail(ASX_E(TIMED_OUT));
        }
        asxi_baton baton = { .object = &self->object, .leave = asxi_line_hold_nothing };
        const asx_outcome waited =
            asxi_line_wait(cx, &self->head, &baton, self->options.what,
                           at_ns < deadline_ns ? at_ns : deadline_ns, ASX_E(CLOSED));
        if (!asx_is_ok(waited) && !asx_is_err(waited, ASX_E(TIMED_OUT))) {
            return waited;
        }
    }
}

asx_outcome asx_ratelimit_acquire_until(asx_cx *cx, asx_ratelimit handle, uint32_t cost,
                                        asx_instant deadline_ns, asx_rate_permit *permit)
{
    ratelimit *self;
    asx_semaphore_permit turn;
    const asx_err err = find(cx, handle, &self);
    if (err) {
        return asx_fail(err);
    }
    if (cost > ceiling_of(self)) {
        return asx_fail(ASX_E(RATE_LIMITED));
    }
    ASX_TRY(asx_semaphore_acquire_until(cx, self->turn, 1, deadline_ns, &turn));
    const asx_outcome outcome = wait_at_head(cx, handle, cost, deadline_ns, permit);
    asx_semaphore_release(cx, turn);
    return outcome;
}

asx_err asx_ratelimit_try_acquire(asx_cx *cx, asx_ratelimit handle, uint32_t cost,
                                  asx_rate_permit *permit, asx_duration *retry_after_ns)
{
    ratelimit *self;
    const asx_err err = find(cx, handle, &self);
    if (err) {
        return err;
    }
    const asx_instant now_ns = cx->_shard->now_ns;
    const bool possible = cost <= ceiling_of(self);
    const asx_instant at_ns = possible ? ready_at(self, cost, now_ns) : ASX_TIME_NEVER;
    if (retry_after_ns) {
        *retry_after_ns = possible ? asx_time_sub(at_ns, now_ns) : ASX_TIME_NEVER;
    }
    if (at_ns > now_ns || asx_semaphore_available(cx, self->turn) == 0) {
        return ASX_E(RATE_LIMITED);
    }
    return permit_make(cx, self, cost, permit);
}

void asx_rate_permit_commit(asx_cx *cx, asx_rate_permit permit)
{
    void *object;
    uint64_t cost;
    if (!asxi_obligation_resolve(cx, permit._obligation, ASX_OBLIGATION_COMMITTED, permit_lost,
                                 &object, &cost)) {
        asxi_object_unref(object);
    }
}

void asx_rate_permit_abort(asx_cx *cx, asx_rate_permit permit)
{
    void *object;
    uint64_t cost;
    if (!asxi_obligation_resolve(cx, permit._obligation, ASX_OBLIGATION_ABORTED, permit_lost,
                                 &object, &cost)) {
        permit_lost(object, cost, ASX_SETTLED_CANCEL);
    }
}
