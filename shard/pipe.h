/* Pipes: two streams in memory, each the other's peer, on one shard.
 *
 * Model.  A bounded ring of bytes each way. A writer waits while its ring is full, a reader while
 *         it is empty. What was written before a close is still read by the peer.
 * Owner.  The region that it was made in, for both ends. The memory goes when both ends are closed,
 *         or with the region; neither end may be used in a region that lives longer.
 */
#ifndef ASX_SHARD_PIPE_H
#define ASX_SHARD_PIPE_H

#include <asx/shard/stream.h>

ASX_BEGIN_DECLS

/* Makes a connected pair with `cap` bytes of room each way, at least 1.
 *
 * region  whose memory it is; NULL: the cx's
 * errors  NO_MEMORY, REGION_CLOSED */
ASX_NODISCARD asx_err asx_pipe_create(asx_cx *cx, asx_region *region, size_t cap, asx_stream **near,
                                      asx_stream **far);

ASX_END_DECLS

#endif
