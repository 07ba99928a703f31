#include <asx/lab/narrator.h>
#include <asx/lab/perfetto.h>
#include <asx/lab/show.h>
#include <asx/lab/tool.h>
#include <asx/lab/trace_diff.h>
#include <asx/lab/trace_tool.h>

#include <errno.h>
#include <string.h>

#define CHUNK_LEN 4096u    /* what a process that dies takes with it */
#define SHOWN_MAX 1000000u /* events that `show` looks back on */

static FILE *file_open(const char *path, const char *how)
{
    FILE *const file = fopen(path, how);
    if (!file) {
        fprintf(stderr, "asx lab: %s: %s\n", path, strerror(errno));
    }
    return file;
}

static int file_wrong(const char *path, const char *wrong)
{
    fprintf(stderr, "asx lab: %s: %s\n", path, wrong);
    return ASX_LAB_EXIT_FILE;
}

static bool level_of(const char *name, asx_lab_trace_level *level)
{
    *level = ASX_LAB_TRACE_LOSSLESS;
    if (name && !asx_lab_trace_level_parse(name, level)) {
        fprintf(stderr, "asx lab: there is no level %s: lossless, structural, skeleton\n", name);
        return false;
    }
    return true;
}

bool asx_trace_tool_begin(asx_trace_tool_out *out, const char *path, const char *level,
                          const asx_lab_scenario *scenario, asx_lab_config *config)
{
    asx_lab_trace_options options = { .scenario = scenario->name,
                                      .config = config,
                                      .codec = ASX_LAB_TRACE_AUTO,
                                      .chunk_len = CHUNK_LEN };
    *out = (asx_trace_tool_out){ .path = path };
    if (!level_of(level, &options.level)) {
        return false;
    }
    out->file = file_open(path, "wb");
    if (!out->file) {
        return false;
    }
    char name[64];
    const asx_err err = asx_lab_trace_writer_create(out->file, &options, &out->writer);
    if (err) {
        (void)file_wrong(path, asx_err_name(err, name, sizeof(name)));
        fclose(out->file);
        return false;
    }
    asx_lab_listener *const listener = asx_lab_trace_writer_listener(out->writer);
    listener->next = config->listeners;
    config->listeners = listener;
    return true;
}

bool asx_trace_tool_end(asx_trace_tool_out *out, const asx_lab_report *report)
{
    char name[64];
    asx_err err = asx_lab_trace_writer_finish(out->writer, report);
    const uint64_t kept = asx_lab_trace_writer_kept(out->writer);
    asx_lab_trace_writer_destroy(out->writer);
    if (fclose(out->file) != 0 && !err) {
        err = asx_err_errno(EIO);
    }
    if (err) {
        fprintf(stderr,
                "asx lab: %s: %s after %" PRIu64 " records; asx lab recover makes a file of them\n",
                out->path, asx_err_name(err, name, sizeof(name)), kept);
    }
    return !err;
}

bool asx_trace_tool_is(const char *path)
{
    char head[8];
    FILE *const file = fopen(path, "rb");
    const size_t got = file ? fread(head, 1, sizeof(head), file) : 0;
    if (file) {
        fclose(file);
    }
    return asx_lab_trace_is(head, got);
}

static int follow(const char *path, asx_lab_trace_reader *reader, const asx_lab_scenario *more,
                  bool by_seed)
{
    const asx_lab_trace_info *const info = asx_lab_trace_reader_info(reader);
    const asx_lab_scenario *const scenario = asx_lab_scenario_among(more, info->scenario);
    const asx_lab_trace_guide guide = by_seed ? ASX_LAB_TRACE_SEED : ASX_LAB_TRACE_CHOICES;
    if (!scenario) {
        fprintf(stderr, "asx lab: %s: a run of '%s', which this program does not have\n", path,
                info->scenario);
        return ASX_LAB_EXIT_FILE;
    }
    const asx_lab_config base = asx_lab_scenario_config(scenario, info->seed, info->config.shards);
    asx_lab_config config = asx_lab_trace_config(info, &base);
    config.fingerprint = info->receipt.fingerprint != 0;
    const char *const refused = asx_lab_trace_follow_refused(info, &config, guide);
    if (refused) {
        return file_wrong(path, refused);
    }
    asx_lab_trace_divergence divergence;
    asx_lab_report report;
    const bool same =
        asx_lab_trace_follow(&config, scenario->app, NULL, reader, guide, &divergence, &report);
    const char *const wrong = asx_lab_trace_reader_wrong(reader);
    int status = same ? ASX_LAB_EXIT_PASSED : ASX_LAB_EXIT_DIVERGED;
    if (wrong) {
        status = file_wrong(path, wrong);
    } else {
        asx_lab_report_print(&report, stdout);
        if (info->cut && same) {
            printf("cut        the file ends at record %" PRIu64 " of %" PRIu64
                   ", and the run was stopped there\n",
                   info->kept, info->total);
        } else if (same && !asx_lab_report_passed(&report)) {
            status = ASX_LAB_EXIT_VIOLATION;
        }
        asx_lab_trace_divergence_print(&divergence, "recorded", "this run", stdout);
    }
    asx_lab_report_deinit(&report);
    return status;
}

