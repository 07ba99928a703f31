/* The service's side of a rehearsal: shards that serve, weather, the drain, and the verdict. */
#include <asx/lab/vdriver.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/limb.h>
#include <asx/shard/scope.h>

#include "engine_internal.h"
#include "program_routes.h"
#include "rehearsal_internal.h"

#include <inttypes.h>
#include <string.h>

/* Longer than anybody's patience: who should tell of the end may be cancelled. */
#define SHOW_S 1000u
#define TRIES 100u /* at what chaos may cancel, or refuse memory */
#define SOURCES_MAX 1024u
#define SETTLE_S 200u /* in which the last sockets of the lab's network are gone */

/* The lab's network; NULL over a real one. */
static asx_vnet *net_of(const asx_cx *cx)
{
    asx_driver *const driver = asx_shard_driver(asx_shard_of(cx));
    return driver->ops->kind == ASX_DRIVER_LAB ? asx_vdriver_net(driver) : NULL;
}

/* Everything of the engine that a service asks about, and nothing that needs a process. */
static asx_engine *engine_create(asx_cx *cx, const asxi_rehearsal_plan *plan, uint32_t seats)
{
    char message[ASX_CONFIG_MESSAGE_MAX];
    char *memory = asx_alloc(cx, sizeof(asx_engine) + ASX_CACHE_PAIR + sizeof(asx_config));
    void *const sources = asx_alloc(cx, asx_sources_bytes(SOURCES_MAX));
    if (!memory || !sources) {
        return NULL;
    }
    memset(sources, 0, asx_sources_bytes(SOURCES_MAX));
    asx_config *const config = (asx_config *)(void *)memory;
    memory += sizeof(*config);
    memory += -(uintptr_t)memory & (ASX_CACHE_PAIR - 1);
    asx_engine *const engine = (asx_engine *)(void *)memory;
    const asx_config_result parsed = asx_config_parse(config, 0, NULL, NULL, message);
    asx_assert_eq(parsed, ASX_CONFIG_OK);
    config->listen.count = 1;
    config->per_ip_max = plan->per_ip_max;
    config->accept_rate = plan->accept_rate;
    memset(engine, 0, sizeof(*engine));
    engine->config = config;
    engine->sources = asx_sources_init(sources, SOURCES_MAX);
    engine->shard_count = seats;
    engine->driver = asx_shard_driver(asx_shard_of(cx))->ops->kind;
    engine->root_fd = -1;
    engine->epoch_unix_ns = UINT64_C(1700000000) * ASX_NS_PER_S;
    for (uint32_t i = 0; i < seats; i++) {
        asxi_seat *const seat = &engine->seats[i];
        seat->engine = engine;
        seat->config = config;
        seat->index = i;
        seat->bell = -1;
        asx_list_init(&seat->services);
        engine->listen_fds[0][i] = -1;
    }
    return engine;
}

/* On each serving shard before anybody serves, as boot does it. */
static asx_outcome listen_body(asx_cx *cx, void *arg)
{
    asxi_rehearsal *const self = *(asxi_rehearsal **)arg;
    const asx_listen_options options = { .reuse_port = true, .nodelay = true, .backlog = 1024 };
    asxi_seat *const seat = asxi_seat_of(self->engine, cx);
    asx_driver *const driver = asx_shard_driver(asx_shard_of(cx));
    int32_t *const fd = &self->engine->listen_fds[0][seat->index];
    asx_err err = driver->ops->listen(driver, &self->addr, &options, fd);
    if (!err && self->addr.port == 0) { /* the others share what the first was given */
        err = driver->ops->name(driver, *fd, false, &self->addr);
    }
    seat->shard = asx_shard_of(cx);
    return err ? asx_fail(err) : asx_ok(0);
}

static asx_outcome serve_body(asx_cx *cx, void *arg)
{
    const asxi_rehearsal *const self = *(asxi_rehearsal **)arg;
    return asxi_program_app(cx, self->engine);
}

static asx_outcome drain_body(asx_cx *cx, void *arg)
{
    const asxi_rehearsal *const self = *(asxi_rehearsal **)arg;
    asxi_services_drain(asxi_seat_of(self->engine, cx));
    return asx_ok(0);
}

