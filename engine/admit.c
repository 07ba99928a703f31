/* Sources stand in a table of chains. An entry's place in memory never changes, so that a
 * connection can hold on to its number. */
#include "admit.h"

#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>
#include <asx/shard/base/prng.h>

#include <string.h>

/* While it is counted it is in the chain of its hash, else in the chain of free ones. */
typedef struct entry {
    uint64_t prefix;
    uint32_t next; /* number of an entry; 0: the last */
    uint32_t count;
    uint8_t family, listener;
} entry;
_Static_assert(sizeof(entry) == 24, "as the note says");

/* Filled by `rate` a nanosecond; a connection takes ASX_NS_PER_S. In such parts nothing is lost by
 * rounding. */
typedef struct bucket {
    uint64_t parts;
    asx_instant filled_at_ns;
    bool used;
} bucket;

struct asx_admit {
    asx_admit_config config;
    asx_admit_stats stats;
    uint32_t *heads;      /* numbers of entries; 0: none */
    uint32_t heads_mask;  /* their count - 1 */
    uint32_t free, fresh; /* first of the free chain · first number that was never used */
    entry *entries;       /* by number - 1 */
    bucket buckets[ASX_ADMIT_LISTENERS_MAX];
};

const char *asx_admit_verdict_name(asx_admit_verdict verdict)
{
    switch (verdict) {
    case ASX_ADMIT_OK:
        return "admitted";
    case ASX_ADMIT_PER_SOURCE:
        return "per_ip";
    case ASX_ADMIT_RATE:
        return "rate";
    case ASX_ADMIT_SOURCES:
        return "sources";
    case ASX_ADMIT_VERDICT_COUNT:
        break;
    }
    return "?";
}

asx_err asx_admit_create(asx_region *region, const asx_admit_config *config, asx_admit **out)
{
    asx_assert_le(config->sources_max, ASX_ADMIT_SOURCES_MAX);
    asx_assert_le(config->rate, ASX_ADMIT_RATE_MAX);
    asx_admit *const admit = asx_region_alloc(region, sizeof(*admit));
    if (!admit) {
        return ASX_E(NO_MEMORY);
    }
    *admit = (asx_admit){ .config = *config, .fresh = 1 };
    if (admit->config.burst == 0) {
        admit->config.burst = config->rate;
    }
    if (config->per_source_max > 0) {
        asx_assert(config->sources_max > 0);
        const size_t heads = (size_t)asx_pow2_ceil(config->sources_max);
        admit->heads = asx_region_alloc(region, heads * sizeof(*admit->heads));
        admit->entries = asx_region_alloc(region, config->sources_max * sizeof(entry));
        if (!admit->heads || !admit->entries) {
            return ASX_E(NO_MEMORY);
        }
        memset(admit->heads, 0, heads * sizeof(*admit->heads));
        admit->heads_mask = (uint32_t)heads - 1;
    }
    *out = admit;
    return ASX_OK;
}

bool asx_admit_counts_sources(const asx_admit *admit)
{
    return admit->config.per_source_max > 0;
}

/* What of an address is counted; false: it has no source. */
static bool source_of(const asx_addr *addr, entry *key)
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    const uint8_t *ip = addr->ip;
    uint32_t v4;
    key->family = addr->family;
    if (addr->family == ASX_ADDR_INET6 && memcmp(ip, mapped, sizeof(mapped)) == 0) {
        key->family = ASX_ADDR_INET;
        ip += sizeof(mapped);
    }
    if (key->family == ASX_ADDR_INET6) {
        memcpy(&key->prefix, ip, sizeof(key->prefix));
        return true;
    }
    memcpy(&v4, ip, sizeof(v4));
    key->prefix = v4;
    return key->family == ASX_ADDR_INET;
}

static uint32_t *head_of(const asx_admit *admit, const entry *key)
{
    const uint64_t who = asx_mix64(key->prefix ^ admit->config.seed);
    const uint64_t where = (uint64_t)key->family << 8 | key->listener;
    return &admit->heads[asx_mix64(who + where) & admit->heads_mask];
}

