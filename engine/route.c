#include "route.h"

#include <asx/proto/http_status.h>
#include <asx/proto/url.h>
#include <asx/shard/base/assert.h>

#include <stdio.h>
#include <string.h>

/* A pattern once, with the routes of its methods. */
typedef struct path_entry {
    asx_view pattern;
    uint32_t methods; /* bit a method */
    asx_http_latency *latency;
    const asx_route *routes[ASX_HTTP_METHOD_COUNT];
} path_entry;

struct asx_router {
    uint32_t literal_count; /* entries [0, literal_count): by length, then bytes */
    uint32_t count;         /* the rest: most particular first */
    asx_latencies *latencies;
    path_entry entries[];
};

static char segment_kind(char first)
{
    return first == ':' || first == '*' ? first : 'a';
}

static bool pattern_is_literal(asx_view pattern)
{
    for (size_t i = 1; i < pattern.len; i++) {
        if (pattern.ptr[i - 1] == '/' && segment_kind(pattern.ptr[i]) != 'a') {
            return false;
        }
    }
    return true;
}

static bool pattern_check(asx_view pattern)
{
    uint32_t params = 0;
    if (pattern.len == 0 || pattern.ptr[0] != '/') {
        return false;
    }
    for (size_t i = 1; i < pattern.len; i++) {
        if (pattern.ptr[i - 1] != '/' || segment_kind(pattern.ptr[i]) == 'a') {
            continue;
        }
        params++;
        if (i + 1 == pattern.len || pattern.ptr[i + 1] == '/') {
            return false; /* a parameter without a name */
        }
        if (pattern.ptr[i] == '*' && memchr(pattern.ptr + i, '/', pattern.len - i)) {
            return false; /* the rest is not at the end */
        }
    }
    return params <= ASX_ROUTE_PARAMS_MAX;
}

static int compare_literal(asx_view a, asx_view b)
{
    if (a.len != b.len) {
        return a.len < b.len ? -1 : 1;
    }
    return memcmp(a.ptr, b.ptr, a.len);
}

static size_t segment_len(asx_view text, size_t at)
{
    const char *const slash = memchr(text.ptr + at, '/', text.len - at);
    return slash ? (size_t)(slash - text.ptr) - at : text.len - at;
}

static int segment_rank(asx_view pattern, size_t at)
{
    if (at >= pattern.len) {
        return 0; /* the shorter of two that agree so far */
    }
    return pattern.ptr[at] == ':' ? 2 : pattern.ptr[at] == '*' ? 3 : 1;
}

/* Most particular first: at the leftmost segment where the kinds differ. */
static int compare_particular(asx_view a, asx_view b)
{
    size_t i = 1, j = 1;
    while (i <= a.len && j <= b.len) {
        const int x = segment_rank(a, i), y = segment_rank(b, j);
        if (x != y) {
            return x < y ? -1 : 1;
        }
        if (i >= a.len || j >= b.len) {
            break;
        }
        i += segment_len(a, i) + 1;
        j += segment_len(b, j) + 1;
    }
    return 0;
}

static int compare_entries(const path_entry *a, const path_entry *b)
{
    const bool x = pattern_is_literal(a->pattern), y = pattern_is_literal(b->pattern);
    if (x != y) {
        return x ? -1 : 1;
    }
    return x ? compare_literal(a->pattern, b->pattern) : compare_particular(a->pattern, b->pattern);
}

/* Insertion keeps the order of equals, and route tables are short. */
static void entries_sort(path_entry *entries, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const path_entry entry = entries[i];
        uint32_t at = i;
        for (; at > 0 && compare_entries(&entry, &entries[at - 1]) < 0; at--) {
            entries[at] = entries[at - 1];
        }
        entries[at] = entry;
    }
}

static path_entry *entry_for(asx_router *router, asx_view pattern)
{
    for (uint32_t i = 0; i < router->count; i++) {
        if (asx_view_eq(router->entries[i].pattern, pattern)) {
            return &router->entries[i];
        }
    }
    path_entry *const entry = &router->entries[router->count++];
    memset(entry, 0, sizeof(*entry));
    entry->pattern = pattern;
    entry->latency = asx_latencies_route(router->latencies, pattern);
    return entry;
}

