/* Descriptors without suspension: listen, socket, name, and addresses as the kernel wants them. */
#ifndef ASX_REACTOR_SOCKET_H
#define ASX_REACTOR_SOCKET_H

#include <asx/shard/base/addr.h>
#include <asx/shard/driver.h>

#include <stdbool.h>
#include <sys/socket.h>

ASX_BEGIN_DECLS

/* Fills `native` and returns its length; 0 when the family is none the kernel knows. */
socklen_t asx_addr_to_native(const asx_addr *addr, struct sockaddr_storage *native);

/* An unnamed Unix peer gives an empty path; an unknown family gives ASX_ADDR_NONE. */
void asx_addr_from_native(const struct sockaddr_storage *native, socklen_t len, asx_addr *addr);

/* A bound, listening socket. A Unix path that nobody listens on any more is taken over.
 *
 * nonblocking  O_NONBLOCK: wanted by epoll; io_uring has no need of it
 * errors       the errno; EAFNOSUPPORT for a family that cannot listen */
ASX_NODISCARD asx_err asx_socket_listen(const asx_addr *addr, const asx_listen_options *options,
                                        bool nonblocking, int32_t *fd);

/* local  may be NULL */
ASX_NODISCARD asx_err asx_socket_open(asx_addr_family family, bool datagram, const asx_addr *local,
                                      bool nonblocking, int32_t *fd);

ASX_NODISCARD asx_err asx_socket_name(int32_t fd, bool remote, asx_addr *addr);

ASX_END_DECLS

#endif
