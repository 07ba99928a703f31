#include <asx/raptorq/tuple.h>
#include <asx/shard/base/assert.h>

#include <stddef.h>

uint32_t asx_rq_rand(uint32_t y, uint32_t i, uint32_t m)
{
    asx_debug_assert(m > 0);
    const uint32_t x =
        asx_rq_rand_table[0][(y + i) & 255] ^ asx_rq_rand_table[1][((y >> 8) + i) & 255] ^
        asx_rq_rand_table[2][((y >> 16) + i) & 255] ^ asx_rq_rand_table[3][((y >> 24) + i) & 255];
    return x % m;
}

uint32_t asx_rq_deg(uint32_t v, uint32_t w)
{
    /* threshold[d - 1] is the first v of a degree above d */
    static const uint32_t threshold[31] = {
        5243,    529531,  704294,  791675,  844104,  879057,  904023,  922747,
        937311,  948962,  958494,  966438,  973160,  978921,  983914,  988283,
        992138,  995565,  998631,  1001391, 1003887, 1006157, 1008229, 1010129,
        1011876, 1013490, 1014983, 1016370, 1017662, 1048576, 1048576,
    };
    asx_debug_assert(v < threshold[29]);
    /* halving without branches: where to turn could not be foreseen */
    uint32_t d = 0;
    d += v >= threshold[d + 15] ? 16 : 0;
    d += v >= threshold[d + 7] ? 8 : 0;
    d += v >= threshold[d + 3] ? 4 : 0;
    d += v >= threshold[d + 1] ? 2 : 0;
    d += v >= threshold[d] ? 1 : 0;
    d++;
    return d < w - 2 ? d : w - 2;
}

asx_rq_tuple asx_rq_tuple_of(const asx_rq_param *param, uint32_t isi)
{
    const uint32_t a = (53591 + 997 * param->j) | 1;
    const uint32_t b = 10267 * (param->j + 1);
    const uint32_t y = b + isi * a; /* modulo 2^32 */
    asx_rq_tuple tuple;
    tuple.d = asx_rq_deg(asx_rq_rand(y, 0, 1u << 20), param->w);
    tuple.a = 1 + asx_rq_rand(y, 1, param->w - 1);
    tuple.b = asx_rq_rand(y, 2, param->w);
    tuple.d1 = tuple.d < 4 ? 2 + asx_rq_rand(isi, 3, 2) : 2;
    tuple.a1 = 1 + asx_rq_rand(isi, 4, param->p1 - 1);
    tuple.b1 = asx_rq_rand(isi, 5, param->p1);
    return tuple;
}

uint32_t asx_rq_support(const asx_rq_param *param, uint32_t isi,
                        uint16_t columns[ASX_RQ_SUPPORT_MAX], uint32_t *lt_count)
{
    const asx_rq_tuple tuple = asx_rq_tuple_of(param, isi);
    uint32_t n = 0;
    uint32_t b = tuple.b;
    while (n < tuple.d) {
        columns[n++] = (uint16_t)b;
        b += tuple.a;
        b = b >= param->w ? b - param->w : b;
    }
    *lt_count = n;
    b = tuple.b1;
    while (n < tuple.d + tuple.d1) {
        if (b < param->p) {
            columns[n++] = (uint16_t)(param->w + b);
        }
        b += tuple.a1;
        b = b >= param->p1 ? b - param->p1 : b;
    }
    return n;
}
