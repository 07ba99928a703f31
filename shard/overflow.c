/* Stack overflows: where a fiber's next frame meets the guard below its stack (PAN-1).
 *
 *   the task's own code     its stack is not run again: it panics at once, on a stack set aside
 *   the kernel's code, or   may have a list half linked or a lock taken: the yellow zone, all of
 *   a library's             the guard but its lowest page, is opened, the call runs to its end, and
 *                           the task panics where the call would have returned to its code
 *   beyond the yellow zone  the process ends, and says which task wants a larger stack; but for a
 *                           library that the task itself called, which ends as its own code does
 *
 * The kernel's code is what kernel_text_internal.h marks; a library is what is not in the program's
 * own image. Nothing is paid for this before a stack overflows.
 *
 * Source.  glibc 2.35: _dl_find_object, with which libgcc's unwinder takes no lock and may run in a
 *          handler. */
#include <asx/shard/base/assert.h>

#include "shard_internal.h"

#include <dlfcn.h>
#include <link.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

#define EMERGENCY_STACK_BYTES (64u * 1024u)
#define FRAMES_MAX 128u

static __thread char *signal_stack;    /* of the handler */
static __thread char *emergency_stack; /* where a task whose stack is full panics */

/* What kernel_text_internal.h left, one pair a file and section: offsets from where they stand. */
typedef struct text_range {
    int32_t begin, end;
} text_range;
extern const text_range text_first[] __asm__("__start_asx_kernel_text");
extern const text_range text_last[] __asm__("__stop_asx_kernel_text");
/* Said to the assembler: GCC drops the attribute of a name that is given by hand. */
__asm__(".hidden __start_asx_kernel_text\n.hidden __stop_asx_kernel_text");

static bool is_kernel_text(uintptr_t pc)
{
    for (const text_range *range = text_first; range < text_last; range++) {
        const uintptr_t begin = (uintptr_t)&range->begin + (uintptr_t)(intptr_t)range->begin;
        const uintptr_t end = (uintptr_t)&range->end + (uintptr_t)(intptr_t)range->end;
        if (pc >= begin && pc < end) {
            return true;
        }
    }
    return false;
}

/* A kernel call that overflowed has ended: returns to here, on what was left of the stack. */
void asxi_overflow_returned(void);
#if defined(__x86_64__)
__asm__(".pushsection .text\n"
        ".globl asxi_overflow_returned\n"
        ".hidden asxi_overflow_returned\n"
        ".type asxi_overflow_returned, @function\n"
        "asxi_overflow_returned:\n"
        "    callq asxi_panic_overflow\n" /* the stack is aligned as behind any return */
        "    ud2\n"
        ".size asxi_overflow_returned, . - asxi_overflow_returned\n"
        ".popsection\n");
#elif defined(__aarch64__)
__asm__(".pushsection .text\n"
        ".globl asxi_overflow_returned\n"
        ".hidden asxi_overflow_returned\n"
        ".type asxi_overflow_returned, %function\n"
        "asxi_overflow_returned:\n"
        "    bl asxi_panic_overflow\n"
        "    brk #1\n"
        ".size asxi_overflow_returned, . - asxi_overflow_returned\n"
        ".popsection\n");
#endif

/* Whose code a frame runs. */
typedef enum code {
    CODE_TASK = 0,
    CODE_KERNEL,
    CODE_LIBRARY,
} code;

static code code_at(uintptr_t pc)
{
    struct dl_find_object found;
    if (is_kernel_text(pc)) {
        return CODE_KERNEL;
    }
    const bool library =
        _dl_find_object((void *)pc, &found) == 0 && found.dlfo_link_map->l_name[0] != '\0';
    return library ? CODE_LIBRARY : CODE_TASK;
}

/* The way from the fault to the innermost frame of the task's own. */
typedef struct way_back {
    uintptr_t fault_pc;
    bool begun; /* the frames of the handler are behind it */
    bool through_kernel;
    unsigned frames;
    uintptr_t stack_base; /* below it nothing may be read */
    uintptr_t callee_fp;  /* the frame pointer in the frame that was seen last */
    ucontext_t *context;  /* of the fault */
    uintptr_t *slot;      /* where that frame's callee returns to it; NULL: not found */
} way_back;

#if defined(__x86_64__)
static uintptr_t pc_of(const ucontext_t *context)
{
    return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
}

static void redirect(ucontext_t *context, uintptr_t top)
{
    context->uc_mcontext.gregs[REG_RSP] = (greg_t)(top - 8); /* as after a call */
    context->uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)asxi_panic_overflow;
}

/* A call pushes it last. */
static uintptr_t *return_slot(ASX_UNUSED const way_back *way, struct _Unwind_Context *frame)
{
    return (uintptr_t *)_Unwind_GetCFA(frame) - 1;
}

static uintptr_t frame_pointer(ASX_UNUSED struct _Unwind_Context *frame)
{
    return 0; /* not needed */
}
#elif defined(__aarch64__)
static uintptr_t pc_of(const ucontext_t *context)
{
    return context->uc_mcontext.pc;
}

