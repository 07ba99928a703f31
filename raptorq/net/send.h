/* Sends an object from memory over datagrams: the sender (sender.h) with a socket and a clock.
 *
 * Model.   One task sends, hears answers, and has digests and blocks made in the blocking pool, so
 *          that the shard goes on meanwhile.
 * Cancel.  Observed at every datagram. What was sent stays sent: an object may be sent in part.
 */
#ifndef ASX_RAPTORQ_NET_SEND_H
#define ASX_RAPTORQ_NET_SEND_H

#include <asx/raptorq/net/sender.h>
#include <asx/shard/base/addr.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>

ASX_BEGIN_DECLS

#define ASX_RQ_PROGRESS_EVERY_NS (100 * ASX_NS_PER_MS)

typedef struct asx_rq_send_config {
    asx_rq_sender_config sender; /* `session` is drawn from the shard */
    asx_addr to;
    /* Called now and then, and at the end; may be NULL. */
    void (*progress)(void *arg, const asx_rq_sender_stats *stats);
    void *progress_arg;
} asx_rq_send_config;

typedef struct asx_rq_send_report {
    asx_rq_sender_stats stats;
    asx_rq_need_state peer; /* with feedback: what the receiver said last */
} asx_rq_send_report;

/* Ok: with feedback, the receiver has checked and stored the object; without, all was sent.
 *
 * cx      the task's own; needs NET, BLOCKING, TIME and RANDOM
 * report  filled in whatever the outcome
 * errors  those of sender.h; an errno of the socket
 */
ASX_NODISCARD asx_outcome asx_rq_send(asx_cx *cx, const asx_rq_send_config *config,
                                      asx_rq_send_report *report);

ASX_END_DECLS

#endif
