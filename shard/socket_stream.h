/* Socket streams: TCP and Unix connections as streams, over the driver's operations.
 *
 * Model.  One receive into the stream's own buffer per read, one gathered send per write: nothing
 *         is in flight between two calls, so a stream may pass from task to task. The buffer is
 *         taken at the first read.
 * Owner.  The region given at its making; a stream still open when that region ends is closed then.
 * Errors. ECONNRESET and its like are DISCONNECTED; everything else keeps its errno.
 */
#ifndef ASX_SHARD_SOCKET_STREAM_H
#define ASX_SHARD_SOCKET_STREAM_H

#include <asx/shard/driver.h>
#include <asx/shard/stream.h>

ASX_BEGIN_DECLS

#define ASX_SOCKET_STREAM_BYTES 16384u /* of the receive buffer */

/* Connects.
 *
 * region       whose memory and life it has; NULL: the cx's
 * deadline_ns  ASX_TIME_NEVER: the cx's alone
 * cancel       CANCELLED: the attempt was given up, no descriptor is left
 * errors       TIMED_OUT; the errno (ECONNREFUSED, EMFILE ...); NO_CAPABILITY without NET */
ASX_NODISCARD asx_outcome asx_socket_connect(asx_cx *cx, asx_region *region, const asx_addr *addr,
                                             asx_instant deadline_ns, asx_stream **stream);

/* Makes a stream of a connected socket, accepted by this shard's driver.
 *
 * owns    fd from here on, also when it fails
 * errors  NO_MEMORY, REGION_CLOSED */
ASX_NODISCARD asx_err asx_socket_adopt(asx_cx *cx, asx_region *region, int32_t fd,
                                       asx_stream **stream);

/* The descriptor of a socket stream, for its name and options. */
int32_t asx_socket_stream_fd(asx_stream *stream);

/* A listening socket for one fiber that accepts.
 *
 * Model.  A multishot accept is armed by the first asx_acceptor_next and belongs to the task that
 *         called it; it rests while 32 connections wait to be taken.
 * Owner.  The region of the task that opened it, even from within a scope; it closes with that
 *         region. asx_acceptor_next is for tasks of that region and below it. */
typedef struct asx_acceptor asx_acceptor;

/* options  NULL: defaults
 * errors   the errno of socket, bind, listen; NO_MEMORY, NO_CAPABILITY */
ASX_NODISCARD asx_err asx_acceptor_open(asx_cx *cx, const asx_addr *addr,
                                        const asx_listen_options *options, asx_acceptor **acceptor);

/* The address that it listens on: tells the port when 0 was asked for. */
ASX_NODISCARD asx_err asx_acceptor_addr(const asx_acceptor *acceptor, asx_addr *addr);

/* The next connection: Ok, with *fd the caller's.
 *
 * cancel  CANCELLED: what arrives meanwhile is kept for the next call
 * errors  TIMED_OUT; the errno of accept (EMFILE ...), after which the call may be repeated */
ASX_NODISCARD asx_outcome asx_acceptor_next(asx_cx *cx, asx_acceptor *acceptor,
                                            asx_instant deadline_ns, int32_t *fd);

/* Stops listening and closes what nobody took. Not a cancel point; suspends, masked. */
void asx_acceptor_close(asx_cx *cx, asx_acceptor *acceptor);

ASX_END_DECLS

#endif
