#include "http1_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    fuzz_heads(data, len, ASX_HTTP_OTHER);
    return 0;
}
