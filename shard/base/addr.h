/* Socket addresses as plain values: IPv4, IPv6 and Unix paths, parsed and printed without a system
 * call, so that every driver (the lab's virtual network included) speaks of the same thing. */
#ifndef ASX_SHARD_BASE_ADDR_H
#define ASX_SHARD_BASE_ADDR_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>

#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef enum asx_addr_family {
    ASX_ADDR_NONE = 0,
    ASX_ADDR_INET = 1,
    ASX_ADDR_INET6 = 2,
    ASX_ADDR_UNIX = 3,
} asx_addr_family;

#define ASX_ADDR_PATH_MAX 108 /* sun_path, terminator included */
#define ASX_ADDR_TEXT_MAX 128

typedef struct asx_addr {
    uint8_t family; /* asx_addr_family */
    uint16_t port;  /* host order; 0 for Unix */
    union {
        uint8_t ip[16]; /* network order; IPv4 in the first 4 */
        char path[ASX_ADDR_PATH_MAX];
    };
} asx_addr;

const char *asx_addr_family_name(asx_addr_family family);

/* Parses "1.2.3.4:80", "[::1]:80", ":80" (any address), "unix:/path".
 * errors  INVALID_ARGUMENT; TOO_LONG for a path that does not fit */
ASX_NODISCARD asx_err asx_addr_parse(const char *text, asx_addr *addr);

/* Writes the text form into buf (ASX_ADDR_TEXT_MAX always suffices) and returns buf. */
const char *asx_addr_format(const asx_addr *addr, char *buf, size_t cap);

ASX_END_DECLS

#endif
