/* The records behind an exchange: the connection, what it borrows while it works, and the server.
 */
#ifndef ASX_PROTO_HTTP_INTERNAL_H
#define ASX_PROTO_HTTP_INTERNAL_H

#include <asx/proto/http1.h>
#include <asx/proto/http_date.h>
#include <asx/shard/event.h>
#include <asx/shard/op.h>
#include <asx/shard/shard.h>

#include <assert.h>

#define ASXI_HTTP_OUT_BYTES 16384u /* one gathered write; larger bodies go by reference */
#define ASXI_HTTP_IN_BYTES 1024u   /* first size of the input copy; doubles */
#define ASXI_HTTP_IN_KEEP_BYTES \
    4096u /* a copy up to this size stays with its work record: one driver buffer */
#define ASXI_HTTP_IN_PAUSE_BYTES 65536u /* unread input at which receiving stops */
#define ASXI_HTTP_IN_BYTES_MAX \
    (4u << 20) /* a multishot receive may deliver all of a pool in one go */
#define ASXI_HTTP_FIELD_COUNT 100u
#define ASXI_HTTP_EXTRA_BYTES 4096u     /* of header fields that a handler may add */
#define ASXI_HTTP_DRAIN_BYTES 65536u    /* of an unread body before a connection is given up */
#define ASXI_HTTP_FREE_WORK_MAX 4u      /* kept for the next request, with their buffers */
#define ASXI_HTTP_REQUESTS_PER_STEP 32u /* pipelined, before others get their turn */
#define ASXI_HTTP_SEND_NOW_BYTES \
    (256u << 10)                   /* sent in one activation before a write waits for its turn */
#define ASXI_HTTP_COPIED_MAX 8192u /* up to here a kept body is sooner copied than lent */
#define ASXI_HTTP_LINGER_NS (1 * ASX_NS_PER_S)
#define ASXI_HTTP_DRAIN_QUIET_NS (200 * ASX_NS_PER_MS)

typedef struct asxi_http_conn asxi_http_conn;

struct asx_http_exchange {
    asxi_http_conn *conn;
    const asx_http1_head *head; /* the parser's; a copy in the region when a body follows */
    const void *route;
    asx_http_latency *latency; /* of its route, may be NULL */
    asx_instant started_at;
    uint64_t body_sent, body_length;
    char *extra; /* added header fields, serialised */
    uint32_t extra_len;
    uint16_t status; /* 0: not begun */
    bool begun, ended, chunked, head_only, close_after, body_done, continue_due, broken;
    bool lent; /* a body view is with the handler */
};

/* Borrowed from the server while a connection reads, handles or writes. */
typedef struct asxi_http_work {
    asxi_http_conn *conn;
    struct asxi_http_work *next_free;
    asx_turn_end turn_end;

    /* Input: in_ptr[0..in_len) is unread. It lies in `rbuf` (lent by the driver) or in `copy`. */
    const char *in_ptr;
    size_t in_len;
    asx_rbuf *rbuf;
    asx_rbuf *lent_rbuf; /* unread bytes have left it; a body view has not */
    char *copy;
    size_t copy_cap;
    char *retired; /* an older copy that a lent view, or the head, may still point into */
    size_t retired_cap;
    bool head_held; /* the exchange's head stands before in_ptr: those bytes stay where they are */
    bool parsing;   /* the parser holds a head in part */

    /* Output that is being gathered. */
    bool fiber_sends; /* a handler's own write is in flight: nothing else may be */
    char *out;
    size_t out_len;
    size_t sent_now; /* bytes taken at once in this activation */

    /* The request: `exchange` is live while `handling`, its region until told closed. */
    asx_region *request;
    bool handling, request_cancelled;
    uint32_t requests_max; /* count of the connection's requests at which this step ends */
    asx_http_exchange exchange;
    asx_region_waiter request_waiter;
    asx_event sent;     /* a write ended; or the connection died */
    asx_event readable; /* input arrived, ended or died */
    asx_http1_parser parser;

    asx_http1_body body;
    asx_header_field fields[ASXI_HTTP_FIELD_COUNT];
} asxi_http_work;

/* Output that is with the driver. It stands alone, so that the work record need not wait for it. */
typedef struct asxi_http_send {
    asx_op op;
    struct iovec iov;
    asxi_http_conn *conn;
    asx_instant started_ns;
    char *buf; /* the work record's, handed over; NULL: the bytes are here */
    uint32_t len;
    char bytes[];
} asxi_http_send;
#define ASXI_HTTP_SEND_INLINE_MAX 2048u /* more is handed over instead of copied */

