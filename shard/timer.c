/* The wheel and, for the tick in progress, sorted runs.
 *
 * Where an armed timer stands, and what holds there:
 *   _fresh   tick(at) <= _tick, armed since the last advance; in order of arming
 *   _runs    tick(at) <= _tick, sorted by (at, seq); what is due is the least head among the runs
 *   _slots   tick(at) >  _tick, in the level of the highest digit that differs from _tick
 *   _never   at is ASX_TIME_NEVER
 *
 * A lower level holds only earlier timers than a higher one, since its ticks agree with _tick in
 * one more digit; the slots of a level lie in ascending order behind the digit of _tick.
 *
 * Runs follow a binary counter, as in a merge sort that is fed piece by piece: two runs of one size
 * class become one of the next. A timer is thus merged O(log) times, however advances and limits
 * fall, and disarming one is an unlink from its run. */
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>
#include <asx/shard/base/prng.h>
#include <asx/shard/timer.h>

#include "trace_internal.h"

#include <assert.h>

#define DIGIT_BITS 8u
#define DIGIT_MASK 255u
/* An exact answer from next() saves a wake-up; a longer slot is not worth the walk. */
#define NEXT_SCAN_MAX 8

static_assert(ASX_TIMER_SLOTS == DIGIT_MASK + 1, "a slot for each value of a digit");
static_assert(UINT64_MAX / ASX_TIMER_TICK_NS < UINT64_C(1) << (ASX_TIMER_LEVELS * DIGIT_BITS),
              "the levels hold every tick");
static_assert(sizeof(asx_timer) <= 48, "three quarters of a line");

/* Through an integer: a node that is only looked at still belongs to a timer that may change. */
static asx_timer *timer_of(const asx_list *node)
{
    return (asx_timer *)((uintptr_t)node - offsetof(asx_timer, _link));
}

static uint64_t tick_of(asx_instant at_ns)
{
    return at_ns / ASX_TIMER_TICK_NS;
}

static unsigned digit_of(uint64_t tick, unsigned level)
{
    return (unsigned)(tick >> (level * DIGIT_BITS)) & DIGIT_MASK;
}

static bool before(const asx_timer *a, const asx_timer *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->_seq < b->_seq);
}

/* Chains: the nodes of a list by _next alone, ended by NULL; what merging works on. */

static asx_list *chain_merge(asx_list *a, asx_list *b)
{
    asx_list *first = NULL;
    asx_list **end = &first;
    while (a && b) {
        asx_list **const least = before(timer_of(b), timer_of(a)) ? &b : &a;
        *end = *least;
        end = &(*least)->_next;
        *least = *end;
    }
    *end = a ? a : b;
    return first;
}

static asx_list *chain_take(asx_list *head)
{
    asx_list *const first = asx_list_first(head);
    if (first) {
        head->_prev->_next = NULL;
        asx_list_init(head);
    }
    return first;
}

static void chain_give(asx_list *head, asx_list *chain)
{
    asx_list *last = head;
    for (asx_list *node = chain; node; node = node->_next) {
        node->_prev = last;
        last->_next = node;
        last = node;
    }
    last->_next = head;
    head->_prev = last;
}

/* Sorts a list by (at, seq), bottom up, and returns how long it is. */
static size_t list_sort(asx_list *list)
{
    if (list->_next == list->_prev) { /* none or one */
        return !asx_list_empty(list);
    }
    asx_list *bins[ASX_TIMER_RUNS] = { NULL };
    unsigned bin_count = 0;
    size_t count = 0;
    asx_list *rest = chain_take(list);
    while (rest) {
        asx_list *run = rest;
        rest = rest->_next;
        run->_next = NULL;
        unsigned i = 0;
        for (; i < bin_count && bins[i]; i++) {
            run = chain_merge(bins[i], run);
            bins[i] = NULL;
        }
        asx_assert_lt(i, ASX_TIMER_RUNS);
        bins[i] = run;
        bin_count = i == bin_count ? i + 1 : bin_count;
        count++;
    }
    asx_list *all = NULL;
    for (unsigned i = 0; i < bin_count; i++) {
        all = chain_merge(bins[i], all);
    }
    chain_give(list, all);
    return count;
}

