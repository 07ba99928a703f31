/* Every compile-time limit of the kernel, and why that number. */
#ifndef ASX_SHARD_LIMITS_H
#define ASX_SHARD_LIMITS_H

#include <asx/shard/base/time.h>

#define ASX_SHARD_COUNT_MAX 64u    /* the lab's bound; rings are N x N */
#define ASX_TURN_DISPATCH_MAX 128u /* SCH-9: then rings, completions and timers get their share */
#define ASX_TURN_SLICE_NS (2 * ASX_NS_PER_MS) /* SCH-9: the same, when dispatches are long */
#define ASX_SLICE_LOOK_MAX 32u       /* dispatches between two looks at the clock: 1 ns for each */
#define ASX_STEP_SAMPLE_TURNS 16u    /* one of so many is timed: two looks at the clock */
#define ASX_TURN_COMPLETION_MAX 256u /* bounds what one turn borrows buffers for */
#define ASX_TURN_MESSAGE_MAX 256u    /* per turn, over all inbound rings */
#define ASX_TURN_TIMER_MAX 1024u
/* As long as a sleep costs: waiting awake then never costs more than twice what was best. */
#define ASX_PARK_SPIN_NS (50 * ASX_NS_PER_US)

/* Quiet: fewer dispatches than these in so long. What a crowd has left behind is then given back
 * but for a reserve, some at a time, so that who comes meanwhile waits for 0.1 ms at most. */
#define ASX_QUIET_NS (100 * ASX_NS_PER_MS)
#define ASX_QUIET_DISPATCHES 64u
#define ASX_QUIET_BATCH 64u
#define ASX_QUIET_STACKS_KEPT 64u                      /* of each class */
#define ASX_QUIET_CHUNK_BYTES_KEPT ((size_t)512 << 10) /* of each size, beside what regions hold */

#define ASX_CANCEL_STREAK_MAX 16u   /* SCH-4; doubled while a region drains (SCH-7) */
#define ASX_TIMED_STREAK_MAX 6u     /* SCH-5 */
#define ASX_LANE_STARVATION_MAX 64u /* SCH-6 */
#define ASX_EDF_HORIZON_NS (100 * ASX_NS_PER_MS)
#define ASX_SLICE_CHECKPOINTS_MAX 1024u /* BUD-12 */
#define ASX_SLICE_CHECKPOINTS_LOOK 8u   /* checkpoints between two looks at the clock */

#define ASX_MIGRATE_READY_MIN 2u /* ready at the end of a turn, to lend one of them */
#define ASX_MIGRATE_BATCH_MAX \
    16u                          /* and at most half of what is ready; who has as many takes none */
#define ASX_MIGRATE_LOOK_MAX 64u /* entries of the lane looked at for one batch */
#define ASX_MIGRATE_COOL_TURNS 16u /* without another look, after one that found nothing */

#define ASX_CHARGE_DEPTH_MAX 8u                 /* regions that state a budget, one in another */
#define ASX_REFUSAL_TELL_NS (10 * ASX_NS_PER_S) /* from one line about refusals to the next */

#define ASX_FINALIZER_POLLS 100u
#define ASX_FINALIZER_NS (5 * ASX_NS_PER_S)
#define ASX_FINALIZER_COUNT_WARN 10000u /* FIN-7 */

#define ASX_TASK_COUNT_MAX (1u << 24)
#define ASX_REGION_COUNT_MAX (1u << 24)
#define ASX_OBLIGATION_COUNT_MAX (1u << 24)

/* What a call into the kernel may still use when the task has used up its stack: the deepest, which
 * print a diagnostic, take 4 KiB. Address space, not memory. */
#define ASX_STACK_YELLOW_BYTES (16u * 1024u)
#define ASX_RING_CAPACITY 1024u /* slots of 64 bytes per ordered pair: 64 KiB */

#endif
