/* A message or a timeout, whichever comes first: two timers that stop each other. */
#include <stdio.h>
#include <uv.h>

static uv_timer_t sender, timeout;
static unsigned asked;

static void ask(uint64_t timeout_ms);

static void answered(void)
{
    if (++asked == 1) {
        ask(1);
    } else {
        uv_close((uv_handle_t *)&sender, NULL);
        uv_close((uv_handle_t *)&timeout, NULL);
    }
}

static void message(uv_timer_t *handle)
{
    (void)handle;
    uv_timer_stop(&timeout); /* forget this line, and both happen */
    printf("message 7\n");
    answered();
}

static void timed_out(uv_timer_t *handle)
{
    (void)handle;
    printf("timeout\n");
    answered();
}

static void ask(uint64_t timeout_ms)
{
    uv_timer_start(&timeout, timed_out, timeout_ms, 0);
}

int main(void)
{
    uv_loop_t *const loop = uv_default_loop();
    uv_timer_init(loop, &sender);
    uv_timer_init(loop, &timeout);
    uv_timer_start(&sender, message, 1, 0);
    ask(60000);
    uv_run(loop, UV_RUN_DEFAULT);
    return uv_loop_close(loop);
}
