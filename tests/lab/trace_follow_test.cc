/* At stake: a run on disk can be repeated to the last byte without holding it, and where two runs
 * part is named to the record. */
#include <asx/lab/trace_diff.h>
#include <asx/shard/task.h>

#include "trace_fixture.h"

/* A file followed by the scenario that it names. */
struct followed {
    file_bytes bytes;
    FILE *file;
    asx_lab_trace_reader *reader;
    asx_lab_trace_divergence divergence{};
    asx_lab_report report{};
    bool same;
    std::string wrong;

    explicit followed(const file_bytes &from, asx_lab_trace_guide guide = ASX_LAB_TRACE_CHOICES,
                      asx_task_fn *instead = nullptr)
        : bytes(from)
    {
        file = fmemopen(bytes.data(), bytes.size(), "rb");
        reader = asx_lab_trace_reader_create(file, ASX_LAB_TRACE_STRICT);
        REQUIRE(asx_lab_trace_reader_wrong(reader) == nullptr);
        const asx_lab_trace_info *info = asx_lab_trace_reader_info(reader);
        const asx_lab_scenario *scenario = asx_lab_scenario_find(info->scenario);
        const asx_lab_config base =
            asx_lab_scenario_config(scenario, info->seed, info->config.shards);
        asx_lab_config config = asx_lab_trace_config(info, &base);
        config.fingerprint = true;
        REQUIRE(asx_lab_trace_follow_refused(info, &config, guide) == nullptr);
        same = asx_lab_trace_follow(&config, instead ? instead : scenario->app, nullptr, reader,
                                    guide, &divergence, &report);
        const char *text = asx_lab_trace_reader_wrong(reader);
        wrong = text ? text : "";
    }
    ~followed()
    {
        asx_lab_report_deinit(&report);
        asx_lab_trace_reader_destroy(reader);
        fclose(file);
    }
    followed(const followed &) = delete;
    std::string text() const
    {
        char buf[16384] = { 0 };
        FILE *out = fmemopen(buf, sizeof(buf) - 1, "w");
        asx_lab_trace_divergence_print(&divergence, "recorded", "this run", out);
        fclose(out);
        return buf;
    }
};

/* The events of a file with some of them edited, as a file of the same run. */
static file_bytes edited(const file_bytes &from,
                         const std::function<void(std::vector<asx_lab_event> &)> &edit)
{
    const trace_read read(from);
    std::vector<asx_lab_event> events = read.events;
    edit(events);
    memory_file out;
    asx_lab_trace_options options{};
    asx_lab_trace_writer *writer;
    options.scenario = read.info().scenario;
    options.config = &read.info().config;
    REQUIRE(asx_lab_trace_writer_create(out.file, &options, &writer) == ASX_OK);
    for (const asx_lab_event &event : events) {
        asx_lab_trace_writer_add(writer, &event);
    }
    asx_lab_trace_info original = read.info();
    original.total = events.size();
    CHECK(asx_lab_trace_writer_finish_copy(writer, &original, false) == ASX_OK);
    asx_lab_trace_writer_destroy(writer);
    return out.bytes;
}

TEST_CASE("follow: a thousand random runs have all four hashes again", "[lab][trace]")
{
    static const char *const names[] = { "limb-cancel", "race", "posts", "permits", "storm" };
    for (uint64_t i = 0; i < (ASX_ASAN ? 200 : 1000); i++) {
        const traced_run run(names[i % 5], {}, 1000 + i);
        const followed again(run.bytes());
        INFO(names[i % 5] << " seed " << 1000 + i << " " << again.wrong << again.text());
        REQUIRE(again.same);
        REQUIRE(again.report.trace_hash == run.report.trace_hash);
        REQUIRE(again.report.schedule_hash == run.report.schedule_hash);
        REQUIRE(again.report.fingerprint == run.report.fingerprint);
        REQUIRE(run.report.fingerprint != 0);
        /* The digest of the new run's records is that of the file. */
        memory_file out;
        asx_lab_trace_options options{};
        options.config = &run.config;
        REQUIRE(asx_lab_trace_write(&again.report, &options, out.file) == ASX_OK);
        const trace_read read(out.bytes), first(run.bytes());
        REQUIRE(memcmp(read.info().digest, first.info().digest, 32) == 0);
    }
}

