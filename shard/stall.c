#include <asx/shard/base/assert.h>
#include <asx/shard/stall.h>

#include "shard_internal.h"

#include <dlfcn.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <ucontext.h>
#include <unistd.h>

#define THRESHOLD_DEFAULT_NS (200 * ASX_NS_PER_MS)
#define REPORTS_DEFAULT 10u
#define LOOKS_PER_THRESHOLD 4u

/* A sample passes from the detector to the shard's thread and back. */
typedef enum sample_state {
    SAMPLE_NONE = 0, /* the detector's */
    SAMPLE_ASKED,    /* the shard's: its signal is on the way */
    SAMPLE_NOTED,    /* the detector's, with the frames */
    SAMPLE_MISSED,   /* the detector's: the turn had ended meanwhile */
} sample_state;

/* One shard that is watched. `state` says whose the sample is; the rest is the detector's. */
typedef struct asxi_stall_slot {
    asx_shard *shard; /* NULL: free */
    pthread_t thread;
    uintptr_t stack_low, stack_high; /* of the thread */
    uint32_t pulse;                  /* at the last look */
    uint32_t asked_pulse;            /* of the turn that is sampled */
    uint32_t looks;                  /* that found this pulse */
    bool reported;                   /* this turn */
    uint32_t state;                  /* sample_state; release and acquire around `sample` */
    asx_stall_report sample;
} asxi_stall_slot;

struct asx_stall_watch {
    asx_stall_config config;
    int period_ms;
    uint32_t looks_per_minute, looks; /* of the minute that runs */
    uint32_t reports_left, unreported;
    int stop_fd;
    pthread_t thread;
    pthread_mutex_t mutex; /* over the slots: joining, leaving, looking */
    struct sigaction previous;
    asxi_stall_slot slots[ASX_SHARD_COUNT_MAX];
};

/* Whether `fiber` holds a fiber. The sample may come in the midst of its making or its end, when
 * the flag is set and the body is not there: then neither the fiber nor the names that share its
 * memory may be read. Pairs with the signal fences of start_fiber and release_body. */
static bool has_fiber(const asx_task *task)
{
    return (task->flags & ASXI_TASK_ON_FIBER) && task->body;
}

static const char *sampled_label(const asx_task *task)
{
    if (task->flags & ASXI_TASK_ON_FIBER) {
        return task->body ? task->body->label : NULL;
    }
    return task->label;
}

/* The stack that `sp` is on: the running fiber's or the thread's. Where it ends, or 0. */
static uintptr_t stack_end(const asx_shard *shard, const asxi_stall_slot *slot, uintptr_t sp)
{
    const asx_task *const task = shard->running;
    const asx_stack *const stack = task && has_fiber(task) ? task->fiber.stack : NULL;
    if (stack && sp >= (uintptr_t)stack->base && sp < (uintptr_t)stack->top) {
        return (uintptr_t)stack->top;
    }
    return sp >= slot->stack_low && sp < slot->stack_high ? slot->stack_high : 0;
}

/* Follows the saved frame pointers. Code without them ends the walk early, never astray: each frame
 * lies above the one before and within the stack. */
__attribute__((no_sanitize("address", "thread"))) static uint32_t
walk(void **frames, uintptr_t pc, uintptr_t fp, uintptr_t sp, uintptr_t end)
{
    uint32_t count = 0;
    frames[count++] = (void *)pc;
    uintptr_t floor = sp;
    while (count < ASX_STALL_FRAMES_MAX && fp >= floor && fp % sizeof(void *) == 0 &&
           fp + 2 * sizeof(void *) <= end) {
        const uintptr_t *const frame = (const uintptr_t *)fp;
        if (frame[1] == 0) {
            break;
        }
        frames[count++] = (void *)frame[1];
        floor = fp + 2 * sizeof(void *);
        fp = frame[0];
    }
    return count;
}

static void note(asxi_stall_slot *slot, const asx_shard *shard, const ucontext_t *context)
{
    uintptr_t pc = 0, fp = 0, sp = 0;
#if defined(__x86_64__)
    pc = (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
    fp = (uintptr_t)context->uc_mcontext.gregs[REG_RBP];
    sp = (uintptr_t)context->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
    pc = context->uc_mcontext.pc;
    fp = context->uc_mcontext.regs[29];
    sp = context->uc_mcontext.sp;
#else
    (void)context;
#endif
    const asx_task *const task = shard->running;
    slot->sample.task = task ? sampled_label(task) : NULL;
    slot->sample.region = task ? task->cx._region->label : NULL;
    slot->sample.frame_count = walk(slot->sample.frames, pc, fp, sp, stack_end(shard, slot, sp));
}

/* On the thread that stalls. */
static void sample_handler(int signo, siginfo_t *info, void *context)
{
    (void)signo;
    (void)info;
    const int saved = errno;
    asx_shard *const shard = asxi_shard_self;
    asxi_stall_slot *const slot = shard ? shard->stall : NULL;
    if (slot && __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) == SAMPLE_ASKED) {
        sample_state state = SAMPLE_MISSED;
        if (shard->pulse == slot->asked_pulse) {
            note(slot, shard, context);
            shard->stats.stalls++;
            state = SAMPLE_NOTED;
        }
        /* Pairs with the acquire in look_at. */
        __atomic_store_n(&slot->state, (uint32_t)state, __ATOMIC_RELEASE);
    }
    errno = saved;
}

