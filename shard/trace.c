#include <asx/shard/cx.h>

#include "trace_internal.h"

void asx_trace_mark(asx_cx *cx, uint32_t tag, uint64_t value)
{
    ASXI_TRACE(cx->_shard, USER_MARK, asxi_trace_of(cx->_task), tag, value);
    (void)cx;
    (void)tag;
    (void)value;
}
