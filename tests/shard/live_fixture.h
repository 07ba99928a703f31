/* Runs one task tree on one shard over a real driver, and checks that nothing is left. */
#ifndef ASX_TESTS_SHARD_LIVE_FIXTURE_H
#define ASX_TESTS_SHARD_LIVE_FIXTURE_H

#include <asx/reactor/probe.h>
#include <asx/shard/scope.h>
#include <asx/shard/shard.h>

#include <catch2/catch.hpp>
#include <dirent.h>
#include <string>

static inline unsigned open_descriptors()
{
    unsigned count = 0;
    DIR *const dir = opendir("/proc/self/fd");
    REQUIRE(dir != nullptr);
    while (readdir(dir)) {
        count++;
    }
    closedir(dir);
    return count;
}

static inline void live_line(void *arg, asx_shard *, const char *text)
{
    static_cast<std::string *>(arg)->append(text).append("\n");
}

/* Severity of the tree's outcome, and the text of its error or panic. */
static inline asx_severity run_live(asx_driver_choice choice, asx_task_fn *fn, void *arg = nullptr)
{
    asx_driver_config driver_config{};
    asx_shard_config config{};
    std::string lines;
    char why[ASX_DRIVER_WHY_MAX] = "";
    const unsigned before = open_descriptors();
    REQUIRE(asx_driver_create(choice, &driver_config, &config.driver, why, sizeof(why)) == ASX_OK);
    config.seed = 1;
    config.leak_response = ASX_LEAK_PANIC;
    config.diagnostic = live_line;
    config.diagnostic_arg = &lines;
    asx_shard *shard = nullptr;
    REQUIRE(asx_shard_create(&config, &shard) == ASX_OK);
    const asx_outcome outcome = asx_shard_run(shard, fn, arg);
    char text[64];
    INFO(lines);
    INFO((outcome.severity == ASX_SEVERITY_ERR ? asx_err_name(outcome.err, text, sizeof(text))
          : outcome.severity == ASX_SEVERITY_PANICKED ? outcome.panic->message
                                                      : ""));
    CHECK(outcome.severity == ASX_SEVERITY_OK);
    asx_shard_stats stats;
    asx_shard_stats_read(shard, &stats);
    CHECK(stats.tasks_live == 0);
    CHECK(stats.regions_live == 0);
    CHECK(stats.ops_in_flight == 0);
    CHECK(stats.timers_armed == 0);
    CHECK(stats.obligations_pending == 0);
    const asx_severity severity = (asx_severity)outcome.severity;
    asx_shard_destroy(shard);
    CHECK(open_descriptors() == before);
    return severity;
}

#define BOTH_CHOICES GENERATE(ASX_DRIVER_CHOICE_URING, ASX_DRIVER_CHOICE_EPOLL)

#endif
