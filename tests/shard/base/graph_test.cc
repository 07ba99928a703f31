/* Components of random graphs, held against who reaches whom by brute force. */
#include <asx/shard/base/graph.h>
#include <asx/shard/base/prng.h>

#include <catch2/catch.hpp>
#include <vector>

TEST_CASE("graph: components are who reach each other, each behind what it leads to", "[graph]")
{
    asx_prng prng;
    asx_prng_init(&prng, 3);
    for (int round = 0; round < 3000; round++) {
        const uint32_t count = static_cast<uint32_t>(asx_prng_below(&prng, 13));
        const uint64_t density = 1 + asx_prng_below(&prng, 8);
        std::vector<uint32_t> first{ 0 }, to;
        std::vector<std::vector<bool>> reaches(count, std::vector<bool>(count));
        for (uint32_t v = 0; v < count; v++) {
            reaches[v][v] = true;
            for (uint32_t w = 0; w < count; w++) {
                if (asx_prng_below(&prng, density + 2) == 0) {
                    to.push_back(w);
                    reaches[v][w] = true;
                }
            }
            first.push_back(static_cast<uint32_t>(to.size()));
        }
        for (uint32_t k = 0; k < count; k++) {
            for (uint32_t v = 0; v < count; v++) {
                for (uint32_t w = 0; w < count; w++) {
                    reaches[v][w] = reaches[v][w] || (reaches[v][k] && reaches[k][w]);
                }
            }
        }
        const asx_graph graph = { count, first.data(), to.data() };
        std::vector<uint32_t> component(count + 1), scratch(ASX_GRAPH_SCRATCH_WORDS * count + 1);
        const uint32_t found = asx_graph_components(&graph, component.data(), scratch.data());
        REQUIRE(found <= count);
        for (uint32_t v = 0; v < count; v++) {
            REQUIRE(component[v] < found);
            for (uint32_t w = 0; w < count; w++) {
                REQUIRE((component[v] == component[w]) == (reaches[v][w] && reaches[w][v]));
                if (reaches[v][w]) {
                    REQUIRE(component[v] >= component[w]);
                }
            }
        }
    }
}

TEST_CASE("graph: a long chain and a long ring need no stack", "[graph]")
{
    const uint32_t count = 200000;
    std::vector<uint32_t> first, to, component(count), scratch(ASX_GRAPH_SCRATCH_WORDS * count);
    for (uint32_t v = 0; v <= count; v++) {
        first.push_back(v);
        to.push_back((v + 1) % count);
    }
    const asx_graph ring = { count, first.data(), to.data() };
    CHECK(asx_graph_components(&ring, component.data(), scratch.data()) == 1);
    first[count] = count - 1; /* the last leads nowhere */
    const asx_graph chain = { count, first.data(), to.data() };
    CHECK(asx_graph_components(&chain, component.data(), scratch.data()) == count);
}
