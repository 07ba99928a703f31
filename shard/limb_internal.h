/* What the two ends of a limb share: the request that travels from one to the other. */
#ifndef ASX_SHARD_LIMB_INTERNAL_H
#define ASX_SHARD_LIMB_INTERNAL_H

#include <asx/shard/limb.h>

#include "mail_internal.h"
#include "shard_internal.h"

/* Travels with SPAWN_REQ, which owns it. */
typedef struct asxi_limb_request {
    asx_handle proxy;
    asx_task_fn *fn;
    asx_drop_fn *drop;
    void *pointer; /* when arg_size is 0 */
    const char *label;
    asx_budget budget;
    asx_resources resources; /* home's, where has_resources */
    size_t stack_bytes;
    size_t arg_size;
    uint32_t home, caps;
    int priority;
    bool has_resources;
    max_align_t arg[];
} asxi_limb_request;

/* limb_far.c: what happens on the shard that was asked. */
void asxi_limb_on_spawn(asx_shard *shard, const asx_msg *msg);
void asxi_limb_on_cancel(asx_shard *shard, const asx_msg *msg);

/* Drops the argument, which nobody took. */
void asxi_limb_request_drop(asxi_limb_request *request);
void asxi_limb_request_free(asxi_limb_request *request);

#endif
