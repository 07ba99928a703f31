#include <asx/raptorq/landing.h>
#include <asx/raptorq/net/recv.h>

#include "tool_net_internal.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

typedef struct recv_options {
    asx_rq_recv_config config;
    asxi_tool_key key;
    const char *out;
    bool is_resumable;
    char journal[PATH_MAX];
    asxi_progress progress;
    asx_rq_landing landing;
    bool is_landing; /* open, and to be closed */
    asx_rq_recv_report report;
} recv_options;

static bool set_option(void *arg, const char *name, const char *value)
{
    recv_options *options = arg;
    asx_rq_recv_config *config = &options->config;
    uint64_t size;
    if (value == NULL) {
        if (strcmp(name, "--resume") == 0) {
            options->is_resumable = true;
        } else {
            options->progress.is_shown = false; /* --quiet */
        }
        return true;
    }
    if (strcmp(name, "--out") == 0) {
        options->out = value;
        return true;
    }
    if (strcmp(name, "--key-file") == 0) {
        return asxi_tool_key_file(&options->key, value);
    }
    if (strcmp(name, "--key") == 0) {
        return asxi_tool_key_text(&options->key, value);
    }
    if (strcmp(name, "--wait") == 0) {
        return asxi_tool_seconds(value, &config->wait_ns);
    }
    if (strcmp(name, "--timeout") == 0) {
        return asxi_tool_seconds(value, &config->idle_ns);
    }
    if (strcmp(name, "--linger") == 0) {
        return asxi_tool_seconds(value, &config->linger_ns);
    }
    if (!asxi_tool_size(value, &size) || size == 0) {
        return false;
    }
    if (strcmp(name, "--max-size") == 0) {
        config->receiver.size_max = size;
    } else if (strcmp(name, "--memory") == 0) {
        config->receiver.memory_max = size;
    } else {
        return false;
    }
    return true;
}

static asx_err open_target(void *arg, uint64_t size, void **target)
{
    recv_options *options = arg;
    const asx_err err = asx_rq_landing_open(&options->landing, options->out, size);
    options->is_landing = err == ASX_OK;
    *target = options->landing.data;
    return err;
}

static asx_err store(void *arg)
{
    recv_options *options = arg;
    return asx_rq_landing_commit(&options->landing);
}

static void bound(void *arg, const asx_addr *local)
{
    (void)arg;
    char text[ASX_ADDR_TEXT_MAX];
    fprintf(stderr, "asx rq: waiting on %s\n", asx_addr_format(local, text, sizeof(text)));
}

static void show(void *arg, const asx_rq_receiver_stats *stats)
{
    recv_options *options = arg;
    if (stats->blocks > 0) {
        asxi_progress_show(&options->progress, stats->done_bytes, stats->size);
    }
}

static asx_outcome work(asx_cx *cx, void *arg)
{
    recv_options *options = arg;
    return asx_rq_recv(cx, &options->config, &options->report);
}

static void say_drops(const asx_rq_receiver_stats *stats)
{
    uint64_t malformed = 0;
    for (int i = 0; i < ASX_RQ_FRAME_FAULTS; i++) {
        malformed += stats->malformed[i];
    }
    if (stats->forged + stats->foreign + stats->conflicts + stats->invalid + malformed > 0) {
        fprintf(stderr,
                "asx rq: dropped: %" PRIu64 " forged, %" PRIu64 " foreign, %" PRIu64
                " malformed, %" PRIu64 " contradicting\n",
                stats->forged, stats->foreign, malformed + stats->invalid, stats->conflicts);
    }
}

static void say_gap(const recv_options *options)
{
    const asx_rq_recv_report *report = &options->report;
    const asx_rq_receiver_stats *stats = &report->stats;
    if (report->state == ASX_RQ_RECEIVER_WAITING) {
        fprintf(stderr, "nobody offered a file%s\n", stats->forged > 0 ? " with this key" : "");
        return;
    }
    fprintf(stderr,
            "the sender fell silent: %" PRIu32 " of %" PRIu32 " blocks are there; block %" PRIu32
            " has %" PRIu32 " of its %" PRIu32 " symbols, at least %" PRIu32 " more are needed\n",
            stats->blocks_done, stats->blocks, report->gap.sbn, report->gap.have, report->gap.k,
            report->gap.need);
}

