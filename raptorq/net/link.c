#include <asx/raptorq/net/link.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/event.h>
#include <asx/shard/op.h>
#include <asx/shard/region.h>
#include <asx/shard/shard.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

typedef struct slot {
    asx_op op;
    struct iovec iov;
    asx_addr addr;
    asx_rq_link *link;
    asx_list node; /* in idle, ready or free */
} slot;

struct asx_rq_link {
    asx_region *region;
    asx_driver *driver;
    asx_region_waiter region_end;
    asx_event event;
    asx_list idle;  /* receives that are not in flight */
    asx_list ready; /* receives that hold a datagram, oldest first */
    asx_list free;  /* sends that are not in flight */
    uint32_t receives, sends, in_flight;
    uint32_t errors; /* in a row */
    asx_err err;
    int32_t fd;
    size_t size; /* of this record with slots and buffers */
    slot slots[];
};

static void received(asx_op *op)
{
    slot *at = asx_container_of(op, slot, op);
    asx_rq_link *link = at->link;
    link->in_flight--;
    if (op->err == ASX_OK) {
        link->errors = 0;
        asx_list_push_back(&link->ready, &at->node);
    } else {
        asx_list_push_back(&link->idle, &at->node);
        link->err = ++link->errors >= ASX_RQ_LINK_ERRORS_MAX ? op->err : link->err;
    }
    asx_event_set(&link->event);
}

/* A datagram that cannot be sent now is one that was lost; one that never can be is an error. */
static bool is_final(asx_err err)
{
    switch (asx_err_code(err)) {
    case EMSGSIZE:
    case EACCES:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EAFNOSUPPORT:
    case EINVAL:
        return true;
    default:
        return false;
    }
}

static void sent(asx_op *op)
{
    slot *at = asx_container_of(op, slot, op);
    asx_rq_link *link = at->link;
    link->in_flight--;
    asx_list_push_back(&link->free, &at->node);
    if (op->err == ASX_OK) {
        link->errors = 0;
    } else if (is_final(op->err) || ++link->errors >= ASX_RQ_LINK_ERRORS_MAX) {
        link->err = op->err;
    }
    asx_event_set(&link->event);
}

static void link_unmake(asx_rq_link *link)
{
    asx_assert_eq(link->in_flight, 0);
    asx_region_off_closed(&link->region_end);
    link->driver->ops->close_now(link->driver, link->fd);
}

static void region_ending(asx_region_waiter *waiter, asx_outcome value)
{
    (void)value;
    link_unmake(asx_container_of(waiter, asx_rq_link, region_end));
}

static void arm(asx_cx *cx, asx_rq_link *link)
{
    asx_list_each_safe(node, &link->idle) {
        slot *at = asx_container_of(node, slot, node);
        asx_list_unlink(node);
        at->op = (asx_op){ .code = ASX_OP_RECVFROM,
                           .fd = link->fd,
                           .iov = &at->iov,
                           .iov_count = 1,
                           .addr = &at->addr };
        link->in_flight++;
        const asx_err err = asx_op_start(cx, &at->op, received);
        asx_assert_eq(err, ASX_OK); /* the capability was asked for in open */
    }
}

static void slots_init(asx_rq_link *link, const asx_rq_link_config *config)
{
    uint8_t *bytes = (uint8_t *)&link->slots[config->receives + config->sends];
    for (uint32_t i = 0; i < config->receives + config->sends; i++) {
        slot *at = &link->slots[i];
        const bool is_receive = i < config->receives;
        const size_t cap = is_receive ? config->receive_cap : config->send_cap;
        *at = (slot){ .link = link, .iov = { .iov_base = bytes, .iov_len = cap } };
        asx_list_push_back(is_receive ? &link->idle : &link->free, &at->node);
        bytes += cap;
    }
}

