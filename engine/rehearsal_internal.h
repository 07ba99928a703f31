/* A rehearsal: the program's own service, served on some shards and called from another, by clients
 * of every manner and in any weather. Every answer that comes whole is checked byte by byte.
 *
 * Model.  Shards 0..n-2 run the app of `asx serve`, each over a listener of one shared address;
 *         shard n-1 holds the clients. When they have ended, or at an instant of the plan, the
 *         service drains; when that takes too long for the plan, it is cancelled. In the lab the
 *         plan also says what the network does to them.
 * Judge.  It ends with a panic that says what was wrong: an answer that nobody asked for, or a
 *         socket that stayed. Broken connections are counted: weather, not faults of the server.
 * Owner.  The fiber that runs it; nothing of it is left when asxi_rehearsal_run returns. */
#ifndef ASX_ENGINE_REHEARSAL_INTERNAL_H
#define ASX_ENGINE_REHEARSAL_INTERNAL_H

#include <asx/lab/scenario.h>
#include <asx/lab/vnet.h>
#include <asx/reactor/driver_config.h>
#include <asx/reactor/probe.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/prng.h>
#include <asx/shard/base/view.h>
#include <asx/shard/event.h>
#include <asx/shard/task.h>

#include <stdbool.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASXI_REHEARSAL_REQUESTS_MAX 32u /* of a client */

typedef struct asxi_rehearsal_plan {
    uint64_t seed;
    uint32_t clients;       /* poll tasks that write their requests themselves */
    uint32_t callers;       /* fibers that call through the project's client */
    uint32_t requests;      /* of each, at most ASXI_REHEARSAL_REQUESTS_MAX */
    uint32_t halt_at;       /* clients send one request of 64 bytes, cut here; 0: as they like */
    uint32_t kept_max;      /* connections that the callers share */
    uint32_t per_ip_max;    /* of the service's limits, as in config.h; all come from one address */
    uint32_t accept_rate;   /* the same */
    bool exact;             /* `requests` each, instead of up to so many */
    bool rude;              /* clients that stall, leave, and talk nonsense are among them */
    bool calm;              /* nobody pauses, and nothing that is asked for takes time by itself */
    bool panics;            /* handlers that panic are among what is asked for */
    bool cuts;              /* partitions come and go */
    asx_duration arrive_ns; /* everybody connects within this time */
    asx_duration drain_after_ns; /* 0: when the clients have ended */
    asx_duration force_after_ns; /* of the drain; 0: it may take its time */
    asx_vlink_conditions link;
    asx_vstream_faults faults;
} asxi_rehearsal_plan;

typedef struct asxi_rehearsal_tally {
    uint64_t requests;  /* begun */
    uint64_t right;     /* answered, with what was asked for */
    uint64_t other;     /* answered, with another status */
    uint64_t wrong;     /* answers that are none, or not to what was asked */
    uint64_t cut_short; /* connections that ended before their answers */
    uint64_t gave_up;   /* clients that lost their patience, or were cancelled */
    uint64_t connects_failed, calls_failed, calls_left;
    char first_wrong[64]; /* for people: what was asked for, and what came; "": bytes of a body */
} asxi_rehearsal_tally;

typedef struct asxi_rehearsal {
    asxi_rehearsal_plan plan;
    asxi_rehearsal_tally tally;
    asx_addr addr; /* of the service; none: one of the lab's network. Port 0: the system's choice */
    uint64_t sockets_left; /* of the lab's network, when everybody had ended */
    struct asx_engine *engine;
    asx_event over; /* the clients have ended */
} asxi_rehearsal;

/* What the seed has in store: weather of every kind. */
asxi_rehearsal_plan asxi_rehearsal_plan_of(uint64_t seed);

/* Runs the plan on the shards of this mesh, two at least. The cx is one of shard 0. */
asx_outcome asxi_rehearsal_run(asx_cx *cx, asxi_rehearsal *self);

typedef struct asxi_rehearsal_cost {
    bool passed;
    asx_duration real_ns;                       /* from the first listener to the last byte */
    asx_duration service_cpu_ns, public_cpu_ns; /* of the serving threads · of the clients' */
} asxi_rehearsal_cost;

/* The same over a real driver and loopback, each shard on a thread of its own: what the lab says
 * must hold here too. The plan's weather is the machine's.
 * errors  those of making a driver or a shard */
ASX_NODISCARD asx_err asxi_rehearsal_live(asxi_rehearsal *self, asx_driver_choice choice,
                                          uint32_t shards, asxi_rehearsal_cost *cost);

/* For the lab's command: http-server, whose plans are drawn from the run's entropy. */
extern const asx_lab_scenario asxi_rehearsal_scenarios[];

/* The public's shard: every client of the plan, to the end. arg: asxi_rehearsal ** */
asx_outcome asxi_rehearsal_public(asx_cx *cx, void *self);

/* One request, and what the program's routes answer to it. */
typedef struct asxi_ask {
    uint8_t kind;    /* of rehearsal_ask.c */
    uint16_t status; /* of the answer */
    uint32_t len;    /* of its body; ASXI_ASK_LEN_ANY */
    uint32_t number, salt;
} asxi_ask;
#define ASXI_ASK_LEN_ANY UINT32_MAX
#define ASXI_ASK_TARGET_MAX 32u
#define ASXI_ASK_BODY_MAX 300u
#define ASXI_ASK_TEXT_MAX 480u /* of a whole request: head, body and its framing */

/* with_body  requests that carry one may be among them */
asxi_ask asxi_ask_draw(asx_prng *prng, const asxi_rehearsal_plan *plan, bool with_body);
asx_view asxi_ask_method(const asxi_ask *ask);
asx_view asxi_ask_target(const asxi_ask *ask, char buf[ASXI_ASK_TARGET_MAX]);
/* Whether its body goes in chunks. */
bool asxi_ask_is_chunked(const asxi_ask *ask);
/* Its body into `buf`; returns how long it is. */
uint32_t asxi_ask_body(const asxi_ask *ask, char buf[ASXI_ASK_BODY_MAX]);
/* The whole request as text of at most ASXI_ASK_TEXT_MAX bytes; returns how long it is. */
uint32_t asxi_ask_write(const asxi_ask *ask, char *out, bool close);
/* Whether `data` is what stands at `at` in the body of the right answer. */
bool asxi_ask_matches(const asxi_ask *ask, uint64_t at, asx_view data);
/* Counts an answer that came whole, `len` bytes of body. */
void asxi_ask_answered(const asxi_ask *ask, unsigned status, uint64_t len,
                       asxi_rehearsal_tally *tally);

/* The clients of either kind. Those that cannot be spawned, as under chaos, are left out. */
void asxi_rehearsal_clients_start(asx_cx *cx, asx_region *region, asxi_rehearsal *self);
asx_outcome asxi_rehearsal_callers_run(asx_cx *cx, asxi_rehearsal *self);

ASX_END_DECLS

#endif
