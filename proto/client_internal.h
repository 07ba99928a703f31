/* The records behind a client: its hosts, their connections, and a call. */
#ifndef ASX_PROTO_CLIENT_INTERNAL_H
#define ASX_PROTO_CLIENT_INTERNAL_H

#include <asx/proto/client.h>
#include <asx/proto/url.h>
#include <asx/shard/base/list.h>
#include <asx/shard/buf.h>
#include <asx/shard/event.h>
#include <asx/shard/region.h>

#define ASXI_CLIENT_FIELD_COUNT 100u
#define ASXI_CLIENT_INTERIM_MAX 8u

/* One scheme, host and port. open >= its idle connections; 0 and no waiter: the record goes. */
typedef struct asxi_client_host {
    asx_list link;
    asx_list idle;    /* asxi_client_conn.link, the latest in front */
    asx_list waiters; /* asxi_client_wait.link, the first in front */
    uint32_t open;    /* connections, and places granted to a waiter */
    uint32_t port;
    bool secure;
    size_t name_len;
    char name[];
} asxi_client_host;

typedef struct asxi_client_conn {
    asx_list link; /* in host->idle */
    asxi_client_host *host;
    asx_stream *stream;
    asx_instant idle_since_ns;
    bool reused;
} asxi_client_conn;

/* A call in the queue for a connection. Granted: with conn, or with a place to open one. */
typedef struct asxi_client_wait {
    asx_list link;
    asx_event event;
    asxi_client_conn *conn;
    bool granted;
} asxi_client_wait;

struct asx_http_client {
    asx_http_client_config config;
    asx_http_client_stats stats;
    asx_region *region;
    asx_shard *shard;
    asx_list hosts;
    uint32_t calls; /* live */
};

struct asx_http_call {
    asx_http_client *client;
    asx_region *region;
    asx_region_waiter region_end;
    asx_instant deadline_ns;
    const asx_http_request *request; /* during begin only */
    asx_http1_error *fault;
    asxi_client_host *host; /* while a place in it is held or waited for */
    asxi_client_conn *conn;
    asxi_client_wait wait;
    asx_http1_parser parser;
    asx_http1_body body;
    asx_buf head;  /* the response's head, and what came with it */
    asx_buf carry; /* a trailer line that a read cut */
    asx_view rest; /* received and not decoded: in head, in carry, or lent by the stream */
    char *out;     /* the request's head */
    size_t out_cap, out_len;
    asx_err body_err; /* what ended the body, when it was not its end */
    uint32_t interim;
    bool rest_in_carry, body_done, sent_whole, reusable;
    asx_header_field fields[ASXI_CLIENT_FIELD_COUNT];
};

/* client_pool.c: gives the call a connection, or takes it away. */
asx_outcome asxi_client_acquire(asx_cx *cx, asx_http_call *call, const asx_url *url, bool fresh);
void asxi_client_keep(asx_http_call *call);
void asxi_client_discard(asx_http_call *call);
void asxi_client_pool_clear(asx_http_client *client);

#endif
