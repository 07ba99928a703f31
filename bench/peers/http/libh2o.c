// A libh2o (evloop) hello server, the handler answering from memory: libh2o-hello PORT.
#include <errno.h>
#include <h2o.h>
#include <h2o/http1.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static h2o_globalconf_t conf;
static h2o_context_t ctx;
static h2o_accept_ctx_t plain;
static char big[65536];

static int answer(h2o_req_t *req, const char *body, size_t len)
{
    static h2o_generator_t g = { NULL, NULL };
    h2o_iovec_t v = h2o_iovec_init(body, len);
    req->res.status = 200;
    req->res.reason = "OK";
    req->res.content_length = len;
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL,
                   H2O_STRLIT("text/plain"));
    h2o_start_response(req, &g);
    h2o_send(req, &v, 1, H2O_SEND_STATE_FINAL);
    return 0;
}

static int on_hello(h2o_handler_t *self, h2o_req_t *req)
{
    (void)self;
    return answer(req, "Hello, World!", 13);
}
static int on_big(h2o_handler_t *self, h2o_req_t *req)
{
    (void)self;
    return answer(req, big, sizeof big);
}

static void on_accept(h2o_socket_t *l, const char *err)
{
    if (err)
        return;
    for (int i = 0; i < 64; i++) {
        h2o_socket_t *s = h2o_evloop_socket_accept(l);
        if (!s)
            return;
        h2o_accept(l->data, s);
    }
}

static void listen_on(int port, h2o_accept_ctx_t *a)
{
    struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) || listen(fd, 4096)) {
        perror("listen");
        exit(1);
    }
    h2o_socket_t *s = h2o_evloop_socket_create(ctx.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    s->data = a;
    h2o_socket_read_start(s, on_accept);
}

int main(int argc, char **argv)
{
    if (argc != 2)
        return 2;
    signal(SIGPIPE, SIG_IGN);
    memset(big, 'x', sizeof big);
    h2o_config_init(&conf);
    conf.http1.req_timeout = 600000;
    h2o_hostconf_t *host =
        h2o_config_register_host(&conf, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_create_handler(h2o_config_register_path(host, "/hello", 0), sizeof(h2o_handler_t))->on_req =
        on_hello;
    h2o_create_handler(h2o_config_register_path(host, "/64k", 0), sizeof(h2o_handler_t))->on_req =
        on_big;
    h2o_context_init(&ctx, h2o_evloop_create(), &conf);
    plain.ctx = &ctx;
    plain.hosts = conf.hosts;
    listen_on(atoi(argv[1]), &plain);
    while (h2o_evloop_run(ctx.loop, INT32_MAX) == 0) {
    }
    return 0;
}
