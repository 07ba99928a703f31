/* The kernels: plain C is the truth, every other one must give its bytes for every length,
 * alignment and factor, and must not touch a byte outside. Plain C itself is compared with
 * arithmetic straight from the polynomial. */
#include <asx/raptorq/gf256.h>

#include "support.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace
{

uint8_t slow_mul(uint8_t a, uint8_t b)
{
    unsigned product = 0;
    for (int i = 0; i < 8; i++) {
        product ^= (b >> i & 1) ? (unsigned)a << i : 0;
    }
    for (int i = 15; i >= 8; i--) {
        product ^= (product >> i & 1) ? 0x11Du << (i - 8) : 0;
    }
    return (uint8_t)product;
}

std::vector<const asx_rq_kernel *> kernels()
{
    std::vector<const asx_rq_kernel *> all;
    for (const char *name : { "plain", "ssse3", "avx2", "avx512", "neon" }) {
        if (const asx_rq_kernel *kernel = asx_rq_kernel_find(name)) {
            all.push_back(kernel);
        }
    }
    return all;
}

rq::bytes noise(asx_prng &prng, size_t size)
{
    rq::bytes out(size);
    for (auto &byte : out) {
        byte = (uint8_t)asx_prng_u64(&prng);
    }
    return out;
}

/* Rows aligned to 64, as slabs are. */
struct slab {
    uint8_t *data;
    size_t size;
    explicit slab(size_t n) : size(n)
    {
        data = static_cast<uint8_t *>(std::aligned_alloc(64, (n + 63) / 64 * 64));
    }
    slab(const slab &) = delete;
    slab &operator=(const slab &) = delete;
    ~slab()
    {
        std::free(data);
    }
};

} // namespace

TEST_CASE("gf256: the field is the RFC's", "[raptorq]")
{
    CHECK(asx_gf_exp(8) == 29);
    CHECK(asx_gf_exp(254) == 142);
    CHECK(asx_gf_inv(2) == 142);
    CHECK(asx_gf_mul(0x53, 0xCA) == 143);
    rq::bytes table;
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            table.push_back(asx_gf_mul((uint8_t)a, (uint8_t)b));
            REQUIRE(table.back() == slow_mul((uint8_t)a, (uint8_t)b));
        }
        if (a != 0) {
            REQUIRE(asx_gf_mul((uint8_t)a, asx_gf_inv((uint8_t)a)) == 1);
        }
    }
    CHECK(rq::sha256(table.data(), table.size()) ==
          "003d1a609783d2740b9b3f00b0cd9e43e42c4f3eedc5ff54ec1709996d52e1e0");
}

TEST_CASE("gf256: every kernel multiplies by every factor as the polynomial says", "[raptorq]")
{
    for (const asx_rq_kernel *kernel : kernels()) {
        CAPTURE(kernel->name);
        rq::bytes all(256 + 5), product(256 + 5), sum(256 + 5);
        for (size_t i = 0; i < all.size(); i++) {
            all[i] = (uint8_t)i;
        }
        for (int factor = 0; factor < 256; factor++) {
            kernel->mul_row(product.data(), all.data(), (uint8_t)factor, all.size());
            sum = all;
            kernel->muladd_row(sum.data(), all.data(), (uint8_t)factor, all.size());
            for (size_t i = 0; i < all.size(); i++) {
                const uint8_t expected = slow_mul(all[i], (uint8_t)factor);
                REQUIRE(product[i] == expected);
                REQUIRE(sum[i] == (expected ^ all[i]));
            }
        }
    }
}

