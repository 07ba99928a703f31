/* At stake: a failure that was found once must be found again, by another process, on another day.
 * Packs are written of runs that fail, read back, damaged, and replayed. */
#include <asx/lab/crashpack.h>
#include <asx/shard/base/sha256.h>
#include <asx/shard/limb.h>
#include <asx/shard/scope.h>

#include "lab_fixture.h"

#include <cinttypes>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <unistd.h>
#include <vector>

namespace
{

/* A counter that two shards read, then write after an await. */
struct counter {
    int value;
};

asx_outcome increments(asx_cx *cx, void *arg)
{
    struct counter *const c = *static_cast<struct counter **>(arg);
    const int read = c->value;
    ASX_TRY(asx_yield(cx));
    c->value = read + 1;
    return asx_ok(0);
}

asx_outcome loses(asx_cx *cx, void *arg)
{
    struct counter *c = static_cast<struct counter *>(arg);
    asx_handle limbs[2] = {};
    c->value = 0;
    for (uint32_t i = 0; i < 2; i++) {
        if (asx_spawn_on(cx, 1 + i, increments, &c, sizeof(c), nullptr, &limbs[i]) != ASX_OK) {
            return asx_ok(0);
        }
        ASX_TRY(asx_yield(cx)); /* left alone, the first is done by the time the second reads */
        ASX_TRY(asx_yield(cx));
    }
    for (const asx_handle limb : limbs) {
        ASX_TRY(asx_join_limb(cx, limb));
    }
    if (c->value != 2) {
        asx_panic("an update was lost");
    }
    return asx_ok(0);
}

struct folder {
    char path[32] = "/tmp/asx-pack-XXXXXX";
    folder()
    {
        REQUIRE(mkdtemp(path) != nullptr);
    }
    std::vector<std::string> files() const
    {
        std::vector<std::string> names;
        DIR *const dir = opendir(path);
        for (dirent *each; dir && (each = readdir(dir)) != nullptr;) {
            if (std::strcmp(each->d_name, ".") != 0 && std::strcmp(each->d_name, "..") != 0) {
                names.push_back(each->d_name);
            }
        }
        if (dir) {
            closedir(dir);
        }
        return names;
    }
    ~folder()
    {
        for (const std::string &name : files()) {
            unlink((std::string(path) + "/" + name).c_str());
        }
        rmdir(path);
    }
    folder(const folder &) = delete;
};

/* The first seed whose run loses an update. */
struct failing {
    struct counter counter {
    };
    asx_lab_config config = of_shards(3);
    asx_crashpack_subject subject{};
    asx_lab_report report{};

    explicit failing(const char *chaos = "off")
    {
        REQUIRE(asx_chaos_preset(&config.chaos, chaos));
        subject.name = "loses";
        subject.config = &config;
        subject.app = loses;
        subject.arg = &counter;
        for (config.seed = 1; config.seed <= 500; config.seed++) {
            if (!asx_lab_run(&config, loses, &counter, &report)) {
                return;
            }
            asx_lab_report_deinit(&report);
        }
        FAIL("no seed loses an update");
    }
    ~failing()
    {
        asx_lab_report_deinit(&report);
    }
    failing(const failing &) = delete;
    std::string write(const folder &dir, uint32_t replays_max) const
    {
        char path[256];
        REQUIRE(asx_crashpack_write(&subject, &report, dir.path, "asx lab replay ", replays_max,
                                    path, sizeof(path)) == ASX_OK);
        return path;
    }
};

std::string read_file(const std::string &path)
{
    std::string bytes;
    FILE *const in = fopen(path.c_str(), "rb");
    REQUIRE(in);
    for (int byte; (byte = fgetc(in)) != EOF;) {
        bytes += static_cast<char>(byte);
    }
    fclose(in);
    return bytes;
}

const char *parse(std::string bytes, asx_crashpack *pack)
{
    FILE *const in = fmemopen(&bytes[0], bytes.size(), "rb");
    REQUIRE(in);
    const char *const wrong = asx_crashpack_read(in, pack);
    fclose(in);
    return wrong;
}

} // namespace

TEST_CASE("crashpack: what is written is read back, and fails in the same way", "[crashpack]")
{
    const char *const chaos = GENERATE("off", "light");
    const failing failure(chaos);
    const folder dir;
    const std::string path = failure.write(dir, 500);
    REQUIRE(dir.files().size() == 1); /* nothing half-written stays */
    char name[128];
    snprintf(name, sizeof(name), "crashpack-%016" PRIx64 "-%016" PRIx64, failure.report.seed,
             failure.report.config_hash);
    CHECK(dir.files()[0].find(name) == 0);

    asx_crashpack pack;
    const char *const wrong = parse(read_file(path), &pack);
    INFO((wrong ? wrong : ""));
    REQUIRE(wrong == nullptr);
    CHECK(pack.verified);
    CHECK(std::string(pack.name) == "loses");
    CHECK(pack.signature == asx_lab_report_signature(&failure.report));
    CHECK(pack.choice_count == failure.report.choices_kept);
    CHECK(pack.shrunk_count > 0);
    CHECK(pack.shrunk_count <= pack.choice_count);
    for (const bool shrunk : { false, true }) {
        asx_lab_report again;
        CHECK(asx_crashpack_replay(&pack, &failure.subject, shrunk, &again));
        CHECK(again.violation_count > 0);
        asx_lab_report_deinit(&again);
    }
    asx_crashpack_deinit(&pack);
}

