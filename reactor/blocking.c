#include <asx/shard/base/assert.h>

#include "reactor_internal.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define THREADS_MIN 4u
#define THREADS_MAX 64u
#define QUEUE_MAX 4096u

struct asx_blocking {
    pthread_mutex_t lock; /* everything below */
    pthread_cond_t work;
    asx_list queue;
    uint32_t queued, queue_max;
    uint32_t running, idle;
    uint32_t thread_count, thread_max;
    uint64_t refused;
    bool ending;
    pthread_t threads[THREADS_MAX];
};

static uint32_t threads_default(void)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const uint32_t wanted = cores > 0 ? 2u * (uint32_t)cores : THREADS_MIN;
    return wanted < THREADS_MIN ? THREADS_MIN : wanted;
}

asx_err asx_blocking_create(const asx_blocking_config *config, asx_blocking **pool)
{
    asx_blocking *const made = calloc(1, sizeof(*made));
    if (!made) {
        return asx_err_errno(ENOMEM);
    }
    const uint32_t threads =
        config && config->threads_max ? config->threads_max : threads_default();
    made->thread_max = threads < THREADS_MAX ? threads : THREADS_MAX;
    made->queue_max = config && config->queue_max ? config->queue_max : QUEUE_MAX;
    asx_list_init(&made->queue);
    pthread_mutex_init(&made->lock, NULL);
    pthread_cond_init(&made->work, NULL);
    *pool = made;
    return ASX_OK;
}

/* Runs the op outside the lock. Its scratch word named the reactor; from here on err and result are
 * the work's own to set. */
static void op_run(asx_op *op)
{
    asxi_reactor *const reactor = (asxi_reactor *)(uintptr_t)op->err;
    op->err = 0;
    op->result = 0;
    if (op->code == ASX_OP_TASK) {
        op->work(op);
    } else {
        asxi_file_run(op);
    }
    asxi_inbox_push(reactor, op);
}

static void *thread_main(void *arg)
{
    asx_blocking *const pool = arg;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        asx_list *const node = asx_list_pop_front(&pool->queue);
        if (node) {
            pool->queued--;
            pool->running++;
            pthread_mutex_unlock(&pool->lock);
            op_run(asx_container_of(node, asx_op, _link));
            pthread_mutex_lock(&pool->lock);
            pool->running--;
            continue;
        }
        if (pool->ending) {
            break;
        }
        pool->idle++;
        pthread_cond_wait(&pool->work, &pool->lock);
        pool->idle--;
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Threads take no signal: those belong to whoever reads the signal descriptor. */
static bool thread_start(asx_blocking *pool)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int errnum = pthread_create(&pool->threads[pool->thread_count], NULL, thread_main, pool);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (errnum == 0) {
        pool->thread_count++;
    }
    return errnum == 0;
}

asx_err asxi_blocking_push(asx_blocking *pool, asx_op *op)
{
    asx_err err = ASX_OK;
    pthread_mutex_lock(&pool->lock);
    asx_assert(!pool->ending);
    if (pool->queued >= pool->queue_max) {
        pool->refused++;
        err = ASX_E(AT_CAPACITY);
    } else if (pool->idle <= pool->queued && pool->thread_count < pool->thread_max &&
               !thread_start(pool) && pool->thread_count == 0) {
        err = asx_err_errno(EAGAIN);
    }
    if (!err) {
        asx_list_push_back(&pool->queue, &op->_link);
        pool->queued++;
        pthread_cond_signal(&pool->work);
    }
    pthread_mutex_unlock(&pool->lock);
    return err;
}

bool asxi_blocking_try_take(asx_blocking *pool, asx_op *op)
{
    bool taken = false;
    pthread_mutex_lock(&pool->lock);
    /* The op may be linked in the inbox instead: only membership of this queue counts, and the
     * queue is bounded. */
    asx_list_each(node, &pool->queue) {
        if (node == &op->_link) {
            asx_list_unlink(node);
            pool->queued--;
            taken = true;
            break;
        }
    }
    pthread_mutex_unlock(&pool->lock);
    return taken;
}

void asx_blocking_stats_get(asx_blocking *pool, asx_blocking_stats *stats)
{
    pthread_mutex_lock(&pool->lock);
    *stats = (asx_blocking_stats){
        .threads = pool->thread_count,
        .queued = pool->queued,
        .running = pool->running,
        .refused = pool->refused,
    };
    pthread_mutex_unlock(&pool->lock);
}

void asx_blocking_destroy(asx_blocking *pool)
{
    pthread_mutex_lock(&pool->lock);
    asx_assert_eq(pool->queued, 0);
    pool->ending = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->lock);
    for (uint32_t i = 0; i < pool->thread_count; i++) {
        pthread_join(pool->threads[i], NULL);
    }
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
