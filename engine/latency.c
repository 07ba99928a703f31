#include "latency.h"

#include <asx/shard/base/assert.h>

#include <string.h>

#define OTHER (ASX_LATENCY_ROUTES_MAX - 1)

_Static_assert(sizeof(asx_latencies) % sizeof(uint64_t) == 0, "copied word by word");

static void label_set(asx_latencies *self, uint64_t at, const char *label)
{
    memcpy(self->routes[at].label, label, strlen(label) + 1);
}

void asx_latencies_init(asx_latencies *self)
{
    memset(self, 0, sizeof(*self));
    self->count = 1;
    label_set(self, ASX_LATENCY_UNMATCHED, "unmatched");
}

/* What exposition formats want escaped is, and an escape is not cut in two. */
static void label_of(asx_view pattern, char label[ASX_LATENCY_LABEL_BYTES])
{
    size_t len = 0;
    for (size_t i = 0; i < pattern.len; i++) {
        const char c = pattern.ptr[i];
        const bool escape = c == '"' || c == '\\' || c == '\n';
        if (len + escape + 1 >= ASX_LATENCY_LABEL_BYTES) {
            break;
        }
        if (escape) {
            label[len++] = '\\';
        }
        label[len++] = c == '\n' ? 'n' : c;
    }
    label[len] = '\0';
}

static asx_http_latency *labelled(asx_latencies *self, const char *label)
{
    asx_assert_lt(0, self->count);
    for (uint64_t i = 0; i < self->count; i++) {
        if (strcmp(self->routes[i].label, label) == 0) {
            return &self->routes[i].latency;
        }
    }
    if (self->count < OTHER) {
        label_set(self, self->count, label);
        return &self->routes[self->count++].latency;
    }
    self->count = ASX_LATENCY_ROUTES_MAX;
    label_set(self, OTHER, "other");
    return &self->routes[OTHER].latency;
}

asx_http_latency *asx_latencies_route(asx_latencies *self, asx_view pattern)
{
    char label[ASX_LATENCY_LABEL_BYTES];
    label_of(pattern, label);
    return labelled(self, label);
}

void asx_latencies_add(asx_latencies *sum, const asx_latencies *part)
{
    asx_assert_le(part->count, ASX_LATENCY_ROUTES_MAX);
    for (uint64_t i = 0; i < part->count; i++) {
        const asx_http_latency *const from = &part->routes[i].latency;
        asx_http_latency *const to = labelled(sum, part->routes[i].label);
        to->ns_sum += from->ns_sum;
        for (unsigned k = 0; k < ASX_HTTP_LATENCY_BUCKETS; k++) {
            to->buckets[k] += from->buckets[k];
        }
    }
}
