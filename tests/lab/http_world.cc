/* The server's shard, and what a run left behind. */
#include "http_world.h"

#include <asx/lab/vdriver.h>
#include <asx/lab/world.h>
#include <asx/proto/http1.h>
#include <asx/shard/base/prng.h>
#include <asx/shard/event.h>
#include <asx/shard/limb.h>
#include <asx/shard/scope.h>
#include <asx/shard/socket_stream.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace
{

/* "/route/len/salt" */
struct asked {
    char route = 0;
    uint64_t len = 0, salt = 0;

    explicit asked(asx_view path)
    {
        uint64_t *numbers[] = { &len, &salt };
        int field = -1;
        route = path.len > 1 ? path.ptr[1] : 0;
        for (size_t i = 2; i < path.len; i++) {
            if (path.ptr[i] == '/') {
                field++;
            } else if (field >= 0 && field < 2 && path.ptr[i] >= '0' && path.ptr[i] <= '9') {
                *numbers[field] = *numbers[field] * 10 + (uint64_t)(path.ptr[i] - '0');
            }
        }
    }
};

char *pattern_of(asx_cx *cx, const asked &a)
{
    char *const bytes = static_cast<char *>(asx_alloc(cx, a.len + 1));
    for (uint64_t i = 0; bytes && i < a.len; i++) {
        bytes[i] = http_pattern(a.salt, i);
    }
    return bytes;
}

asx_outcome reply_chunked(asx_cx *cx, asx_http_exchange *x, const char *bytes, uint64_t len)
{
    ASX_TRY(asx_http_begin(cx, x, 200, "text/plain", ASX_HTTP_CHUNKED));
    for (uint64_t at = 0; at < len;) {
        const uint64_t n = std::min<uint64_t>(len - at, 1 + at % 97);
        ASX_TRY(asx_http_write(cx, x, asx_view_of(bytes + at, n)));
        at += n;
    }
    return asx_http_end(cx, x);
}

asx_outcome reply_echo(asx_cx *cx, asx_http_exchange *x, uint64_t len)
{
    char *const copy = static_cast<char *>(asx_alloc(cx, len + 1));
    size_t got = 0;
    for (;;) {
        asx_view data;
        const asx_outcome outcome = asx_http_read(cx, x, &data);
        if (!asx_is_ok(outcome)) {
            return outcome;
        }
        if (outcome.value == 0) {
            break;
        }
        if (!copy || got + data.len > len) {
            return asx_fail(ASX_E(TOO_LONG));
        }
        memcpy(copy + got, data.ptr, data.len);
        got += data.len;
    }
    return asx_http_reply(cx, x, 200, "text/plain", asx_view_of(copy, got));
}

asx_outcome handle(asx_cx *cx, asx_http_exchange *x)
{
    const asked a(asx_http_path(x));
    if (a.route == 'e') {
        return reply_echo(cx, x, a.len);
    }
    if (a.route == 'x') {
        return asx_fail(ASX_E(INVALID_ARGUMENT));
    }
    if (a.route == 'p') {
        asx_panic("as asked");
    }
    if (a.route == 's') {
        ASX_TRY(asx_sleep(cx, asx_ms(a.len)));
    }
    const char *const bytes = pattern_of(cx, a);
    if (!bytes) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    return a.route == 'c' ? reply_chunked(cx, x, bytes, a.len)
                          : asx_http_reply(cx, x, 200, "text/plain", asx_view_of(bytes, a.len));
}

struct accept_arg {
    http_run *run;
    asx_region *connections;
};

asx_outcome accept_body(asx_cx *cx, void *arg)
{
    const accept_arg self = *static_cast<accept_arg *>(arg);
    asx_acceptor *acceptor = nullptr;
    const asx_listen_options options{ 1024, false, true, 0 };
    const asx_err err = asx_acceptor_open(cx, &self.run->addr, &options, &acceptor);
    asx_event_set(&self.run->open);
    if (err) {
        return asx_fail(err);
    }
    for (;;) {
        int32_t fd = -1;
        const asx_outcome outcome = asx_acceptor_next(cx, acceptor, ASX_TIME_NEVER, &fd);
        if (asx_is_ok(outcome)) {
            const asx_err served = asx_http1_serve(cx, self.connections, self.run->server, fd);
            asx_maybe(served == ASX_OK);
        } else if (outcome.severity != ASX_SEVERITY_ERR) {
            asx_acceptor_close(cx, acceptor);
            return outcome;
        } else {
            const asx_outcome rested = asx_sleep(cx, asx_ms(1)); /* no descriptor left */
            asx_maybe(asx_is_ok(rested));
        }
    }
}

/* Partitions come, and go again. */
asx_outcome cut_body(asx_cx *cx, void *arg)
{
    http_run *const run = *static_cast<http_run **>(arg);
    asx_vnet *const net = asx_vdriver_net(asx_shard_driver(asx_shard_of(cx)));
    asx_prng prng;
    asx_prng_init(&prng, run->plan.seed ^ 0xc0);
    for (int i = 0; i < 3; i++) {
        ASX_TRY(asx_sleep(cx, asx_ms(1 + asx_prng_below(&prng, 2000))));
        const bool both = asx_prng_below(&prng, 2);
        const uint32_t from = (uint32_t)asx_prng_below(&prng, 2);
        asx_vnet_partition(net, from, 1 - from, both);
        const asx_outcome slept = asx_sleep(cx, asx_ms(1 + asx_prng_below(&prng, 5000)));
        asx_vnet_heal(net, 0, 1);
        ASX_TRY(slept);
    }
    return asx_ok(0);
}

struct wait_arg {
    http_run *run;
    asx_handle limb;
};

/* Joining is a fiber's; the drain waits for whichever comes first. */
asx_outcome wait_body(asx_cx *cx, void *arg)
{
    const wait_arg self = *static_cast<wait_arg *>(arg);
    const asx_outcome outcome = asx_join_limb(cx, self.limb);
    asx_event_set(&self.run->over);
    return outcome;
}

/* As the engine does it: nobody new, then everybody to the end of what was begun. */
asx_outcome drain(asx_cx *cx, http_run *run, asx_handle acceptor, asx_region *connections)
{
    asx_task_cancel(cx, acceptor, ASX_CANCEL_SHUTDOWN, "drain");
    const asx_outcome joined = asx_join(cx, acceptor);
    asx_maybe(asx_is_ok(joined));
    asx_http_server_drain(run->server);
    const asx_handle handle = asx_region_handle(connections);
    asx_region_close_begin(connections, ASX_CLOSE_JOIN, nullptr);
    const asx_outcome closed = asx_region_close_wait(cx, handle);
    asx_maybe(asx_is_ok(closed));
    const asx_http_stats *const stats = asx_http_server_stats(run->server);
    run->result.connections_left = stats->connections_open;
    run->result.in_flight_left = stats->requests_in_flight;
    return asx_ok(0);
}

asx_outcome serve(asx_cx *cx, asx_scope *s, http_run *run)
{
    asx_region *connections = nullptr;
    asx_region_options options{};
    options.policy = ASX_COLLECT_ALL;
    options.label = "connections";
    asx_err err = asx_region_open(&s->cx, &options, &connections);
    if (err) {
        return asx_fail(err);
    }
    accept_arg accept{ run, connections };
    const asx_handle acceptor = ASX_SPAWN(s, accept_body, &accept);
    ASX_TRY(asx_event_wait(cx, &run->open, "listening", ASX_TIME_NEVER));
    wait_arg wait{ run, {} };
    err = asx_spawn_on(&s->cx, 1, http_clients_main, &run, sizeof(run), nullptr, &wait.limb);
    if (err) {
        return asx_fail(err);
    }
    ASX_SPAWN(s, wait_body, &wait);
    if (run->plan.cuts) {
        ASX_SPAWN(s, cut_body, &run);
    }
    const asx_instant until_ns = run->plan.drain_early
                                     ? asx_time_add(asx_now(cx), asx_ms(run->plan.seed % 2000))
                                     : ASX_TIME_NEVER;
    const asx_outcome waited = asx_event_wait(cx, &run->over, "clients", until_ns);
    asx_maybe(asx_is_ok(waited));
    return drain(cx, run, acceptor, connections);
}

asx_outcome server_main(asx_cx *cx, void *arg)
{
    http_run *const run = static_cast<http_run *>(arg);
    asx_http_server_config config{};
    config.handler = handle;
    config.server_name = "lab";
    config.epoch_unix_ns = UINT64_C(1700000000) * ASX_NS_PER_S;
    asx_outcome outcome = asx_ok(0);
    const asx_err err = asx_http_server_create(cx, cx->_region, &config, &run->server);
    if (err) {
        return asx_fail(err);
    }
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        outcome = serve(cx, s, run);
    }
    asx_http_server_destroy(run->server);
    return outcome;
}

