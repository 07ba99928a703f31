#define ASXI_SCAN_SWAR 1
#define ASXI_HTTP1_PARSE asxi_http1_parse_swar
#include "http1_head_internal.h"
