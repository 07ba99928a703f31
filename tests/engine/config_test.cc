/* At stake: a wrong setting must be refused with one line that says where and what, and what is
 * accepted must mean what it says. */
#include <asx/engine/config.h>
#include <asx/engine/reload.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <unistd.h>
#include <vector>

namespace
{

struct parsed {
    asx_config config;
    asx_config_result result;
    std::string message;
    std::shared_ptr<std::vector<std::string>> args, env; /* the config's origins point there */
};

std::vector<char *> pointers(std::vector<std::string> &texts)
{
    std::vector<char *> out;
    for (auto &text : texts) {
        out.push_back(&text[0]);
    }
    out.push_back(nullptr);
    return out;
}

parsed parse(std::vector<std::string> args, std::vector<std::string> env = {})
{
    parsed out{};
    char message[ASX_CONFIG_MESSAGE_MAX] = "";
    args.insert(args.begin(), "asx serve");
    out.args = std::make_shared<std::vector<std::string>>(std::move(args));
    out.env = std::make_shared<std::vector<std::string>>(std::move(env));
    std::vector<char *> argv = pointers(*out.args), variables = pointers(*out.env);
    out.result = asx_config_parse(&out.config, (int)out.args->size(), argv.data(), variables.data(),
                                  message);
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

std::string shown(const asx_config &config)
{
    char *text = nullptr;
    size_t len = 0;
    FILE *const out = open_memstream(&text, &len);
    REQUIRE(out != nullptr);
    asx_config_show(out, &config);
    fclose(out);
    const std::string all(text, len);
    free(text);
    return all;
}

/* The last line of a setting. */
std::string line_of(const asx_config &config, const std::string &name)
{
    const std::string all = "\n" + shown(config);
    const size_t at = all.rfind("\n" + name + " = ");
    REQUIRE(at != std::string::npos);
    return all.substr(at + 1, all.find('\n', at + 1) - at - 1);
}

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
    const config_file good("# comment\n\nengine.shards = 2\n[network]\n"
                           "listen = [\"127.0.0.1:1\", '127.0.0.1:2',\n]\nroot = \"/tmp\"\n");
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
    CHECK(p.message ==
          std::string(bad.path) + ":2:1: unknown setting 'shrads'; did you mean shards");
    const config_file twice("shards = 2\nshards = 3\n");
    CHECK(parse({ "--config", twice.path }).message ==
          std::string(twice.path) + ":2:1: shards: given twice");
}

TEST_CASE(
    "config: every setting is taken from a flag before the environment, a file and its default",
    "[engine]")
{
    const struct {
        const char *name;
        const char *values[3]; /* file, environment, flag */
    } rows[] = {
        { "listen", { "127.0.0.1:1", "127.0.0.1:2,127.0.0.1:3", "127.0.0.1:4" } },
        { "admin", { "127.0.0.1:1", "127.0.0.1:2", "unix:/tmp/a" } },
        { "root", { "/a", "/b", "/c" } },
        { "access-log", { "/a", "/b", "-" } },
        { "shards", { "1", "2", "3" } },
        { "cores", { "0", "1", "2-3" } },
        { "driver", { "epoll", "uring", "auto" } },
        { "seed", { "1", "2", "3" } },
        { "max-connections", { "1", "2", "3" } },
        { "max-in-flight", { "1", "2", "3" } },
        { "max-per-ip", { "1", "2", "3" } },
        { "accept-rate", { "1/s", "2", "3/s" } },
        { "accept-burst", { "1", "2", "3" } },
        { "max-requests", { "1", "2", "3" } },
        { "max-body", { "1", "2k", "3m" } },
        { "head-timeout", { "1ms", "2s", "3m" } },
        { "idle-timeout", { "1ms", "2s", "3m" } },
        { "write-timeout", { "1ms", "2s", "3m" } },
        { "body-grace", { "1ms", "2s", "3m" } },
        { "request-timeout", { "1ms", "2s", "3m" } },
        { "drain-timeout", { "1ms", "2s", "3m" } },
        { "drain-delay", { "1ms", "2s", "3m" } },
    };
    std::string all = shown(parse({}).config);
    for (const auto &row : rows) {
        const std::string name = row.name;
        std::string variable = "ASX_";
        for (const char c : name) {
            variable += c == '-' ? '_' : (char)toupper(c);
        }
        const bool bare = strspn(row.values[0], "0123456789") == strlen(row.values[0]);
        const char *const quote = bare ? "" : "\"";
        const config_file file((name + " = " + quote + row.values[0] + quote + "\n").c_str());
        const std::vector<std::string> with_file = { "--config", file.path };
        const std::vector<std::string> env = { "OTHER=x", variable + "=" + row.values[1] };
        std::vector<std::string> with_flag = with_file;
        with_flag.insert(with_flag.end(), { "--" + name, row.values[2] });
        CAPTURE(name, variable);
        const std::string by_file = line_of(parse(with_file).config, name);
        const std::string by_env = line_of(parse(with_file, env).config, name);
        const std::string by_flag = line_of(parse(with_flag, env).config, name);
        CHECK(by_file.find("# " + std::string(file.path) + ":1") != std::string::npos);
        CHECK(by_env.find("# environment") != std::string::npos);
        CHECK(by_flag.find("# --" + name) != std::string::npos);
        /* Where no unit is rounded, what is shown is what was said. */
        CHECK(by_file.find(row.values[0]) != std::string::npos);
        CHECK(by_flag.find(row.values[2]) != std::string::npos);
        CHECK(parse(with_flag, env).result == ASX_CONFIG_OK);
        const size_t at = all.find(name + " = ");
        REQUIRE(at != std::string::npos);
        all.erase(at, name.size());
    }
    CHECK(std::count(all.begin(), all.end(), '\n') == (long)(sizeof(rows) / sizeof(rows[0])));
    const parsed p = parse({}, { "ASX_LISTEN=127.0.0.1:1,[::1]:2,unix:/tmp/x" });
    CHECK(p.config.listen.count == 3);
    const config_file file("shards = 3\n");
    CHECK(parse({}, { std::string("ASX_CONFIG=") + file.path }).config.shards == 3);
    CHECK(parse({ "--effective" }).result == ASX_CONFIG_EFFECTIVE);
    CHECK(parse({ "--effective", "--shards", "3" }).config.shards == 3);
}

TEST_CASE("config: what is shown is read back as the same settings", "[engine]")
{
    const parsed first =
        parse({ "--listen", "127.0.0.1:1", "--listen=unix:/tmp/x", "--max-body", "3000k", "--root",
                "/a b #c", "--drain-timeout", "1500ms", "--accept-rate", "7/s", "--cores", "0,2-3",
                "--seed", "18446744073709551615", "--driver", "epoll" });
    REQUIRE(first.result == ASX_CONFIG_OK);
    const config_file file(shown(first.config).c_str());
    const parsed second = parse({ "--config", file.path });
    INFO(second.message);
    REQUIRE(second.result == ASX_CONFIG_OK);
    const auto values = [](const std::string &text) {
        std::string out;
        for (size_t at = 0; at < text.size(); at = text.find('\n', at) + 1) {
            out += text.substr(at, text.rfind(" # ", text.find('\n', at)) - at) + "\n";
        }
        return out;
    };
    CHECK(values(shown(first.config)) == values(shown(second.config)));
    CHECK(std::string(second.config.root) == "/a b #c");
}

TEST_CASE("config: a wrong variable is named, and one that is nobody's is left alone", "[engine]")
{
    const struct {
        const char *variable, *says;
    } rows[] = {
        { "ASX_SHARDS=x", "ASX_SHARDS: 'x' is not a whole number" },
        { "ASX_IDLE_TIMEOUT=25h", "ASX_IDLE_TIMEOUT: 25h is out of range, 1ms to 24h" },
        { "ASX_SHARD=2", "ASX_SHARD is no setting; did you mean that of --shards" },
        { "ASX_ADMIN=0.0.0.0:1", "ASX_ADMIN: 0.0.0.0:1 is not loopback; it answers without asking "
                                 "who asks, so only 127.x.x.x, [::1] and unix:PATH are allowed" },
        { "ASX_CONFIG=/nowhere/at/all",
          "ASX_CONFIG: cannot read /nowhere/at/all: No such file or directory" },
        { "ASX_LISTEN=127.0.0.1:1,",
          "ASX_LISTEN: '' is not an address: ADDR:PORT, [V6]:PORT, :PORT "
          "or unix:PATH; names are not looked up" },
    };
    for (const auto &row : rows) {
        const parsed p = parse({}, { row.variable });
        CAPTURE(row.variable);
        CHECK(p.result == ASX_CONFIG_ERROR);
        CHECK(p.message == row.says);
    }
    for (const char *variable : { "ASX_SHARDS=", "ASX_", "ASX", "ASX_=", "ASX_BUILD_ROOT=/x",
                                  "ASX_PROGRAM=y", "SHARDS=x", "ASX_shards_x=3", "ASX_SHARDS" }) {
        CAPTURE(variable);
        CHECK(parse({}, { variable }).result == ASX_CONFIG_OK);
    }
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

TEST_CASE("config: a file's mistakes are told with line and column", "[engine]")
{
    const struct {
        const char *text, *says;
    } rows[] = {
        { "shards = 2\nmax-body = 5 m\n", ":2:14: nothing but a comment may stand behind a value" },
        { "idle-timeout = 10s\n", ":1:16: '10s' is no value; text stands in quotes: \"10s\"" },
        { "idle-timeout = 10\n",
          ":1:16: idle-timeout: '10' is not a duration such as 250ms, 10s or 2m" },
        { "idle-timeout = true\n", ":1:16: idle-timeout: a duration such as \"10s\" is wanted" },
        { "shards = \"2\"\n", ":1:10: shards: a whole number without quotes is wanted" },
        { "shards = 2.5\n", ":1:10: shards: a whole number without quotes is wanted" },
        { "shards = 65\n", ":1:10: shards: 65 is out of range, 0 to 64" },
        { "root = 5\n", ":1:8: root: text in quotes is wanted" },
        { "root = \"a\\u0000b\"\n", ":1:8: root: text with a 0 in it" },
        { "root = [\"/a\"]\n", ":1:9: root: one value is wanted, not an array" },
        { "listen = []\n", ":1:1: listen: an empty array" },
        { "listen = [\"127.0.0.1:1\", 5]\n", ":1:26: listen: text in quotes is wanted" },
        { "listen = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"\n", ":2:1: listen: given twice" },
        { "[limits]\nshards = 1\n", ":2:1: shards belongs to [engine]" },
        { "limits.shards = 1\n", ":1:8: shards belongs to [engine]" },
        { "[limits]\n[engine]\n[limits]\n", ":3:2: [limits] is there already" },
        { "[limit]\n", ":1:2: unknown table [limit]; there are [network], [engine], [limits], "
                       "[timeouts] and [drain], and no setting needs one" },
        { "[[limits]]\n", ":1:3: no setting is a list of tables; [limits] is one" },
    };
    for (const auto &row : rows) {
        const config_file file(row.text);
        const parsed p = parse({ "--config", file.path });
        CAPTURE(row.text);
        CHECK(p.result == ASX_CONFIG_ERROR);
        CHECK(p.message == file.path + std::string(row.says));
    }
    const config_file large(std::string(70000, '#').c_str());
    CHECK(parse({ "--config", large.path }).message ==
          "--config: " + std::string(large.path) + " is longer than 65535 bytes");
}

TEST_CASE("config: what is shown is a file that means the same", "[engine]")
{
    const parsed p = parse({ "--listen", "127.0.0.1:1", "--listen", "unix:/tmp/a", "--root",
                             "/a \"b\\c", "--access-log", "77", "--cores", "0", "--max-body",
                             "12345", "--accept-rate", "7/s", "--seed", "18446744073709551615" });
    REQUIRE(p.result == ASX_CONFIG_OK);
    const config_file file(shown(p.config).c_str());
    const parsed again = parse({ "--config", file.path });
    CHECK(again.message == "");
    REQUIRE(again.result == ASX_CONFIG_OK);
    CHECK(again.config.listen.count == 2);
    CHECK(std::string(again.config.root) == "/a \"b\\c");
    CHECK(std::string(again.config.access_log) == "77");
    CHECK(again.config.cores.count == 1);
    CHECK(again.config.body_bytes_max == 12345);
    CHECK(again.config.accept_rate == 7);
    CHECK(again.config.seed == UINT64_MAX);
}

static void keep(void *arg, const char *line)
{
    static_cast<std::vector<std::string> *>(arg)->push_back(line);
}

TEST_CASE("config: a reload takes over what may change, and names the rest", "[engine]")
{
    std::vector<std::string> lines;
    parsed now = parse({ "--access-log", "/a" });
    const parsed same = parse({ "--access-log", "/a" });
    CHECK_FALSE(asx_reload_merge(&now.config, &same.config, keep, &lines));
    CHECK(lines.empty());
    const parsed next = parse({ "--access-log", "/b", "--max-per-ip", "5", "--shards", "3",
                                "--listen", "127.0.0.1:9", "--drain-timeout", "3s" });
    CHECK(asx_reload_merge(&now.config, &next.config, keep, &lines));
    const std::vector<std::string> want = {
        "settings: access-log is /b now, it was /a",
        "settings: max-per-ip is 5 now, it was 0",
        "settings: drain-timeout is 3s now, it was 10s",
        "settings: listen, shards would change at a restart",
    };
    CHECK(lines == want);
    CHECK(now.config.per_ip_max == 5);
    CHECK(now.config.shards == 0);
    CHECK(line_of(now.config, "max-per-ip").find("# --max-per-ip") != std::string::npos);
    lines.clear();
    const parsed none = parse({ "--max-per-ip", "5", "--drain-timeout", "3s" });
    CHECK_FALSE(asx_reload_merge(&now.config, &none.config, keep, &lines));
    REQUIRE(lines.size() == 1); /* a log cannot begin or end without its task */
    CHECK(lines[0] == "settings: access-log would change at a restart");
}

TEST_CASE("config: every setting but those that shards are made of can change", "[engine]")
{
    const std::vector<std::string> cold = { "listen", "admin",  "root", "shards",
                                            "cores",  "driver", "seed" };
    const std::string all = shown(parse({}).config);
    size_t changed = 0, told = 0;
    for (size_t at = 0; at < all.size(); at = all.find('\n', at) + 1) {
        const size_t from = all.compare(at, 2, "# ") == 0 ? at + 2 : at;
        const std::string name = all.substr(from, all.find(' ', from) - from);
        const char *const value = name == "listen" || name == "admin"      ? "127.0.0.1:7"
                                  : name == "driver"                       ? "epoll"
                                  : name == "root" || name == "access-log" ? "/x"
                                  : name.find("timeout") != std::string::npos ||
                                          name.find("grace") != std::string::npos ||
                                          name.find("delay") != std::string::npos
                                      ? "7s"
                                      : "7";
        parsed now = parse({});
        if (name == "access-log") {
            now = parse({ "--access-log", "/y" });
        }
        const parsed next = parse({ "--" + name, value });
        std::vector<std::string> lines;
        CAPTURE(name, next.message);
        REQUIRE(next.result == ASX_CONFIG_OK);
        const bool is_cold = std::find(cold.begin(), cold.end(), name) != cold.end();
        CHECK(asx_reload_merge(&now.config, &next.config, keep, &lines) == !is_cold);
        CHECK(lines.size() == 1);
        (is_cold ? told : changed)++;
    }
    CHECK(told == cold.size());
    CHECK(changed == 15);
}
