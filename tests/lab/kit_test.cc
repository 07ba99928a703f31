/* At stake: what a user of the lab sees first. The kit is driven as its users drive it: a program,
 * a configuration, and whatever is printed about a run that fails. */
#include <asx/lab/kit_catch.h>
#include <asx/shard/limb.h>

#include "lab_fixture.h"

#include <cstdlib>
#include <cstring>
#include <unistd.h>

namespace
{

struct tally {
    int value;
    bool fixed;
};

asx_outcome adds(asx_cx *cx, void *arg)
{
    tally *const t = *static_cast<tally **>(arg);
    const int read = t->value;
    if (t->fixed) {
        t->value++;
        return asx_yield(cx);
    }
    ASX_TRY(asx_yield(cx));
    t->value = read + 1;
    return asx_ok(0);
}

asx_outcome tallies(asx_cx *cx, void *arg)
{
    tally *t = static_cast<tally *>(arg);
    asx_handle limbs[2];
    for (uint32_t i = 0; i < 2; i++) {
        ASX_LAB_CHECK(asx_spawn_on(cx, 1 + i, adds, &t, sizeof(t), nullptr, &limbs[i]) == ASX_OK);
        ASX_TRY(asx_yield(cx)); /* left alone, the first is done by the time the second reads */
        ASX_TRY(asx_yield(cx));
    }
    for (const asx_handle limb : limbs) {
        ASX_TRY(asx_join_limb(cx, limb));
    }
    ASX_LAB_CHECK_EQ(t->value, 2);
    return asx_ok(0);
}

asx_lab_test test_of(tally *t)
{
    asx_lab_test test{};
    test.name = "tally";
    test.config = of_shards(3);
    test.app = tallies;
    test.arg = t;
    test.reset = [](void *arg) { static_cast<tally *>(arg)->value = 0; };
    test.runs = 200;
    test.command = "./this";
    return test;
}

std::string explored(const asx_lab_test &test, bool expected)
{
    bool passed = !expected;
    const std::string text = asx_lab_explored_text(test, &passed);
    INFO(text);
    CHECK(passed == expected);
    return text;
}

bool has(const std::string &text, const char *part)
{
    return text.find(part) != std::string::npos;
}

struct folder {
    char path[32] = "/tmp/asx-kit-XXXXXX";
    std::string pack;
    folder()
    {
        REQUIRE(mkdtemp(path) != nullptr);
    }
    ~folder()
    {
        unlink(pack.c_str());
        rmdir(path);
    }
    folder(const folder &) = delete;
};

} // namespace

TEST_CASE("kit: a test that holds passes, and says nothing", "[kit]")
{
    tally t{ 0, true };
    const char *const strategy = GENERATE("random", "pct", "pos", "dpor");
    asx_lab_test test = test_of(&t);
    test.strategy = strategy;
    CHECK(explored(test, true).empty());
    ASX_LAB_REQUIRE(test);
}

TEST_CASE("kit: a failure is named, shrunk, told, and has a line that repeats it", "[kit]")
{
    tally t{};
    const char *const strategy = GENERATE("random", "pct", "pos", "dpor");
    asx_lab_test test = test_of(&t);
    test.strategy = strategy;
    const std::string text = explored(test, false);
    CHECK(has(text, "tally fails: "));
    CHECK(has(text, "kit_test.cc"));
    CHECK(has(text, "t->value is 1, not 2"));
    CHECK(has(text, "  shrunk     "));
    CHECK(has(text, "The calmest failing run"));
    CHECK(has(text, "  again      ASX_LAB_SEED="));
    CHECK(has(text, " ./this\n"));
    CHECK(text == explored(test, false));
}

TEST_CASE("kit: as in production, the same test passes", "[kit]")
{
    tally t{};
    asx_lab_test test = test_of(&t);
    test.config.mode = ASX_LAB_DEFAULT;
    CHECK(asx_lab_test_run(&test));
}

TEST_CASE("kit: the environment asks for one seed", "[kit]")
{
    tally t{};
    const asx_lab_test test = test_of(&t);
    std::string text = explored(test, false);
    const size_t at = text.find("seed ") + 5;
    const std::string seed = text.substr(at, text.find('\n', at) - at);
    REQUIRE(setenv("ASX_LAB_SEED", seed.c_str(), 1) == 0);
    text = explored(test, false);
    REQUIRE(unsetenv("ASX_LAB_SEED") == 0);
    CHECK(has(text, ("seed       " + seed + "\n").c_str()));
    CHECK(has(text, "t->value is 1, not 2"));
}

TEST_CASE("kit: the environment asks for a pack, which fails again, in words", "[kit]")
{
    tally t{};
    folder dir;
    asx_lab_test test = test_of(&t);
    test.packs = dir.path;
    const std::string text = explored(test, false);
    const size_t at = text.find("ASX_LAB_REPLAY=");
    REQUIRE(at != std::string::npos);
    dir.pack = text.substr(at + 15, text.find(' ', at) - at - 15);
    REQUIRE(setenv("ASX_LAB_REPLAY", dir.pack.c_str(), 1) == 0);
    const std::string again = explored(test, false);
    asx_lab_test other = test;
    other.name = "another";
    const std::string others = explored(other, false);
    REQUIRE(unsetenv("ASX_LAB_REPLAY") == 0);
    CHECK(has(again, "the same failure, to the last event"));
    CHECK(has(again, "shard 1: "));
    CHECK_FALSE(has(others, "the same failure"));
    t.fixed = true; /* the program is another now */
    test.out = tmpfile();
    REQUIRE(test.out != nullptr);
    CHECK_FALSE(asx_lab_test_replay(&test, dir.pack.c_str()));
    fclose(test.out);
}
