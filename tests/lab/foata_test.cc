/* At stake: two runs are of one class exactly when their forms are equal. A form that tells equal
 * runs apart makes coverage a count of runs; one that merges different runs hides bugs. */
#include <asx/lab/foata.h>
#include <asx/shard/base/prng.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <set>
#include <vector>

namespace
{

constexpr uint64_t R1 = UINT64_C(1) << 32, T1 = R1, T2 = UINT64_C(2) << 32, O1 = R1;

asx_lab_event event(asx_trace_kind kind, std::vector<uint64_t> words)
{
    asx_lab_event e;
    asx_lab_event_init(&e, 0, kind, words.data(), static_cast<uint32_t>(words.size()));
    return e;
}

/* A region, two tasks, an obligation that the first one commits. */
const asx_lab_event rc = event(ASX_TRACE_REGION_CREATE, { R1, 0 });
const asx_lab_event s1 = event(ASX_TRACE_TASK_SPAWN, { T1, R1 });
const asx_lab_event s2 = event(ASX_TRACE_TASK_SPAWN, { T2, R1 });
const asx_lab_event o1 = event(ASX_TRACE_OBL_RESERVE, { O1, T1, R1, 0 });
const asx_lab_event c2 = event(ASX_TRACE_TASK_COMPLETE, { T2, R1, 0 });
const asx_lab_event k1 = event(ASX_TRACE_OBL_COMMIT, { O1, T1, R1, 0, 0 });
const asx_lab_event c1 = event(ASX_TRACE_TASK_COMPLETE, { T1, R1, 0 });
const asx_lab_event rb = event(ASX_TRACE_REGION_CLOSE_BEGIN, { R1, 0 });

class form
{
  public:
    explicit form(const std::vector<asx_lab_event> &events) : foata(asx_foata_create())
    {
        for (const asx_lab_event &e : events) {
            asx_foata_add(foata, &e);
        }
        taken = asx_foata_take(foata);
    }
    ~form()
    {
        asx_foata_destroy(foata);
    }
    form(const form &) = delete;

    std::vector<std::vector<uint16_t>> layers() const
    {
        std::vector<std::vector<uint16_t>> kinds(taken.depth);
        uint32_t count;
        const asx_foata_item *items = asx_foata_items(foata, &count);
        for (uint32_t i = 0; i < count; i++) {
            kinds[items[i].layer].push_back(items[i].kind);
        }
        return kinds;
    }

    asx_foata *foata;
    asx_foata_form taken;
};

/* All orders of `events` that keep every dependent pair as it is. */
void extensions(const std::vector<asx_lab_event> &events, std::vector<bool> &used,
                std::vector<asx_lab_event> &order, std::vector<std::vector<asx_lab_event>> &all)
{
    if (order.size() == events.size()) {
        all.push_back(order);
        return;
    }
    for (size_t i = 0; i < events.size(); i++) {
        bool ready = !used[i];
        for (size_t k = 0; k < i && ready; k++) {
            ready = used[k] || !asx_lab_event_conflict(&events[k], &events[i]);
        }
        if (ready) {
            used[i] = true;
            order.push_back(events[i]);
            extensions(events, used, order, all);
            order.pop_back();
            used[i] = false;
        }
    }
}

asx_lab_event random_event(asx_prng *prng)
{
    const uint64_t t = (1 + asx_prng_below(prng, 3)) << 32, r = (1 + asx_prng_below(prng, 2)) << 32;
    switch (asx_prng_below(prng, 8)) {
    case 0:
        return event(ASX_TRACE_TASK_SPAWN, { t, r });
    case 1:
        return event(ASX_TRACE_REGION_CANCEL, { r, 1, 0 });
    case 2:
        return event(ASX_TRACE_OBL_COMMIT, { t, t, r, 0, 0 });
    case 3:
        return event(ASX_TRACE_TIMER_FIRE, { t });
    case 4:
        return event(ASX_TRACE_TIME_ADVANCE, { 1, 2, 0 });
    case 5:
        return event(ASX_TRACE_CHECKPOINT, { 1, 1, 1, 1 });
    case 6:
        return event(ASX_TRACE_USER_MARK, { t, 1, 1 });
    default:
        return asx_prng_below(prng, 4) ? event(ASX_TRACE_IO_SUBMIT, { t, 1, 1, t })
                                       : event(ASX_TRACE_MEM_FAIL, { 1, 1 });
    }
}

} // namespace

