/* Slabs, cells and records.
 *
 * The guard is an odd number of pages and the rest of a cell an even one, so the tops of stacks are
 * an odd number of pages apart: at a power of two all of them fall into a few sets of the TLB (a
 * ring of 1,000 fibers, 64 KiB apart, took 6.5 ns a switch on Zen 5; at 68 KiB 3.0).
 *
 * A cell, upwards: guard, usable bytes, the record, then the colour's unused lines. Cells are
 * carved in batches, so that the price of their guards is spread, and become stacks one at a time
 * when the pool has none left: a record is written, and thereby its page touched, at the first
 * acquire. A stack whose memory was given back has none any more: its cell is bare, and the first
 * to become a stack again. */
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>
#include <asx/shard/stack.h>

#include <assert.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if ASX_ASAN
#include <sanitizer/asan_interface.h>
#endif
#ifdef ASX_VALGRIND
#include <valgrind/valgrind.h>
#endif

/* Linux 6.13; Debian 12's headers are older. */
#define MADV_GUARD_INSTALL_ 102
#define MADV_GUARD_REMOVE_ 103

#define STACK_BYTES_MIN ((size_t)16 << 10)
#define SLAB_BYTES_MIN ((size_t)16 << 20)
#define SLAB_BYTES_MAX ((size_t)16 << 30)
#define CARVE_COUNT_MIN 4 /* of a pool's first stacks; then as many again as there are */
#define CARVE_COUNT_MAX 32
#define COLOURS 16
#define COLOUR_BYTES 128
#define HIGH_WATER_SAMPLE 8192

static_assert(COLOURS * COLOUR_BYTES <= 2048, "half of the top page is left to the first frames");
static_assert(SLAB_BYTES_MIN / ASX_STACK_BYTES_MAX >= 16, "a slab is worth its mapping");

const char *asx_stack_guard_kind_name(asx_stack_guard_kind kind)
{
    switch (kind) {
    case ASX_STACK_GUARD_AUTO:
        return "auto";
    case ASX_STACK_GUARD_MADVISE:
        return "madvise";
    case ASX_STACK_GUARD_MPROTECT:
        return "mprotect";
    case ASX_STACK_GUARD_NONE:
        return "none";
    }
    return "unknown";
}

static bool guard_install(asx_stack_guard_kind kind, char *cell, size_t bytes)
{
    switch (kind) {
    case ASX_STACK_GUARD_MADVISE:
        return madvise(cell, bytes, MADV_GUARD_INSTALL_) == 0;
    case ASX_STACK_GUARD_MPROTECT:
        return mprotect(cell, bytes, PROT_NONE) == 0;
    case ASX_STACK_GUARD_NONE:
        return true;
    case ASX_STACK_GUARD_AUTO:
        break;
    }
    asx_unreachable();
}

/* Success of the call is not enough: an emulator may ignore an advice that it does not know. So the
 * kernel is asked to write there, by a call that can do nothing else. */
static bool guard_works(asx_stack_guard_kind kind, size_t page_bytes)
{
    char *const page = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (page == MAP_FAILED) {
        return false;
    }
    const bool works = guard_install(kind, page, page_bytes) && syscall(SYS_uname, page) != 0;
    asx_assert_eq(munmap(page, page_bytes), 0);
    return works;
}

static asx_stack_guard_kind guard_probe(asx_stack_guard_kind wanted, size_t page_bytes)
{
    if (wanted != ASX_STACK_GUARD_AUTO) {
        const bool works = wanted == ASX_STACK_GUARD_NONE || guard_works(wanted, page_bytes);
        return works ? wanted : ASX_STACK_GUARD_NONE;
    }
    if (guard_works(ASX_STACK_GUARD_MADVISE, page_bytes)) {
        return ASX_STACK_GUARD_MADVISE;
    }
    return guard_works(ASX_STACK_GUARD_MPROTECT, page_bytes) ? ASX_STACK_GUARD_MPROTECT
                                                             : ASX_STACK_GUARD_NONE;
}

void asx_stack_pool_init(asx_stack_pool *pool, const asx_stack_config *config)
{
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    *pool = (asx_stack_pool){ ._page_bytes = page_bytes, ._sample_countdown = HIGH_WATER_SAMPLE };
    if (config) {
        pool->_config = *config;
    }
    asx_stack_config *const own = &pool->_config;
    own->default_bytes = own->default_bytes ? own->default_bytes : ASX_STACK_BYTES_DEFAULT;
    const size_t guard_pages = asx_div_ceil(own->guard_bytes ? own->guard_bytes : 1, page_bytes);
    own->guard_bytes = (guard_pages | 1) * page_bytes;
    asx_assert_le(own->default_bytes, ASX_STACK_BYTES_MAX);
    pool->_guard = guard_probe(own->guard, page_bytes);
    size_t stack_bytes = STACK_BYTES_MIN;
    for (unsigned i = 0; i < ASX_STACK_CLASSES; i++, stack_bytes *= 4) {
        asx_stack_class *const class = &pool->_classes[i];
        /* Where pages are large the small classes grow: a record and frames want two at least. */
        class->_stack_bytes = stack_bytes < 2 * page_bytes ? 2 * page_bytes : stack_bytes;
        class->_cell_bytes = own->guard_bytes + class->_stack_bytes;
        if (!pool->_default_class && class->_stack_bytes >= own->default_bytes) {
            pool->_default_class = class;
        }
    }
}

