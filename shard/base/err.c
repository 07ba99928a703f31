#include <asx/shard/base/assert.h>
#include <asx/shard/base/err.h>

#include <stdio.h>
#include <string.h>

#define DOMAIN_COUNT_MAX 16u

static struct {
    uint32_t domain;
    const char *label;
    asx_err_name_fn *name;
} domains[DOMAIN_COUNT_MAX];
static unsigned domain_count;

static const char *kernel_err_name(uint32_t code)
{
    switch ((asx_kernel_err)code) {
#define X(value, text)      \
    case ASX_KERNEL_##text: \
        return #text;
        ASX_KERNEL_ERR_LIST(X)
#undef X
    }
    return NULL;
}

static const char *errno_name(uint32_t code)
{
    return strerrorname_np((int)code);
}

void asx_err_domain_register(uint32_t domain, const char *label, asx_err_name_fn *name)
{
    asx_assert_lt(domain_count, DOMAIN_COUNT_MAX);
    domains[domain_count].domain = domain;
    domains[domain_count].label = label;
    domains[domain_count].name = name;
    domain_count++;
}

const char *asx_err_name(asx_err err, char *buf, size_t cap)
{
    const uint32_t domain = asx_err_domain_of(err);
    const uint32_t code = asx_err_code(err);
    const char *label = "user";
    const char *text = NULL;

    asx_assert(cap > 0);
    if (err == ASX_OK) {
        (void)snprintf(buf, cap, "OK");
        return buf;
    }
    if (domain == ASX_ERR_DOMAIN_KERNEL) {
        label = NULL;
        text = kernel_err_name(code);
    } else if (domain == ASX_ERR_DOMAIN_ERRNO) {
        label = NULL;
        text = errno_name(code);
    } else if (domain == ASX_ERR_DOMAIN_HTTP) {
        label = "http";
    }
    for (unsigned i = 0; i < domain_count; i++) {
        if (domains[i].domain == domain) {
            label = domains[i].label;
            text = domains[i].name ? domains[i].name(code) : NULL;
        }
    }
    if (text) {
        (void)snprintf(buf, cap, "%s%s%s", label ? label : "", label ? " " : "", text);
    } else {
        (void)snprintf(buf, cap, "%s %u", label ? label : "code", code);
    }
    return buf;
}
