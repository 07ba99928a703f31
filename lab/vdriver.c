#include <asx/lab/vdisk.h>
#include <asx/lab/vnet.h>

#include "vdisk_internal.h"
#include "vnet_internal.h"

#include <stdlib.h>
#include <string.h>

#define PICK_MAX 16u  /* completions among which one is chosen */
#define PASSED_MAX 8u /* picks that may pass over the oldest one */
#define CANCEL_LATE_NS (100 * ASX_NS_PER_US)

/* Kinds of what is due. */
enum {
    DUE_OVER = 0, /* err and result stand */
    DUE_READY,    /* the op is tried */
    DUE_CANCEL,   /* a cancel that was late takes effect */
};

static uint32_t own_choose(asx_lab_env *env, uint32_t site, uint32_t n, uint64_t object)
{
    asxi_vdriver *const self = asx_container_of(env, asxi_vdriver, own_env);
    (void)object;
    if (site == ASX_CHOICE_READY || site == ASX_CHOICE_CQORD || site == ASX_CHOICE_POOL ||
        site == ASX_CHOICE_RACE || site == ASX_CHOICE_WAKEPICK) {
        return (uint32_t)asx_prng_below(&self->prng, n);
    }
    return 0;
}

void asxi_vop_ready(asxi_vdriver *self, asx_op *op)
{
    op->_state = ASXI_VOP_READY;
    asx_list_push_back(&self->ready, &op->_link);
    self->ready_count++;
}

void asxi_vop_over(asxi_vdriver *self, asx_op *op, asx_err err, uint32_t result)
{
    op->err = err;
    op->result = result;
    asxi_vop_ready(self, op);
    op->_state = ASXI_VOP_OVER;
}

void asxi_vop_later(asxi_vdriver *self, asx_op *op, asx_duration delay_ns, bool ready)
{
    op->_state = ASXI_VOP_TIMED;
    asxi_agenda_add(&self->agenda, (asxi_due){ .at_ns = asx_time_add(*self->now_ns, delay_ns),
                                               .object = op,
                                               .kind = ready ? DUE_READY : DUE_OVER });
}

void asxi_vop_unready(asxi_vdriver *self, asx_op *op)
{
    if (op->_state == ASXI_VOP_READY || op->_state == ASXI_VOP_OVER) {
        self->ready_count--;
        if (self->ready._next == &op->_link) {
            self->head_passed = 0;
        }
    }
    asx_list_unlink(&op->_link);
    op->_state = ASXI_VOP_WAITING;
}

static asx_instant local_of(const asxi_vdriver *self, asx_instant at_ns)
{
    const int64_t drift_ns = (int64_t)((__int128)at_ns * self->config.clock_skew_ppm / 1000000);
    return at_ns + self->config.clock_offset_ns + (uint64_t)drift_ns;
}

/* The first instant of the run's clock at which this shard's own shows `local_ns`. */
static asx_instant run_of(const asxi_vdriver *self, asx_instant local_ns)
{
    if (local_ns == ASX_TIME_NEVER ||
        (self->config.clock_skew_ppm == 0 && self->config.clock_offset_ns == 0)) {
        return local_ns;
    }
    const uint64_t ahead_ns = asx_time_sub(local_ns, self->config.clock_offset_ns);
    const uint64_t per_million = (uint64_t)(1000000 + self->config.clock_skew_ppm);
    asx_instant at_ns = (asx_instant)((unsigned __int128)ahead_ns * 1000000 / per_million);
    while (local_of(self, at_ns) < local_ns) { /* what the divisions rounded away: a few steps */
        at_ns++;
    }
    while (at_ns > 0 && local_of(self, at_ns - 1) >= local_ns) {
        at_ns--;
    }
    return at_ns;
}

static asx_instant v_now(asx_driver *driver)
{
    const asxi_vdriver *const self = asxi_vdriver_of(driver);
    return local_of(self, *self->now_ns);
}

/* An op ends without what it was asked for: the socket or file it is at goes on without it. */
static void cancel_now(asxi_vdriver *self, asx_op *op)
{
    asxi_vsocket *const socket = asxi_vfd_get(self, op->fd, ASXI_VFD_SOCKET);
    const uint32_t moved = op->code == ASX_OP_CONNECT ? 0 : op->result;
    if (socket && op->code != ASX_OP_TASK) {
        asxi_vsocket_leave(socket, op);
    } else {
        asxi_vop_unready(self, op);
    }
    op->err = asx_err_errno(ECANCELED);
    op->result = moved;
    if (self->config.cancel_delay_ns > 0) {
        asxi_vop_later(self, op, self->config.cancel_delay_ns, false);
    } else {
        asxi_vop_over(self, op, op->err, moved);
    }
}

