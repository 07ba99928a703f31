/* Start and end of the process: what is bound and probed before there is any thread, and the way
 * back when all of them have ended. */
#include <asx/reactor/signal.h>
#include <asx/shard/base/assert.h>

#include "engine_internal.h"
#include "listener.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void asxi_say(const char *fmt, ...)
{
    char line[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    fprintf(stderr, "asx: %s\n", line); /* one call, so that lines of shards do not mix */
}

const char *asx_engine_phase_name(asx_engine_phase phase)
{
    switch (phase) {
    case ASX_ENGINE_RUNNING:
        return "running";
    case ASX_ENGINE_DRAINING:
        return "draining";
    case ASX_ENGINE_FORCING:
        return "forcing";
    }
    return "?";
}

void asxi_seat_ring(asxi_seat *seat)
{
    const uint64_t one = 1;
    /* Full at 2^64-2 unread rings: cannot fail, and one that waits is as good as two. */
    if (write(seat->bell, &one, sizeof(one)) != (ssize_t)sizeof(one)) {
        asx_maybe(false);
    }
}

void asxi_engine_ring_all(asx_engine *engine)
{
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        asxi_seat_ring(&engine->seats[i]);
    }
}

void asxi_engine_phase_set(asx_engine *engine, asx_engine_phase phase)
{
    asx_assert_le(engine->phase, phase);
    asx_store_release(&engine->phase, (uint32_t)phase);
    asxi_engine_ring_all(engine);
}

asxi_seat *asxi_seat_of(asx_engine *engine, const asx_cx *cx)
{
    const uint32_t index = asx_cx_shard_index(cx);
    asx_assert_lt(index, engine->shard_count);
    return &engine->seats[index];
}

static bool refuse_start(const char *what, const char *value, asx_err err)
{
    char name[64];
    const bool is_errno = asx_err_domain_of(err) == ASX_ERR_DOMAIN_ERRNO;
    asxi_say("%s %s: %s", what, value,
             is_errno ? strerrordesc_np((int)asx_err_code(err))
                      : asx_err_name(err, name, sizeof(name)));
    return false;
}

static bool cores_choose(asx_engine *engine)
{
    const asx_config *const config = engine->config;
    const asx_topology *const topology = &engine->topology;
    char allowed[256];
    const uint32_t limit = asx_topology_shards_default(topology);
    engine->shard_count = config->cores.count           ? config->cores.count
                          : config->shards              ? (uint32_t)config->shards
                          : limit < ASX_SHARD_COUNT_MAX ? limit
                                                        : ASX_SHARD_COUNT_MAX;
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        asxi_seat *const seat = &engine->seats[i];
        seat->engine = engine;
        seat->config = engine->config;
        seat->index = i;
        asx_list_init(&seat->services);
        /* More shards than cores share them: slower, and useful for trying things out. */
        seat->core = topology->allowed.ids[i % topology->allowed.count];
        if (config->cores.count == 0) {
            continue;
        }
        seat->core = config->cores.ids[i];
        if (!asx_core_list_has(&topology->allowed, seat->core)) {
            asxi_say("--cores: there is no core %u here; this process may use %s", seat->core,
                     asx_core_list_format(&topology->allowed, allowed, sizeof(allowed)));
            return false;
        }
    }
    return true;
}

static bool listeners_open(asx_engine *engine)
{
    const asx_config *const config = engine->config;
    const bool nonblocking = engine->driver == ASX_DRIVER_EPOLL;
    char text[ASX_ADDR_TEXT_MAX];
    for (uint32_t i = 0; i < config->listen.count; i++) {
        const asx_err err =
            asx_listener_open(&config->listen.addrs[i], engine->shard_count, nonblocking,
                              engine->listen_fds[i], &engine->listen_addrs[i]);
        if (err) {
            engine->listen_fds[i][0] = -1;
            return refuse_start("cannot listen on",
                                asx_addr_format(&config->listen.addrs[i], text, sizeof(text)), err);
        }
    }
    if (config->admin.count > 0) {
        const asx_err err = asx_listener_open(&config->admin.addrs[0], 1, nonblocking,
                                              &engine->admin_fd, &engine->admin_addr);
        if (err) {
            engine->admin_fd = -1;
            return refuse_start("--admin: cannot listen on",
                                asx_addr_format(&config->admin.addrs[0], text, sizeof(text)), err);
        }
    }
    return true;
}