static void redirect(ucontext_t *context, uintptr_t top)
{
    context->uc_mcontext.sp = top;
    context->uc_mcontext.pc = (uintptr_t)asxi_panic_overflow;
}

/* In the callee's frame record, to which its x29 points. The innermost may not have made its own
 * yet, or may make none: it returns through x30. */
static uintptr_t *return_slot(const way_back *way, struct _Unwind_Context *frame)
{
    const uintptr_t record = way->callee_fp;
    if (record >= way->stack_base && record < _Unwind_GetCFA(frame) &&
        record % sizeof(uintptr_t) == 0) {
        return (uintptr_t *)record + 1;
    }
    return way->frames == 0 ? (uintptr_t *)&way->context->uc_mcontext.regs[30] : NULL;
}

static uintptr_t frame_pointer(struct _Unwind_Context *frame)
{
    return _Unwind_GetGR(frame, 29);
}
#else
#error "no registers known for this processor"
#endif

__attribute__((no_sanitize("address", "thread"))) static _Unwind_Reason_Code
look_at(struct _Unwind_Context *frame, void *arg)
{
    way_back *const way = arg;
    const uintptr_t pc = _Unwind_GetIP(frame);
    if (!way->begun) {
        way->begun = pc == way->fault_pc;
        way->through_kernel = way->begun && code_at(pc) == CODE_KERNEL;
        way->callee_fp = frame_pointer(frame);
        return _URC_NO_REASON;
    }
    /* What it returns to stands behind a call, which may be the last instruction of a range. */
    switch (code_at(pc - 1)) {
    case CODE_KERNEL:
        way->through_kernel = true;
        break;
    case CODE_LIBRARY:
        break;
    case CODE_TASK:
        way->slot = return_slot(way, frame);
        if (way->slot && *way->slot != pc) {
            way->slot = NULL;
        }
        return _URC_END_OF_STACK;
    }
    way->callee_fp = frame_pointer(frame);
    return ++way->frames < FRAMES_MAX ? _URC_NO_REASON : _URC_END_OF_STACK;
}

/* A fiber of this shard's met its guard. False: it cannot go on. */
static bool contain(asx_shard *shard, asx_stack *stack, ucontext_t *context)
{
    way_back way = {
        .fault_pc = pc_of(context),
        .stack_base = (uintptr_t)stack->base,
        .context = context,
    };
    if (code_at(way.fault_pc) != CODE_TASK) {
        (void)_Unwind_Backtrace(look_at, &way);
        if (way.slot && asx_stack_yellow_open(&shard->stacks, stack)) {
            *way.slot = (uintptr_t)asxi_overflow_returned;
            return true;
        }
        if (way.through_kernel) {
            return false;
        }
    }
    const uintptr_t top = (uintptr_t)emergency_stack + EMERGENCY_STACK_BYTES;
    redirect(context, top & ~(uintptr_t)63);
    return true;
}

static void say(const char *text)
{
    (void)!write(STDERR_FILENO, text, strlen(text));
}

static void say_overflow(const asx_shard *shard)
{
    const char *const label = asxi_task_label(shard->running);
    say("asx: stack overflow inside the kernel, called by task ");
    say(label ? label : "-");
    say(": it wants a larger stack (stack_bytes of its spawn)\n");
}

static struct sigaction previous_segv;

static void segv_handler(int signo, siginfo_t *info, void *context)
{
    asx_shard *const shard = asxi_shard_self;
    asx_stack *stack;
    if (shard && shard->running && (shard->running->flags & ASXI_TASK_ON_FIBER) &&
        asx_stack_guard_hit(&shard->stacks, info->si_addr, &stack) &&
        stack == shard->running->fiber.stack) {
        if (!shard->contain_jump && contain(shard, stack, context)) {
            return;
        }
        say_overflow(shard);
    } else {
        say("asx: fatal memory fault outside a fiber's guard\n");
    }
    /* Let whoever was here before (a sanitizer, the default's core dump) have it. */
    (void)sigaction(signo, &previous_segv, NULL);
}

static _Unwind_Reason_Code pass(ASX_UNUSED struct _Unwind_Context *frame, ASX_UNUSED void *arg)
{
    return _URC_NO_REASON;
}

void asxi_overflow_install(void)
{
    (void)_Unwind_Backtrace(pass, NULL); /* what it loads at its first use is loaded here */
    struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK };
    action.sa_sigaction = segv_handler;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGSEGV, &action, &previous_segv);
}

void asxi_overflow_thread_enter(void)
{
    if (!signal_stack) {
        signal_stack = malloc(EMERGENCY_STACK_BYTES);
        emergency_stack = malloc(EMERGENCY_STACK_BYTES);
        asx_assert(signal_stack && emergency_stack);
        const stack_t stack = { .ss_sp = signal_stack, .ss_size = EMERGENCY_STACK_BYTES };
        (void)sigaltstack(&stack, NULL);
    }
}

void asxi_overflow_thread_leave(void)
{
    const stack_t off = { .ss_flags = SS_DISABLE };
    (void)sigaltstack(&off, NULL);
    free(signal_stack);
    free(emergency_stack);
    signal_stack = NULL;
    emergency_stack = NULL;
}
