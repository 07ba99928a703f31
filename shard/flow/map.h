/* Operators on one flow, item by item: order kept, one at a time.
 *
 * Owner.  An operator owns the flow it is given. A function that is given an item as `void *in`
 *         takes over what it refers to; as `const void *`, it only looks.
 * Cancel. A function that waits and answers Cancelled has left its item as it was: the next pull
 *         calls it again with the same one. */
#ifndef ASX_SHARD_FLOW_MAP_H
#define ASX_SHARD_FLOW_MAP_H

#include <asx/shard/base/decls.h>
#include <asx/shard/flow/flow.h>

ASX_BEGIN_DECLS

typedef struct asx_flow_shape { /* of the items that an operator makes */
    uint32_t item_size;         /* 0: they are as the source's, drop included */
    asx_drop_fn *drop;          /* NULL: nothing to do */
} asx_flow_shape;

/* out  of the new shape's size */
typedef void asx_flow_map_fn(void *in, void *out, void *arg);
asx_flow *asx_flow_map(asx_flow *source, asx_flow_shape shape, asx_flow_map_fn *fn, void *arg);

/* Ok: the value is ignored. Err: the item is used up, and the flow tells the error. */
typedef asx_outcome asx_flow_then_fn(asx_cx *cx, void *in, void *out, void *arg);
asx_flow *asx_flow_then(asx_flow *source, asx_flow_shape shape, asx_flow_then_fn *fn, void *arg);

typedef bool asx_flow_test_fn(const void *item, void *arg);
asx_flow *asx_flow_filter(asx_flow *source, asx_flow_test_fn *test, void *arg);

/* False: there is no `out`. */
typedef bool asx_flow_filter_map_fn(void *in, void *out, void *arg);
asx_flow *asx_flow_filter_map(asx_flow *source, asx_flow_shape shape, asx_flow_filter_map_fn *fn,
                              void *arg);
/* arg is the state. False: there is no `out`, and the flow ends. */
asx_flow *asx_flow_scan(asx_flow *source, asx_flow_shape shape, asx_flow_filter_map_fn *fn,
                        void *arg);

typedef void asx_flow_inspect_fn(const void *item, void *arg);
asx_flow *asx_flow_inspect(asx_flow *source, asx_flow_inspect_fn *fn, void *arg);

/* Items are a uint64_t counted from 0, and the source's item behind it. */
asx_flow *asx_flow_enumerate(asx_flow *source);

/* count 0: ends without asking the source. */
asx_flow *asx_flow_take(asx_flow *source, uint64_t count);
asx_flow *asx_flow_skip(asx_flow *source, uint64_t count);
/* Ends at the first item that fails the test, which is dropped. */
asx_flow *asx_flow_take_while(asx_flow *source, asx_flow_test_fn *test, void *arg);
/* Drops items until the first that fails the test. */
asx_flow *asx_flow_skip_while(asx_flow *source, asx_flow_test_fn *test, void *arg);

ASX_END_DECLS

#endif
