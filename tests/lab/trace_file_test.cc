/* At stake: a trace is evidence. What comes out of a file is what went in, or the reader says what
 * is wrong and where; a file that was cut anywhere still gives its beginning. */
#include <asx/lab/check.h>
#include <asx/lab/crc32c.h>
#include <asx/lab/foata.h>
#include <asx/shard/base/sha256.h>

#include "trace_fixture.h"

#include <cerrno>

static asx_lab_event event_of(uint32_t kind, uint32_t count, uint64_t seq)
{
    uint64_t words[ASX_LAB_EVENT_WORDS_MAX];
    for (uint32_t i = 0; i < ASX_LAB_EVENT_WORDS_MAX; i++) {
        words[i] = seq * 31 + i;
    }
    asx_lab_event event{};
    asx_lab_event_init(&event, (uint32_t)seq % 3, (asx_trace_kind)kind, words, count);
    event.seq = seq;
    event.vtime_ns = seq * 1000;
    event.lamport = seq + 1;
    return event;
}

/* Every kind with every number of words that it may have. */
static std::vector<asx_lab_event> events_of_all_kinds()
{
    std::vector<asx_lab_event> all;
    for (uint32_t kind = 1; kind < ASX_TRACE_KIND_END; kind++) {
        for (uint32_t count = 0; count <= ASX_LAB_EVENT_WORDS_MAX; count++) {
            const asx_lab_event event = event_of(kind, count, all.size());
            if (asx_lab_event_valid(&event)) {
                all.push_back(event);
            }
        }
    }
    return all;
}

static const asx_lab_config plain = of_shards(3, 7);

static file_bytes file_of(const std::vector<asx_lab_event> &events, asx_lab_trace_options options)
{
    memory_file out;
    asx_lab_trace_writer *writer;
    options.config = options.config ? options.config : &plain;
    REQUIRE(asx_lab_trace_writer_create(out.file, &options, &writer) == ASX_OK);
    for (const asx_lab_event &event : events) {
        asx_lab_trace_writer_add(writer, &event);
    }
    CHECK(asx_lab_trace_writer_finish(writer, nullptr) == ASX_OK);
    asx_lab_trace_writer_destroy(writer);
    return out.bytes;
}

static asx_lab_trace_options with(asx_lab_trace_codec codec, uint32_t chunk_len = 0,
                                  asx_lab_trace_level level = ASX_LAB_TRACE_LOSSLESS)
{
    asx_lab_trace_options options{};
    options.codec = codec;
    options.chunk_len = chunk_len;
    options.level = level;
    return options;
}

/* The checksum of a header that was edited. */
static void header_seal(file_bytes &bytes)
{
    const uint32_t crc = asx_crc32c(0, bytes.data(), 100);
    memcpy(bytes.data() + 100, &crc, sizeof(crc));
}

template <typename T> static void poke(file_bytes &bytes, size_t at, T value)
{
    memcpy(bytes.data() + at, &value, sizeof(value));
}

template <typename T> static T peek(const file_bytes &bytes, size_t at)
{
    T value;
    memcpy(&value, bytes.data() + at, sizeof(value));
    return value;
}

static size_t first_chunk(const file_bytes &bytes)
{
    return 104 + peek<uint32_t>(bytes, 96) + 4;
}

TEST_CASE("crc32c: the answers that are known", "[lab][trace]")
{
    CHECK(asx_crc32c(0, "", 0) == 0);
    CHECK(asx_crc32c(0, "123456789", 9) == 0xe3069283);
    const unsigned char zeros[32] = { 0 };
    CHECK(asx_crc32c(0, zeros, sizeof(zeros)) == 0x8a9136aa);
    CHECK(asx_crc32c(asx_crc32c(0, "1234", 4), "56789", 5) == 0xe3069283);
}

