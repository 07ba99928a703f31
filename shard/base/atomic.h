/* The few ordered loads and stores the engine uses, callable from C and C++ (no _Atomic in
 * headers). Each use names its partner: which load sees which store, and what is published by it.
 */
#ifndef ASX_SHARD_BASE_ATOMIC_H
#define ASX_SHARD_BASE_ATOMIC_H

#include <asx/shard/base/decls.h>

#include <stdint.h>

#if defined(__x86_64__) && !ASX_TSAN
#include <emmintrin.h>
#endif

#define asx_load_relaxed(ptr) __atomic_load_n((ptr), __ATOMIC_RELAXED)
#define asx_load_acquire(ptr) __atomic_load_n((ptr), __ATOMIC_ACQUIRE)
#define asx_store_relaxed(ptr, value) __atomic_store_n((ptr), (value), __ATOMIC_RELAXED)
#define asx_store_release(ptr, value) __atomic_store_n((ptr), (value), __ATOMIC_RELEASE)
#define asx_fetch_add_relaxed(ptr, value) __atomic_fetch_add((ptr), (value), __ATOMIC_RELAXED)

/* Orders what a thread does against a signal handler of its own. */
#define asx_signal_fence() __atomic_signal_fence(__ATOMIC_SEQ_CST)

/* TSan does not model stand-alone fences; it sees the same order through these exchanges. */
#define asx_load_seq_cst(ptr) __atomic_load_n((ptr), __ATOMIC_SEQ_CST)
#define asx_store_seq_cst(ptr, value) __atomic_store_n((ptr), (value), __ATOMIC_SEQ_CST)
#define asx_exchange_seq_cst(ptr, value) __atomic_exchange_n((ptr), (value), __ATOMIC_SEQ_CST)

/* A store of two words past this core's caches, into memory that another core reads next: its line
 * is not fetched from the reader before it is written, and the reader finds it without asking back.
 * For whole lines only, 16-aligned. Two at a time: the stores of a line wait in the core until all
 * of it is there, and there is room for few. Nothing orders them but the fence: before the release
 * that publishes them. TSan would not see them. */
ASX_INLINE void asx_store_stream(void *to, uint64_t first, uint64_t second)
{
#if defined(__x86_64__) && !ASX_TSAN
    _mm_stream_si128((__m128i *)to, _mm_set_epi64x((long long)second, (long long)first));
#else
    const uint64_t both[2] = { first, second };
    __builtin_memcpy(to, both, sizeof(both));
#endif
}

#if defined(__x86_64__) && !ASX_TSAN
#define asx_stream_fence() _mm_sfence()
#else
#define asx_stream_fence() ((void)0)
#endif

#if defined(__x86_64__)
#define asx_cpu_relax() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define asx_cpu_relax() __asm__ volatile("isb" ::: "memory")
#else
#define asx_cpu_relax() ((void)0)
#endif

#endif
