/* Buffers: unread bytes in one piece, for whoever must see a whole line or head at once.
 *
 * Model.  Appended behind, consumed in front; the unread part is one view. It grows by doubling up
 *         to a limit that its owner sets.
 * Owner.  Memory of the given region; the struct is the caller's, zero-filled is not usable.
 * Bounds. append is linear in what it copies; consume O(1).
 */
#ifndef ASX_SHARD_BUF_H
#define ASX_SHARD_BUF_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/view.h>
#include <asx/shard/region.h>

ASX_BEGIN_DECLS

typedef struct asx_buf {
    asx_region *_region;
    char *_ptr;
    size_t _cap, _at, _len; /* unread: _ptr[_at.._at + _len) */
    size_t _len_max;
} asx_buf;

/* len_max  of the unread bytes, more than 0 */
void asx_buf_init(asx_buf *buf, asx_region *region, size_t len_max);

/* Copies `bytes` behind the unread ones; views into the buffer end.
 * errors  TOO_LONG above len_max, NO_MEMORY: nothing has changed */
ASX_NODISCARD asx_err asx_buf_append(asx_buf *buf, asx_view bytes);

/* lends  until the next append or release; consuming leaves the bytes where they are */
asx_view asx_buf_view(const asx_buf *buf);

/* asserts  len is not more than what is unread */
void asx_buf_consume(asx_buf *buf, size_t len);

/* Gives the memory back; the buffer is empty and usable. */
void asx_buf_release(asx_buf *buf);

ASX_END_DECLS

#endif
