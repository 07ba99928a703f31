#include <asx/shard/op.h>
#include <asx/shard/scope.h>
#include <asx/shard/shard.h>

#include "tool_net_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum { KEY_FILE_MAX = 256, NAME_MAX_BYTES = 256 };

static bool key_take(asxi_tool_key *key, const char *from, const void *text, size_t len)
{
    /* A key does not belong in a core file. */
    const struct rlimit none = { 0, 0 };
    (void)setrlimit(RLIMIT_CORE, &none);
    asx_rq_key parsed;
    asxi_tool_key_end(key);
    asx_err err = asx_rq_key_parse(&parsed, text, len);
    if (err != ASX_OK) {
        fprintf(stderr,
                "asx rq: %s: no key: it takes 32 random bytes or 64 hexadecimal digits, as from "
                "head -c 32 /dev/urandom\n",
                from);
        return false;
    }
    err = asx_rq_keyring_create(&key->ring, &parsed);
    asx_rq_key_wipe(&parsed);
    if (err != ASX_OK) {
        fprintf(stderr, "asx rq: %s: no memory to keep a key in\n", from);
    }
    return err == ASX_OK;
}

void asxi_tool_key_end(asxi_tool_key *key)
{
    asx_rq_keyring_destroy(key->ring);
    key->ring = NULL;
}

bool asxi_tool_key_file(asxi_tool_key *key, const char *path)
{
    uint8_t text[KEY_FILE_MAX];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd >= 0 ? read(fd, text, sizeof(text)) : -1;
    const int errnum = errno;
    if (fd >= 0) {
        close(fd);
    }
    if (got < 0) {
        fprintf(stderr, "asx rq: %s: %s\n", path, strerrordesc_np(errnum));
        return false;
    }
    const bool good = key_take(key, path, text, (size_t)got);
    explicit_bzero(text, sizeof(text));
    return good;
}

bool asxi_tool_key_text(asxi_tool_key *key, const char *text)
{
    const size_t len = strlen(text);
    /* 32 characters are not 32 random bytes. */
    return key_take(key, "--key", text, len == ASX_RQ_KEY_SIZE ? 0 : len);
}

static bool look_up(const char *text, asx_addr *addr)
{
    char host[NAME_MAX_BYTES];
    const char *colon = strrchr(text, ':');
    const size_t len = colon != NULL ? (size_t)(colon - text) : 0;
    if (len == 0 || len >= sizeof(host)) {
        fprintf(stderr, "asx rq: %s is no address: it takes HOST:PORT\n", text);
        return false;
    }
    memcpy(host, text, len);
    host[len] = '\0';
    const struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV };
    struct addrinfo *found = NULL;
    const int rc = getaddrinfo(host, colon + 1, &hints, &found);
    if (rc != 0) {
        fprintf(stderr, "asx rq: %s: %s\n", text, gai_strerror(rc));
        return false;
    }
    *addr = (asx_addr){ 0 };
    for (const struct addrinfo *at = found; at != NULL && addr->family == ASX_ADDR_NONE;
         at = at->ai_next) {
        if (at->ai_family == AF_INET) {
            struct sockaddr_in in;
            memcpy(&in, at->ai_addr, sizeof(in));
            *addr = (asx_addr){ .family = ASX_ADDR_INET, .port = ntohs(in.sin_port) };
            memcpy(addr->ip, &in.sin_addr, 4);
        } else if (at->ai_family == AF_INET6) {
            struct sockaddr_in6 in;
            memcpy(&in, at->ai_addr, sizeof(in));
            *addr = (asx_addr){ .family = ASX_ADDR_INET6, .port = ntohs(in.sin6_port) };
            memcpy(addr->ip, &in.sin6_addr, 16);
        }
    }
    freeaddrinfo(found);
    return addr->family != ASX_ADDR_NONE;
}