typedef enum asxi_http_state {
    ASXI_HTTP_IDLE = 0,  /* no byte of a request is here */
    ASXI_HTTP_READING,   /* a head is incomplete */
    ASXI_HTTP_HANDLING,  /* the exchange is live in its region */
    ASXI_HTTP_DRAINING,  /* the rest of an unread body is discarded */
    ASXI_HTTP_LINGERING, /* the last response is out or going; reads only to be polite */
    ASXI_HTTP_CLOSING,   /* the close operation is in flight */
} asxi_http_state;

/* All that an idle connection keeps beside its task. */
struct asxi_http_conn {
    asx_op recv;  /* multishot; armed in every state but CLOSING and while paused. Its fd and its
                     holder are the connection's, and it keeps the peer's address and
                     the words of ASXI_HTTP_KEEP_* */
    asx_op *shut; /* our side's end, while lingering */
    asx_http_server *server;
    asxi_http_work *work;    /* NULL when nothing is being read, handled or gathered */
    asxi_http_send *sending; /* at most one; what is put meanwhile goes next */
    asx_rbuf *rbuf;          /* arrived while there was no work record: the next step takes it */
    asx_list link;           /* in server->conns */
    asx_instant deadline_ns; /* of the state */
    uint32_t requests;
    uint8_t state; /* asxi_http_state */
    bool started : 1, eof : 1, dead : 1, last : 1, half_closed : 1, paused : 1, cancelled : 1;
    bool end_sent : 1; /* our side's end left with the last response */
    bool closed : 1;   /* the descriptor is given back */
    bool stepping : 1; /* its step is on the stack: what is due happens at the step's end */
    bool refused : 1;  /* says 503 before anything was asked */
    bool lingers : 1;  /* the peer may still be sending: a plain close would reset what we said */
};

static_assert(sizeof(asxi_http_conn) <= 176, "a part of what an idle connection costs");

/* Of the words that recv keeps. */
enum {
    ASXI_HTTP_KEEP_RBUF_LEN, /* of what is in rbuf; before a refused connection starts, its
                                asx_http_full */
    ASXI_HTTP_KEEP_SOURCE,   /* the server's config.gone is told */
};

/* The peer's address, for the access log once a line has asked for it; or NULL. */
ASX_INLINE asx_addr *asxi_http_peer(const asxi_http_conn *conn)
{
    return (asx_addr *)conn->recv.keep;
}

ASX_INLINE asx_task *asxi_http_task(const asxi_http_conn *conn)
{
    return asx_op_holder(&conn->recv);
}

/* A response head up to "Content-Length: ": most responses of a second differ only behind it. */
typedef struct asxi_http_head_cache {
    uint16_t status, len, type_len;
    char type[64];
    char bytes[256];
} asxi_http_head_cache;

/* Requests answered in this turn. One look at the clock at its end, behind their sends, is for all
 * of them: each alone would cost a good part of what a pipelined request does. */
#define ASXI_HTTP_ANSWERS_MAX 16u
typedef struct asxi_http_answers {
    asx_turn_end turn_end;
    bool again; /* the hook waits behind those that were linked before it ran */
    uint32_t count;
    struct {
        asx_http_latency *route; /* may be NULL */
        asx_instant started_ns;
        uint64_t count; /* alike, one after another */
    } rows[ASXI_HTTP_ANSWERS_MAX];
} asxi_http_answers;

struct asx_http_server {
    asx_http_server_config config;
    asx_http_limits limits;
    asx_http_stats stats;
    asxi_http_answers answers;
    asx_region *region; /* buffers */
    asx_shard *shard;
    asx_driver *driver;
    asx_list conns;
    asxi_http_work *free_work;
    uint32_t free_work_count;
    uint32_t refusals; /* among the open connections */
    bool draining;
    asx_instant drain_close_ns;           /* when connections that are idle while draining close */
    asx_instant date_until_ns;            /* `date` and `head` are of the second that ends here */
    char date[6 + ASX_HTTP_DATE_LEN + 2]; /* "Date: ...\r\n" */
    asxi_http_head_cache head;
};

ASX_INLINE bool asxi_http_output_pending(const asxi_http_conn *conn)
{
    return conn->sending || (conn->work && conn->work->out_len > 0);
}