static void say_failure(const recv_options *options, asx_err err)
{
    char name[64];
    const asx_rq_receiver_stats *stats = &options->report.stats;
    fprintf(stderr, "asx rq: %s: ", options->out);
    if (err == ASX_RQ_E(SILENCE)) {
        say_gap(options);
    } else if (err == ASX_RQ_E(TOO_LARGE)) {
        fprintf(stderr,
                "the file offered has %" PRIu64 " bytes in %" PRIu32
                " blocks: more than --max-size, or than --memory can decode\n",
                stats->size, stats->blocks);
    } else if (err == ASX_RQ_E(BAD_JOURNAL)) {
        fprintf(stderr, "%s is damaged, or of another key: remove it to begin anew\n",
                options->journal);
    } else if (err == ASX_RQ_E(CORRUPT)) {
        fprintf(stderr, "what came is not the file that was offered: %s\n",
                options->key.ring != NULL
                    ? "it changed while it was sent"
                    : "symbols were forged (--key-file drops them), or it changed meanwhile");
    } else {
        fprintf(stderr, "%s\n", asxi_tool_err(err, name, sizeof(name)));
    }
}

static int report_end(const recv_options *options, asxi_tool_end end, asx_err err)
{
    const asx_rq_receiver_stats *stats = &options->report.stats;
    say_drops(stats);
    if (options->report.is_stored) { /* also when a signal came after that */
        printf("recv %s: %" PRIu64 " bytes, %" PRIu32 " blocks, %" PRIu64 " symbols, %" PRIu64
               " duplicates%s\n",
               options->out, stats->size, stats->blocks, stats->symbols, stats->duplicates,
               options->key.ring != NULL ? ", authenticated" : "");
        return TOOL_DONE;
    }
    if (end == TOOL_INTERRUPTED) {
        fprintf(stderr, "asx rq: %s: interrupted; nothing was written\n", options->out);
    } else if (end == TOOL_RAN) {
        say_failure(options, err);
    }
    if (options->report.is_kept) {
        fprintf(stderr, "asx rq: what came is in %s: --resume goes on with it\n", options->journal);
    }
    return TOOL_FAILED;
}

static bool name_journal(recv_options *options)
{
    const int len = snprintf(options->journal, sizeof(options->journal), "%s.resume", options->out);
    if (len < 0 || (size_t)len >= sizeof(options->journal)) {
        fputs("asx rq recv: the name of --out is too long\n", stderr);
        return false;
    }
    options->config.journal = options->is_resumable ? options->journal : NULL;
    return true;
}

int asxi_tool_recv(int argc, char **argv, const asx_rq_host *host)
{
    static const char *const flags[] = { "--quiet", "--resume", NULL };
    const char *word = NULL;
    recv_options options = {
        .config = { .receiver = { .digest = asx_rq_sha256, .open = open_target, .store = store },
                    .bound = bound,
                    .progress = show },
        .progress = { .is_shown = isatty(STDERR_FILENO) != 0 }
    };
    options.config.arg = options.config.receiver.arg = &options;
    const bool is_read = asxi_tool_parse(argc, argv, flags, &word, 1, set_option, &options);
    if (is_read && options.out == NULL) {
        fputs("asx rq recv: --out is missing\n", stderr);
    } else if (is_read && asxi_tool_addr(word, true, &options.config.local) &&
               name_journal(&options)) {
        asx_err err;
        options.config.receiver.keys = options.key.ring;
        const asxi_tool_end end = asxi_tool_run(host, work, &options, &err);
        asxi_progress_end(&options.progress);
        if (options.is_landing) {
            asx_rq_landing_close(&options.landing);
        }
        const int status = report_end(&options, end, err);
        asxi_tool_key_end(&options.key);
        return status;
    }
    asxi_tool_key_end(&options.key);
    fputs("asx rq recv --help says more\n", stderr);
    return TOOL_USAGE;
}
