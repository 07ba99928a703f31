#include <asx/lab/vdriver.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/prng.h>

#include <errno.h>
#include <stdlib.h>

typedef struct vdriver {
    asx_driver driver;
    asx_driver_ops table;
    asx_vdriver_config config;
    asx_instant own_ns;
    asx_instant *now_ns; /* &own_ns, or the run's */
    asx_instant wants_ns;
    asx_prng prng;
    asx_list ops; /* in flight, in submit order; due instants in op->offset */
    uint64_t in_flight, submitted, completed, wakes;
    bool woken; /* by any thread */
} vdriver;

static vdriver *self_of(asx_driver *driver)
{
    return asx_container_of(driver, vdriver, driver);
}

static asx_instant v_now(asx_driver *driver)
{
    return *self_of(driver)->now_ns;
}

static void v_submit(asx_driver *driver, asx_op *op)
{
    vdriver *const self = self_of(driver);
    op->_due_ns = op->code == ASX_OP_POLL ? ASX_TIME_NEVER : asx_time_add(*self->now_ns, op->arg);
    op->flags = (uint8_t)((op->flags & ~(uint32_t)ASX_OP_CANCELLING) | ASX_OP_SUBMITTED);
    op->err = ASX_OK;
    op->result = 0;
    asx_list_push_back(&self->ops, &op->_link);
    self->in_flight++;
    self->submitted++;
}

static void v_cancel(asx_driver *driver, asx_op *op)
{
    vdriver *const self = self_of(driver);
    op->flags |= ASX_OP_CANCELLING;
    const bool loses = op->code == ASX_OP_TASK && self->config.cancel_loses_ppm > 0 &&
                       asx_prng_below(&self->prng, 1000000) < self->config.cancel_loses_ppm;
    if (!loses) {
        op->err = asx_err_errno(ECANCELED);
        op->_due_ns = asx_time_add(*self->now_ns, self->config.cancel_delay_ns);
    }
}

static void complete(vdriver *self, asx_op *op)
{
    asx_list_unlink(&op->_link);
    self->in_flight--;
    self->completed++;
    op->more = false;
    op->flags &= (uint8_t) ~(uint32_t)(ASX_OP_SUBMITTED | ASX_OP_CANCELLING);
    if (op->err == ASX_OK) {
        if (op->code == ASX_OP_TASK) {
            op->work(op);
        } else {
            op->err = asx_err_errno(ENOSYS);
        }
    }
    op->done(op);
}

static asx_op *due_op(vdriver *self)
{
    uint32_t count = 0;
    asx_op *picked = NULL;
    asx_list_each(node, &self->ops) {
        asx_op *const op = asx_container_of(node, asx_op, _link);
        if (op->_due_ns <= *self->now_ns) {
            count++;
            if (!picked || (self->config.shuffle && asx_prng_below(&self->prng, count) == 0)) {
                picked = op;
            }
        }
    }
    return picked;
}

static unsigned v_reap(asx_driver *driver, unsigned limit)
{
    vdriver *const self = self_of(driver);
    unsigned count = 0;
    asx_op *op;
    while (count < limit && (op = due_op(self)) != NULL) {
        complete(self, op);
        count++;
    }
    return count;
}

static asx_instant next_due(const vdriver *self)
{
    asx_instant due = ASX_TIME_NEVER;
    asx_list_each(node, &self->ops) {
        const asx_op *const op = asx_container_of(node, asx_op, _link);
        due = op->_due_ns < due ? op->_due_ns : due;
    }
    return due;
}

static void v_park(asx_driver *driver, asx_instant until)
{
    vdriver *const self = self_of(driver);
    const asx_instant due = next_due(self);
    self->wants_ns = due < until ? due : until;
    if (self->now_ns != &self->own_ns) {
        return;
    }
    if (self->woken || self->wants_ns <= self->own_ns) {
        self->woken = false;
        return;
    }
    if (self->wants_ns == ASX_TIME_NEVER) {
        asx_assert_fail(__FILE__, __LINE__, "nothing can happen any more: the run is deadlocked");
    }
    self->own_ns = self->wants_ns;
}