TEST_CASE("gf256: rows of every length and alignment, and nothing beside them", "[raptorq]")
{
    asx_prng prng;
    asx_prng_init(&prng, 6);
    const rq::bytes source = noise(prng, 512), before = noise(prng, 512);
    for (const asx_rq_kernel *kernel : kernels()) {
        CAPTURE(kernel->name);
        for (size_t len = 0; len <= 300; len++) {
            const size_t from = asx_prng_below(&prng, 64), to = asx_prng_below(&prng, 64);
            const uint8_t factor = (uint8_t)asx_prng_u64(&prng);
            rq::bytes x = before, m = before, a = before;
            kernel->xor_row(&x[to], &source[from], len);
            kernel->mul_row(&m[to], &source[from], factor, len);
            kernel->muladd_row(&a[to], &source[from], factor, len);
            bool same = true;
            for (size_t i = 0; i < before.size(); i++) {
                const bool inside = i >= to && i < to + len;
                const uint8_t s = inside ? source[from + i - to] : 0;
                same &= x[i] == (before[i] ^ s);
                same &= m[i] == (inside ? slow_mul(s, factor) : before[i]);
                same &= a[i] == (before[i] ^ slow_mul(s, factor));
            }
            CAPTURE(len, from, to, factor);
            REQUIRE(same);
        }
    }
}

TEST_CASE("gf256: gather, sum and a product of one row equal their definition", "[raptorq]")
{
    asx_prng prng;
    asx_prng_init(&prng, 7);
    for (const asx_rq_kernel *kernel : kernels()) {
        CAPTURE(kernel->name);
        for (int trial = 0; trial < 300; trial++) {
            const size_t width = 64 * (1 + asx_prng_below(&prng, 24));
            const uint32_t rows = 3 + (uint32_t)asx_prng_below(&prng, 20);
            const size_t exact = width - asx_prng_below(&prng, 64);
            const uint32_t count = (uint32_t)asx_prng_below(&prng, rows);
            const uint32_t number = (uint32_t)asx_prng_below(&prng, 5);
            slab s(rows * width);
            const rq::bytes content = noise(prng, rows * width);
            std::memcpy(s.data, content.data(), content.size());
            /* symbols that end where the allocation ends: reading past them would be seen */
            const rq::bytes first = noise(prng, 2 * exact), second = noise(prng, 2 * exact);
            asx_rq_feed feed = {};
            feed.first = first.data();
            feed.second = second.data();
            feed.first_stride = feed.second_stride = exact;
            feed.split = 2;
            feed.end = 4;
            feed.exact = (uint32_t)exact;
            const std::vector<uint32_t> order(20, number); /* fetching ahead changes nothing */
            feed.order = order.data();
            feed.order_len = trial % 2 ? 20 : 0;
            std::vector<uint16_t> sources;
            rq::bytes factors;
            for (uint32_t i = 0; i < count; i++) {
                sources.push_back((uint16_t)asx_prng_below(&prng, rows));
                factors.push_back((uint8_t)asx_prng_below(&prng, 4 * 64));
            }
            std::vector<uint16_t> program = { (uint16_t)(count | ASX_RQ_GATHER_FED), 1,
                                              (uint16_t)number, 0 };
            program.insert(program.end(), sources.begin(), sources.end());
            kernel->gather(program.data(), program.data() + program.size(), s.data, width, &feed);
            rq::bytes made(exact + 1, 7), combined = noise(prng, exact + 1);
            const rq::bytes added = combined;
            bool same = true;
            for (size_t i = 0; i < width; i++) {
                uint8_t expected = 0;
                if (i < exact && number < 4) {
                    expected =
                        number < 2 ? first[number * exact + i] : second[(number - 2) * exact + i];
                }
                for (uint16_t r : sources) {
                    expected ^= content[r * width + i];
                }
                same &= s.data[width + i] == expected;
            }
            std::memcpy(s.data, content.data(), content.size());
            kernel->sum(made.data(), exact, s.data, width, sources.data(), count);
            asx_rq_product one = {};
            one.outputs = 1;
            one.inputs = count;
            one.factors = factors.data();
            one.in = s.data;
            one.in_stride = width;
            one.in_row = sources.data();
            one.out = combined.data();
            one.add = trial % 2;
            kernel->product(&one, exact);
            for (size_t i = 0; i < exact; i++) {
                uint8_t expected = 0, product = trial % 2 ? added[i] : 0;
                for (uint32_t j = 0; j < count; j++) {
                    expected ^= content[sources[j] * width + i];
                    product ^= slow_mul(content[sources[j] * width + i], factors[j]);
                }
                same &= made[i] == expected;
                same &= combined[i] == product;
            }
            same &= made[exact] == 7 && combined[exact] == added[exact];
            CAPTURE(trial, width, exact, count, number);
            REQUIRE(same);
        }
    }
}

