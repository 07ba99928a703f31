/* Sessions: requests, each with a reply that somebody owes.
 *
 * Model.  A request waits for its reply. Whoever handles it holds an ACK obligation, the reply: it
 *         is sent, declined, or handed to another task of the same region. A handler that ends
 *         without doing so is told on: the requester gets PEER_LOST, PEER_CANCELLED or
 *         PEER_PANICKED, and never hangs (CH-50..CH-53).
 * Far.    A client works on every shard, with the REMOTE capability, and is closed on any: home
 *         queues its request, and knows at once when the requester has left. A clone is made at
 *         home.
 * Owner.  The region it was opened in; a waiting request belongs to its requester's region.
 * Cancel. Before the request was queued: no effect. After: the requester leaves, and the reply,
 *         when it comes, is answered with DISCONNECTED. */
#ifndef ASX_SHARD_SYNC_SESSION_H
#define ASX_SHARD_SYNC_SESSION_H

#include <asx/shard/base/decls.h>
#include <asx/shard/sync/mpsc.h>

ASX_BEGIN_DECLS

#define ASX_SESSION_REQUEST_MAX 4000u /* bytes; send a pointer to what is larger */
#define ASX_SESSION_REPLY_MAX 4096u

typedef struct asx_session_client {
    asx_handle _end;
    uint32_t _request_size, _reply_size;
} asx_session_client;

typedef struct asx_session_server {
    asx_handle _end;
    uint32_t _request_size;
} asx_session_server;

/* The reply that a handler owes. */
typedef struct asx_reply {
    asx_permit _obligation;
    asx_handle _call;
    asx_instant deadline_ns; /* the requester's; ASX_TIME_NEVER: none */
} asx_reply;

typedef struct asx_session_options {
    uint32_t capacity; /* requests that wait for a handler */
    uint32_t request_size, reply_size;
    const char *what; /* for people; outlives the session */
} asx_session_options;

/* errors  INVALID_ARGUMENT, REGION_CLOSED, NO_MEMORY, NO_SLOTS */
ASX_NODISCARD asx_err asx_session_open(asx_cx *cx, const asx_session_options *options,
                                       asx_session_client *client, asx_session_server *server);
ASX_NODISCARD asx_err asx_session_client_clone(asx_cx *cx, asx_session_client client,
                                               asx_session_client *clone);

/* Sends `request` and waits for its reply. The requester's own deadline, and `deadline_ns`, go with
 * it: a request that is still queued then is not delivered.
 * refusal  the code of a reply that was declined; NULL allowed
 * errors   REFUSED, PEER_LOST, PEER_CANCELLED, PEER_PANICKED, DISCONNECTED (no server), TIMED_OUT,
 *          STALE */
ASX_NODISCARD asx_outcome asx_session_request_until(asx_cx *cx, asx_session_client client,
                                                    const void *request, void *reply,
                                                    uint64_t *refusal, asx_instant deadline_ns);

/* Waits for the next request; the caller owes `reply`.
 * errors  DISCONNECTED (no client left), TIMED_OUT, STALE, AT_CAPACITY */
ASX_NODISCARD asx_outcome asx_session_next_until(asx_cx *cx, asx_session_server server,
                                                 void *request, asx_reply *reply,
                                                 asx_instant deadline_ns);

/* errors  DISCONNECTED: the requester has left, the value stays the caller's, and the obligation is
 *         settled; STALE, TOKEN_MISMATCH */
ASX_NODISCARD asx_err asx_reply_send(asx_cx *cx, asx_reply reply, const void *value);
/* The requester gets REFUSED and `code`. A settled reply is left alone. */
void asx_reply_decline(asx_cx *cx, asx_reply reply, uint64_t code);
/* Nobody waits for it any more. */
bool asx_reply_is_moot(asx_cx *cx, asx_reply reply);
/* errors  as asx_obligation_transfer */
ASX_NODISCARD asx_err asx_reply_transfer(asx_cx *cx, asx_reply reply, asx_handle task);

ASX_INLINE void asx_session_client_close(asx_cx *cx, asx_session_client client)
{
    asx_end_close(cx, client._end);
}

ASX_INLINE void asx_session_server_close(asx_cx *cx, asx_session_server server)
{
    asx_end_close(cx, server._end);
}

/* Of requests that waited to be queued, and of the server. */
ASX_INLINE asx_waits asx_session_waits(asx_cx *cx, asx_session_server server)
{
    return asx_waits_of(cx, server._end);
}

ASX_END_DECLS

#endif
