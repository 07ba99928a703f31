/* At stake: a record that is encoded or hashed differently makes every recorded run a lie, and a
 * footprint that misses an access makes the explorer skip schedules it should have tried. */
#include <asx/lab/footprint.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

namespace
{

const uint64_t T1 = 0x0000000100000000, R1 = 0x0000000100000000, T2 = 0x0000000200000000;

asx_lab_event event_of(asx_trace_kind kind, const std::vector<uint64_t> &words)
{
    asx_lab_event event;
    asx_lab_event_init(&event, 0, kind, words.data(), uint32_t(words.size()));
    return event;
}

std::string hex(const asx_lab_event &event)
{
    std::string text;
    for (size_t i = 0; i < asx_lab_event_size(&event); i++) {
        char two[3];
        snprintf(two, sizeof(two), "%02x", reinterpret_cast<const unsigned char *>(&event)[i]);
        text += two;
    }
    return text;
}

} // namespace

TEST_CASE("event: FNV-1a gives its known answers, by bytes and by words", "[lab]")
{
    CHECK(asx_fnv64(ASX_FNV64_EMPTY, "", 0) == 0xcbf29ce484222325);
    CHECK(asx_fnv64(ASX_FNV64_EMPTY, "a", 1) == 0xaf63dc4c8601ec8c);
    CHECK(asx_fnv64(ASX_FNV64_EMPTY, "foobar", 6) == 0x85944171f73967e8);
    const uint64_t words[] = { 0,
                               1,
                               0x100,
                               0xff00ff00ff00ff00,
                               UINT64_MAX,
                               uint64_t(1) << 63,
                               0x0102030405060708,
                               0x00ff000000000000 };
    CHECK(asx_fnv64_words(ASX_FNV64_EMPTY, words, 8) ==
          asx_fnv64(ASX_FNV64_EMPTY, words, sizeof(words)));
}

TEST_CASE("event: the record of the specification, byte by byte, and its chain", "[lab]")
{
    asx_lab_event spawn = event_of(ASX_TRACE_TASK_SPAWN, { T1, R1 });
    spawn.lamport = 1;
    CHECK(asx_lab_event_size(&spawn) == 48);
    CHECK(hex(spawn) == "010001000000100000000000000000000000000000000000"
                        "010000000000000000000000010000000000000001000000");
    asx_lab_event complete = event_of(ASX_TRACE_TASK_COMPLETE, { T1, R1, 0 });
    complete.seq = 1;
    complete.vtime_ns = 1000;
    complete.lamport = 2;
    CHECK(hex(complete) == "06000100000018000100000000000000e8030000000000000200000000000000"
                           "000000000100000000000000010000000000000000000000");
    const uint64_t first = asx_lab_event_chain(ASX_FNV64_EMPTY, &spawn);
    CHECK(first == 0x02c24cb4a155772c);
    CHECK(asx_lab_event_chain(first, &complete) == 0x4194cd9579290d85);
}

TEST_CASE("event: every kind survives its encoding; a cut record is none", "[lab]")
{
    for (unsigned kind = 1; kind < ASX_TRACE_KIND_END; kind++) {
        const uint64_t words[ASX_LAB_EVENT_WORDS_MAX] = { 1, 2, 3, 4, 5, 6, 7, 8 };
        uint32_t count = 0;
        asx_lab_event event, back;
        do { /* as many words as the kind asks for */
            REQUIRE(count <= ASX_LAB_EVENT_WORDS_MAX);
            asx_lab_event_init(&event, 3, asx_trace_kind(kind), words, count++);
        } while (!asx_lab_event_valid(&event));
        const size_t size = asx_lab_event_size(&event);
        CHECK(asx_lab_event_decode(&event, size, &back) == size);
        CHECK(memcmp(&event, &back, size) == 0);
        for (size_t cut = 0; cut < size; cut++) {
            CHECK(asx_lab_event_decode(&event, cut, &back) == 0);
        }
        CHECK(std::string(asx_trace_kind_name(kind)) != "?");
    }
    CHECK(ASX_TRACE_KIND_END == 75);
    CHECK(std::string(asx_trace_kind_name(75)) == "?");
}

TEST_CASE("event: a person can read one", "[lab]")
{
    char buf[200];
    const asx_lab_event block =
        event_of(ASX_TRACE_TASK_BLOCK, { uint64_t(2) << 56 | uint64_t(7) << 32 | 1, R1, 4, 0 });
    CHECK(std::string(asx_lab_event_text(&block, buf, sizeof(buf))) ==
          "5 task_block T=2.7.1 R=0.1.0 wait=4 object=0");
    CHECK(std::string(asx_lab_event_text(&block, buf, 9)) == "5 task_b");
}

