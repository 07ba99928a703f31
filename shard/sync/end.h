/* Ends: the senders and receivers through which tasks use a channel.
 *
 * Model.  A plain value: copy it, pass it to the task that shall use it. The end is closed once, by
 *         its close function, by ASX_HOLD when the block or the task that holds it ends, or with
 *         the region of its object. From then on every use of the value is STALE.
 * Owner.  The object, which belongs to a region; ASX_HOLD makes a block the one that lets go. */
#ifndef ASX_SHARD_SYNC_END_H
#define ASX_SHARD_SYNC_END_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>

ASX_BEGIN_DECLS

/* Closes the end named by `end`; a stale one is left alone. */
void asx_end_close(asx_cx *cx, asx_handle end);

typedef struct asx_hold {
    asx_defer _defer;
    asx_cx *_cx;
    asx_handle _end;
} asx_hold;

void asx_hold_open(asx_hold *hold, asx_cx *cx, asx_handle end);
void asx_hold_close(asx_hold *hold);

/* The rest of the block holds `end`, a sender or receiver: it is closed on every path out of it,
 * panic and cancellation included.
 *     ASX_HOLD(cx, args->sender); */
#define ASX_HOLD(cx, end) ASX_HOLD_(cx, end, __COUNTER__)
#define ASX_HOLD_(cx, end, n) ASX_HOLD__(cx, end, n)
#define ASX_HOLD__(cx, end, n)                                      \
    asx_hold asx_hold_##n __attribute__((cleanup(asx_hold_close))); \
    asx_hold_open(&asx_hold_##n, (cx), (end)._end)

ASX_END_DECLS

#endif
