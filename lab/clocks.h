/* Logical clocks: Lamport's, vectors, and hybrids with a physical reading.
 *
 * Model.   A Lamport count orders what is causally ordered, and proves nothing by itself; it is for
 *          display and for checking that counts grow. A vector decides: only it may say that two
 *          events are concurrent. A hybrid stays near the physical clock and never goes back.
 * Owner.   A process of a run: a shard, a node.
 * Source.  Lamport, CACM 1978; Fidge and Mattern, 1988; Kulkarni et al., OPODIS 2014. */
#ifndef ASX_LAB_CLOCKS_H
#define ASX_LAB_CLOCKS_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/time.h>

#include <stdbool.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef struct asx_lamport {
    uint64_t count;
} asx_lamport;

uint64_t asx_lamport_tick(asx_lamport *clock);
uint64_t asx_lamport_receive(asx_lamport *clock, uint64_t message);

typedef enum asx_vector_order {
    ASX_VECTOR_EQUAL,
    ASX_VECTOR_BEFORE,
    ASX_VECTOR_AFTER,
    ASX_VECTOR_CONCURRENT
} asx_vector_order;

/* A vector is an array of the caller's with one count a process; 0: nothing of it is known. */
void asx_vector_tick(uint32_t *vector, uint32_t process);
void asx_vector_join(uint32_t *vector, const uint32_t *other, uint32_t processes);
void asx_vector_receive(uint32_t *vector, const uint32_t *message, uint32_t processes,
                        uint32_t process);
asx_vector_order asx_vector_compare(const uint32_t *a, const uint32_t *b, uint32_t processes);
const char *asx_vector_order_name(asx_vector_order order);

typedef struct asx_hybrid {
    asx_instant physical_ns;
    uint32_t logical;
} asx_hybrid;

/* now_ns  the physical clock; one that went back is taken to stand still
 * asserts the logical count does not overflow: it would order wrongly from there on */
asx_hybrid asx_hybrid_tick(asx_hybrid *clock, asx_instant now_ns);
asx_hybrid asx_hybrid_receive(asx_hybrid *clock, asx_instant now_ns, asx_hybrid message);

/* An event as the causality checker sees it. */
typedef struct asx_causal_event {
    uint32_t process; /* whose clock: shard or node */
    uint64_t seq;     /* grows within a process */
    uint64_t lamport;
    const uint32_t *vector; /* NULL: this event carries none */
    uint64_t task;          /* 0: of no task */
    uint64_t produces;      /* 0, or a dependency that this event satisfies: a spawn, a send ... */
    uint64_t needs; /* 0, or one that must have been satisfied before: a dispatch, a receive */
} asx_causal_event;

typedef enum asx_causality {
    ASX_CAUSALITY_OK,
    ASX_CAUSALITY_CLOCK_BACK, /* a process's count did not grow with its seq */
    ASX_CAUSALITY_SAME_TASK_CONCURRENT,
    ASX_CAUSALITY_MISSING_DEPENDENCY
} asx_causality;

/* The first rule that an event of the trace breaks.
 *
 * processes  the length of every vector
 * index      set to that event when the answer is not OK */
asx_causality asx_causality_check(const asx_causal_event *events, uint32_t count,
                                  uint32_t processes, uint32_t *index);
const char *asx_causality_name(asx_causality verdict);

ASX_END_DECLS

#endif
