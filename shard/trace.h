/* Trace events: their kinds, and the interface through which a shard tells them.
 *
 * Model.  The kernel's trace points exist only in builds with ASX_TRACE=1, which is what the lab
 *         links; there, each is one branch on the shard's sink. Elsewhere they are no code at all.
 *         An event is a kind and a few 64-bit words; who is meant is said by trace identity: shard,
 *         slot and generation in one word, so that one identity is never two things in one run.
 * Owner.  The shard's thread calls the sink; the sink belongs to whoever configured the shard. */
#ifndef ASX_SHARD_TRACE_H
#define ASX_SHARD_TRACE_H

#include <asx/shard/base/decls.h>
#include <asx/shard/handle.h>

#include <stdint.h>

ASX_BEGIN_DECLS

/* number, name, text, fewest and most words, and what the words are. Numbers are part of recorded
 * runs: append only. T task, R region, O obligation. */
#define ASX_TRACE_KIND_LIST(X)                                                  \
    X(1, TASK_SPAWN, task_spawn, 2, 2, "T,R")                                   \
    X(2, TASK_READY, task_ready, 3, 3, "T,R,cause")                             \
    X(3, TASK_DISPATCH, task_dispatch, 3, 3, "T,R,lane")                        \
    X(4, TASK_YIELD, task_yield, 2, 2, "T,R")                                   \
    X(5, TASK_BLOCK, task_block, 4, 4, "T,R,wait,object")                       \
    X(6, TASK_COMPLETE, task_complete, 3, 3, "T,R,outcome")                     \
    X(7, CANCEL_REQUEST, cancel_request, 5, 5, "T,R,kind,origin,cause")         \
    X(8, CANCEL_ACK, cancel_ack, 3, 3, "T,R,kind")                              \
    X(9, REGION_CLOSE_BEGIN, region_close_begin, 2, 2, "R,parent")              \
    X(10, REGION_CLOSE_END, region_close_end, 3, 3, "R,parent,outcome")         \
    X(11, REGION_CREATE, region_create, 2, 2, "R,parent")                       \
    X(12, REGION_CANCEL, region_cancel, 3, 3, "R,kind,origin")                  \
    X(13, OBL_RESERVE, obl_reserve, 4, 4, "O,T,R,kind")                         \
    X(14, OBL_COMMIT, obl_commit, 5, 5, "O,T,R,kind,held_ns")                   \
    X(15, OBL_ABORT, obl_abort, 6, 6, "O,T,R,kind,held_ns,why")                 \
    X(16, OBL_LEAK, obl_leak, 5, 5, "O,T,R,kind,held_ns")                       \
    X(17, TIME_ADVANCE, time_advance, 3, 3, "old,new,why")                      \
    X(18, TIMER_ARM, timer_arm, 3, 3, "id,deadline,T")                          \
    X(19, TIMER_FIRE, timer_fire, 1, 1, "id")                                   \
    X(20, TIMER_CANCEL, timer_cancel, 1, 1, "id")                               \
    X(21, IO_SUBMIT, io_submit, 4, 4, "token,op,len,T")                         \
    X(22, IO_READY, io_ready, 2, 2, "token,bits")                               \
    X(23, IO_RESULT, io_result, 3, 3, "token,result,flags")                     \
    X(24, IO_CANCEL, io_cancel, 2, 2, "token,answer")                           \
    X(25, RNG_SEED, rng_seed, 2, 2, "stream,seed")                              \
    X(26, RNG_VALUE, rng_value, 2, 2, "stream,value")                           \
    X(27, CHECKPOINT, checkpoint, 4, 4, "seq,tasks,regions,hash")               \
    X(28, FUTURELOCK, futurelock, 3, 8, "T,R,idle,held...")                     \
    X(29, CHAOS, chaos, 4, 4, "point,kind,T,arg")                               \
    X(30, USER_MARK, user_mark, 3, 3, "T,tag,value")                            \
    X(31, MONITOR_ADD, monitor_add, 4, 4, "ref,watcher,R,target")               \
    X(32, MONITOR_DEL, monitor_del, 4, 4, "ref,watcher,R,target")               \
    X(33, DOWN, down, 5, 5, "ref,watcher,target,completed_at,reason")           \
    X(34, LINK_ADD, link_add, 5, 5, "ref,A,RA,B,RB")                            \
    X(35, LINK_DEL, link_del, 5, 5, "ref,A,RA,B,RB")                            \
    X(36, EXIT_SIGNAL, exit_signal, 5, 5, "ref,from,to,at,reason")              \
    X(37, SPAWN_ENQUEUED, spawn_enqueued, 2, 2, "T,R")                          \
    X(38, SPAWN_ADMITTED, spawn_admitted, 2, 2, "T,R")                          \
    X(39, BUDGET_INSTALL, budget_install, 6, 6, "T,R,deadline,polls,cost,prio") \
    X(40, BUDGET_CHARGE, budget_charge, 3, 3, "T,R,delta")                      \
    X(41, FINALIZER_ADD, finalizer_add, 2, 2, "R,finalizer")                    \
    X(42, FINALIZER_RUN, finalizer_run, 2, 2, "R,finalizer")                    \
    X(43, RACE_BEGIN, race_begin, 2, 8, "race,R,members...")                    \
    X(44, RACE_END, race_end, 3, 3, "race,R,winner")                            \
    X(45, MASK_ENTER, mask_enter, 2, 2, "T,depth")                              \
    X(46, MASK_EXIT, mask_exit, 2, 2, "T,depth")                                \
    X(47, RING_PUSH, ring_push, 4, 4, "ring,seq,tag,was_empty")                 \
    X(48, RING_POP, ring_pop, 4, 4, "ring,seq,tag,emptied")                     \
    X(49, RING_FULL, ring_full, 1, 1, "ring")                                   \
    X(50, RING_EMPTY, ring_empty, 1, 1, "ring")                                 \
    X(51, DOORBELL, doorbell, 3, 3, "from,to,mode")                             \
    X(52, SHARD_PARK, shard_park, 2, 2, "shard,deadline")                       \
    X(53, SHARD_UNPARK, shard_unpark, 2, 2, "shard,deadline")                   \
    X(54, LOCK_WAIT, lock_wait, 2, 2, "lock,T")                                 \
    X(55, LOCK_TAKE, lock_take, 2, 2, "lock,T")                                 \
    X(56, LOCK_RELEASE, lock_release, 2, 2, "lock,T")                           \
    X(57, NAME_LEASE, name_lease, 3, 3, "name,T,R")                             \
    X(58, NAME_RELEASE, name_release, 3, 3, "name,T,R")                         \
    X(59, NET_FAULT, net_fault, 3, 3, "object,kind,arg")                        \
    X(60, DISK_FAULT, disk_fault, 3, 3, "object,kind,arg")                      \
    X(61, MEM_FAIL, mem_fail, 2, 2, "site,size")                                \
    X(62, CONN_OPEN, conn_open, 3, 3, "token,peer,shard")                       \
    X(63, CONN_CLOSE, conn_close, 3, 3, "token,peer,shard")                     \
    X(64, CHOICE, choice, 4, 4, "site,n,chosen,object")                         \
    X(65, ACTOR_MSG_SEND, actor_msg_send, 2, 2, "actor,seq")                    \
    X(66, ACTOR_MSG_RECV, actor_msg_recv, 2, 2, "actor,seq")                    \
    X(67, CHILD_FAIL, child_fail, 3, 3, "supervisor,child,attempt")             \
    X(68, CHILD_RESTART, child_restart, 3, 3, "supervisor,child,attempt")       \
    X(69, ESCALATE, escalate, 3, 3, "supervisor,child,attempt")                 \
    X(70, LOG_OVERFLOW, log_overflow, 1, 1, "dropped")                          \
    X(71, SNAPSHOT, snapshot, 2, 2, "hash,size")                                \
    X(72, OBL_TRANSFER, obl_transfer, 4, 4, "O,T,R,target")                     \
    X(73, CAP_INSTALL, cap_install, 3, 3, "T,caps,parent")                      \
    X(74, CAP_USE, cap_use, 2, 2, "T,cap")

typedef enum asx_trace_kind {
#define X(number, name, text, least, most, words) ASX_TRACE_##name = (number),
    ASX_TRACE_KIND_LIST(X)
#undef X
        ASX_TRACE_KIND_END /* one more than the last */
} asx_trace_kind;

enum {
    /* In the kind of a CANCEL_REQUEST: the task had a weaker reason already. */
    ASX_TRACE_STRENGTHENED = 1u << 8,
};

struct asx_cx;

/* Listens to a shard. May neither suspend nor call the kernel. */
typedef struct asx_trace_sink asx_trace_sink;
struct asx_trace_sink {
    void (*emit)(asx_trace_sink *sink, uint32_t shard, asx_trace_kind kind, const uint64_t *words,
                 uint32_t count);
};

/* A mark of the running task's, for whoever reads the trace; nothing where nobody listens. */
void asx_trace_mark(struct asx_cx *cx, uint32_t tag, uint64_t value);

ASX_END_DECLS

/* 8 bits of shard, 24 of slot, 32 of generation: shard << 56 | index << 32 | generation. */
ASX_INLINE uint64_t asx_trace_id(asx_handle handle)
{
    return (uint64_t)handle.shard << 56 | (uint64_t)handle.index << 32 | handle.generation;
}

#endif
