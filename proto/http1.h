/* The HTTP/1.1 server's connection: a poll task that owns the socket, and a fiber in a region per
 * request.
 *
 * Model.  idle -> reading -> handling -> (idle | lingering -> closed). An idle connection holds one
 *         armed receive and nothing else: buffers, parser and fiber are borrowed while a request is
 *         read or handled. Responses to pipelined requests are gathered into one write per turn.
 * Owner.  The region it was spawned into. Closing that region with a reason cancels the request and
 *         ends the connection; asx_http_server_drain lets what is in flight finish first.
 * Source. RFC 9112. */
#ifndef ASX_PROTO_HTTP1_H
#define ASX_PROTO_HTTP1_H

#include <asx/proto/http.h>
#include <asx/shard/region.h>

ASX_BEGIN_DECLS

typedef struct asx_http_limits {      /* zero-filled fields are the defaults */
    asx_http1_limits head;            /* all zero: asx_http1_limits_default */
    uint64_t requests_per_connection; /* 10,000 */
    asx_duration head_timeout_ns;     /* 10 s from the first byte of a head to its last */
    asx_duration idle_timeout_ns;     /* 60 s between requests */
    asx_duration write_timeout_ns;    /* 30 s without progress of a write */
    asx_duration body_grace_ns;       /* 5 s before body_rate_min counts */
    uint32_t body_rate_min;           /* 240 bytes/s over the whole body, after the grace */
    asx_duration request_timeout_ns;  /* of the handler; 0: none */
    uint32_t in_flight_max;           /* requests per server and shard; more: 503; 0: 65,536 */
    uint32_t connections_max;         /* per server and shard; more: 503 and close; 0: 1,048,576 */
    size_t request_heap_max;          /* bytes of a request's region; 0: none */
    size_t stack_bytes;               /* of a handler's fiber; 0: 64 KiB */
} asx_http_limits;

/* What there is too much of, when it is answered with 503. */
typedef enum asx_http_full {
    ASX_HTTP_FULL_CONNECTIONS = 0,
    ASX_HTTP_FULL_SOURCE, /* connections of one address */
    ASX_HTTP_FULL_RATE,   /* connections in a short time */
    ASX_HTTP_FULL_SOURCES,
    ASX_HTTP_FULL_REQUESTS, /* in flight */
    ASX_HTTP_FULL_REGIONS,  /* whatever a request's region is refused for */
} asx_http_full;

/* Connections of a server that were refused and may still read why; more are closed at once. */
#define ASX_HTTP_REFUSALS_MAX 64u

#define ASX_HTTP_LATENCY_BUCKETS 16u /* upper bounds 2^k * 16 us, the last one is +Inf */
#define ASX_HTTP_LATENCY_FIRST_NS (16 * ASX_NS_PER_US)

struct asx_http_latency {
    uint64_t ns_sum, buckets[ASX_HTTP_LATENCY_BUCKETS];
};
/* `count` requests that took as long. */
ASX_INLINE void asx_http_latency_count(asx_http_latency *latency, asx_duration took_ns,
                                       uint64_t count)
{
    const uint64_t firsts = took_ns / ASX_HTTP_LATENCY_FIRST_NS +
                            (took_ns % ASX_HTTP_LATENCY_FIRST_NS > 0); /* rounded up */
    const unsigned last = ASX_HTTP_LATENCY_BUCKETS - 1;
    const unsigned bucket = firsts <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(firsts - 1);
    latency->buckets[bucket < last ? bucket : last] += count;
    latency->ns_sum += took_ns * count;
}

typedef struct asx_http_stats {
    uint64_t connections_accepted, connections_refused, connections_open, connections_idle;
    uint64_t requests, requests_in_flight, responses[6]; /* by first digit; [0]: none was sent */
    uint64_t bytes_in, bytes_out, parse_errors, timeouts, disconnects, panics, shed;
    asx_http_latency latency;
} asx_http_stats;

/* What an access log line is made of; views valid during the call. */
typedef struct asx_http_log_record {
    asx_view method, target, user_agent;
    unsigned status;
    uint64_t bytes_out;
    asx_instant started_at;
    asx_duration took_ns;
    asx_severity severity; /* of the handler's outcome */
    const asx_addr *peer;
} asx_http_log_record;
typedef void asx_http_log_fn(void *arg, const asx_http_log_record *record);

typedef struct asx_http_server asx_http_server;

/* A connection that was served is over. On the shard, must not suspend. */
typedef void asx_http_gone_fn(void *arg, uint32_t source);

typedef struct asx_http_server_config {
    asx_http_handler *handler;
    void *arg; /* asx_http_service_arg */
    asx_http_limits limits;
    asx_http_log_fn *log; /* may be NULL; on the shard, must not suspend */
    void *log_arg;
    asx_http_gone_fn *gone; /* may be NULL */
    void *gone_arg;
    const char *server_name; /* Server header; NULL: none */
    uint64_t epoch_unix_ns;  /* Unix time at instant 0 of the shard clock, for Date */
} asx_http_server_config;

/* One a shard and service: buffer pools, limits, figures. Memory from `region`, which must outlive
 * its connections. errors  NO_MEMORY */
ASX_NODISCARD asx_err asx_http_server_create(asx_cx *cx, asx_region *region,
                                             const asx_http_server_config *config,
                                             asx_http_server **server);

/* Serves an accepted descriptor, which it owns from here on, also when it fails. Above
 * connections_max, and while the server drains, it is refused.
 *
 * source  what config.gone is told, once, when the descriptor is given back, also when this fails;
 *         0: nothing
 * errors  those of asx_spawn_poll; then the descriptor is closed */
ASX_NODISCARD asx_err asx_http1_serve(asx_cx *cx, asx_region *region, asx_http_server *server,
                                      int32_t fd, uint32_t source);

/* Answers an accepted descriptor with 503, what is full and Retry-After, whatever it would have
 * asked, and closes it, once the peer has read that or a second is over. Not counted as refused:
 * the caller knows why. */
void asx_http1_refuse(asx_cx *cx, asx_region *region, asx_http_server *server, int32_t fd,
                      asx_http_full full);

/* From now on: idle connections close, busy ones answer with Connection: close. Never suspends. */
void asx_http_server_drain(asx_http_server *server);

/* From now on, also for the connections that are there. */
void asx_http_server_limits_set(asx_http_server *server, const asx_http_limits *limits);

const asx_http_stats *asx_http_server_stats(const asx_http_server *server);

/* No connection is left; gives the pools back. */
void asx_http_server_destroy(asx_http_server *server);

ASX_END_DECLS

#endif
