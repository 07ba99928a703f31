/* Receives one object over datagrams into memory of the caller's: the receiver (receiver.h) with a
 * socket and a clock.
 *
 * Model.   One task hears and answers; room, decoding, the final check and the store run in the
 *          blocking pool, as do the journal's reads and writes, one a second or a buffer. After
 *          the store it lingers, so that the sender learns of it.
 * Keys.    A ring may change between any two calls of its owner's, from bound() on: before that the
 *          pool reads it.
 * Commit.  The store: what was stored is reported as stored, also when a cancel came meanwhile.
 * Cancel.  Observed at every datagram; never while the pool works on the object.
 */
#ifndef ASX_RAPTORQ_NET_RECV_H
#define ASX_RAPTORQ_NET_RECV_H

#include <asx/raptorq/net/journal.h>
#include <asx/raptorq/net/receiver.h>
#include <asx/shard/base/addr.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/time.h>
#include <asx/shard/cx.h>

ASX_BEGIN_DECLS

#define ASX_RQ_RECV_IDLE_NS (30 * ASX_NS_PER_S)
#define ASX_RQ_RECV_LINGER_NS (2 * ASX_NS_PER_S)

typedef struct asx_rq_recv_config {
    asx_rq_receiver_config receiver; /* its functions run in the pool */
    asx_addr local;
    asx_duration wait_ns;   /* for the first OFFER; 0: without end */
    asx_duration idle_ns;   /* without a datagram of the object; 0: ASX_RQ_RECV_IDLE_NS */
    asx_duration linger_ns; /* after the store; 0: ASX_RQ_RECV_LINGER_NS */
    /* Where to keep what came, for a run after one that did not end well; it is gone once the
     * object is stored or found to be another one. NULL: nowhere. */
    const char *journal;
    /* All may be NULL. */
    void (*bound)(void *arg, const asx_addr *local);
    void (*progress)(void *arg, const asx_rq_receiver_stats *stats);
    void *arg;
} asx_rq_recv_config;

typedef struct asx_rq_recv_report {
    asx_rq_receiver_stats stats;
    asx_rq_receiver_state state;
    asx_rq_receiver_gap gap; /* when blocks are missing */
    uint64_t resumed;        /* symbols that were in the journal */
    bool is_kept;            /* the journal has what came */
    bool is_stored;
} asx_rq_recv_report;

/* Ok: checked and stored.
 *
 * cx      the task's own; needs NET, BLOCKING and TIME
 * report  filled in whatever the outcome
 * errors  those of receiver.h; SILENCE; an errno of the socket; of the journal BAD_JOURNAL or an
 *         errno, at the beginning: one that can no longer be written to ends nothing
 */
ASX_NODISCARD asx_outcome asx_rq_recv(asx_cx *cx, const asx_rq_recv_config *config,
                                      asx_rq_recv_report *report);

ASX_END_DECLS

#endif