/* Brings what is due by now into `ready`. */
static void advance(asxi_vdriver *self)
{
    asxi_due due;
    if (self->config.net && asx_vnet_next(self->config.net) <= *self->now_ns) {
        asx_vnet_advance(self->config.net);
    }
    if (self->config.disk && asxi_vdisk_resumes(self)) {
        asxi_vdisk_resume(self);
    }
    while (asxi_agenda_pop(&self->agenda, *self->now_ns, &due)) {
        asx_op *const op = due.object;
        if (due.kind == DUE_READY) {
            asxi_vop_ready(self, op);
        } else if (due.kind == DUE_OVER) {
            asxi_vop_over(self, op, op->err, op->result);
        } else if (op->_state != ASXI_VOP_OVER) {
            cancel_now(self, op);
        }
    }
}

static void submit_fd(asxi_vdriver *self, asx_op *op)
{
    asxi_vsocket *const socket = asxi_vfd_get(self, op->fd, ASXI_VFD_SOCKET);
    if (socket) {
        if (op->code == ASX_OP_CLOSE) {
            asxi_vsocket_close(socket);
            asxi_vop_over(self, op, ASX_OK, 0);
        } else {
            asxi_vsocket_submit(socket, op);
        }
    } else if (asxi_vfd_get(self, op->fd, ASXI_VFD_FILE)) {
        if (op->code == ASX_OP_CLOSE) {
            asxi_vdisk_close_fd(self, op->fd);
            asxi_vop_over(self, op, ASX_OK, 0);
        } else {
            asxi_vdisk_submit(self, op);
        }
    } else if (self->config.net || self->config.disk) {
        asxi_vop_over(self, op, asx_err_errno(EBADF), 0);
    } else if (op->code == ASX_OP_POLL) {
        op->_state = ASXI_VOP_WAITING;
    } else {
        asxi_vop_over(self, op, asx_err_errno(ENOSYS), 0);
    }
}

static void v_submit(asx_driver *driver, asx_op *op)
{
    asxi_vdriver *const self = asxi_vdriver_of(driver);
    asx_assert(!(op->flags & ASX_OP_SUBMITTED));
    asx_assert(op->done != NULL);
    op->flags = (uint8_t)((op->flags & ~(uint32_t)ASX_OP_CANCELLING) | ASX_OP_SUBMITTED);
    op->more = false;
    op->err = ASX_OK;
    op->result = 0;
    self->stats.submitted++;
    self->stats.in_flight++;
    const asx_err fault =
        self->env->fault ? self->env->fault(self->env, self->config.shard, (asx_op_code)op->code)
                         : ASX_OK;
    if (fault) {
        asxi_vop_over(self, op, fault, 0);
    } else if (op->code == ASX_OP_TASK) {
        asxi_vop_later(self, op, op->arg, true);
    } else if (op->code == ASX_OP_OPEN || op->code == ASX_OP_STAT) {
        asxi_vdisk_submit(self, op);
    } else {
        submit_fd(self, op);
    }
}

static asx_err v_send_now(asx_driver *driver, int32_t fd, const struct iovec *iov, uint32_t count,
                          bool last, uint32_t *sent)
{
    asxi_vsocket *const socket = asxi_vfd_get(asxi_vdriver_of(driver), fd, ASXI_VFD_SOCKET);
    *sent = 0;
    return socket ? asxi_vstream_send_now(socket, iov, count, last, sent) : asx_err_errno(EBADF);
}

/* The three answers a cancel gets: done, too late to stop it, and (OVER) there is nothing left. */
static bool cancel_loses(asxi_vdriver *self, const asx_op *op)
{
    if (self->env != &self->own_env) {
        return asxi_vchoose(self->env, ASX_CHOICE_IORES, 2, (uint64_t)self->config.shard << 32 | 1);
    }
    return op->code == ASX_OP_TASK && self->config.cancel_loses_ppm > 0 &&
           asx_prng_below(&self->prng, 1000000) < self->config.cancel_loses_ppm;
}

static void v_cancel(asx_driver *driver, asx_op *op)
{
    asxi_vdriver *const self = asxi_vdriver_of(driver);
    if ((op->flags & (ASX_OP_SUBMITTED | ASX_OP_CANCELLING)) != ASX_OP_SUBMITTED) {
        return;
    }
    op->flags |= ASX_OP_CANCELLING;
    if (op->_state == ASXI_VOP_OVER) {
        return;
    }
    const bool loses = cancel_loses(self, op);
    if (op->_state == ASXI_VOP_TIMED || op->code == ASX_OP_TASK) {
        if (!loses) {
            asxi_agenda_remove(&self->agenda, op);
            cancel_now(self, op);
        }
    } else if (loses) {
        asxi_agenda_add(&self->agenda,
                        (asxi_due){ .at_ns = asx_time_add(*self->now_ns, CANCEL_LATE_NS),
                                    .object = op,
                                    .kind = DUE_CANCEL });
    } else {
        cancel_now(self, op);
    }
}

