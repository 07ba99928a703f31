/* At stake: the list of choices is the run. What is recorded must be what was answered, and what is
 * forced must be answered, or the run must end. */
#include <asx/lab/choice.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace
{

struct lab_choices {
    asx_lab_rand rand;
    asx_lab_choices *choices;

    explicit lab_choices(const asx_lab_choices_config &config, uint64_t seed = 42)
    {
        asx_lab_rand_init(&rand, seed, seed, 0);
        choices = asx_lab_choices_create(&config, &rand);
    }
    ~lab_choices()
    {
        asx_lab_choices_destroy(choices);
    }
    uint32_t ask(uint32_t n, uint32_t site = ASX_CHOICE_SHARD, uint64_t object = 0)
    {
        return asx_lab_choose(choices, site, n, object, nullptr);
    }
    std::vector<asx_lab_choice> rows() const
    {
        uint32_t count;
        const asx_lab_choice *first = asx_lab_choices_rows(choices, &count);
        return std::vector<asx_lab_choice>(first, first + count);
    }
    asx_lab_misfit misfit(uint64_t *index) const
    {
        asx_lab_choice expected, actual;
        return asx_lab_choices_misfit(choices, index, &expected, &actual);
    }
};

asx_lab_choices_config of_source(asx_lab_source source)
{
    asx_lab_choices_config config{};
    config.source = source;
    return config;
}

asx_lab_choices_config of_list(asx_lab_source source, const std::vector<asx_lab_choice> &list)
{
    asx_lab_choices_config config = of_source(source);
    config.list = list.data();
    config.list_len = list.size();
    return config;
}

} // namespace

TEST_CASE("choice: without a source everything is what production does, and is recorded", "[lab]")
{
    lab_choices run(of_source(ASX_LAB_SOURCE_DEFAULT));
    CHECK(run.ask(3) == 0);
    CHECK(run.ask(1) == 0);
    CHECK(run.ask(2, ASX_CHOICE_RINGVIS, 7) == 0);
    const auto rows = run.rows();
    REQUIRE(rows.size() == 2); /* between one there is nothing to choose */
    CHECK(rows[0].n == 3);
    CHECK(rows[1].site == ASX_CHOICE_RINGVIS);
    CHECK(rows[1].object == 7);
    CHECK(asx_lab_choices_count(run.choices) == 2);
}

TEST_CASE("choice: the random source is the stream of the schedule", "[lab]")
{
    lab_choices run(of_source(ASX_LAB_SOURCE_RANDOM));
    asx_lab_rand rand;
    asx_lab_rand_init(&rand, 42, 42, 0);
    for (int i = 0; i < 100; i++) {
        const uint32_t n = 2 + uint32_t(i % 7);
        CHECK(run.ask(n) == asx_prng_below(&rand.prng[ASX_LAB_SCHED], n));
        CHECK(run.ask(1) == 0); /* draws nothing */
    }
}

TEST_CASE("choice: a forced list is followed, and its first misfit ends the run", "[lab]")
{
    const std::vector<asx_lab_choice> list = { { ASX_CHOICE_SHARD, 3, 2, 0, 0 },
                                               { ASX_CHOICE_READY, 4, 1, 0, 9 } };
    SECTION("all of it")
    {
        lab_choices run(of_list(ASX_LAB_SOURCE_FORCED, list));
        CHECK(run.ask(3) == 2);
        CHECK(asx_lab_choices_left(run.choices) == 1);
        CHECK(run.ask(4, ASX_CHOICE_READY, 9) == 1);
        CHECK_FALSE(asx_lab_choices_stopped(run.choices));
        CHECK(run.ask(2) == 0); /* beyond its end */
        CHECK(asx_lab_choices_stopped(run.choices));
        uint64_t index;
        CHECK(run.misfit(&index) == ASX_LAB_MISFIT_EXHAUSTED);
        CHECK(index == 2);
        CHECK(run.rows().size() == 2);
    }
    SECTION("another question, number or object")
    {
        const struct {
            uint32_t n, site;
            uint64_t object;
            asx_lab_misfit why;
        } cases[] = { { 4, ASX_CHOICE_RACE, 9, ASX_LAB_MISFIT_SITE },
                      { 5, ASX_CHOICE_READY, 9, ASX_LAB_MISFIT_N },
                      { 4, ASX_CHOICE_READY, 8, ASX_LAB_MISFIT_OBJECT } };
        for (const auto &each : cases) {
            lab_choices run(of_list(ASX_LAB_SOURCE_FORCED, list));
            CHECK(run.ask(3) == 2);
            CHECK(run.ask(each.n, each.site, each.object) == 0);
            uint64_t index;
            CHECK(run.misfit(&index) == each.why);
            CHECK(index == 1);
            CHECK(asx_lab_choices_stopped(run.choices));
        }
    }
}

