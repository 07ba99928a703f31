/* The lab driver's record, and what its devices do to it.
 *
 * States of an op in flight:
 *   TIMED    in `agenda`, until its instant
 *   WAITING  in a list of its socket, or nowhere (POLL without a net)
 *   STARVED  in `starved`: a receive that lacks a buffer
 *   READY    in `ready`: the next step tries it
 *   OVER     in `ready`: err and result stand, and it completes */
#ifndef ASX_LAB_VDRIVER_INTERNAL_H
#define ASX_LAB_VDRIVER_INTERNAL_H

#include <asx/lab/vdriver.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/list.h>
#include <asx/shard/base/prng.h>

#include "agenda_internal.h"

#include <errno.h>

enum {
    ASXI_VOP_IDLE = 0,
    ASXI_VOP_TIMED,
    ASXI_VOP_WAITING,
    ASXI_VOP_STARVED,
    ASXI_VOP_READY,
    ASXI_VOP_OVER,
};

typedef enum asxi_vstep {
    ASXI_VSTEP_OVER, /* op->err and op->result stand */
    ASXI_VSTEP_LENT, /* a multishot completion stands, and the op is where it belongs */
    ASXI_VSTEP_WAIT, /* the op is where it belongs */
} asxi_vstep;

typedef enum asxi_vfd_kind {
    ASXI_VFD_NONE = 0,
    ASXI_VFD_SOCKET,
    ASXI_VFD_FILE,
} asxi_vfd_kind;

typedef struct asxi_vfd {
    void *object;
    asxi_vfd_kind kind;
} asxi_vfd;

typedef struct asxi_vfds {
    asxi_vfd *table; /* by descriptor */
    uint32_t count, open, first_free;
} asxi_vfds;

typedef struct asxi_vbufs {
    asx_rbuf *bufs;
    uint32_t *free;
    char *memory;
    uint32_t count, free_count;
} asxi_vbufs;

typedef struct asxi_vdriver {
    asx_driver driver;
    asx_driver_ops table;
    asx_vdriver_config config;
    asx_lab_env *env; /* &own_env when alone */
    asx_lab_env own_env;
    asx_prng prng; /* entropy; alone: choices too */
    asx_instant *now_ns;
    asx_instant until_ns; /* of the last park, in time of *now_ns */
    asx_instant bell_ns;  /* when a wake is heard; NEVER: none */
    asxi_agenda agenda;
    asx_list ready;
    uint32_t ready_count;
    uint32_t head_passed; /* picks that passed over the head of `ready` */
    asx_list starved;
    asx_list hung;  /* operations of a disk that does not answer */
    uint64_t heals; /* of the disk, seen so far */
    asxi_vfds fds;
    asxi_vbufs bufs;
    uint64_t objects; /* numbers given to sockets */
    asx_driver_stats stats;
} asxi_vdriver;

static inline asxi_vdriver *asxi_vdriver_of(asx_driver *driver)
{
    return asx_container_of(driver, asxi_vdriver, driver);
}

/* 0 without asking when there is nothing to choose. */
static inline uint32_t asxi_vchoose(asx_lab_env *env, uint32_t site, uint32_t n, uint64_t object)
{
    return n > 1 && env->choose ? env->choose(env, site, n, object) : 0;
}

/* Puts an op that is in no list into `ready`. */
void asxi_vop_ready(asxi_vdriver *self, asx_op *op);
/* The op is over, and completes in a later reap. It is in no list. */
void asxi_vop_over(asxi_vdriver *self, asx_op *op, asx_err err, uint32_t result);
/* The same, after a delay; with ready, it is tried then instead. */
void asxi_vop_later(asxi_vdriver *self, asx_op *op, asx_duration delay_ns, bool ready);
/* Takes the op out of `ready` or `starved`. */
void asxi_vop_unready(asxi_vdriver *self, asx_op *op);

/* vfd.c */
/* errors  EMFILE */
asx_err asxi_vfd_open(asxi_vdriver *self, asxi_vfd_kind kind, void *object, int32_t *fd);
void *asxi_vfd_get(const asxi_vdriver *self, int32_t fd, asxi_vfd_kind kind); /* NULL: not one */
void asxi_vfd_free(asxi_vdriver *self, int32_t fd);
bool asxi_vfd_full(const asxi_vdriver *self);
asx_err asxi_vbufs_init(asxi_vdriver *self);
asx_rbuf *asxi_vbuf_take(asxi_vdriver *self); /* NULL: none is left */
void asxi_vbuf_put(asxi_vdriver *self, asx_rbuf *rbuf);
void asxi_vfds_deinit(asxi_vdriver *self);

#endif
