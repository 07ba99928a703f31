/* Listeners: a bound socket for each shard, and the poll task that accepts on it.
 *
 * Model.  TCP: one socket a shard with SO_REUSEPORT, the kernel spreads connections. Unix: one
 *         socket, duplicated, and every shard accepts from the same queue. A listener is a poll
 *         task with one multishot ACCEPT in flight; what it accepts becomes a connection of an
 *         HTTP server.
 *           accepting -> resting (no descriptors left; 2 to 64 ms) -> accepting
 *           either -> stopping -> swept (what the kernel had accepted already) -> over
 * Bounds. At most ASX_ACCEPT_QUEUE accepted descriptors wait for their connection task.
 */
#ifndef ASX_ENGINE_LISTENER_H
#define ASX_ENGINE_LISTENER_H

#include <asx/engine/admit.h>
#include <asx/proto/http1.h>
#include <asx/shard/driver.h>

ASX_BEGIN_DECLS

#define ASX_ACCEPT_QUEUE 1024u
#define ASX_ACCEPT_REST_MIN (2 * ASX_NS_PER_MS)
#define ASX_ACCEPT_REST_MAX (64 * ASX_NS_PER_MS)

/* Binds `addr` `count` times, before any shard runs. A port that somebody else listens on is
 * refused also when they would share it.
 *
 * nonblocking  as asx_socket_listen
 * bound        the address with its real port
 * errors       the errno; nothing stays open */
ASX_NODISCARD asx_err asx_listener_open(const asx_addr *addr, uint32_t count, bool nonblocking,
                                        int32_t *fds, asx_addr *bound);

typedef struct asx_listener asx_listener;

typedef struct asx_listener_config {
    int32_t fd; /* owned from here on, also when starting fails */
    asx_http_server *server;
    asx_region *connections; /* stays open until the listener is over */
    asx_admit *admit;        /* NULL: everybody; else the server tells it who is gone */
    uint32_t index;          /* of the listener, as `admit` knows it */
    uint64_t *failures;      /* counts accepts that failed for want of descriptors or memory */
    uint64_t *dropped;       /* counts connections closed for want of anything */
} asx_listener_config;

/* Spawns the accept task into `region`, whose memory *listener is.
 * errors  those of asx_spawn_poll */
ASX_NODISCARD asx_err asx_listener_start(asx_cx *cx, asx_region *region,
                                         const asx_listener_config *config, asx_listener **listener,
                                         asx_handle *task);

/* The task ends by itself soon after, if it has not ended before; join it. Never suspends. */
void asx_listener_stop(asx_listener *listener);

ASX_END_DECLS

#endif