TEST_CASE("gf256: many sums are each sum, past the caches or not", "[raptorq]")
{
    asx_prng prng;
    asx_prng_init(&prng, 10);
    const uint32_t rows = 12, outputs = 9;
    for (const asx_rq_kernel *kernel : kernels()) {
        CAPTURE(kernel->name);
        for (size_t width : { 64u, 128u, 192u, 256u, 640u }) {
            for (size_t len : { width, width - 1, width - 63 }) {
                for (size_t shift : { 0u, 1u }) {
                    const size_t stride = width + 64;
                    slab s(rows * width), out(outputs * stride + 64);
                    const rq::bytes content = noise(prng, rows * width);
                    const rq::bytes before = noise(prng, outputs * stride + 64);
                    std::memcpy(s.data, content.data(), content.size());
                    std::memcpy(out.data, before.data(), before.size());
                    rq::bytes expected = before;
                    std::vector<uint16_t> list, out_row;
                    for (uint32_t i = 0; i < outputs; i++) {
                        const auto count = (uint16_t)asx_prng_below(&prng, 7);
                        out_row.push_back((uint16_t)((i + 4) % outputs));
                        uint8_t *dst = &expected[shift + out_row[i] * stride];
                        std::memset(dst, 0, len);
                        list.push_back(count);
                        for (uint16_t j = 0; j < count; j++) {
                            list.push_back((uint16_t)asx_prng_below(&prng, rows));
                            for (size_t at = 0; at < len; at++) {
                                dst[at] ^= content[list.back() * width + at];
                            }
                        }
                    }
                    asx_rq_sums sums = {};
                    sums.list = list.data();
                    sums.count = outputs;
                    sums.slab = s.data;
                    sums.width = width;
                    sums.out = out.data + shift;
                    sums.out_stride = stride;
                    sums.out_row = out_row.data();
                    for (bool is_last_use : { false, true }) {
                        sums.is_last_use = is_last_use;
                        kernel->sum_each(&sums, len);
                        CAPTURE(width, len, shift, is_last_use);
                        REQUIRE(std::memcmp(out.data, expected.data(), expected.size()) == 0);
                        std::memcpy(out.data, before.data(), before.size());
                    }
                }
            }
        }
    }
}

TEST_CASE("gf256: a product of any shape equals its definition and stays in its rows", "[raptorq]")
{
    asx_prng prng;
    asx_prng_init(&prng, 9);
    for (const asx_rq_kernel *kernel : kernels()) {
        CAPTURE(kernel->name);
        for (int trial = 0; trial < 200; trial++) {
            const uint32_t outputs = 1 + (uint32_t)asx_prng_below(&prng, 9);
            const uint32_t inputs = (uint32_t)asx_prng_below(&prng, 7);
            const size_t len = asx_prng_below(&prng, 700);
            const size_t gap = 1 + asx_prng_below(&prng, 70);
            const size_t stride = len + gap, factor_stride = inputs + asx_prng_below(&prng, 3);
            /* the last input ends where its memory does */
            const rq::bytes in = noise(prng, inputs == 0 ? 0 : inputs * stride - gap);
            const rq::bytes factors = noise(prng, outputs * factor_stride + 1);
            rq::bytes out = noise(prng, outputs * stride);
            const rq::bytes before = out;
            std::vector<uint16_t> out_row(outputs);
            for (uint32_t i = 0; i < outputs; i++) {
                out_row[i] = (uint16_t)(outputs - 1 - i);
            }
            asx_rq_product p = {};
            p.outputs = outputs;
            p.inputs = inputs;
            p.factors = factors.data();
            p.factor_stride = factor_stride;
            p.in = in.data();
            p.in_stride = stride;
            p.out = out.data();
            p.out_stride = stride;
            p.out_row = trial % 3 != 0 ? out_row.data() : nullptr;
            p.add = trial % 2 != 0;
            kernel->product(&p, len);
            bool same = true;
            for (uint32_t i = 0; i < outputs; i++) {
                const size_t row = p.out_row != nullptr ? p.out_row[i] : i;
                for (size_t at = 0; at < stride; at++) {
                    uint8_t expected = before[row * stride + at];
                    if (at < len) {
                        expected = p.add ? expected : 0;
                        for (uint32_t j = 0; j < inputs; j++) {
                            expected ^=
                                slow_mul(in[j * stride + at], factors[i * factor_stride + j]);
                        }
                    }
                    same &= out[row * stride + at] == expected;
                }
            }
            CAPTURE(trial, outputs, inputs, len);
            REQUIRE(same);
        }
    }
}

