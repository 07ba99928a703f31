/* At stake: the tree that an operator sees must be the kernel's own, in order, and bounded. */
#include <asx/shard/inspect.h>
#include <asx/shard/scope.h>

#include "engine_fixture.h"

#include <string>
#include <vector>

namespace
{

struct seen {
    asx_inspect_kind kind;
    uint32_t depth;
    std::string label, waits;
    uint32_t tasks, ops;
    asx_duration due_ns;
};

void note(void *arg, const asx_inspect_node *n)
{
    static_cast<std::vector<seen> *>(arg)->push_back({ n->kind, n->depth, n->label,
                                                       n->waits_for ? n->waits_for : "", n->tasks,
                                                       n->ops, n->due_ns });
}

asx_outcome sleeper(asx_cx *cx, void *)
{
    return asx_sleep(cx, asx_s(5));
}

} // namespace

TEST_CASE("inspect: regions and tasks come depth first, with what they wait for", "[engine]")
{
    in_a_task([](asx_cx *cx) {
        asx_region_options options{};
        options.policy = ASX_COLLECT_ALL;
        options.label = "outer";
        asx_region *outer = nullptr;
        asx_handle task;
        asx_spawn_options spawn{};
        spawn.label = "sleeper";
        spawn.detached_result = true;
        REQUIRE(asx_region_open(cx, &options, &outer) == ASX_OK);
        REQUIRE(asx_spawn(cx, outer, sleeper, nullptr, 0, &spawn, &task) == ASX_OK);
        REQUIRE(asx_sleep(cx, asx_ms(1)).severity == ASX_SEVERITY_OK);

        std::vector<seen> nodes;
        const uint64_t alive = asx_inspect(asx_shard_of(cx), 100, note, &nodes);
        REQUIRE(nodes.size() == 4);
        CHECK(alive == 4);
        CHECK(nodes[0].label == "root");
        CHECK(nodes[0].depth == 0);
        CHECK(nodes[1].kind == ASX_INSPECT_TASK);
        CHECK(nodes[1].waits.empty()); /* it is the one that looks */
        CHECK(nodes[2].label == "outer");
        CHECK(nodes[2].depth == 1);
        CHECK(nodes[2].tasks == 1);
        CHECK(nodes[3].label == "sleeper");
        CHECK(nodes[3].due_ns <= asx_s(5));
        CHECK(nodes[3].due_ns > asx_s(4));
        CHECK(nodes[1].due_ns == ASX_TIME_NEVER);
        CHECK(nodes[2].due_ns == ASX_TIME_NEVER);
        CHECK(nodes[3].depth == 2);
        CHECK(nodes[3].waits == "sleep");

        for (uint64_t limit = 0; limit < 4; limit++) {
            nodes.clear();
            CHECK(asx_inspect(asx_shard_of(cx), limit, note, &nodes) == alive);
            CHECK(nodes.size() == limit);
        }
        asx_region_close_begin(outer, ASX_CLOSE_CANCEL, nullptr);
    });
}