/* done() may do anything, and the op may be gone after it. */
static void complete(asxi_vdriver *self, asx_op *op, bool more)
{
    self->stats.completed++;
    op->more = more;
    if (!more) {
        asx_assert(!asx_list_linked(&op->_link));
        if ((op->flags & ASX_OP_CANCELLING) && self->agenda.count > 0) {
            asxi_agenda_remove(&self->agenda, op); /* of a cancel that was late */
        }
        op->flags &= (uint8_t) ~(uint32_t)(ASX_OP_SUBMITTED | ASX_OP_CANCELLING);
        op->_state = ASXI_VOP_IDLE;
        self->stats.in_flight--;
    }
    op->done(op);
}

/* One try, or one completion. True: something was told. */
static bool step(asxi_vdriver *self, asx_op *op)
{
    const bool over = op->_state == ASXI_VOP_OVER;
    asxi_vop_unready(self, op);
    if (over) {
        complete(self, op, false);
        return true;
    }
    if (op->code == ASX_OP_TASK) {
        op->work(op);
        complete(self, op, false);
        return true;
    }
    asxi_vsocket *const socket = op->code == ASX_OP_OPEN || op->code == ASX_OP_STAT
                                     ? NULL
                                     : asxi_vfd_get(self, op->fd, ASXI_VFD_SOCKET);
    const asxi_vstep stepped = socket ? asxi_vsocket_step(socket, op) : asxi_vdisk_step(self, op);
    if (stepped != ASXI_VSTEP_WAIT) {
        complete(self, op, stepped == ASXI_VSTEP_LENT);
    }
    return stepped != ASXI_VSTEP_WAIT;
}

/* Which of the blocking jobs that are due ends first. */
static asx_op *pick_job(asxi_vdriver *self, asx_op *first)
{
    asx_op *jobs[PICK_MAX];
    uint32_t n = 0;
    asx_list_each(node, &self->ready) {
        asx_op *const op = asx_container_of(node, asx_op, _link);
        if (op->code == ASX_OP_TASK && op->_state == ASXI_VOP_READY) {
            jobs[n++] = op;
            if (n == PICK_MAX) {
                break;
            }
        }
    }
    return n > 1 ? jobs[asxi_vchoose(self->env, ASX_CHOICE_POOL, n, self->config.shard)] : first;
}

/* Which completion is next; all the blocking jobs that are due stand for one. */
static asx_op *pick(asxi_vdriver *self)
{
    asx_op *ops[PICK_MAX];
    uint32_t n = 0, k = 0;
    bool job = false;
    asx_list_each(node, &self->ready) {
        asx_op *const op = asx_container_of(node, asx_op, _link);
        const bool is_job = op->code == ASX_OP_TASK && op->_state == ASXI_VOP_READY;
        if (!is_job || !job) {
            ops[n++] = op;
        }
        job |= is_job;
        if (n == PICK_MAX) {
            break;
        }
    }
    if (self->head_passed < PASSED_MAX) {
        k = asxi_vchoose(self->env, ASX_CHOICE_CQORD, n, self->config.shard);
    }
    self->head_passed = k == 0 ? 0 : self->head_passed + 1;
    return ops[k]->code == ASX_OP_TASK && ops[k]->_state == ASXI_VOP_READY ? pick_job(self, ops[k])
                                                                           : ops[k];
}

static unsigned v_reap(asx_driver *driver, unsigned limit)
{
    asxi_vdriver *const self = asxi_vdriver_of(driver);
    unsigned count = 0;
    if (self->bell_ns <= *self->now_ns) {
        self->bell_ns = ASX_TIME_NEVER;
    }
    advance(self);
    const uint32_t among = self->ready_count < PICK_MAX ? self->ready_count : PICK_MAX;
    const uint32_t hidden = asxi_vchoose(self->env, ASX_CHOICE_CQBATCH, among, self->config.shard);
    for (uint32_t tries = self->ready_count - hidden;
         tries > 0 && count < limit && self->ready_count > 0; tries--) {
        asx_op *const op =
            self->table.choose ? pick(self) : asx_container_of(self->ready._next, asx_op, _link);
        count += step(self, op);
    }
    return count;
}

