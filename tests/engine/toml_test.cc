/* At stake: a document means what TOML says, or is refused at the right place; whatever bytes come
 * in, the reader stops and says where. */
#include <asx/engine/toml.h>
#include <asx/shard/base/prng.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

namespace
{

/* Each event as a line: "3:7 [t] key = value", and an error as "!3:7 why". */
std::vector<std::string> read(const std::string &text)
{
    static const char kinds[] = { 's', 'i', 'f', 'b' };
    auto toml = std::make_unique<asx_toml>();
    std::vector<std::string> lines;
    asx_toml_event event;
    asx_toml_init(toml.get(), text.data(), text.size());
    do {
        event = asx_toml_next(toml.get());
        const std::string at =
            std::to_string(toml->at.line) + ":" + std::to_string(toml->at.column) + " ";
        const std::string key = std::string(toml->table) + "." + toml->key;
        switch (event) {
        case ASX_TOML_END:
            break;
        case ASX_TOML_ERROR:
            lines.push_back("!" + at + toml->message);
            break;
        case ASX_TOML_TABLE:
            lines.push_back(at + "[" + toml->table + "]");
            break;
        case ASX_TOML_ARRAY_TABLE:
            lines.push_back(at + "[[" + toml->table + "]]");
            break;
        case ASX_TOML_EMPTY_ARRAY:
            lines.push_back(at + key + " = []");
            break;
        case ASX_TOML_VALUE:
            lines.push_back(at + key +
                            (toml->in_array ? "[" + std::to_string(toml->index) + "]" : "") +
                            " = " + kinds[toml->kind] + std::string(toml->text, toml->text_len));
            break;
        }
        REQUIRE(lines.size() <= text.size() + 1);
    } while (event != ASX_TOML_END && event != ASX_TOML_ERROR);
    CHECK(asx_toml_next(toml.get()) == event); /* and stays there */
    return lines;
}

/* Of a document of one value. */
std::string value_of(const std::string &text)
{
    const std::vector<std::string> lines = read("k = " + text + "\n");
    REQUIRE(lines.size() == 1);
    const size_t mark = lines[0].find(" = ");
    return lines[0][0] == '!' ? "!" : mark == std::string::npos ? "?" : lines[0].substr(mark + 3);
}

} // namespace

TEST_CASE("toml: tables, keys and arrays, each with its place", "[engine]")
{
    const std::vector<std::string> want = {
        "2:7 .top = i1",         "3:5 t.k = bfalse",   "5:3 [limits]",       "6:5 limits.a = sx",
        "7:7 limits.b c = f1.5", "8:3 [[host]]",       "9:6 host.l[0] = s1", "10:2 host.l[1] = s2",
        "12:1 host.none = []",   "13:13 host.ab = sz",
    };
    CHECK(
        read("# comment\r\n top= 1 # one\nt.k=false\n\n[ limits ]\na = 'x'\n\"b c\"=1.5\n[[host]]\n"
             "l = [\"1\", # first\n \"2\",\n]\nnone = [ ]\n\"\\u0061b\" = \"z\"") == want);
    CHECK(read("").empty());
    CHECK(read("\n\r\n  # only this").empty());
}

TEST_CASE("toml: the values of TOML, in each of their spellings", "[engine]")
{
    const struct {
        const char *text, *value;
    } rows[] = {
        { "0", "i0" },
        { "-0", "i0" },
        { "+99", "i99" },
        { "1_000", "i1000" },
        { "0xdead_BEEF", "i3735928559" },
        { "0o755", "i493" },
        { "0b1101", "i13" },
        { "9223372036854775807", "i9223372036854775807" },
        { "-9223372036854775808", "i-9223372036854775808" },
        { "18446744073709551615", "i18446744073709551615" },
        { "1.0", "f1.0" },
        { "-3.14e-2", "f-3.14e-2" },
        { "5e+22", "f5e+22" },
        { "9_1.5_0", "f91.50" },
        { "inf", "finf" },
        { "-nan", "f-nan" },
        { "true", "btrue" },
        { "\"\"", "s" },
        { "\"a\\tb\\n\\\"\\\\\"", "sa\tb\n\"\\" },
        { "\"\\u00e9\\U0001F600\"", "s\u00e9\U0001F600" },
        { "'C:\\n # \"x\"'", "sC:\\n # \"x\"" },
        { "\"it's\"", "sit's" },
        /* and what is none */
        { "", "!" },
        { "01", "!" },
        { "1__0", "!" },
        { "_1", "!" },
        { "1_", "!" },
        { "+0x1", "!" },
        { "0x", "!" },
        { "0xg", "!" },
        { "0b2", "!" },
        { "18446744073709551616", "!" },
        { "-9223372036854775809", "!" },
        { "1.", "!" },
        { ".5", "!" },
        { "1.e5", "!" },
        { "01.5", "!" },
        { "1e", "!" },
        { "+-1", "!" },
        { "True", "!" },
        { "10s", "!" },
        { "1979-05-27", "!" },
        { "07:32:00", "!" },
        { "{ a = 1 }", "!" },
        { "[[1]]", "!" },
        { "[1 2]", "!" },
        { "[,]", "!" },
        { "\"", "!" },
        { "\"a", "!" },
        { "'a\n'", "!" },
        { "\"\"\"a\"\"\"", "!" },
        { "\"\\x41\"", "!" },
        { "\"\\u00\"", "!" },
        { "\"\\ud800\"", "!" },
        { "\"\\U00110000\"", "!" },
        { "1 2", "!" },
        { "\"a\" b", "!" },
    };
    for (const auto &row : rows) {
        CAPTURE(row.text);
        if (std::string(row.text).front() == '[' && std::string(row.value) == "!") {
            CHECK(read(std::string("k = ") + row.text).back()[0] == '!');
        } else {
            CHECK(value_of(row.text) == row.value);
        }
    }
}

