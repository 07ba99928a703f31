/* Where flows begin: memory, channels, streams, clocks, functions.
 *
 * Owner.  A flow over a channel owns the receiver: closing the flow closes it.
 * Cancel. Nothing was taken from the channel, no tick was used up. */
#ifndef ASX_SHARD_FLOW_SOURCE_H
#define ASX_SHARD_FLOW_SOURCE_H

#include <asx/shard/base/decls.h>
#include <asx/shard/flow/flow.h>
#include <asx/shard/interval.h>
#include <asx/shard/stream.h>
#include <asx/shard/sync/broadcast.h>
#include <asx/shard/sync/mpsc.h>
#include <asx/shard/sync/watch.h>

ASX_BEGIN_DECLS

/* items  outlive the flow; each is copied once, or dropped. drop: NULL allowed */
asx_flow *asx_flow_of_array(asx_cx *cx, const void *items, size_t count, uint32_t item_size,
                            asx_drop_fn *drop);

/* Answers as asx_flow_next_until; LATE only where the deadline passed before anything happened. */
typedef asx_outcome asx_flow_next_fn(asx_cx *cx, void *item, asx_instant deadline_ns, void *arg);
/* drop  of the items; NULL allowed */
asx_flow *asx_flow_of_fn(asx_cx *cx, asx_flow_next_fn *fn, void *arg, uint32_t item_size,
                         asx_drop_fn *drop);

/* Ends when every sender has gone and everything was received.
 * item_size, drop  those of the channel */
asx_flow *asx_flow_of_mpsc(asx_cx *cx, asx_mpsc_receiver receiver, uint32_t item_size,
                           asx_drop_fn *drop);
/* A receiver that fell behind is told so by an Err(LAGGED) in the flow, which then goes on.
 * lagged  how many were missed, at such an error; NULL allowed */
asx_flow *asx_flow_of_broadcast(asx_cx *cx, asx_broadcast_receiver receiver, uint32_t item_size,
                                uint64_t *lagged);
/* The value of now, then the latest after each change; ends with the sender. */
asx_flow *asx_flow_of_watch(asx_cx *cx, asx_watch_receiver receiver, uint32_t value_size);
/* The instants (asx_instant) for which the ticks were scheduled; never ends. */
asx_flow *asx_flow_of_interval(asx_cx *cx, const asx_interval *interval);

/* Bytes as they arrived, copied out of a stream, up to `max` at a time. */
typedef struct asx_flow_piece {
    uint32_t len; /* 1..max */
    char bytes[];
} asx_flow_piece;
#define ASX_FLOW_PIECE_MAX 65536u
/* The bytes that `stream` reads, each once and in order, as items of piece_max + 4 bytes, of the
 * type above; ends with the peer's end of stream.
 * stream     the caller's, and outlives the flow, which is its only reader meanwhile
 * piece_max  1..ASX_FLOW_PIECE_MAX; NULL is returned for another */
asx_flow *asx_flow_of_stream(asx_cx *cx, asx_stream *stream, uint32_t piece_max);

ASX_END_DECLS

#endif