TEST_CASE("foata: the known form of eight events", "[lab]")
{
    const form one({ rc, s1, s2, o1, c2, k1, c1, rb });
    CHECK(one.taken.depth == 6);
    CHECK(one.taken.width == 2);
    CHECK(one.taken.count == 8);
    CHECK(one.taken.fingerprint == 0xe2f59393441691f5);
    const std::vector<std::vector<uint16_t>> layers = {
        { ASX_TRACE_REGION_CREATE },
        { ASX_TRACE_TASK_SPAWN, ASX_TRACE_TASK_SPAWN },
        { ASX_TRACE_TASK_COMPLETE, ASX_TRACE_OBL_RESERVE },
        { ASX_TRACE_OBL_COMMIT },
        { ASX_TRACE_TASK_COMPLETE },
        { ASX_TRACE_REGION_CLOSE_BEGIN },
    };
    CHECK(one.layers() == layers);
    const form two({ rc, s2, c2, s1, o1, k1, c1, rb });
    CHECK(two.taken.fingerprint == 0xe2f59393441691f5);
    CHECK(asx_foata_equal(one.foata, two.foata));
    const form swapped({ rc, s1, s2, o1, c2, c1, k1, rb });
    CHECK(swapped.taken.fingerprint == 0x10b5063c35af704d);
    CHECK(!asx_foata_equal(one.foata, swapped.foata));
    const std::vector<asx_lab_event> events = { rc, s1, s2, o1, c2, k1, c1, rb };
    CHECK(asx_foata_fingerprint(events.data(), 8) == one.taken.fingerprint);
    CHECK(form({}).taken.fingerprint == 0xcbf29ce484222325);
    CHECK(form({}).taken.depth == 0);
}

TEST_CASE("foata: all fifteen linear extensions have the known fingerprint", "[lab]")
{
    const std::vector<asx_lab_event> events = { rc, s1, s2, o1, c2, k1, c1, rb };
    std::vector<bool> used(events.size());
    std::vector<asx_lab_event> order;
    std::vector<std::vector<asx_lab_event>> all;
    extensions(events, used, order, all);
    CHECK(all.size() == 15);
    for (const auto &extension : all) {
        CHECK(form(extension).taken.fingerprint == 0xe2f59393441691f5);
    }
}

TEST_CASE("foata: swapping neighbours that commute changes nothing, others something", "[lab]")
{
    asx_prng prng;
    asx_prng_init(&prng, 3);
    int commuting = 0, dependent = 0;
    for (int round = 0; round < 400; round++) {
        std::vector<asx_lab_event> events;
        for (int i = 0; i < 12; i++) {
            events.push_back(random_event(&prng));
        }
        const form before(events);
        const size_t at = asx_prng_below(&prng, events.size() - 1);
        const bool conflict = asx_lab_event_conflict(&events[at], &events[at + 1]);
        const bool alike = events[at].kind == events[at + 1].kind &&
                           std::equal(events[at].words, events[at].words + 8, events[at + 1].words);
        std::swap(events[at], events[at + 1]);
        const form after(events);
        CHECK(asx_foata_equal(before.foata, after.foata) == (alike || !conflict));
        CHECK((before.taken.fingerprint == after.taken.fingerprint) == (alike || !conflict));
        commuting += !conflict;
        dependent += conflict && !alike;
    }
    CHECK(commuting > 50);
    CHECK(dependent > 50);
}

