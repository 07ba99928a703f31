#include <asx/raptorq/error.h>
#include <asx/shard/base/time.h>

#include "tool_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool asxi_tool_size(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    const char *units = "KMG";
    const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
    const unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;
    if (errno != 0 || end == text || text[0] == '-' || (*end != '\0' && unit == NULL) ||
        (unit != NULL && end[1] != '\0') || number > (UINT64_MAX >> shift)) {
        return false;
    }
    *value = (uint64_t)number << shift;
    return true;
}

bool asxi_tool_percent(const char *text, uint32_t *permille)
{
    char *end;
    const double percent = strtod(text, &end);
    if (end == text || (*end != '\0' && strcmp(end, "%") != 0) || !(percent >= 0) ||
        percent > 1000) {
        return false;
    }
    *permille = (uint32_t)(percent * 10 + 0.5);
    return true;
}

bool asxi_tool_seconds(const char *text, uint64_t *ns)
{
    char *end;
    const double seconds = strtod(text, &end);
    if (end == text || (*end != '\0' && strcmp(end, "s") != 0) || !(seconds > 0) || seconds > 1e6) {
        return false;
    }
    *ns = (uint64_t)(seconds * (double)ASX_NS_PER_S);
    return *ns > 0;
}

static bool is_flag(const char *const *flags, const char *name)
{
    for (; *flags != NULL; flags++) {
        if (strcmp(*flags, name) == 0) {
            return true;
        }
    }
    return false;
}

bool asxi_tool_parse(int argc, char **argv, const char *const *flags, const char **operands,
                     int operand_count, asxi_tool_option_fn *option, void *options)
{
    int given = 0;
    for (int i = 2; i < argc; i++) {
        const char *name = argv[i], *value = NULL;
        if (strncmp(name, "--", 2) != 0) {
            if (given == operand_count) {
                fprintf(stderr, "asx rq %s: one word too many: %s\n", argv[1], name);
                return false;
            }
            operands[given++] = name;
            continue;
        }
        if (!is_flag(flags, name)) {
            if (i + 1 == argc) {
                fprintf(stderr, "asx rq %s: no option %s, or its value is missing\n", argv[1],
                        name);
                return false;
            }
            value = argv[++i];
        }
        if (!option(options, name, value)) {
            fprintf(stderr, "asx rq %s: cannot take %s%s%s\n", argv[1], name,
                    value != NULL ? " " : "", value != NULL ? value : "");
            return false;
        }
    }
    if (given < operand_count) {
        fprintf(stderr, "asx rq %s: %d word%s missing\n", argv[1], operand_count - given,
                operand_count - given > 1 ? "s" : "");
        return false;
    }
    return true;
}

const char *asxi_tool_err(asx_err err, char *buf, size_t cap)
{
    if (asx_err_domain_of(err) == ASX_ERR_DOMAIN_RAPTORQ) {
        const char *name = asx_rq_err_name(asx_err_code(err));
        return name != NULL ? name : "?";
    }
    if (asx_err_domain_of(err) == ASX_ERR_DOMAIN_ERRNO) {
        const char *text = strerrordesc_np((int)asx_err_code(err));
        return text != NULL ? text : "?";
    }
    return asx_err_name(err, buf, cap);
}
