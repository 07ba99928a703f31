#include <asx/raptorq/gf256.h>
#include <asx/shard/base/assert.h>

#include "gf256_internal.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static bool always(void)
{
    return true;
}

#if defined(__x86_64__)
static bool has_ssse3(void)
{
    return __builtin_cpu_supports("ssse3");
}

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}

/* The builtin knows GFNI only from GCC 13 on: leaf 7, ecx bit 8. */
static bool has_avx512(void)
{
    unsigned a = 7, b, c = 0, d;
    __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
           ((c >> 8) & 1) != 0;
}
#endif

/* Best first. */
static const struct {
    const asx_rq_kernel *kernel;
    bool (*supported)(void);
} candidates[] = {
#if defined(__x86_64__)
    { &asxi_gf_avx512, has_avx512 },
    { &asxi_gf_avx2, has_avx2 },
    { &asxi_gf_ssse3, has_ssse3 },
#elif defined(__aarch64__)
    { &asxi_gf_neon, always },
#endif
    { &asxi_gf_plain, always },
};

const asx_rq_kernel *asx_rq_kernel_find(const char *name)
{
    for (size_t i = 0; i < asx_array_count(candidates); i++) {
        const asx_rq_kernel *kernel = candidates[i].kernel;
        if ((name == NULL || strcmp(kernel->name, name) == 0) && candidates[i].supported()) {
            return kernel;
        }
    }
    return NULL;
}

const asx_rq_kernel *asx_rq_kernel_get(void)
{
    /* Racing first calls store the same value. */
    static const asx_rq_kernel *chosen;
    const asx_rq_kernel *kernel = __atomic_load_n(&chosen, __ATOMIC_RELAXED);
    if (asx_unlikely(kernel == NULL)) {
        const char *forced = getenv("ASX_GF256");
        kernel = forced != NULL ? asx_rq_kernel_find(forced) : NULL;
        kernel = kernel != NULL ? kernel : asx_rq_kernel_find(NULL);
        __atomic_store_n(&chosen, kernel, __ATOMIC_RELAXED);
    }
    return kernel;
}

const char *asx_rq_kernel_name(void)
{
    return asx_rq_kernel_get()->name;
}

uint8_t asx_gf_mul(uint8_t a, uint8_t b)
{
    return a == 0 || b == 0 ? 0 : asxi_gf_exp[asxi_gf_log[a] + asxi_gf_log[b]];
}

uint8_t asx_gf_exp(uint32_t power)
{
    return asxi_gf_exp[power % 255];
}

uint8_t asx_gf_inv(uint8_t a)
{
    asx_assert(a != 0);
    return asxi_gf_exp[255 - asxi_gf_log[a]];
}
