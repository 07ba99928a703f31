/* Bytes that are sent again and again, as references to pages.
 *
 *   bytes ──socket──> pages ──tee──> answer ──tee──> way ──splice──> the connection
 *                              head ──┘
 *
 * A pipe holds pages by reference, and tee() takes further references, so nothing is copied after
 * the first time. The bytes enter through a Unix socket because its pages come in runs of 32 KiB,
 * each one entry of a pipe; those of a file or of a write are an entry each, looked at one by one
 * by every send. A head that is the same as the last time is in the answer already: the connection
 * takes both in one call. For 64 KiB over loopback that is 13 % less of the server's time than a
 * send of the head and a sendfile of one huge page (Linux 6.18).
 *
 * `way` is empty between calls: what a connection does not take is thrown away with the pipe. */
#include <asx/shard/kept.h>

#include "reactor_internal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define RUN_BYTES (32u << 10) /* what a Unix socket takes in one piece of memory */

static bool pipe_open(int32_t ends[2])
{
    return pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0;
}

static void fd_drop(int32_t *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

void asxi_kept_way_close(asxi_reactor *reactor)
{
    fd_drop(&reactor->way[0]);
    fd_drop(&reactor->way[1]);
}

/* Run by run: each is read whole before the next is written, so neither end ever waits. */
static bool runs_put(int32_t from, int32_t to, int32_t pipe, asx_view bytes)
{
    for (size_t at = 0; at < bytes.len;) {
        const size_t run = bytes.len - at < RUN_BYTES ? bytes.len - at : RUN_BYTES;
        if (send(from, bytes.ptr + at, run, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)run) {
            return false;
        }
        for (size_t left = run; left > 0;) {
            const ssize_t got = splice(to, NULL, pipe, NULL, left, SPLICE_F_NONBLOCK);
            if (got <= 0) {
                return false;
            }
            left -= (size_t)got;
        }
        at += run;
    }
    return true;
}

/* Keeps the reading end of a pipe that was filled; else both are closed. */
static bool pipe_finish(int32_t ends[2], bool filled, int32_t *fd)
{
    close(ends[1]);
    if (!filled) {
        close(ends[0]);
        return false;
    }
    fd_drop(fd);
    *fd = ends[0];
    return true;
}

static bool pages_make(asxi_reactor *reactor, asx_kept *kept)
{
    int32_t sockets[2], ends[2];
    kept->_turn = reactor->turn;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0) {
        return false;
    }
    bool made = pipe_open(ends);
    if (made) {
        const bool filled = runs_put(sockets[0], sockets[1], ends[1], kept->bytes);
        made = pipe_finish(ends, filled, &kept->_pages_fd);
    }
    close(sockets[0]);
    close(sockets[1]);
    return made;
}

static bool tee_whole(int32_t from, int32_t to, size_t length)
{
    return tee(from, to, length, SPLICE_F_NONBLOCK) == (ssize_t)length;
}

/* The head and then the pages, into an empty pipe. */
static bool pipe_fill(int32_t pipe, const asx_kept *kept, const struct iovec *head, size_t length)
{
    return (!head || write(pipe, head->iov_base, head->iov_len) == (ssize_t)head->iov_len) &&
           tee_whole(kept->_pages_fd, pipe, length);
}

static bool answer_make(asxi_reactor *reactor, asx_kept *kept, const struct iovec *head)
{
    int32_t ends[2];
    kept->_turn = reactor->turn;
    if (!pipe_open(ends)) {
        return false;
    }
    const bool filled = pipe_fill(ends[1], kept, head, kept->bytes.len);
    if (!pipe_finish(ends, filled, &kept->_answer_fd)) {
        return false;
    }
    memcpy(kept->_head, head->iov_base, head->iov_len);
    kept->_head_len = (uint32_t)head->iov_len;
    return true;
}

/* Whether the answer begins with this head. At most one a turn is made: when heads alternate,
 * making an answer for each would cost more than it saves. */
static bool answer_fits(asxi_reactor *reactor, asx_kept *kept, const struct iovec *head)
{
    if (!head || head->iov_len > ASX_KEPT_HEAD_MAX) {
        return false;
    }
    if (kept->_answer_fd >= 0 && kept->_head_len == head->iov_len &&
        memcmp(kept->_head, head->iov_base, head->iov_len) == 0) {
        return true;
    }
    return kept->_turn != reactor->turn && answer_make(reactor, kept, head);
}

static bool way_fill(asxi_reactor *reactor, asx_kept *kept, const struct iovec *head, size_t length)
{
    if (kept->_pages_fd < 0 && (kept->_turn == reactor->turn || !pages_make(reactor, kept))) {
        return false;
    }
    if (reactor->way[0] < 0 && !pipe_open(reactor->way)) {
        return false;
    }
    if (answer_fits(reactor, kept, head)) {
        return tee_whole(kept->_answer_fd, reactor->way[1], head->iov_len + length);
    }
    return pipe_fill(reactor->way[1], kept, head, length);
}

asx_err asxi_send_kept_now(asxi_reactor *reactor, int32_t fd, bool may_block,
                           const struct iovec *head, asx_kept *kept, uint32_t length,
                           uint32_t *sent)
{
    const size_t total = (head ? head->iov_len : 0) + length;
    asx_assert_le(length, kept->bytes.len);
    *sent = 0;
    if (!way_fill(reactor, kept, head, length)) {
        asxi_kept_way_close(reactor);
        return ASX_OK;
    }
    ssize_t got = -1;
    if (!may_block || asxi_nonblocking_set(fd, true)) {
        got = splice(reactor->way[0], NULL, fd, NULL, total, SPLICE_F_NONBLOCK);
    }
    const int errnum = errno;
    if (may_block) {
        (void)asxi_nonblocking_set(fd, false);
    }
    reactor->stats.syscalls += 2;
    if (got != (ssize_t)total) {
        asxi_kept_way_close(reactor);
    }
    *sent = got > 0 ? (uint32_t)got : 0;
    return got >= 0 || errnum == EAGAIN || errnum == EINTR ? ASX_OK : asx_err_errno(errnum);
}
