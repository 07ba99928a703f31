/* The records behind an exchange: the connection, what it borrows while it works, and the server.
 */
#ifndef ASX_PROTO_HTTP_INTERNAL_H
#define ASX_PROTO_HTTP_INTERNAL_H

#include <asx/proto/http1.h>
#include <asx/shard/event.h>
#include <asx/shard/op.h>
#include <asx/shard/shard.h>

#define ASXI_HTTP_OUT_BYTES 16384u      /* one gathered write; larger bodies go by reference */
#define ASXI_HTTP_IN_BYTES 16384u       /* first size of the input copy; doubles */
#define ASXI_HTTP_IN_PAUSE_BYTES 65536u /* unread input at which receiving stops */
#define ASXI_HTTP_IN_BYTES_MAX \
    (4u << 20) /* a multishot receive may deliver all of a pool in one go */
#define ASXI_HTTP_FIELD_COUNT 100u
#define ASXI_HTTP_EXTRA_BYTES 4096u  /* of header fields that a handler may add */
#define ASXI_HTTP_DRAIN_BYTES 65536u /* of an unread body before a connection is given up */
#define ASXI_HTTP_FREE_WORK_MAX 256u /* kept for the next request, 6 KiB each */
#define ASXI_HTTP_LINGER_NS (1 * ASX_NS_PER_S)

typedef struct asxi_http_conn asxi_http_conn;

/* Borrowed from the server while a connection reads, handles or writes. */
typedef struct asxi_http_work {
    asxi_http_conn *conn;
    struct asxi_http_work *next_free;
    asx_http1_parser parser;
    asx_http1_body body;

    /* Input: in_ptr[0..in_len) is unread. It lies in `rbuf` (lent by the driver) or in `copy`. */
    const char *in_ptr;
    size_t in_len;
    asx_rbuf *rbuf;
    asx_rbuf *lent_rbuf; /* unread bytes have left it; a body view has not */
    char *copy;
    size_t copy_cap;
    char *retired; /* an older copy that a lent body view may still point into */
    size_t retired_cap;

    /* Output: out is being filled; sending is with the driver. */
    char *out;
    size_t out_len;
    char *sending;
    asx_op send;
    struct iovec send_iov;
    asx_event sent;     /* a write ended; or the connection died */
    asx_event readable; /* input arrived, ended or died */
    asx_header_field fields[ASXI_HTTP_FIELD_COUNT];
} asxi_http_work;

typedef enum asxi_http_state {
    ASXI_HTTP_IDLE = 0,  /* no byte of a request is here */
    ASXI_HTTP_READING,   /* a head is incomplete */
    ASXI_HTTP_HANDLING,  /* `exchange` is live in its region */
    ASXI_HTTP_DRAINING,  /* the rest of an unread body is discarded */
    ASXI_HTTP_LINGERING, /* the last response is out or going; reads only to be polite */
    ASXI_HTTP_CLOSING,   /* the close operation is in flight */
} asxi_http_state;

struct asxi_http_conn {
    asx_op recv;  /* multishot; armed in every state but CLOSING and while paused */
    asx_op *shut; /* our side's end, while lingering */
    asx_http_server *server;
    asx_task *task;
    asx_region *region;   /* of the connections: requests are its children */
    asxi_http_work *work; /* NULL when nothing is being read, handled or written */
    asx_http_exchange *exchange;
    asx_region *request;
    asx_region_waiter request_waiter;
    asx_turn_end turn_end;
    asx_list link;           /* in server->conns */
    asx_instant deadline_ns; /* of the state */
    asx_instant send_started_ns;
    uint32_t requests;
    int32_t fd;
    uint8_t state; /* asxi_http_state */
    bool started, eof, dead, last, half_closed, paused, cancelled, counted_idle;
    bool request_cancelled;
    bool lingers;     /* the peer may still be sending: a plain close would reset what we said */
    bool fiber_sends; /* a handler's own write is in flight: nothing else may be */
};

struct asx_http_exchange {
    asxi_http_conn *conn;
    asx_http1_head head;
    const void *route;
    asx_instant started_at;
    uint64_t body_sent, body_length;
    char *extra; /* added header fields, serialised */
    uint32_t extra_len;
    uint16_t status; /* 0: not begun */
    bool begun, ended, chunked, head_only, close_after, body_done, continue_due, broken;
    bool lent; /* a body view is with the handler */
};

#define ASXI_HTTP_DRAIN_QUIET_NS (200 * ASX_NS_PER_MS)

struct asx_http_server {
    asx_http_server_config config;
    asx_http_limits limits;
    asx_http_stats stats;
    asx_region *region; /* buffers */
    asx_shard *shard;
    asx_list conns;
    asxi_http_work *free_work;
    uint32_t free_work_count;
    bool draining;
    asx_instant drain_close_ns; /* when connections that are idle while draining close */
    uint64_t date_s;
    uint32_t date_len;
    char date[64]; /* "Date: ...\r\n" */
};

/* http_out.c */
bool asxi_http_put(asxi_http_conn *conn, const void *bytes, size_t len);
size_t asxi_http_out_room(const asxi_http_conn *conn);
void asxi_http_send_soon(asxi_http_conn *conn);
void asxi_http_send_now(asxi_http_conn *conn);
void asxi_http_turn_end(asx_turn_end *hook);
bool asxi_http_put_head(asxi_http_conn *conn, asx_http_exchange *x, unsigned status,
                        const char *content_type, uint64_t length);
bool asxi_http_put_simple(asxi_http_conn *conn, unsigned status, bool close, const char *extra);
asx_outcome asxi_http_finish(asx_cx *cx, asx_http_exchange *x, asx_outcome outcome);

/* http_in.c */
bool asxi_http_in_append(asxi_http_conn *conn, const char *bytes, size_t len);
void asxi_http_in_consume(asxi_http_conn *conn, size_t len);
bool asxi_http_in_detach(asxi_http_conn *conn);
void asxi_http_in_release(asxi_http_conn *conn);
void asxi_http_in_unlend(asxi_http_conn *conn);

/* http1.c */
void asxi_http_recv_arm(asxi_http_conn *conn);
void asxi_http_recv_resume(asxi_http_conn *conn);
bool asxi_http_work_acquire(asxi_http_conn *conn);
void asxi_http_work_release(asxi_http_conn *conn);

#endif
