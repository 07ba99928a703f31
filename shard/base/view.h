/* A borrowed run of bytes: a pointer and a length, owning nothing. */
#ifndef ASX_SHARD_BASE_VIEW_H
#define ASX_SHARD_BASE_VIEW_H

#include <asx/shard/base/decls.h>

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct asx_view {
    const char *ptr; /* may be NULL only when len is 0 */
    size_t len;
} asx_view;

ASX_INLINE asx_view asx_view_of(const void *ptr, size_t len)
{
    asx_view view;
    view.ptr = (const char *)ptr;
    view.len = len;
    return view;
}

ASX_INLINE asx_view asx_view_str(const char *str)
{
    return asx_view_of(str, strlen(str));
}

ASX_INLINE bool asx_view_eq(asx_view a, asx_view b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* ASCII case only, as HTTP and DNS compare */
ASX_INLINE bool asx_view_eq_nocase(asx_view a, asx_view b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        unsigned char x = (unsigned char)a.ptr[i], y = (unsigned char)b.ptr[i];
        x = (unsigned char)(x - 'A' + 0u < 26u ? x | 32u : x);
        y = (unsigned char)(y - 'A' + 0u < 26u ? y | 32u : y);
        if (x != y) {
            return false;
        }
    }
    return true;
}

#endif
