/* One direction of a pipe:
 *
 *   OPEN ──writer shuts or closes──> ENDED      the reader drains what is left, then reads 0
 *     └────reader closes───────────> BROKEN     writes fail, at once and for ever
 *
 * The lent view is the part [head, head + lent) of the ring: the writer may not touch it, which is
 * why it counts as used until the next read. */
#include <asx/shard/base/assert.h>
#include <asx/shard/event.h>
#include <asx/shard/pipe.h>
#include <asx/shard/region.h>
#include <asx/shard/shard.h>

#include <string.h>

typedef struct pipe_way {
    asx_event readable; /* bytes came, or the way ended */
    asx_event writable; /* room came, or the way broke */
    size_t head, used, lent;
    bool ended, broken;
    bool reading, writing; /* a call is in progress */
    char *ring;
} pipe_way;

typedef struct pipe_pair pipe_pair;

typedef struct pipe_end {
    asx_stream stream;
    pipe_pair *pair;
    pipe_way *in, *out;
    bool open;
} pipe_end;

struct pipe_pair {
    asx_region *region;
    size_t size; /* of this allocation, rings included */
    size_t cap;
    pipe_end ends[2];
    pipe_way ways[2]; /* ways[i] is written by ends[i] */
};

static pipe_end *end_of(asx_stream *stream)
{
    pipe_end *const end = asx_container_of(stream, pipe_end, stream);
    asx_assert(end->open);
    return end;
}

static bool is_late(const asx_cx *cx, asx_instant deadline_ns)
{
    return asx_shard_now(asx_shard_of(cx)) > deadline_ns;
}

static void lent_release(pipe_way *way, size_t cap)
{
    if (way->lent > 0) {
        way->head = (way->head + way->lent) % cap;
        way->used -= way->lent;
        way->lent = 0;
        asx_event_set(&way->writable);
    }
}

static asx_outcome way_read(asx_cx *cx, pipe_way *way, size_t cap, asx_instant deadline_ns,
                            asx_view *data)
{
    lent_release(way, cap);
    while (way->used == 0) {
        if (way->ended) {
            return asx_ok(0);
        }
        ASX_TRY(asx_event_wait(cx, &way->readable, "pipe read", deadline_ns));
    }
    const size_t straight = cap - way->head;
    way->lent = way->used < straight ? way->used : straight;
    *data = asx_view_of(way->ring + way->head, way->lent);
    return asx_ok(way->lent);
}

static asx_outcome pipe_read(asx_cx *cx, asx_stream *stream, asx_instant deadline_ns,
                             asx_view *data)
{
    pipe_end *const end = end_of(stream);
    pipe_way *const way = end->in;
    ASX_TRY(asx_checkpoint(cx));
    if (is_late(cx, deadline_ns)) {
        return asx_fail(ASX_E(TIMED_OUT));
    }
    way->reading = true;
    const asx_outcome outcome = way_read(cx, way, end->pair->cap, deadline_ns, data);
    way->reading = false;
    return outcome;
}

/* Copies what fits in one piece; returns how much. */
static size_t way_put(pipe_way *way, size_t cap, const char *bytes, size_t len)
{
    const size_t tail = (way->head + way->used) % cap;
    const size_t room = cap - way->used;
    const size_t straight = cap - tail;
    size_t n = len < room ? len : room;
    n = n < straight ? n : straight;
    memcpy(way->ring + tail, bytes, n);
    way->used += n;
    asx_assert(way->used <= cap);
    return n;
}

static asx_outcome way_write(asx_cx *cx, pipe_end *end, asx_view piece, asx_instant deadline_ns)
{
    pipe_way *const way = end->out;
    const size_t cap = end->pair->cap;
    while (piece.len > 0) {
        if (way->broken || way->ended) {
            return asx_fail(ASX_E(DISCONNECTED));
        }
        if (way->used == cap) {
            ASX_TRY(asx_event_wait(cx, &way->writable, "pipe write", deadline_ns));
            continue;
        }
        const size_t n = way_put(way, cap, piece.ptr, piece.len);
        piece = asx_view_of(piece.ptr + n, piece.len - n);
        end->stream.bytes_out += n;
        asx_event_set(&way->readable);
    }
    return asx_ok(0);
}

static asx_outcome pipe_writev(asx_cx *cx, asx_stream *stream, asx_instant deadline_ns,
                               const asx_view *pieces, uint32_t count)
{
    pipe_end *const end = end_of(stream);
    asx_outcome outcome = asx_ok(0);
    ASX_TRY(asx_checkpoint(cx));
    if (is_late(cx, deadline_ns)) {
        return asx_fail(ASX_E(TIMED_OUT));
    }
    end->out->writing = true;
    for (uint32_t i = 0; i < count && asx_is_ok(outcome); i++) {
        outcome = way_write(cx, end, pieces[i], deadline_ns);
    }
    end->out->writing = false;
    return outcome;
}

static void way_end(pipe_way *way)
{
    way->ended = true;
    asx_event_set(&way->readable);
}

static asx_outcome pipe_shutdown_write(asx_cx *cx, asx_stream *stream, asx_instant deadline_ns)
{
    pipe_end *const end = end_of(stream);
    (void)deadline_ns;
    ASX_TRY(asx_checkpoint(cx));
    way_end(end->out);
    return asx_ok(0);
}

static void pipe_drop(asx_stream *stream)
{
    pipe_end *const end = end_of(stream);
    pipe_pair *const pair = end->pair;
    asx_debug_assert(!end->in->reading && !end->out->writing);
    end->open = false;
    way_end(end->out);
    end->in->broken = true;
    asx_event_set(&end->in->writable);
    if (!pair->ends[0].open && !pair->ends[1].open) {
        asx_region_free(pair->region, pair, pair->size);
    }
}

static void pipe_close(asx_cx *cx, asx_stream *stream)
{
    (void)cx;
    pipe_drop(stream);
}

static const asx_stream_ops pipe_ops = {
    .kind = "pipe",
    .read = pipe_read,
    .writev = pipe_writev,
    .shutdown_write = pipe_shutdown_write,
    .close = pipe_close,
    .drop = pipe_drop,
};

asx_err asx_pipe_create(asx_cx *cx, asx_region *region, size_t cap, asx_stream **near,
                        asx_stream **far)
{
    asx_region *const home = region ? region : asxi_cx_region(cx);
    const size_t size = sizeof(pipe_pair) + 2 * cap;
    asx_assert(cap > 0);
    if (!home) {
        return ASX_E(REGION_CLOSED);
    }
    pipe_pair *const pair = asx_region_alloc(home, size);
    if (!pair) {
        return ASX_E(NO_MEMORY);
    }
    memset(pair, 0, sizeof(*pair));
    pair->region = home;
    pair->size = size;
    pair->cap = cap;
    for (unsigned i = 0; i < 2; i++) {
        pair->ways[i].ring = (char *)(pair + 1) + i * cap;
        pair->ends[i].stream.ops = &pipe_ops;
        pair->ends[i].pair = pair;
        pair->ends[i].out = &pair->ways[i];
        pair->ends[i].in = &pair->ways[1 - i];
        pair->ends[i].open = true;
    }
    *near = &pair->ends[0].stream;
    *far = &pair->ends[1].stream;
    return ASX_OK;
}