TEST_CASE("toml: what is wrong is told where it stands", "[engine]")
{
    const struct {
        const char *text, *error;
    } rows[] = {
        { "a = 1\nb = 10s\n", "!2:5 '10s' is no value; text stands in quotes: \"10s\"" },
        { "a = 1 b = 2", "!1:7 nothing but a comment may stand behind a value" },
        { "a = \"\u00e9\u00e9\" x", "!1:10 nothing but a comment may stand behind a value" },
        { "= 1", "!1:1 'name = value' or '[table]' is wanted" },
        { "name", "!1:5 '=' is wanted behind a name" },
        { "name 1", "!1:6 '=' is wanted behind a name" },
        { "[t\nk = 1", "!1:3 ']' is wanted behind a table's name" },
        { "[[t]\n", "!1:4 ']]' is wanted behind a table's name" },
        { "[a.b]\n", "!1:3 there are no tables in tables here" },
        { "a.b.c = 1", "!1:4 '=' is wanted behind a name" },
        { "[t]\na.b = 1", "!2:2 there are no tables in tables here" },
        { "a = [\n 1,\n 2\n", "!4:1 ',' or ']' is wanted behind a value of an array" },
        { "a = 'x\ty'\nb = 'x\1y'\n", "!2:7 a control character (0x01)" },
        { "# ok\n# \xff\n", "!2:3 this is not UTF-8" },
        { "# \xed\xa0\x80", "!1:3 this is not UTF-8" },
        { "# \xc0\xaf", "!1:3 this is not UTF-8" },
        { "# a\rb", "!1:4 a control character (0x0d)" },
        { "a = \"\\q\"", "!1:6 an escape that is none of \\b \\t \\n \\f \\r \\\" \\\\ \\u \\U; "
                         "in '...' there are none" },
    };
    for (const auto &row : rows) {
        CAPTURE(row.text);
        CHECK(read(row.text).back() == row.error);
    }
    CHECK(read(std::string("a = '") + std::string(2047, 'x') + "'").size() == 1);
    CHECK(read(std::string("a = '") + std::string(2048, 'x') + "'").back() ==
          "!1:5 a string of more than 2047 bytes");
    CHECK(read(std::string(64, 'k') + " = 1").back() == "!1:1 a name of more than 63 bytes");
    CHECK(read(std::string("a = \0", 5)).back() == "!1:5 a control character (0x00)");
}

TEST_CASE("toml: whatever bytes come, the reader ends inside of them", "[engine]")
{
    const std::string parts[] = {
        "[",    "]",        "[[t]]\n", "a", ".",   "=",     " = ",   "\"",   "'",  "\\u",
        "00e9", "\n",       "\r\n",    "#", ",",   "1_0",   "0x",    "1.5",  "e9", "true",
        "\t",   "\xc3\xa9", "\xff",    "-", "inf", "a=1\n", "[t]\n", "k = ["
    };
    asx_prng prng;
    asx_prng_init(&prng, 11);
    unsigned good = 0;
    for (int i = 0; i < 30000; i++) {
        std::string text;
        for (uint64_t n = asx_prng_below(&prng, 12); n > 0; n--) {
            text += parts[asx_prng_below(&prng, sizeof(parts) / sizeof(parts[0]))];
        }
        const std::string copy(text); /* of exactly its size, for sanitizers */
        const std::vector<std::string> lines = read(copy);
        good += lines.empty() || lines.back()[0] != '!';
        if (!lines.empty() && lines.back()[0] == '!') {
            const unsigned long line = std::stoul(lines.back().substr(1));
            REQUIRE(line >= 1);
            REQUIRE(line <= 1 + (unsigned long)std::count(text.begin(), text.end(), '\n'));
        }
    }
    CHECK(good > 1000);
}