TEST_CASE("trace: every kind comes back as it went in, compressed or not", "[lab][trace]")
{
    const std::vector<asx_lab_event> all = events_of_all_kinds();
    CHECK(all.size() > ASX_TRACE_KIND_END);
    for (asx_lab_trace_codec codec : { ASX_LAB_TRACE_NONE, ASX_LAB_TRACE_LZ4 }) {
        for (uint32_t chunk_len : { 96u, 200u, 0u }) {
            const file_bytes bytes = file_of(all, with(codec, chunk_len));
            const trace_read read(bytes);
            INFO(codec << " " << chunk_len << " " << read.wrong);
            CHECK(read.wrong.empty());
            REQUIRE(read.events.size() == all.size());
            uint64_t hash = ASX_FNV64_EMPTY;
            for (size_t i = 0; i < all.size(); i++) {
                REQUIRE(same_record(read.events[i], all[i]));
                hash = asx_lab_event_chain(hash, &all[i]);
            }
            CHECK(read.info().trace_hash == hash);
            CHECK(read.info().kept == all.size());
            CHECK(read.info().total == all.size());
            CHECK(read.info().seed == 7);
            CHECK(read.info().config_hash == asx_lab_config_hash(&plain));
        }
    }
}

TEST_CASE("trace: the bytes of the known records are those of the container", "[lab][trace]")
{
    asx_lab_event spawn{}, complete{};
    const uint64_t of_spawn[] = { UINT64_C(0x100000000), UINT64_C(0x100000000) };
    const uint64_t of_complete[] = { UINT64_C(0x100000000), UINT64_C(0x100000000), 0 };
    asx_lab_event_init(&spawn, 0, ASX_TRACE_TASK_SPAWN, of_spawn, 2);
    spawn.lamport = 1;
    asx_lab_event_init(&complete, 0, ASX_TRACE_TASK_COMPLETE, of_complete, 3);
    complete.seq = 1, complete.vtime_ns = 1000, complete.lamport = 2;
    const file_bytes bytes = file_of({ spawn, complete }, with(ASX_LAB_TRACE_NONE));
    CHECK(std::string(bytes.data(), 8) == "ASLABTRC");
    CHECK(peek<uint16_t>(bytes, 8) == 1);
    CHECK(peek<uint16_t>(bytes, 10) == ASX_LAB_TRACE_DIGESTED);
    CHECK(peek<uint64_t>(bytes, 48) == 2);
    CHECK(peek<uint64_t>(bytes, 56) == UINT64_C(0x4194cd9579290d85));
    const unsigned char digest[] = { 0xb3, 0xfa, 0x98, 0x65, 0x89, 0xc2, 0x15, 0xa0 };
    CHECK(memcmp(bytes.data() + 64, digest, sizeof(digest)) == 0);
    const size_t at = first_chunk(bytes);
    CHECK(peek<uint32_t>(bytes, at) == 104);
    CHECK(peek<uint32_t>(bytes, at + 4) == 104);
    CHECK(bytes.size() == at + 12 + 104);
    CHECK(asx_crc32c(asx_crc32c(0, &bytes[at], 8), &bytes[at + 12], 104) ==
          peek<uint32_t>(bytes, at + 8));
}

TEST_CASE("trace: a file without records is one", "[lab][trace]")
{
    const trace_read read(file_of({}, with(ASX_LAB_TRACE_LZ4)));
    CHECK(read.wrong.empty());
    CHECK(read.events.empty());
    CHECK(read.info().trace_hash == ASX_FNV64_EMPTY);
}

TEST_CASE("trace: a run's file says what its report says", "[lab][trace]")
{
    for (const char *name : { "limb-cancel", "race", "storm", "permits" }) {
        const traced_run run(name, with(ASX_LAB_TRACE_AUTO));
        REQUIRE(run.finished == ASX_OK);
        const trace_read read(run.bytes());
        INFO(name << " " << read.wrong);
        REQUIRE(read.wrong.empty());
        const asx_lab_trace_info &info = read.info();
        CHECK(info.trace_hash == run.report.trace_hash);
        CHECK(info.kept == run.report.trace_total);
        CHECK(info.receipt.schedule_hash == run.report.schedule_hash);
        CHECK(info.receipt.fingerprint == run.report.fingerprint);
        CHECK(info.receipt.steps == run.report.steps);
        CHECK(memcmp(&info.certificate.counts, &run.report.counts, sizeof(asx_lab_counts)) == 0);
        CHECK(std::string(info.scenario) == name);
        const asx_lab_config base =
            asx_lab_scenario_config(asx_lab_scenario_find(name), info.seed, 0);
        const asx_lab_config config = asx_lab_trace_config(&info, &base);
        CHECK(asx_lab_config_hash(&config) == info.config_hash);
        CHECK(asx_foata_fingerprint(read.events.data(), (uint32_t)read.events.size()) ==
              info.receipt.fingerprint);
    }
}