asx_err asx_rq_link_open(asx_cx *cx, const asx_rq_link_config *config, asx_rq_link **result)
{
    asx_assert(config->receives > 0 && config->receives <= ASX_RQ_LINK_SLOTS_MAX);
    asx_assert(config->sends > 0 && config->sends <= ASX_RQ_LINK_SLOTS_MAX);
    asx_shard *shard = asx_shard_of(cx);
    asx_driver *driver = asx_shard_driver(shard);
    asx_region *region;
    int32_t fd;
    asx_err err = asx_cx_require(cx, ASX_CAP_NET);
    if (err == ASX_OK) {
        err = asx_region_lookup(shard, asx_cx_region(cx), &region);
    }
    if (err == ASX_OK) {
        err = driver->ops->socket(driver, config->family, true, config->local, &fd);
    }
    if (err != ASX_OK) {
        return err;
    }
    const size_t size = sizeof(asx_rq_link) + (config->receives + config->sends) * sizeof(slot) +
                        config->receives * config->receive_cap + config->sends * config->send_cap;
    asx_rq_link *link = asx_region_alloc(region, size);
    if (link == NULL) {
        driver->ops->close_now(driver, fd);
        return ASX_E(NO_MEMORY);
    }
    *link = (asx_rq_link){ .region = region,
                           .driver = driver,
                           .receives = config->receives,
                           .sends = config->sends,
                           .fd = fd,
                           .size = size };
    asx_list_init(&link->idle);
    asx_list_init(&link->ready);
    asx_list_init(&link->free);
    slots_init(link, config);
    if (config->socket_bytes > 0) {
        /* A wish: the system's limit holds, and less means more loss, not failure. */
        const int wish = config->socket_bytes;
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &wish, sizeof(wish));
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &wish, sizeof(wish));
    }
    link->region_end.fn = region_ending;
    link->region_end.ending = region_ending;
    asx_region_on_closed(region, &link->region_end);
    arm(cx, link);
    *result = link;
    return ASX_OK;
}

asx_err asx_rq_link_addr(const asx_rq_link *link, asx_addr *addr)
{
    return link->driver->ops->name(link->driver, link->fd, false, addr);
}

bool asx_rq_link_peek(const asx_rq_link *link, const uint8_t **bytes, size_t *len,
                      const asx_addr **from)
{
    if (asx_list_empty(&link->ready)) {
        return false;
    }
    const slot *at = asx_container_of(asx_list_first(&link->ready), slot, node);
    *bytes = at->iov.iov_base;
    *len = at->op.result;
    *from = &at->addr;
    return true;
}

bool asx_rq_link_has(const asx_rq_link *link)
{
    return !asx_list_empty(&link->ready);
}

void asx_rq_link_pop(asx_cx *cx, asx_rq_link *link)
{
    asx_assert(!asx_list_empty(&link->ready));
    asx_list_push_back(&link->idle, asx_list_pop_front(&link->ready));
    arm(cx, link);
}

uint8_t *asx_rq_link_reserve(asx_rq_link *link)
{
    if (asx_list_empty(&link->free)) {
        return NULL;
    }
    return asx_container_of(asx_list_first(&link->free), slot, node)->iov.iov_base;
}

void asx_rq_link_commit(asx_cx *cx, asx_rq_link *link, size_t len, const asx_addr *to)
{
    asx_assert(!asx_list_empty(&link->free));
    slot *at = asx_container_of(asx_list_first(&link->free), slot, node);
    asx_list_unlink(&at->node);
    at->addr = *to;
    at->iov.iov_len = len;
    at->op = (asx_op){
        .code = ASX_OP_SENDTO, .fd = link->fd, .iov = &at->iov, .iov_count = 1, .addr = &at->addr
    };
    link->in_flight++;
    const asx_err err = asx_op_start(cx, &at->op, sent);
    asx_assert_eq(err, ASX_OK);
}

asx_outcome asx_rq_link_wait(asx_cx *cx, asx_rq_link *link, asx_instant until_ns)
{
    arm(cx, link);
    return asx_event_wait(cx, &link->event, "datagrams", until_ns);
}

void asx_rq_link_wait_masked(asx_cx *cx, asx_rq_link *link)
{
    asx_event_wait_masked(cx, &link->event, "work in the pool to end");
}

void asx_rq_link_wake(asx_rq_link *link)
{
    asx_event_set(&link->event);
}

asx_err asx_rq_link_err(const asx_rq_link *link)
{
    return link->err;
}

void asx_rq_link_close(asx_cx *cx, asx_rq_link *link)
{
    for (uint32_t i = 0; i < link->receives + link->sends; i++) {
        asx_op_cancel(&link->slots[i].op);
    }
    while (link->in_flight > 0) {
        asx_event_wait_masked(cx, &link->event, "a socket's operations to end");
    }
    link_unmake(link);
    asx_region_free(link->region, link, link->size);
}
