/* Error codes: one integer space, domain in the high 16 bits, code in the low 32.
 *
 * An errno, a TLS alert, an HTTP status and a kernel code keep their identity on the way up, and
 * asx_err_name() prints any of them. Zero is success and belongs to no domain.
 * Source.  docs of picotls (alert classes) for the idea; kernel codes: the kernel's own rules. */
#ifndef ASX_SHARD_BASE_ERR_H
#define ASX_SHARD_BASE_ERR_H

#include <asx/shard/base/decls.h>

#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

/* 0 is success. Compare whole values; take apart with asx_err_domain_of() and asx_err_code(). */
typedef uint64_t asx_err;

typedef enum asx_err_domain {
    ASX_ERR_DOMAIN_NONE = 0,
    ASX_ERR_DOMAIN_KERNEL = 1, /* asx_kernel_err */
    ASX_ERR_DOMAIN_ERRNO = 2,  /* errno values */
    ASX_ERR_DOMAIN_HTTP = 3,   /* HTTP status codes, 4xx and 5xx */
    ASX_ERR_DOMAIN_RAPTORQ = 4,
    ASX_ERR_DOMAIN_CONFIG = 5,
    ASX_ERR_DOMAIN_USER = 0x100, /* this and above: applications */
} asx_err_domain;

#define ASX_ERR(domain, code) ((asx_err)(((uint64_t)(domain) << 48) | (uint32_t)(code)))
#define ASX_OK ((asx_err)0)

#define ASX_KERNEL_ERR_LIST(X) \
    X(1, WRONG_KIND)           \
    X(2, WRONG_SHARD)          \
    X(3, STALE)                \
    X(4, NO_SLOTS)             \
    X(5, REGION_CLOSED)        \
    X(6, REGION_NOT_FOUND)     \
    X(7, AT_CAPACITY)          \
    X(8, NO_CAPABILITY)        \
    X(9, NO_MEMORY)            \
    X(10, NO_STACK)            \
    X(11, WOULD_DEADLOCK)      \
    X(12, ALREADY_JOINED)      \
    X(13, ALREADY_RESOLVED)    \
    X(14, TOKEN_MISMATCH)      \
    X(15, REGION_FINALIZED)    \
    X(16, TASK_NOT_OWNED)      \
    X(17, WRONG_TASK)          \
    X(18, RUNTIME_UNAVAILABLE) \
    X(19, TYPE_MISMATCH)       \
    X(20, WRONG_REGION)        \
    X(21, DURATION_EXCEEDED)   \
    X(22, TIMED_OUT)           \
    X(23, CANCELLED)           \
    X(24, CLOSED)              \
    X(25, DISCONNECTED)        \
    X(26, FULL)                \
    X(27, EMPTY)               \
    X(28, POISONED)            \
    X(29, LOCKED)              \
    X(30, INVALID_ARGUMENT)    \
    X(31, MISSING_REQUIRED)    \
    X(32, EXHAUSTED)           \
    X(33, NO_PERMITS)          \
    X(34, UNSUPPORTED)         \
    X(35, END_OF_STREAM)       \
    X(36, OVERLOADED)          \
    X(37, TOO_LONG)            \
    X(38, PANICKED)            \
    X(39, ALREADY_RESERVED)    \
    X(40, ALREADY_TAKEN)       \
    X(41, ALREADY_SET)         \
    X(42, BUSY)                \
    X(43, LAGGED)              \
    X(44, REFUSED)             \
    X(45, PEER_LOST)           \
    X(46, PEER_CANCELLED)      \
    X(47, PEER_PANICKED)       \
    X(48, PROTOCOL_STATE)      \
    X(49, INVALID_QUORUM)      \
    X(50, INSUFFICIENT)        \
    X(51, ALL_FAILED)          \
    X(52, CIRCUIT_OPEN)        \
    X(53, QUEUE_FULL)          \
    X(54, QUEUE_TIMEOUT)       \
    X(55, RATE_LIMITED)        \
    X(56, CREATE_FAILED)

typedef enum asx_kernel_err {
#define X(code, name) ASX_KERNEL_##name = (code),
    ASX_KERNEL_ERR_LIST(X)
#undef X
} asx_kernel_err;

/* ASX_E(STALE) is the asx_err of the kernel code STALE. */
#define ASX_E(name) ASX_ERR(ASX_ERR_DOMAIN_KERNEL, ASX_KERNEL_##name)

ASX_INLINE uint32_t asx_err_code(asx_err err)
{
    return (uint32_t)err;
}

ASX_INLINE uint32_t asx_err_domain_of(asx_err err)
{
    return (uint32_t)(err >> 48);
}

/* errnum  an errno value, positive; read on the line after the call that set it */
ASX_INLINE asx_err asx_err_errno(int errnum)
{
    return ASX_ERR(ASX_ERR_DOMAIN_ERRNO, errnum);
}

/* A domain prints its own codes: registered once, before threads start. `name` may return NULL for
 * a code it does not know. */
typedef const char *asx_err_name_fn(uint32_t code);
void asx_err_domain_register(uint32_t domain, const char *label, asx_err_name_fn *name);

/* Writes the text of `err` ("STALE", "errno ECONNRESET", "user 7") into `buf`, always terminated.
 * Returns `buf`. */
const char *asx_err_name(asx_err err, char *buf, size_t cap);

ASX_END_DECLS

#endif
