#if defined(__x86_64__)
/* Everything below is compiled for AVX2 and reached only where the host has it. What the system's
 * headers declare must come before, or it would be too. */
#include <asx/proto/http1_parse.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include <immintrin.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#else
#pragma GCC target("avx2")
#endif
#define ASXI_SCAN_AVX2 1
#define ASXI_HTTP1_PARSE asxi_http1_parse_avx2
#include "http1_head_internal.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
