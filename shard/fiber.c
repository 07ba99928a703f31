/* Setting up the boot frame, and what the sanitizers must hear about a switch. */
#include <asx/shard/base/assert.h>
#include <asx/shard/fiber.h>

#include <assert.h>
#include <pthread.h>
#include <stdint.h>

#if ASX_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if ASX_TSAN
#include <sanitizer/tsan_interface.h>
#endif

void asxi_fiber_swap(asx_fiber *from, asx_fiber *to);
void asxi_fiber_boot(void);

static_assert(offsetof(asx_fiber, sp) == 0, "the assembler finds the stack pointer there");

/* What asxi_fiber_swap pops, lowest address first. */
#if defined(__x86_64__)
typedef struct boot_frame {
    uint64_t r15, r14;
    void *arg;        /* r13 */
    asx_fiber_fn *fn; /* r12 */
    uint64_t rbx, rbp;
    void (*boot)(void);        /* where the switch jumps */
    uint64_t top_of_unwinding; /* zero, for unwinders that look for a return address */
} boot_frame;
/* The call in asxi_fiber_boot needs rsp to be a multiple of 16 once `boot` is popped. */
static_assert(sizeof(boot_frame) % 16 == 0, "keeps the stack aligned");
#define BOOT_PAD 8
#define BOOT_FRAME_POINTER rbp
#elif defined(__aarch64__)
typedef struct boot_frame {
    asx_fiber_fn *fn; /* x19 */
    void *arg;        /* x20 */
    uint64_t x21_x28[8];
    uint64_t x29;
    void (*boot)(void); /* x30 */
    uint64_t d8_d15[8];
} boot_frame;
static_assert(sizeof(boot_frame) == 160, "the assembler's frame");
#define BOOT_PAD 0
#define BOOT_FRAME_POINTER x29
#else
#error "no switch for this processor"
#endif

/* Only what the boot reads: the other registers start with whatever lies there. */
static void *boot_frame_put(asx_stack *stack, asx_fiber_fn *fn, void *arg)
{
    boot_frame *const frame = (boot_frame *)(void *)(stack->top - BOOT_PAD - sizeof(boot_frame));
    frame->fn = fn;
    frame->arg = arg;
    frame->boot = asxi_fiber_boot;
    frame->BOOT_FRAME_POINTER = 0;
#if defined(__x86_64__)
    frame->top_of_unwinding = 0;
#endif
    return frame;
}

#if ASX_ASAN || ASX_TSAN

/* Stands above the boot frame, for the first function of the fiber. */
typedef struct boot_note {
    asx_fiber_fn *fn;
    void *arg;
} boot_note;

static void announced_boot(void *arg)
{
    const boot_note *const note = arg;
#if ASX_ASAN
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
    note->fn(note->arg);
    asx_unreachable();
}

#if ASX_TSAN
/* Making a fiber known to ThreadSanitizer clears 128 KiB, so they are used again. Each use leaves
 * the frames of a function that never returned on its shadow stack, hence the bound. There may be
 * some 8,000 of them in a process: a thread that ends gives its own back. */
#define TSAN_FIBER_USES_MAX 200u
static __thread struct {
    void *fiber;
    unsigned uses;
} tsan_idle[256];
static __thread unsigned tsan_idle_count;
static pthread_key_t tsan_idle_key;
static pthread_once_t tsan_idle_once = PTHREAD_ONCE_INIT;

static void tsan_idle_drop(void *thread)
{
    (void)thread;
    while (tsan_idle_count > 0) {
        __tsan_destroy_fiber(tsan_idle[--tsan_idle_count].fiber);
    }
}

static void tsan_idle_key_create(void)
{
    asx_assert_eq(pthread_key_create(&tsan_idle_key, tsan_idle_drop), 0);
}

static void tsan_fiber_take(asx_fiber *fiber)
{
    if (tsan_idle_count > 0) {
        tsan_idle_count--;
        fiber->_tsan = tsan_idle[tsan_idle_count].fiber;
        fiber->_tsan_uses = tsan_idle[tsan_idle_count].uses + 1;
    } else {
        fiber->_tsan = __tsan_create_fiber(0);
        fiber->_tsan_uses = 1;
    }
}