/* What is left of a run that ended before the listeners were anybody's. */
static asx_outcome unlisten_body(asx_cx *cx, void *arg)
{
    const asxi_rehearsal *const self = *(asxi_rehearsal **)arg;
    int32_t *const fd = &self->engine->listen_fds[0][asx_cx_shard_index(cx)];
    asx_driver *const driver = asx_shard_driver(asx_shard_of(cx));
    if (*fd >= 0) {
        driver->ops->close_now(driver, *fd);
        *fd = -1;
    }
    return asx_ok(0);
}

/* Runs fn to its end on every shard that serves, one after the other. */
static asx_outcome on_seats(asx_scope *s, asx_cx *cx, asxi_rehearsal *self, asx_task_fn *fn)
{
    for (uint32_t i = 0; i < self->engine->shard_count; i++) {
        asx_handle limb;
        const asx_err err = asx_spawn_on(&s->cx, i, fn, &self, sizeof(self), NULL, &limb);
        if (err) {
            return asx_fail(err);
        }
        ASX_TRY(asx_join_limb(cx, limb));
    }
    return asx_ok(0);
}

/* Partitions come, and go again. */
static asx_outcome cut_body(asx_cx *cx, void *arg)
{
    const asxi_rehearsal *const self = *(asxi_rehearsal **)arg;
    const uint32_t seats = self->engine->shard_count;
    asx_vnet *const net = net_of(cx);
    asx_prng prng;
    asx_prng_init(&prng, self->plan.seed ^ 0xc0);
    for (int i = 0; i < 3; i++) {
        const uint32_t seat = (uint32_t)asx_prng_below(&prng, seats);
        const bool both = asx_prng_below(&prng, 2), out = asx_prng_below(&prng, 2);
        ASX_TRY(asx_sleep(cx, asx_ms(1 + asx_prng_below(&prng, 2000))));
        asx_vnet_partition(net, out ? seat : seats, out ? seats : seat, both);
        const asx_outcome slept = asx_sleep(cx, asx_ms(1 + asx_prng_below(&prng, 5000)));
        asx_vnet_heal(net, seat, seats);
        ASX_TRY(slept);
    }
    return asx_ok(0);
}

static void weather_begin(asx_cx *cx, asx_scope *s, asxi_rehearsal *self)
{
    asx_vnet *const net = net_of(cx);
    const uint32_t hosts = asx_cx_shard_count(cx);
    if (!net) {
        return;
    }
    asx_vnet_faults_set(net, &self->plan.faults);
    for (uint32_t i = 0; i < hosts * hosts; i++) {
        asx_vnet_link_set(net, i / hosts, i % hosts, &self->plan.link);
    }
    if (self->plan.cuts) {
        ASX_SPAWN(s, cut_body, &self);
    }
}

typedef struct awaited {
    asxi_rehearsal *show;
    asx_handle limb;
} awaited;

/* Joining is a fiber's; the drain waits for whichever comes first. */
static asx_outcome await_body(asx_cx *cx, void *arg)
{
    const awaited self = *(awaited *)arg;
    const asx_outcome outcome = asx_join_limb(cx, self.limb);
    asx_event_set(&self.show->over);
    return outcome;
}

typedef struct forced {
    asx_duration after_ns;
    uint32_t count;
    asx_handle limbs[ASX_LAB_SHARDS_MAX];
} forced;

static asx_outcome force_body(asx_cx *cx, void *arg)
{
    const forced *const self = arg;
    ASX_TRY(asx_sleep(cx, self->after_ns));
    for (uint32_t i = 0; i < self->count; i++) {
        asx_limb_cancel(cx, self->limbs[i], ASX_CANCEL_SHUTDOWN, "drain budget spent");
    }
    return asx_ok(0);
}

/* As the engine does it: nobody new, then everybody to the end of what was begun. */
static asx_outcome drain(asx_cx *cx, asx_scope *s, asxi_rehearsal *self, const forced *serving)
{
    asx_store_release(&self->engine->phase, (uint32_t)ASX_ENGINE_DRAINING);
    ASX_TRY(on_seats(s, cx, self, drain_body));
    if (serving->after_ns > 0) {
        ASX_SPAWN(s, force_body, serving);
    }
    for (uint32_t i = 0; i < serving->count; i++) {
        const asx_outcome served = asx_join_limb(cx, serving->limbs[i]);
        if (asx_is_cancelled(cx)) {
            return served;
        }
    }
    return asx_ok(0);
}