TEST_CASE("choice: a lenient list becomes 0 where it does not fit, and goes on", "[lab]")
{
    const std::vector<asx_lab_choice> list = { { ASX_CHOICE_SHARD, 9, 5, 0, 0 },
                                               { ASX_CHOICE_SHARD, 9, 1, 0, 0 } };
    lab_choices run(of_list(ASX_LAB_SOURCE_LENIENT, list));
    CHECK(run.ask(3) == 0);
    CHECK(run.ask(3) == 1);
    CHECK(run.ask(3) == 0);
    CHECK_FALSE(asx_lab_choices_stopped(run.choices));
    uint64_t index = 99;
    CHECK(run.misfit(&index) == ASX_LAB_MISFIT_N);
    CHECK(index == 0);
    const auto rows = run.rows();
    CHECK((rows[0].flags & ASX_LAB_CHOICE_CLAMPED) != 0);
    CHECK(rows[1].flags == 0);
}

TEST_CASE("choice: bytes are scaled, never divided, and run out into production's choices", "[lab]")
{
    const uint8_t bytes[] = { 0, 255, 128, 0x80, 0x00, 77 };
    asx_lab_choices_config config = of_source(ASX_LAB_SOURCE_BYTES);
    config.bytes = bytes;
    config.bytes_len = sizeof(bytes);
    lab_choices run(config);
    CHECK(run.ask(3) == 0);
    CHECK(run.ask(3) == 2);
    CHECK(run.ask(2) == 1);
    CHECK(run.ask(1000) == 500);
    CHECK(run.ask(1000) == 0); /* one byte is left, and is too little */
    CHECK(run.ask(2) == 0);
}

TEST_CASE("choice: a plug-in is told where the run stands", "[lab]")
{
    struct told {
        std::vector<uint64_t> indices;
        std::vector<uint32_t> shards;
    } seen;
    asx_lab_choices_config config = of_source(ASX_LAB_SOURCE_PLUGIN);
    config.pick_self = &seen;
    config.pick = [](void *self, uint32_t, uint32_t n, uint64_t,
                     const asx_lab_pick_info *info) -> uint32_t {
        told *const to = static_cast<told *>(self);
        to->indices.push_back(info->index);
        if (info->shards) {
            to->shards.assign(info->shards, info->shards + n);
        }
        return n - 1;
    };
    lab_choices run(config);
    const uint32_t shards[] = { 4, 7, 1 };
    asx_lab_pick_info info{};
    info.shards = shards;
    CHECK(asx_lab_choose(run.choices, ASX_CHOICE_SHARD, 3, 0, &info) == 2);
    CHECK(run.ask(2, ASX_CHOICE_RACE) == 1);
    CHECK(seen.indices == std::vector<uint64_t>{ 0, 1 });
    CHECK(seen.shards == std::vector<uint32_t>{ 4, 7, 1 });
}

TEST_CASE("choice: a full list stops the run, forgets its oldest half, or records no more", "[lab]")
{
    asx_lab_choices_config config = of_source(ASX_LAB_SOURCE_DEFAULT);
    config.rows_max = 8;
    SECTION("stop")
    {
        lab_choices run(config);
        for (uint64_t i = 0; i < 9; i++) {
            CHECK_FALSE(asx_lab_choices_stopped(run.choices));
            run.ask(2, ASX_CHOICE_READY, i);
        }
        CHECK(asx_lab_choices_stopped(run.choices));
        CHECK(run.rows().size() == 8);
    }
    SECTION("drop")
    {
        config.full = ASX_LAB_FULL_DROP;
        lab_choices run(config);
        for (uint64_t i = 0; i < 9; i++) {
            run.ask(2, ASX_CHOICE_READY, i);
        }
        CHECK(run.rows().size() == 5);
        CHECK(run.rows().front().object == 4);
        CHECK(run.rows().back().object == 8);
    }
    SECTION("unrecorded")
    {
        config.full = ASX_LAB_FULL_UNRECORDED;
        lab_choices run(config);
        for (uint64_t i = 0; i < 20; i++) {
            run.ask(2, ASX_CHOICE_READY, i);
        }
        CHECK(run.rows().size() == 8);
        CHECK(asx_lab_choices_count(run.choices) == 20);
        CHECK_FALSE(asx_lab_choices_stopped(run.choices));
    }
}

TEST_CASE("choice: every site has a name", "[lab]")
{
    for (uint32_t site = 1; site < ASX_CHOICE_SITE_COUNT; site++) {
        CHECK(std::string(asx_choice_site_name(site)) != "?");
    }
    CHECK(std::string(asx_choice_site_name(ASX_CHOICE_SITE_COUNT)) == "?");
}
