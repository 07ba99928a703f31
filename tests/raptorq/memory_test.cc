/* The memory that raptorq/README.md states for each K is what the codec takes: measured by an
 * allocator that counts, beside the caller's own source and output. */
#include "codec.h"

#include <cstring>
#include <map>

namespace
{

struct counter {
    size_t now = 0, peak = 0, blocks = 0;
    asx_rq_alloc alloc;
    counter()
    {
        alloc.get = get;
        alloc.put = put;
        alloc.self = this;
    }
    counter(const counter &) = delete;
    counter &operator=(const counter &) = delete;
    ~counter()
    {
        CHECK(blocks == 0);
        CHECK(now == 0);
    }
    static void *get(void *self, size_t size)
    {
        counter *c = (counter *)self;
        void *block = asx_rq_alloc_get(nullptr, size);
        if (block != nullptr) {
            c->now += size;
            c->blocks++;
            c->peak = std::max(c->peak, c->now);
        }
        return block;
    }
    static void put(void *self, void *block, size_t size)
    {
        counter *c = (counter *)self;
        c->now -= size;
        c->blocks--;
        asx_rq_alloc_put(nullptr, block, size);
    }
};

struct use {
    double plan, encode, few, repair;
};

enum { T = 1280 };

double in_mb(size_t bytes)
{
    return (double)bytes / 1e6;
}

double encode_memory(uint32_t k, const rq::bytes &source, double *plan_mb)
{
    counter c;
    asx_rq_block block;
    asx_rq_plan *plan;
    asx_rq_encoder *encoder;
    REQUIRE(asx_rq_block_init(&block, k, T, 1, 1) == ASX_OK);
    REQUIRE(asx_rq_plan_encode(&plan, &block.param, &c.alloc) == ASX_OK);
    *plan_mb = in_mb(asx_rq_plan_size(plan));
    REQUIRE(asx_rq_encoder_create(&encoder, &block, plan, &c.alloc) == ASX_OK);
    asx_rq_plan_unref(plan);
    REQUIRE(asx_rq_encoder_load(encoder, source.data(), source.size()) == ASX_OK);
    REQUIRE(asx_rq_encoder_prepare(encoder, nullptr) == ASX_OK);
    asx_rq_encoder_destroy(encoder);
    return in_mb(c.peak);
}

/* Decodes a block whose first `lost` source symbols were replaced by repair symbols. */
double decode_memory(rq::encoder &e, uint32_t lost)
{
    counter c;
    asx_rq_decoder_config config = {};
    config.alloc = &c.alloc;
    const uint32_t k = e.block.param.k;
    {
        rq::decoder d(e.block, config);
        for (uint32_t esi = lost; esi < k + lost + 3; esi++) {
            REQUIRE(d.feed(esi, e.symbol(esi)) == ASX_OK);
        }
        REQUIRE(d.attempt() == ASX_OK);
        REQUIRE(d.output == e.source);
    }
    return in_mb(c.peak);
}

use measure(uint32_t k)
{
    use u;
    rq::encoder e(k, T, 1, 1, rq::object((size_t)k * T, k));
    u.encode = encode_memory(k, e.source, &u.plan);
    u.few = decode_memory(e, (k + 19) / 20);
    u.repair = decode_memory(e, k);
    return u;
}

/* The rows "| K | source | plan | encode | decode, 5 % lost | decode, all repair |", in MB. */
std::map<uint32_t, use> stated()
{
    const char *root = std::getenv("ASX_SOURCE_ROOT");
    std::ifstream file(std::string(root != nullptr ? root : ".") + "/raptorq/README.md");
    REQUIRE(file);
    std::map<uint32_t, use> rows;
    for (std::string line; std::getline(file, line);) {
        uint32_t k;
        double source;
        use u;
        if (std::sscanf(line.c_str(), "| %u | %lf | %lf | %lf | %lf | %lf |", &k, &source, &u.plan,
                        &u.encode, &u.few, &u.repair) == 6) {
            rows[k] = u;
        }
    }
    return rows;
}

void check(uint32_t first, uint32_t last)
{
    const auto rows = stated();
    REQUIRE(rows.size() >= 9);
    for (const auto &[k, said] : rows) {
        if (k < first || k > last) {
            continue;
        }
        const use is = measure(k);
        const double said_all[] = { said.plan, said.encode, said.few, said.repair };
        const double is_all[] = { is.plan, is.encode, is.few, is.repair };
        char row[128];
        std::snprintf(row, sizeof(row), "| %u | %.3g | %.3g | %.3g | %.3g | %.3g |", k,
                      in_mb((size_t)k * T), is.plan, is.encode, is.few, is.repair);
        CAPTURE(row); /* as it would be right */
        for (int i = 0; i < 4; i++) {
            CAPTURE(i);
            CHECK(is_all[i] <= 1.02 * said_all[i] + 0.005);
            CHECK(said_all[i] <= 1.5 * is_all[i] + 0.01);
        }
    }
}

} // namespace

TEST_CASE("memory: is what the README states, up to K 10,000", "[raptorq]")
{
    check(0, 10000);
}

TEST_CASE("memory: is what the README states, above", "[.campaign][raptorq]")
{
    check(10001, UINT32_MAX);
}

TEST_CASE("memory: a receiver refuses before it takes, whatever a sender claims", "[raptorq]")
{
    /* The largest block there is, with one symbol: what is taken must follow what came. */
    counter c;
    asx_rq_block block;
    asx_rq_decoder *decoder;
    asx_rq_decoder_config config = {};
    config.alloc = &c.alloc;
    REQUIRE(asx_rq_block_init(&block, 56403, 4, 1, 1) == ASX_OK);
    rq::bytes output((size_t)56403 * 4);
    REQUIRE(asx_rq_decoder_create(&decoder, &block, output.data(), &config) == ASX_OK);
    REQUIRE(asx_rq_decoder_feed(decoder, 7, "abcd", 4) == ASX_OK);
    CHECK(c.peak < 2000000);
    CHECK(asx_rq_decoder_attempt(decoder, nullptr) == ASX_RQ_E(TOO_FEW));
    CHECK(c.peak < 2000000); /* nothing is solved that cannot be */
    asx_rq_decoder_destroy(decoder);
}
