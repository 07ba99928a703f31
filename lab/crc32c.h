/* CRC-32C (Castagnoli), of the parts of files that must not change unseen.
 *
 * Source.  RFC 3720, appendix B.4. */
#ifndef ASX_LAB_CRC32C_H
#define ASX_LAB_CRC32C_H

#include <asx/shard/base/decls.h>

#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

/* Continues `crc`, which is 0 before the first byte. */
uint32_t asx_crc32c(uint32_t crc, const void *bytes, size_t len);

ASX_END_DECLS

#endif