TEST_CASE("foata: layers agree with the definition by pairs", "[lab]")
{
    asx_prng prng;
    asx_prng_init(&prng, 5);
    for (int round = 0; round < 100; round++) {
        std::vector<asx_lab_event> events;
        std::vector<uint32_t> layers;
        for (int i = 0; i < 30; i++) {
            events.push_back(random_event(&prng));
            uint32_t layer = 0;
            for (int k = 0; k < i; k++) {
                if (asx_lab_event_conflict(&events[k], &events[i])) {
                    layer = std::max(layer, layers[k] + 1);
                }
            }
            layers.push_back(layer);
        }
        const form f(events);
        uint32_t count;
        const asx_foata_item *items = asx_foata_items(f.foata, &count);
        REQUIRE(count == events.size());
        for (uint32_t i = 0; i < count; i++) {
            CHECK(items[i].layer == layers[items[i].ordinal]);
        }
    }
}

TEST_CASE("foata: taken in parts, an identity and associative", "[lab]")
{
    asx_prng prng;
    asx_prng_init(&prng, 7);
    std::vector<asx_lab_event> events;
    for (int i = 0; i < 40; i++) {
        events.push_back(random_event(&prng));
    }
    const form whole(events);
    for (size_t first : { size_t{ 0 }, size_t{ 1 }, size_t{ 17 }, events.size() }) {
        form parts({ events.begin(), events.begin() + first });
        const form again({ events.begin(), events.begin() + first });
        CHECK(asx_foata_take(parts.foata).fingerprint == again.taken.fingerprint);
        for (size_t i = first; i < events.size(); i++) {
            asx_foata_add(parts.foata, &events[i]);
        }
        CHECK(asx_foata_take(parts.foata).fingerprint == whole.taken.fingerprint);
        CHECK(asx_foata_equal(parts.foata, whole.foata));
        asx_foata_clear(parts.foata);
        CHECK(asx_foata_take(parts.foata).fingerprint == ASX_FNV64_EMPTY);
    }
}

TEST_CASE("foata: instants, sequence numbers and choices are no part of a class", "[lab]")
{
    asx_lab_event late = s1;
    late.vtime_ns = 5, late.seq = 9, late.lamport = 3, late.shard = 2;
    const form one({ rc, s1 });
    const form two({ rc, event(ASX_TRACE_CHOICE, { 1, 2, 1, 0 }), late });
    CHECK(one.taken.fingerprint == two.taken.fingerprint);
    CHECK(asx_foata_equal(one.foata, two.foata));
}

TEST_CASE("independence: sets conflict as their accesses do", "[lab]")
{
    asx_prng prng;
    asx_prng_init(&prng, 9);
    int conflicts = 0;
    for (int round = 0; round < 3000; round++) {
        std::vector<asx_lab_access> sets[2];
        for (auto &set : sets) {
            const uint64_t count = asx_prng_below(&prng, 5);
            for (uint64_t i = 0; i < count; i++) {
                asx_lab_access access = {};
                access.resource = asx_prng_below(&prng, 12) ? ASX_LAB_RES_TASK : ASX_LAB_RES_GLOBAL;
                access.object = access.resource == ASX_LAB_RES_TASK ? asx_prng_below(&prng, 5) : 0;
                access.write = asx_prng_below(&prng, 3) == 0;
                set.push_back(access);
            }
        }
        bool want = false;
        for (const auto &a : sets[0]) {
            for (const auto &b : sets[1]) {
                const bool shared = (a.resource == b.resource && a.object == b.object) ||
                                    a.resource == ASX_LAB_RES_GLOBAL ||
                                    b.resource == ASX_LAB_RES_GLOBAL;
                want = want || (shared && (a.write || b.write));
            }
        }
        asx_accesses normal[2];
        for (int i = 0; i < 2; i++) {
            const uint32_t count = static_cast<uint32_t>(sets[i].size());
            normal[i] = { sets[i].data(), asx_accesses_normalise(sets[i].data(), count) };
        }
        CHECK((asx_accesses_conflict(normal[0], normal[1]) != nullptr) == want);
        CHECK((asx_accesses_conflict(normal[1], normal[0]) != nullptr) == want);
        conflicts += want;
    }
    CHECK(conflicts > 300);
}
