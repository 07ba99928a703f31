/* A pipeline: produce, square, sum. Each stage is a callback that keeps its place by hand, and
 * holds back by hand when the next one is behind. */
#include <stdint.h>
#include <stdio.h>
#include <uv.h>

enum { ROOM = 16, LAST = 1000 };

typedef struct queue {
    uint64_t items[ROOM];
    unsigned head, count;
} queue;

static queue numbers, squares;
static uv_idle_t producer, squarer, summer;
static uint64_t next = 1, sum, summed;

static void push(queue *q, uint64_t n)
{
    q->items[(q->head + q->count++) % ROOM] = n;
}

static uint64_t pop(queue *q)
{
    const uint64_t n = q->items[q->head];
    q->head = (q->head + 1) % ROOM;
    q->count--;
    return n;
}

static void produce(uv_idle_t *handle)
{
    while (next <= LAST && numbers.count < ROOM) {
        push(&numbers, next++);
    }
    if (next > LAST) {
        uv_close((uv_handle_t *)handle, NULL);
    }
}

static void square(uv_idle_t *handle)
{
    (void)handle;
    while (numbers.count > 0 && squares.count < ROOM) {
        const uint64_t n = pop(&numbers);
        push(&squares, n * n);
    }
}

static void add(uv_idle_t *handle)
{
    for (; squares.count > 0; summed++) {
        sum += pop(&squares);
    }
    if (summed == LAST) {
        uv_close((uv_handle_t *)handle, NULL);
        uv_close((uv_handle_t *)&squarer, NULL);
    }
}

int main(void)
{
    uv_loop_t *const loop = uv_default_loop();
    uv_idle_init(loop, &producer);
    uv_idle_init(loop, &squarer);
    uv_idle_init(loop, &summer);
    uv_idle_start(&producer, produce);
    uv_idle_start(&squarer, square);
    uv_idle_start(&summer, add);
    uv_run(loop, UV_RUN_DEFAULT);
    printf("sum of squares %llu\n", (unsigned long long)sum);
    return uv_loop_close(loop);
}
