/* Explores a world of several shards until no class is left, or a stated bound. */
#ifndef TESTS_LAB_EXPLORE_ALL_H
#define TESTS_LAB_EXPLORE_ALL_H

#include <asx/lab/dpor.h>
#include <asx/lab/explore.h>
#include <asx/lab/explore_world.h>
#include <asx/lab/strategy.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <string>

/* Each world has arenas of its own, and with `retain` jemalloc keeps the address space of every one
 * that was destroyed: the kernel's limit of mappings is met after 27,000 runs. */
extern "C" const char *malloc_conf;

struct explored_all {
    uint64_t runs = 0, classes = 0;
    bool nothing_left = false, failed = false;
    std::string text;
};

static inline explored_all explore_by(asx_explore_world *world, asx_strategy *strategy,
                                      uint64_t runs_max)
{
    asx_explore_config config = {};
    config.runs_max = runs_max;
    asx_explore_report *const report = asx_explore(&world->program, strategy, &config);
    explored_all result;
    uint32_t failures;
    asx_explore_failures(report, &failures);
    char *text = nullptr;
    size_t len = 0;
    FILE *const out = open_memstream(&text, &len);
    asx_explore_print(report, out);
    fclose(out);
    result.text.assign(text, len);
    free(text);
    result.runs = asx_explore_coverage_of(report).runs;
    result.classes = asx_explore_coverage_of(report).classes;
    result.failed = failures > 0;
    result.nothing_left = std::string(asx_explore_why(report)) == "nothing left";
    asx_explore_report_destroy(report);
    asx_strategy_destroy(strategy);
    return result;
}

/* AddressSanitizer looks at what the first runs of a world touch; a run takes it five times as
 * long, and the last class is found without it. */
constexpr bool explores_all = !ASX_ASAN;

/* All orders of whole turns: one run a class. */
static inline explored_all explore_all(asx_explore_world *world, uint64_t runs_max)
{
    asx_dpor_config config = {};
    config.fixed_sites = ASX_DPOR_TIMING;
    return explore_by(world, asx_dpor_create(&config), explores_all ? runs_max : runs_max / 60);
}

/* Everything is a choice, drawn from a seed. */
static inline explored_all explore_some(asx_explore_world *world, uint64_t runs_max)
{
    const uint64_t runs = explores_all ? runs_max : runs_max / 5;
    return explore_by(world, asx_strategy_random(runs), runs);
}

/* The worlds in which one story is told, explored one after another. */
struct explored_story {
    uint64_t runs = 0, classes = 0;
    uint32_t worlds = 0, exhausted = 0;

    void all(asx_explore_world *world, uint64_t runs_max, const std::string &name)
    {
        const explored_all found = explore_all(world, runs_max);
        INFO(name << '\n' << found.text);
        REQUIRE_FALSE(found.failed);
        runs += found.runs;
        classes += found.classes;
        worlds++;
        exhausted += found.nothing_left;
    }

    static void some(asx_explore_world *world, uint64_t runs_max, const std::string &name)
    {
        const explored_all found = explore_some(world, runs_max);
        INFO(name << '\n' << found.text);
        REQUIRE_FALSE(found.failed);
    }

    /* True: no class is left in any of them, where all were asked for. */
    bool told(const std::string &name) const
    {
        WARN(name << ": " << worlds << " worlds, " << exhausted << " without a class left, "
                  << classes << " classes in " << runs << " runs");
        return !explores_all || exhausted == worlds;
    }
};

#endif
