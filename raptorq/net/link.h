/* A datagram socket of a task: a few receives always in flight, a bounded number of sends.
 *
 * Model.   Each receive and each send is an operation of its own with a buffer of its own. What
 *          came in waits in its buffer until it is popped, and the socket's queue holds the rest;
 *          when every send is in flight, reserve() has none: those are the pipelines' credits.
 * Owner.   The task that opened it, through its own cx (not a scope's): operations live until that
 *          task ends, and the link's memory as long as its region.
 * Rule.    close() returns when no operation is in flight; a task that ends without it has its
 *          operations cancelled, and the socket is closed with the region.
 */
#ifndef ASX_RAPTORQ_NET_LINK_H
#define ASX_RAPTORQ_NET_LINK_H

#include <asx/shard/base/addr.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_RQ_LINK_SLOTS_MAX 64u
#define ASX_RQ_LINK_ERRORS_MAX 64u /* failures in a row after which the link is broken */

typedef struct asx_rq_link_config {
    asx_addr_family family;
    const asx_addr *local;        /* NULL: any port */
    uint32_t receives, sends;     /* 1..ASX_RQ_LINK_SLOTS_MAX */
    size_t receive_cap, send_cap; /* bytes of a buffer */
    int socket_bytes;             /* wished for the socket's queues; 0: the system's */
} asx_rq_link_config;

typedef struct asx_rq_link asx_rq_link;

/* errors  an errno, NO_CAPABILITY, NO_MEMORY */
ASX_NODISCARD asx_err asx_rq_link_open(asx_cx *cx, const asx_rq_link_config *config,
                                       asx_rq_link **link);
asx_err asx_rq_link_addr(const asx_rq_link *link, asx_addr *addr);

/* The oldest datagram that came; false: none. Lent until it is popped. */
bool asx_rq_link_peek(const asx_rq_link *link, const uint8_t **bytes, size_t *len,
                      const asx_addr **from);
/* Is there one? A wait does not end for those that were there before it. */
bool asx_rq_link_has(const asx_rq_link *link);
/* Gives the oldest one's buffer back to receive again. */
void asx_rq_link_pop(asx_cx *cx, asx_rq_link *link);

/* A buffer of send_cap bytes, or NULL while all are in flight. Twice without commit is the same. */
uint8_t *asx_rq_link_reserve(asx_rq_link *link);
void asx_rq_link_commit(asx_cx *cx, asx_rq_link *link, size_t len, const asx_addr *to);

/* Waits until a datagram came, a send ended, or the link was woken.
 *
 * errors  TIMED_OUT
 */
ASX_NODISCARD asx_outcome asx_rq_link_wait(asx_cx *cx, asx_rq_link *link, asx_instant until_ns);
/* The same, masked and without an end: for an operation whose completion wakes the link. */
void asx_rq_link_wait_masked(asx_cx *cx, asx_rq_link *link);
/* For completion callbacks on the shard. */
void asx_rq_link_wake(asx_rq_link *link);

/* Why nothing can be sent or received any more; OK as long as it can. */
asx_err asx_rq_link_err(const asx_rq_link *link);

/* suspends  until every operation has ended, masked */
void asx_rq_link_close(asx_cx *cx, asx_rq_link *link);

ASX_END_DECLS

#endif
