/* Containment: how a panic, a failed assertion or a stack overflow leaves a task without leaving
 * the process (PAN-1, PAN-2). overflow.c finds the last of them. */
#include <asx/shard/base/assert.h>

#include "shard_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__thread asx_shard *asxi_shard_self;

void asxi_diagnose(asx_shard *shard, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (shard->diagnostic) {
        shard->diagnostic(shard->diagnostic_arg, shard, text);
    } else {
        (void)fprintf(stderr, "asx: shard %u: %s\n", shard->index, text);
    }
}

/* Leaves the running task's code for ever; the dispatch that started it goes on. */
ASX_NORETURN static void panic_leave(asx_shard *shard, asx_panic_cause cause, const char *file,
                                     int line, const char *message)
{
    asx_task *const task = shard->running;
    asx_panic_info *const info = asx_panic_info_create(cause, file, line, message);
    if (shard->contain_jump) {
        shard->contained = info;
        __builtin_longjmp(shard->contain_jump, 1);
    }
    if (!(task->flags & ASXI_TASK_ENDING)) {
        task->flags |= ASXI_TASK_ENDING;
        task->outcome = asx_panicked(info);
    } else if (task->outcome.severity !=
               ASX_SEVERITY_PANICKED) { /* in a cleanup entry: first panic wins */
        asx_outcome_release(task->outcome);
        task->outcome = asx_panicked(info);
    } else {
        asx_panic_info_release(info);
    }
    /* What cleans up runs on the budget of a failure (PAN-2), from the cancel lane if a cancel is
     * pending. */
    task->budget = asx_cancel_cleanup_budget(ASX_CANCEL_FAIL_FAST);
    if (!(task->flags & ASXI_TASK_ON_FIBER)) {
        __builtin_longjmp(shard->panic_jump, 1);
    }
    task->flags |= ASXI_TASK_PANICKED;
    asx_fiber_switch(&task->fiber, &shard->thread_fiber);
    abort(); /* nobody switches back to a dead stack */
}

const asx_panic_info *asxi_contain(asx_shard *shard, asx_drop_fn *fn, void *arg)
{
    void *jump[5];
    void **const outer = shard->contain_jump; /* a destructor may end what holds destructors */
    shard->contain_jump = jump;
    if (!__builtin_setjmp(jump)) {
        fn(arg);
    }
    const asx_panic_info *const panic = shard->contained;
    shard->contained = NULL;
    shard->contain_jump = outer;
    return panic;
}

static bool panic_lands(const asx_shard *shard)
{
    return shard && (shard->running || shard->contain_jump);
}

void asx_panic_at(const char *file, int line, const char *fmt, ...)
{
    char message[ASX_PANIC_MESSAGE_MAX + 1];
    asx_shard *const shard = asxi_shard_self;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    if (!panic_lands(shard)) {
        (void)fprintf(stderr, "asx: panic outside a task at %s:%d: %s\n", file, line, message);
        abort();
    }
    panic_leave(shard, ASX_PANIC_EXPLICIT, file, line, message);
}

/* Failed assertions of user tasks are contained; the kernel's own, and those outside a task, are
 * not. */
static void assert_failed(const char *file, int line, const char *text)
{
    asx_shard *const shard = asxi_shard_self;
    static const char *const kernel_rooms[] = { "shard/", "reactor/", "lab/", "dpdk/" };
    if (!panic_lands(shard)) {
        return;
    }
    for (size_t i = 0; i < asx_array_count(kernel_rooms); i++) {
        const char *const at = strstr(file, kernel_rooms[i]);
        if (at && !strstr(file, "tests/") && (at == file || at[-1] == '/')) {
            return;
        }
    }
    panic_leave(shard, ASX_PANIC_ASSERT, file, line, text);
}

void asxi_panic_overflow(void)
{
    panic_leave(asxi_shard_self, ASX_PANIC_STACK_OVERFLOW, NULL, 0, "stack overflow");
}

void asxi_panic_install(void)
{
    static int installed;
    if (__atomic_exchange_n(&installed, 1, __ATOMIC_ACQ_REL)) {
        return;
    }
    asxi_overflow_install();
    asx_assert_hook_set(assert_failed);
}

void asxi_panic_thread_enter(asx_shard *shard)
{
    asxi_shard_self = shard;
    asxi_overflow_thread_enter();
}

void asxi_panic_thread_leave(asx_shard *shard)
{
    if (asxi_shard_self == shard) {
        asxi_shard_self = NULL;
        asxi_overflow_thread_leave();
    }
}
