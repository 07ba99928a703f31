/* What a select asks of each kind of wait; each is filled in by the file of its noun. */
#ifndef ASX_SHARD_SYNC_SELECT_INTERNAL_H
#define ASX_SHARD_SYNC_SELECT_INTERNAL_H

#include <asx/shard/sync/select.h>

#include "line_internal.h"

typedef struct asxi_select_ops {
    /* True: done at once, or never to be: case->outcome says which. */
    bool (*attempt)(asx_cx *cx, asx_select_case *which);
    /* After an attempt that answered false: the line to stand in; fills baton->object, leave,
     * amount and tag. */
    asxi_line *(*line)(asx_cx *cx, asx_select_case *which, asxi_baton *baton);
    /* Uses what was granted in that line, and sets case->outcome. NULL: a grant is news of a state,
     * and the case is attempted again. */
    void (*granted)(asx_cx *cx, asx_select_case *which, asxi_object *object);
} asxi_select_ops;

extern const asxi_select_ops asxi_select_recv, asxi_select_send, asxi_select_oneshot,
    asxi_select_broadcast, asxi_select_watch, asxi_select_notify, asxi_select_semaphore;

#endif
