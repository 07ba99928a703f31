/* An HTTP/1.1 server on one shard and its clients on another, over the virtual network: the real
 * kernel, acceptor, parser and connection, a few handlers, and clients that behave as clients do.
 *
 * Handlers answer with bytes that follow from the request, so that every response can be checked.
 * Everybody connects, the faults make of it what they can, and a drain ends it. */
#ifndef ASX_TESTS_LAB_HTTP_WORLD_H
#define ASX_TESTS_LAB_HTTP_WORLD_H

#include <asx/lab/lab.h>
#include <asx/lab/vnet.h>
#include <asx/shard/event.h>

#include <cstdint>
#include <string>

struct http_plan {
    uint64_t seed = 1;
    uint32_t clients = 1000;
    uint32_t requests = 3;      /* of a client, at most */
    uint32_t halt_at = 0;       /* everybody sends one request of 64 bytes, cut here */
    bool rude = true;           /* clients that stall, leave, and talk nonsense are among them */
    bool cuts = false;          /* partitions come and go */
    bool drain_early = false;   /* while they talk */
    asx_duration arrive_ns = 0; /* within this time */
    asx_vnet_config net{};
    asx_lab_mode mode = ASX_LAB_RANDOM;
    const asx_lab_choice *choices = nullptr;
    size_t choice_count = 0;
    bool keep_choices = false;

    /* Faults of every kind, as the seed has it. */
    static http_plan chaos(uint64_t seed);
};

struct http_result {
    bool passed = false; /* the lab's verdict */
    std::string why;     /* what was wrong, for people */
    uint64_t requests = 0, right = 0, wrong = 0, cut_short = 0, gave_up = 0;
    uint64_t statuses[6] = {};
    uint64_t connects_failed = 0, connections_left = 0, in_flight_left = 0, sockets_left = 0;
    asx_vnet_stats net{};
    uint64_t steps = 0, trace_hash = 0, schedule_hash = 0, choice_count = 0, now_ns = 0;
    std::string choices; /* the rows, under keep_choices */
    bool good() const
    {
        return passed && why.empty() && wrong == 0 && connections_left == 0 &&
               in_flight_left == 0 && sockets_left == 0;
    }
};

http_result run_http(const http_plan &plan);

/* The rest is for the two halves of it. */
struct http_run {
    http_plan plan;
    http_result result;
    asx_addr addr{};
    struct asx_http_server *server = nullptr;
    asx_event open{}, over{}; /* the listener is there · the clients are gone */
};

/* Byte `at` of the body that `salt` names. */
static inline char http_pattern(uint64_t salt, uint64_t at)
{
    return (char)('a' + (salt * 7 + at * 3 + (at >> 8)) % 26);
}

/* The clients' shard: every client of the plan, to their end. arg: http_run ** */
asx_outcome http_clients_main(asx_cx *cx, void *arg);

#endif
