/* A toy key-value server with a lost update, found, shrunk, told and repeated in the lab.
 *
 * The store is shard 0's: other shards ask it with a limb, which runs there and brings the answer
 * home. INCR is written as GET, then PUT. Between the two the handler waits, and whoever
 * increments the same key meanwhile is forgotten.
 *
 *     lab_kv            searches for a run in which an update is lost
 *     lab_kv --fixed    the same with INCR as one operation of the store: none is found */
#include <asx/lab/kit.h>
#include <asx/shard/limb.h>

#include <stdio.h>
#include <string.h>

enum { KEYS = 4, CLIENTS = 2 };

typedef enum verb { GET, PUT, INCR } verb;

typedef struct store {
    uint64_t values[KEYS]; /* touched on shard 0 only */
    bool fixed;
} store;

typedef struct request {
    store *store;
    verb verb;
    uint32_t key;
    uint64_t value;
} request;

/* On shard 0. */
static asx_outcome store_serve(asx_cx *cx, void *arg)
{
    const request *const r = arg;
    uint64_t *const value = &r->store->values[r->key];
    (void)cx;
    switch (r->verb) {
    case GET:
        break;
    case PUT:
        *value = r->value;
        break;
    case INCR:
        ++*value;
        break;
    }
    return asx_ok(*value);
}

/* From any shard; suspends until the store has answered. */
static asx_outcome ask(asx_cx *cx, request r)
{
    asx_handle limb;
    const asx_err err = asx_spawn_on(cx, 0, store_serve, &r, sizeof(r), NULL, &limb);
    return err ? asx_fail(err) : asx_join_limb(cx, limb);
}

static asx_outcome increment(asx_cx *cx, store *s, uint32_t key)
{
    if (s->fixed) {
        return ask(cx, (request){ .store = s, .verb = INCR, .key = key });
    }
    const asx_outcome read = ask(cx, (request){ .store = s, .verb = GET, .key = key });
    ASX_TRY(read);
    return ask(cx, (request){ .store = s, .verb = PUT, .key = key, .value = read.value + 1 });
}

typedef struct client {
    store *store;
    uint32_t number;
} client;

/* The second client first has something else to do: a run as in production shows nothing. */
static asx_outcome client_run(asx_cx *cx, void *arg)
{
    const client *const self = arg;
    for (uint32_t i = 0; i < 2 * self->number; i++) {
        ASX_TRY(increment(cx, self->store, 1 + i % (KEYS - 1)));
    }
    return increment(cx, self->store, 0);
}

static asx_outcome server(asx_cx *cx, void *arg)
{
    store *const s = arg;
    asx_handle clients[CLIENTS];
    for (uint32_t i = 0; i < CLIENTS; i++) {
        const client self = { .store = s, .number = i };
        const asx_err err =
            asx_spawn_on(cx, 1 + i, client_run, &self, sizeof(self), NULL, &clients[i]);
        ASX_LAB_CHECK(err == ASX_OK);
    }
    for (uint32_t i = 0; i < CLIENTS; i++) {
        ASX_TRY(asx_join_limb(cx, clients[i]));
    }
    ASX_LAB_CHECK_EQ(s->values[0], CLIENTS);
    return asx_ok(0);
}

static void store_reset(void *arg)
{
    memset(((store *)arg)->values, 0, sizeof(((store *)arg)->values));
}

int main(int argc, char **argv)
{
    store s = { .fixed = argc > 1 && strcmp(argv[1], "--fixed") == 0 };
    asx_lab_test test = { .name = "lab-kv",
                          .config = { .shards = 1 + CLIENTS, .mode = ASX_LAB_DEFAULT },
                          .app = server,
                          .arg = &s,
                          .reset = store_reset,
                          .command = argv[0],
                          .out = stdout };
    printf("as in production: %s\n", asx_lab_test_run(&test) ? "passes" : "fails");
    test.config.mode = ASX_LAB_RANDOM;
    const bool passed = asx_lab_explore(&test);
    printf("explored: %s\n", passed ? "no run fails" : "a run fails");
    return passed ? 0 : 1;
}
