/* A rehearsal over the kernel's queues: a thread a shard, loopback, and what it cost. */
#include <asx/reactor/probe.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/limb.h>
#include <asx/shard/limits.h>
#include <asx/shard/mesh.h>

#include "rehearsal_internal.h"

#include <pthread.h>
#include <sys/resource.h>

typedef struct player {
    asxi_rehearsal *show;
    asx_driver_choice choice;
    asx_mesh *mesh;
    pthread_barrier_t *gate; /* nobody sends to a shard that does not stand */
    uint32_t index;
    pthread_t thread;
    asx_err err;
    asx_severity severity;
    asx_duration cpu_ns, real_ns;
} player;

static asx_duration cpu_of_thread(void)
{
    struct rusage usage;
    const int rc = getrusage(RUSAGE_THREAD, &usage);
    asx_assert_eq(rc, 0);
    const uint64_t us = (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
    return asx_s((uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)) + us * ASX_NS_PER_US;
}

static asx_outcome lead(asx_cx *cx, void *arg)
{
    player *const self = arg;
    const asx_instant began_ns = asx_now(cx);
    const asx_outcome outcome = asxi_rehearsal_run(cx, self->show);
    self->real_ns = asx_time_sub(asx_now(cx), began_ns);
    asx_shard_shutdown(asx_shard_of(cx), "the rehearsal is over");
    return outcome;
}

/* The other shards have work only by limbs. */
static asx_outcome follow(asx_cx *cx, ASX_UNUSED void *arg)
{
    return asx_sleep(cx, asx_s(100000));
}

static asx_err stand(player *self, asx_shard **shard)
{
    const asx_driver_config plain = { .blocking = NULL };
    char why[ASX_DRIVER_WHY_MAX];
    asx_shard_config config = { .index = self->index, .mesh = self->mesh, .seed = 1 };
    const asx_err err = asx_driver_create(self->choice, &plain, &config.driver, why, sizeof(why));
    return err ? err : asx_shard_create(&config, shard);
}

static void *play(void *arg)
{
    player *const self = arg;
    asx_shard *shard = NULL;
    self->err = stand(self, &shard);
    pthread_barrier_wait(self->gate);
    if (self->err) {
        return NULL;
    }
    const asx_duration before_ns = cpu_of_thread();
    const asx_outcome outcome = asx_shard_run(shard, self->index == 0 ? lead : follow, self);
    self->severity = (asx_severity)outcome.severity;
    self->cpu_ns = asx_time_sub(cpu_of_thread(), before_ns);
    asx_shard_destroy(shard);
    return NULL;
}

asx_err asxi_rehearsal_live(asxi_rehearsal *show, asx_driver_choice choice, uint32_t shards,
                            asxi_rehearsal_cost *cost)
{
    player players[ASX_LAB_SHARDS_MAX] = { 0 };
    pthread_barrier_t gate;
    asx_err err = asx_addr_parse("127.0.0.1:0", &show->addr);
    asx_assert_eq(err, ASX_OK);
    asx_assert(2 <= shards && shards <= ASX_LAB_SHARDS_MAX);
    *cost = (asxi_rehearsal_cost){ .passed = false };
    asx_mesh *const mesh = asx_mesh_create(shards, ASX_RING_CAPACITY);
    if (!mesh) {
        return ASX_E(NO_MEMORY);
    }
    pthread_barrier_init(&gate, NULL, shards);
    for (uint32_t i = 0; i < shards; i++) {
        players[i] =
            (player){ .show = show, .choice = choice, .mesh = mesh, .gate = &gate, .index = i };
        const int errnum = pthread_create(&players[i].thread, NULL, play, &players[i]);
        asx_assert_eq(errnum, 0);
    }
    for (uint32_t i = 0; i < shards; i++) {
        pthread_join(players[i].thread, NULL);
        err = err ? err : players[i].err;
        *(i + 1 < shards ? &cost->service_cpu_ns : &cost->public_cpu_ns) += players[i].cpu_ns;
    }
    cost->real_ns = players[0].real_ns;
    cost->passed = !err && players[0].severity == ASX_SEVERITY_OK;
    pthread_barrier_destroy(&gate);
    asx_mesh_destroy(mesh);
    return err;
}
