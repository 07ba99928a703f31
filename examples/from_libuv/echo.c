/* An echo server and a client of it in the same program, over libuv. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

typedef struct reply {
    uv_write_t request; /* must live until sent() */
    uv_buf_t bytes;     /* and so must these */
} reply;

static uv_tcp_t server, client;
static uv_connect_t connecting;
static uv_shutdown_t shutting_down;

static void alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *bytes)
{
    (void)handle;
    *bytes = uv_buf_init(malloc(suggested), (unsigned)suggested);
}

static void closed(uv_handle_t *handle)
{
    free(handle);
}

static void sent(uv_write_t *request, int status)
{
    reply *const self = (reply *)request;
    (void)status;
    free(self->bytes.base);
    free(self);
}

static void echo_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    if (n <= 0) {
        free(bytes->base);
        if (n < 0) {
            uv_close((uv_handle_t *)stream, closed);
        }
        return;
    }
    reply *const self = malloc(sizeof(*self));
    self->bytes = uv_buf_init(bytes->base, (unsigned)n);
    uv_write(&self->request, stream, &self->bytes, 1, sent); /* queues without bound */
}

static void accepted(uv_stream_t *listener, int status)
{
    uv_tcp_t *const connection = malloc(sizeof(*connection));
    (void)status;
    uv_tcp_init(listener->loop, connection);
    if (uv_accept(listener, (uv_stream_t *)connection) == 0) {
        uv_read_start((uv_stream_t *)connection, alloc, echo_read);
    } else {
        uv_close((uv_handle_t *)connection, closed);
    }
}

static void client_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *bytes)
{
    if (n < 0) {
        printf("\n");
        uv_close((uv_handle_t *)stream, NULL);
        uv_close((uv_handle_t *)&server, NULL);
    } else {
        printf("%.*s", (int)n, bytes->base);
    }
    free(bytes->base);
}

static void connected(uv_connect_t *request, int status)
{
    reply *const self = malloc(sizeof(*self));
    (void)status;
    self->bytes = uv_buf_init(strdup("hello"), 5);
    uv_write(&self->request, request->handle, &self->bytes, 1, sent);
    uv_shutdown(&shutting_down, request->handle, NULL);
    uv_read_start(request->handle, alloc, client_read);
}

int main(void)
{
    uv_loop_t *const loop = uv_default_loop();
    struct sockaddr_in addr;
    int len = sizeof(addr);
    uv_ip4_addr("127.0.0.1", 0, &addr);
    uv_tcp_init(loop, &server);
    uv_tcp_bind(&server, (struct sockaddr *)&addr, 0);
    if (uv_listen((uv_stream_t *)&server, 128, accepted) != 0) {
        return 1;
    }
    uv_tcp_getsockname(&server, (struct sockaddr *)&addr, &len);
    uv_tcp_init(loop, &client);
    uv_tcp_connect(&connecting, &client, (struct sockaddr *)&addr, connected);
    uv_run(loop, UV_RUN_DEFAULT);
    return uv_loop_close(loop);
}
