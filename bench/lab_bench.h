/* One rehearsal of the server, the same in the lab and over the kernel's queues: what lab_bench and
 * its second program agree on. */
#ifndef ASX_BENCH_LAB_BENCH_H
#define ASX_BENCH_LAB_BENCH_H

#include <asx/engine/rehearsal_internal.h>

/* Nobody pauses, leaves or breaks anything: what is measured is work. */
inline asxi_rehearsal_plan bench_plan(uint32_t clients, uint32_t requests)
{
    asxi_rehearsal_plan plan{};
    plan.seed = 42;
    plan.clients = clients;
    plan.callers = clients / 8;
    plan.kept_max = 16;
    plan.requests = requests;
    plan.exact = plan.calm = true;
    plan.link.latency_ns = 50 * ASX_NS_PER_US;
    return plan;
}

#endif