static void line_add(char *text, size_t size, size_t *used, const char *fmt, ...) ASX_PRINTF(4, 5);

static void line_add(char *text, size_t size, size_t *used, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int len = vsnprintf(text + *used, size - *used, fmt, args);
    va_end(args);
    if (len > 0) {
        *used = (size_t)len < size - *used ? *used + (size_t)len : size - 1;
    }
}

static void frame_add(char *text, size_t size, size_t *used, void *frame)
{
    Dl_info info;
    if (!dladdr(frame, &info) || !info.dli_fname) {
        line_add(text, size, used, "  at %p\n", frame);
        return;
    }
    const char *const slash = strrchr(info.dli_fname, '/');
    /* What addr2line takes for a position-independent program; names where they are exported. */
    line_add(text, size, used, "  at %s+0x%zx%s%s\n", slash ? slash + 1 : info.dli_fname,
             (size_t)((uintptr_t)frame - (uintptr_t)info.dli_fbase), info.dli_sname ? " " : "",
             info.dli_sname ? info.dli_sname : "");
}

void asx_stall_report_print(const asx_stall_report *report, char *text, size_t size)
{
    size_t used = 0;
    asx_assert(size > 0);
    text[0] = '\0';
    line_add(text, size, &used,
             "asx: STALL: shard %u has been in one turn for %u ms, in task %s of region %s",
             report->shard, (unsigned)(report->held_ns / ASX_NS_PER_MS),
             report->task ? report->task : "-", report->region ? report->region : "-");
    if (report->unreported > 0) {
        line_add(text, size, &used, " (%u more not reported)", report->unreported);
    }
    line_add(text, size, &used, "\n");
    for (uint32_t i = 0; i < report->frame_count; i++) {
        frame_add(text, size, &used, report->frames[i]);
    }
}

static void print_to_stderr(const asx_stall_report *report)
{
    char text[4096];
    asx_stall_report_print(report, text, sizeof(text));
    (void)fputs(text, stderr);
}

static void tell(asx_stall_watch *watch, asxi_stall_slot *slot)
{
    if (watch->reports_left == 0) {
        watch->unreported++;
        return;
    }
    watch->reports_left--;
    asx_stall_report *const report = &slot->sample;
    report->shard = slot->shard->index;
    report->held_ns = asx_time_mul(ASX_NS_PER_MS, (uint64_t)watch->period_ms * (slot->looks - 1));
    report->unreported = watch->unreported;
    watch->unreported = 0;
    if (watch->config.report) {
        watch->config.report(watch->config.arg, report);
    } else {
        print_to_stderr(report);
    }
}

static void look_at(asx_stall_watch *watch, asxi_stall_slot *slot)
{
    const uint32_t pulse = __atomic_load_n(&slot->shard->pulse, __ATOMIC_RELAXED);
    const uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
    if (state == SAMPLE_NOTED) {
        tell(watch, slot);
    }
    if (state == SAMPLE_NOTED || state == SAMPLE_MISSED) {
        __atomic_store_n(&slot->state, SAMPLE_NONE, __ATOMIC_RELAXED);
    }
    if (pulse % 2 == 0 || pulse != slot->pulse) {
        slot->pulse = pulse;
        slot->looks = pulse % 2; /* a turn counts from the look that found it */
        slot->reported = false;
        return;
    }
    slot->looks++;
    if (slot->looks > LOOKS_PER_THRESHOLD && !slot->reported && state != SAMPLE_ASKED) {
        slot->reported = true;
        slot->asked_pulse = pulse;
        /* Pairs with the acquire in sample_handler. */
        __atomic_store_n(&slot->state, SAMPLE_ASKED, __ATOMIC_RELEASE);
        (void)pthread_kill(slot->thread, SIGURG);
    }
}

