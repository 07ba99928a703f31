#include <asx/shard/base/assert.h>

#include "reactor_internal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

int asxi_file_dir(const asx_op *op)
{
    return op->fd > 0 ? op->fd : AT_FDCWD;
}

static ssize_t stat_run(const asx_op *op)
{
    if (!op->path || op->path[0] == '\0') {
        return fstat(op->fd, op->stat);
    }
    return fstatat(asxi_file_dir(op), op->path, op->stat, 0);
}

static ssize_t transfer_run(const asx_op *op)
{
    const struct iovec *const iov = op->iov;
    const bool own = op->offset == UINT64_MAX; /* the file's own position */
    if (op->code == ASX_OP_READ) {
        return own ? read(op->fd, iov->iov_base, iov->iov_len)
                   : pread(op->fd, iov->iov_base, iov->iov_len, (off_t)op->offset);
    }
    return own ? write(op->fd, iov->iov_base, iov->iov_len)
               : pwrite(op->fd, iov->iov_base, iov->iov_len, (off_t)op->offset);
}

static ssize_t file_call(const asx_op *op)
{
    switch (op->code) {
    case ASX_OP_OPEN:
        return openat(asxi_file_dir(op), op->path, (int)(op->arg | O_CLOEXEC), (mode_t)op->mode);
    case ASX_OP_STAT:
        return stat_run(op);
    case ASX_OP_READ:
    case ASX_OP_WRITE:
        return transfer_run(op);
    case ASX_OP_FSYNC:
        return fsync(op->fd);
    default:
        asx_unreachable();
    }
}

void asxi_file_run(asx_op *op)
{
    ssize_t got;
    int errnum;
    do {
        got = file_call(op);
        errnum = errno;
    } while (got < 0 && errnum == EINTR);
    op->err = got < 0 ? asx_err_errno(errnum) : ASX_OK;
    op->result = got < 0 ? 0 : (uint32_t)got;
}