static char *slab_cell(const asx_stack_class *class, const asx_stack_slab *slab, size_t index)
{
    return slab->_cells + index * class->_cell_bytes;
}

/* Where the record of a cell stands. */
static asx_stack *cell_record(const asx_stack_class *class, const asx_stack_slab *slab,
                              size_t index)
{
    char *const end = slab_cell(class, slab, index) + class->_cell_bytes;
    return (asx_stack *)(void *)(end - sizeof(asx_stack) - index % COLOURS * COLOUR_BYTES);
}

static asx_stack_slab *class_slab(asx_stack_class *class)
{
    return class->_slab_count ? &class->_slabs[class->_slab_count - 1] : NULL;
}

/* Maps a slab twice the size of the last one; smaller ones where address space is rationed. */
static bool slab_map(asx_stack_class *class, size_t page_bytes)
{
    if (class->_slab_count == ASX_STACK_SLABS_MAX) {
        return false;
    }
    const asx_stack_slab *const last = class_slab(class);
    size_t bytes = last ? last->_mapped_bytes * 2 : SLAB_BYTES_MIN;
    bytes = bytes > SLAB_BYTES_MAX ? SLAB_BYTES_MAX : bytes;
    for (; bytes >= 2 * class->_cell_bytes; bytes /= 2) {
        char *const memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
        if (memory != MAP_FAILED) {
            /* A huge page under 32 idle stacks would undo the one page that each should cost. A
             * kernel without huge pages refuses, which is as good. */
            (void)madvise(memory, bytes, MADV_NOHUGEPAGE);
            const size_t words = asx_div_ceil(bytes / class->_cell_bytes, 64);
            const size_t head = asx_align_up(words * sizeof(uint64_t), page_bytes);
            class->_slabs[class->_slab_count] = (asx_stack_slab){
                ._bare = (uint64_t *)(void *)memory,
                ._cells = memory + head,
                ._mapped_bytes = bytes,
                ._cell_count = (bytes - head) / class->_cell_bytes,
            };
            /* guard_hit may look from a signal handler: the slab counts once it is complete. */
            __atomic_signal_fence(__ATOMIC_RELEASE);
            class->_slab_count++;
            return true;
        }
    }
    return false;
}

/* Sets the guards of the next cells. False when not even one could be set. */
static bool slab_carve(const asx_stack_pool *pool, const asx_stack_class *class,
                       asx_stack_slab *slab)
{
    const size_t begin = slab->_carved;
    const size_t count = begin < CARVE_COUNT_MIN   ? CARVE_COUNT_MIN
                         : begin < CARVE_COUNT_MAX ? begin
                                                   : CARVE_COUNT_MAX;
    const size_t end = begin + count > slab->_cell_count ? slab->_cell_count : begin + count;
    while (slab->_carved < end && guard_install(pool->_guard, slab_cell(class, slab, slab->_carved),
                                                pool->_config.guard_bytes)) {
        slab->_carved++;
    }
    return slab->_carved > begin;
}

/* Writes the record of a cell that has none. */
static asx_stack *stack_make(const asx_stack_pool *pool, unsigned cls, const asx_stack_slab *slab,
                             size_t index)
{
    const asx_stack_class *const class = &pool->_classes[cls];
    char *const base = slab_cell(class, slab, index) + pool->_config.guard_bytes;
    asx_stack *const stack = cell_record(class, slab, index);
    *stack =
        (asx_stack){ .base = base, .size = (size_t)((char *)stack - base), .cls = (uint8_t)cls };
#ifdef ASX_VALGRIND
    stack->_valgrind_id = (uint32_t)VALGRIND_STACK_REGISTER(base, stack);
#endif
    __atomic_signal_fence(__ATOMIC_RELEASE);
    return stack;
}

