#include "program_routes.h"

#include <asx/engine/figures.h>
#include <asx/engine/serve.h>
#include <asx/engine/static_file.h>
#include <asx/proto/http_status.h>
#include <asx/shard/shard.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define TEXT "text/plain; charset=utf-8"
#define BYTES_MAX (UINT64_C(1) << 32) /* of /bytes/N */
#define SLEEP_MS_MAX UINT64_C(3600000)

static asx_outcome bad_request(asx_cx *cx, asx_http_exchange *x, const char *why)
{
    return asx_http_reply(cx, x, 400, TEXT, asx_view_str(why));
}

static asx_outcome plaintext(asx_cx *cx, asx_http_exchange *x)
{
    return asx_http_reply(cx, x, 200, "text/plain", asx_view_of("Hello, World!", 13));
}

static asx_outcome json(asx_cx *cx, asx_http_exchange *x)
{
    return asx_http_reply(cx, x, 200, "application/json",
                          asx_view_of("{\"message\":\"Hello, World!\"}", 27));
}

/* Streams: never holds more than one piece of the body. */
static asx_outcome echo(asx_cx *cx, asx_http_exchange *x)
{
    asx_view type, piece;
    char content_type[128] = "application/octet-stream";
    if (asx_http_header_known(x, ASX_HEADER_CONTENT_TYPE, &type) &&
        type.len < sizeof(content_type)) {
        memcpy(content_type, type.ptr, type.len);
        content_type[type.len] = '\0';
    }
    /* Read before answering, so that a client that waits for 100 gets it first. */
    asx_outcome more = asx_http_read(cx, x, &piece);
    if (!asx_is_ok(more)) {
        return more;
    }
    ASX_TRY(asx_http_begin(cx, x, 200, content_type, asx_http_body_length(x)));
    while (asx_is_ok(more) && more.value) {
        ASX_TRY(asx_http_write(cx, x, piece));
        more = asx_http_read(cx, x, &piece);
    }
    return asx_is_ok(more) ? asx_http_end(cx, x) : more;
}

#define FOUR(text) text text text text
#define ROW "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-_"
static const char block[] = FOUR(FOUR(FOUR(FOUR(FOUR(ROW))))); /* 64 KiB */

#define BLOCK_BYTES (sizeof(block) - 1)
#define BLOCK_FILE_BYTES (UINT64_C(2) << 20) /* one huge page */

/* What this shard's service holds. */
typedef struct program {
    asx_defer defer;
    asx_kept kept;    /* `block`, the whole of most bodies */
    int32_t block_fd; /* `block` over and over, in memory: sent without a copy. -1: there is none */
    bool block_asked; /* the first large body makes the file */
} program;

static void program_close(asx_cx *cx, asx_defer *defer)
{
    program *const self = asx_container_of(defer, program, defer);
    if (self->block_fd >= 0) {
        close(self->block_fd);
    }
    asx_kept_deinit(&self->kept, asx_shard_driver(asx_shard_of(cx)));
}

/* Asks for one huge page in place of 512: a socket takes it in a few pieces instead of one a page,
 * which is a third of the cost of sending it. Refused, the file is as good, only slower. */