asx_lab_config config_of(const http_plan &plan)
{
    asx_lab_config config{};
    config.seed = plan.seed;
    config.shards = 2;
    config.mode = plan.mode;
    config.turn_budget = ASX_LAB_TURN_PRODUCTION;
    config.net = &plan.net;
    config.max_steps = 10000000;
    config.trace_capacity = 1024;
    config.choices = plan.choices;
    config.choice_count = plan.choice_count;
    return config;
}

void result_of(http_result *result, const asx_lab_report &report, bool keep_choices)
{
    result->passed = asx_lab_report_passed(&report);
    result->steps = report.steps;
    result->trace_hash = report.trace_hash;
    result->schedule_hash = report.schedule_hash;
    result->choice_count = report.choice_count;
    result->now_ns = report.now_ns;
    if (report.termination != ASX_LAB_QUIESCENT) {
        result->why += asx_lab_termination_name(report.termination);
        result->why += "\n";
    }
    for (uint32_t i = 0; i < report.violation_count; i++) {
        result->why += report.violations[i].text;
        result->why += "\n";
    }
    if (keep_choices) {
        result->choices.assign(reinterpret_cast<const char *>(report.choices),
                               report.choices_kept * sizeof(asx_lab_choice));
    }
}

} // namespace

http_result run_http(const http_plan &plan)
{
    http_run run{ plan, {}, {}, nullptr, {}, {} };
    const asx_err err = asx_addr_parse("10.0.0.1:80", &run.addr);
    asx_lab_report report{};
    asx_lab_config config = config_of(run.plan);
    config.unrecorded = !plan.keep_choices;
    asx_lab_world *const world = asx_lab_world_create(&config);
    asx_assert_eq(err, ASX_OK);
    asx_lab_world_start(world, server_main, &run);
    while (asx_lab_world_step(world)) {
    }
    asx_vnet *const net = asx_vdriver_net(asx_shard_driver(asx_lab_world_shard(world, 0)));
    asx_vnet_check(net);
    asx_vnet_stats_read(net, &run.result.net);
    run.result.sockets_left = run.result.net.sockets;
    asx_lab_world_finish(world, &report);
    result_of(&run.result, report, plan.keep_choices);
    asx_lab_report_deinit(&report);
    asx_lab_world_destroy(world);
    return run.result;
}

