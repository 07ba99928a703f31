#include <asx/shard/limits.h>

#include "shard_internal.h"

#include <stdio.h>

const char *asx_limit_name(asx_limit which)
{
    switch (which) {
    case ASX_LIMIT_NONE:
        return "none";
    case ASX_LIMIT_TASKS:
        return "tasks";
    case ASX_LIMIT_ARRIVALS:
        return "tasks at once";
    case ASX_LIMIT_CHILDREN:
        return "regions below";
    case ASX_LIMIT_OBLIGATIONS:
        return "obligations";
    case ASX_LIMIT_HEAP:
        return "bytes of heap";
    }
    return "?";
}

asx_refusal asx_refusal_last(const asx_cx *cx)
{
    return cx->_shard->refusal;
}

const char *asx_refusal_text(const asx_refusal *refusal, char *buf, size_t cap)
{
    snprintf(buf, cap, "%s: %llu of at most %llu", asx_limit_name(refusal->which),
             (unsigned long long)refusal->live, (unsigned long long)refusal->limit);
    return buf;
}

/* One line a while: who is refused tries again, and so do all others. */
static void tell(asx_shard *shard, const asx_region *region)
{
    char what[96], handle[ASX_HANDLE_TEXT_LEN];
    if (shard->refusal_tell_ns > shard->now_ns) {
        return;
    }
    shard->refusal_tell_ns = asx_time_add(shard->now_ns, ASX_REFUSAL_TELL_NS);
    asxi_diagnose(shard, "REFUSED by region %s %s: %s; %llu refusals so far",
                  asx_handle_text(shard->refusal.region, handle, sizeof(handle)),
                  region->label ? region->label : "-",
                  asx_refusal_text(&shard->refusal, what, sizeof(what)),
                  (unsigned long long)shard->stats.admissions_refused);
}

asx_err asxi_refuse(asx_region *region, asx_limit which, uint64_t limit, uint64_t live)
{
    asx_shard *const shard = region->shard;
    shard->stats.admissions_refused++;
    shard->refusal = (asx_refusal){ .which = which,
                                    .limit = limit,
                                    .live = live,
                                    .region = asx_handle_of(region),
                                    .at_ns = shard->now_ns };
    tell(shard, region);
    return ASX_E(AT_CAPACITY);
}

asx_err asxi_heap_refuse(asx_region *region, size_t size)
{
    const asx_err why = asx_heap_why(&region->heap, size);
    if (why == ASX_E(AT_CAPACITY)) {
        return asxi_refuse(region, ASX_LIMIT_HEAP, asx_heap_bytes_max(&region->heap),
                           asx_heap_bytes(&region->heap));
    }
    region->shard->refusal = (asx_refusal){ .which = ASX_LIMIT_NONE };
    return why;
}
