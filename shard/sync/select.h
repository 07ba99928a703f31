/* Select: the first of several waits, without a task for any of them (CMB-8).
 *
 * Model.  All cases are registered; exactly one is committed; the others are taken back in the same
 *         turn, so that no loser holds anything or has taken an item. Of several that are ready,
 *         the one after the last winner goes first: a case that is ready in every round is chosen
 *         within as many rounds as there are cases. A biased select takes the lowest index.
 * Owner.  Memory of the caller's. The struct asx_select keeps the turn from one call to the next.
 * Cancel. No case was committed. */
#ifndef ASX_SHARD_SYNC_SELECT_H
#define ASX_SHARD_SYNC_SELECT_H

#include <asx/shard/base/decls.h>
#include <asx/shard/sync/broadcast.h>
#include <asx/shard/sync/mpsc.h>
#include <asx/shard/sync/notify.h>
#include <asx/shard/sync/oneshot.h>
#include <asx/shard/sync/semaphore.h>
#include <asx/shard/sync/watch.h>

ASX_BEGIN_DECLS

#define ASX_SELECT_MAX 16u /* cases of one select */

typedef enum asx_select_kind {
    ASX_SELECT_RECV = 1, /* of an mpsc: item */
    ASX_SELECT_SEND,     /* to an mpsc of this shard: item */
    ASX_SELECT_ONESHOT,  /* item */
    ASX_SELECT_BROADCAST,
    ASX_SELECT_WATCH,
    ASX_SELECT_NOTIFY,
    ASX_SELECT_SEMAPHORE,
    ASX_SELECT_TIMER,
    ASX_SELECT_JOIN,
} asx_select_kind;

/* Made by the functions below. After a select that answers its index, `outcome` is what the
 * operation of that case answers alone: DISCONNECTED of a channel, say. */
typedef struct asx_select_case {
    asx_handle _handle;
    asx_select_kind kind;
    union { /* _sent is set for all */
        void *_item;
        const void *_sent;
        asx_semaphore_permit *_permit;
    };
    uint64_t *_lagged;
    uint64_t _n; /* permits, or the instant */
    asx_outcome outcome;
} asx_select_case;

typedef struct asx_select { /* zero-filled to begin with */
    uint32_t _next;
    bool biased;
} asx_select;

/* Waits until one case is ready: Ok(its index).
 * errors  INVALID_ARGUMENT (no case, too many, a sender of another shard) */
ASX_NODISCARD asx_outcome asx_select_wait(asx_cx *cx, asx_select *select, asx_select_case *cases,
                                          uint32_t count);

/* All at once: a case that is cleared and then completed is copied in pieces, which stalls. */
ASX_INLINE asx_select_case asx_case_of(asx_select_kind kind, asx_handle handle, const void *item,
                                       uint64_t *lagged, uint64_t n)
{
    asx_select_case made;
    made._handle = handle;
    made.kind = kind;
    made._sent = item;
    made._lagged = lagged;
    made._n = n;
    made.outcome = asx_ok(0);
    return made;
}

ASX_INLINE asx_select_case asx_case_recv(asx_mpsc_receiver receiver, void *item)
{
    return asx_case_of(ASX_SELECT_RECV, receiver._end, item, NULL, 0);
}

ASX_INLINE asx_select_case asx_case_send(asx_mpsc_sender sender, const void *item)
{
    return asx_case_of(ASX_SELECT_SEND, sender._end, item, NULL, 0);
}

ASX_INLINE asx_select_case asx_case_oneshot(asx_oneshot_receiver receiver, void *item)
{
    return asx_case_of(ASX_SELECT_ONESHOT, receiver._end, item, NULL, 0);
}

/* lagged: NULL allowed */
ASX_INLINE asx_select_case asx_case_broadcast(asx_broadcast_receiver receiver, void *item,
                                              uint64_t *lagged)
{
    return asx_case_of(ASX_SELECT_BROADCAST, receiver._end, item, lagged, 0);
}

ASX_INLINE asx_select_case asx_case_watch(asx_watch_receiver receiver)
{
    return asx_case_of(ASX_SELECT_WATCH, receiver._end, NULL, NULL, 0);
}

ASX_INLINE asx_select_case asx_case_notify(asx_notify notify)
{
    return asx_case_of(ASX_SELECT_NOTIFY, notify._object, NULL, NULL, 0);
}

ASX_INLINE asx_select_case asx_case_acquire(asx_semaphore semaphore, uint64_t n,
                                            asx_semaphore_permit *permit)
{
    return asx_case_of(ASX_SELECT_SEMAPHORE, semaphore._object, permit, NULL, n);
}

ASX_INLINE asx_select_case asx_case_at(asx_instant at_ns)
{
    asx_handle none;
    __builtin_memset(&none, 0, sizeof(none));
    return asx_case_of(ASX_SELECT_TIMER, none, NULL, NULL, at_ns);
}

/* The task's outcome becomes the case's. */
ASX_INLINE asx_select_case asx_case_join(asx_handle task)
{
    return asx_case_of(ASX_SELECT_JOIN, task, NULL, NULL, 0);
}

ASX_END_DECLS

#endif