static void pages_collapse(int32_t fd)
{
    const int advice = 25; /* MADV_COLLAPSE, Linux 6.1, newer than the packaged header */
    char *const room =
        mmap(NULL, 2 * BLOCK_FILE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) {
        return;
    }
    char *const aligned = room + (-(uintptr_t)room & (BLOCK_FILE_BYTES - 1));
    if (mmap(aligned, BLOCK_FILE_BYTES, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED) {
        (void)madvise(aligned, BLOCK_FILE_BYTES, advice);
    }
    munmap(room, 2 * BLOCK_FILE_BYTES);
}

static int32_t block_file(void)
{
    const int32_t fd = memfd_create("asx-bytes", MFD_CLOEXEC);
    for (size_t at = 0; fd >= 0 && at < BLOCK_FILE_BYTES; at += BLOCK_BYTES) {
        if (pwrite(fd, block, BLOCK_BYTES, (off_t)at) != (ssize_t)BLOCK_BYTES) {
            close(fd);
            return -1;
        }
    }
    if (fd >= 0) {
        (void)fcntl(fd, F_SETFL, O_RDWR | O_NOATIME); /* nobody asks when it was read */
        pages_collapse(fd);
    }
    return fd;
}

static asx_outcome bytes(asx_cx *cx, asx_http_exchange *x)
{
    program *const self = asx_service_arg(x);
    uint64_t left;
    if (!asx_route_param_u64(x, "n", &left) || left > BYTES_MAX) {
        return bad_request(cx, x, "/bytes/N: N is a number up to 2^32\n");
    }
    if (left <= BLOCK_BYTES) {
        return asx_http_reply_kept(cx, x, 200, "application/octet-stream", &self->kept,
                                   (size_t)left);
    }
    ASX_TRY(asx_http_begin(cx, x, 200, "application/octet-stream", left));
    if (asx_http_method_of(x) == ASX_HTTP_HEAD) {
        left = 0;
    }
    if (!self->block_asked) { /* of a driver that sends files without a copy */
        self->block_asked = true;
        self->block_fd = asx_shard_driver(asx_shard_of(cx))->ops->sendfile_now ? block_file() : -1;
    }
    const size_t size = self->block_fd < 0 ? BLOCK_BYTES : BLOCK_FILE_BYTES;
    while (left > 0) {
        const size_t len = left < size ? (size_t)left : size;
        if (self->block_fd < 0) {
            ASX_TRY(asx_http_write(cx, x, asx_view_of(block, len)));
        } else {
            ASX_TRY(asx_http_write_file(cx, x, self->block_fd, 0, len));
        }
        left -= len;
    }
    return asx_http_end(cx, x);
}

static asx_outcome status(asx_cx *cx, asx_http_exchange *x)
{
    char body[64];
    uint64_t code;
    if (!asx_route_param_u64(x, "n", &code) || code < 200 || code > 599) {
        return bad_request(cx, x, "/status/N: N is a status from 200 to 599\n");
    }
    if (asx_http_status_is_bodiless((uint32_t)code)) {
        return asx_http_reply(cx, x, (unsigned)code, NULL, asx_view_of(NULL, 0));
    }
    const asx_view phrase = asx_http_status_phrase((uint32_t)code);
    const int len =
        snprintf(body, sizeof(body), "%u %.*s\n", (unsigned)code, (int)phrase.len, phrase.ptr);
    return asx_http_reply(cx, x, (unsigned)code, TEXT, asx_view_of(body, (size_t)len));
}

static asx_outcome sleep_ms(asx_cx *cx, asx_http_exchange *x)
{
    char body[64];
    uint64_t ms;
    if (!asx_route_param_u64(x, "n", &ms) || ms > SLEEP_MS_MAX) {
        return bad_request(cx, x, "/sleep/MS: MS is a number up to 3600000\n");
    }
    ASX_TRY(asx_sleep(cx, asx_ms(ms)));
    const int len = snprintf(body, sizeof(body), "slept %llu ms\n", (unsigned long long)ms);
    return asx_http_reply(cx, x, 200, TEXT, asx_view_of(body, (size_t)len));
}

static asx_outcome panic(ASX_UNUSED asx_cx *cx, ASX_UNUSED asx_http_exchange *x)
{
    asx_panic("somebody asked for /panic");
}

static asx_outcome static_file(asx_cx *cx, asx_http_exchange *x)
{
    const asx_engine *const engine = asx_service_engine(x);
    const asx_static_root root = {
        .dir_fd = asx_engine_root_fd(engine),
        .epoch_unix_ns = asx_engine_epoch_unix_ns(engine),
    };
    if (root.dir_fd < 0) {
        return asx_http_reply(cx, x, 404, TEXT,
                              asx_view_str("nothing is served here; see --root\n"));
    }
    return asx_static_reply(cx, x, &root, asx_route_param(x, "path"));
}

/* 503 from the first signal on, so that a load balancer sends nothing new. */
static asx_outcome healthz(asx_cx *cx, asx_http_exchange *x)
{
    const asx_engine_phase phase = asx_engine_phase_of(asx_service_engine(x));
    if (phase == ASX_ENGINE_RUNNING) {
        return asx_http_reply(cx, x, 200, TEXT, asx_view_of("ok\n", 3));
    }
    return asx_http_reply(cx, x, 503, TEXT, asx_view_str("draining\n"));
}

static asx_outcome metrics(asx_cx *cx, asx_http_exchange *x)
{
    asx_engine *const engine = asx_service_engine(x);
    asx_view text;
    ASX_TRY(asx_figures_refresh(cx, engine));
    const asx_err err = asx_figures_prometheus(cx, engine, &text);
    if (err) {
        return asx_fail(err);
    }
    return asx_http_reply(cx, x, 200, "text/plain; version=0.0.4; charset=utf-8", text);
}

static const char page_head[] =
    "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=2>"
    "<meta name=viewport content=\"width=device-width\"><title>asx</title>"
    "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 "
    "1rem}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:right;padding:.25rem .6rem;"
    "border-bottom:1px solid #ccc}code{background:#eee;padding:0 .2em}"
    "@media(prefers-color-scheme:dark){body{background:#111;color:#ddd}code{background:#333}}"
    "</style><h1>asx</h1>";
static const char page_tail[] =
    "</table><p>Also here: <a href=/plaintext>/plaintext</a> <a href=/json>/json</a> "
    "<code>/echo</code> <a href=/bytes/1000>/bytes/N</a> <a href=/status/404>/status/N</a> "
    "<a href=/sleep/500>/sleep/MS</a> <a href=/panic>/panic</a> <a href=/static/>/static/</a> "
    "<a href=/healthz>/healthz</a> <a href=/metrics>/metrics</a></p>"
    "<p>Every connection, request and timer on this page is a task owned by a region. Stop the "
    "server with <code>kill -TERM</code>: it finishes what is in flight first.</p></html>\n";

static int page_row(const asx_engine *engine, uint32_t shard, char *buf, size_t cap)
{
    asx_figures f;
    asx_figures_read(engine, shard, &f);
    return snprintf(
        buf, cap,
        "<tr><td>%u<td>%u<td>%llu<td>%llu<td>%llu<td>%llu<td>%llu<td>%llu<td>%llu"
        "<td>%llu",
        shard, asx_engine_core(engine, shard), (unsigned long long)f.http.requests,
        (unsigned long long)f.http.requests_in_flight, (unsigned long long)f.http.connections_open,
        (unsigned long long)f.shard.tasks_live, (unsigned long long)f.shard.regions_live,
        (unsigned long long)f.shard.turns, (unsigned long long)f.shard.heap_bytes_live / 1024,
        (unsigned long long)f.http.panics);
}

static asx_outcome home(asx_cx *cx, asx_http_exchange *x)
{
    asx_engine *const engine = asx_service_engine(x);
    const uint32_t count = asx_engine_shard_count(engine);
    const size_t cap = sizeof(page_head) + sizeof(page_tail) + 1024 + (size_t)count * 320;
    char *const page = asx_alloc(cx, cap);
    if (!page) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    ASX_TRY(asx_figures_refresh(cx, engine));
    const asx_duration up_ns = asx_engine_uptime(engine, asx_now(cx));
    int len = snprintf(page, cap,
                       "%s<p>%u shard%s over <b>%s</b>, up for %llu s. You were answered by shard "
                       "%u.</p><table><tr><th>shard<th>core<th>requests<th>in flight"
                       "<th>connections<th>tasks<th>regions<th>turns<th>heap KiB<th>panics",
                       page_head, count, count > 1 ? "s" : "",
                       asx_driver_kind_name(asx_engine_driver(engine)),
                       (unsigned long long)(up_ns / ASX_NS_PER_S), asx_cx_shard_index(cx));
    for (uint32_t i = 0; i < count; i++) {
        len += page_row(engine, i, page + len, cap - (size_t)len);
    }
    len += snprintf(page + len, cap - (size_t)len, "%s", page_tail);
    return asx_http_reply(cx, x, 200, "text/html; charset=utf-8", asx_view_of(page, (size_t)len));
}

static const asx_route routes[] = {
    { ASX_HTTP_GET, "/", home, NULL },
    { ASX_HTTP_GET, "/plaintext", plaintext, NULL },
    { ASX_HTTP_GET, "/json", json, NULL },
    { ASX_HTTP_POST, "/echo", echo, NULL },
    { ASX_HTTP_PUT, "/echo", echo, NULL },
    { ASX_HTTP_GET, "/bytes/:n", bytes, NULL },
    { ASX_HTTP_GET, "/status/:n", status, NULL },
    { ASX_HTTP_GET, "/sleep/:n", sleep_ms, NULL },
    { ASX_HTTP_GET, "/panic", panic, NULL },
    { ASX_HTTP_GET, "/static/*path", static_file, NULL },
    { ASX_HTTP_GET, "/healthz", healthz, NULL },
    { ASX_HTTP_GET, "/metrics", metrics, NULL },
};

asx_outcome asxi_program_app(asx_cx *cx, void *engine)
{
    program self = { .block_fd = -1 };
    asx_kept_init(&self.kept, asx_view_of(block, BLOCK_BYTES));
    const asx_service service = { .routes = routes,
                                  .route_count = asx_array_count(routes),
                                  .arg = &self };
    asx_defer_push(cx, &self.defer, program_close);
    const asx_outcome outcome = asx_serve(cx, engine, &service);
    asx_defer_pop(cx, &self.defer);
    program_close(cx, &self.defer);
    return outcome;
}
