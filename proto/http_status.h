/* Status codes and their phrases. Source.  RFC 9110 section 15 and the IANA registry. */
#ifndef ASX_PROTO_HTTP_STATUS_H
#define ASX_PROTO_HTTP_STATUS_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/view.h>

#include <stdbool.h>
#include <stdint.h>

ASX_BEGIN_DECLS

/* "Not Found"; empty for a code without a registered phrase. */
asx_view asx_http_status_phrase(uint32_t status);

/* The status line of HTTP/1.1 with its CRLF, or empty for a code without a phrase. */
asx_view asx_http_status_line(uint32_t status);

/* Whether a response with this status never has a body, whatever was asked. */
ASX_INLINE bool asx_http_status_is_bodiless(uint32_t status)
{
    return status < 200 || status == 204 || status == 304;
}

ASX_END_DECLS

#endif
