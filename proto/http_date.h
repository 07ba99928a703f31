/* HTTP dates: seconds since 1970 to and from text.
 *
 * Bounds.  Years 1 to 9999; no time zone database, no libc time functions, no state.
 * Source.  RFC 9110 section 5.6.7; days from civil: Hinnant, 2013.
 */
#ifndef ASX_PROTO_HTTP_DATE_H
#define ASX_PROTO_HTTP_DATE_H

#include <asx/shard/base/decls.h>
#include <asx/shard/base/view.h>

#include <stdbool.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_HTTP_DATE_LEN 29

/* Writes "Sun, 06 Nov 1994 08:49:37 GMT", not terminated.
 *
 * unix_s  within the years 1 to 9999 */
void asx_http_date_format(int64_t unix_s, char buf[ASX_HTTP_DATE_LEN]);

/* Parses any of the three forms. A year of two digits lies at most 50 years after that of `now_s`.
 * A leap second counts as the second before it. */
bool asx_http_date_parse(asx_view text, int64_t now_s, int64_t *unix_s);

ASX_END_DECLS

#endif