static entry *entry_at(const asx_admit *admit, uint32_t number)
{
    asx_debug_assert(number > 0 && number < admit->fresh);
    return &admit->entries[number - 1];
}

static bool same(const entry *a, const entry *b)
{
    return a->prefix == b->prefix && a->family == b->family && a->listener == b->listener;
}

/* 0: it has no connection. */
static uint32_t find(const asx_admit *admit, const entry *key)
{
    uint32_t number = *head_of(admit, key);
    while (number != 0 && !same(entry_at(admit, number), key)) {
        number = entry_at(admit, number)->next;
    }
    return number;
}

/* 0: there is no room for another. */
static uint32_t insert(asx_admit *admit, const entry *key)
{
    uint32_t number = admit->free;
    uint32_t *const head = head_of(admit, key);
    if (number != 0) {
        admit->free = entry_at(admit, number)->next;
    } else if (admit->fresh <= admit->config.sources_max) {
        number = admit->fresh++;
    } else {
        return 0;
    }
    *entry_at(admit, number) = *key;
    entry_at(admit, number)->next = *head;
    *head = number;
    admit->stats.sources++;
    return number;
}

/* Its last connection has left. */
static void take_out(asx_admit *admit, uint32_t number)
{
    entry *const gone = entry_at(admit, number);
    uint32_t *link = head_of(admit, gone);
    while (*link != number) {
        link = &entry_at(admit, *link)->next;
    }
    *link = gone->next;
    gone->next = admit->free;
    admit->free = number;
    admit->stats.sources--;
}

/* Fills the bucket up to now; true when it has a connection. */
static bool bucket_has(const asx_admit *admit, bucket *own, asx_instant now_ns)
{
    const uint64_t full = admit->config.burst * ASX_NS_PER_S;
    const asx_duration passed_ns = asx_time_sub(now_ns, own->filled_at_ns);
    const uint64_t more = asx_time_mul(passed_ns, admit->config.rate);
    const bool fills_up = !own->used || more >= full - own->parts;
    own->parts = fills_up ? full : own->parts + more;
    own->filled_at_ns = now_ns;
    own->used = true;
    return own->parts >= ASX_NS_PER_S;
}

static asx_admit_verdict judge(asx_admit *admit, uint32_t listener, asx_instant now_ns,
                               const asx_addr *peer, uint32_t *source)
{
    bucket *const own = &admit->buckets[listener];
    entry key = { .listener = (uint8_t)listener };
    uint32_t number = 0;
    if (admit->config.rate > 0 && !bucket_has(admit, own, now_ns)) {
        return ASX_ADMIT_RATE;
    }
    if (admit->config.per_source_max > 0 && source_of(peer, &key)) {
        number = find(admit, &key);
        if (number != 0 && entry_at(admit, number)->count >= admit->config.per_source_max) {
            return ASX_ADMIT_PER_SOURCE;
        }
        number = number ? number : insert(admit, &key);
        if (number == 0) {
            return ASX_ADMIT_SOURCES;
        }
        entry_at(admit, number)->count++;
    }
    if (admit->config.rate > 0) {
        own->parts -= ASX_NS_PER_S;
    }
    *source = number;
    return ASX_ADMIT_OK;
}

asx_admit_verdict asx_admit_ask(asx_admit *admit, uint32_t listener, asx_instant now_ns,
                                const asx_addr *peer, uint32_t *source)
{
    asx_assert_lt(listener, ASX_ADMIT_LISTENERS_MAX);
    *source = 0;
    const asx_admit_verdict verdict = judge(admit, listener, now_ns, peer, source);
    admit->stats.verdicts[verdict]++;
    return verdict;
}

void asx_admit_leave(asx_admit *admit, uint32_t source)
{
    asx_assert(source > 0 && source < admit->fresh);
    entry *const left = entry_at(admit, source);
    asx_assert_lt(0, left->count);
    left->count--;
    if (left->count == 0) {
        take_out(admit, source);
    }
}

asx_admit_stats asx_admit_stats_of(const asx_admit *admit)
{
    return admit->stats;
}

void asx_admit_destroy(asx_admit *admit)
{
    asx_assert_eq(admit->stats.sources, 0);
}