static bool files_open(asx_engine *engine)
{
    const asx_config *const config = engine->config;
    if (config->root[0] != '\0') {
        engine->root_fd = open(config->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (engine->root_fd < 0) {
            const int errnum = errno;
            return refuse_start("--root", config->root, asx_err_errno(errnum));
        }
    }
    if (config->access_log[0] != '\0' && strcmp(config->access_log, "-") != 0) {
        const int fd = open(config->access_log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
        const int errnum = errno;
        if (fd < 0) {
            return refuse_start("--access-log", config->access_log, asx_err_errno(errnum));
        }
        close(fd);
    }
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        engine->seats[i].bell = eventfd(0, EFD_CLOEXEC);
        const int errnum = errno;
        if (engine->seats[i].bell < 0) {
            return refuse_start("cannot make", "an eventfd", asx_err_errno(errnum));
        }
    }
    return true;
}

static bool driver_choose(asx_engine *engine)
{
    const asx_err err = asx_driver_probe(engine->config->driver, &engine->driver,
                                         engine->driver_why, sizeof(engine->driver_why));
    if (err) {
        asxi_say("--driver %s: %s", asx_driver_choice_name(engine->config->driver),
                 engine->driver_why);
        return false;
    }
    return true;
}

static bool signals_open(asx_engine *engine)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };
    signal(SIGPIPE, SIG_IGN);
    const asx_err err = asx_signal_open(numbers, asx_array_count(numbers), &engine->signal_fd);
    return !err || refuse_start("cannot make", "a signalfd", err);
}

static bool memory_make(asx_engine *engine)
{
    engine->latencies = calloc(engine->shard_count, sizeof(*engine->latencies));
    engine->sources_memory = calloc(1, asx_sources_bytes(ASX_SOURCES_MAX));
    if (!engine->latencies || !engine->sources_memory) {
        return refuse_start("cannot make", "the figures", ASX_E(NO_MEMORY));
    }
    engine->sources = asx_sources_init(engine->sources_memory, ASX_SOURCES_MAX);
    const asx_err err = asx_blocking_create(NULL, &engine->blocking);
    if (err) {
        return refuse_start("cannot make", "the blocking pool", err);
    }
    if (engine->shard_count > 1) {
        engine->mesh = asx_mesh_create(engine->shard_count, ASX_RING_CAPACITY);
        if (!engine->mesh) {
            return refuse_start("cannot make", "the mesh", ASX_E(NO_MEMORY));
        }
    }
    return true;
}

