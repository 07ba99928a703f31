/* Assertions: a caller's mistake or a broken invariant, never a peer's bytes.
 *
 * asx_assert stays on in release builds and is one predicted branch; asx_debug_assert is for
 * checks that cost more. Both end in one hook: what a failure means (a contained task or a dead
 * process) is decided by whoever installed it, since this floor knows no tasks. */
#ifndef ASX_SHARD_BASE_ASSERT_H
#define ASX_SHARD_BASE_ASSERT_H

#include <asx/shard/base/decls.h>

#include <inttypes.h>
#include <stdint.h>

ASX_BEGIN_DECLS

typedef void asx_assert_hook(const char *file, int line, const char *text);

/* Replaces the failure hook for the whole process; NULL restores the default, which prints and
 * aborts. The hook may leave by another stack; if it returns, the process aborts.
 * Not thread-safe: install before threads start. */
void asx_assert_hook_set(asx_assert_hook *hook);

ASX_NORETURN ASX_COLD void asx_assert_fail(const char *file, int line, const char *fmt, ...)
    ASX_PRINTF(3, 4);

ASX_END_DECLS

#define asx_assert(x)                                      \
    do {                                                   \
        if (asx_unlikely(!(x))) {                          \
            asx_assert_fail(__FILE__, __LINE__, "%s", #x); \
        }                                                  \
    } while (0)

#define ASX_ASSERT_CMP(a, op, b)                                                                \
    do {                                                                                        \
        const uint64_t asx_a_ = (uint64_t)(a), asx_b_ = (uint64_t)(b);                          \
        if (asx_unlikely(!(asx_a_ op asx_b_))) {                                                \
            asx_assert_fail(__FILE__, __LINE__, "%s %s %s (%" PRIu64 ", %" PRIu64 ")", #a, #op, \
                            #b, asx_a_, asx_b_);                                                \
        }                                                                                       \
    } while (0)
/* Compared, and printed, as unsigned 64-bit values. */
#define asx_assert_eq(a, b) ASX_ASSERT_CMP(a, ==, b)
#define asx_assert_ne(a, b) ASX_ASSERT_CMP(a, !=, b)
#define asx_assert_lt(a, b) ASX_ASSERT_CMP(a, <, b)
#define asx_assert_le(a, b) ASX_ASSERT_CMP(a, <=, b)

#ifdef ASX_DEBUG
#define asx_debug_assert(x) asx_assert(x)
#else
#define asx_debug_assert(x) ((void)sizeof(!(x)))
#endif

/* Both values are possible here, and that was thought about. */
#define asx_maybe(x) ((void)sizeof(!(x)))

#define asx_unreachable() asx_assert_fail(__FILE__, __LINE__, "unreachable")

#endif
