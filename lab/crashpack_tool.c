#include <asx/lab/crashpack_tool.h>
#include <asx/lab/tool.h>
#include <asx/shard/base/assert.h>

#include <string.h>

#define REPLAYS_MAX 500u

bool asx_crashpack_tool_chaos(const asx_lab_scenario *scenario, const char *preset,
                              asx_lab_config *config)
{
    if (!preset) {
        return true;
    }
    if (!asx_chaos_preset(&config->chaos, preset)) {
        return false;
    }
    if (!scenario->withstands) {
        uint32_t *const ppm = config->chaos.ppm;
        ppm[ASX_CHAOS_CANCEL] = ppm[ASX_CHAOS_BUDGET] = ppm[ASX_CHAOS_DELAY] = 0;
        ppm[ASX_CHAOS_ALLOC] = ppm[ASX_CHAOS_IO] = ppm[ASX_CHAOS_JUMP] = 0;
        config->chaos.delay_max_ns = config->chaos.jump_max_ns = 0;
    }
    return true;
}

bool asx_crashpack_tool_write(const asx_lab_scenario *scenario, const asx_lab_config *config,
                              const asx_lab_report *report, const char *dir)
{
    const asx_crashpack_subject subject = { .name = scenario->name,
                                            .config = config,
                                            .app = scenario->app };
    char path[512], why[64];
    const asx_err err = asx_crashpack_write(&subject, report, dir, "asx lab replay ", REPLAYS_MAX,
                                            path, sizeof(path));
    if (err) {
        fprintf(stderr, "asx lab: %s: %s\n", dir, asx_err_name(err, why, sizeof(why)));
        return false;
    }
    printf("crashpack  asx lab replay %s\n", path);
    return true;
}

static int replay(const asx_crashpack *pack, const asx_lab_scenario *more)
{
    const asx_lab_scenario *const scenario = asx_lab_scenario_among(more, pack->name);
    if (!scenario) {
        fprintf(stderr, "asx lab: a failure of '%s', which this program does not have\n",
                pack->name);
        return ASX_LAB_EXIT_FILE;
    }
    if (pack->build_id != asx_lab_build_id()) {
        printf("note       written by another build\n");
    }
    const asx_lab_config base =
        asx_lab_scenario_config(scenario, pack->config.seed, pack->config.shards);
    const asx_crashpack_subject subject = { .name = scenario->name,
                                            .config = &base,
                                            .app = scenario->app };
    asx_lab_report report;
    const bool same = asx_crashpack_replay(pack, &subject, false, &report);
    if (report.steps > 0) {
        asx_lab_report_print(&report, stdout);
    }
    printf("replay     %s\n", same                ? "the same failure, to the last event"
                              : report.steps == 0 ? "another configuration: nothing was run"
                                                  : "another run than the pack's");
    asx_lab_report_deinit(&report);
    return same ? ASX_LAB_EXIT_VIOLATION : ASX_LAB_EXIT_DIVERGED;
}

bool asx_crashpack_tool_replay(const char *path, const asx_lab_scenario *more, int *status)
{
    char head[16];
    FILE *const file = fopen(path, "rb");
    const size_t got = file ? fread(head, 1, sizeof(head), file) : 0;
    if (!asx_crashpack_is(head, got)) {
        if (file) {
            fclose(file);
        }
        return false;
    }
    rewind(file);
    asx_crashpack pack;
    const char *const wrong = asx_crashpack_read(file, &pack);
    fclose(file);
    if (wrong) {
        fprintf(stderr, "asx lab: %s: %s\n", path, wrong);
        *status = ASX_LAB_EXIT_FILE;
        return true;
    }
    *status = replay(&pack, more);
    asx_crashpack_deinit(&pack);
    return true;
}
