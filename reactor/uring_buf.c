#include <asx/shard/base/assert.h>

#include "uring_internal.h"

#include <sys/mman.h>

asx_err asxi_uring_buf_init(asxi_uring *uring, const asx_driver_config *config)
{
    asx_err err = asxi_rbuf_pool_init(&uring->bufs, config);
    if (err) {
        return err;
    }
    const uint32_t count = uring->bufs.count;
    uring->buf_ring_bytes = count * sizeof(struct io_uring_buf);
    void *const memory = mmap(NULL, uring->buf_ring_bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        err = asx_err_errno(errno);
        goto undo_pool;
    }
    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)memory,
        .ring_entries = count,
        .bgid = URING_BUF_GROUP,
    };
    const int rc = io_uring_register_buf_ring(&uring->ring, &reg, 0);
    if (rc < 0) {
        munmap(memory, uring->buf_ring_bytes);
        err = asx_err_errno(-rc);
        goto undo_pool;
    }
    uring->buf_ring = memory;
    io_uring_buf_ring_init(uring->buf_ring);
    for (uint32_t i = 0; i < count; i++) {
        asx_rbuf *const rbuf = &uring->bufs.bufs[i];
        io_uring_buf_ring_add(uring->buf_ring, rbuf->data, rbuf->cap, (uint16_t)i, (int)(count - 1),
                              (int)i);
    }
    io_uring_buf_ring_advance(uring->buf_ring, (int)count);
    return ASX_OK;
undo_pool:
    asxi_rbuf_pool_deinit(&uring->bufs);
    return err;
}

void asxi_uring_buf_deinit(asxi_uring *uring)
{
    if (uring->buf_ring) {
        munmap(uring->buf_ring, uring->buf_ring_bytes);
        uring->buf_ring = NULL;
    }
    asxi_rbuf_pool_deinit(&uring->bufs);
}

asx_rbuf *asxi_uring_buf_lend(asxi_uring *uring, uint32_t cqe_flags)
{
    const uint32_t id = cqe_flags >> IORING_CQE_BUFFER_SHIFT;
    asx_assert_lt(id, uring->bufs.count);
    asx_assert_lt(uring->buf_lent, uring->bufs.count);
    uring->buf_lent++;
    uring->bufs.touched = true;
    return &uring->bufs.bufs[id];
}

void asxi_uring_buf_return(asxi_uring *uring, asx_rbuf *rbuf)
{
    asx_assert_lt(rbuf->id, uring->bufs.count);
    asx_assert(&uring->bufs.bufs[rbuf->id] == rbuf);
    asx_assert_lt(0, uring->buf_lent);
    uring->buf_lent--;
    io_uring_buf_ring_add(uring->buf_ring, rbuf->data, rbuf->cap, (uint16_t)rbuf->id,
                          (int)(uring->bufs.count - 1), (int)uring->buf_returned);
    uring->buf_returned++;
}

void asxi_uring_buf_flush(asxi_uring *uring)
{
    if (uring->buf_returned > 0) {
        io_uring_buf_ring_advance(uring->buf_ring, (int)uring->buf_returned);
        uring->buf_returned = 0;
    }
    /* As many as can find a buffer: one more would only come back empty-handed. */
    uint32_t room = uring->bufs.count - uring->buf_lent;
    while (room > 0) {
        asx_list *const node = asx_list_pop_front(&uring->starved);
        if (!node) {
            break;
        }
        asxi_uring_queue(uring, asx_container_of(node, asx_op, _link));
        room--;
    }
}
