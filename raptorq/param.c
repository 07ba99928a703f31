#include <asx/raptorq/param.h>
#include <asx/shard/base/assert.h>

#include <stdbool.h>
#include <stddef.h>

uint16_t asx_rq_table_h(uint16_t k_prime)
{
    static const uint16_t first[] = { 10, 1050, 10899, 20778, 30654, 40398, 50511 };
    uint16_t h = 9;
    for (size_t i = 0; i < asx_array_count(first) && first[i] <= k_prime; i++) {
        h++;
    }
    return h;
}

static bool is_prime(uint32_t n)
{
    for (uint32_t d = 2; d * d <= n; d++) {
        if (n % d == 0) {
            return false;
        }
    }
    return n >= 2;
}

static const asx_rq_table_row *row_of(uint32_t k)
{
    size_t low = 0, high = ASX_RQ_TABLE_ROWS - 1;
    while (low < high) {
        const size_t mid = (low + high) / 2;
        if (asx_rq_table[mid].k_prime >= k) {
            high = mid;
        } else {
            low = mid + 1;
        }
    }
    return &asx_rq_table[low];
}

asx_err asx_rq_param_init(asx_rq_param *param, uint32_t k)
{
    if (k == 0 || k > ASX_RQ_K_MAX) {
        return ASX_RQ_E(BAD_K);
    }
    const asx_rq_table_row *row = row_of(k);
    asx_assert_le(k, row->k_prime);
    param->k = k;
    param->k_prime = row->k_prime;
    param->j = row->j;
    param->s = row->s;
    param->h = asx_rq_table_h(row->k_prime);
    param->w = row->w;
    param->l = param->k_prime + param->s + param->h;
    param->p = param->l - param->w;
    param->p1 = param->p;
    while (!is_prime(param->p1)) {
        param->p1++;
    }
    param->b = param->w - param->s;
    asx_assert_le(param->h, param->p);
    asx_assert_le(param->w, param->k_prime + param->s);
    asx_assert_le(param->l, ASX_RQ_L_MAX);
    return ASX_OK;
}