TEST_CASE("crashpack: of many faults, shrinking leaves the one that matters", "[crashpack]")
{
    asx_lab_config config = of_shards(1);
    REQUIRE(asx_chaos_preset(&config.chaos, "heavy"));
    const folder dir;
    asx_crashpack_subject subject{};
    subject.name = "fragile";
    subject.config = &config;
    subject.app = [](asx_cx *cx, void *) -> asx_outcome {
        for (int i = 0; i < 200; i++) {
            if (!asx_is_ok(asx_yield(cx))) {
                asx_panic("somebody cancelled me");
            }
        }
        return asx_ok(0);
    };
    asx_lab_report report;
    REQUIRE_FALSE(asx_lab_run(&config, subject.app, nullptr, &report));
    REQUIRE(asx_chaos_injected(&report.chaos) > 1);
    char path[256];
    REQUIRE(asx_crashpack_write(&subject, &report, dir.path, "asx lab replay ", 500, path,
                                sizeof(path)) == ASX_OK);
    asx_lab_report_deinit(&report);
    asx_crashpack pack;
    REQUIRE(parse(read_file(path), &pack) == nullptr);
    uint32_t faults = 0;
    for (uint32_t i = 0; i < pack.shrunk_count; i++) {
        faults += pack.shrunk[i].chosen != 0;
        if (pack.shrunk[i].chosen != 0) {
            CHECK(pack.shrunk[i].site == ASX_CHOICE_FAULT);
        }
    }
    CHECK(faults == 1);
    asx_crashpack_deinit(&pack);
}

TEST_CASE("crashpack: one failure makes one pack, byte for byte", "[crashpack]")
{
    const failing failure;
    const folder one, other;
    CHECK(read_file(failure.write(one, 100)) == read_file(failure.write(other, 100)));
}

TEST_CASE("crashpack: a changed byte is noticed, wherever it is", "[crashpack]")
{
    const failing failure;
    const folder dir;
    const std::string bytes = read_file(failure.write(dir, 0));
    asx_crashpack pack;
    for (size_t at = 0; at < bytes.size(); at += 1 + bytes.size() / 400) {
        std::string damaged = bytes;
        damaged[at] = static_cast<char>(damaged[at] ^ 1);
        INFO(at);
        CHECK(parse(damaged, &pack) != nullptr);
    }
    for (size_t len = 0; len < bytes.size(); len += 1 + bytes.size() / 100) {
        CHECK(parse(bytes.substr(0, len) + (len ? "" : "x"), &pack) != nullptr);
    }
}

TEST_CASE("crashpack: another version, and another program's knob, are refused", "[crashpack]")
{
    const failing failure;
    const folder dir;
    const std::string bytes = read_file(failure.write(dir, 0));
    asx_crashpack pack;
    const auto resealed = [&](const std::string &from, const std::string &to) {
        std::string text = bytes.substr(0, bytes.size() - 72);
        text.replace(text.find(from), from.size(), to);
        unsigned char digest[32];
        asx_sha256 sha;
        asx_sha256_init(&sha);
        asx_sha256_add(&sha, text.data(), text.size());
        asx_sha256_take(&sha, digest);
        text += "sha256 ";
        for (const unsigned char byte : digest) {
            char hex[3];
            snprintf(hex, sizeof(hex), "%02x", byte);
            text += hex;
        }
        return text + "\n";
    };
    const auto why = [&](const std::string &text) {
        const char *const wrong = parse(text, &pack);
        return std::string(wrong ? wrong : "");
    };
    CHECK(why(resealed("asx-crashpack 1", "asx-crashpack 2")) == "a crashpack of another version");
    CHECK(why(resealed("knob spin_limit", "knob spin_limot")) ==
          "it turns a knob that this program does not have");
    CHECK(why(resealed("\nshrunk 0", "\nshrunk 1")) == "its shrunk choices are too few");
    CHECK_FALSE(asx_crashpack_is("ELF", 3));
}

TEST_CASE("crashpack: under another configuration nothing is run", "[crashpack]")
{
    const failing failure;
    const folder dir;
    asx_crashpack pack;
    REQUIRE(parse(read_file(failure.write(dir, 0)), &pack) == nullptr);
    const asx_duration offsets[3] = { 0, 1, 2 };
    asx_lab_config other = failure.config;
    other.clock_offset_ns = offsets; /* not a number of the pack: only the program knows it */
    asx_crashpack_subject subject = failure.subject;
    subject.config = &other;
    asx_lab_report report;
    CHECK_FALSE(asx_crashpack_replay(&pack, &subject, false, &report));
    CHECK(report.steps == 0);
    asx_crashpack_deinit(&pack);
}

TEST_CASE("crashpack: a folder that is not there is an error", "[crashpack]")
{
    const failing failure;
    char path[256];
    CHECK(asx_crashpack_write(&failure.subject, &failure.report, "/nonexistent/folder",
                              "asx lab replay ", 0, path, sizeof(path)) == asx_err_errno(ENOENT));
}
