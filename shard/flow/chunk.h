/* Several items as one.
 *
 * Cancel. What a chunk has so far is kept for the next pull.
 * Errors. Told behind the items that came before: the chunk they are in is cut short. */
#ifndef ASX_SHARD_FLOW_CHUNK_H
#define ASX_SHARD_FLOW_CHUNK_H

#include <asx/shard/base/decls.h>
#include <asx/shard/flow/flow.h>

ASX_BEGIN_DECLS

#define ASX_FLOW_CHUNK_MAX 65536u

/* An item of such a flow: this, and room for `max` items behind it. */
typedef struct asx_flow_chunk {
    uint32_t count; /* at least 1 */
    uint32_t _zero;
    char items[];
} asx_flow_chunk;

/* `max` items at a time; what is left at the end comes as it is.
 * max  1..ASX_FLOW_CHUNK_MAX */
asx_flow *asx_flow_chunks(asx_flow *source, uint32_t max);
/* Waits for one item, and adds those that are there already. */
asx_flow *asx_flow_ready_chunks(asx_flow *source, uint32_t max);

ASX_END_DECLS

#endif
