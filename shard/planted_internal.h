/* Planted bugs: known mistakes that the lab must find, one at a time.
 *
 * The switch is the constant 0 in every build but the one of a single test program, which sets
 * asxi_planted; elsewhere not even the names are seen by the compiler's output. Each stands where
 * somebody could have made the mistake. */
#ifndef ASX_SHARD_PLANTED_INTERNAL_H
#define ASX_SHARD_PLANTED_INTERNAL_H

#ifndef ASX_PLANTED
#define ASX_PLANTED 0
#endif

#define ASXI_PLANTED_LIST(X)                                                                \
    X(ABBA, "two tasks take two locks in opposite orders")                                  \
    X(BATON_DROPPED, "who is granted a lock and leaves does not pass it on")                \
    X(BELL_SAVED, "a sleeping shard is not rung for the second message")                    \
    X(CANCEL_IN_COMMIT, "a cancelled sender's committed item is not sent")                  \
    X(CANCEL_NOT_DOWN, "a cancelled region does not cancel its children")                   \
    X(CANCEL_STARVES, "cancelled tasks run as long as there are any")                       \
    X(CANCEL_UNHEARD, "who sleeps is not woken by its cancellation")                        \
    X(CANCEL_UPWARDS, "a region's first child is cancelled before it")                      \
    X(CAPS_GROW, "a spawned task gets what it asks for, not what its spawner has")          \
    X(CREDIT_LOST, "a far channel forgets the credit of an aborted permit")                 \
    X(DEADLINE_LOOSE, "a child region's deadline replaces its parent's")                    \
    X(DOUBLE_FINALIZER, "the last finalizer of a cancelled region runs twice")              \
    X(DOUBLE_RESOLVE, "a permit committed during cancellation stays on the books")          \
    X(EARLY_SLEEP, "a sleep ends before its time")                                          \
    X(EDF_INVERSION, "the latest deadline goes first")                                      \
    X(FINALIZER_ORDER, "the finalizers of a cancelled region run in order of registration") \
    X(FOREIGN_HANDS, "a limb cancels a region at home without a message")                   \
    X(ITEM_LOST, "a receiver cancelled while an item arrives takes it along")               \
    X(JOIN_TWICE, "who waits for several is told again before it ran")                      \
    X(MASK_IGNORED, "only the innermost mask counts")                                       \
    X(MUTEX_UNFAIR, "a lock goes to the latest waiter")                                     \
    X(NOTIFY_LOST, "a notification that nobody waits for yet is forgotten")                 \
    X(ORPHAN, "a region closes while the answer to its remote spawn is under way")          \
    X(PERMIT_DROPPED, "a cancelled task's permits go without having been resolved")         \
    X(PERMIT_LEAK, "a semaphore forgets what it granted to a waiter that left")             \
    X(RACE_UNDRAINED, "a race answers before its losers have ended")                        \
    X(READY_STARVES, "timed tasks run as long as there are any")                            \
    X(REGION_EARLY, "a cancelled region lets go of its children")                           \
    X(RING_OVERWRITE, "a full ring's last message is overwritten")                          \
    X(SELF_LOCK, "who locks what it holds waits for itself")                                \
    X(SPAWN_LATE, "a cancelled region still admits tasks of its own")                       \
    X(STALE_HANDLE, "a cancel hits whoever lives in the slot now")                          \
    X(TASKS_HANDED_UP, "a cancelled region hands its tasks to its parent and closes")       \
    X(WAKE_IN_STEP, "a poll task that is woken during its step is not queued again")        \
    X(WEAK_REASON, "the latest reason replaces a stronger one")                             \
    X(WRONG_HOLDER, "a permit may be resolved by whom it was taken from")

typedef enum asxi_planted_bug {
    ASXI_PLANTED_NONE = 0,
#define X(name, text) ASXI_PLANTED_##name,
    ASXI_PLANTED_LIST(X)
#undef X
        ASXI_PLANTED_END
} asxi_planted_bug;

#if ASX_PLANTED
#ifdef __cplusplus
extern "C"
#else
extern
#endif
    int asxi_planted; /* of the test program */
#define ASXI_PLANTED(name) (asxi_planted == ASXI_PLANTED_##name)
#else
#define ASXI_PLANTED(name) 0
#endif

#endif
