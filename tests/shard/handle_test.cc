/* Handles: at stake is that none ever reaches the object that later reuses its slot. */
#include <asx/shard/handle.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

namespace
{
struct record {
    asx_slot slot;
    uint64_t body[3];
};

struct fixture {
    asx_chunk_source source;
    asx_handle_table table;
    explicit fixture(uint32_t count_max, size_t size = sizeof(record))
    {
        const asx_chunk_config config = { 0, -1 };
        asx_chunk_source_init(&source, &config);
        asx_handle_table_init(&table, ASX_HANDLE_TASK, 7, size, &source, count_max);
    }
    ~fixture()
    {
        uint32_t cursor = 0;
        while (void *const live = asx_handle_next_live(&table, &cursor)) {
            asx_handle_free(&table, live);
        }
        asx_handle_table_deinit(&table);
        asx_chunk_source_deinit(&source);
    }
};
} // namespace

TEST_CASE("handle: a lookup checks kind, shard, index, occupied, generation", "[shard][handle]")
{
    fixture f(100);
    asx_handle handle;
    void *const made = asx_handle_alloc(&f.table, &handle);
    REQUIRE(made != nullptr);
    CHECK(handle.generation == 1);
    void *found = nullptr;
    REQUIRE(asx_handle_lookup(&f.table, handle, &found) == ASX_OK);
    CHECK(found == made);
    CHECK(asx_handle_eq(asx_handle_of(made), handle));

    asx_handle wrong = handle;
    wrong.kind = ASX_HANDLE_REGION;
    wrong.shard = 8;
    wrong.index = 99;
    wrong.generation = 5;
    CHECK(asx_handle_lookup(&f.table, wrong, &found) == ASX_E(WRONG_KIND));
    wrong.kind = ASX_HANDLE_TASK;
    CHECK(asx_handle_lookup(&f.table, wrong, &found) == ASX_E(WRONG_SHARD));
    wrong.shard = 7;
    CHECK(asx_handle_lookup(&f.table, wrong, &found) == ASX_E(STALE));
    wrong.index = 0;
    CHECK(asx_handle_lookup(&f.table, wrong, &found) == ASX_E(STALE));
    const asx_handle null = {};
    CHECK(asx_handle_lookup(&f.table, null, &found) == ASX_E(WRONG_KIND));

    asx_handle_free(&f.table, made);
    CHECK(asx_handle_lookup(&f.table, handle, &found) == ASX_E(STALE));
    asx_handle next = handle;
    next.generation++;
    CHECK(asx_handle_lookup(&f.table, next, &found) == ASX_E(STALE));
    next.index |= ASX_SLOT_FREE; /* word for word what stands in the free slot */
    CHECK(asx_handle_lookup(&f.table, next, &found) == ASX_E(STALE));
    asx_handle again;
    CHECK(asx_handle_alloc(&f.table, &again) == made);
    CHECK(again.generation == 2);
    CHECK(asx_handle_lookup(&f.table, handle, &found) == ASX_E(STALE));
}

TEST_CASE("handle: records are reused last freed first, and never move", "[shard][handle]")
{
    fixture f(5000, 200);
    std::vector<void *> made;
    for (int i = 0; i < 5000; i++) {
        made.push_back(asx_handle_alloc(&f.table, nullptr));
        REQUIRE(made.back() != nullptr);
        memset(static_cast<char *>(made.back()) + sizeof(asx_slot), i, 200 - sizeof(asx_slot));
    }
    for (uint32_t i = 0; i < 5000; i++) {
        REQUIRE(asx_handle_at(&f.table, i) == made[i]);
        REQUIRE(static_cast<asx_slot *>(made[i])->index == i);
    }
    CHECK(asx_handle_alloc(&f.table, nullptr) == nullptr);
    CHECK(asx_handle_table_why(&f.table) == ASX_E(NO_SLOTS));
    asx_handle_free(&f.table, made[3]);
    asx_handle_free(&f.table, made[4000]);
    CHECK(asx_handle_alloc(&f.table, nullptr) == made[4000]);
    CHECK(asx_handle_alloc(&f.table, nullptr) == made[3]);
}

TEST_CASE("handle: every record is found where its size is a constant, whatever it rounds to",
          "[shard][handle]")
{
    for (const size_t size : { size_t(17), size_t(40), size_t(256), size_t(264), size_t(1000) }) {
        fixture f(3000, size);
        std::vector<std::pair<asx_handle, void *>> made(3000);
        for (auto &one : made) {
            one.second = asx_handle_alloc(&f.table, &one.first);
        }
        for (const auto &one : made) {
            REQUIRE(asx_handle_find_sized(&f.table, one.first, size) == one.second);
            REQUIRE(asx_handle_find(&f.table, one.first) == one.second);
        }
    }
}