TEST_CASE("footprint: tasks of one region meet only where one of them writes", "[lab]")
{
    const asx_lab_event spawn1 = event_of(ASX_TRACE_TASK_SPAWN, { T1, R1 });
    const asx_lab_event spawn2 = event_of(ASX_TRACE_TASK_SPAWN, { T2, R1 });
    const asx_lab_event close = event_of(ASX_TRACE_REGION_CLOSE_BEGIN, { R1, 0 });
    const asx_lab_event reserve = event_of(ASX_TRACE_OBL_RESERVE, { 9, T1, R1, 0 });
    CHECK_FALSE(asx_lab_event_conflict(&spawn1, &spawn2));
    CHECK(asx_lab_event_conflict(&spawn1, &close));
    CHECK(asx_lab_event_conflict(&spawn1, &reserve));
    CHECK_FALSE(asx_lab_event_conflict(&spawn2, &reserve));
    const asx_lab_event mark = event_of(ASX_TRACE_USER_MARK, { T1, 1, 2 });
    CHECK_FALSE(asx_lab_event_conflict(&mark, &spawn1));
}

TEST_CASE("footprint: a message is popped after its push, and edges are seen by both ends", "[lab]")
{
    const asx_lab_event push5 = event_of(ASX_TRACE_RING_PUSH, { 1, 5, 0, 0 });
    const asx_lab_event push6 = event_of(ASX_TRACE_RING_PUSH, { 1, 6, 0, 0 });
    const asx_lab_event pop5 = event_of(ASX_TRACE_RING_POP, { 1, 5, 0, 0 });
    const asx_lab_event other = event_of(ASX_TRACE_RING_POP, { 2, 6, 0, 1 });
    const asx_lab_event empty = event_of(ASX_TRACE_RING_EMPTY, { 1 });
    const asx_lab_event first = event_of(ASX_TRACE_RING_PUSH, { 1, 6, 0, 1 });
    CHECK(asx_lab_event_conflict(&push5, &pop5));
    CHECK_FALSE(asx_lab_event_conflict(&push6, &pop5));
    CHECK_FALSE(asx_lab_event_conflict(&push6, &other));
    CHECK_FALSE(asx_lab_event_conflict(&push6, &empty));
    CHECK(asx_lab_event_conflict(&first, &empty));
}

TEST_CASE("footprint: what is not known depends on everything", "[lab]")
{
    asx_lab_event unknown = event_of(ASX_TRACE_USER_MARK, { T1, 1, 2 });
    unknown.kind = 999;
    const asx_lab_event malformed = event_of(ASX_TRACE_TASK_SPAWN, { T1 });
    const asx_lab_event mem = event_of(ASX_TRACE_MEM_FAIL, { 1, 2 });
    const asx_lab_event spawn = event_of(ASX_TRACE_TASK_SPAWN, { T2, R1 });
    const asx_lab_event check = event_of(ASX_TRACE_CHECKPOINT, { 1, 2, 3, 4 });
    for (const asx_lab_event *each : { (const asx_lab_event *)&unknown, &malformed, &mem }) {
        CHECK(asx_lab_event_conflict(each, &spawn));
        CHECK(asx_lab_event_conflict(&check, each));
    }
    CHECK_FALSE(asx_lab_event_conflict(&check, &check));
}

TEST_CASE("footprint: symmetric over every pair of kinds, and only pure marks touch nothing",
          "[lab]")
{
    std::vector<asx_lab_event> all;
    for (unsigned kind = 1; kind < ASX_TRACE_KIND_END; kind++) {
        for (uint32_t count = 1; count <= ASX_LAB_EVENT_WORDS_MAX; count++) {
            const std::vector<uint64_t> words(count, kind % 3 + 1);
            const asx_lab_event event = event_of(asx_trace_kind(kind), words);
            if (asx_lab_event_valid(&event)) {
                all.push_back(event);
                asx_lab_footprint footprint;
                asx_lab_event_footprint(&event, &footprint);
                const bool pure = kind == ASX_TRACE_USER_MARK || kind == ASX_TRACE_CHOICE ||
                                  kind == ASX_TRACE_LOG_OVERFLOW;
                CHECK((footprint.count == 0) == pure);
            }
        }
    }
    for (const asx_lab_event &a : all) {
        for (const asx_lab_event &b : all) {
            CHECK(asx_lab_event_conflict(&a, &b) == asx_lab_event_conflict(&b, &a));
        }
    }
}