/* The lowest bare cell of the class, as a stack again, or NULL. */
static asx_stack *bare_take(asx_stack_pool *pool, unsigned cls)
{
    asx_stack_class *const class = &pool->_classes[cls];
    for (unsigned i = 0; i < class->_slab_count; i++) {
        asx_stack_slab *const slab = &class->_slabs[i];
        for (size_t word = 0; slab->_bare_count > 0; word++) {
            asx_assert_lt(word * 64, slab->_used);
            if (slab->_bare[word] != 0) {
                const size_t index = word * 64 + (size_t)__builtin_ctzll(slab->_bare[word]);
                asx_stack *const stack = stack_make(pool, cls, slab, index);
                slab->_bare[word] &= slab->_bare[word] - 1;
                slab->_bare_count--;
                return stack;
            }
        }
    }
    return NULL;
}

/* Turns the next cell of the class into a stack. */
static asx_stack *cell_take(asx_stack_pool *pool, unsigned cls)
{
    asx_stack_class *const class = &pool->_classes[cls];
    asx_stack *stack = bare_take(pool, cls);
    if (!stack) {
        asx_stack_slab *slab = class_slab(class);
        if (!slab || slab->_used == slab->_cell_count) {
            if (!slab_map(class, pool->_page_bytes)) {
                return NULL;
            }
            slab = class_slab(class);
        }
        if (slab->_used == slab->_carved && !slab_carve(pool, class, slab)) {
            return NULL;
        }
        stack = stack_make(pool, cls, slab, slab->_used);
        slab->_used++;
    }
    class->_made_count++;
    return stack;
}

static void stack_poison(const asx_stack *stack, bool poison)
{
#if ASX_ASAN
    if (poison) {
        ASAN_POISON_MEMORY_REGION(stack->base, stack->size);
    } else {
        ASAN_UNPOISON_MEMORY_REGION(stack->base, stack->size);
    }
#else
    (void)stack, (void)poison;
#endif
}

static size_t live_count(const asx_stack_pool *pool)
{
    size_t live = 0;
    for (unsigned cls = 0; cls < ASX_STACK_CLASSES; cls++) {
        live += pool->_classes[cls]._live_count;
    }
    return live;
}

asx_stack *asx_stack_acquire_slow(asx_stack_pool *pool, size_t bytes)
{
    bytes = bytes ? bytes : pool->_config.default_bytes;
    unsigned cls = 0;
    while (cls < ASX_STACK_CLASSES && pool->_classes[cls]._stack_bytes < bytes) {
        cls++;
    }
    if (cls == ASX_STACK_CLASSES ||
        (pool->_config.count_max && live_count(pool) >= pool->_config.count_max)) {
        return NULL;
    }
    asx_stack_class *const class = &pool->_classes[cls];
    asx_stack *stack = class->_pooled;
    if (stack) {
        class->_pooled = stack->_next;
    } else {
        stack = cell_take(pool, cls);
        if (!stack) {
            return NULL;
        }
    }
    asxi_stack_lend(class, stack);
    stack_poison(stack, false);
    return stack;
}

static void high_water_sample(asx_stack_class *class, const asx_stack *stack)
{
    const size_t used = asx_stack_high_water(stack);
    class->_high_water = used > class->_high_water ? used : class->_high_water;
}

bool asx_stack_yellow_open(const asx_stack_pool *pool, asx_stack *stack)
{
    const size_t bytes = pool->_config.guard_bytes - pool->_page_bytes;
    char *const zone = stack->base - bytes;
    if (stack->_live != 1 || bytes == 0) {
        return false;
    }
    const int refused = pool->_guard == ASX_STACK_GUARD_MADVISE
                            ? madvise(zone, bytes, MADV_GUARD_REMOVE_)
                            : mprotect(zone, bytes, PROT_READ | PROT_WRITE);
    stack->_live = refused == 0 ? 2 : 1;
    return refused == 0;
}

static ASX_NOINLINE void yellow_close(const asx_stack_pool *pool, asx_stack *stack)
{
    const size_t bytes = pool->_config.guard_bytes - pool->_page_bytes;
    asx_assert_eq(stack->_live, 2);
    if (!guard_install(pool->_guard, stack->base - bytes, bytes)) {
        asx_assert_fail(__FILE__, __LINE__, "the guard of a stack could not be set again");
    }
}

void asx_stack_releasing(asx_stack_pool *pool, asx_stack *stack)
{
    if (stack->_live != 1) {
        yellow_close(pool, stack);
    }
    if (pool->_sample_countdown == 0) {
        pool->_sample_countdown = HIGH_WATER_SAMPLE;
        high_water_sample(&pool->_classes[stack->cls], stack);
    }
    stack_poison(stack, true);
}

size_t asx_stack_high_water(const asx_stack *stack)
{
    unsigned char resident[ASX_STACK_BYTES_MAX / 4096];
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    const size_t page_count = asx_div_ceil(stack->size, page_bytes);
    asx_assert_le(page_count, sizeof(resident));
    if (mincore(stack->base, page_count * page_bytes, resident) != 0) {
        return 0;
    }
    size_t untouched = 0;
    while (untouched < page_count && !(resident[untouched] & 1)) {
        untouched++;
    }
    const size_t below = untouched * page_bytes;
    return below < stack->size ? stack->size - below : 0;
}