/* Moves the sorted `source` behind or between the sorted `target`. */
static void list_merge(asx_list *target, asx_list *source)
{
    if (asx_list_empty(target) || asx_list_empty(source) ||
        before(timer_of(asx_list_last(target)), timer_of(asx_list_first(source)))) {
        asx_list_splice_back(target, source);
        return;
    }
    asx_list *const a = chain_take(target);
    chain_give(target, chain_merge(a, chain_take(source)));
}

/* Adds a sorted batch to the runs. */
static void runs_add(asx_timer_wheel *wheel, asx_list *batch, size_t count)
{
    if (count == 0) {
        return;
    }
    unsigned i = asx_log2_floor(count);
    while (i < ASX_TIMER_RUNS - 1 && (wheel->_run_mask >> i & 1)) {
        /* The run is earlier or equal in most cases, so the batch goes behind it. */
        list_merge(&wheel->_runs[i], batch);
        asx_list_splice_back(batch, &wheel->_runs[i]);
        wheel->_run_mask &= ~(UINT32_C(1) << i);
        i++;
    }
    list_merge(&wheel->_runs[i], batch);
    wheel->_run_mask |= UINT32_C(1) << i;
}

static asx_timer *runs_first(const asx_timer_wheel *wheel)
{
    asx_timer *first = NULL;
    for (uint32_t mask = wheel->_run_mask; mask; mask &= mask - 1) {
        const asx_list *const node = asx_list_first(&wheel->_runs[__builtin_ctz(mask)]);
        if (node && (!first || before(timer_of(node), first))) {
            first = timer_of(node);
        }
    }
    return first;
}

static void runs_forget_empty(asx_timer_wheel *wheel)
{
    for (uint32_t mask = wheel->_run_mask; mask; mask &= mask - 1) {
        const unsigned i = (unsigned)__builtin_ctz(mask);
        if (asx_list_empty(&wheel->_runs[i])) {
            wheel->_run_mask &= ~(UINT32_C(1) << i);
        }
    }
}

/* The first slot >= `from` of a level that holds a timer, or ASX_TIMER_SLOTS. */
static unsigned slot_next(const asx_timer_wheel *wheel, unsigned level, unsigned from)
{
    for (unsigned word = from / 64; word < ASX_TIMER_SLOTS / 64; word++) {
        uint64_t mask = wheel->_slot_mask[level][word];
        mask &= word == from / 64 ? ~UINT64_C(0) << (from % 64) : ~UINT64_C(0);
        if (mask) {
            return word * 64 + (unsigned)__builtin_ctzll(mask);
        }
    }
    return ASX_TIMER_SLOTS;
}

static void slot_push(asx_timer_wheel *wheel, asx_timer *timer, uint64_t tick)
{
    const unsigned level = asx_log2_floor(tick ^ wheel->_tick) / DIGIT_BITS;
    const unsigned slot = digit_of(tick, level);
    asx_list_push_back(&wheel->_slots[level][slot], &timer->_link);
    wheel->_slot_mask[level][slot / 64] |= UINT64_C(1) << (slot % 64);
}

static void slot_take(asx_timer_wheel *wheel, unsigned level, unsigned slot, asx_list *target)
{
    asx_list_splice_back(target, &wheel->_slots[level][slot]);
    wheel->_slot_mask[level][slot / 64] &= ~(UINT64_C(1) << (slot % 64));
}

