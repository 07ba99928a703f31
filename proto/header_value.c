#include <asx/proto/header.h>
#include <asx/proto/header_value.h>
#include <asx/shard/base/assert.h>

const char *asx_http_ranges_name(asx_http_ranges ranges)
{
    switch (ranges) {
    case ASX_HTTP_RANGES_NONE:
        return "NONE";
    case ASX_HTTP_RANGES_SOME:
        return "SOME";
    case ASX_HTTP_RANGES_BEYOND:
        return "BEYOND";
    }
    asx_unreachable();
}

/* Numbers too large to hold are as good as the largest: sizes are below 2^63. */
static bool parse_number(asx_view text, uint64_t *out)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned)(uint8_t)text.ptr[i] - '0' > 9) {
            return false;
        }
    }
    if (!asx_header_parse_u63(text, out)) {
        *out = INT64_MAX;
    }
    return text.len > 0;
}

/* One of first-last, first-, -suffix: false when malformed. *range is empty (first > last) when it
 * does not touch the representation. */
static bool parse_range(asx_view text, uint64_t size, asx_http_range *range)
{
    const char *const dash = memchr(text.ptr, '-', text.len);
    uint64_t first, last;

    if (!dash) {
        return false;
    }
    const size_t first_len = (size_t)(dash - text.ptr);
    const asx_view tail = asx_view_of(dash + 1, text.len - first_len - 1);
    range->first = 1;
    range->last = 0;
    if (first_len == 0) {
        if (!parse_number(tail, &last)) {
            return false;
        }
        if (last > 0 && size > 0) {
            range->first = last < size ? size - last : 0;
            range->last = size - 1;
        }
        return true;
    }
    if (!parse_number(asx_view_of(text.ptr, first_len), &first)) {
        return false;
    }
    last = INT64_MAX;
    if (tail.len > 0 && (!parse_number(tail, &last) || last < first)) {
        return false;
    }
    if (first < size) {
        range->first = first;
        range->last = last < size ? last : size - 1;
    }
    return true;
}

/* Keeps ranges[0..*count) ascending and apart by at least one byte. */
static void add_range(asx_http_range *ranges, size_t *count, asx_http_range range)
{
    size_t at = 0;
    while (at < *count && ranges[at].last + 1 < range.first) {
        at++;
    }
    size_t end = at;
    while (end < *count && ranges[end].first <= range.last + 1) {
        range.first = ranges[end].first < range.first ? ranges[end].first : range.first;
        range.last = ranges[end].last > range.last ? ranges[end].last : range.last;
        end++;
    }
    memmove(&ranges[at + 1], &ranges[end], (*count - end) * sizeof(*ranges));
    ranges[at] = range;
    *count = *count - (end - at) + 1;
}

asx_http_ranges asx_http_ranges_parse(asx_view value, uint64_t size, asx_http_range *ranges,
                                      size_t cap, size_t *count)
{
    asx_view element;
    size_t asked = 0;

    *count = 0;
    if (value.len < 6 || !asx_view_eq_nocase(asx_view_of(value.ptr, 6), asx_view_of("bytes=", 6))) {
        return ASX_HTTP_RANGES_NONE;
    }
    asx_view rest = asx_view_of(value.ptr + 6, value.len - 6);
    while (asx_header_list_next(&rest, &element)) {
        asx_http_range range;
        if (asked++ == cap || !parse_range(element, size, &range)) {
            *count = 0;
            return ASX_HTTP_RANGES_NONE;
        }
        if (range.first <= range.last) {
            add_range(ranges, count, range);
        }
    }
    if (asked == 0) {
        return ASX_HTTP_RANGES_NONE;
    }
    return *count ? ASX_HTTP_RANGES_SOME : ASX_HTTP_RANGES_BEYOND;
}

