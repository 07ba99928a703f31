/* SHA-256, for files that must be what they were.
 *
 * Source.  FIPS 180-4. */
#ifndef ASX_SHARD_BASE_SHA256_H
#define ASX_SHARD_BASE_SHA256_H

#include <asx/shard/base/decls.h>

#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef struct asx_sha256 {
    uint32_t state[8];
    uint64_t len;
    unsigned char block[64];
} asx_sha256;

void asx_sha256_init(asx_sha256 *sha);
void asx_sha256_add(asx_sha256 *sha, const void *bytes, size_t len);
void asx_sha256_take(asx_sha256 *sha, unsigned char digest[32]);

ASX_END_DECLS

#endif
