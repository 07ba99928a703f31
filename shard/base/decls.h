/* Attributes and brackets that every header needs: C linkage and default visibility for C++ and
 * shared builds, branch hints, and the step from an embedded node to its owner. */
#ifndef ASX_SHARD_BASE_DECLS_H
#define ASX_SHARD_BASE_DECLS_H

#ifdef __cplusplus
#define ASX_EXTERN_C_BEGIN extern "C" {
#define ASX_EXTERN_C_END }
#else
#define ASX_EXTERN_C_BEGIN
#define ASX_EXTERN_C_END
#endif

/* The library is built with hidden visibility: what stands between these two is exported. */
#define ASX_BEGIN_DECLS ASX_EXTERN_C_BEGIN _Pragma("GCC visibility push(default)")
#define ASX_END_DECLS _Pragma("GCC visibility pop") ASX_EXTERN_C_END

#define ASX_NODISCARD __attribute__((warn_unused_result))
#define ASX_NORETURN __attribute__((noreturn))
#define ASX_PRINTF(fmt_index, first_index) __attribute__((format(printf, fmt_index, first_index)))
#define ASX_COLD __attribute__((cold, noinline))
#define ASX_NOINLINE __attribute__((noinline))
#define ASX_INLINE static inline __attribute__((always_inline))
#define ASX_UNUSED __attribute__((unused))

#define asx_likely(x) __builtin_expect(!!(x), 1)
#define asx_unlikely(x) __builtin_expect(!!(x), 0)

/* 64 on every x86-64 and most aarch64; false sharing reaches two lines (adjacent-line prefetch). */
#define ASX_CACHE_LINE 64
#define ASX_CACHE_PAIR 128

#define asx_container_of(ptr, type, member) \
    ((type *)(void *)((char *)(ptr) - __builtin_offsetof(type, member)))

#define asx_array_count(a) (sizeof(a) / sizeof((a)[0]))

/* In an expression: 0, or the compiler's word that `condition` is false. Types are compared in C
 * only; C++ compares them by itself. In a block of its own: within a struct clang takes a compound
 * literal in the condition for one of file scope, whose values must be constants. */
#ifdef __cplusplus
#define ASX_REQUIRE_TYPE(condition, text) 0
#else
#define ASX_REQUIRE_TYPE(condition, text)   \
    (0 * sizeof(__extension__({             \
         _Static_assert((condition), text); \
         0;                                 \
     })))
#endif
#define ASX_SAME_TYPE(value, type) __builtin_types_compatible_p(__typeof__(value), type)

#if defined(__SANITIZE_ADDRESS__)
#define ASX_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASX_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define ASX_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ASX_TSAN 1
#endif
#endif
#ifndef ASX_ASAN
#define ASX_ASAN 0
#endif
#ifndef ASX_TSAN
#define ASX_TSAN 0
#endif

#endif
