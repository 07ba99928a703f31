/* oneshot: one value, once, from one sender to one receiver.
 *
 * Model.  Sending never waits. The receiver gets the value, or CLOSED when the sender or its permit
 *         went without sending (CH-20..CH-22).
 * Owner.  The region it was opened in; the value is copied in and out, `drop` is called for one
 *         that nobody received.
 * Far.    asx_oneshot_export makes a value that another shard turns into the sender. An item under
 *         way when the receiver goes cannot come back: it is dropped there.
 * Cancel. A receive looks for the value first, then for CLOSED, then for cancellation: a reply that
 *         was sent is never lost to a cancel of the same turn. */
#ifndef ASX_SHARD_SYNC_ONESHOT_H
#define ASX_SHARD_SYNC_ONESHOT_H

#include <asx/shard/base/decls.h>
#include <asx/shard/obligation.h>
#include <asx/shard/sync/end.h>
#include <asx/shard/task.h>

ASX_BEGIN_DECLS

#define ASX_ONESHOT_ITEM_MAX 64u /* bytes; send a pointer to what is larger */

typedef struct asx_oneshot_sender {
    asx_handle _end;
} asx_oneshot_sender;

typedef struct asx_oneshot_receiver {
    asx_handle _end;
} asx_oneshot_receiver;

typedef struct asx_oneshot_permit {
    asx_permit _obligation;
    asx_handle _channel;
} asx_oneshot_permit;

typedef struct asx_oneshot_options {
    uint32_t item_size; /* 0..ASX_ONESHOT_ITEM_MAX; 0: a signal */
    asx_drop_fn *drop;  /* called with a pointer to a value nobody received */
    const char *what;   /* for people; outlives the channel */
} asx_oneshot_options;

/* errors  INVALID_ARGUMENT, REGION_CLOSED, NO_MEMORY, NO_SLOTS */
ASX_NODISCARD asx_err asx_oneshot_open(asx_cx *cx, const asx_oneshot_options *options,
                                       asx_oneshot_sender *sender, asx_oneshot_receiver *receiver);

/* Never waits. The sender stays open.
 * cancel  nothing is reserved
 * errors  DISCONNECTED (receiver gone), ALREADY_RESERVED (also after a send), STALE */
ASX_NODISCARD asx_outcome asx_oneshot_reserve(asx_cx *cx, asx_oneshot_sender sender,
                                              asx_oneshot_permit *permit);
/* errors  DISCONNECTED: the value stays the caller's, and the permit is settled as aborted; STALE,
 *         TOKEN_MISMATCH */
ASX_NODISCARD asx_err asx_oneshot_permit_send(asx_cx *cx, asx_oneshot_permit permit,
                                              const void *item);
/* The receiver gets CLOSED. A settled permit is left alone. */
void asx_oneshot_permit_abort(asx_cx *cx, asx_oneshot_permit permit);

/* Sends and closes the sender; cancellation is not looked at.
 * errors  DISCONNECTED, ALREADY_RESERVED, STALE: the value stays the caller's */
ASX_NODISCARD asx_err asx_oneshot_send(asx_cx *cx, asx_oneshot_sender sender, const void *item);

/* Waits until the receiver has gone.
 * errors  TIMED_OUT, STALE */
ASX_NODISCARD asx_outcome asx_oneshot_closed_until(asx_cx *cx, asx_oneshot_sender sender,
                                                   asx_instant deadline_ns);

/* cancel  the value, if it comes, waits for the next receive
 * errors  CLOSED, ALREADY_TAKEN, TIMED_OUT, STALE */
ASX_NODISCARD asx_outcome asx_oneshot_recv_until(asx_cx *cx, asx_oneshot_receiver receiver,
                                                 void *item, asx_instant deadline_ns);
/* errors  EMPTY, CLOSED, ALREADY_TAKEN, STALE */
ASX_NODISCARD asx_err asx_oneshot_try_recv(asx_cx *cx, asx_oneshot_receiver receiver, void *item);

/* The sender for another shard, as a plain value to put into the argument of asx_spawn_on or into a
 * message. */
typedef struct asx_oneshot_far {
    asx_handle _sender;
    asx_drop_fn *_drop;
    const char *_what;
    uint32_t _item_size;
} asx_oneshot_far;

/* The sender moves into the value: `sender` is STALE from now on.
 * errors  STALE, ALREADY_RESERVED; TYPE_MISMATCH for a sender that is far itself */
ASX_NODISCARD asx_err asx_oneshot_export(asx_cx *cx, asx_oneshot_sender sender,
                                         asx_oneshot_far *far);
/* On the shard that shall send, once: the sender, in the cx's region. If it goes, the receiver gets
 * CLOSED.
 * errors  NO_CAPABILITY (REMOTE), REGION_CLOSED, NO_SLOTS, NO_MEMORY; STALE at home */
ASX_NODISCARD asx_err asx_oneshot_import(asx_cx *cx, const asx_oneshot_far *far,
                                         asx_oneshot_sender *sender);
/* For a value that will not be imported: the receiver gets CLOSED. */
ASX_INLINE void asx_oneshot_far_abandon(asx_cx *cx, const asx_oneshot_far *far)
{
    asx_end_close(cx, far->_sender);
}

ASX_NODISCARD ASX_INLINE asx_outcome asx_oneshot_recv(asx_cx *cx, asx_oneshot_receiver receiver,
                                                      void *item)
{
    return asx_oneshot_recv_until(cx, receiver, item, ASX_TIME_NEVER);
}

ASX_INLINE void asx_oneshot_sender_close(asx_cx *cx, asx_oneshot_sender sender)
{
    asx_end_close(cx, sender._end);
}

ASX_INLINE void asx_oneshot_receiver_close(asx_cx *cx, asx_oneshot_receiver receiver)
{
    asx_end_close(cx, receiver._end);
}

ASX_END_DECLS

#endif
