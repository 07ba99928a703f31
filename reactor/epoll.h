/* The driver over epoll: the same operations where io_uring is forbidden or absent.
 *
 * Model.   Each descriptor is registered once, edge-triggered, for both directions; what an edge
 *          said is remembered in the descriptor's slot until a call answers EAGAIN. An operation is
 *          tried at submit() where that is worth a system call, and otherwise when its descriptor
 *          is ready; it completes in a later reap(), never inside submit().
 * Owner.   One shard's thread.
 * Rule.    A descriptor that operations have used is closed through the driver (CLOSE, close_now),
 *          which forgets its registration. Only POLL may be used on one that others close. */
#ifndef ASX_REACTOR_EPOLL_H
#define ASX_REACTOR_EPOLL_H

#include <asx/reactor/driver_config.h>
#include <asx/shard/driver.h>

ASX_BEGIN_DECLS

/* errors  ENOMEM, EMFILE */
ASX_NODISCARD asx_err asx_epoll_create(const asx_driver_config *config, asx_driver **driver);

ASX_END_DECLS

#endif
