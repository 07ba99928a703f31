/* A run in the lab, its report, and what may be asked of it. */
#ifndef ASX_TESTS_LAB_LAB_FIXTURE_H
#define ASX_TESTS_LAB_LAB_FIXTURE_H

#include <asx/lab/scenario.h>
#include <asx/lab/world.h>

#include <catch2/catch.hpp>
#include <string>

struct lab_report {
    asx_lab_report report{};
    bool passed;

    lab_report(const asx_lab_config &config, asx_task_fn *app, void *arg = nullptr)
    {
        passed = asx_lab_run(&config, app, arg, &report);
    }
    ~lab_report()
    {
        asx_lab_report_deinit(&report);
    }
    lab_report(const lab_report &) = delete;
    bool violates(const std::string &code, const std::string &part = "") const
    {
        for (uint32_t i = 0; i < report.violation_count; i++) {
            if (report.violations[i].code == code &&
                std::string(report.violations[i].text).find(part) != std::string::npos) {
                return true;
            }
        }
        return false;
    }
    std::string text() const
    {
        char *buf = nullptr;
        size_t len = 0;
        FILE *out = open_memstream(&buf, &len);
        asx_lab_report_print(&report, out);
        fclose(out);
        std::string copy(buf, len);
        free(buf);
        return copy;
    }
};

static inline asx_lab_config of_shards(uint32_t shards, uint64_t seed = 42)
{
    asx_lab_config config{};
    config.shards = shards;
    config.seed = seed;
    return config;
}

#ifndef TASK
#define TASK [](ASX_UNUSED asx_cx * cx, ASX_UNUSED void *arg) -> asx_outcome
#endif

#endif
