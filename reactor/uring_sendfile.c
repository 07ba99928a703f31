/* SENDFILE over io_uring, which has no such opcode. What is in memory goes by sendfile(2), and the
 * ring only waits for room in the socket; what is not is read by the ring and sent from a copy, so
 * that the shard's thread never waits for a disk.
 *
 *   start ──> sendfile ──full──> poll ──> sendfile ...
 *                └──not in memory──> read ──> send ──> sendfile ... */
#include <asx/shard/base/bits.h>

#include "uring_internal.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>

void asxi_uring_nonblocking_set(asxi_uring *uring, int32_t fd, bool on)
{
    const uint32_t word = (uint32_t)fd / 64;
    const uint64_t bit = UINT64_C(1) << ((uint32_t)fd % 64);
    if (fd < 0 || (!on && word >= uring->nonblocking_words)) {
        return;
    }
    if (word >= uring->nonblocking_words) {
        const uint32_t count = (uint32_t)asx_pow2_ceil(word + 1);
        uint64_t *const words = realloc(uring->nonblocking, count * sizeof(*words));
        if (!words) {
            return;
        }
        memset(words + uring->nonblocking_words, 0,
               (count - uring->nonblocking_words) * sizeof(*words));
        uring->nonblocking = words;
        uring->nonblocking_words = count;
    }
    uring->nonblocking[word] =
        on ? uring->nonblocking[word] | bit : uring->nonblocking[word] & ~bit;
}

/* Sends what is in memory. True: the op is over, with *err. False: it goes to the ring, to wait for
 * room in the socket, or to read what is not in memory. */
static bool sendfile_over(asxi_uring *uring, asx_op *op, uring_aux *aux, asx_err *err)
{
    const bool may_block = !asxi_uring_nonblocking(uring, op->fd);
    *err = ASX_OK;
    while (op->result < op->length) {
        const int64_t got = asxi_sendfile_try(&uring->reactor, op->fd, may_block, op->file_fd,
                                              op->offset + op->result, op->length - op->result);
        if (got > 0) {
            op->result += (uint32_t)got;
        } else if (got == -EAGAIN) {
            aux->polling = true;
            return false;
        } else if (got == -ENODATA) {
            aux->chunk = aux->chunk ? aux->chunk : malloc(URING_SENDFILE_CHUNK);
            aux->chunk_len = aux->chunk_sent = 0;
            *err = aux->chunk ? ASX_OK : asx_err_errno(ENOMEM);
            return !aux->chunk;
        } else {
            *err = got < 0 ? asx_err_errno((int)-got) : ASX_OK;
            return true;
        }
    }
    return true;
}

bool asxi_uring_sendfile_start(asxi_uring *uring, asx_op *op)
{
    asx_err err;
    const bool over = sendfile_over(uring, op, asxi_uring_aux(op), &err);
    if (over) {
        asxi_uring_op_drop(uring, op, err);
    }
    return !over;
}

void asxi_uring_sendfile_prepare(asx_op *op, struct io_uring_sqe *sqe)
{
    uring_aux *const aux = asxi_uring_aux(op);
    const uint32_t rest = aux->chunk_len - aux->chunk_sent;
    if (aux->polling) {
        io_uring_prep_poll_add(sqe, op->fd, POLLOUT);
        return;
    }
    if (rest > 0) {
        io_uring_prep_send(sqe, op->fd, aux->chunk + aux->chunk_sent, rest, URING_SEND_FLAGS);
        return;
    }
    const uint32_t left = op->length - op->result;
    io_uring_prep_read(sqe, op->file_fd, aux->chunk,
                       left < URING_SENDFILE_CHUNK ? left : URING_SENDFILE_CHUNK,
                       op->offset + op->result);
}

void asxi_uring_sendfile_finish(asxi_uring *uring, asx_op *op, int32_t res)
{
    uring_aux *const aux = asxi_uring_aux(op);
    const bool polled = aux->polling, sending = aux->chunk_sent < aux->chunk_len;
    aux->polling = false;
    if (res < 0) {
        asxi_uring_op_complete(uring, op, asx_err_errno(-res), op->result);
        return;
    }
    if (op->flags & ASX_OP_CANCELLING) {
        op->result += sending && !polled ? (uint32_t)res : 0;
        const bool whole = op->result >= op->length;
        asxi_uring_op_complete(uring, op, whole ? ASX_OK : asx_err_errno(ECANCELED), op->result);
        return;
    }
    if (!polled && !sending) { /* a piece of the file was read */
        aux->chunk_len = (uint32_t)res;
        aux->chunk_sent = 0;
        if (res == 0) {
            asxi_uring_op_complete(uring, op, ASX_OK, op->result);
        } else {
            asxi_uring_queue(uring, op);
        }
        return;
    }
    if (!polled) {
        aux->chunk_sent += (uint32_t)res;
        op->result += (uint32_t)res;
        if (aux->chunk_sent < aux->chunk_len) {
            asxi_uring_queue(uring, op);
            return;
        }
    }
    asx_err err;
    if (sendfile_over(uring, op, aux, &err)) {
        asxi_uring_op_complete(uring, op, err, op->result);
    } else {
        asxi_uring_queue(uring, op);
    }
}
