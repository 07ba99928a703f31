/* The command as a user meets it: files come back whole from damaged directories, or nothing is
 * left
 * behind and the message says what was missing. */
#include <asx/raptorq/tool.h>
#include <asx/raptorq/volume.h>

#include "support.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <unistd.h>

namespace fs = std::filesystem;

namespace
{

struct place {
    fs::path root;
    place()
    {
        char name[] = "/tmp/asx-rq-test-XXXXXX";
        REQUIRE(mkdtemp(name) != nullptr);
        root = name;
    }
    place(const place &) = delete;
    place &operator=(const place &) = delete;
    ~place()
    {
        fs::remove_all(root);
    }
    std::string at(const char *name) const
    {
        return (root / name).string();
    }
};

void write(const std::string &path, const rq::bytes &content)
{
    std::ofstream(path, std::ios::binary).write((const char *)content.data(), (long)content.size());
}

rq::bytes read(const std::string &path)
{
    std::ifstream file(path, std::ios::binary);
    return rq::bytes(std::istreambuf_iterator<char>(file), {});
}

int run(std::vector<std::string> args)
{
    args.insert(args.begin(), "rq");
    std::vector<char *> argv;
    for (auto &arg : args) {
        argv.push_back(arg.data());
    }
    return asx_rq_main((int)argv.size(), argv.data(), nullptr);
}

void digest(const void *bytes, size_t len, uint8_t out[ASX_RQ_DIGEST_SIZE])
{
    unsigned size = 0;
    if (EVP_Digest(bytes, len, out, &size, EVP_sha256(), nullptr) != 1) {
        std::abort();
    }
}

size_t entries(const fs::path &dir)
{
    return (size_t)std::distance(fs::directory_iterator(dir), fs::directory_iterator());
}

} // namespace

TEST_CASE("tool: a file survives lost volumes and damaged, cut and foreign records", "[raptorq]")
{
    place p;
    const rq::bytes content = rq::object(300001, 31), other = rq::object(300001, 32);
    write(p.at("file"), content);
    write(p.at("other"), other);
    const std::vector<std::string> shape = { "--overhead",   "30%", "--symbol-size", "100",
                                             "--block-size", "64K", "--volumes",     "10" };
    for (const char *name : { "file", "other" }) {
        std::vector<std::string> args = { "encode", p.at(name), "--out",
                                          p.at(name) + std::string(".d") };
        args.insert(args.end(), shape.begin(), shape.end());
        REQUIRE(run(args) == 0);
    }
    CHECK(entries(p.at("file.d")) == 11);
    CHECK(run({ "verify", p.at("file.d") }) == 0);
    CHECK(entries(p.at("file.d")) == 11);

    fs::remove(p.at("file.d") + "/volume-03.rq");
    /* a volume of another object of the same shape */
    fs::copy_file(p.at("other.d") + "/volume-05.rq", p.at("file.d") + "/volume-05.rq",
                  fs::copy_options::overwrite_existing);
    rq::bytes volume = read(p.at("file.d") + "/volume-07.rq");
    for (size_t i = 0; i < volume.size(); i += 5000) {
        volume[i] ^= 0x55; /* heads, tags and symbols alike */
    }
    volume.resize(volume.size() - 50);
    write(p.at("file.d") + "/volume-07.rq", volume);

    CHECK(run({ "verify", p.at("file.d") }) == 0);
    CHECK(run({ "decode", p.at("file.d"), "--out", p.at("back") }) == 0);
    CHECK(read(p.at("back")) == content);
    asx_rq_volume_config config = {};
    config.digest = digest;
    asx_rq_volume_report report;
    REQUIRE(asx_rq_volume_decode(p.at("file.d").c_str(), nullptr, &config, &report) == ASX_OK);
    CHECK(report.volumes_missing == 1);
    CHECK(report.damaged > 350); /* all of the foreign volume, and the damaged records */
    CHECK(report.blocks == 5);
    CHECK(report.blocks_bad == 0);
}

TEST_CASE("tool: too much missing is named, and no output is left", "[raptorq]")
{
    place p;
    write(p.at("file"), rq::object(50000, 33));
    REQUIRE(run({ "encode", p.at("file"), "--out", p.at("d"), "--symbol-size", "500", "--volumes",
                  "4", "--overhead", "10" }) == 0);
    fs::remove(p.at("d") + "/volume-00.rq");
    CHECK(run({ "decode", p.at("d"), "--out", p.at("back") }) == 1);
    CHECK(entries(p.root) == 2);
    asx_rq_volume_config config = {};
    config.digest = digest;
    asx_rq_volume_report report;
    CHECK(asx_rq_volume_decode(p.at("d").c_str(), nullptr, &config, &report) == ASX_RQ_E(TOO_FEW));
    CHECK(std::string(report.text) ==
          "block 0 of 1 has 82 of its 100 symbols, at least 18 more are needed");
    CHECK(report.blocks_bad == 1);
    fs::remove(p.at("d") + "/manifest");
    CHECK(run({ "verify", p.at("d") }) == 1);
    CHECK(run({ "verify", p.at("nowhere") }) == 1);
}

