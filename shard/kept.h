/* Kept: bytes that are sent again and again, so that the driver may hold them ready and copy none.
 *
 * Model.  init() only notes them. The driver makes what it holds at the first send, and makes it
 *         anew when it cannot be used; where it holds nothing the bytes themselves are sent.
 * Owner.  One shard, and its driver. The bytes are the caller's: they stay, and keep their value,
 *         from init() to deinit().
 * Bounds. Up to ASX_KEPT_BYTES_MAX bytes; two descriptors.
 */
#ifndef ASX_SHARD_KEPT_H
#define ASX_SHARD_KEPT_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/view.h>
#include <asx/shard/driver.h>

ASX_BEGIN_DECLS

#define ASX_KEPT_BYTES_MAX (256u << 10) /* eight of the runs of pages that a driver may hold */
#define ASX_KEPT_HEAD_MAX 512u          /* the longest head that is held with them */

struct asx_kept {
    asx_view bytes;
    uint64_t _turn;     /* of the driver's, in which it last made something */
    int32_t _pages_fd;  /* the driver's: the bytes; -1: not held */
    int32_t _answer_fd; /* the driver's: _head and then the bytes; -1: not held */
    uint32_t _head_len;
    char _head[ASX_KEPT_HEAD_MAX];
};

/* asserts  bytes.len <= ASX_KEPT_BYTES_MAX */
void asx_kept_init(asx_kept *kept, asx_view bytes);
/* Gives back what `driver` holds. What was sent is not affected. */
void asx_kept_deinit(asx_kept *kept, asx_driver *driver);

ASX_END_DECLS

#endif