asx_instant asx_vdriver_wants(asx_driver *driver)
{
    vdriver *const self = self_of(driver);
    if (self->woken) {
        self->woken = false;
        return 0;
    }
    return self->wants_ns;
}

static bool v_ready(asx_driver *driver)
{
    return due_op(self_of(driver)) != NULL;
}

static void v_wake(asx_driver *driver)
{
    self_of(driver)->woken = true;
    self_of(driver)->wakes++;
}

static void v_buf_return(asx_driver *driver, asx_rbuf *rbuf)
{
    (void)driver;
    (void)rbuf;
    asx_unreachable(); /* no operation lends one */
}

static asx_err v_listen(asx_driver *driver, const asx_addr *addr, const asx_listen_options *options,
                        int32_t *fd)
{
    (void)driver;
    (void)addr;
    (void)options;
    (void)fd;
    return ASX_E(UNSUPPORTED);
}

static asx_err v_socket(asx_driver *driver, asx_addr_family family, bool datagram,
                        const asx_addr *local, int32_t *fd)
{
    (void)driver;
    (void)family;
    (void)datagram;
    (void)local;
    (void)fd;
    return ASX_E(UNSUPPORTED);
}

static asx_err v_name(asx_driver *driver, int32_t fd, bool remote, asx_addr *addr)
{
    (void)driver;
    (void)fd;
    (void)remote;
    (void)addr;
    return ASX_E(UNSUPPORTED);
}

static void v_close_now(asx_driver *driver, int32_t fd)
{
    (void)driver;
    (void)fd;
}

static void v_entropy(asx_driver *driver, void *bytes, uint32_t len)
{
    vdriver *const self = self_of(driver);
    unsigned char *const out = bytes;
    for (uint32_t i = 0; i < len; i++) {
        out[i] = (unsigned char)(asx_prng_u64(&self->prng) >> 56);
    }
}

static uint32_t v_choose(asx_driver *driver, uint32_t site, uint32_t n, uint64_t object)
{
    vdriver *const self = self_of(driver);
    (void)site;
    (void)object;
    return (uint32_t)asx_prng_below(&self->prng, n);
}

static void v_stats(asx_driver *driver, asx_driver_stats *stats)
{
    const vdriver *const self = self_of(driver);
    *stats = (asx_driver_stats){ .submitted = self->submitted,
                                 .completed = self->completed,
                                 .in_flight = self->in_flight,
                                 .wakes = self->wakes };
}

static void v_destroy(asx_driver *driver)
{
    vdriver *const self = self_of(driver);
    asx_assert_eq(self->in_flight, 0);
    free(self);
}

asx_err asx_vdriver_create(const asx_vdriver_config *config, asx_driver **driver)
{
    static const asx_driver_ops ops = {
        .kind = ASX_DRIVER_LAB,
        .now = v_now,
        .submit = v_submit,
        .cancel = v_cancel,
        .reap = v_reap,
        .park = v_park,
        .ready = v_ready,
        .wake = v_wake,
        .buf_return = v_buf_return,
        .listen = v_listen,
        .socket = v_socket,
        .name = v_name,
        .close_now = v_close_now,
        .entropy = v_entropy,
        .choose = v_choose,
        .stats = v_stats,
        .destroy = v_destroy,
    };
    vdriver *const self = calloc(1, sizeof(*self));
    if (!self) {
        return ASX_E(NO_MEMORY);
    }
    self->table = ops;
    if (!config->shuffle) {
        self->table.choose = NULL; /* the scheduler need not even count the equals */
    }
    self->driver.ops = &self->table;
    self->config = *config;
    self->own_ns = ASX_NS_PER_S; /* an instant before the first one can be named */
    self->now_ns = config->clock_ns ? config->clock_ns : &self->own_ns;
    asx_list_init(&self->ops);
    asx_prng_init(&self->prng, config->seed);
    *driver = &self->driver;
    return ASX_OK;
}
