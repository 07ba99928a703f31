#include <asx/shard/base/assert.h>
#include <asx/shard/buf.h>

#include <string.h>

#define BUF_BYTES_MIN 512u

void asx_buf_init(asx_buf *buf, asx_region *region, size_t len_max)
{
    asx_assert(len_max > 0);
    memset(buf, 0, sizeof(*buf));
    buf->_region = region;
    buf->_len_max = len_max;
}

static asx_err buf_grow(asx_buf *buf, size_t need)
{
    size_t cap = buf->_cap ? buf->_cap : BUF_BYTES_MIN;
    while (cap < need) {
        cap *= 2;
    }
    char *const grown = asx_region_alloc(buf->_region, cap);
    if (!grown) {
        return ASX_E(NO_MEMORY);
    }
    const size_t len = buf->_len;
    if (len > 0) {
        memcpy(grown, buf->_ptr + buf->_at, len);
    }
    asx_buf_release(buf);
    buf->_ptr = grown;
    buf->_cap = cap;
    buf->_len = len;
    return ASX_OK;
}

asx_err asx_buf_append(asx_buf *buf, asx_view bytes)
{
    if (bytes.len > buf->_len_max - buf->_len) {
        return ASX_E(TOO_LONG);
    }
    if (bytes.len == 0) {
        return ASX_OK;
    }
    const size_t need = buf->_len + bytes.len;
    if (need > buf->_cap) {
        const asx_err err = buf_grow(buf, need);
        if (err) {
            return err;
        }
    } else if (buf->_at + need > buf->_cap) {
        memmove(buf->_ptr, buf->_ptr + buf->_at, buf->_len);
        buf->_at = 0;
    }
    memcpy(buf->_ptr + buf->_at + buf->_len, bytes.ptr, bytes.len);
    buf->_len = need;
    return ASX_OK;
}

asx_view asx_buf_view(const asx_buf *buf)
{
    return asx_view_of(buf->_ptr ? buf->_ptr + buf->_at : NULL, buf->_len);
}

void asx_buf_consume(asx_buf *buf, size_t len)
{
    asx_assert(len <= buf->_len);
    buf->_at += len;
    buf->_len -= len;
}

void asx_buf_release(asx_buf *buf)
{
    if (buf->_ptr) {
        asx_region_free(buf->_region, buf->_ptr, buf->_cap);
    }
    buf->_ptr = NULL;
    buf->_cap = buf->_at = buf->_len = 0;
}