int asx_trace_tool_replay(const char *path, const asx_lab_scenario *more, bool by_seed)
{
    FILE *const file = file_open(path, "rb");
    if (!file) {
        return ASX_LAB_EXIT_FILE;
    }
    asx_lab_trace_reader *const reader = asx_lab_trace_reader_create(file, ASX_LAB_TRACE_STRICT);
    const char *const wrong = asx_lab_trace_reader_wrong(reader);
    const int status = wrong ? file_wrong(path, wrong) : follow(path, reader, more, by_seed);
    asx_lab_trace_reader_destroy(reader);
    fclose(file);
    return status;
}

/* Tells as it reads: nothing of the file is held. */
static void tell(asx_lab_trace_reader *reader)
{
    asx_narrator narrator;
    asx_lab_event event;
    asx_narrator_init(&narrator, stdout);
    while (asx_lab_trace_reader_next(reader, &event)) {
        narrator.listener.hear(&narrator.listener, &event);
    }
    asx_narrator_end(&narrator);
}

static bool json_write(const char *path, const asx_lab_report *report)
{
    FILE *const file = file_open(path, "w");
    if (!file) {
        return false;
    }
    const asx_err err = asx_lab_perfetto_write(report, file);
    if (fclose(file) != 0 || err) {
        fprintf(stderr, "asx lab: %s could not be written\n", path);
        return false;
    }
    return true;
}

static int look(asx_lab_trace_reader *reader, const asx_trace_tool_view *view)
{
    asx_lab_report report;
    int status = ASX_LAB_EXIT_PASSED;
    if (view->tell) {
        tell(reader);
        return status;
    }
    if (!asx_lab_trace_load(reader, SHOWN_MAX, &report)) {
        asx_lab_report_deinit(&report);
        return ASX_LAB_EXIT_FILE;
    }
    if (asx_lab_trace_reader_records(reader) > SHOWN_MAX) {
        printf("shown      the last %u records\n", SHOWN_MAX);
    }
    if (view->json && !json_write(view->json, &report)) {
        status = ASX_LAB_EXIT_FILE;
    }
    if (!view->task) {
        asx_lab_show_tasks(&report, stdout);
    } else if (!asx_lab_show_task(&report, asx_lab_task_parse(view->task), stdout)) {
        fprintf(stderr, "asx lab: the run had no task %s\n", view->task);
        status = ASX_LAB_EXIT_USAGE;
    }
    asx_lab_report_deinit(&report);
    return status;
}

int asx_trace_tool_show(const char *path, const asx_trace_tool_view *view)
{
    FILE *const file = file_open(path, "rb");
    if (!file) {
        return ASX_LAB_EXIT_FILE;
    }
    asx_lab_trace_reader *const reader = asx_lab_trace_reader_create(file, ASX_LAB_TRACE_STRICT);
    int status = ASX_LAB_EXIT_FILE;
    if (!asx_lab_trace_reader_wrong(reader)) {
        if (!view->task && !view->tell) {
            asx_lab_trace_info_print(asx_lab_trace_reader_info(reader), stdout);
        }
        status = look(reader, view);
    }
    if (asx_lab_trace_reader_wrong(reader)) {
        status = file_wrong(path, asx_lab_trace_reader_wrong(reader));
    }
    asx_lab_trace_reader_destroy(reader);
    fclose(file);
    return status;
}

int asx_trace_tool_recover(const char *path, const char *to, const char *level_name)
{
    asx_lab_trace_recovery recovery;
    asx_lab_trace_level level;
    asx_err err;
    char name[64];
    if (!level_of(level_name, &level)) {
        return ASX_LAB_EXIT_USAGE;
    }
    FILE *const in = file_open(path, "rb");
    if (!in) {
        return ASX_LAB_EXIT_FILE;
    }
    FILE *const out = file_open(to, "wbx"); /* what is there already is never overwritten */
    if (!out) {
        fclose(in);
        return ASX_LAB_EXIT_FILE;
    }
    bool got = asx_lab_trace_recover(in, out, level, &recovery, &err);
    fclose(in);
    if (fclose(out) != 0 && got) {
        got = false;
        err = asx_err_errno(EIO);
    }
    if (!got) {
        (void)remove(to);
        return err ? file_wrong(to, asx_err_name(err, name, sizeof(name)))
                   : file_wrong(path, recovery.reason);
    }
    printf("recovered  %" PRIu64 " records, %" PRIu64 " bytes: %s\n", recovery.records,
           recovery.bytes, recovery.reason[0] ? recovery.reason : "all of it");
    return ASX_LAB_EXIT_PASSED;
}

int asx_trace_tool_diff(const char *a, const char *b)
{
    char wrong[ASX_LAB_TRACE_WRONG_MAX] = "";
    FILE *const file_a = file_open(a, "rb");
    FILE *const file_b = file_a ? file_open(b, "rb") : NULL;
    int status = ASX_LAB_EXIT_FILE;
    asx_lab_trace_diff diff;
    if (file_b && asx_lab_trace_diff_take(file_a, file_b, &diff, wrong)) {
        asx_lab_trace_diff_print(&diff, stdout);
        status =
            diff.relation == ASX_LAB_TRACE_DIFFERENT ? ASX_LAB_EXIT_DIVERGED : ASX_LAB_EXIT_PASSED;
    } else if (file_b) {
        (void)file_wrong(wrong[0] == 'B' ? b : a, wrong + (wrong[0] ? 3 : 0));
    }
    if (file_a) {
        fclose(file_a);
    }
    if (file_b) {
        fclose(file_b);
    }
    return status;
}