TEST_CASE("follow: an edited choice is the divergence, at exactly its record", "[lab][trace]")
{
    const traced_run run("limb-cancel", {});
    const trace_read read(run.bytes());
    size_t seen = 0;
    for (size_t i = 0; i < read.events.size(); i++) {
        const asx_lab_event &choice = read.events[i];
        if (choice.kind != ASX_TRACE_CHOICE || ++seen % 5 != 0) {
            continue;
        }
        for (unsigned word = 0; word < 4; word++) {
            const file_bytes other = edited(run.bytes(), [&](std::vector<asx_lab_event> &events) {
                uint64_t &value = events[i].words[word];
                value = word == 2 ? (value + 1) % events[i].words[1] : value + 1;
            });
            /* The seed answers as it did; a choice that is forced is another run from there on. */
            const followed by_seed(other, ASX_LAB_TRACE_SEED);
            CHECK_FALSE(by_seed.same);
            REQUIRE(by_seed.divergence.index == i);
            CHECK(by_seed.divergence.what == ASX_LAB_DIFFERS_CHOICE);
            const followed by_choices(other);
            CHECK_FALSE(by_choices.same);
            if (word != 2) {
                REQUIRE(by_choices.divergence.index == i);
            } else {
                CHECK(by_choices.divergence.index > i);
            }
            const std::string text = by_seed.text();
            CHECK(text.find("diverged at record " + std::to_string(i) + " of") == 0);
            CHECK(text.find("recorded\n") != std::string::npos);
            CHECK(text.find("this run\n") != std::string::npos);
            CHECK(by_seed.divergence.before == std::min<size_t>(i, 10));
            CHECK(by_seed.divergence.expected.count ==
                  by_seed.divergence.before + std::min<size_t>(6, read.events.size() - i));
        }
    }
    CHECK(seen > 10);
}

TEST_CASE("follow: any other edited record is found where it stands", "[lab][trace]")
{
    const traced_run run("race", {});
    const size_t count = trace_read(run.bytes()).events.size();
    for (size_t i = 0; i < count; i += 7) {
        const file_bytes other =
            edited(run.bytes(), [&](std::vector<asx_lab_event> &events) { events[i].lamport++; });
        const followed again(other);
        CHECK_FALSE(again.same);
        CHECK(again.divergence.index == i);
    }
}

TEST_CASE("follow: a file that is too short or too long is seen at its end", "[lab][trace]")
{
    const traced_run run("race", {});
    const trace_read read(run.bytes());
    const size_t count = read.events.size();
    const followed shorter(
        edited(run.bytes(), [](std::vector<asx_lab_event> &events) { events.pop_back(); }));
    CHECK(shorter.divergence.what == ASX_LAB_DIFFERS_EXHAUSTED);
    CHECK(shorter.divergence.index == count - 1);
    const followed longer(edited(run.bytes(), [](std::vector<asx_lab_event> &events) {
        events.push_back(events.back());
        events.back().seq++;
    }));
    CHECK(longer.divergence.what == ASX_LAB_DIFFERS_LEFT);
    CHECK(longer.divergence.index == count);
}

TEST_CASE("follow: a recovered prefix is followed to its end, and no further", "[lab][trace]")
{
    const traced_run run("storm", [] {
        asx_lab_trace_options options{};
        options.chunk_len = 1024;
        return options;
    }());
    memory_file out;
    file_bytes cut(run.bytes().begin(), run.bytes().begin() + (ptrdiff_t)(run.bytes().size() / 2));
    FILE *in = fmemopen(cut.data(), cut.size(), "rb");
    asx_lab_trace_recovery recovery;
    asx_err err;
    REQUIRE(asx_lab_trace_recover(in, out.file, ASX_LAB_TRACE_LOSSLESS, &recovery, &err));
    fclose(in);
    const followed again(out.bytes);
    CHECK(again.same);
    CHECK(again.report.termination == ASX_LAB_STOPPED);
    CHECK(again.report.trace_total < run.report.trace_total);
    CHECK(again.report.trace_total >= recovery.records);
}

TEST_CASE("follow: damage that is met on the way ends it as damage, not as divergence",
          "[lab][trace]")
{
    const traced_run run("storm", [] {
        asx_lab_trace_options options{};
        options.chunk_len = 1024;
        return options;
    }());
    file_bytes bad = run.bytes();
    bad[bad.size() / 2] = (char)(bad[bad.size() / 2] ^ 1);
    const followed again(bad);
    CHECK_FALSE(again.same);
    CHECK(again.divergence.what == ASX_LAB_SAME);
    CHECK(again.wrong.find("is damaged") != std::string::npos);
}

