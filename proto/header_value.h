/* Values that decide what is sent: ranges, entity tags, accepted codings.
 *
 * Owner.   Nobody: pure functions over the caller's bytes.
 * Bounds.  Linear in the input; ranges at most the caller's storage.
 * Source.  RFC 9110 section 14 (ranges), 8.8.3 and 13.1 (tags), 12.4.2 and 12.5.3 (codings).
 */
#ifndef ASX_PROTO_HEADER_VALUE_H
#define ASX_PROTO_HEADER_VALUE_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/view.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

/* Bytes first..last of a representation, both included. */
typedef struct asx_http_range {
    uint64_t first, last;
} asx_http_range;

typedef enum asx_http_ranges {
    ASX_HTTP_RANGES_NONE,   /* malformed, another unit, or too many: send all of it */
    ASX_HTTP_RANGES_SOME,   /* 206 with what is in `ranges` */
    ASX_HTTP_RANGES_BEYOND, /* 416: none of them touches the representation */
} asx_http_ranges;

const char *asx_http_ranges_name(asx_http_ranges ranges);

/* Parses the value of Range against a representation of `size` bytes. Ranges come out ascending,
 * clipped, those that overlap or touch merged.
 *
 * cap    how many ranges may be asked for, before merging */
asx_http_ranges asx_http_ranges_parse(asx_view value, uint64_t size, asx_http_range *ranges,
                                      size_t cap, size_t *count);

typedef struct asx_http_etag {
    bool weak;
    asx_view opaque; /* with its quotes */
} asx_http_etag;

/* The whole of `text` is one entity tag. */
bool asx_http_etag_parse(asx_view text, asx_http_etag *etag);
/* Whether If-Match (strong comparison) or If-None-Match (weak) names `etag`; "*" names any. A list
 * that is malformed names nothing from there on. */
bool asx_http_etag_matches(asx_view list, asx_http_etag etag, bool strong);

/* How much a coding is wanted, in thousandths: 0 is not at all. `present` false means there was no
 * Accept-Encoding: everything is acceptable. Elements that are malformed count for nothing. */
uint32_t asx_http_coding_q(asx_view accept_encoding, bool present, asx_view coding);

ASX_END_DECLS

#endif