static void tsan_fiber_give(const asx_fiber *fiber)
{
    if (fiber->_tsan_uses >= TSAN_FIBER_USES_MAX || tsan_idle_count == asx_array_count(tsan_idle)) {
        __tsan_destroy_fiber(fiber->_tsan);
        return;
    }
    if (tsan_idle_count == 0) { /* perhaps the thread's first one */
        pthread_once(&tsan_idle_once, tsan_idle_key_create);
        pthread_setspecific(tsan_idle_key, &tsan_idle_count);
    }
    tsan_idle[tsan_idle_count].fiber = fiber->_tsan;
    tsan_idle[tsan_idle_count].uses = fiber->_tsan_uses;
    tsan_idle_count++;
}
#endif

void asx_fiber_init(asx_fiber *fiber, asx_stack *stack, asx_fiber_fn *fn, void *arg)
{
    asx_assert(fn);
    boot_note *const note = asx_stack_reserve(stack, sizeof(boot_note));
    *note = (boot_note){ .fn = fn, .arg = arg };
    *fiber = (asx_fiber){ .stack = stack };
    fiber->sp = boot_frame_put(stack, announced_boot, note);
#if ASX_ASAN
    fiber->_bottom = stack->base;
    fiber->_bytes = (size_t)(stack->top - stack->base);
#endif
#if ASX_TSAN
    tsan_fiber_take(fiber);
#endif
}

void asx_fiber_init_thread(asx_fiber *fiber)
{
    *fiber = (asx_fiber){ .stack = NULL };
#if ASX_ASAN
    pthread_attr_t attr;
    void *bottom = NULL;
    asx_assert_eq(pthread_getattr_np(pthread_self(), &attr), 0);
    asx_assert_eq(pthread_attr_getstack(&attr, &bottom, &fiber->_bytes), 0);
    asx_assert_eq(pthread_attr_destroy(&attr), 0);
    fiber->_bottom = bottom;
#endif
#if ASX_TSAN
    fiber->_tsan = __tsan_get_current_fiber();
#endif
}

/* Between the announcement and the swap nothing may be instrumented: for the sanitizer the thread
 * already runs on the other stack. */
__attribute__((no_sanitize("address", "thread"))) void asx_fiber_switch(asx_fiber *from,
                                                                        asx_fiber *to)
{
#if ASX_ASAN
    __sanitizer_start_switch_fiber(&from->_fake_stack, to->_bottom, to->_bytes);
#endif
#if ASX_TSAN
    __tsan_switch_to_fiber(to->_tsan, 0);
#endif
    asxi_fiber_swap(from, to);
#if ASX_ASAN
    __sanitizer_finish_switch_fiber(from->_fake_stack, NULL, NULL);
#endif
}

__attribute__((no_sanitize("address", "thread"))) void asx_fiber_switch_final(asx_fiber *from,
                                                                              asx_fiber *to)
{
#if ASX_ASAN
    __sanitizer_start_switch_fiber(NULL, to->_bottom, to->_bytes);
#endif
#if ASX_TSAN
    __tsan_switch_to_fiber(to->_tsan, 0);
#endif
    asxi_fiber_swap(from, to);
    asx_unreachable();
}

void asx_fiber_deinit(asx_fiber *fiber)
{
#if ASX_TSAN
    if (fiber->stack) {
        tsan_fiber_give(fiber);
    }
#endif
    *fiber = (asx_fiber){ .sp = NULL };
}

#else

void asx_fiber_init(asx_fiber *fiber, asx_stack *stack, asx_fiber_fn *fn, void *arg)
{
    asx_assert(fn);
    fiber->stack = stack;
    fiber->sp = boot_frame_put(stack, fn, arg);
}

void asx_fiber_init_thread(asx_fiber *fiber)
{
    fiber->sp = NULL;
    fiber->stack = NULL;
}

void asx_fiber_deinit(asx_fiber *fiber)
{
    fiber->sp = NULL;
    fiber->stack = NULL;
}

#endif
