/* The RFC's constants and what follows from them. A wrong bit here makes a codec that only agrees
 * with itself, so every table is compared by digest, every derived number by published value. */
#include <asx/raptorq/gf256.h>
#include <asx/raptorq/tuple.h>

#include "support.h"

#include <catch2/catch.hpp>

static void put_u32(rq::bytes &out, uint32_t x)
{
    for (int i = 0; i < 4; i++) {
        out.push_back((uint8_t)(x >> (8 * i)));
    }
}

TEST_CASE("table: all rows of K' equal the RFC's", "[raptorq]")
{
    rq::bytes all;
    for (const auto &row : asx_rq_table) {
        for (uint32_t x : { (uint32_t)row.k_prime, (uint32_t)row.j, (uint32_t)row.s,
                            (uint32_t)asx_rq_table_h(row.k_prime), (uint32_t)row.w }) {
            put_u32(all, x);
        }
    }
    CHECK(rq::sha256(all.data(), all.size()) ==
          "63e12a97334cbb3bd6b009395bfe409ecaa12d121928f23e139921ef807d714c");
}

TEST_CASE("table: the random tables equal the RFC's", "[raptorq]")
{
    rq::bytes all;
    for (const auto &table : asx_rq_rand_table) {
        for (uint32_t x : table) {
            put_u32(all, x);
        }
    }
    CHECK(rq::sha256(all.data(), all.size()) ==
          "39312b90f8ce970c763a8fd909df695fa23ef8f26c6a83409126221f1c3e3e23");
}

TEST_CASE("param: what follows from K", "[raptorq]")
{
    struct {
        uint32_t k, k_prime, j, s, h, w, l, p, p1, b;
    } rows[] = { { 10, 10, 254, 7, 10, 17, 27, 10, 11, 10 },
                 { 11, 12, 630, 7, 10, 19, 29, 10, 11, 12 },
                 { 13, 18, 682, 11, 10, 29, 39, 10, 11, 18 },
                 { 100, 101, 562, 17, 10, 113, 128, 15, 17, 96 },
                 { 256, 257, 265, 29, 10, 271, 296, 25, 29, 242 },
                 { 1000, 1002, 299, 59, 10, 1021, 1071, 50, 53, 962 },
                 { 8192, 8194, 212, 211, 11, 8273, 8416, 143, 149, 8062 },
                 { 10000, 10017, 396, 241, 11, 10111, 10269, 158, 163, 9870 },
                 { 56403, 56403, 471, 907, 16, 56951, 57326, 375, 379, 56044 } };
    for (const auto &row : rows) {
        asx_rq_param p;
        REQUIRE(asx_rq_param_init(&p, row.k) == ASX_OK);
        CHECK(p.k_prime == row.k_prime);
        CHECK(p.j == row.j);
        CHECK(p.s == row.s);
        CHECK(p.h == row.h);
        CHECK(p.w == row.w);
        CHECK(p.l == row.l);
        CHECK(p.p == row.p);
        CHECK(p.p1 == row.p1);
        CHECK(p.b == row.b);
    }
    asx_rq_param p;
    CHECK(asx_rq_param_init(&p, 0) == ASX_RQ_E(BAD_K));
    CHECK(asx_rq_param_init(&p, 56404) == ASX_RQ_E(BAD_K));
}

TEST_CASE("tuple: rand and deg at the edges", "[raptorq]")
{
    CHECK(asx_rq_rand(0, 0, 1 << 20) == 145433);
    CHECK(asx_rq_rand(1, 0, 1 << 20) == 662230);
    CHECK(asx_rq_rand(UINT32_MAX, 7, 1 << 20) == 645028);
    CHECK(asx_rq_rand(12345, 3, 97) == 89);
    CHECK(asx_rq_deg(0, 56951) == 1);
    CHECK(asx_rq_deg(5242, 56951) == 1);
    CHECK(asx_rq_deg(5243, 56951) == 2);
    CHECK(asx_rq_deg(529530, 56951) == 2);
    CHECK(asx_rq_deg(529531, 56951) == 3);
    CHECK(asx_rq_deg(1017661, 56951) == 29);
    CHECK(asx_rq_deg(1017662, 56951) == 30);
    CHECK(asx_rq_deg(1017662, 17) == 15);
}

TEST_CASE("tuple: published tuples", "[raptorq]")
{
    struct {
        uint32_t k, isi, d, a, b, d1, a1, b1;
    } rows[] = { { 10, 0, 2, 4, 9, 2, 5, 1 },
                 { 10, 1, 7, 6, 12, 2, 1, 3 },
                 { 10, 10, 2, 15, 15, 2, 10, 7 },
                 { 10, 16777215, 10, 4, 3, 2, 2, 5 },
                 { 101, 0, 2, 30, 4, 2, 5, 12 },
                 { 101, 101, 2, 8, 14, 2, 3, 2 },
                 { 1002, 12345, 3, 914, 727, 3, 51, 48 },
                 { 56403, 56403, 3, 11594, 17800, 3, 58, 66 },
                 { 56403, 16777215, 13, 15158, 38447, 2, 168, 69 } };
    for (const auto &row : rows) {
        asx_rq_param p;
        REQUIRE(asx_rq_param_init(&p, row.k) == ASX_OK);
        const asx_rq_tuple t = asx_rq_tuple_of(&p, row.isi);
        CHECK(t.d == row.d);
        CHECK(t.a == row.a);
        CHECK(t.b == row.b);
        CHECK(t.d1 == row.d1);
        CHECK(t.a1 == row.a1);
        CHECK(t.b1 == row.b1);
    }
}

TEST_CASE("tuple: supports are distinct columns in range, for every K' and odd ids", "[raptorq]")
{
    for (const auto &row : asx_rq_table) {
        asx_rq_param p;
        REQUIRE(asx_rq_param_init(&p, row.k_prime) == ASX_OK);
        uint32_t bad = 0;
        for (uint32_t base : { 0u, p.k_prime - 125, 65536u - 125, (1u << 24) - 125 }) {
            for (uint32_t isi = base; isi != base + 250; isi++) {
                uint16_t columns[ASX_RQ_SUPPORT_MAX];
                uint32_t lt;
                const uint32_t n = asx_rq_support(&p, isi, columns, &lt);
                for (uint32_t i = 0; i < n; i++) {
                    bad += (columns[i] < p.w) != (i < lt);
                    bad += columns[i] >= p.l;
                    for (uint32_t j = 0; j < i; j++) {
                        bad += columns[i] == columns[j];
                    }
                }
            }
        }
        REQUIRE(bad == 0);
    }
    const uint16_t expected[] = { 727, 620, 513, 1069, 1067, 1065 };
    asx_rq_param p;
    REQUIRE(asx_rq_param_init(&p, 1002) == ASX_OK);
    uint16_t columns[ASX_RQ_SUPPORT_MAX];
    uint32_t lt;
    REQUIRE(asx_rq_support(&p, 12345, columns, &lt) == 6);
    for (int i = 0; i < 6; i++) {
        CHECK(columns[i] == expected[i]);
    }
}
