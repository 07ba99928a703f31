/* What the fuzzers of the codec's files and datagrams have in common. */
#ifndef ASX_TESTS_FUZZ_RAPTORQ_FUZZ_H
#define ASX_TESTS_FUZZ_RAPTORQ_FUZZ_H

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A digest of 32 bytes: cheap, and good enough where nobody looks for collisions on purpose. */
static inline void mix(const void *bytes, size_t len, uint8_t out[32])
{
    uint64_t sum = len;
    for (size_t i = 0; i < len; i++) {
        sum = (sum ^ ((const uint8_t *)bytes)[i]) * UINT64_C(0x100000001B3);
    }
    for (int i = 0; i < 4; i++) {
        memcpy(out + 8 * i, &sum, 8);
        sum *= UINT64_C(0x9E3779B97F4A7C15);
    }
}

#endif
