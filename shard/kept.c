#include <asx/shard/base/assert.h>
#include <asx/shard/kept.h>

void asx_kept_init(asx_kept *kept, asx_view bytes)
{
    asx_assert_le(bytes.len, ASX_KEPT_BYTES_MAX);
    kept->bytes = bytes;
    kept->_turn = 0;
    kept->_pages_fd = -1;
    kept->_answer_fd = -1;
    kept->_head_len = 0;
}

static void fd_drop(asx_driver *driver, int32_t *fd)
{
    if (*fd >= 0) {
        driver->ops->close_now(driver, *fd);
        *fd = -1;
    }
}

void asx_kept_deinit(asx_kept *kept, asx_driver *driver)
{
    fd_drop(driver, &kept->_pages_fd);
    fd_drop(driver, &kept->_answer_fd);
}
