#if defined(__x86_64__)
#define ASXI_SCAN_SSE2 1
#define ASXI_HTTP1_PARSE asxi_http1_parse_sse2
#include "http1_head_internal.h"
#endif