TEST_CASE("trace: one flipped bit anywhere is noticed", "[lab][trace]")
{
    for (asx_lab_trace_codec codec : { ASX_LAB_TRACE_NONE, ASX_LAB_TRACE_LZ4 }) {
        const traced_run run("race", with(codec, 2048));
        const file_bytes &bytes = run.bytes();
        REQUIRE(trace_read(bytes).wrong.empty());
        REQUIRE(bytes.size() < 100000);
        size_t unnoticed = 0;
        for (size_t bit = 0; bit < 8 * bytes.size(); bit += codec == ASX_LAB_TRACE_NONE ? 7 : 1) {
            file_bytes flipped = bytes;
            flipped[bit / 8] = (char)(flipped[bit / 8] ^ 1 << bit % 8);
            unnoticed += trace_read(flipped).wrong.empty();
        }
        CHECK(unnoticed == 0);
    }
}

TEST_CASE("trace: cut at every byte, the beginning comes back and the place is named",
          "[lab][trace]")
{
    const traced_run run("race", with(ASX_LAB_TRACE_LZ4, 512));
    const file_bytes &bytes = run.bytes();
    const trace_read whole(bytes);
    size_t last = 0, steps = 0;
    for (size_t len = 0; len < bytes.size(); len++) {
        const file_bytes cut(bytes.begin(), bytes.begin() + (ptrdiff_t)len);
        CHECK_FALSE(trace_read(cut).wrong.empty());
        const trace_read read(cut, ASX_LAB_TRACE_PREFIX);
        REQUIRE_FALSE(read.wrong.empty());
        REQUIRE(read.events.size() >= last);
        REQUIRE(read.events.size() <= whole.events.size());
        steps += read.events.size() > last;
        last = read.events.size();
        if (last > 0) {
            REQUIRE(same_record(read.events[last - 1], whole.events[last - 1]));
        }
        REQUIRE(asx_lab_trace_reader_bytes(read.reader) <= len);
    }
    CHECK(steps > 4); /* chunk by chunk */
    CHECK(last < whole.events.size());
}

/* Recovers from `bytes`; the receipt, and the new file. */
static bool recovered(const file_bytes &bytes, asx_lab_trace_recovery &recovery, file_bytes &made,
                      asx_lab_trace_level level = ASX_LAB_TRACE_LOSSLESS)
{
    memory_file out;
    file_bytes copy = bytes;
    asx_err err;
    FILE *in = fmemopen(copy.data(), copy.size(), "rb");
    const bool got = asx_lab_trace_recover(in, out.file, level, &recovery, &err);
    fclose(in);
    CHECK(err == ASX_OK);
    made = out.bytes;
    return got;
}

TEST_CASE("trace: recovery makes a file of the good part, and says why it ends there",
          "[lab][trace]")
{
    const traced_run run("race", with(ASX_LAB_TRACE_LZ4, 512));
    const trace_read whole(run.bytes());
    asx_lab_trace_recovery recovery;
    file_bytes made, bad = run.bytes();
    const size_t middle = bad.size() / 2;
    bad[middle] = (char)(bad[middle] ^ 16);
    REQUIRE(recovered(bad, recovery, made));
    CHECK(recovery.records > 0);
    CHECK(recovery.records < whole.events.size());
    CHECK(recovery.bytes <= middle);
    CHECK(std::string(recovery.reason).find("chunk") != std::string::npos);
    const trace_read read(made);
    CHECK(read.wrong.empty());
    CHECK(read.info().cut == 1);
    CHECK(read.info().total == whole.info().total);
    CHECK(read.info().config_hash == whole.info().config_hash);
    REQUIRE(read.events.size() == recovery.records);
    for (size_t i = 0; i < read.events.size(); i++) {
        REQUIRE(same_record(read.events[i], whole.events[i]));
    }

    REQUIRE(recovered(run.bytes(), recovery, made));
    CHECK(std::string(recovery.reason).empty());
    CHECK(trace_read(made).info().cut == 0);
    CHECK(trace_read(made).events.size() == whole.events.size());

    bad = run.bytes();
    bad[3] = 'x';
    CHECK_FALSE(recovered(bad, recovery, made));
    CHECK(recovery.records == 0);
    CHECK(std::string(recovery.reason) == "not a trace file");
}

