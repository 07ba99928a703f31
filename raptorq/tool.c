#include <asx/raptorq/net/tag.h>
#include <asx/raptorq/tool.h>
#include <asx/raptorq/volume.h>
#include <asx/shard/base/err.h>

#include "tool_internal.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

typedef struct tool_options {
    const char *out;
    asx_rq_volume_config config;
} tool_options;

static void show(void *arg, uint64_t done, uint64_t total)
{
    asxi_progress_show(arg, done, total);
}

static bool set_option(void *arg, const char *name, const char *value)
{
    tool_options *options = arg;
    uint64_t size;
    if (strcmp(name, "--out") == 0) {
        options->out = value;
        return true;
    }
    if (strcmp(name, "--overhead") == 0) {
        return asxi_tool_percent(value, &options->config.overhead_permille);
    }
    if (!asxi_tool_size(value, &size)) {
        return false;
    }
    if (strcmp(name, "--symbol-size") == 0 && size >= 1 && size <= 65535) {
        options->config.symbol_size = (uint32_t)size;
    } else if (strcmp(name, "--block-size") == 0 && size >= 1) {
        options->config.block_size = size;
    } else if (strcmp(name, "--volumes") == 0 && size >= 1 && size <= ASX_RQ_VOLUMES_MAX) {
        options->config.volumes = (uint32_t)size;
    } else {
        return false;
    }
    return true;
}

static int report_end(const char *verb, const char *in, asx_err err,
                      const asx_rq_volume_report *report)
{
    if (report->damaged > 0 || report->volumes_missing > 0) {
        fprintf(stderr,
                "asx rq: %" PRIu64 " damaged or foreign records skipped, %" PRIu32 " of %" PRIu32
                " volumes missing\n",
                report->damaged, report->volumes_missing, report->volumes);
    }
    if (err == ASX_OK) {
        printf("%s %s: %" PRIu64 " bytes, %" PRIu32 " blocks, %" PRIu64 " symbols\n", verb, in,
               report->size, report->blocks, report->symbols);
        return TOOL_DONE;
    }
    char name[64];
    fprintf(stderr, "asx rq: %s: %s", in, asxi_tool_err(err, name, sizeof(name)));
    if (report->text[0] != '\0') {
        fprintf(stderr, ": %s", report->text);
    }
    if (report->blocks_bad > 1) {
        fprintf(stderr, " (%" PRIu32 " blocks in all cannot be decoded)", report->blocks_bad);
    }
    fputc('\n', stderr);
    return TOOL_FAILED;
}

static int volumes(int argc, char **argv)
{
    static const char *const no_flags[] = { NULL };
    asxi_progress shown = { .is_shown = isatty(STDERR_FILENO) != 0 };
    tool_options options = { .config = { .symbol_size = 1280,
                                         .block_size = 8 << 20,
                                         .overhead_permille = 100,
                                         .volumes = 16,
                                         .digest = asx_rq_sha256,
                                         .progress = show,
                                         .progress_arg = &shown } };
    asx_rq_volume_report report;
    const char *verb = argv[1], *in = NULL;
    const bool is_verify = strcmp(verb, "verify") == 0;
    const bool is_read = asxi_tool_parse(argc, argv, no_flags, &in, 1, set_option, &options);
    if (!is_read || (options.out == NULL) != is_verify) {
        if (is_read) {
            fprintf(stderr, "asx rq %s: %s\n", verb,
                    is_verify ? "writes nothing, so takes no --out" : "--out is missing");
        }
        fprintf(stderr, "asx rq %s --help says more\n", verb);
        return TOOL_USAGE;
    }
    const asx_err err = strcmp(verb, "encode") == 0
                            ? asx_rq_volume_encode(in, options.out, &options.config, &report)
                            : asx_rq_volume_decode(in, options.out, &options.config, &report);
    asxi_progress_end(&shown);
    return report_end(verb, in, err, &report);
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            return true;
        }
    }
    return argc > 1 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
                        strcmp(argv[1], "help") == 0);
}

int asx_rq_main(int argc, char **argv, const asx_rq_host *host)
{
    const char *verb = argc > 1 ? argv[1] : "";
    const char *help = asxi_tool_help(verb);
    if (help != NULL && wants_help(argc, argv)) {
        fputs(help, stdout);
        return TOOL_DONE;
    }
    if (help == NULL || argc < 3) {
        if (help == NULL) {
            fprintf(stderr, "asx rq: there is no command %s\n", verb);
        }
        fputs(help != NULL ? help : asxi_tool_help(""), stderr);
        return TOOL_USAGE;
    }
    if (strcmp(verb, "send") == 0) {
        return asxi_tool_send(argc, argv, host);
    }
    if (strcmp(verb, "recv") == 0) {
        return asxi_tool_recv(argc, argv, host);
    }
    return volumes(argc, argv);
}
