/* Streams: ordered bytes both ways, one interface over sockets, pipes and whatever wraps them.
 *
 * Model.  A table of calls, embedded first in each kind of stream. read lends a view of bytes that
 *         lie where they arrived; write takes all or fails. One reader and one writer at a time,
 *         which may be two tasks.
 * Owner.  The region that the stream was opened in: it closes with that region, whatever path leads
 *         there, or earlier by asx_stream_close.
 * Cancel. A call that was cut short leaves the stream usable; bytes_in and bytes_out tell how far
 * it came. Calls without deadline end by the cx's: its budget and its cancellation. Errors.
 * DISCONNECTED when the peer is gone, TIMED_OUT past the call's deadline, else the errno.
 */
#ifndef ASX_SHARD_STREAM_H
#define ASX_SHARD_STREAM_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/view.h>
#include <asx/shard/cx.h>

#include <stdint.h>

ASX_BEGIN_DECLS

typedef struct asx_stream asx_stream;

/* What a kind of stream fills in. Arguments are as in the functions below; `count` is at least 1
 * and the pieces are not all empty. */
typedef struct asx_stream_ops {
    const char *kind; /* for people: "socket", "pipe" */
    asx_outcome (*read)(asx_cx *cx, asx_stream *stream, asx_instant deadline_ns, asx_view *data);
    asx_outcome (*writev)(asx_cx *cx, asx_stream *stream, asx_instant deadline_ns,
                          const asx_view *pieces, uint32_t count);
    asx_outcome (*shutdown_write)(asx_cx *cx, asx_stream *stream, asx_instant deadline_ns);
    void (*close)(asx_cx *cx, asx_stream *stream);
    void (*drop)(asx_stream *stream);
} asx_stream_ops;

struct asx_stream {
    const asx_stream_ops *ops;
    uint64_t bytes_in;  /* lent by reads so far */
    uint64_t bytes_out; /* taken by writes so far, also by those that failed half-way */
};

/* The next bytes, at least one: Ok(n) with n = data->len; Ok(0) at the peer's end of stream.
 *
 * lends   data, until the next read or the end of the stream
 * cancel  CANCELLED: no byte was taken, a later read goes on where this one stood
 * errors  TIMED_OUT, under the same promise; a deadline of now takes what is already here */
ASX_NODISCARD asx_outcome asx_stream_read(asx_cx *cx, asx_stream *stream, asx_view *data);
ASX_NODISCARD asx_outcome asx_stream_read_until(asx_cx *cx, asx_stream *stream,
                                                asx_instant deadline_ns, asx_view *data);

/* Sends all the bytes, in order: Ok(total).
 *
 * cancel  CANCELLED: bytes_out has grown by what the stream took; the rest was not sent
 * errors  TIMED_OUT, DISCONNECTED: likewise */
ASX_NODISCARD asx_outcome asx_stream_write(asx_cx *cx, asx_stream *stream, asx_view data);
ASX_NODISCARD asx_outcome asx_stream_write_until(asx_cx *cx, asx_stream *stream,
                                                 asx_instant deadline_ns, asx_view data);
ASX_NODISCARD asx_outcome asx_stream_writev(asx_cx *cx, asx_stream *stream, const asx_view *pieces,
                                            uint32_t count);
ASX_NODISCARD asx_outcome asx_stream_writev_until(asx_cx *cx, asx_stream *stream,
                                                  asx_instant deadline_ns, const asx_view *pieces,
                                                  uint32_t count);

/* Ends our half: the peer reads what was written, then its end of stream. Reading goes on.
 *
 * cancel  CANCELLED: the half is still open */
ASX_NODISCARD asx_outcome asx_stream_shutdown_write(asx_cx *cx, asx_stream *stream);

/* Closes both halves and frees the stream. Not a cancel point: it works in a cancelled task.
 *
 * suspends  masked
 * asserts   no other call on this stream is in progress */
void asx_stream_close(asx_cx *cx, asx_stream *stream);

/* The same without suspending, for undo paths and callbacks on the shard. */
void asx_stream_drop(asx_stream *stream);

ASX_END_DECLS

#endif