asx_err asx_router_create(asx_region *region, const asx_route *routes, size_t count,
                          asx_router **out)
{
    asx_router *const router =
        asx_region_alloc(region, sizeof(*router) + count * sizeof(path_entry));
    if (!router) {
        return ASX_E(NO_MEMORY);
    }
    router->count = 0;
    router->literal_count = 0;
    router->latencies = asx_region_alloc(region, sizeof(*router->latencies));
    if (!router->latencies) {
        return ASX_E(NO_MEMORY);
    }
    asx_latencies_init(router->latencies);
    for (size_t i = 0; i < count; i++) {
        const asx_view pattern = asx_view_str(routes[i].pattern);
        asx_assert(routes[i].handler != NULL && routes[i].method < ASX_HTTP_METHOD_COUNT);
        if (!pattern_check(pattern)) {
            return ASX_E(INVALID_ARGUMENT);
        }
        path_entry *const entry = entry_for(router, pattern);
        if (entry->routes[routes[i].method]) {
            return ASX_E(INVALID_ARGUMENT);
        }
        entry->routes[routes[i].method] = &routes[i];
        entry->methods |= 1u << routes[i].method;
    }
    entries_sort(router->entries, router->count);
    while (router->literal_count < router->count &&
           pattern_is_literal(router->entries[router->literal_count].pattern)) {
        router->literal_count++;
    }
    *out = router;
    return ASX_OK;
}