static void fd_close(int32_t *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static void unmake(asx_engine *engine)
{
    for (uint32_t i = 0; i < ASX_LISTEN_MAX; i++) {
        for (uint32_t shard = 0; shard < ASX_SHARD_COUNT_MAX; shard++) {
            fd_close(&engine->listen_fds[i][shard]);
        }
        if (engine->listen_addrs[i].family == ASX_ADDR_UNIX) {
            unlink(engine->listen_addrs[i].path);
        }
    }
    if (engine->admin_addr.family == ASX_ADDR_UNIX) {
        unlink(engine->admin_addr.path);
    }
    for (uint32_t i = 0; i < ASX_SHARD_COUNT_MAX; i++) {
        fd_close(&engine->seats[i].bell);
    }
    fd_close(&engine->admin_fd);
    fd_close(&engine->root_fd);
    fd_close(&engine->signal_fd);
    if (engine->mesh) {
        asx_mesh_destroy(engine->mesh);
    }
    if (engine->blocking) {
        asx_blocking_destroy(engine->blocking);
    }
    free(engine->latencies);
    free(engine->sources_memory);
    pthread_cond_destroy(&engine->gate_moved);
    pthread_mutex_destroy(&engine->gate_lock);
    pthread_mutex_destroy(&engine->reload_lock);
}

static void engine_init(asx_engine *engine, const asx_config *config, asx_task_fn *app)
{
    memset(engine, 0, sizeof(*engine));
    memset(engine->listen_fds, -1, sizeof(engine->listen_fds));
    engine->config = config;
    engine->app = app;
    engine->root_fd = engine->signal_fd = engine->admin_fd = -1;
    for (uint32_t i = 0; i < ASX_SHARD_COUNT_MAX; i++) {
        engine->seats[i].bell = -1;
    }
    pthread_mutex_init(&engine->gate_lock, NULL);
    pthread_mutex_init(&engine->reload_lock, NULL);
    pthread_cond_init(&engine->gate_moved, NULL);
}

static void say_started(const asx_engine *engine)
{
    char text[ASX_ADDR_TEXT_MAX];
    asx_core_list cores = { .count = engine->shard_count };
    char list[256];
    for (uint32_t i = 0; i < engine->shard_count; i++) {
        cores.ids[i] = engine->seats[i].core;
    }
    asxi_say("%s", engine->driver_why);
    asxi_say("%u shard%s on core%s %s", engine->shard_count, engine->shard_count > 1 ? "s" : "",
             engine->shard_count > 1 ? "s" : "", asx_core_list_format(&cores, list, sizeof(list)));
    for (uint32_t i = 0; i < engine->config->listen.count; i++) {
        asxi_say("listening on %s", asx_addr_format(&engine->listen_addrs[i], text, sizeof(text)));
    }
    if (engine->config->admin.count > 0) {
        asxi_say("admin on %s", asx_addr_format(&engine->admin_addr, text, sizeof(text)));
    }
}

static int run(asx_engine *engine)
{
    const asx_err err = asx_topology_read(&engine->topology);
    if (err) {
        refuse_start("cannot read", "the affinity mask", err);
        return 2;
    }
    if (!cores_choose(engine) || !driver_choose(engine) || !files_open(engine) ||
        !listeners_open(engine) || !signals_open(engine) || !memory_make(engine)) {
        return 2;
    }
    say_started(engine);
    (void)asxi_seats_start(engine);
    const int status = asxi_seats_join(engine);
    if (status != 0) {
        return status;
    }
    asxi_drain_report(engine);
    return engine->failed ? 1 : 0;
}

int asx_boot(const asx_config *config, asx_task_fn *app)
{
    asx_engine engine;
    asx_assert(app != NULL);
    engine_init(&engine, config, app);
    const int status = run(&engine);
    unmake(&engine);
    return status;
}

const asx_config *asx_engine_config(const asx_engine *engine)
{
    return engine->config;
}

uint32_t asx_engine_shard_count(const asx_engine *engine)
{
    return engine->shard_count;
}

asx_engine_phase asx_engine_phase_of(const asx_engine *engine)
{
    return (asx_engine_phase)asx_load_acquire(&engine->phase);
}

asx_driver_kind asx_engine_driver(const asx_engine *engine)
{
    return engine->driver;
}

uint32_t asx_engine_core(const asx_engine *engine, uint32_t shard)
{
    asx_assert_lt(shard, engine->shard_count);
    return engine->seats[shard].core;
}

asx_duration asx_engine_uptime(const asx_engine *engine, asx_instant now_ns)
{
    return asx_time_sub(now_ns, engine->booted_at_ns);
}

int32_t asx_engine_root_fd(const asx_engine *engine)
{
    return engine->root_fd;
}

uint64_t asx_engine_epoch_unix_ns(const asx_engine *engine)
{
    return engine->epoch_unix_ns;
}
