#include <asx/shard/base/assert.h>

#include "keyring_internal.h"

#include <string.h>
#include <sys/mman.h>

void *asxi_secret_get(size_t size)
{
    void *secret = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (secret == MAP_FAILED) {
        return NULL;
    }
    if (madvise(secret, size, MADV_DONTDUMP) != 0) {
        munmap(secret, size);
        return NULL;
    }
    /* A wish: few systems let everyone lock much. */
    (void)!mlock(secret, size);
    return secret;
}

void asxi_secret_put(void *secret, size_t size)
{
    if (secret != NULL) {
        explicit_bzero(secret, size);
        munmap(secret, size);
    }
}

asx_err asx_rq_keyring_create(asx_rq_keyring **result, const asx_rq_key *key)
{
    asx_rq_keyring *ring = asxi_secret_get(sizeof(*ring));
    if (ring == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    *ring = (asx_rq_keyring){ .version = 1, .ids = 1, .count = 1 };
    ring->keys[0] = (asxi_ring_key){ .key = *key, .id = 1, .until_ns = ASX_TIME_NEVER };
    *result = ring;
    return ASX_OK;
}

void asx_rq_keyring_destroy(asx_rq_keyring *ring)
{
    asxi_secret_put(ring, sizeof(*ring));
}

uint32_t asx_rq_keyring_count(const asx_rq_keyring *ring)
{
    return ring->count;
}

/* Where the key is, or where the next one goes. Which of one's own keys it is tells nobody else
 * anything: no need to compare in constant time. */
static uint32_t find(const asx_rq_keyring *ring, const asx_rq_key *key)
{
    uint32_t i = 0;
    while (i < ring->count && memcmp(&ring->keys[i].key, key, sizeof(*key)) != 0) {
        i++;
    }
    return i;
}

asx_err asx_rq_keyring_accept(asx_rq_keyring *ring, const asx_rq_key *key, asx_instant until_ns)
{
    const uint32_t at = find(ring, key);
    if (at == ASX_RQ_KEYRING_MAX) {
        return ASX_RQ_E(FULL);
    }
    if (at == ring->count) {
        ring->keys[at] = (asxi_ring_key){ .key = *key, .id = ++ring->ids, .until_ns = until_ns };
        ring->count++;
        ring->version++;
    } else if (ring->keys[at].until_ns < until_ns) {
        ring->keys[at].until_ns = until_ns;
    }
    return ASX_OK;
}

asx_err asx_rq_keyring_rotate(asx_rq_keyring *ring, const asx_rq_key *key, asx_instant until_ns)
{
    const asx_err err = asx_rq_keyring_accept(ring, key, ASX_TIME_NEVER);
    const uint32_t at = err == ASX_OK ? find(ring, key) : 0;
    if (at > 0) {
        const asxi_ring_key active = ring->keys[at];
        ring->keys[at] = ring->keys[0];
        ring->keys[at].until_ns = until_ns;
        ring->keys[0] = active;
        ring->version++;
    }
    return err;
}

void asx_rq_keyring_expire(asx_rq_keyring *ring, asx_instant now_ns)
{
    asx_assert_eq(ring->keys[0].until_ns, ASX_TIME_NEVER);
    for (uint32_t i = ring->count; i-- > 1;) {
        if (ring->keys[i].until_ns <= now_ns) {
            ring->keys[i] = ring->keys[--ring->count];
            explicit_bzero(&ring->keys[ring->count], sizeof(ring->keys[0]));
            ring->version++;
        }
    }
}