static asx_outcome rehearse(asx_cx *cx, asx_scope *s, asxi_rehearsal *self)
{
    const uint32_t seats = self->engine->shard_count;
    forced serving = { .after_ns = self->plan.force_after_ns };
    awaited public = { .show = self };
    weather_begin(cx, s, self);
    ASX_TRY(on_seats(s, cx, self, listen_body));
    for (uint32_t i = 0; i < seats; i++) {
        const asx_err err = asx_spawn_on(&s->cx, i, serve_body, &self, sizeof(self), NULL,
                                         &serving.limbs[serving.count]);
        if (err) {
            return asx_fail(err);
        }
        serving.count++;
    }
    const asx_err err =
        asx_spawn_on(&s->cx, seats, asxi_rehearsal_public, &self, sizeof(self), NULL, &public.limb);
    if (err) {
        return asx_fail(err);
    }
    ASX_SPAWN(s, await_body, &public);
    const asx_duration show_ns =
        self->plan.drain_after_ns ? self->plan.drain_after_ns : asx_s(SHOW_S);
    const asx_instant until_ns = asx_time_add(asx_now(cx), show_ns);
    const asx_outcome waited = asx_event_wait(cx, &self->over, "the public", until_ns);
    return asx_is_cancelled(cx) ? waited : drain(cx, s, self, &serving);
}

asx_outcome asxi_rehearsal_public(asx_cx *cx, void *arg)
{
    asxi_rehearsal *const self = *(asxi_rehearsal **)arg;
    asx_outcome outcome = asx_ok(0);
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        asx_region *const region = asx_scope_region(s);
        if (region) {
            asxi_rehearsal_clients_start(&s->cx, region, self);
            outcome = asxi_rehearsal_callers_run(cx, self);
        }
    }
    return outcome;
}

/* Closed connections go on for a while in the network: until nobody can hear of them any more. */
static void settle(asx_cx *cx, asxi_rehearsal *self)
{
    asx_vnet_stats stats = { 0 };
    asx_vnet *const net = net_of(cx);
    for (uint32_t i = 0; net && i < SETTLE_S; i++) {
        asx_vnet_stats_read(net, &stats);
        if (stats.sockets == 0 || !asx_is_ok(asx_sleep(cx, ASX_NS_PER_S))) {
            break;
        }
    }
    self->sockets_left = asx_is_cancelled(cx) ? 0 : stats.sockets;
}

asx_outcome asxi_rehearsal_run(asx_cx *cx, asxi_rehearsal *self)
{
    asx_outcome outcome = asx_ok(0);
    bool closed = false;
    asx_assert_le(2, asx_cx_shard_count(cx));
    self->engine = engine_create(cx, &self->plan, asx_cx_shard_count(cx) - 1);
    if (!self->engine) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    if (self->addr.family == ASX_ADDR_NONE) {
        const asx_err err = asx_addr_parse("10.0.0.1:80", &self->addr);
        asx_assert_eq(err, ASX_OK);
    }
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        outcome = rehearse(cx, s, self);
        if (!asx_is_ok(outcome)) {
            asx_scope_cancel(s, ASX_CANCEL_SHUTDOWN, "the rehearsal ended");
        }
    }
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        for (uint32_t i = 0; i < TRIES && !closed; i++) {
            closed = asx_is_ok(on_seats(s, cx, self, unlisten_body));
        }
    }
    if (closed) {
        settle(cx, self);
    }
    if (self->tally.wrong > 0 || self->sockets_left > 0) {
        asx_panic("%" PRIu64 " answers were wrong (%s), and %" PRIu64 " sockets stayed",
                  self->tally.wrong, self->tally.first_wrong, self->sockets_left);
    }
    return asx_ok(self->tally.right);
}

static asx_outcome scenario_app(asx_cx *cx, ASX_UNUSED void *arg)
{
    asx_driver *const driver = asx_shard_driver(asx_shard_of(cx));
    uint64_t seed;
    driver->ops->entropy(driver, &seed, sizeof(seed));
    asxi_rehearsal self = { .plan = asxi_rehearsal_plan_of(seed) };
    return asxi_rehearsal_run(cx, &self);
}

static void scenario_configure(asx_lab_config *config)
{
    static const asx_vnet_config net = { .port_max = 0 }; /* the plan says what it is like */
    config->net = &net;
    config->turn_budget = ASX_LAB_TURN_PRODUCTION;
    config->max_steps = 10000000;
}

const asx_lab_scenario asxi_rehearsal_scenarios[] = {
    { "http-server", "asx serve, and a thousand clients of every manner in any weather", 3, 2,
      scenario_app, scenario_configure, true },
    { .name = NULL },
};
