/* A file's pages straight into a socket, where that blocks for neither. */
#include "reactor_internal.h"

#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Newer than the packaged header: Linux 6.5. */
#define SYS_CACHESTAT 451
typedef struct cachestat_range {
    uint64_t offset, length;
} cachestat_range;
typedef struct cachestat_counts {
    uint64_t cached, dirty, writeback, evicted, recently_evicted;
} cachestat_counts;

#define VISIT_BYTES (256u << 10) /* looked up and sent at once */

/* Before cachestat(): the first and the last byte speak for what is between them. */
static bool ends_resident(int32_t file_fd, uint64_t offset, uint32_t length)
{
    char byte;
    const struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
    return preadv2(file_fd, &iov, 1, (off_t)offset, RWF_NOWAIT) == 1 &&
           preadv2(file_fd, &iov, 1, (off_t)(offset + length - 1), RWF_NOWAIT) == 1;
}

static bool range_resident(int32_t file_fd, uint64_t offset, uint32_t length)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    const cachestat_range range = { .offset = offset, .length = length };
    cachestat_counts counts;
    if (syscall(SYS_CACHESTAT, file_fd, &range, &counts, 0) != 0) {
        return errno == ENOSYS && ends_resident(file_fd, offset, length);
    }
    return counts.cached >= (offset + length + page - 1) / page - offset / page;
}

/* Whether the range is in memory, so that sending it waits for no disk. It may be evicted in
 * between: then a call waits. The kernel is asked once a turn about what many connections want. */
static bool is_resident(asxi_reactor *reactor, int32_t file_fd, uint64_t offset, uint32_t length)
{
    asxi_resident *const known = &reactor->resident[(uint32_t)file_fd % ASXI_RESIDENT_COUNT];
    if (known->turn == reactor->turn && known->file_fd == file_fd && offset >= known->offset &&
        offset + length <= known->end) {
        return true;
    }
    if (!range_resident(file_fd, offset, length)) {
        return false;
    }
    *known = (asxi_resident){
        .turn = reactor->turn, .offset = offset, .end = offset + length, .file_fd = file_fd
    };
    return true;
}

bool asxi_nonblocking_set(int32_t fd, bool on)
{
    int value = on;
    return ioctl(fd, FIONBIO, &value) == 0;
}

int64_t asxi_sendfile_try(asxi_reactor *reactor, int32_t fd, bool may_block, int32_t file_fd,
                          uint64_t offset, uint32_t length)
{
    off_t at = (off_t)offset;
    length = length < VISIT_BYTES ? length : VISIT_BYTES;
    if (!is_resident(reactor, file_fd, offset, length)) {
        return -ENODATA;
    }
    if (may_block && !asxi_nonblocking_set(fd, true)) {
        return -errno;
    }
    const ssize_t got = sendfile(fd, file_fd, &at, length);
    const int errnum = errno;
    if (may_block && !asxi_nonblocking_set(fd, false)) {
        return -errno;
    }
    return got >= 0 ? got : errnum == EINTR ? -EAGAIN : -errnum;
}

asx_err asxi_sendfile_now(asxi_reactor *reactor, int32_t fd, bool may_block,
                          const struct iovec *head, int32_t file_fd, uint64_t offset,
                          uint32_t length, uint32_t *sent)
{
    *sent = 0;
    if (head) {
        const ssize_t got =
            send(fd, head->iov_base, head->iov_len, MSG_DONTWAIT | MSG_NOSIGNAL | MSG_MORE);
        if (got < 0) {
            return errno == EAGAIN || errno == EINTR ? ASX_OK : asx_err_errno(errno);
        }
        *sent = (uint32_t)got;
        if ((size_t)got < head->iov_len) {
            return ASX_OK;
        }
    }
    reactor->stats.syscalls += 2;
    for (uint64_t end = offset + length; offset < end;) {
        const int64_t got =
            asxi_sendfile_try(reactor, fd, may_block, file_fd, offset, (uint32_t)(end - offset));
        if (got <= 0) {
            /* What was sent counts; whoever goes on meets the error. */
            const bool told = *sent > 0 || got == 0 || got == -EAGAIN || got == -ENODATA;
            return told ? ASX_OK : asx_err_errno((int)-got);
        }
        *sent += (uint32_t)got;
        offset += (uint64_t)got;
    }
    return ASX_OK;
}
