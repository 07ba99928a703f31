/* Workers: child processes that do a part of the runs and write frames to their parent.
 *
 * Owner. The parent, from start to reap or stop. A child never returns: it ends when its work does.
 */
#ifndef ASX_LAB_WORKER_INTERNAL_H
#define ASX_LAB_WORKER_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

typedef struct asxi_worker {
    pid_t pid; /* 0: not started, or reaped */
    int fd;    /* the parent reads here */
} asxi_worker;

/* The child's work: frames to fd. False: the parent has gone. */
typedef bool asxi_work_fn(const void *arg, int fd);

/* False: the system has no more processes. */
bool asxi_worker_start(asxi_worker *worker, asxi_work_fn *work, const void *arg);

/* False: the other end has gone. */
bool asxi_worker_write(int fd, const void *bytes, size_t len);
bool asxi_worker_read(const asxi_worker *worker, void *bytes, size_t len);
/* True when something can be read, or the child is gone. */
bool asxi_worker_ready(const asxi_worker *worker, int wait_ms);

/* Waits for the end of a child that has closed its pipe; its wait status. */
int asxi_worker_reap(asxi_worker *worker);
/* Kills it, if it lives. */
void asxi_worker_stop(asxi_worker *worker);

/* A wait status in words. */
void asxi_worker_end_tell(int status, char *text, size_t cap);

#endif
