/* Fibers: a bare switch between stacks. Knows nothing of tasks.
 *
 * Model.   A fiber at rest is a stack pointer: the callee-saved registers lie above it. The switch
 *          leaves by an indirect jump, since a return to another stack is mispredicted each time.
 * Owner.   One thread: a fiber runs on the thread that set it up.
 * Rules.   The floating-point control words are not switched: nobody may change the rounding mode
 *          across a switch. The address of a thread-local must not be kept across one either.
 */
#ifndef ASX_SHARD_FIBER_H
#define ASX_SHARD_FIBER_H

#include <asx/shard/base/decls.h>
#include <asx/shard/stack.h>

#include <stddef.h>

ASX_BEGIN_DECLS

/* Must not return: ends by asx_fiber_switch_final. */
typedef void asx_fiber_fn(void *arg);

typedef struct asx_fiber {
    void *sp;         /* valid while the fiber does not run; first, the assembler relies on it */
    asx_stack *stack; /* NULL for an adopted thread */
#if ASX_ASAN
    void *_fake_stack; /* ASan's frames for use-after-return, while the fiber does not run */
    const void *_bottom;
    size_t _bytes;
#endif
#if ASX_TSAN
    void *_tsan;
    unsigned _tsan_uses;
#endif
} asx_fiber;

/* Makes `fiber` start in fn(arg) on `stack` at the first switch to it; fn(arg) must not return. */
void asx_fiber_init(asx_fiber *fiber, asx_stack *stack, asx_fiber_fn *fn, void *arg);

/* Adopts the running thread, so that fibers can switch back to it. */
void asx_fiber_init_thread(asx_fiber *fiber);

/* Suspends `from`, which must be the one that runs, and continues `to`. Returns when somebody
 * switches to `from` again. */
void asx_fiber_switch(asx_fiber *from, asx_fiber *to);

/* As asx_fiber_switch, but `from` never runs again: `to` may deinit it and release its stack. */
void asx_fiber_switch_final(asx_fiber *from, asx_fiber *to);

/* For a fiber that does not run, ended or not: what stands on its stack is not unwound. */
void asx_fiber_deinit(asx_fiber *fiber);

ASX_END_DECLS

#endif