TEST_CASE("trace: a disk that is full halts the writer, and not the run", "[lab][trace]")
{
    const traced_run free_run("storm", with(ASX_LAB_TRACE_LZ4, 1024));
    const trace_read whole(free_run.bytes());
    for (size_t room = 2000; room < free_run.bytes().size(); room += 997) {
        const traced_run run("storm", with(ASX_LAB_TRACE_LZ4, 1024), 42, room);
        CHECK(run.report.trace_hash == free_run.report.trace_hash);
        CHECK(run.halted == asx_err_errno(ENOSPC));
        CHECK(run.finished == asx_err_errno(ENOSPC));
        CHECK(trace_read(run.bytes()).wrong.find("never finished") != std::string::npos);
        const trace_read read(run.bytes(), ASX_LAB_TRACE_PREFIX);
        REQUIRE(read.events.size() == run.kept);
        for (size_t i = 0; i < read.events.size(); i++) {
            REQUIRE(same_record(read.events[i], whole.events[i]));
        }
    }
    memory_file nothing(50);
    asx_lab_trace_options options{};
    asx_lab_trace_writer *writer;
    options.config = &plain;
    CHECK(asx_lab_trace_writer_create(nothing.file, &options, &writer) == asx_err_errno(ENOSPC));
    CHECK(writer == nullptr);
}

TEST_CASE("trace: what is newer or unknown is refused by name", "[lab][trace]")
{
    const file_bytes good = file_of(events_of_all_kinds(), with(ASX_LAB_TRACE_NONE));
    const auto refused = [&](size_t at, uint16_t value) {
        file_bytes bytes = good;
        poke<uint16_t>(bytes, at, value);
        header_seal(bytes);
        return trace_read(bytes, ASX_LAB_TRACE_PREFIX).wrong;
    };
    CHECK(refused(8, 2).find("container is newer") != std::string::npos);
    CHECK(refused(8, 0).find("version 0") != std::string::npos);
    CHECK(refused(10, 2 | 16).find("flag") != std::string::npos);
    CHECK(refused(12, 4).find("newer schema") != std::string::npos);
    CHECK(refused(12, 0).find("schema 0") != std::string::npos);
    CHECK(refused(14, 2).find("codec") != std::string::npos);
    CHECK(refused(14, 1).find("contradicts itself") != std::string::npos);
    CHECK(refused(98, 16).find("longer than 1 MiB") != std::string::npos);
    CHECK(refused(98, 15).find("cut short inside its metadata") != std::string::npos);
}

/* Rewrites the only chunk of an uncompressed file, and everything that vouches for it. */
static file_bytes resealed(const file_bytes &from, const std::function<void(file_bytes &)> &edit)
{
    file_bytes bytes = from;
    const size_t at = first_chunk(bytes);
    file_bytes records(bytes.begin() + (ptrdiff_t)at + 12, bytes.end());
    edit(records);
    bytes.resize(at + 12);
    bytes.insert(bytes.end(), records.begin(), records.end());
    poke<uint32_t>(bytes, at, (uint32_t)records.size());
    poke<uint32_t>(bytes, at + 4, (uint32_t)records.size());
    poke<uint32_t>(bytes, at + 8,
                   asx_crc32c(asx_crc32c(0, &bytes[at], 8), records.data(), records.size()));
    poke<uint64_t>(bytes, 56, asx_fnv64(ASX_FNV64_EMPTY, records.data(), records.size()));
    asx_sha256 sha;
    asx_sha256_init(&sha);
    asx_sha256_add(&sha, records.data(), records.size());
    asx_sha256_take(&sha, (unsigned char *)&bytes[64]);
    header_seal(bytes);
    return bytes;
}

