/* What can be said about a file request without touching a file: types, ranges, codings, tags. */
#include <asx/proto/header.h>

#include "static_file.h"

#include <string.h>

static const struct {
    const char *extension, *type;
} mime_types[] = {
    { "html", "text/html; charset=utf-8" },
    { "htm", "text/html; charset=utf-8" },
    { "css", "text/css; charset=utf-8" },
    { "js", "text/javascript; charset=utf-8" },
    { "mjs", "text/javascript; charset=utf-8" },
    { "json", "application/json" },
    { "map", "application/json" },
    { "txt", "text/plain; charset=utf-8" },
    { "md", "text/markdown; charset=utf-8" },
    { "csv", "text/csv; charset=utf-8" },
    { "xml", "application/xml" },
    { "svg", "image/svg+xml" },
    { "png", "image/png" },
    { "jpg", "image/jpeg" },
    { "jpeg", "image/jpeg" },
    { "gif", "image/gif" },
    { "webp", "image/webp" },
    { "avif", "image/avif" },
    { "ico", "image/vnd.microsoft.icon" },
    { "woff", "font/woff" },
    { "woff2", "font/woff2" },
    { "ttf", "font/ttf" },
    { "wasm", "application/wasm" },
    { "pdf", "application/pdf" },
    { "zip", "application/zip" },
    { "gz", "application/gzip" },
    { "mp3", "audio/mpeg" },
    { "mp4", "video/mp4" },
    { "webm", "video/webm" },
    { "webmanifest", "application/manifest+json" },
};

const char *asx_static_mime(asx_view name)
{
    const char *const dot = memrchr(name.ptr, '.', name.len);
    if (dot) {
        const asx_view extension = asx_view_of(dot + 1, (size_t)(name.ptr + name.len - dot) - 1);
        for (size_t i = 0; i < asx_array_count(mime_types); i++) {
            if (asx_view_eq_nocase(extension, asx_view_str(mime_types[i].extension))) {
                return mime_types[i].type;
            }
        }
    }
    return "application/octet-stream";
}

/* Digits at the front of *text; false when there are none or too many. */
static bool take_number(asx_view *text, uint64_t *value)
{
    size_t len = 0;
    while (len < text->len && text->ptr[len] >= '0' && text->ptr[len] <= '9') {
        len++;
    }
    if (!asx_header_parse_u63(asx_view_of(text->ptr, len), value)) {
        return false;
    }
    *text = asx_view_of(text->ptr + len, text->len - len);
    return true;
}

asx_range_verdict asx_static_range(asx_view value, uint64_t size, uint64_t *first, uint64_t *length)
{
    uint64_t from, to;
    const bool is_bytes =
        value.len > 6 && asx_view_eq_nocase(asx_view_of(value.ptr, 6), asx_view_of("bytes=", 6));
    if (!is_bytes || memchr(value.ptr, ',', value.len)) {
        return ASX_RANGE_NONE;
    }
    asx_view rest = asx_view_of(value.ptr + 6, value.len - 6);
    if (rest.ptr[0] == '-') { /* the last so many bytes */
        rest = asx_view_of(rest.ptr + 1, rest.len - 1);
        if (!take_number(&rest, &to) || rest.len > 0) {
            return ASX_RANGE_NONE;
        }
        if (to == 0 || size == 0) {
            return ASX_RANGE_UNSATISFIABLE;
        }
        *length = to < size ? to : size;
        *first = size - *length;
        return ASX_RANGE_ONE;
    }
    if (!take_number(&rest, &from) || rest.len == 0 || rest.ptr[0] != '-') {
        return ASX_RANGE_NONE;
    }
    rest = asx_view_of(rest.ptr + 1, rest.len - 1);
    to = size;
    if (rest.len > 0 && (!take_number(&rest, &to) || rest.len > 0 || to < from)) {
        return ASX_RANGE_NONE;
    }
    if (from >= size) {
        return ASX_RANGE_UNSATISFIABLE;
    }
    *first = from;
    *length = (to < size ? to + 1 : size) - from;
    return ASX_RANGE_ONE;
}

static asx_view trimmed(asx_view text)
{
    while (text.len > 0 && (text.ptr[0] == ' ' || text.ptr[0] == '\t')) {
        text = asx_view_of(text.ptr + 1, text.len - 1);
    }
    while (text.len > 0 && (text.ptr[text.len - 1] == ' ' || text.ptr[text.len - 1] == '\t')) {
        text.len--;
    }
    return text;
}

/* "q=0", "q=0.0" and so on: the client would rather have nothing. */
static bool weight_is_zero(asx_view parameters)
{
    const asx_view p = trimmed(parameters);
    if (p.len < 3 || (p.ptr[0] | 0x20) != 'q' || p.ptr[1] != '=') {
        return false;
    }
    for (size_t i = 2; i < p.len; i++) {
        if (p.ptr[i] != '0' && p.ptr[i] != '.') {
            return false;
        }
    }
    return true;
}

bool asx_static_accepts(asx_view value, const char *coding)
{
    asx_view element;
    while (asx_header_list_next(&value, &element)) {
        const char *const semicolon = memchr(element.ptr, ';', element.len);
        const size_t len = semicolon ? (size_t)(semicolon - element.ptr) : element.len;
        if (asx_view_eq_nocase(trimmed(asx_view_of(element.ptr, len)), asx_view_str(coding))) {
            return !semicolon || !weight_is_zero(asx_view_of(semicolon + 1, element.len - len - 1));
        }
    }
    return false;
}

static asx_view opaque_tag(asx_view tag)
{
    const bool weak = tag.len > 2 && tag.ptr[0] == 'W' && tag.ptr[1] == '/';
    return weak ? asx_view_of(tag.ptr + 2, tag.len - 2) : tag;
}

bool asx_static_etag_listed(asx_view value, asx_view etag)
{
    asx_view element;
    if (asx_view_eq(trimmed(value), asx_view_of("*", 1))) {
        return true;
    }
    while (asx_header_list_next(&value, &element)) {
        if (asx_view_eq(opaque_tag(element), opaque_tag(etag))) {
            return true;
        }
    }
    return false;
}
