/* What a shard asks of its driver: queue and buffer sizes, and the blocking pool it shares.
 *
 * Zero everywhere is a working configuration; sizes are rounded up to powers of two. */
#ifndef ASX_REACTOR_DRIVER_CONFIG_H
#define ASX_REACTOR_DRIVER_CONFIG_H

#include <asx/shard/base/decls.h>

#include <stdint.h>

ASX_BEGIN_DECLS

struct asx_blocking;

typedef struct asx_driver_config {
    uint32_t sq_entries; /* io_uring submission queue; 0: 1024 */
    uint32_t setup_rung; /* io_uring: how many of the best set-up flags to pass over, at most
                            ASX_DRIVER_SETUP_RUNGS - 1, as an older kernel would make us */
    uint32_t cq_entries; /* io_uring completion queue; 0: 4 x sq_entries */
    uint32_t buf_count;  /* receive buffers, at most 32768; 0: 512 */
    uint32_t buf_size;   /* bytes of each; 0: 4096. Memory is touched only as it is used */
    struct asx_blocking *blocking; /* shared by the process; NULL: the driver makes its own */
} asx_driver_config;

#define ASX_DRIVER_SQ_ENTRIES 1024u
#define ASX_DRIVER_SETUP_RUNGS 3u
#define ASX_DRIVER_BUF_COUNT 512u
#define ASX_DRIVER_BUF_COUNT_MAX 32768u
#define ASX_DRIVER_BUF_SIZE 4096u

ASX_END_DECLS

#endif