TEST_CASE("trace: a record that cannot be is refused where it stands, and may be looked at",
          "[lab][trace]")
{
    const file_bytes good =
        file_of({ event_of(1, 2, 0), event_of(2, 3, 1), event_of(6, 3, 2) }, {});
    const auto refused = [&](size_t at, uint16_t value) {
        return trace_read(
                   resealed(good, [&](file_bytes &records) { poke<uint16_t>(records, at, value); }))
            .wrong;
    };
    const size_t second = 48;
    CHECK(refused(second, 75).find("record 1, ") == 0);
    CHECK(refused(second, 75).find("kind") != std::string::npos);
    CHECK(refused(second + 2, 2).find("version") != std::string::npos);
    CHECK(refused(second + 2, 1 | 2 << 8).find("flags") != std::string::npos);
    CHECK(refused(second + 2, 1 | 1 << 8).find("flags") != std::string::npos);
    CHECK(refused(second + 6, 32).find("another payload") != std::string::npos);
    CHECK(refused(second + 6, 65528).find("the chunk ends inside it") != std::string::npos);
    CHECK(refused(second + 8, 5).find("out of sequence") != std::string::npos);
    CHECK(refused(8, 1).find("record 0, ") == 0);

    file_bytes strange =
        resealed(good, [&](file_bytes &records) { poke<uint16_t>(records, 0, 99); });
    FILE *in = fmemopen(strange.data(), strange.size(), "rb");
    asx_lab_trace_reader *reader = asx_lab_trace_reader_create(in, ASX_LAB_TRACE_STRICT);
    const void *bytes;
    size_t len, count = 0;
    while (asx_lab_trace_reader_next_raw(reader, &bytes, &len)) {
        count++;
        CHECK((len == 48 || len == 56));
    }
    CHECK(count == 3);
    CHECK(asx_lab_trace_reader_wrong(reader) == nullptr);
    asx_lab_trace_reader_destroy(reader);
    fclose(in);
}

TEST_CASE("trace: what vouches for the records must do so", "[lab][trace]")
{
    const file_bytes good = file_of({ event_of(1, 2, 0), event_of(6, 3, 1) }, {});
    const auto changed = [&](size_t at) {
        file_bytes bytes = good;
        bytes[at] = (char)(bytes[at] ^ 1);
        header_seal(bytes);
        return trace_read(bytes).wrong;
    };
    CHECK(changed(56).find("hash to") != std::string::npos);
    CHECK(changed(64).find("SHA-256") != std::string::npos);
    CHECK(changed(40).find("more records than the run had") != std::string::npos);
    file_bytes bytes = good;
    poke<uint64_t>(bytes, 40, 3);
    poke<uint64_t>(bytes, 48, 3);
    header_seal(bytes);
    CHECK(trace_read(bytes).wrong.find("it ends after 2 of 3") != std::string::npos);
    poke<uint64_t>(bytes, 40, 1);
    header_seal(bytes);
    CHECK(trace_read(bytes).wrong.find("one more than the header says") != std::string::npos);
    /* One record is swapped for another kind: hash and digest are made right, the certificate is
     * not. */
    const file_bytes other = resealed(
        good, [](file_bytes &records) { poke<uint16_t>(records, 0, ASX_TRACE_TASK_YIELD); });
    CHECK(trace_read(other).wrong.find("certificate is not that of its records: trace_hash") !=
          std::string::npos);
}

TEST_CASE("trace: files of the two older schemas read as they stand", "[lab][trace]")
{
    const std::vector<asx_lab_event> all = events_of_all_kinds();
    for (uint16_t schema = 1; schema <= ASX_LAB_TRACE_SCHEMA; schema++) {
        std::vector<asx_lab_event> then;
        for (const asx_lab_event &event : all) {
            if (event.kind <= asx_lab_trace_kind_max(schema)) {
                then.push_back(event);
            }
        }
        file_bytes bytes = file_of(then, with(ASX_LAB_TRACE_NONE));
        poke<uint16_t>(bytes, 12, schema);
        header_seal(bytes);
        CHECK(trace_read(bytes).wrong.empty());
        CHECK(trace_read(bytes).events.size() == then.size());
        /* Its migration is a file of today's. */
        asx_lab_trace_recovery recovery;
        file_bytes made;
        REQUIRE(recovered(bytes, recovery, made));
        CHECK(trace_read(made).info().schema == ASX_LAB_TRACE_SCHEMA);
        CHECK(trace_read(made).info().trace_hash == trace_read(bytes).info().trace_hash);
        /* What the schema did not know cannot be in it. */
        file_bytes later = file_of(all, with(ASX_LAB_TRACE_NONE));
        poke<uint16_t>(later, 12, schema);
        header_seal(later);
        const trace_read read(later);
        CHECK(read.wrong.empty() == (schema == ASX_LAB_TRACE_SCHEMA));
        CHECK(read.events.size() == then.size());
    }
}