static asx_instant wants(const asxi_vdriver *self)
{
    if (self->ready_count > 0) {
        return *self->now_ns;
    }
    asx_instant at_ns = asxi_agenda_next(&self->agenda);
    at_ns = self->until_ns < at_ns ? self->until_ns : at_ns;
    at_ns = self->bell_ns < at_ns ? self->bell_ns : at_ns;
    if (self->config.net) {
        const asx_instant net_ns = asx_vnet_next(self->config.net);
        at_ns = net_ns < at_ns ? net_ns : at_ns;
    }
    return at_ns;
}

static void v_park(asx_driver *driver, asx_instant until)
{
    asxi_vdriver *const self = asxi_vdriver_of(driver);
    self->until_ns = run_of(self, until);
    if (self->now_ns != &self->own_env.now_ns) {
        return;
    }
    const asx_instant wants_ns = wants(self);
    if (wants_ns == ASX_TIME_NEVER) {
        asx_assert_fail(__FILE__, __LINE__, "nothing can happen any more: the run is deadlocked");
    }
    if (wants_ns > self->own_env.now_ns) {
        self->own_env.now_ns = wants_ns;
    }
}

asx_instant asx_vdriver_wants(asx_driver *driver)
{
    asxi_vdriver *const self = asxi_vdriver_of(driver);
    advance(self);
    return wants(self);
}

asx_vnet *asx_vdriver_net(asx_driver *driver)
{
    return asxi_vdriver_of(driver)->config.net;
}

asx_vdisk *asx_vdriver_disk(asx_driver *driver)
{
    return asxi_vdriver_of(driver)->config.disk;
}

void asx_vdriver_clock_jump(asx_driver *driver, asx_duration ns)
{
    asxi_vdriver *const self = asxi_vdriver_of(driver);
    self->config.clock_offset_ns = asx_time_add(self->config.clock_offset_ns, ns);
    self->until_ns = 0; /* it was meant for the clock before */
}

static bool v_ready(asx_driver *driver)
{
    asxi_vdriver *const self = asxi_vdriver_of(driver);
    advance(self);
    return self->ready_count > 0;
}

static void v_wake(asx_driver *driver)
{
    asxi_vdriver *const self = asxi_vdriver_of(driver);
    const bool late = asxi_vchoose(self->env, ASX_CHOICE_DOORBELL, 2, self->config.shard);
    const asx_instant bell_ns = late ? *self->now_ns + 1 : 0;
    self->bell_ns = bell_ns < self->bell_ns ? bell_ns : self->bell_ns;
    self->stats.wakes++;
}

static void v_buf_return(asx_driver *driver, asx_rbuf *rbuf)
{
    asxi_vdriver *const self = asxi_vdriver_of(driver);
    asxi_vbuf_put(self, rbuf);
    for (asx_list *node; (node = asx_list_pop_front(&self->starved)) != NULL;) {
        asxi_vop_ready(self, asx_container_of(node, asx_op, _link));
    }
}

static asx_err v_listen(asx_driver *driver, const asx_addr *addr, const asx_listen_options *options,
                        int32_t *fd)
{
    asxi_vdriver *const self = asxi_vdriver_of(driver);
    return self->config.net ? asxi_vsocket_listen(self, addr, options, fd) : ASX_E(UNSUPPORTED);
}

static asx_err v_socket(asx_driver *driver, asx_addr_family family, bool datagram,
                        const asx_addr *local, int32_t *fd)
{
    asxi_vdriver *const self = asxi_vdriver_of(driver);
    return self->config.net ? asxi_vsocket_open(self, family, datagram, local, fd)
                            : ASX_E(UNSUPPORTED);
}

static asx_err v_name(asx_driver *driver, int32_t fd, bool remote, asx_addr *addr)
{
    const asxi_vsocket *const socket = asxi_vfd_get(asxi_vdriver_of(driver), fd, ASXI_VFD_SOCKET);
    if (!socket) {
        return asx_err_errno(EBADF);
    }
    if (remote && (socket->kind != ASXI_VSOCKET_STREAM || socket->state != ASXI_VSOCKET_OPEN)) {
        return asx_err_errno(ENOTCONN);
    }
    *addr = remote ? socket->remote : socket->local;
    return ASX_OK;
}

static asx_err v_accept_now(asx_driver *driver, int32_t fd, int32_t *connection)
{
    asxi_vsocket *const socket = asxi_vfd_get(asxi_vdriver_of(driver), fd, ASXI_VFD_SOCKET);
    return socket && socket->kind == ASXI_VSOCKET_LISTENER
               ? asxi_vlisten_accept_now(socket, connection)
               : asx_err_errno(EBADF);
}

