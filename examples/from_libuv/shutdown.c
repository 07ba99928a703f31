/* Shutdown that loses nothing: a timer carries jobs from an inbox to an outbox and is closed in the
 * middle. Nothing is lost because a callback cannot be interrupted; as soon as carrying a job takes
 * two callbacks, the job between them is yours to remember. */
#include <stdio.h>
#include <uv.h>

enum { JOBS = 100 };

static unsigned inbox = JOBS, outbox;
static uv_timer_t worker, enough;

static void carry(uv_timer_t *handle)
{
    if (inbox > 0) {
        inbox--;
        outbox++;
    } else {
        uv_timer_stop(handle);
    }
}

static void close_one(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void stop(uv_timer_t *handle)
{
    uv_walk(handle->loop, close_one, NULL);
}

int main(void)
{
    uv_loop_t *const loop = uv_default_loop();
    uv_timer_init(loop, &worker);
    uv_timer_init(loop, &enough);
    uv_timer_start(&worker, carry, 0, 1);
    uv_timer_start(&enough, stop, 5, 0);
    uv_run(loop, UV_RUN_DEFAULT);
    printf("%u jobs, %s\n", inbox + outbox, inbox > 0 && outbox > 0 ? "some done, some left" : "?");
    return uv_loop_close(loop);
}