TEST_CASE("tool: empty, one-byte and exactly full files", "[raptorq]")
{
    place p;
    for (size_t size : { 0u, 1u, 1279u, 1280u, 1281u, 12800u }) {
        CAPTURE(size);
        const rq::bytes content = rq::object(size, 34);
        write(p.at("file"), content);
        REQUIRE(run({ "encode", p.at("file"), "--out", p.at("d") }) == 0);
        CHECK(run({ "verify", p.at("d") }) == 0);
        CHECK(run({ "decode", p.at("d"), "--out", p.at("back") }) == 0);
        CHECK(read(p.at("back")) == content);
        fs::remove_all(p.at("d"));
    }
}

TEST_CASE("tool: a manifest that lies is refused", "[raptorq]")
{
    place p;
    write(p.at("file"), rq::object(5000, 35));
    REQUIRE(run({ "encode", p.at("file"), "--out", p.at("d") }) == 0);
    const rq::bytes good = read(p.at("d") + "/manifest");
    const std::string text(good.begin(), good.end());
    const size_t reserved = text.find("oti ") + 4 + 2 * 5; /* a receiver ignores this octet */
    for (size_t i = 0; i < good.size(); i++) {
        if (i == reserved || i == reserved + 1) {
            continue;
        }
        rq::bytes bad = good;
        bad[i] = bad[i] == '7' ? '6' : '7';
        write(p.at("d") + "/manifest", bad);
        asx_rq_volume_config config = {};
        config.digest = digest;
        asx_rq_volume_report report;
        const asx_err err = asx_rq_volume_decode(p.at("d").c_str(), nullptr, &config, &report);
        if (bad[i] == '7' && std::isspace(good[i]) == 0) {
            CAPTURE(i);
            /* the number of volumes may grow: more are missing, the object is still there */
            CHECK((err != ASX_OK || report.volumes_missing > 0));
        }
    }
}

TEST_CASE("tool: numbers of a manifest are digits, and in range", "[raptorq]")
{
    place p;
    write(p.at("file"), rq::object(5000, 37));
    REQUIRE(run({ "encode", p.at("file"), "--out", p.at("d") }) == 0);
    const rq::bytes good = read(p.at("d") + "/manifest");
    const std::string text(good.begin(), good.end());
    const auto decode = [&](const std::string &from, const std::string &to) {
        std::string bad = text;
        bad.replace(bad.find(from), from.size(), to);
        write(p.at("d") + "/manifest", rq::bytes(bad.begin(), bad.end()));
        return run({ "verify", p.at("d") });
    };
    CHECK(decode("volumes 16", "volumes 16") == 0);
    for (const char *volumes : { "-1", "+8", "0", "100", " 8", "0x8", "8.", "" }) {
        CAPTURE(volumes);
        CHECK(decode("volumes 16", std::string("volumes ") + volumes) == 1);
    }
    CHECK(decode("size 5000", "size -5000") == 1);
    CHECK(decode("size 5000", "size 18446744073709556616") == 1);
    CHECK(decode("sha256 ", "sha256  ") == 1);
    CHECK(decode("asx-rq 1", "asx-rq 2") == 1);
    CHECK(decode("volumes 16\n", "volumes 16\n\n") == 1);
    write(p.at("d") + "/manifest", rq::bytes(good.begin(), good.end() - 1));
    CHECK(run({ "verify", p.at("d") }) == 1);
    write(p.at("d") + "/manifest", rq::bytes(100000, 'a'));
    CHECK(run({ "verify", p.at("d") }) == 1);
}

TEST_CASE("tool: what cannot be understood ends with the usage", "[raptorq]")
{
    place p;
    write(p.at("file"), rq::object(10, 36));
    CHECK(run({}) == 2);
    CHECK(run({ "encode" }) == 2);
    CHECK(run({ "encode", p.at("file") }) == 2);
    CHECK(run({ "compress", p.at("file"), "--out", p.at("d") }) == 2);
    CHECK(run({ "encode", p.at("file"), "--out" }) == 2);
    CHECK(run({ "encode", p.at("file"), "--out", p.at("d"), "--symbol-size", "0" }) == 2);
    CHECK(run({ "encode", p.at("file"), "--out", p.at("d"), "--symbol-size", "12x" }) == 2);
    CHECK(run({ "encode", p.at("file"), "--out", p.at("d"), "--overhead", "-1%" }) == 2);
    CHECK(run({ "encode", p.at("file"), "--out", p.at("d"), "--volumes", "100" }) == 2);
    CHECK(run({ "verify", p.at("d"), "--out", p.at("e") }) == 2);
    CHECK(run({ "encode", p.at("missing"), "--out", p.at("d") }) == 1);
    CHECK(entries(p.root) == 1);
}
