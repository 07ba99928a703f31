/* Three operations, one of which fails: the others are closed, clean up, and are waited for by a
 * counter, because an operation belongs to nobody. */
#include <stdio.h>
#include <uv.h>

enum { CHILDREN = 3, NOT_FOUND = 404 };

static uv_timer_t children[CHILDREN];
static unsigned live = CHILDREN, cleaned_up;
static int failure;

static void over(void)
{
    if (--live == 0) {
        printf("failed with %d, %u siblings cleaned up\n", failure, cleaned_up);
    }
}

static void cleaned(uv_handle_t *handle)
{
    cleaned_up += handle != (uv_handle_t *)&children[CHILDREN - 1];
    over();
}

static void fetched(uv_timer_t *handle)
{
    uv_close((uv_handle_t *)handle, cleaned);
}

static void fail(uv_timer_t *handle)
{
    failure = NOT_FOUND;
    uv_close((uv_handle_t *)handle, cleaned);
    for (unsigned i = 0; i + 1 < CHILDREN; i++) {
        if (!uv_is_closing((uv_handle_t *)&children[i])) {
            uv_close((uv_handle_t *)&children[i], cleaned);
        }
    }
}

int main(void)
{
    uv_loop_t *const loop = uv_default_loop();
    for (unsigned i = 0; i < CHILDREN; i++) {
        uv_timer_init(loop, &children[i]);
    }
    uv_timer_start(&children[0], fetched, 60000, 0);
    uv_timer_start(&children[1], fetched, 60000, 0);
    uv_timer_start(&children[2], fail, 1, 0);
    uv_run(loop, UV_RUN_DEFAULT);
    return uv_loop_close(loop);
}