http_plan http_plan::chaos(uint64_t seed)
{
    static const char *const presets[] = { "ideal", "local", "lan",      "wan",
                                           "lossy", "lan",   "congested" };
    http_plan plan;
    asx_prng prng;
    asx_prng_init(&prng, seed ^ 0xca05);
    const auto ppm = [&](uint64_t most) -> uint32_t { /* half of the kinds are there at all */
                                                      return asx_prng_below(&prng, 2)
                                                                 ? (uint32_t)asx_prng_below(&prng,
                                                                                            most)
                                                                 : 0;
    };
    plan.seed = seed;
    plan.clients = 2000;
    plan.cuts = asx_prng_below(&prng, 4) == 0;
    plan.drain_early = asx_prng_below(&prng, 2);
    plan.arrive_ns = asx_ms(asx_prng_below(&prng, 3000));
    const asx_err err = asx_vlink_preset(presets[asx_prng_below(&prng, 7)], &plan.net.link);
    asx_assert_eq(err, ASX_OK);
    asx_vstream_faults &f = plan.net.stream;
    f.split_ppm = ppm(200000);
    f.short_read_ppm = ppm(100000);
    f.short_write_ppm = ppm(100000);
    f.stall_ppm = ppm(10000);
    f.reset_ppm = ppm(20000);
    f.truncate_ppm = ppm(10000);
    f.unread_lost_ppm = 500000;
    f.fin_lost_ppm = ppm(10000);
    f.refused_ppm = ppm(10000);
    f.unreachable_ppm = ppm(10000);
    f.syn_lost_ppm = ppm(10000);
    f.accept_ppm = ppm(10000);
    return plan;
}