TEST_CASE("follow: what cannot be followed is refused before anything runs", "[lab][trace]")
{
    const traced_run run("race", {});
    const trace_read read(run.bytes());
    asx_lab_trace_info info = read.info();
    CHECK(asx_lab_trace_follow_refused(&info, &run.config, ASX_LAB_TRACE_SEED) == nullptr);
    asx_lab_config other = run.config;
    other.seed++;
    CHECK(asx_lab_trace_follow_refused(&info, &other, ASX_LAB_TRACE_CHOICES) != nullptr);
    info.config.mode = ASX_LAB_BYTES;
    CHECK(asx_lab_trace_follow_refused(&info, &run.config, ASX_LAB_TRACE_SEED) != nullptr);
    info.level = ASX_LAB_TRACE_SKELETON;
    CHECK(asx_lab_trace_follow_refused(&info, &run.config, ASX_LAB_TRACE_CHOICES) != nullptr);
    info.level = ASX_LAB_TRACE_LOSSLESS;
    info.flags |= ASX_LAB_TRACE_OVERWRITTEN;
    CHECK(asx_lab_trace_follow_refused(&info, &run.config, ASX_LAB_TRACE_CHOICES) != nullptr);
}

/* Two files compared. */
static asx_lab_trace_diff diff_of(file_bytes a, file_bytes b)
{
    asx_lab_trace_diff diff;
    char wrong[ASX_LAB_TRACE_WRONG_MAX];
    FILE *x = fmemopen(a.data(), a.size(), "rb"), *y = fmemopen(b.data(), b.size(), "rb");
    const bool taken = asx_lab_trace_diff_take(x, y, &diff, wrong);
    fclose(x);
    fclose(y);
    INFO(wrong);
    REQUIRE(taken);
    return diff;
}

TEST_CASE("diff: the same, equivalent up to order, or different at a named record", "[lab][trace]")
{
    const traced_run run("limb-cancel", {}), other("limb-cancel", {}, 43);
    CHECK(diff_of(run.bytes(), run.bytes()).relation == ASX_LAB_TRACE_EQUAL);

    /* Neighbours that commute change places; those that do not make another run. */
    size_t commuting = 0, conflicting = 0;
    const std::vector<asx_lab_event> events = trace_read(run.bytes()).events;
    for (size_t i = 0; i + 1 < events.size(); i += 3) {
        const asx_lab_event &x = events[i], &y = events[i + 1];
        if (x.kind == ASX_TRACE_CHOICE || y.kind == ASX_TRACE_CHOICE) {
            continue;
        }
        const bool conflict = asx_lab_event_conflict(&x, &y);
        const file_bytes swapped = edited(run.bytes(), [&](std::vector<asx_lab_event> &list) {
            std::swap(list[i], list[i + 1]);
            std::swap(list[i].seq, list[i + 1].seq);
        });
        const asx_lab_trace_diff diff = diff_of(run.bytes(), swapped);
        (conflict ? conflicting : commuting)++;
        REQUIRE(diff.first.index == i);
        REQUIRE(diff.relation == (conflict ? ASX_LAB_TRACE_DIFFERENT : ASX_LAB_TRACE_EQUIVALENT));
    }
    CHECK(commuting > 3);
    CHECK(conflicting > 3);

    const asx_lab_trace_diff different = diff_of(run.bytes(), other.bytes());
    CHECK(different.relation == ASX_LAB_TRACE_DIFFERENT);
    CHECK(different.has_a);
    CHECK(different.has_b);
    CHECK(asx_lab_trace_compare(&different.a, &different.b) != ASX_LAB_SAME);

    const file_bytes shorter =
        edited(run.bytes(), [](std::vector<asx_lab_event> &list) { list.pop_back(); });
    const asx_lab_trace_diff missing = diff_of(run.bytes(), shorter);
    CHECK(missing.relation == ASX_LAB_TRACE_DIFFERENT);
    CHECK(missing.first.index == events.size() - 1);
    CHECK(missing.first.what == ASX_LAB_DIFFERS_LEFT);
}
