/* A pipeline: produce, square, sum. Each stage waits when the next one is behind. */
#include <asx/asx.h>

#include <stdio.h>

typedef struct stage {
    asx_mpsc_receiver from;
    asx_mpsc_sender to;
} stage;

static asx_outcome produce(asx_cx *cx, void *arg)
{
    const stage *const self = arg;
    for (uint64_t i = 1; i <= 1000; i++) {
        ASX_TRY(asx_mpsc_send(cx, self->to, &i));
    }
    asx_mpsc_sender_close(cx, self->to);
    return asx_ok(0);
}

static asx_outcome square(asx_cx *cx, void *arg)
{
    const stage *const self = arg;
    asx_outcome got;
    uint64_t n;
    while (asx_is_ok(got = asx_mpsc_recv(cx, self->from, &n))) {
        n *= n;
        ASX_TRY(asx_mpsc_send(cx, self->to, &n));
    }
    asx_mpsc_sender_close(cx, self->to);
    return asx_is_err(got, ASX_E(DISCONNECTED)) ? asx_ok(0) : got;
}

static asx_outcome app(asx_cx *cx, ASX_UNUSED void *engine)
{
    const asx_mpsc_options options = { 16, sizeof(uint64_t), NULL, "numbers" };
    asx_mpsc_sender numbers_in, squares_in;
    asx_mpsc_receiver numbers, squares;
    if (asx_mpsc_open(cx, &options, &numbers_in, &numbers) ||
        asx_mpsc_open(cx, &options, &squares_in, &squares)) {
        return asx_fail(ASX_E(NO_MEMORY));
    }
    uint64_t sum = 0;
    uint64_t n;
    ASX_SCOPE(cx, s, ASX_FAIL_FAST) { /* a stage that fails takes the others with it */
        ASX_SPAWN(s, produce, &((stage){ .to = numbers_in }));
        ASX_SPAWN(s, square, &((stage){ .from = numbers, .to = squares_in }));
        while (asx_is_ok(asx_mpsc_recv(&s->cx, squares, &n))) {
            sum += n;
        }
    }
    printf("sum of squares %llu\n", (unsigned long long)sum);
    return asx_ok(0);
}

int main(void)
{
    return asx_run(app);
}