asx_stack_guard_kind asx_stack_pool_guard(const asx_stack_pool *pool)
{
    return pool->_guard;
}

/* The slab of the class in whose used cells `addr` lies, and which cell; or the count of slabs. */
static unsigned slab_find(const asx_stack_class *class, const void *addr, size_t *index,
                          size_t *offset)
{
    unsigned i = 0;
    for (; i < class->_slab_count; i++) {
        const size_t from = (size_t)((uintptr_t)addr - (uintptr_t) class->_slabs[i]._cells);
        *index = from / class->_cell_bytes;
        *offset = from % class->_cell_bytes;
        if (*index < class->_slabs[i]._used) {
            break;
        }
    }
    return i;
}

static bool is_bare(const asx_stack_slab *slab, size_t index)
{
    return slab->_bare[index / 64] >> index % 64 & 1;
}

bool asx_stack_guard_hit(const asx_stack_pool *pool, const void *fault_addr, asx_stack **which)
{
    for (unsigned cls = 0; cls < ASX_STACK_CLASSES; cls++) {
        const asx_stack_class *const class = &pool->_classes[cls];
        size_t index, offset;
        const unsigned at = slab_find(class, fault_addr, &index, &offset);
        if (at < class->_slab_count && !is_bare(&class->_slabs[at], index)) {
            if (which) {
                *which = cell_record(class, &class->_slabs[at], index);
            }
            return offset < pool->_config.guard_bytes;
        }
    }
    return false;
}

void asx_stack_stats_read(const asx_stack_pool *pool, asx_stack_stats *stats)
{
    *stats = (asx_stack_stats){ .live = live_count(pool) };
    for (unsigned cls = 0; cls < ASX_STACK_CLASSES; cls++) {
        const asx_stack_class *const class = &pool->_classes[cls];
        stats->pooled += class->_made_count - class->_live_count;
        stats->slabs += class->_slab_count;
        stats->high_water_max[cls] = class->_high_water;
        for (unsigned i = 0; i < class->_slab_count; i++) {
            stats->mapped_bytes += class->_slabs[i]._mapped_bytes;
        }
    }
}

/* Gives back all of a stack, record included. */
static void stack_bare(asx_stack_class *class, asx_stack *stack)
{
    size_t index, offset;
    const unsigned at = slab_find(class, stack, &index, &offset);
    asx_assert_lt(at, class->_slab_count);
    asx_stack_slab *const slab = &class->_slabs[at];
    asx_assert(!stack->_live && !is_bare(slab, index));
    high_water_sample(class, stack);
    stack_poison(stack, false);
#ifdef ASX_VALGRIND
    VALGRIND_STACK_DEREGISTER(stack->_valgrind_id);
#endif
    char *const base = stack->base;
    const size_t bytes = (size_t)(slab_cell(class, slab, index + 1) - base);
    slab->_bare[index / 64] |= UINT64_C(1) << index % 64;
    slab->_bare_count++;
    class->_made_count--;
    asx_assert_eq(madvise(base, bytes, MADV_DONTNEED), 0);
}

size_t asx_stack_pool_trim(asx_stack_pool *pool, size_t keep_count, size_t count_max)
{
    size_t trimmed = 0;
    for (unsigned cls = 0; cls < ASX_STACK_CLASSES; cls++) {
        asx_stack_class *const class = &pool->_classes[cls];
        asx_stack **link = &class->_pooled;
        for (size_t i = 0; i < keep_count && *link; i++) {
            link = &(*link)->_next;
        }
        for (; *link && trimmed < count_max; trimmed++) {
            asx_stack *const stack = *link;
            *link = stack->_next;
            stack_bare(class, stack);
        }
    }
    return trimmed;
}

void asx_stack_pool_deinit(asx_stack_pool *pool)
{
    asx_assert_eq(live_count(pool), 0);
    for (unsigned cls = 0; cls < ASX_STACK_CLASSES; cls++) {
        asx_stack_class *const class = &pool->_classes[cls];
        for (asx_stack *stack = class->_pooled; stack; stack = stack->_next) {
            stack_poison(stack, false);
#ifdef ASX_VALGRIND
            VALGRIND_STACK_DEREGISTER(stack->_valgrind_id);
#endif
        }
        class->_pooled = NULL;
        while (class->_slab_count > 0) {
            const asx_stack_slab *const slab = &class->_slabs[--class->_slab_count];
            asx_assert_eq(munmap(slab->_bare, slab->_mapped_bytes), 0);
        }
    }
}
