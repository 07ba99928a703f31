/* A server to change. It drains on SIGTERM, sheds load, and cannot leak a task. */
#include <asx/asx.h>

/* One fiber a request: plain code that may wait. */
static asx_outcome hello(asx_cx *cx, asx_http_exchange *x)
{
    const asx_view name = asx_route_param(x, "name");
    const size_t len = name.len + 8;
    char *const text = asx_alloc(cx, len); /* goes with the request */
    if (!text) {
        return asx_fail(ASX_E(NO_MEMORY)); /* answered with 500 */
    }
    memcpy(text, "Hello, ", 7);
    memcpy(text + 7, name.ptr, name.len);
    text[len - 1] = '\n';
    ASX_TRY(asx_sleep(cx, asx_ms(10))); /* ends at once when the client leaves */
    return asx_http_reply(cx, x, 200, "text/plain; charset=utf-8", asx_view_of(text, len));
}

static const asx_route routes[] = {
    { ASX_HTTP_GET, "/hello/:name", hello, NULL },
};

/* Runs once on each shard, until the engine drains. */
static asx_outcome app(asx_cx *cx, void *engine)
{
    const asx_service service = { .routes = routes, .route_count = 1 };
    return asx_serve(cx, engine, &service);
}

int main(int argc, char **argv)
{
    return asx_main(argc, argv, app); /* --help lists what it takes */
}
