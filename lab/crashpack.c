/* How a crashpack is made. How it is read and replayed: crashpack_read.c. */
#include <asx/lab/explore_world.h>
#include <asx/lab/show.h>
#include <asx/lab/shrink.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/sha256.h>

#include "array_internal.h"
#include "crashpack_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void asxi_crashpack_digest(const char *bytes, size_t len, char text[65])
{
    unsigned char digest[32];
    asx_sha256 sha;
    asx_sha256_init(&sha);
    asx_sha256_add(&sha, bytes, len);
    asx_sha256_take(&sha, digest);
    for (size_t i = 0; i < sizeof(digest); i++) {
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    }
}

static void shrink(const asx_crashpack_subject *subject, const asx_lab_config *config,
                   const asx_lab_report *report, uint32_t replays_max, asx_crashpack *pack)
{
    asx_lab_config explored = *config;
    asx_explore_world world;
    asx_shrunk shrunk;
    explored.listeners = NULL;
    explored.choices = NULL; /* the explorer answers */
    explored.choice_count = 0;
    explored.bytes_len = 0;
    asx_explore_world_init(&world, subject->name, &explored, subject->app, subject->arg);
    world.reset = subject->reset;
    world.judge = subject->judge;
    const asx_explore_limits limits = { .steps_max = 0 };
    asx_shrink_failure(&shrunk, &world.program, report->seed, asx_lab_report_signature(report),
                       report->choices, report->choices_kept, &limits, replays_max);
    if (shrunk.result.reproduced) {
        pack->shrunk = shrunk.choices;
        pack->shrunk_count = shrunk.choice_count;
        shrunk.choices = NULL;
    }
    asx_shrunk_deinit(&shrunk);
}

static void print_choices(const char *what, const asx_lab_choice *rows, uint32_t count, FILE *out)
{
    fprintf(out, "%s %u\n", what, count);
    for (uint32_t i = 0; i < count; i++) {
        fprintf(out, " %u %u %u %" PRIu64 "\n", rows[i].site, rows[i].n, rows[i].chosen,
                rows[i].object);
    }
}

static void print_manifest(const asx_crashpack *pack, const asx_lab_report *report,
                           const char *command, const char *file, FILE *out)
{
    fprintf(out, "asx-crashpack %u\nname %s\n", ASX_CRASHPACK_VERSION, pack->name);
    fprintf(out, "config %016" PRIx64 "\nbuild %016" PRIx64 "\nsignature %016" PRIx64 "\n",
            pack->config_hash, pack->build_id, pack->signature);
    fprintf(out, "trace %016" PRIx64 "\nschedule %016" PRIx64 "\nfingerprint %016" PRIx64 "\n",
            pack->trace_hash, pack->schedule_hash, pack->fingerprint);
    fprintf(out, "verified %u\n", pack->verified);
    fprintf(out, "replay %s%s\n", command, file);
    asxi_knobs_print(&pack->config, out);
    fputs("report\n", out);
    asx_lab_report_print(report, out);
    fputs("tasks\n", out);
    asx_lab_show_tasks(report, out);
    const uint32_t kept = report->events_kept < ASX_CRASHPACK_EVENTS_MAX ? report->events_kept
                                                                         : ASX_CRASHPACK_EVENTS_MAX;
    fprintf(out, "events, the last %u\n", kept);
    for (uint32_t i = report->events_kept - kept; i < report->events_kept; i++) {
        char text[256];
        fprintf(out, " %s\n", asx_lab_event_text(&report->events[i], text, sizeof(text)));
    }
}

/* Beside the name, synced, renamed. */
static asx_err put(const char *dir, const char *file, const char *bytes, size_t len)
{
    char path[1024], beside[1024];
    snprintf(path, sizeof(path), "%s/%s", dir, file);
    snprintf(beside, sizeof(beside), "%s/.%s.part", dir, file);
    FILE *const out = fopen(beside, "wb");
    if (!out) {
        return asx_err_errno(errno);
    }
    bool whole = fwrite(bytes, 1, len, out) == len && fflush(out) == 0 && fsync(fileno(out)) == 0;
    int why = whole ? 0 : errno;
    if (fclose(out) != 0 && whole) {
        whole = false;
        why = errno;
    }
    if (whole && rename(beside, path) != 0) {
        whole = false;
        why = errno;
    }
    if (!whole) {
        (void)unlink(beside);
        return asx_err_errno(why);
    }
    const int folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder >= 0) {
        (void)fsync(folder); /* the name; some file systems cannot */
        (void)close(folder);
    }
    return ASX_OK;
}

static asx_err print_and_put(const asx_crashpack *pack, const asx_lab_report *report,
                             const char *dir, const char *file, const char *command)
{
    char *bytes = NULL, digest[65];
    size_t len = 0;
    FILE *const out = open_memstream(&bytes, &len);
    asx_assert(out);
    print_manifest(pack, report, command, file, out);
    print_choices("choices", pack->choices, pack->choice_count, out);
    print_choices("shrunk", pack->shrunk, pack->shrunk_count, out);
    fflush(out);
    asxi_crashpack_digest(bytes, len, digest);
    fprintf(out, "sha256 %s\n", digest);
    fclose(out);
    const asx_err err = put(dir, file, bytes, len);
    asxi_lab_free(bytes);
    return err;
}

asx_err asx_crashpack_write(const asx_crashpack_subject *subject, const asx_lab_report *report,
                            const char *dir, const char *command, uint32_t replays_max, char *path,
                            size_t path_cap)
{
    asx_lab_config config = asx_lab_config_fill(subject->config);
    config.seed = report->seed;
    asx_crashpack pack = { .config_hash = report->config_hash,
                           .build_id = report->build_id,
                           .signature = asx_lab_report_signature(report),
                           .trace_hash = report->trace_hash,
                           .schedule_hash = report->schedule_hash,
                           .fingerprint = report->fingerprint,
                           .choices = report->choices,
                           .choice_count = report->choices_kept };
    asx_assert_ne(pack.signature, 0);
    asx_assert_eq(report->choice_count, report->choices_kept);
    snprintf(pack.name, sizeof(pack.name), "%s", subject->name);
    asxi_knobs_copy(&pack.config, &config);
    asx_lab_report again;
    pack.verified = asx_crashpack_replay(&pack, subject, false, &again);
    asx_lab_report_deinit(&again);
    if (replays_max > 0) {
        shrink(subject, &config, report, replays_max, &pack);
    }
    char file[128];
    snprintf(file, sizeof(file), "crashpack-%016" PRIx64 "-%016" PRIx64 "-%016" PRIx64 "-v%u",
             report->seed, pack.config_hash,
             pack.fingerprint ? pack.fingerprint : pack.schedule_hash, ASX_CRASHPACK_VERSION);
    snprintf(path, path_cap, "%s/%s", dir, file);
    const asx_err err = print_and_put(&pack, report, dir, file, command);
    asxi_lab_free(pack.shrunk);
    return err;
}
