#include <asx/shard/base/assert.h>
#include <asx/shard/stream.h>

asx_outcome asx_stream_read(asx_cx *cx, asx_stream *stream, asx_view *data)
{
    return asx_stream_read_until(cx, stream, ASX_TIME_NEVER, data);
}

asx_outcome asx_stream_read_until(asx_cx *cx, asx_stream *stream, asx_instant deadline_ns,
                                  asx_view *data)
{
    *data = asx_view_of(NULL, 0);
    const asx_outcome outcome = stream->ops->read(cx, stream, deadline_ns, data);
    asx_assert(data->len == 0 || asx_is_ok(outcome));
    stream->bytes_in += data->len;
    return outcome;
}

asx_outcome asx_stream_write(asx_cx *cx, asx_stream *stream, asx_view data)
{
    return asx_stream_writev_until(cx, stream, ASX_TIME_NEVER, &data, 1);
}

asx_outcome asx_stream_write_until(asx_cx *cx, asx_stream *stream, asx_instant deadline_ns,
                                   asx_view data)
{
    return asx_stream_writev_until(cx, stream, deadline_ns, &data, 1);
}

asx_outcome asx_stream_writev(asx_cx *cx, asx_stream *stream, const asx_view *pieces,
                              uint32_t count)
{
    return asx_stream_writev_until(cx, stream, ASX_TIME_NEVER, pieces, count);
}

asx_outcome asx_stream_writev_until(asx_cx *cx, asx_stream *stream, asx_instant deadline_ns,
                                    const asx_view *pieces, uint32_t count)
{
    size_t total = 0;
    for (uint32_t i = 0; i < count; i++) {
        total += pieces[i].len;
    }
    if (total == 0) {
        return asx_checkpoint(cx);
    }
    ASX_TRY(stream->ops->writev(cx, stream, deadline_ns, pieces, count));
    return asx_ok(total);
}

asx_outcome asx_stream_shutdown_write(asx_cx *cx, asx_stream *stream)
{
    return stream->ops->shutdown_write(cx, stream, ASX_TIME_NEVER);
}

void asx_stream_close(asx_cx *cx, asx_stream *stream)
{
    stream->ops->close(cx, stream);
}

void asx_stream_drop(asx_stream *stream)
{
    stream->ops->drop(stream);
}