/* A wheel that is no shard's has nobody to tell. Identities count from 1 and are never reused. */
#if ASX_TRACE
#define WHEEL_TRACE(wheel, kind, timer, ...)                                         \
    do {                                                                             \
        if ((wheel)->_shard) {                                                       \
            ASXI_TRACE((wheel)->_shard, kind,                                        \
                       (uint64_t)(wheel)->_shard->index << 56 | ((timer)->_seq + 1), \
                       ##__VA_ARGS__);                                               \
        }                                                                            \
    } while (0)
#else
#define WHEEL_TRACE(wheel, kind, timer, ...) ((void)0)
#endif

void asx_timer_wheel_init(asx_timer_wheel *wheel, asx_instant now_ns)
{
    wheel->_now_ns = now_ns;
    wheel->_tick = tick_of(now_ns);
    wheel->_seq = 0;
    wheel->_shape = (asx_timer_shape){ .max_ns = ASX_TIMER_MAX_NS };
    wheel->_moves = false;
    wheel->_shard = NULL;
    wheel->_count = 0;
    wheel->_fresh_min_ns = ASX_TIME_NEVER;
    asx_list_init(&wheel->_fresh);
    asx_list_init(&wheel->_never);
    wheel->_run_mask = 0;
    for (unsigned i = 0; i < ASX_TIMER_RUNS; i++) {
        asx_list_init(&wheel->_runs[i]);
    }
    for (unsigned level = 0; level < ASX_TIMER_LEVELS; level++) {
        for (unsigned word = 0; word < ASX_TIMER_SLOTS / 64; word++) {
            wheel->_slot_mask[level][word] = 0;
        }
        for (unsigned slot = 0; slot < ASX_TIMER_SLOTS; slot++) {
            asx_list_init(&wheel->_slots[level][slot]);
        }
    }
}

void asx_timer_wheel_shape(asx_timer_wheel *wheel, const asx_timer_shape *shape)
{
    wheel->_shape = *shape;
    wheel->_moves = shape->window_ns > 1 || shape->jitter_max_ns > 0;
    if (shape->max_ns == 0) {
        wheel->_shape.max_ns = ASX_TIMER_MAX_NS;
    }
}

/* Later or the same; where later would be never, the instant that was asked for. */
static asx_instant moved(const asx_timer_wheel *wheel, asx_instant at_ns, uint64_t seq)
{
    const asx_timer_shape *const shape = &wheel->_shape;
    asx_instant to_ns = at_ns;
    if (shape->jitter_max_ns > 0) {
        const uint64_t mixed = asx_mix64(shape->jitter_seed ^ asx_mix64(seq + 1));
        const unsigned __int128 scaled =
            (unsigned __int128)mixed * ((unsigned __int128)shape->jitter_max_ns + 1);
        to_ns = asx_time_add(to_ns, (asx_duration)(scaled >> 64));
    }
    if (shape->window_ns > 1 && to_ns % shape->window_ns != 0) {
        to_ns = asx_time_add(to_ns, shape->window_ns - to_ns % shape->window_ns);
    }
    return to_ns == ASX_TIME_NEVER ? at_ns : to_ns;
}

static void fresh_push(asx_timer_wheel *wheel, asx_timer *timer)
{
    if (asx_list_empty(&wheel->_fresh) || timer->at_ns < wheel->_fresh_min_ns) {
        wheel->_fresh_min_ns = timer->at_ns;
    }
    asx_list_push_back(&wheel->_fresh, &timer->_link);
}

void asx_timer_arm(asx_timer_wheel *wheel, asx_timer *timer, asx_instant at_ns)
{
    asx_assert(!asx_timer_armed(timer));
    asx_assert(timer->fn);
    if (asx_unlikely(wheel->_moves)) {
        at_ns = moved(wheel, at_ns, wheel->_seq);
    }
    const uint64_t tick = tick_of(at_ns);
    timer->at_ns = at_ns;
    timer->_seq = wheel->_seq++;
    wheel->_count++;
    WHEEL_TRACE(wheel, TIMER_ARM, timer, at_ns, 0);
    if (asx_unlikely(at_ns == ASX_TIME_NEVER)) {
        asx_list_push_back(&wheel->_never, &timer->_link);
    } else if (tick <= wheel->_tick) {
        fresh_push(wheel, timer);
    } else {
        slot_push(wheel, timer, tick);
    }
}

asx_err asx_timer_try_arm(asx_timer_wheel *wheel, asx_timer *timer, asx_instant at_ns)
{
    if (at_ns > asx_time_add(wheel->_now_ns, wheel->_shape.max_ns)) {
        return ASX_E(DURATION_EXCEEDED);
    }
    asx_timer_arm(wheel, timer, at_ns);
    return ASX_OK;
}

void asx_timer_disarm(asx_timer_wheel *wheel, asx_timer *timer)
{
    if (!asx_timer_armed(timer)) {
        return;
    }
    asx_assert_lt(0, wheel->_count);
    wheel->_count--;
    WHEEL_TRACE(wheel, TIMER_CANCEL, timer);
    asx_list *const neighbour = timer->_link._next;
    asx_list_unlink(&timer->_link);
    /* The last of its list: only the head is left, and its address says whether it is a slot. */
    if (asx_list_empty(neighbour)) {
        const uintptr_t offset = (uintptr_t)neighbour - (uintptr_t)wheel->_slots;
        if (offset < sizeof(wheel->_slots)) {
            const size_t i = offset / sizeof(asx_list);
            wheel->_slot_mask[i / ASX_TIMER_SLOTS][i % ASX_TIMER_SLOTS / 64] &=
                ~(UINT64_C(1) << (i % 64));
        }
    }
}

/* Places the timers of a slot whose digit was reached; those of this tick or earlier go to `due`.
 */
static void slot_fall(asx_timer_wheel *wheel, asx_list *slot, asx_list *due)
{
    asx_list *node;
    while ((node = asx_list_pop_front(slot))) {
        asx_timer *const timer = timer_of(node);
        const uint64_t tick = tick_of(timer->at_ns);
        if (tick <= wheel->_tick) {
            asx_list_push_back(due, node);
        } else {
            slot_push(wheel, timer, tick);
        }
    }
}

/* Moves on to a later tick. Slots are opened in ascending order of their ticks, so that the batch
 * grows at its end: the whole levels below the highest digit that changes, the slots of that level
 * up to the new digit, and at last the slot of the new digit itself, which falls. */
static void tick_move(asx_timer_wheel *wheel, uint64_t tick)
{
    asx_debug_assert(tick > wheel->_tick);
    const unsigned top = asx_log2_floor(tick ^ wheel->_tick) / DIGIT_BITS;
    const unsigned digit = digit_of(tick, top);
    const uint64_t from = wheel->_tick;
    asx_list batch, piece;
    asx_list_init(&batch);
    asx_list_init(&piece);
    size_t count = 0;
    for (unsigned level = 0; level <= top; level++) {
        const unsigned end = level == top ? digit : ASX_TIMER_SLOTS;
        for (unsigned slot = slot_next(wheel, level, digit_of(from, level)); slot < end;
             slot = slot_next(wheel, level, slot + 1)) {
            slot_take(wheel, level, slot, &piece);
            count += list_sort(&piece);
            asx_list_splice_back(&batch, &piece);
        }
    }
    wheel->_tick = tick;
    if (wheel->_slot_mask[top][digit / 64] >> (digit % 64) & 1) {
        asx_list falling;
        asx_list_init(&falling);
        slot_take(wheel, top, digit, &falling);
        slot_fall(wheel, &falling, &piece);
        count += list_sort(&piece);
        asx_list_splice_back(&batch, &piece);
    }
    runs_add(wheel, &batch, count);
}

unsigned asx_timer_wheel_advance(asx_timer_wheel *wheel, asx_instant now_ns, unsigned limit)
{
    if (now_ns > wheel->_now_ns) {
        wheel->_now_ns = now_ns;
    }
    if (!asx_list_empty(&wheel->_fresh)) {
        asx_list batch;
        asx_list_init(&batch);
        asx_list_splice_back(&batch, &wheel->_fresh);
        const size_t count = list_sort(&batch);
        runs_add(wheel, &batch, count);
    }
    const uint64_t tick = tick_of(wheel->_now_ns);
    if (tick != wheel->_tick) {
        tick_move(wheel, tick);
    }
    unsigned fired = 0;
    for (; fired < limit && wheel->_run_mask; fired++) {
        asx_timer *const timer = runs_first(wheel);
        if (!timer || timer->at_ns > wheel->_now_ns) {
            break;
        }
        asx_list_unlink(&timer->_link);
        wheel->_count--;
        WHEEL_TRACE(wheel, TIMER_FIRE, timer);
        timer->fn(timer); /* may arm and disarm: nothing of the wheel is held across it */
    }
    runs_forget_empty(wheel);
    return fired;
}

/* The least instant of a slot, or the beginning of the slot when that would be a long walk. */
static asx_instant slot_min(const asx_timer_wheel *wheel, unsigned level, unsigned slot)
{
    const asx_list *const head = &wheel->_slots[level][slot];
    asx_instant min_ns = ASX_TIME_NEVER;
    unsigned count = 0;
    asx_list_each(node, head) {
        if (++count > NEXT_SCAN_MAX) {
            const unsigned shift = level * DIGIT_BITS;
            const uint64_t prefix = wheel->_tick >> shift >> DIGIT_BITS << DIGIT_BITS;
            return ((prefix | slot) << shift) * ASX_TIMER_TICK_NS;
        }
        const asx_instant at_ns = timer_of(node)->at_ns;
        min_ns = at_ns < min_ns ? at_ns : min_ns;
    }
    return min_ns;
}

asx_instant asx_timer_wheel_next(const asx_timer_wheel *wheel)
{
    asx_instant next_ns = ASX_TIME_NEVER;
    if (!asx_list_empty(&wheel->_fresh)) {
        /* The one that the minimum was taken from may be gone; the others may still lie ahead. */
        next_ns = wheel->_fresh_min_ns > wheel->_now_ns ? wheel->_fresh_min_ns : wheel->_now_ns;
    }
    const asx_timer *const due = runs_first(wheel);
    if (due && due->at_ns < next_ns) {
        next_ns = due->at_ns;
    }
    for (unsigned level = 0; level < ASX_TIMER_LEVELS && next_ns == ASX_TIME_NEVER; level++) {
        const unsigned slot = slot_next(wheel, level, 0);
        if (slot < ASX_TIMER_SLOTS) {
            next_ns = slot_min(wheel, level, slot);
        }
    }
    return next_ns;
}

size_t asx_timer_wheel_count(const asx_timer_wheel *wheel)
{
    return wheel->_count;
}

static size_t slots_check(const asx_timer_wheel *wheel, unsigned level)
{
    size_t count = 0;
    for (unsigned slot = 0; slot < ASX_TIMER_SLOTS; slot++) {
        const asx_list *const head = &wheel->_slots[level][slot];
        const uint64_t bit = wheel->_slot_mask[level][slot / 64] >> (slot % 64) & 1;
        asx_assert_eq(bit, !asx_list_empty(head));
        asx_list_each(node, head) {
            const uint64_t tick = tick_of(timer_of(node)->at_ns);
            asx_assert_lt(wheel->_tick, tick);
            asx_assert_eq(asx_log2_floor(tick ^ wheel->_tick) / DIGIT_BITS, level);
            asx_assert_eq(digit_of(tick, level), slot);
            count++;
        }
    }
    return count;
}

void asx_timer_wheel_check(const asx_timer_wheel *wheel)
{
    size_t count = 0;
    asx_assert_eq(wheel->_tick, tick_of(wheel->_now_ns));
    for (unsigned level = 0; level < ASX_TIMER_LEVELS; level++) {
        count += slots_check(wheel, level);
    }
    for (unsigned i = 0; i < ASX_TIMER_RUNS; i++) {
        const asx_timer *last = NULL;
        asx_list_each(node, &wheel->_runs[i]) {
            asx_assert(wheel->_run_mask >> i & 1);
            asx_assert_le(tick_of(timer_of(node)->at_ns), wheel->_tick);
            asx_assert(!last || before(last, timer_of(node)));
            last = timer_of(node);
            count++;
        }
    }
    asx_list_each(node, &wheel->_fresh) {
        asx_assert_le(wheel->_fresh_min_ns, timer_of(node)->at_ns);
        asx_assert_le(tick_of(timer_of(node)->at_ns), wheel->_tick);
        count++;
    }
    asx_list_each(node, &wheel->_never) {
        asx_assert_eq(timer_of(node)->at_ns, ASX_TIME_NEVER);
        count++;
    }
    asx_assert_eq(count, wheel->_count);
}
