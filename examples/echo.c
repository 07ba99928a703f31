/* An echo server, one fiber a connection, and a client of it in the same program. */
#include <asx/asx.h>
#include <asx/shard/socket_stream.h>
#include <asx/shard/stream.h>

#include <stdio.h>

static asx_outcome echo(asx_cx *cx, void *arg)
{
    const int32_t fd = *(int32_t *)arg;
    asx_stream *stream; /* closed with the region, whatever ends this */
    asx_view data;
    const asx_err err = asx_socket_adopt(cx, NULL, fd, &stream);
    if (err) {
        return asx_fail(err);
    }
    for (;;) {
        const asx_outcome got = asx_stream_read(cx, stream, &data);
        if (!asx_is_ok(got) || got.value == 0) {
            asx_stream_close(cx, stream);
            return got;
        }
        ASX_TRY(asx_stream_write(cx, stream, data));
    }
}

static asx_outcome serve(asx_cx *cx, void *arg)
{
    asx_acceptor *const acceptor = *(asx_acceptor **)arg;
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) { /* a connection that fails is its own affair */
        for (;;) {
            int32_t fd;
            ASX_TRY(asx_acceptor_next(&s->cx, acceptor, ASX_TIME_NEVER, &fd));
            ASX_SPAWN(s, echo, &fd);
        }
    }
    return asx_ok(0);
}

static asx_outcome client(asx_cx *cx, const asx_addr *addr)
{
    asx_stream *stream;
    asx_view data;
    ASX_TRY(asx_socket_connect(cx, NULL, addr, ASX_TIME_NEVER, &stream));
    ASX_TRY(asx_stream_write(cx, stream, asx_view_str("hello")));
    ASX_TRY(asx_stream_shutdown_write(cx, stream));
    for (;;) {
        const asx_outcome got = asx_stream_read(cx, stream, &data);
        ASX_TRY(got);
        if (got.value == 0) {
            printf("\n");
            asx_stream_close(cx, stream);
            return asx_ok(0);
        }
        printf("%.*s", (int)data.len, (const char *)data.ptr);
    }
}

static asx_outcome app(asx_cx *cx, ASX_UNUSED void *engine)
{
    asx_addr addr;
    asx_acceptor *acceptor;
    asx_err err = asx_addr_parse("127.0.0.1:0", &addr);
    err = err ? err : asx_acceptor_open(cx, &addr, NULL, &acceptor);
    err = err ? err : asx_acceptor_addr(acceptor, &addr);
    if (err) {
        return asx_fail(err);
    }
    ASX_SCOPE(cx, s, ASX_COLLECT_ALL) {
        ASX_SPAWN(s, serve, &acceptor);
        ASX_TRY(client(&s->cx, &addr));
        asx_scope_cancel(s, ASX_CANCEL_SHUTDOWN, "served"); /* on SIGTERM the engine does this */
    }
    return asx_ok(0);
}

int main(void)
{
    return asx_run(app);
}