TEST_CASE("handle: a slot at its last generation is retired for ever", "[shard][handle]")
{
    fixture f(2);
    void *const a = asx_handle_alloc(&f.table, nullptr);
    void *const b = asx_handle_alloc(&f.table, nullptr);
    static_cast<asx_slot *>(a)->generation = UINT32_MAX - 1;
    asx_handle_free(&f.table, a);
    asx_handle last;
    REQUIRE(asx_handle_alloc(&f.table, &last) == a);
    CHECK(last.generation == UINT32_MAX);
    asx_handle_free(&f.table, a);
    CHECK(f.table.retired == 1);
    void *found = nullptr;
    CHECK(asx_handle_lookup(&f.table, last, &found) == ASX_E(STALE));
    CHECK(asx_handle_alloc(&f.table, nullptr) == nullptr);
    CHECK(asx_handle_table_why(&f.table) == ASX_E(NO_SLOTS));
    asx_handle_free(&f.table, b);
    CHECK(asx_handle_alloc(&f.table, nullptr) == b);
}

TEST_CASE("handle: without memory alloc says so and works again later", "[shard][handle]")
{
    fixture f(10);
    for (uint64_t n = 1; n <= 2; n++) { /* the directory, then the page */
        asx_chunk_fail_nth(&f.source, 1);
        CHECK(asx_handle_alloc(&f.table, nullptr) == nullptr);
        CHECK(asx_handle_table_why(&f.table) == ASX_E(NO_MEMORY));
        asx_chunk_fail_nth(&f.source, 2);
        if (n == 1) {
            CHECK(asx_handle_alloc(&f.table, nullptr) == nullptr);
        }
    }
    asx_chunk_fail_nth(&f.source, 0);
    CHECK(asx_handle_alloc(&f.table, nullptr) != nullptr);
}

TEST_CASE("handle: each_live goes in slot order and may free", "[shard][handle]")
{
    fixture f(100);
    std::vector<record *> made;
    for (int i = 0; i < 10; i++) {
        made.push_back(static_cast<record *>(asx_handle_alloc(&f.table, nullptr)));
    }
    asx_handle_free(&f.table, made[4]);
    std::string seen;
    asx_handle_each_live(record, r, &f.table)
    {
        seen += std::to_string(r->slot.index);
        asx_handle_free(&f.table, r);
    }
    CHECK(seen == "012356789");
    CHECK(asx_handle_table_live(&f.table) == 0);
}

TEST_CASE("handle: order, text and wire carry every part", "[shard][handle]")
{
    const asx_handle a = { 17, 3, 2, ASX_HANDLE_TASK, 0, 0 };
    char buf[ASX_HANDLE_TEXT_LEN];
    CHECK(asx_handle_text(a, buf, sizeof(buf)) == std::string("T2.17.3"));
    CHECK(asx_handle_text(asx_handle{}, buf, sizeof(buf)) == std::string("-"));
    const asx_handle widest = { UINT32_MAX, UINT32_MAX, UINT16_MAX, ASX_HANDLE_CHANNEL, 0, 0 };
    CHECK(asx_handle_text(widest, buf, sizeof(buf)) == std::string("C65535.4294967295.4294967295"));
    CHECK(asx_handle_kind_name(ASX_HANDLE_HEAPREF) == std::string("HEAPREF"));
    for (const asx_handle handle : { a, asx_handle{}, widest }) {
        asx_handle back = a;
        asx_handle_text(handle, buf, sizeof(buf));
        CHECK(asx_handle_parse(buf, strlen(buf), &back) == ASX_OK);
        CHECK(asx_handle_eq(back, handle));
        for (size_t len = 0; len < strlen(buf); len++) {
            const asx_err err = asx_handle_parse(buf, len, &back);
            INFO(std::string(buf, len));
            CHECK((err == ASX_OK) ==
                  (len > 2 && buf[len - 1] != '.' && std::count(buf, buf + len, '.') == 2));
        }
    }
    for (const char *const wrong :
         { "", "T", "T2", "T2.17", "T2.17.0", "T2.17.3 ", " T2.17.3", "--", "X2.17.3", "T2.17.3.4",
           "T02.17.3", "T2.-1.3", "T65536.1.1", "T1.4294967296.1", "T1.1.99999999999999999999",
           "T.1.1" }) {
        asx_handle back = a;
        INFO(wrong);
        CHECK(asx_handle_parse(wrong, strlen(wrong), &back) == ASX_E(INVALID_ARGUMENT));
        CHECK(asx_handle_is_null(back));
    }

    const asx_handle ascending[] = { { 17, 2, 2, ASX_HANDLE_TASK, 0, 0 },
                                     a,
                                     { 18, 1, 2, ASX_HANDLE_TASK, 0, 0 },
                                     { 0, 1, 3, ASX_HANDLE_TASK, 0, 0 } };
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < 4; j++) {
            const int order = asx_handle_cmp(ascending[i], ascending[j]);
            CHECK((order > 0) - (order < 0) == (i > j) - (i < j));
        }
    }
    uint8_t wire[12];
    asx_handle_encode(a, wire);
    asx_handle out = {};
    REQUIRE(asx_handle_decode(wire, ASX_HANDLE_TASK, &out) == ASX_OK);
    CHECK(asx_handle_eq(a, out));
    CHECK(asx_handle_decode(wire, ASX_HANDLE_REGION, &out) == ASX_E(WRONG_KIND));
    wire[11] = 1;
    CHECK(asx_handle_decode(wire, ASX_HANDLE_TASK, &out) == ASX_E(INVALID_ARGUMENT));
}
