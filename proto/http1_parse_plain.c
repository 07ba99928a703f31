#define ASXI_SCAN_PLAIN 1
#define ASXI_HTTP1_PARSE asxi_http1_parse_plain
#include "http1_head_internal.h"