static bool v_turn_away(asx_driver *driver, int32_t fd)
{
    asxi_vsocket *const socket = asxi_vfd_get(asxi_vdriver_of(driver), fd, ASXI_VFD_SOCKET);
    return socket && socket->kind == ASXI_VSOCKET_LISTENER && asxi_vlisten_turn_away(socket);
}

static void v_close_now(asx_driver *driver, int32_t fd)
{
    asxi_vdriver *const self = asxi_vdriver_of(driver);
    asxi_vsocket *const socket = asxi_vfd_get(self, fd, ASXI_VFD_SOCKET);
    if (socket) {
        asxi_vsocket_close(socket);
    } else if (asxi_vfd_get(self, fd, ASXI_VFD_FILE)) {
        asxi_vdisk_close_fd(self, fd);
    }
}

static void v_entropy(asx_driver *driver, void *bytes, uint32_t len)
{
    asxi_vdriver *const self = asxi_vdriver_of(driver);
    unsigned char *const out = bytes;
    for (uint32_t i = 0; i < len; i++) {
        out[i] = (unsigned char)(asx_prng_u64(&self->prng) >> 56);
    }
}

static uint32_t v_choose(asx_driver *driver, uint32_t site, uint32_t n, uint64_t object)
{
    return asxi_vchoose(asxi_vdriver_of(driver)->env, site, n, object);
}

static void v_stats(asx_driver *driver, asx_driver_stats *stats)
{
    *stats = asxi_vdriver_of(driver)->stats;
}

static void v_destroy(asx_driver *driver)
{
    asxi_vdriver *const self = asxi_vdriver_of(driver);
    asx_assert_eq(self->stats.in_flight, 0);
    for (uint32_t fd = 0; fd < self->fds.count; fd++) { /* a process that ends closes them */
        v_close_now(driver, (int32_t)fd);
    }
    asxi_agenda_deinit(&self->agenda);
    asxi_vfds_deinit(self);
    free(self);
}

static const asx_driver_ops lab_ops = {
    .kind = ASX_DRIVER_LAB,
    .now = v_now,
    .submit = v_submit,
    .send_now = v_send_now,
    .cancel = v_cancel,
    .reap = v_reap,
    .park = v_park,
    .ready = v_ready,
    .wake = v_wake,
    .buf_return = v_buf_return,
    .listen = v_listen,
    .socket = v_socket,
    .name = v_name,
    .accept_now = v_accept_now,
    .turn_away = v_turn_away,
    .close_now = v_close_now,
    .entropy = v_entropy,
    .choose = v_choose,
    .stats = v_stats,
    .destroy = v_destroy,
};

static void clock_init(asxi_vdriver *self)
{
    const asx_vdriver_config *const config = &self->config;
    self->env = config->env ? config->env : &self->own_env;
    self->own_env.now_ns = ASX_NS_PER_S; /* an instant before the first one can be named */
    self->own_env.choose = config->shuffle ? own_choose : NULL;
    self->now_ns = config->env        ? &config->env->now_ns
                   : config->clock_ns ? config->clock_ns
                                      : &self->own_env.now_ns;
    if (!self->env->choose) {
        self->table.choose = NULL; /* the scheduler need not even count the equals */
    }
}

asx_err asx_vdriver_create(const asx_vdriver_config *config, asx_driver **driver)
{
    asxi_vdriver *const self = calloc(1, sizeof(*self));
    if (!self) {
        return ASX_E(NO_MEMORY);
    }
    asx_assert(config->env || (!config->net && !config->disk));
    asx_assert_lt(config->host, ASX_VNET_HOST_MAX);
    self->table = lab_ops;
    self->driver.ops = &self->table;
    self->config = *config;
    self->config.fd_max = config->fd_max ? config->fd_max : 65536;
    self->config.buf_count = config->buf_count ? config->buf_count : 512;
    self->config.buf_size = config->buf_size ? config->buf_size : 4096;
    self->until_ns = 0;
    self->bell_ns = ASX_TIME_NEVER;
    asx_list_init(&self->ready);
    asx_list_init(&self->starved);
    asx_list_init(&self->hung);
    clock_init(self);
    asx_prng_init(&self->prng, config->env ? asx_lab_draw(config->env->rand, ASX_LAB_ENTROPY,
                                                          config->shard, 0, 0)
                                           : config->seed);
    if (config->net && asxi_vbufs_init(self)) {
        free(self->bufs.bufs);
        free(self->bufs.free);
        free(self->bufs.memory);
        free(self);
        return ASX_E(NO_MEMORY);
    }
    *driver = &self->driver;
    return ASX_OK;
}
