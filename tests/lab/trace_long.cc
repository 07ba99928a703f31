/* trace_long [RECORDS]: writes a run of so many records, and follows it, in memory that does not
 * depend on how many they are. Ten million take minutes of nobody's test suite; the suite asks for
 * one. */
#include <asx/lab/trace_follow.h>
#include <asx/shard/cx.h>
#include <asx/shard/task.h>

#include <cstdio>
#include <cstdlib>
#include <sys/resource.h>

static const uint64_t RECORDS_A_ROUND = 4; /* dispatch, mark, yield, ready */
static const long GROWTH_KIB_MAX = 4096;

static asx_outcome rounds(asx_cx *cx, void *arg)
{
    const uint64_t count = *static_cast<const uint64_t *>(arg);
    for (uint64_t i = 0; i < count; i++) {
        asx_trace_mark(cx, 1, i);
        const asx_outcome yielded = asx_yield(cx);
        ASX_TRY(yielded);
    }
    return asx_ok(count);
}

static long resident_kib()
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static bool write(FILE *file, const asx_lab_config &config, uint64_t count)
{
    asx_lab_trace_options options{};
    asx_lab_trace_writer *writer;
    asx_lab_report report;
    options.config = &config;
    options.codec = ASX_LAB_TRACE_LZ4;
    if (asx_lab_trace_writer_create(file, &options, &writer) != ASX_OK) {
        return false;
    }
    asx_lab_config heard = config;
    heard.listeners = asx_lab_trace_writer_listener(writer);
    heard.unrecorded = true;
    const bool passed = asx_lab_run(&heard, rounds, &count, &report);
    const asx_err err = asx_lab_trace_writer_finish(writer, &report);
    (void)fseeko(file, 0, SEEK_END);
    printf("%llu records in %lld bytes\n", (unsigned long long)report.trace_total,
           (long long)ftello(file));
    asx_lab_report_deinit(&report);
    asx_lab_trace_writer_destroy(writer);
    return passed && err == ASX_OK;
}

static bool follow(FILE *file, const asx_lab_config &config, uint64_t count)
{
    asx_lab_trace_divergence divergence;
    asx_lab_report report;
    rewind(file);
    asx_lab_trace_reader *reader = asx_lab_trace_reader_create(file, ASX_LAB_TRACE_STRICT);
    const bool same = !asx_lab_trace_reader_wrong(reader) &&
                      asx_lab_trace_follow(&config, rounds, &count, reader, ASX_LAB_TRACE_CHOICES,
                                           &divergence, &report);
    if (!same) {
        const char *wrong = asx_lab_trace_reader_wrong(reader);
        printf("%s\n", wrong ? wrong : "");
        asx_lab_trace_divergence_print(&divergence, "recorded", "this run", stdout);
    }
    printf("followed: %llu records, %zu bytes held by the reader\n",
           (unsigned long long)asx_lab_trace_reader_records(reader),
           asx_lab_trace_reader_memory(reader));
    asx_lab_report_deinit(&report);
    asx_lab_trace_reader_destroy(reader);
    return same;
}

int main(int argc, char **argv)
{
    const uint64_t records = argc > 1 ? strtoull(argv[1], nullptr, 10) : 1000000;
    asx_lab_config config{};
    config.max_steps = UINT64_MAX;
    config.trace_capacity = 64;
    FILE *file = tmpfile();
    /* A short run first: what a run takes at all is there before it is measured. */
    FILE *first = tmpfile();
    if (!file || !first || !write(first, config, 1000) || !follow(first, config, 1000)) {
        return 1;
    }
    fclose(first);
    const long before = resident_kib();
    const bool good = write(file, config, records / RECORDS_A_ROUND) &&
                      follow(file, config, records / RECORDS_A_ROUND);
    const long grown = resident_kib() - before;
    fclose(file);
    printf("resident: %ld KiB more than for a run of 4,000 records\n", grown);
    return good && grown <= GROWTH_KIB_MAX ? 0 : 1;
}
