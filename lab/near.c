#include "near_internal.h"

#include <string.h>

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned asxi_name_distance(const char *a, const char *b)
{
    unsigned row[40];
    const size_t len = strlen(b) < 39 ? strlen(b) : 39;
    for (unsigned k = 0; k <= len; k++) {
        row[k] = k;
    }
    for (unsigned i = 0; a[i] && i < 39; i++) {
        unsigned corner = row[0];
        row[0] = i + 1;
        for (size_t k = 0; k < len; k++) {
            const unsigned replaced = corner + (a[i] != b[k]);
            corner = row[k + 1];
            row[k + 1] = least(replaced, least(row[k], row[k + 1]) + 1);
        }
    }
    return row[len];
}