static void look(asx_stall_watch *watch)
{
    if (++watch->looks >= watch->looks_per_minute) {
        watch->looks = 0;
        watch->reports_left = watch->config.reports_per_minute;
    }
    for (uint32_t i = 0; i < ASX_SHARD_COUNT_MAX; i++) {
        if (watch->slots[i].shard) {
            look_at(watch, &watch->slots[i]);
        }
    }
}

static void *watch_main(void *arg)
{
    asx_stall_watch *const watch = arg;
    struct pollfd stop = { .fd = watch->stop_fd, .events = POLLIN };
    while (poll(&stop, 1, watch->period_ms) <= 0) { /* a signal only brings the look forward */
        (void)pthread_mutex_lock(&watch->mutex);
        look(watch);
        (void)pthread_mutex_unlock(&watch->mutex);
    }
    return NULL;
}

static void config_set(asx_stall_watch *watch, const asx_stall_config *config)
{
    watch->config = *config;
    if (watch->config.threshold_ns == 0) {
        watch->config.threshold_ns = THRESHOLD_DEFAULT_NS;
    }
    if (watch->config.reports_per_minute == 0) {
        watch->config.reports_per_minute = REPORTS_DEFAULT;
    }
    const uint64_t period_ms = watch->config.threshold_ns / (LOOKS_PER_THRESHOLD * ASX_NS_PER_MS);
    watch->period_ms = period_ms < 1 ? 1 : period_ms > 1000 ? 1000 : (int)period_ms;
    watch->looks_per_minute = 60000u / (uint32_t)watch->period_ms;
    watch->reports_left = watch->config.reports_per_minute;
}

/* Signals are for the shards' threads and whoever else waits for them. */
static int thread_start(asx_stall_watch *watch)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    const int err = pthread_create(&watch->thread, NULL, watch_main, watch);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return err;
}

asx_err asx_stall_watch_create(const asx_stall_config *config, asx_stall_watch **out)
{
    asx_stall_watch *const watch = calloc(1, sizeof(*watch));
    if (!watch) {
        return ASX_E(NO_MEMORY);
    }
    config_set(watch, config);
    asx_err err = ASX_OK;
    watch->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (watch->stop_fd < 0) {
        err = asx_err_errno(errno);
        goto undo_calloc;
    }
    struct sigaction action = { .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };
    action.sa_sigaction = sample_handler;
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGURG, &action, &watch->previous);
    (void)pthread_mutex_init(&watch->mutex, NULL);
    const int failed = thread_start(watch);
    if (failed) {
        err = asx_err_errno(failed);
        goto undo_handler;
    }
    *out = watch;
    return ASX_OK;
undo_handler:
    (void)sigaction(SIGURG, &watch->previous, NULL);
    (void)close(watch->stop_fd);
undo_calloc:
    free(watch);
    return err;
}

static void stack_bounds(asxi_stall_slot *slot)
{
    pthread_attr_t attr;
    void *low = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        (void)pthread_attr_getstack(&attr, &low, &size);
        (void)pthread_attr_destroy(&attr);
    }
    slot->stack_low = (uintptr_t)low;
    slot->stack_high = (uintptr_t)low + size;
}

void asx_stall_watch_join(asx_stall_watch *watch, asx_shard *shard)
{
    asx_assert(!shard->stall && asxi_shard_self == shard);
    (void)pthread_mutex_lock(&watch->mutex);
    for (uint32_t i = 0; i < ASX_SHARD_COUNT_MAX && !shard->stall; i++) {
        asxi_stall_slot *const slot = &watch->slots[i];
        if (!slot->shard) {
            *slot = (asxi_stall_slot){ .shard = shard, .thread = pthread_self() };
            stack_bounds(slot);
            shard->stall = slot;
        }
    }
    (void)pthread_mutex_unlock(&watch->mutex);
}

void asx_stall_watch_leave(asx_stall_watch *watch, asx_shard *shard)
{
    (void)pthread_mutex_lock(&watch->mutex);
    if (shard->stall) {
        shard->stall->shard = NULL;
        shard->stall = NULL; /* a signal that is still on the way finds nothing to note */
    }
    (void)pthread_mutex_unlock(&watch->mutex);
}

void asx_stall_watch_destroy(asx_stall_watch *watch)
{
    const uint64_t one = 1;
    for (uint32_t i = 0; i < ASX_SHARD_COUNT_MAX; i++) {
        asx_assert(!watch->slots[i].shard);
    }
    (void)!write(watch->stop_fd, &one, sizeof(one));
    (void)pthread_join(watch->thread, NULL);
    (void)sigaction(SIGURG, &watch->previous, NULL);
    (void)pthread_mutex_destroy(&watch->mutex);
    (void)close(watch->stop_fd);
    free(watch);
}
