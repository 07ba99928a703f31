/* The first byte says what the response answers. */
#include "http1_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const asx_http_method methods[] = { ASX_HTTP_GET, ASX_HTTP_HEAD, ASX_HTTP_CONNECT };
    if (len > 0) {
        fuzz_heads(data + 1, len - 1, methods[data[0] % 3]);
    }
    return 0;
}