/* How many bytes at the front of `text` are an entity tag; 0 when none. */
static size_t etag_len(asx_view text, asx_http_etag *etag)
{
    const size_t prefix = text.len >= 2 && text.ptr[0] == 'W' && text.ptr[1] == '/' ? 2 : 0;
    if (text.len < prefix + 2 || text.ptr[prefix] != '"') {
        return 0;
    }
    for (size_t i = prefix + 1; i < text.len; i++) {
        const uint8_t c = (uint8_t)text.ptr[i];
        if (c == '"') {
            etag->weak = prefix > 0;
            etag->opaque = asx_view_of(text.ptr + prefix, i + 1 - prefix);
            return i + 1;
        }
        if (c <= 0x20 || c == 0x7f) {
            return 0;
        }
    }
    return 0;
}

bool asx_http_etag_parse(asx_view text, asx_http_etag *etag)
{
    return text.len > 0 && etag_len(text, etag) == text.len;
}

static bool is_separator(char c)
{
    return c == ' ' || c == '\t' || c == ',';
}

/* Not asx_header_list_next: a backslash in a tag is itself, not the start of a quoted pair. */
bool asx_http_etag_matches(asx_view list, asx_http_etag etag, bool strong)
{
    size_t i = 0;
    asx_http_etag other;

    if (list.len == 1 && list.ptr[0] == '*') {
        return true;
    }
    while (i < list.len) {
        if (is_separator(list.ptr[i])) {
            i++;
            continue;
        }
        const size_t len = etag_len(asx_view_of(list.ptr + i, list.len - i), &other);
        i += len;
        if (len == 0 || (i < list.len && !is_separator(list.ptr[i]))) {
            return false;
        }
        if (asx_view_eq(other.opaque, etag.opaque) && !(strong && (other.weak || etag.weak))) {
            return true;
        }
    }
    return false;
}

/* "0", "0.5", "1.000": thousandths, or -1. */
static int parse_q(asx_view text)
{
    if (text.len == 0 || text.len > 5 || (text.ptr[0] != '0' && text.ptr[0] != '1') ||
        (text.len > 1 && text.ptr[1] != '.')) {
        return -1;
    }
    int q = (text.ptr[0] - '0') * 1000, unit = 100;
    for (size_t i = 2; i < text.len; i++, unit /= 10) {
        if ((unsigned)(uint8_t)text.ptr[i] - '0' > 9) {
            return -1;
        }
        q += (text.ptr[i] - '0') * unit;
    }
    return q > 1000 ? -1 : q;
}

static asx_view trim(asx_view text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text = asx_view_of(text.ptr + 1, text.len - 1);
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

/* Splits "coding;q=0.5" and returns its weight in thousandths, or -1. */
static int coding_split(asx_view element, asx_view *coding)
{
    const char *const mark = memchr(element.ptr, ';', element.len);
    if (!mark) {
        *coding = element;
        return 1000;
    }
    const size_t len = (size_t)(mark - element.ptr);
    *coding = trim(asx_view_of(element.ptr, len));
    const asx_view weight = trim(asx_view_of(mark + 1, element.len - len - 1));
    if (weight.len < 2 || (weight.ptr[0] | 0x20) != 'q' || weight.ptr[1] != '=') {
        return -1;
    }
    return parse_q(asx_view_of(weight.ptr + 2, weight.len - 2));
}

uint32_t asx_http_coding_q(asx_view accept_encoding, bool present, asx_view coding)
{
    const bool identity = asx_view_eq_nocase(coding, asx_view_of("identity", 8));
    int any = -1;
    asx_view element, name;

    if (!present) {
        return 1000;
    }
    while (asx_header_list_next(&accept_encoding, &element)) {
        const int q = coding_split(element, &name);
        if (q >= 0 && asx_view_eq_nocase(name, coding)) {
            return (uint32_t)q;
        }
        if (q >= 0 && name.len == 1 && name.ptr[0] == '*') {
            any = q;
        }
    }
    if (identity) {
        return any == 0 ? 0 : 1000; /* acceptable unless excluded (12.5.3) */
    }
    return any > 0 ? (uint32_t)any : 0;
}
