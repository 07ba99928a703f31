#include <asx/raptorq/net/send.h>

#include "tool_net_internal.h"
#include "volume_internal.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

typedef struct send_options {
    asx_rq_send_config config;
    asxi_tool_key key;
    asxi_progress progress;
    asx_rq_send_report report;
    bool has_overhead;
} send_options;

static bool set_flag(send_options *options, const char *name)
{
    if (strcmp(name, "--no-feedback") == 0) {
        options->config.sender.has_feedback = false;
    } else if (strcmp(name, "--fresh") == 0) {
        options->config.sender.is_fresh = true;
    } else {
        options->progress.is_shown = false; /* --quiet */
    }
    return true;
}

static bool set_size(asx_rq_sender_config *sender, const char *name, uint64_t size)
{
    if (strcmp(name, "--rate") == 0) {
        sender->rate = size;
    } else if (strcmp(name, "--symbol-size") == 0 && size >= 1 && size <= ASX_RQ_FRAME_SYMBOL_MAX) {
        sender->symbol_size = (uint32_t)size;
    } else if (strcmp(name, "--block-size") == 0 && size >= 1) {
        sender->block_size = size;
    } else if (strcmp(name, "--window") == 0 && size >= 1 && size <= 255) {
        sender->window = (uint32_t)size;
    } else if (strcmp(name, "--rounds") == 0 && size <= 1000) {
        sender->rounds = (uint32_t)size;
    } else {
        return false;
    }
    return true;
}

static bool set_option(void *arg, const char *name, const char *value)
{
    send_options *options = arg;
    asx_rq_sender_config *sender = &options->config.sender;
    uint64_t size;
    if (value == NULL) {
        return set_flag(options, name);
    }
    if (strcmp(name, "--key-file") == 0) {
        return asxi_tool_key_file(&options->key, value);
    }
    if (strcmp(name, "--key") == 0) {
        return asxi_tool_key_text(&options->key, value);
    }
    if (strcmp(name, "--overhead") == 0) {
        options->has_overhead = true;
        return asxi_tool_percent(value, &sender->overhead_permille);
    }
    if (strcmp(name, "--timeout") == 0) {
        return asxi_tool_seconds(value, &sender->silence_ns);
    }
    return asxi_tool_size(value, &size) && set_size(sender, name, size);
}

static void show(void *arg, const asx_rq_sender_stats *stats)
{
    const send_options *options = arg;
    asxi_progress *progress = &((send_options *)arg)->progress;
    asxi_progress_show(progress, stats->done_bytes, options->config.sender.size);
}

static asx_outcome work(asx_cx *cx, void *arg)
{
    send_options *options = arg;
    return asx_rq_send(cx, &options->config, &options->report);
}

static int failed(const char *in, const char *to, const send_options *options, asx_err err)
{
    char name[64];
    const asx_rq_sender_stats *stats = &options->report.stats;
    fprintf(stderr, "asx rq: %s: ", in);
    if (err == ASX_RQ_E(SILENCE) && stats->answers == 0) {
        fprintf(stderr,
                "no answer from %s in %.0f s: is `asx rq recv` there, with the same key, and does "
                "UDP pass both ways?\n",
                to, (double)options->config.sender.silence_ns / (double)ASX_NS_PER_S);
    } else if (err == ASX_RQ_E(SILENCE)) {
        fprintf(stderr, "%s fell silent; it had %" PRIu32 " of %" PRIu32 " blocks\n", to,
                stats->blocks_done, stats->blocks);
    } else if (err == ASX_RQ_E(REFUSED)) {
        fprintf(stderr, "%s does not take it: %s\n", to,
                asx_rq_need_state_name(options->report.peer));
    } else if (err == ASX_RQ_E(TOO_LARGE)) {
        fprintf(stderr,
                "%" PRIu64 " bytes are more than 255 blocks of 56403 symbols of %" PRIu32
                " bytes: a larger --symbol-size carries it\n",
                options->config.sender.size, options->config.sender.symbol_size);
    } else {
        fprintf(stderr, "%s\n", asxi_tool_err(err, name, sizeof(name)));
    }
    return TOOL_FAILED;
}

static int report_end(const char *in, const char *to, const send_options *options,
                      asxi_tool_end end, asx_err err)
{
    const asx_rq_sender_stats *stats = &options->report.stats;
    if (stats->forged > 0) {
        fprintf(stderr, "asx rq: %" PRIu64 " forged answers dropped\n", stats->forged);
    }
    if (end == TOOL_INTERRUPTED) {
        fprintf(stderr, "asx rq: %s: interrupted; start it again and it goes on\n", in);
        return TOOL_FAILED;
    }
    if (end != TOOL_RAN) {
        return TOOL_FAILED;
    }
    if (err != ASX_OK) {
        return failed(in, to, options, err);
    }
    printf("send %s: %" PRIu64 " bytes, %" PRIu32 " blocks, %" PRIu64 " source and %" PRIu64
           " repair symbols",
           in, options->config.sender.size, stats->blocks, stats->sources, stats->repairs);
    if (options->config.sender.has_feedback) {
        printf(", %.1f %% lost; stored at %s\n", (double)stats->loss_permille / 10, to);
    } else {
        printf("; nobody was asked whether they came\n");
    }
    return TOOL_DONE;
}

static int run(const char *in, const char *to, send_options *options, const asx_rq_host *host)
{
    asxi_map source;
    char name[64];
    asx_err err = asxi_map_open(&source, in);
    if (err != ASX_OK) {
        fprintf(stderr, "asx rq: %s: cannot read the file: %s\n", in,
                asxi_tool_err(err, name, sizeof(name)));
        return TOOL_FAILED;
    }
    options->config.sender.source = source.data;
    options->config.sender.size = source.size;
    const asxi_tool_end end = asxi_tool_run(host, work, options, &err);
    asxi_progress_end(&options->progress);
    asxi_map_close(&source);
    return report_end(in, to, options, end, err);
}

int asxi_tool_send(int argc, char **argv, const asx_rq_host *host)
{
    static const char *const flags[] = { "--no-feedback", "--fresh", "--quiet", NULL };
    const char *words[2] = { NULL, NULL };
    send_options options = { .config = { .sender = { .symbol_size = 1280,
                                                     .block_size = 2 << 20,
                                                     .rate = 10 << 20,
                                                     .has_feedback = true,
                                                     .silence_ns = ASX_RQ_SENDER_SILENCE_NS,
                                                     .digest = asx_rq_sha256 },
                                         .progress = show },
                             .progress = { .is_shown = isatty(STDERR_FILENO) != 0 } };
    options.config.progress_arg = &options;
    const bool is_read = asxi_tool_parse(argc, argv, flags, words, 2, set_option, &options);
    asx_rq_sender_config *sender = &options.config.sender;
    if (is_read && sender->has_feedback && (sender->is_fresh || sender->rounds > 0)) {
        fputs("asx rq send: --fresh and --rounds are for --no-feedback\n", stderr);
    } else if (is_read && asxi_tool_addr(words[1], false, &options.config.to)) {
        if (!sender->has_feedback && !options.has_overhead) {
            sender->overhead_permille = 100;
        }
        sender->keys = options.key.ring;
        const int status = run(words[0], words[1], &options, host);
        asxi_tool_key_end(&options.key);
        return status;
    }
    asxi_tool_key_end(&options.key);
    fputs("asx rq send --help says more\n", stderr);
    return TOOL_USAGE;
}
