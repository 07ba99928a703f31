/* At stake: a wrong setting must be refused with one line that says where and what, and what is
 * accepted must mean what it says. */
#include <asx/engine/config.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <cstring>
#include <string>
#include <unistd.h>
#include <vector>

namespace
{

struct parsed {
    asx_config config;
    asx_config_result result;
    std::string message;
};

parsed parse(std::vector<std::string> args)
{
    parsed out{};
    char message[ASX_CONFIG_MESSAGE_MAX] = "";
    std::vector<char *> argv;
    args.insert(args.begin(), "asx serve");
    for (auto &arg : args) {
        argv.push_back(&arg[0]);
    }
    out.result = asx_config_parse(&out.config, (int)argv.size(), argv.data(), message);
    out.message = message;
    return out;
}

struct config_file {
    char path[32] = "/tmp/asx-config-XXXXXX";
    explicit config_file(const char *text)
    {
        const int fd = mkstemp(path);
        REQUIRE(fd >= 0);
        REQUIRE(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
        close(fd);
    }
    ~config_file()
    {
        unlink(path);
    }
};

} // namespace

TEST_CASE("config: without flags every setting has its default", "[engine]")
{
    const parsed p = parse({});
    REQUIRE(p.result == ASX_CONFIG_OK);
    CHECK(p.config.listen.count == 1);
    CHECK(p.config.listen.addrs[0].port == 8080);
    CHECK(p.config.shards == 0);
    CHECK(p.config.driver == ASX_DRIVER_CHOICE_AUTO);
    CHECK(p.config.drain_timeout_ns == 10 * ASX_NS_PER_S);
    CHECK(p.config.head_timeout_ns == 10 * ASX_NS_PER_S);
    CHECK(p.config.idle_timeout_ns == 60 * ASX_NS_PER_S);
    CHECK(p.config.body_bytes_max == 16u << 20);
    CHECK(p.config.admin.count == 0);
    CHECK(p.config.root[0] == '\0');
}

TEST_CASE("config: flags take their value behind a space or an equals sign", "[engine]")
{
    const parsed p = parse({ "--shards", "3", "--drain-timeout=1500ms", "--listen", "[::1]:81",
                             "--listen=unix:/tmp/x", "--cores=0,2-3", "--driver", "epoll" });
    REQUIRE(p.result == ASX_CONFIG_OK);
    CHECK(p.config.shards == 3);
    CHECK(p.config.drain_timeout_ns == 1500 * ASX_NS_PER_MS);
    CHECK(p.config.listen.count == 2);
    CHECK(p.config.listen.addrs[1].family == ASX_ADDR_UNIX);
    CHECK(p.config.cores.count == 3);
    CHECK(p.config.driver == ASX_DRIVER_CHOICE_EPOLL);
}

TEST_CASE("config: what is wrong is named, with the flag", "[engine]")
{
    const struct {
        std::vector<std::string> args;
        const char *says;
    } rows[] = {
        { { "--shards", "x" }, "--shards: 'x' is not a whole number" },
        { { "--shards", "65" }, "--shards: 65 is out of range, 0 to 64" },
        { { "--shards" }, "--shards: N is missing" },
        { { "--shards", "1", "--shards", "2" }, "--shards: given twice" },
        { { "--shard", "1" }, "unknown flag '--shard'; did you mean --shards; see --help" },
        { { "serve" }, "unexpected argument 'serve'; settings are flags, see --help" },
        { { "--listen", "nowhere" },
          "--listen: 'nowhere' is not an address: ADDR:PORT, [V6]:PORT, :PORT or unix:PATH; names "
          "are "
          "not looked up" },
        { { "--shards", "99999999999999999999999" },
          "--shards: 99999999999999999999999 is out of range, 0 to 64" },
        { { "--max-body", "18446744073709551616" },
          "--max-body: 18446744073709551616 is out of range, 0 to 1125899906842624" },
        { { "--idle-timeout", "25h" }, "--idle-timeout: 25h is out of range, 1ms to 24h" },
        { { "--config", "/" }, "--config: cannot read /: Is a directory" },
        { { "--listen", "unix:/0123456789/0123456789/0123456789/0123456789/0123456789/0123456789/"
                        "0123456789/0123456789/0123456789/0123456789" },
          "--listen: 'unix:/0123456789/0123456789/0123...' is longer than the 107 bytes of a "
          "socket's path" },
        { { "--driver", "kqueue" }, "--driver: 'kqueue' is not auto, uring or epoll" },
        { { "--cores", "3-1" }, "--cores: '3-1' is not a list of cores such as 0,2-5" },
        { { "--drain-timeout", "10" },
          "--drain-timeout: '10' is not a duration such as 250ms, 10s or 2m" },
        { { "--max-body", "1x" }, "--max-body: '1x' is not a size such as 64k or 16m" },
        { { "--cores", "0,1", "--shards", "3" },
          "--shards 3 and --cores name different numbers of shards (2)" },
        { { "--config", "/nowhere/at/all" },
          "--config: cannot read /nowhere/at/all: No such file or directory" },
    };
    for (const auto &row : rows) {
        const parsed p = parse(row.args);
        CHECK(p.result == ASX_CONFIG_ERROR);
        CHECK(p.message == row.says);
    }
}

TEST_CASE("config: the admin listener is refused where others could reach it", "[engine]")
{
    for (const char *addr : { "127.0.0.1:9", "127.1.2.3:9", "[::1]:9", "unix:/tmp/a" }) {
        CHECK(parse({ "--admin", addr }).result == ASX_CONFIG_OK);
    }
    for (const char *addr :
         { "0.0.0.0:9", ":9", "[::]:9", "192.168.1.1:9", "[::ffff:127.0.0.1]:9" }) {
        CHECK(parse({ "--admin", addr }).result == ASX_CONFIG_ERROR);
    }
}

TEST_CASE("config: a file is overruled by flags, and its errors carry file and line", "[engine]")
{
    const config_file good("# comment\n\nshards = 2\nlisten = 127.0.0.1:1\nlisten = 127.0.0.1:2\n"
                           "root = \"/tmp\"\n");
    parsed p = parse({ "--shards", "4", "--config", good.path });
    REQUIRE(p.result == ASX_CONFIG_OK);
    CHECK(p.config.shards == 4);
    CHECK(p.config.listen.count == 2);
    CHECK(std::string(p.config.root) == "/tmp");
    p = parse({ "--config", good.path, "--listen", "127.0.0.1:3" });
    CHECK(p.config.listen.count == 1);
    CHECK(p.config.listen.addrs[0].port == 3);

    const config_file bad("shards = 2\nshrads = 3\n");
    p = parse({ "--config", bad.path });
    CHECK(p.result == ASX_CONFIG_ERROR);
    CHECK(p.message == std::string(bad.path) + ":2: unknown setting 'shrads'; did you mean shards");
    const config_file twice("shards = 2\nshards = 3\n");
    CHECK(parse({ "--config", twice.path }).message ==
          std::string(twice.path) + ":2: shards: given twice");
}

TEST_CASE("config: durations and sizes at their edges", "[engine]")
{
    asx_duration d = 0;
    uint64_t size = 0;
    CHECK((asx_duration_parse("0", &d) == ASX_OK && d == 0));
    CHECK((asx_duration_parse("2m", &d) == ASX_OK && d == 120 * ASX_NS_PER_S));
    CHECK((asx_duration_parse("99999999999h", &d) == ASX_OK && d == ASX_TIME_NEVER));
    for (const char *text : { "", "s", "5", "5 s", "-5s", "5sec", "99999999999999999999s" }) {
        CHECK(asx_duration_parse(text, &d) == ASX_E(INVALID_ARGUMENT));
    }
    CHECK((asx_size_parse("64k", &size) == ASX_OK && size == 65536));
    CHECK((asx_size_parse("1MiB", &size) == ASX_OK && size == 1048576));
    CHECK((asx_size_parse("7b", &size) == ASX_OK && size == 7));
    for (const char *text : { "", "k", "1kk", "17179869184g", "1 k" }) {
        CHECK(asx_size_parse(text, &size) == ASX_E(INVALID_ARGUMENT));
    }
}
