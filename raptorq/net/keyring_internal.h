/* The ring's fields, for the taggers that follow it, and the memory that both keep secrets in. */
#ifndef ASX_RAPTORQ_NET_KEYRING_INTERNAL_H
#define ASX_RAPTORQ_NET_KEYRING_INTERNAL_H

#include <asx/raptorq/net/keyring.h>

typedef struct asxi_ring_key {
    asx_rq_key key;
    uint64_t id; /* no other key of this ring has or had it */
    asx_instant until_ns;
} asxi_ring_key;

struct asx_rq_keyring {
    uint64_t version; /* another one after each change */
    uint64_t ids;     /* given out */
    uint32_t count;
    asxi_ring_key keys[ASX_RQ_KEYRING_MAX]; /* the active one first */
};

/* Zeros in pages of their own, out of core files; NULL when out of memory. */
void *asxi_secret_get(size_t size);
/* Wipes first. secret may be NULL. */
void asxi_secret_put(void *secret, size_t size);

#endif
