#include <asx/shard/base/assert.h>
#include <asx/shard/event.h>
#include <asx/shard/op.h>
#include <asx/shard/region.h>
#include <asx/shard/shard.h>
#include <asx/shard/socket_stream.h>

#include "task_internal.h"

#include <errno.h>
#include <string.h>

#define WAITING_MAX 256u /* descriptors kept; later ones are closed */
#define WAITING_REST 32u /* at which accepting rests: what is on its way still comes */

struct asx_acceptor {
    asx_op accept;
    asx_event changed; /* a descriptor came, or the operation ended */
    asx_region *region;
    asx_driver *driver;
    asx_region_waiter region_end;
    asx_err err; /* of an operation that ended by itself; told once */
    uint32_t first, count;
    int32_t waiting[WAITING_MAX];
    int32_t fd;
};

static void on_accept(asx_op *op)
{
    asx_acceptor *const self = asx_container_of(op, asx_acceptor, accept);
    if (op->more && self->count < WAITING_MAX) {
        self->waiting[(self->first + self->count++) % WAITING_MAX] = (int32_t)op->result;
    } else if (op->more) {
        self->driver->ops->close_now(self->driver, (int32_t)op->result);
    } else if (op->err != asx_err_errno(ECANCELED)) {
        self->err = op->err;
    }
    if (self->count >= WAITING_REST && op->more) {
        asx_op_cancel(op);
    }
    asx_event_set(&self->changed);
}

static void descriptors_close(asx_acceptor *self)
{
    while (self->count > 0) {
        self->driver->ops->close_now(self->driver, self->waiting[self->first]);
        self->first = (self->first + 1) % WAITING_MAX;
        self->count--;
    }
    self->driver->ops->close_now(self->driver, self->fd);
}

static void acceptor_region_ending(asx_region_waiter *waiter, asx_outcome value)
{
    (void)value;
    asx_region_off_closed(waiter);
    descriptors_close(asx_container_of(waiter, asx_acceptor, region_end));
}

asx_err asx_acceptor_open(asx_cx *cx, const asx_addr *addr, const asx_listen_options *options,
                          asx_acceptor **acceptor)
{
    static const asx_listen_options plain = { .nodelay = true };
    /* The task's own, also from a scope: an accept in flight lives until the task that armed it
     * ends, and must not outlive this memory. */
    asx_region *const home = cx->_task->cx._region;
    asx_driver *const driver = asx_shard_driver(asx_shard_of(cx));
    int32_t fd;
    asx_err err = asx_cx_require(cx, ASX_CAP_NET);
    if (err) {
        return err;
    }
    err = driver->ops->listen(driver, addr, options ? options : &plain, &fd);
    if (err) {
        return err;
    }
    asx_acceptor *const self = asx_region_alloc(home, sizeof(*self));
    if (!self) {
        driver->ops->close_now(driver, fd);
        return ASX_E(NO_MEMORY);
    }
    memset(self, 0, sizeof(*self));
    self->region = home;
    self->driver = driver;
    self->fd = fd;
    self->region_end.fn = acceptor_region_ending;
    self->region_end.ending = acceptor_region_ending;
    asx_region_on_closed(home, &self->region_end);
    *acceptor = self;
    return ASX_OK;
}

asx_err asx_acceptor_addr(const asx_acceptor *acceptor, asx_addr *addr)
{
    return acceptor->driver->ops->name(acceptor->driver, acceptor->fd, false, addr);
}

static asx_err accept_arm(asx_cx *cx, asx_acceptor *self)
{
    if (asx_op_in_flight(&self->accept) || self->count >= WAITING_REST) {
        return ASX_OK;
    }
    memset(&self->accept, 0, sizeof(self->accept));
    self->accept.code = ASX_OP_ACCEPT;
    self->accept.fd = self->fd;
    return asx_op_start(cx, &self->accept, on_accept);
}

asx_outcome asx_acceptor_next(asx_cx *cx, asx_acceptor *acceptor, asx_instant deadline_ns,
                              int32_t *fd)
{
    ASX_TRY(asx_checkpoint(cx));
    while (acceptor->count == 0) {
        if (acceptor->err) {
            const asx_err err = acceptor->err;
            acceptor->err = ASX_OK;
            return asx_fail(err);
        }
        const asx_err err = accept_arm(cx, acceptor);
        if (err) {
            return asx_fail(err);
        }
        ASX_TRY(asx_event_wait(cx, &acceptor->changed, "accept", deadline_ns));
    }
    *fd = acceptor->waiting[acceptor->first];
    acceptor->first = (acceptor->first + 1) % WAITING_MAX;
    acceptor->count--;
    return asx_ok(0);
}

void asx_acceptor_close(asx_cx *cx, asx_acceptor *acceptor)
{
    asx_op_cancel(&acceptor->accept);
    while (asx_op_in_flight(&acceptor->accept)) {
        asx_event_wait_masked(cx, &acceptor->changed, "end of accept");
    }
    asx_region_off_closed(&acceptor->region_end);
    descriptors_close(acceptor);
    asx_region_free(acceptor->region, acceptor, sizeof(*acceptor));
}
