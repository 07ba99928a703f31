/* The serialised form of a plan: a fixed head, the arrays in the order of the struct, a checksum.
 * */
#include <asx/raptorq/plan.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>
#include <asx/shard/base/prng.h>

#include "plan_internal.h"

#include <stdbool.h>
#include <string.h>

static const char magic[8] = "asxplan2";

typedef struct head {
    char magic[8];
    uint32_t k_prime, pivots, rank, forward_len, backward_len;
    uint32_t spare_count;
    uint32_t spare[8];
    asx_rq_solve_stats stats;
} head;

static uint64_t checksum(const uint8_t *bytes, size_t len)
{
    uint64_t sum = len;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes + i, len - i < 8 ? len - i : 8);
        sum = asx_mix64(sum ^ word) + i;
    }
    return sum;
}

enum { ARRAYS = 9 };

/* The plan's arrays, in the order in which they are placed and saved. */
static void list_arrays(const asx_rq_plan *plan, void *at[ARRAYS], size_t size[ARRAYS])
{
    const size_t columns = plan->free > 0 ? plan->hdpc.columns : 0;
    const size_t h = plan->free > 0 ? plan->h : 0;
    void *const arrays[ARRAYS] = { plan->row_of,    plan->forward,  plan->backward,
                                   plan->dense_row, plan->free_row, plan->hdpc_row,
                                   plan->pairs,     plan->lambda,   plan->inverse };
    const size_t sizes[ARRAYS] = { plan->l * sizeof(uint16_t),
                                   plan->forward_len * sizeof(uint16_t),
                                   plan->backward_len * sizeof(uint16_t),
                                   plan->rank * sizeof(uint16_t),
                                   plan->free * sizeof(uint16_t),
                                   columns * sizeof(uint16_t),
                                   2 * columns,
                                   h * plan->rank,
                                   h * h };
    memcpy(at, arrays, sizeof(arrays));
    memcpy(size, sizes, sizeof(sizes));
}

size_t asx_rq_plan_save_size(const asx_rq_plan *plan)
{
    void *at[ARRAYS];
    size_t size[ARRAYS], total = sizeof(head) + sizeof(uint64_t);
    list_arrays(plan, at, size);
    for (int i = 0; i < ARRAYS; i++) {
        total += size[i];
    }
    return total;
}

void asx_rq_plan_save(const asx_rq_plan *plan, uint8_t *out)
{
    head h;
    memset(&h, 0, sizeof(h));
    memcpy(h.magic, magic, sizeof(magic));
    h.k_prime = plan->k_prime;
    h.pivots = plan->pivots;
    h.rank = plan->rank;
    h.forward_len = plan->forward_len;
    h.backward_len = plan->backward_len;
    h.spare_count = plan->spare_count;
    memcpy(h.spare, plan->spare, sizeof(h.spare));
    h.stats = plan->stats;
    memcpy(out, &h, sizeof(h));
    size_t len = sizeof(h);
    void *at[ARRAYS];
    size_t size[ARRAYS];
    list_arrays(plan, at, size);
    for (int i = 0; i < ARRAYS; i++) {
        memcpy(out + len, at[i], size[i]);
        len += size[i];
    }
    const uint64_t sum = checksum(out, len);
    memcpy(out + len, &sum, sizeof(sum));
}

static bool all_below(const uint16_t *values, size_t count, uint32_t limit, bool none_allowed)
{
    for (size_t i = 0; i < count; i++) {
        if (values[i] >= limit && !(none_allowed && values[i] == ASX_RQ_ROW_NONE)) {
            return false;
        }
    }
    return true;
}

/* Every operation whole, every row inside the slab. Fed numbers are bounded at replay. */
static bool check_program(const uint16_t *op, size_t len, uint32_t rows)
{
    size_t at = 0;
    while (at < len) {
        const size_t count = op[at] & ASX_RQ_GATHER_COUNT;
        const size_t first = (op[at] & ASX_RQ_GATHER_FED) != 0 ? 4 : 2;
        if (len - at < first + count || op[at + 1] >= rows ||
            !all_below(op + at + first, count, rows, false)) {
            return false;
        }
        at += first + count;
    }
    return true;
}

static bool check_plan(const asx_rq_plan *plan)
{
    const size_t columns = plan->free > 0 ? plan->hdpc.columns : 0;
    for (size_t i = 0; i < 2 * columns; i++) {
        if (plan->pairs[i] >= plan->h) {
            return false;
        }
    }
    return check_program(plan->forward, plan->forward_len, plan->l) &&
           check_program(plan->backward, plan->backward_len, plan->l) &&
           all_below(plan->row_of, plan->l, plan->l, false) &&
           all_below(plan->dense_row, plan->rank, plan->l, false) &&
           all_below(plan->free_row, plan->free, plan->l, false) &&
           all_below(plan->hdpc_row, columns, plan->l, true);
}

/* The head's counts must be those of some plan of K' before memory is taken by them. */
static bool check_head(const head *h, size_t len, asx_rq_param *param)
{
    const uint64_t words = (uint64_t)h->forward_len + h->backward_len;
    return memcmp(h->magic, magic, sizeof(magic)) == 0 &&
           asx_rq_param_init(param, h->k_prime) == ASX_OK && param->k_prime == h->k_prime &&
           h->pivots <= param->l && h->rank <= param->l - h->pivots &&
           param->l - h->pivots - h->rank <= param->h && words <= len / 2 &&
           h->spare_count <= asx_array_count(h->spare);
}

asx_err asx_rq_plan_load(asx_rq_plan **result, const uint8_t *bytes, size_t len,
                         const asx_rq_alloc *alloc)
{
    head h;
    uint64_t sum;
    asx_rq_param param;
    if (len < sizeof(h) + sizeof(sum)) {
        return ASX_RQ_E(BAD_PLAN);
    }
    memcpy(&h, bytes, sizeof(h));
    memcpy(&sum, bytes + len - sizeof(sum), sizeof(sum));
    if (sum != checksum(bytes, len - sizeof(sum)) || !check_head(&h, len, &param)) {
        return ASX_RQ_E(BAD_PLAN);
    }
    asx_rq_plan *plan =
        asxi_rq_plan_create(&param, h.pivots, h.rank, h.forward_len, h.backward_len, alloc);
    if (plan == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    asx_err err = ASX_RQ_E(BAD_PLAN);
    if (asx_rq_plan_save_size(plan) == len) {
        void *at[ARRAYS];
        size_t size[ARRAYS];
        list_arrays(plan, at, size);
        const uint8_t *from = bytes + sizeof(h);
        for (int i = 0; i < ARRAYS; i++) {
            memcpy(at[i], from, size[i]);
            from += size[i];
        }
        plan->stats = h.stats;
        plan->spare_count = h.spare_count;
        memcpy(plan->spare, h.spare, sizeof(h.spare));
        err = check_plan(plan) && asxi_rq_plan_list_fed(plan) ? ASX_OK : err;
    }
    if (err != ASX_OK) {
        asx_rq_plan_unref(plan);
        return err;
    }
    *result = plan;
    return ASX_OK;
}
