/* What the parser's variants share: phases, and the parts of a head that are not scanned in bulk.
 */
#ifndef ASX_PROTO_HTTP1_PARSE_INTERNAL_H
#define ASX_PROTO_HTTP1_PARSE_INTERNAL_H

#include <asx/proto/http1_parse.h>

enum {
    ASXI_HTTP1_START,       /* nothing parsed */
    ASXI_HTTP1_AFTER_EMPTY, /* one empty line skipped */
    ASXI_HTTP1_LINE,        /* in the request or status line */
    ASXI_HTTP1_FIELDS,      /* at the start of a field line */
    ASXI_HTTP1_WHOLE,       /* done */
    ASXI_HTTP1_FAILED,
    ASXI_HTTP1_HANDED_OVER, /* preface seen */
};

/* Bits of parser->_seen: fields that may stand once. */
enum {
    ASXI_SEEN_HOST = 1,
    ASXI_SEEN_LENGTH = 2,
    ASXI_SEEN_CODING = 4,
    ASXI_SEEN_EXPECT = 8,
};

/* Bits of parser->_connection. */
enum {
    ASXI_CONNECTION_CLOSE = 1,
    ASXI_CONNECTION_KEEP_ALIVE = 2,
    ASXI_CONNECTION_UPGRADE = 4,
};

/* Records the error and returns ASX_HTTP1_ERROR. */
asx_http1_verdict asxi_http1_fail(asx_http1_parser *parser, asx_http1_code code, const char *base,
                                  const char *at);

/* Checks a version and the CRLF behind it, byte by byte. Returns what follows, or NULL with
 * *verdict set; `end` is the end of what there is or of what the line may hold. */
const char *asxi_http1_version(asx_http1_parser *parser, const char *base, const char *p,
                               const char *end, asx_http1_verdict *verdict);

/* Checks the form of a target that does not begin with '/'. */
asx_http1_verdict asxi_http1_target(asx_http1_parser *parser, const char *base);

/* Takes note of a field that frames or routes: DONE, or ERROR. */
asx_http1_verdict asxi_http1_field(asx_http1_parser *parser, const char *base,
                                   const asx_header_field *field);

/* What must hold of the whole head; decides the framing. `p` follows the empty line. */
asx_http1_verdict asxi_http1_finish(asx_http1_parser *parser, const char *base, const char *p);

/* Makes stored views follow a buffer that moved to `base`. */
void asxi_http1_rebase(asx_http1_parser *parser, const char *base);

asx_http1_verdict asxi_http1_parse_plain(asx_http1_parser *parser, const char *ptr, size_t len);
asx_http1_verdict asxi_http1_parse_swar(asx_http1_parser *parser, const char *ptr, size_t len);
#if defined(__x86_64__)
asx_http1_verdict asxi_http1_parse_sse2(asx_http1_parser *parser, const char *ptr, size_t len);
asx_http1_verdict asxi_http1_parse_avx2(asx_http1_parser *parser, const char *ptr, size_t len);
#endif

#endif
