#include <asx/raptorq/cache.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/prng.h>

#include <stdbool.h>
#include <string.h>

typedef struct entry {
    asx_rq_plan *plan; /* NULL: slot is free */
    uint32_t k_prime;
    uint32_t rows; /* 0: encoding plan */
    uint32_t *key; /* rows x (isi, feed), then policy */
    uint64_t hash;
    uint64_t used; /* tick of the last hit */
} entry;

struct asx_rq_cache {
    uint32_t entries_max;
    size_t bytes_max;
    uint64_t tick;
    asx_rq_cache_stats stats;
    const asx_rq_alloc *alloc_ptr;
    asx_rq_alloc alloc;
    entry entries[];
};

static size_t key_size(uint32_t rows)
{
    return rows > 0 ? (2 * (size_t)rows + 1) * sizeof(uint32_t) : 0;
}

static size_t cache_size(uint32_t entries)
{
    return sizeof(asx_rq_cache) + entries * sizeof(entry);
}

asx_err asx_rq_cache_create(asx_rq_cache **result, uint32_t entries_max, size_t bytes_max,
                            const asx_rq_alloc *alloc)
{
    const uint32_t entries = entries_max > 0 ? entries_max : ASX_RQ_CACHE_ENTRIES;
    asx_rq_cache *cache = asx_rq_alloc_get(alloc, cache_size(entries));
    if (cache == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    memset(cache, 0, cache_size(entries));
    cache->entries_max = entries;
    cache->bytes_max = bytes_max > 0 ? bytes_max : ASX_RQ_CACHE_BYTES;
    if (alloc != NULL) {
        cache->alloc = *alloc;
        cache->alloc_ptr = &cache->alloc;
    }
    *result = cache;
    return ASX_OK;
}

static size_t entry_bytes(const entry *slot)
{
    return asx_rq_plan_size(slot->plan) + key_size(slot->rows);
}

static void forget(asx_rq_cache *cache, entry *slot)
{
    cache->stats.bytes -= entry_bytes(slot);
    cache->stats.entries--;
    asx_rq_alloc_put(cache->alloc_ptr, slot->key, key_size(slot->rows));
    asx_rq_plan_unref(slot->plan);
    memset(slot, 0, sizeof(*slot));
}

void asx_rq_cache_destroy(asx_rq_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    for (uint32_t i = 0; i < cache->entries_max; i++) {
        if (cache->entries[i].plan != NULL) {
            forget(cache, &cache->entries[i]);
        }
    }
    asx_assert_eq(cache->stats.bytes, 0);
    const asx_rq_alloc alloc = cache->alloc;
    asx_rq_alloc_put(cache->alloc_ptr != NULL ? &alloc : NULL, cache,
                     cache_size(cache->entries_max));
}

static uint64_t hash_rows(uint32_t k_prime, const asx_rq_rows *rows, asx_rq_policy policy)
{
    uint64_t hash = asx_mix64(k_prime | (uint64_t)policy << 32);
    for (uint32_t i = 0; rows != NULL && i < rows->count; i++) {
        hash = asx_mix64(hash ^ (rows->isi[i] | (uint64_t)rows->feed[i] << 32));
    }
    return hash;
}

static bool key_equals(const entry *slot, const asx_rq_rows *rows, asx_rq_policy policy)
{
    if (rows == NULL) {
        return slot->rows == 0;
    }
    return slot->rows == rows->count && slot->key[2 * rows->count] == (uint32_t)policy &&
           memcmp(slot->key, rows->isi, rows->count * sizeof(uint32_t)) == 0 &&
           memcmp(slot->key + rows->count, rows->feed, rows->count * sizeof(uint32_t)) == 0;
}

static entry *find(asx_rq_cache *cache, uint64_t hash, uint32_t k_prime, const asx_rq_rows *rows,
                   asx_rq_policy policy)
{
    for (uint32_t i = 0; i < cache->entries_max; i++) {
        entry *slot = &cache->entries[i];
        if (slot->plan == NULL || slot->hash != hash) {
            continue;
        }
        if (slot->k_prime == k_prime && key_equals(slot, rows, policy)) {
            slot->used = ++cache->tick;
            cache->stats.hits++;
            return slot;
        }
        cache->stats.collisions++;
    }
    cache->stats.misses++;
    return NULL;
}

static entry *oldest(asx_rq_cache *cache)
{
    entry *found = NULL;
    for (uint32_t i = 0; i < cache->entries_max; i++) {
        entry *slot = &cache->entries[i];
        if (slot->plan != NULL && (found == NULL || slot->used < found->used)) {
            found = slot;
        }
    }
    return found;
}

/* Keeps a reference of its own; does nothing when the plan alone passes the limit. */
static void keep(asx_rq_cache *cache, uint64_t hash, uint32_t k_prime, const asx_rq_rows *rows,
                 asx_rq_policy policy, asx_rq_plan *plan)
{
    const uint32_t count = rows != NULL ? rows->count : 0;
    const size_t bytes = asx_rq_plan_size(plan) + key_size(count);
    uint32_t *key = NULL;
    if (bytes > cache->bytes_max) {
        return;
    }
    if (count > 0) {
        key = asx_rq_alloc_get(cache->alloc_ptr, key_size(count));
        if (key == NULL) {
            return;
        }
        memcpy(key, rows->isi, count * sizeof(*key));
        memcpy(key + count, rows->feed, count * sizeof(*key));
        key[2 * count] = (uint32_t)policy;
    }
    while (cache->stats.entries == cache->entries_max ||
           cache->stats.bytes + bytes > cache->bytes_max) {
        forget(cache, oldest(cache));
        cache->stats.evictions++;
    }
    entry *slot = cache->entries;
    while (slot->plan != NULL) {
        slot++;
    }
    *slot = (entry){ .plan = asx_rq_plan_ref(plan),
                     .k_prime = k_prime,
                     .rows = count,
                     .key = key,
                     .hash = hash,
                     .used = ++cache->tick };
    cache->stats.entries++;
    cache->stats.bytes += bytes;
}

static asx_err get(asx_rq_cache *cache, asx_rq_plan **plan, const asx_rq_param *param,
                   const asx_rq_rows *rows, asx_rq_policy policy, const asx_rq_alloc *alloc,
                   asx_rq_solve_stats *stats)
{
    const uint64_t hash = hash_rows(param->k_prime, rows, policy);
    if (cache != NULL) {
        const entry *slot = find(cache, hash, param->k_prime, rows, policy);
        if (slot != NULL) {
            *plan = asx_rq_plan_ref(slot->plan);
            if (stats != NULL) {
                *stats = *asx_rq_plan_stats(slot->plan);
            }
            return ASX_OK;
        }
    }
    const asx_err err = rows != NULL ? asx_rq_plan_solve(plan, param, rows, policy, alloc, stats)
                                     : asx_rq_plan_encode(plan, param, alloc);
    if (err == ASX_OK && cache != NULL) {
        keep(cache, hash, param->k_prime, rows, policy, *plan);
    }
    return err;
}

asx_err asx_rq_cache_encode(asx_rq_cache *cache, asx_rq_plan **plan, const asx_rq_param *param,
                            const asx_rq_alloc *alloc)
{
    return get(cache, plan, param, NULL, ASX_RQ_POLICY_AUTO, alloc, NULL);
}

asx_err asx_rq_cache_decode(asx_rq_cache *cache, asx_rq_plan **plan, const asx_rq_param *param,
                            const asx_rq_rows *rows, asx_rq_policy policy,
                            const asx_rq_alloc *alloc, asx_rq_solve_stats *stats)
{
    return get(cache, plan, param, rows, policy, alloc, stats);
}

asx_rq_cache_stats asx_rq_cache_stats_get(const asx_rq_cache *cache)
{
    return cache->stats;
}
