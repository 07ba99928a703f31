#include <asx/raptorq/tool.h>
#include <asx/raptorq/volume.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/err.h>

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

static const char usage_text[] =
    "usage: asx rq encode FILE --out DIR [--overhead 10%] [--symbol-size 1280]\n"
    "                     [--block-size 8M] [--volumes 16]\n"
    "       asx rq decode DIR --out FILE\n"
    "       asx rq verify DIR\n";

static void sha256(const void *bytes, size_t len, uint8_t out[ASX_RQ_DIGEST_SIZE])
{
    unsigned size = 0;
    asx_assert(EVP_Digest(bytes, len, out, &size, EVP_sha256(), NULL) == 1);
    asx_assert_eq(size, ASX_RQ_DIGEST_SIZE);
}

typedef struct progress {
    bool is_shown;
    double start;
} progress;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void show(void *arg, uint64_t done, uint64_t total)
{
    enum { CELLS = 30 };
    const progress *p = arg;
    if (!p->is_shown) {
        return;
    }
    const double seconds = now() - p->start, share = (double)done / (double)total;
    const double rate = seconds > 0 ? (double)done / seconds : 0;
    char bar[CELLS + 1];
    for (int i = 0; i < CELLS; i++) {
        bar[i] = (double)i < share * CELLS ? '#' : '.';
    }
    bar[CELLS] = '\0';
    fprintf(stderr, "\r[%s] %3.0f %%  %.1f MB/s  ETA %.0f s ", bar, 100 * share, rate / 1e6,
            rate > 0 ? (double)(total - done) / rate : 0.0);
    if (done == total) {
        fputc('\n', stderr);
    }
}

/* A number with an optional K, M or G. */
static bool get_size(const char *text, uint64_t *value)
{
    char *end;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    const char *units = "KMG";
    const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
    const unsigned shift = unit != NULL ? 10 * (unsigned)(unit - units + 1) : 0;
    if (errno != 0 || end == text || text[0] == '-' || (*end != '\0' && unit == NULL) ||
        (unit != NULL && end[1] != '\0') || number > (UINT64_MAX >> shift)) {
        return false;
    }
    *value = (uint64_t)number << shift;
    return true;
}

static bool get_percent(const char *text, uint32_t *permille)
{
    char *end;
    const double percent = strtod(text, &end);
    if (end == text || (*end != '\0' && strcmp(end, "%") != 0) || !(percent >= 0) ||
        percent > 1000) {
        return false;
    }
    *permille = (uint32_t)(percent * 10 + 0.5);
    return true;
}

typedef struct tool_options {
    const char *in, *out;
    asx_rq_volume_config config;
} tool_options;

static bool set_option(tool_options *options, const char *name, const char *value)
{
    uint64_t size;
    if (strcmp(name, "--out") == 0) {
        options->out = value;
        return true;
    }
    if (strcmp(name, "--overhead") == 0) {
        return get_percent(value, &options->config.overhead_permille);
    }
    if (!get_size(value, &size)) {
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

static bool parse(tool_options *options, int argc, char **argv)
{
    for (int i = 2; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0 && options->in == NULL) {
            options->in = argv[i];
        } else if (i + 1 == argc || !set_option(options, argv[i], argv[i + 1])) {
            fprintf(stderr, "asx rq: cannot take %s%s%s\n", argv[i], i + 1 < argc ? " " : "",
                    i + 1 < argc ? argv[i + 1] : "");
            return false;
        } else {
            i++;
        }
    }
    return options->in != NULL;
}

static int report_end(const char *verb, const tool_options *options, asx_err err,
                      const asx_rq_volume_report *report)
{
    if (report->damaged > 0 || report->volumes_missing > 0) {
        fprintf(stderr,
                "asx rq: %" PRIu64 " damaged or foreign records skipped, %" PRIu32 " of %" PRIu32
                " volumes missing\n",
                report->damaged, report->volumes_missing, report->volumes);
    }
    if (err == ASX_OK) {
        printf("%s %s: %" PRIu64 " bytes, %" PRIu32 " blocks, %" PRIu64 " symbols\n", verb,
               options->in, report->size, report->blocks, report->symbols);
        return EXIT_DONE;
    }
    char name[64];
    const bool is_ours = asx_err_domain_of(err) == ASX_ERR_DOMAIN_RAPTORQ;
    fprintf(stderr, "asx rq: %s: %s", options->in,
            is_ours ? asx_rq_err_name(asx_err_code(err)) : asx_err_name(err, name, sizeof(name)));
    if (report->text[0] != '\0') {
        fprintf(stderr, ": %s", report->text);
    }
    if (report->blocks_bad > 1) {
        fprintf(stderr, " (%" PRIu32 " blocks in all cannot be decoded)", report->blocks_bad);
    }
    fputc('\n', stderr);
    return EXIT_FAILED;
}

int asx_rq_main(int argc, char **argv)
{
    progress shown = { .is_shown = isatty(STDERR_FILENO) != 0, .start = now() };
    tool_options options = { .config = { .symbol_size = 1280,
                                         .block_size = 8 << 20,
                                         .overhead_permille = 100,
                                         .volumes = 16,
                                         .digest = sha256,
                                         .progress = show,
                                         .progress_arg = &shown } };
    asx_rq_volume_report report;
    const char *verb = argc > 1 ? argv[1] : "";
    const bool is_verify = strcmp(verb, "verify") == 0;
    if (argc < 3 || !parse(&options, argc, argv) || (options.out == NULL) != is_verify) {
        fputs(usage_text, stderr);
        return EXIT_USAGE;
    }
    asx_err err;
    if (strcmp(verb, "encode") == 0) {
        err = asx_rq_volume_encode(options.in, options.out, &options.config, &report);
    } else if (strcmp(verb, "decode") == 0 || is_verify) {
        err = asx_rq_volume_decode(options.in, options.out, &options.config, &report);
    } else {
        fputs(usage_text, stderr);
        return EXIT_USAGE;
    }
    return report_end(verb, &options, err, &report);
}
