/* A word is 40 bits of the hash above 24 bits of count; 0 is nobody's. Every change is one
 * compare-and-swap of the whole word, so that a word is never of two sources. All accesses are
 * sequentially consistent: of two shards that add to different words of one source, at least one
 * sees the other in its sum. */
#include "sources.h"

#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>
#include <asx/shard/base/prng.h>

#include <stdbool.h>

#define COUNT_BITS 24u
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)
#define LINE_WORDS 8u
#define ALIGN (LINE_WORDS * sizeof(uint64_t))
#define WINDOW_WORDS (4 * LINE_WORDS)
/* Each retry means that somebody else's change to the same window went through. */
#define TRIES_MAX 1024u

_Static_assert(ASX_SOURCE_COUNT_MAX < COUNT_MASK, "room for those about to be refused");

struct asx_sources {
    uint64_t seed;
    uint32_t sources_max, line_mask;
    uint32_t live __attribute__((aligned(ALIGN)));
    uint64_t words[] __attribute__((aligned(ALIGN)));
};

static uint32_t words_for(uint32_t sources_max)
{
    const uint64_t words = asx_pow2_ceil(2 * (uint64_t)sources_max);
    return words < WINDOW_WORDS ? WINDOW_WORDS : (uint32_t)words;
}

size_t asx_sources_bytes(uint32_t sources_max)
{
    asx_assert(sources_max >= 1 && sources_max <= ASX_SOURCES_MAX);
    return sizeof(asx_sources) + words_for(sources_max) * sizeof(uint64_t) + ALIGN - 1;
}

asx_sources *asx_sources_init(void *storage, uint32_t sources_max)
{
    char *const aligned = (char *)storage + (-(uintptr_t)storage & (ALIGN - 1));
    asx_sources *const self = (asx_sources *)(void *)aligned;
    self->sources_max = sources_max;
    self->line_mask = words_for(sources_max) / LINE_WORDS - 1;
    return self;
}

void asx_sources_seed(asx_sources *self, uint64_t seed)
{
    uint64_t none = 0;
    (void)__atomic_compare_exchange_n(&self->seed, &none, seed | 1, false, __ATOMIC_SEQ_CST,
                                      __ATOMIC_SEQ_CST);
}

uint32_t asx_sources_count(const asx_sources *self)
{
    return __atomic_load_n(&self->live, __ATOMIC_RELAXED);
}

static uint64_t hash_of(const asx_sources *self, const asx_source *source)
{
    const uint64_t seed = __atomic_load_n(&self->seed, __ATOMIC_RELAXED);
    const uint64_t where = (uint64_t)source->family << 8 | source->listener;
    return asx_mix64(asx_mix64(source->prefix ^ seed) + where);
}

/* The `i`th of a hash's window. */
static uint64_t *word_at(asx_sources *self, uint64_t hash, uint32_t i)
{
    const uint32_t line = ((uint32_t)hash + i / LINE_WORDS) & self->line_mask;
    return &self->words[line * LINE_WORDS + i % LINE_WORDS];
}

/* What a window says about a source at one reading. */
typedef struct look {
    uint64_t count; /* of connections */
    uint64_t *own;  /* a word of its own and what was there; or NULL */
    uint64_t seen;
    uint64_t *free; /* the first of nobody's, or NULL */
} look;

static look look_at(asx_sources *self, uint64_t hash)
{
    look found = { 0 };
    for (uint32_t i = 0; i < WINDOW_WORDS; i++) {
        uint64_t *const word = word_at(self, hash, i);
        const uint64_t seen = __atomic_load_n(word, __ATOMIC_SEQ_CST);
        if (seen == 0) {
            found.free = found.free ? found.free : word;
        } else if ((seen ^ hash) >> COUNT_BITS == 0) {
            found.count += seen & COUNT_MASK;
            found.own = word;
            found.seen = seen;
        }
    }
    return found;
}

static bool swap(uint64_t *word, uint64_t from, uint64_t to)
{
    return __atomic_compare_exchange_n(word, &from, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* A new source's first word; false when another took it, or there is none. */
static bool claim(asx_sources *self, uint64_t hash, uint64_t *word)
{
    if (__atomic_fetch_add(&self->live, 1, __ATOMIC_RELAXED) < self->sources_max &&
        swap(word, 0, (hash & ~COUNT_MASK) | 1)) {
        return true;
    }
    __atomic_fetch_sub(&self->live, 1, __ATOMIC_RELAXED);
    return false;
}

static void word_leave(asx_sources *self, uint64_t *word)
{
    uint64_t seen = __atomic_load_n(word, __ATOMIC_SEQ_CST);
    for (;;) {
        const uint64_t count = seen & COUNT_MASK;
        asx_assert_lt(0, count);
        if (__atomic_compare_exchange_n(word, &seen, count > 1 ? seen - 1 : 0, false,
                                        __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            if (count == 1) {
                __atomic_fetch_sub(&self->live, 1, __ATOMIC_RELAXED);
            }
            return;
        }
    }
}

asx_sources_verdict asx_sources_enter(asx_sources *self, const asx_source *source, uint32_t most,
                                      uint32_t *place)
{
    const uint64_t hash = hash_of(self, source);
    asx_assert(most >= 1 && most <= ASX_SOURCE_COUNT_MAX);
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        const look before = look_at(self, hash);
        uint64_t *const word = before.own ? before.own : before.free;
        if (before.count >= most) {
            return ASX_SOURCES_TOO_MANY;
        }
        if (!before.own && (!word || asx_sources_count(self) >= self->sources_max)) {
            return ASX_SOURCES_NO_ROOM;
        }
        if (before.own ? !swap(word, before.seen, before.seen + 1) : !claim(self, hash, word)) {
            continue;
        }
        if (look_at(self, hash).count > most) { /* another word of it was claimed meanwhile */
            word_leave(self, word);
            return ASX_SOURCES_TOO_MANY;
        }
        *place = (uint32_t)(word - self->words) + 1;
        return ASX_SOURCES_OK;
    }
    return ASX_SOURCES_NO_ROOM;
}

void asx_sources_leave(asx_sources *self, uint32_t place)
{
    asx_assert(place > 0 && place <= (self->line_mask + 1) * LINE_WORDS);
    word_leave(self, &self->words[place - 1]);
}