static const path_entry *literal_find(const asx_router *router, asx_view path)
{
    uint32_t low = 0, high = router->literal_count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int order = compare_literal(path, router->entries[middle].pattern);
        if (order == 0) {
            return &router->entries[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

static bool pattern_matches(asx_view pattern, asx_view path, asx_route_match *match)
{
    size_t i = 1, j = 1; /* both start with a slash */
    match->param_count = 0;
    for (;;) {
        if (i < pattern.len && pattern.ptr[i] == '*') {
            match->params[match->param_count++] = asx_view_of(path.ptr + j, path.len - j);
            return true;
        }
        const size_t want = segment_len(pattern, i), have = segment_len(path, j);
        if (i < pattern.len && pattern.ptr[i] == ':') {
            if (have == 0) {
                return false;
            }
            match->params[match->param_count++] = asx_view_of(path.ptr + j, have);
        } else if (want != have || memcmp(pattern.ptr + i, path.ptr + j, want) != 0) {
            return false;
        }
        i += want;
        j += have;
        if (i == pattern.len || j == path.len) {
            return i == pattern.len && j == path.len;
        }
        i++;
        j++;
    }
}

/* The method's route, GET's for HEAD. */
static const asx_route *method_route(const path_entry *entry, asx_http_method method)
{
    if (!entry->routes[method] && method == ASX_HTTP_HEAD) {
        return entry->routes[ASX_HTTP_GET];
    }
    return entry->routes[method];
}

/* literal  what literal_find has found of it, or NULL */
static asx_route_verdict match_beside(const asx_router *router, const path_entry *literal,
                                      asx_http_method method, asx_view path, asx_route_match *match)
{
    match->route = NULL;
    match->path = path;
    match->allow = 0;
    match->param_count = 0;
    match->latency = &router->latencies->routes[ASX_LATENCY_UNMATCHED].latency;
    if (path.len == 0 || path.ptr[0] != '/') {
        return ASX_ROUTE_NO_PATH;
    }
    if (literal) {
        match->route = method_route(literal, method);
        match->allow = literal->methods;
        match->latency = literal->latency;
    }
    for (uint32_t i = router->literal_count; !match->route && i < router->count; i++) {
        const path_entry *const entry = &router->entries[i];
        if (pattern_matches(entry->pattern, path, match)) {
            match->route = method_route(entry, method);
            match->allow |= entry->methods;
            match->latency = entry->latency;
        }
    }
    if (match->route) {
        return ASX_ROUTE_FOUND;
    }
    match->param_count = 0;
    return match->allow ? ASX_ROUTE_NO_METHOD : ASX_ROUTE_NO_PATH;
}

const asx_latencies *asx_router_latencies(const asx_router *router)
{
    return router->latencies;
}

asx_route_verdict asx_router_match(const asx_router *router, asx_http_method method, asx_view path,
                                   asx_route_match *match)
{
    return match_beside(router, literal_find(router, path), method, path, match);
}

static asx_outcome reply_error(asx_cx *cx, asx_http_exchange *x, unsigned status)
{
    char body[64];
    const asx_view phrase = asx_http_status_phrase(status);
    const int len = snprintf(body, sizeof(body), "%u %.*s\n", status, (int)phrase.len, phrase.ptr);
    return asx_http_reply(cx, x, status, "text/plain; charset=utf-8",
                          asx_view_of(body, (size_t)len));
}

static asx_outcome reply_allow(asx_cx *cx, asx_http_exchange *x, uint32_t allow)
{
    char text[128];
    size_t len = 0;
    allow |= 1u << ASX_HTTP_OPTIONS;
    if (allow & (1u << ASX_HTTP_GET)) {
        allow |= 1u << ASX_HTTP_HEAD;
    }
    for (unsigned method = 1; method < ASX_HTTP_METHOD_COUNT; method++) {
        if (allow & (1u << method)) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s", len ? ", " : "",
                                    asx_http_method_name((asx_http_method)method));
        }
    }
    const asx_err err = asx_http_header_add(x, "Allow", asx_view_of(text, len));
    if (err) {
        return asx_fail(err);
    }
    if (asx_http_method_of(x) == ASX_HTTP_OPTIONS) {
        return asx_http_reply(cx, x, 204, NULL, asx_view_of(NULL, 0));
    }
    return reply_error(cx, x, 405);
}

/* Whether decoding could change anything: an escape, a dot segment or a doubled slash. One pass:
 * searching for each by itself costs ten times as much on a path of usual length. */
static bool path_is_plain(asx_view path)
{
    char before = 0;
    for (const char *p = path.ptr, *const end = p + path.len; p < end; p++) {
        if (*p == '%' || (before == '/' && (*p == '/' || *p == '.'))) {
            return false;
        }
        before = *p;
    }
    return true;
}

asx_outcome asx_router_handle(asx_cx *cx, const asx_router *router, asx_http_exchange *x)
{
    static const asx_url_policy policy = { .merge_slashes = true };
    asx_route_match match;
    asx_view path = asx_http_path(x);
    /* A path that is a route as it stands needs no second look. */
    const path_entry *literal = literal_find(router, path);
    if (!literal && !path_is_plain(path)) {
        char *const buf = asx_alloc(cx, path.len + 1);
        if (!buf) {
            return asx_fail(ASX_E(NO_MEMORY));
        }
        if (asx_url_decode_path(path, &policy, buf, path.len + 1, &path) != ASX_URL_OK) {
            return reply_error(cx, x, 400);
        }
        literal = literal_find(router, path);
    }
    const asx_route_verdict verdict =
        match_beside(router, literal, asx_http_method_of(x), path, &match);
    asx_http_latency_set(x, match.latency);
    switch (verdict) {
    case ASX_ROUTE_FOUND:
        asx_http_route_set(x, &match);
        return match.route->handler(cx, x);
    case ASX_ROUTE_NO_METHOD:
        return reply_allow(cx, x, match.allow);
    case ASX_ROUTE_NO_PATH:
        break;
    }
    if (asx_view_eq(path, asx_view_of("*", 1))) { /* OPTIONS of the server as a whole */
        return reply_allow(cx, x, 1u << ASX_HTTP_GET);
    }
    return reply_error(cx, x, 404);
}

asx_view asx_route_param(const asx_http_exchange *x, const char *name)
{
    const asx_route_match *const match = asx_http_route(x);
    const size_t name_len = strlen(name);
    uint32_t index = 0;
    if (!match) {
        return asx_view_of("", 0);
    }
    const asx_view pattern = asx_view_str(match->route->pattern);
    for (size_t i = 1; i < pattern.len; i++) {
        if (pattern.ptr[i - 1] != '/' || segment_kind(pattern.ptr[i]) == 'a') {
            continue;
        }
        const size_t len = segment_len(pattern, i) - 1;
        if (len == name_len && memcmp(pattern.ptr + i + 1, name, len) == 0 &&
            index < match->param_count) {
            return match->params[index];
        }
        index++;
    }
    return asx_view_of("", 0);
}

bool asx_route_param_u64(const asx_http_exchange *x, const char *name, uint64_t *value)
{
    const asx_view text = asx_route_param(x, name);
    uint64_t sum = 0;
    if (text.len == 0 || text.len > 19) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') {
            return false;
        }
        sum = sum * 10 + (uint64_t)(text.ptr[i] - '0');
    }
    *value = sum;
    return true;
}

const void *asx_route_arg(const asx_http_exchange *x)
{
    const asx_route_match *const match = asx_http_route(x);
    return match ? match->route->arg : NULL;
}