TEST_CASE("gf256: the HDPC recurrence on bytes and on bits agree with its definition", "[raptorq]")
{
    asx_prng prng;
    asx_prng_init(&prng, 8);
    const uint32_t sums = 10;
    for (const asx_rq_kernel *kernel : kernels()) {
        CAPTURE(kernel->name);
        for (size_t width : { 64u, 128u, 192u, 320u }) {
            const uint32_t columns = width == 192 ? 40 : 400; /* few and many for their sums */
            slab s(columns * width), out(sums * width), bits_out((sums + 1) * width);
            std::vector<uint16_t> row(columns);
            rq::bytes pairs(2 * columns);
            std::vector<uint64_t> bits(columns * width / 64);
            for (uint32_t c = 0; c < columns; c++) {
                row[c] = c % 7 == 3 ? ASX_RQ_ROW_NONE : (uint16_t)c;
                pairs[2 * c] = (uint8_t)asx_prng_below(&prng, sums);
                pairs[2 * c + 1] = (uint8_t)((pairs[2 * c] + 1 + asx_prng_below(&prng, 9)) % sums);
                for (size_t i = 0; i < width; i++) {
                    const bool bit = row[c] != ASX_RQ_ROW_NONE && asx_prng_u64(&prng) % 2;
                    s.data[c * width + i] = bit;
                    bits[c * width / 64 + i / 64] |= (uint64_t)bit << (i % 64);
                }
            }
            const asx_rq_hdpc hdpc = { columns, sums, row.data(), pairs.data() };
            kernel->hdpc(&hdpc, s.data, width, out.data);
            std::memset(bits_out.data, 0, (sums + 1) * width);
            for (uint32_t c = 0; c + 1 < columns; c++) {
                kernel->hdpc_bits(
                    bits_out.data + sums * width, bits_out.data + pairs[2 * c] * width,
                    bits_out.data + pairs[2 * c + 1] * width, &bits[c * width / 64], width);
            }
            bool same = true;
            for (size_t i = 0; i < width; i++) {
                uint8_t w = 0, expected[16] = { 0 };
                for (uint32_t c = 0; c < columns; c++) {
                    const uint8_t x = row[c] == ASX_RQ_ROW_NONE ? 0 : s.data[c * width + i];
                    w = slow_mul(w, 2) ^ x;
                    if (c + 1 < columns) {
                        expected[pairs[2 * c]] ^= w;
                        expected[pairs[2 * c + 1]] ^= w;
                    }
                }
                for (uint32_t h = 0; h < sums; h++) {
                    same &= bits_out.data[h * width + i] == expected[h];
                    same &= out.data[h * width + i] == (expected[h] ^ slow_mul(w, asx_gf_exp(h)));
                }
            }
            CAPTURE(width);
            REQUIRE(same);
        }
    }
}

TEST_CASE("gf256: a kernel can be asked for by name", "[raptorq]")
{
    REQUIRE(asx_rq_kernel_find("plain") != nullptr);
    CHECK(std::string(asx_rq_kernel_find("plain")->name) == "plain");
    CHECK(asx_rq_kernel_find("abacus") == nullptr);
    CHECK(asx_rq_kernel_find(nullptr) != nullptr);
    const char *forced = std::getenv("ASX_GF256");
    if (forced != nullptr && asx_rq_kernel_find(forced) != nullptr) {
        CHECK(std::string(asx_rq_kernel_name()) == forced);
    } else {
        CHECK(asx_rq_kernel_get() == asx_rq_kernel_find(nullptr));
    }
}
