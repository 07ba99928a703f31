#include "admit.h"

#include <asx/shard/base/assert.h>

#include <string.h>

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
    uint64_t held; /* connections that were counted and have not left */
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
    asx_assert_le(config->rate, ASX_ADMIT_RATE_MAX);
    asx_assert_le(config->per_source_max, ASX_SOURCE_COUNT_MAX);
    asx_assert(config->per_source_max == 0 || config->sources);
    asx_admit *const admit = asx_region_alloc(region, sizeof(*admit));
    if (!admit) {
        return ASX_E(NO_MEMORY);
    }
    *admit = (asx_admit){ .config = *config };
    asx_admit_limits_set(admit, config->per_source_max, config->rate, config->burst);
    *out = admit;
    return ASX_OK;
}

void asx_admit_limits_set(asx_admit *admit, uint32_t per_source_max, uint32_t rate, uint32_t burst)
{
    admit->config.per_source_max = per_source_max;
    if (admit->config.rate != rate || admit->config.burst != (burst ? burst : rate)) {
        memset(admit->buckets, 0, sizeof(admit->buckets));
    }
    admit->config.rate = rate;
    admit->config.burst = burst ? burst : rate;
}

bool asx_admit_counts_sources(const asx_admit *admit)
{
    return admit->config.per_source_max > 0;
}

/* What of an address is counted; false: it has no source. */
static bool source_of(const asx_addr *addr, asx_source *key)
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
    asx_source key = { .listener = (uint8_t)listener };
    if (admit->config.rate > 0 && !bucket_has(admit, own, now_ns)) {
        return ASX_ADMIT_RATE;
    }
    if (admit->config.per_source_max > 0 && source_of(peer, &key)) {
        switch (
            asx_sources_enter(admit->config.sources, &key, admit->config.per_source_max, source)) {
        case ASX_SOURCES_OK:
            admit->held++;
            break;
        case ASX_SOURCES_TOO_MANY:
            return ASX_ADMIT_PER_SOURCE;
        case ASX_SOURCES_NO_ROOM:
            return ASX_ADMIT_SOURCES;
        }
    }
    if (admit->config.rate > 0) {
        own->parts -= ASX_NS_PER_S;
    }
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
    asx_assert_lt(0, admit->held);
    admit->held--;
    asx_sources_leave(admit->config.sources, source);
}

asx_admit_stats asx_admit_stats_of(const asx_admit *admit)
{
    return admit->stats;
}

void asx_admit_destroy(asx_admit *admit)
{
    asx_assert_eq(admit->held, 0);
}
