#include <asx/shard/base/assert.h>

#include "worker_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

bool asxi_worker_write(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        const ssize_t wrote = write(fd, at, len);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            return false;
        }
        at += wrote;
        len -= (size_t)wrote;
    }
    return true;
}

bool asxi_worker_read(const asxi_worker *worker, void *bytes, size_t len)
{
    char *at = bytes;
    while (len > 0) {
        const ssize_t got = read(worker->fd, at, len);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return false;
        }
        at += got;
        len -= (size_t)got;
    }
    return true;
}

bool asxi_worker_ready(const asxi_worker *worker, int wait_ms)
{
    struct pollfd waited = { .fd = worker->fd, .events = POLLIN };
    return poll(&waited, 1, wait_ms) != 0;
}

bool asxi_worker_start(asxi_worker *worker, asxi_work_fn *work, const void *arg)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return false;
    }
    fflush(NULL); /* or the child would print it too */
    worker->pid = fork();
    if (worker->pid == 0) {
        close(ends[0]);
        signal(SIGPIPE, SIG_IGN);
        _exit(work(arg, ends[1]) ? 0 : 1);
    }
    close(ends[1]);
    worker->fd = ends[0];
    if (worker->pid < 0) {
        close(ends[0]);
        worker->pid = 0;
        return false;
    }
    return true;
}

int asxi_worker_reap(asxi_worker *worker)
{
    int status = 0;
    asx_assert_lt(0, worker->pid);
    close(worker->fd);
    while (waitpid(worker->pid, &status, 0) < 0 && errno == EINTR) {
    }
    worker->pid = 0;
    return status;
}

void asxi_worker_stop(asxi_worker *worker)
{
    if (worker->pid > 0) {
        kill(worker->pid, SIGKILL);
        asxi_worker_reap(worker);
    }
}

void asxi_worker_end_tell(int status, char *text, size_t cap)
{
    if (WIFSIGNALED(status)) {
        snprintf(text, cap, "the run killed its process: signal %d", WTERMSIG(status));
    } else {
        snprintf(text, cap, "the run ended its process: status %d", WEXITSTATUS(status));
    }
}