/* A request's region is open. */
ASX_INLINE asx_region *asxi_http_request(const asxi_http_conn *conn)
{
    return conn->work ? conn->work->request : NULL;
}

/* http_out.c */
bool asxi_http_put(asxi_http_conn *conn, const void *bytes, size_t len);
void asxi_http_send_soon(asxi_http_conn *conn);
void asxi_http_send_now(asxi_http_conn *conn);
void asxi_http_turn_end(asx_turn_end *hook);
asx_outcome asxi_http_finish(asx_cx *cx, asx_http_exchange *x, asx_outcome outcome);
/* Waits until nothing is in flight on the connection. */
asx_outcome asxi_http_wait_sent(asx_cx *cx, asxi_http_conn *conn);
/* Sends what is buffered and then `count` more pieces, by reference. */
asx_outcome asxi_http_send_pieces(asx_cx *cx, asx_http_exchange *x, const asx_view *pieces,
                                  unsigned count);

/* http_head.c */
ASX_INLINE size_t asxi_http_out_room(const asxi_http_work *work)
{
    return ASXI_HTTP_OUT_BYTES - work->out_len;
}
bool asxi_http_out_acquire(asxi_http_conn *conn);
/* The most that a head takes beside its type and added fields. */
#define ASXI_HTTP_HEAD_BYTES_MAX 512u
bool asxi_http_put_head(asxi_http_conn *conn, asx_http_exchange *x, unsigned status,
                        const char *content_type, size_t type_len, uint64_t length);
/* why  behind the phrase in the body; NULL: nothing */
bool asxi_http_put_simple(asxi_http_conn *conn, unsigned status, bool close, const char *extra,
                          const char *why);
/* Whether the type is the one of the last head: it need not be checked again. */
bool asxi_http_type_known(const asx_http_server *server, const char *type, size_t type_len);

/* http_in.c */
bool asxi_http_in_append(asxi_http_conn *conn, const char *bytes, size_t len);
void asxi_http_in_consume(asxi_http_conn *conn, size_t len);
bool asxi_http_in_detach(asxi_http_conn *conn);
void asxi_http_in_release(asxi_http_conn *conn);
/* The handler is done with the view it was lent; the exchange is done with its head. */
void asxi_http_in_unlend(asxi_http_conn *conn);
void asxi_http_in_unhold(asxi_http_conn *conn);

/* http_work.c */
bool asxi_http_work_acquire(asxi_http_conn *conn);
void asxi_http_work_release(asxi_http_conn *conn);
void asxi_http_work_destroy(asx_http_server *server, asxi_http_work *work);

/* http_answers.c */
void asxi_http_answers_init(asx_http_server *server);
/* A row for answers of another kind; more than there are in a turn are timed at once. */
void asxi_http_answers_row(asx_http_server *server, asx_http_latency *route,
                           asx_instant started_ns);
/* What has been answered took until now; nothing of the server's is linked any more. */
void asxi_http_answers_end(asx_http_server *server);

/* The request's time is counted once its answer is on its way. */
ASX_INLINE void asxi_http_answered(asx_http_server *server, asx_http_latency *route,
                                   asx_instant started_ns)
{
    asxi_http_answers *const self = &server->answers;
    const uint32_t last = self->count - 1; /* of none: a row that is not there */
    if (asx_unlikely(self->count == 0 || self->rows[last].route != route ||
                     self->rows[last].started_ns != started_ns)) {
        asxi_http_answers_row(server, route, started_ns);
        return;
    }
    self->rows[last].count++;
}

/* http_admit.c */
/* "too many connections" and the like. */
const char *asxi_http_full_text(asx_http_full full);

/* http_request.c */
/* Starts the request whose head the parser holds.
 *
 * full    of an error
 * errors  AT_CAPACITY: there is no room for it */
ASX_NODISCARD asx_err asxi_http_request_start(asx_cx *cx, asxi_http_conn *conn,
                                              asx_http_full *full);

/* http1.c */
/* Spawns the connection's task. errors  those of asx_spawn_poll; the descriptor stays open */
asx_err asxi_http_conn_open(asx_cx *cx, asx_region *region, asx_http_server *server, int32_t fd,
                            asxi_http_conn **conn);
void asxi_http_recv_arm(asxi_http_conn *conn);
void asxi_http_recv_resume(asxi_http_conn *conn);

#endif