TEST_CASE("trace: a level leaves out what it says, and carries the original's count",
          "[lab][trace]")
{
    const traced_run whole("limb-cancel", with(ASX_LAB_TRACE_AUTO));
    for (asx_lab_trace_level level : { ASX_LAB_TRACE_STRUCTURAL, ASX_LAB_TRACE_SKELETON }) {
        const traced_run run("limb-cancel", with(ASX_LAB_TRACE_AUTO, 0, level));
        const trace_read read(run.bytes());
        INFO(asx_lab_trace_level_name(level) << " " << read.wrong);
        CHECK(read.wrong.empty());
        CHECK(read.info().kept == read.events.size());
        CHECK(read.info().kept < read.info().total);
        CHECK(read.info().total == whole.report.trace_total);
        CHECK(read.info().receipt.run_hash == whole.report.trace_hash);
        CHECK(read.info().trace_hash != whole.report.trace_hash);
        for (const asx_lab_event &event : read.events) {
            CHECK(asx_lab_trace_keeps(level, event.kind));
        }
        /* What the protocol needs is still there. */
        asx_lab_check *check = asx_lab_check_create(false);
        for (const asx_lab_event &event : read.events) {
            asx_lab_check_event(check, &event);
        }
        CHECK(asx_lab_check_breach(check)->rule == ASX_LAB_RULE_NONE);
        asx_lab_check_destroy(check);
        const asx_lab_counts &counts = read.info().certificate.counts;
        CHECK(counts.spawned == whole.report.counts.spawned);
        CHECK(counts.cancel_acknowledged == whole.report.counts.cancel_acknowledged);
        /* Reduced afterwards, it is the same. */
        asx_lab_trace_recovery recovery;
        file_bytes made;
        REQUIRE(recovered(whole.bytes(), recovery, made, level));
        CHECK(trace_read(made).info().trace_hash == read.info().trace_hash);
    }
}

TEST_CASE("trace: an event memory that overran becomes a file of the last ones", "[lab][trace]")
{
    asx_lab_config config = asx_lab_scenario_config(asx_lab_scenario_find("limb-cancel"), 42, 0);
    config.trace_capacity = 50;
    const lab_report run(config, asx_lab_scenario_find("limb-cancel")->app);
    memory_file out;
    asx_lab_trace_options options{};
    options.config = &config;
    REQUIRE(asx_lab_trace_write(&run.report, &options, out.file) == ASX_OK);
    const trace_read read(out.bytes);
    CHECK(read.wrong.empty());
    CHECK((read.info().flags & ASX_LAB_TRACE_OVERWRITTEN) != 0);
    REQUIRE(read.events.size() == 50);
    CHECK(read.events[0].seq == run.report.trace_total - 50);
    CHECK(read.info().receipt.run_hash == run.report.trace_hash);
}

TEST_CASE("trace: compression is used where it saves, and AUTO begins when it is worth it",
          "[lab][trace]")
{
    std::vector<asx_lab_event> many;
    for (uint64_t i = 0; i < 60000; i++) {
        many.push_back(event_of(ASX_TRACE_TASK_DISPATCH, 3, i));
    }
    const file_bytes raw = file_of(many, with(ASX_LAB_TRACE_NONE));
    const file_bytes packed = file_of(many, with(ASX_LAB_TRACE_LZ4));
    const file_bytes automatic = file_of(many, with(ASX_LAB_TRACE_AUTO));
    CHECK(packed.size() < raw.size() * 2 / 3);
    CHECK(automatic.size() > packed.size() + ASX_LAB_TRACE_AUTO_BYTES / 4);
    CHECK(automatic.size() < raw.size() * 3 / 4);
    CHECK(trace_read(automatic).events.size() == many.size());
    CHECK(trace_read(file_of({ many[0] }, with(ASX_LAB_TRACE_AUTO))).info().codec ==
          ASX_LAB_TRACE_NONE);
    /* Whatever the length, the reader holds two chunks. */
    CHECK(asx_lab_trace_reader_memory(trace_read(packed).reader) <= 3 * ASX_LAB_TRACE_CHUNK_LEN);
}