bool asxi_tool_addr(const char *text, bool may_be_any, asx_addr *addr)
{
    if (asx_addr_parse(text, addr) != ASX_OK && !look_up(text, addr)) {
        return false;
    }
    const bool is_ip = addr->family == ASX_ADDR_INET || addr->family == ASX_ADDR_INET6;
    if (!is_ip || (!may_be_any && (text[0] == ':' || addr->port == 0))) {
        fprintf(stderr, "asx rq: %s: datagrams go to HOST:PORT\n", text);
        return false;
    }
    return true;
}

typedef struct running {
    asx_task_fn *fn;
    void *arg;
    int32_t signal_fd;
    asx_handle worker;
    bool is_interrupted;
    asx_outcome outcome;
} running;

/* The first signal cancels the work, which cleans up; a second one does not wait for that. */
static asx_outcome watch(asx_cx *cx, void *arg)
{
    running *run = *(running **)arg;
    struct signalfd_siginfo record;
    struct iovec iov = { .iov_base = &record, .iov_len = sizeof(record) };
    for (;;) {
        asx_op op = { .code = ASX_OP_READ,
                      .fd = run->signal_fd,
                      .iov = &iov,
                      .iov_count = 1,
                      .offset = UINT64_MAX };
        ASX_TRY(asx_op_await(cx, &op));
        if (run->is_interrupted) {
            _exit(TOOL_FAILED);
        }
        run->is_interrupted = true;
        asx_task_cancel(cx, run->worker, ASX_CANCEL_USER, "a signal");
    }
}

static asx_outcome root(asx_cx *cx, void *arg)
{
    running *run = arg;
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        run->worker = asx_scope_spawn(s, run->fn, run->arg, 0, NULL);
        const asx_handle watcher = ASX_SPAWN(s, watch, &run);
        run->outcome = asx_join_drained(cx, run->worker, NULL);
        asx_task_cancel(cx, watcher, ASX_CANCEL_USER, "the work has ended");
    }
    return asx_ok(0);
}

static void say(void *arg, asx_shard *shard, const char *text)
{
    (void)arg;
    (void)shard;
    fprintf(stderr, "asx rq: %s\n", text);
}

static asxi_tool_end ending(const running *run, asx_err *err)
{
    switch ((asx_severity)run->outcome.severity) {
    case ASX_SEVERITY_OK:
        *err = ASX_OK;
        return TOOL_RAN;
    case ASX_SEVERITY_ERR:
        *err = run->outcome.err;
        return TOOL_RAN;
    case ASX_SEVERITY_CANCELLED:
        *err = ASX_E(CANCELLED);
        return TOOL_INTERRUPTED;
    case ASX_SEVERITY_PANICKED:
        break;
    }
    fprintf(stderr, "asx rq: %s\n", run->outcome.panic->message);
    return TOOL_BROKE;
}

asxi_tool_end asxi_tool_run(const asx_rq_host *host, asx_task_fn *fn, void *arg, asx_err *err)
{
    running run = { .fn = fn, .arg = arg, .signal_fd = -1 };
    char name[64];
    asx_driver *driver = NULL;
    asx_shard *shard = NULL;
    *err = ASX_E(UNSUPPORTED);
    if (host != NULL) {
        *err = host->signals_open(&run.signal_fd); /* before there is any thread */
        *err = *err == ASX_OK ? host->driver_open(&driver) : *err;
    }
    if (*err == ASX_OK) {
        const asx_shard_config config = { .driver = driver, .diagnostic = say };
        *err = asx_shard_create(&config, &shard);
    }
    asxi_tool_end end = TOOL_NO_SHARD;
    if (*err == ASX_OK) {
        (void)asx_shard_run(shard, root, &run);
        end = ending(&run, err);
        asx_shard_destroy(shard);
    } else {
        fprintf(stderr, "asx rq: cannot start: %s\n", asxi_tool_err(*err, name, sizeof(name)));
    }
    if (run.signal_fd >= 0) {
        close(run.signal_fd);
    }
    return end;
}
