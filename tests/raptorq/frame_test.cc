/* Datagrams come from anyone. What was written must be read back field by field, and whatever else
 * arrives must be refused by name, without a byte read outside it. */
#include <asx/raptorq/net/frame.h>
#include <asx/raptorq/net/tag.h>

#include "support.h"

#include <catch2/catch.hpp>
#include <cstring>

namespace
{

asx_rq_offer_body offer_of(uint64_t size)
{
    asx_rq_offer_body offer = {};
    offer.session = 0x0102030405060708;
    offer.probe = 77;
    offer.wants_answer = true;
    offer.size = size;
    if (size > 0) {
        REQUIRE(asx_rq_oti_by_block(&offer.oti, size, 1280, 1 << 20) == ASX_OK);
    }
    std::memset(offer.digest, 0xAB, sizeof(offer.digest));
    return offer;
}

asx_rq_frame frame_of(asx_rq_frame_kind kind)
{
    asx_rq_frame frame = {};
    frame.kind = kind;
    std::memset(frame.object_id, 0x5A, sizeof(frame.object_id));
    return frame;
}

rq::bytes encoded(const asx_rq_frame &frame)
{
    rq::bytes out(ASX_RQ_FRAME_MAX);
    out.resize(asx_rq_frame_encode(&frame, out.data()));
    return out;
}

asx_rq_frame need_frame()
{
    asx_rq_frame frame = frame_of(ASX_RQ_FRAME_NEED);
    frame.need.session = 9;
    frame.need.probe = 3;
    frame.need.state = ASX_RQ_NEED_RECEIVING;
    frame.need.window = 4;
    frame.need.received = 1000000007;
    frame.need.done = 2;
    frame.need.count = 3;
    frame.need.entries[0] = { 0, 1, ASX_RQ_ESI_MAX + 1 };
    frame.need.entries[1] = { 7, 56403, 0 };
    frame.need.entries[2] = { 254, 500, 70000 };
    return frame;
}

/* Exactly this long, so that a sanitizer sees a read past the end. */
asx_rq_frame_fault decode(const rq::bytes &bytes, asx_rq_frame *frame)
{
    static rq::bytes kept;
    kept = rq::bytes(bytes.begin(), bytes.end());
    kept.shrink_to_fit();
    return asx_rq_frame_decode(frame, kept.data(), kept.size());
}

} // namespace

TEST_CASE("frame: every kind is read as it was written", "[raptorq][net]")
{
    asx_rq_frame back;
    const rq::bytes content = rq::object(1280, 1);
    asx_rq_frame frame = frame_of(ASX_RQ_FRAME_SYMBOL);
    frame.symbol = { 254, ASX_RQ_ESI_MAX, content.data(), content.size() };
    REQUIRE(decode(encoded(frame), &back) == ASX_RQ_FRAME_OK);
    CHECK(back.kind == ASX_RQ_FRAME_SYMBOL);
    CHECK(std::memcmp(back.object_id, frame.object_id, sizeof(back.object_id)) == 0);
    CHECK(back.symbol.sbn == 254);
    CHECK(back.symbol.esi == ASX_RQ_ESI_MAX);
    CHECK(rq::bytes(back.symbol.bytes, back.symbol.bytes + back.symbol.len) == content);
    CHECK(back.tag == nullptr);

    for (uint64_t size : { UINT64_C(0), UINT64_C(1), UINT64_C(5000000) }) {
        frame = frame_of(ASX_RQ_FRAME_OFFER);
        frame.offer = offer_of(size);
        REQUIRE(decode(encoded(frame), &back) == ASX_RQ_FRAME_OK);
        CHECK(back.offer.session == frame.offer.session);
        CHECK(back.offer.probe == 77);
        CHECK(back.offer.wants_answer);
        CHECK(back.offer.size == size);
        CHECK(back.offer.oti.blocks == frame.offer.oti.blocks);
        CHECK(back.offer.oti.symbol_size == frame.offer.oti.symbol_size);
        CHECK(std::memcmp(back.offer.digest, frame.offer.digest, 32) == 0);
    }

    frame = need_frame();
    REQUIRE(decode(encoded(frame), &back) == ASX_RQ_FRAME_OK);
    CHECK(back.need.received == frame.need.received);
    CHECK(back.need.count == 3);
    for (int i = 0; i < 3; i++) {
        CHECK(back.need.entries[i].sbn == frame.need.entries[i].sbn);
        CHECK(back.need.entries[i].need == frame.need.entries[i].need);
        CHECK(back.need.entries[i].next == frame.need.entries[i].next);
    }

    frame = frame_of(ASX_RQ_FRAME_BYE);
    frame.bye = 42;
    REQUIRE(decode(encoded(frame), &back) == ASX_RQ_FRAME_OK);
    CHECK(back.bye == 42);
}

TEST_CASE("frame: an answer is never larger than its question", "[raptorq][net]")
{
    asx_rq_frame offer = frame_of(ASX_RQ_FRAME_OFFER), need = need_frame();
    offer.offer = offer_of(0);
    need.need.count = ASX_RQ_NEEDS_MAX;
    for (uint32_t i = 0; i < ASX_RQ_NEEDS_MAX; i++) {
        need.need.entries[i] = { i, 1, 0 };
    }
    CHECK(encoded(need).size() <= encoded(offer).size());
    CHECK(encoded(offer).size() + ASX_RQ_FRAME_TAG <= ASX_RQ_FRAME_SIZE(0));
}

TEST_CASE("frame: every cut, tail and wrong head is refused by name", "[raptorq][net]")
{
    asx_rq_frame back, frame = frame_of(ASX_RQ_FRAME_OFFER);
    frame.offer = offer_of(5000);
    const rq::bytes good = encoded(frame);
    for (size_t len = 0; len < good.size(); len++) {
        const rq::bytes cut(good.begin(), good.begin() + (long)len);
        CHECK(decode(cut, &back) ==
              (len < ASX_RQ_FRAME_HEAD ? ASX_RQ_FRAME_SHORT : ASX_RQ_FRAME_LENGTH));
    }
    rq::bytes bad = good;
    bad.push_back(0);
    CHECK(decode(bad, &back) == ASX_RQ_FRAME_LENGTH);
    const struct {
        size_t at;
        uint8_t value;
        asx_rq_frame_fault fault;
    } changes[] = {
        { 0, 'A', ASX_RQ_FRAME_FOREIGN },
        { 3, 2, ASX_RQ_FRAME_OTHER },
        { 4, 0, ASX_RQ_FRAME_BODY },
        { 4, 5, ASX_RQ_FRAME_BODY },
        { 5, 2, ASX_RQ_FRAME_BODY },
        { 5, 1, ASX_RQ_FRAME_LENGTH },
        { 7, 0, ASX_RQ_FRAME_LENGTH },
        { ASX_RQ_FRAME_HEAD + 12, 2, ASX_RQ_FRAME_BODY },                    /* wants_answer */
        { ASX_RQ_FRAME_HEAD + 20, 1, ASX_RQ_FRAME_BODY },                    /* size */
        { ASX_RQ_FRAME_HEAD + 21 + 8, 0, ASX_RQ_FRAME_BODY },                /* no blocks */
        { ASX_RQ_FRAME_HEAD + ASX_RQ_OFFER_BODY - 1, 1, ASX_RQ_FRAME_BODY }, /* padding */
    };
    for (const auto &change : changes) {
        CAPTURE(change.at);
        bad = good;
        bad[change.at] = change.value;
        CHECK(decode(bad, &back) == change.fault);
        CHECK(std::strlen(asx_rq_frame_fault_name(change.fault)) > 3);
    }
}

TEST_CASE("frame: needs that nobody can have are refused", "[raptorq][net]")
{
    asx_rq_frame back;
    const auto broken = [&](void (*change)(asx_rq_need_body &)) {
        asx_rq_frame frame = need_frame();
        change(frame.need);
        return decode(encoded(frame), &back) == ASX_RQ_FRAME_BODY;
    };
    CHECK_FALSE(broken([](asx_rq_need_body &) {}));
    CHECK(broken([](asx_rq_need_body &need) { need.entries[1].need = 0; }));
    CHECK(broken([](asx_rq_need_body &need) { need.entries[1].need = 56404; }));
    CHECK(broken([](asx_rq_need_body &need) { need.entries[0].next = ASX_RQ_ESI_MAX + 2; }));
    CHECK(broken([](asx_rq_need_body &need) { need.entries[1].sbn = 0; }));
    CHECK(broken([](asx_rq_need_body &need) { need.state = (asx_rq_need_state)6; }));
}

TEST_CASE("frame: an object's id stands for all that is said about it", "[raptorq][net]")
{
    const asx_rq_offer_body offer = offer_of(5000000);
    uint8_t id[ASX_RQ_OBJECT_ID_SIZE], other[ASX_RQ_OBJECT_ID_SIZE];
    asx_rq_object_id(id, &offer, asx_rq_sha256);
    const auto differs = [&](void (*change)(asx_rq_offer_body &)) {
        asx_rq_offer_body changed = offer;
        change(changed);
        asx_rq_object_id(other, &changed, asx_rq_sha256);
        return std::memcmp(id, other, sizeof(id)) != 0;
    };
    CHECK(differs([](asx_rq_offer_body &o) { o.digest[31] ^= 1; }));
    CHECK(differs([](asx_rq_offer_body &o) { o.size = o.oti.size = 4999999; }));
    CHECK(differs([](asx_rq_offer_body &o) { o.oti.symbol_size = 1279; }));
    CHECK(differs([](asx_rq_offer_body &o) { o.oti.blocks++; }));
    /* A later run of the same object goes on where an earlier one ended. */
    CHECK_FALSE(differs([](asx_rq_offer_body &o) { o.session++; }));
    CHECK_FALSE(differs([](asx_rq_offer_body &o) { o.probe++; }));
}

TEST_CASE("key: hexadecimal or bytes, and none that nobody drew", "[raptorq][net]")
{
    asx_rq_key key;
    const std::string hex = "00112233445566778899aabbccddeeff0123456789ABCDEFfedcba9876543210";
    REQUIRE(asx_rq_key_parse(&key, hex.data(), hex.size()) == ASX_OK);
    CHECK(key.bytes[1] == 0x11);
    CHECK(key.bytes[31] == 0x10);
    const std::string spaced = "  " + hex + "\n";
    asx_rq_key same;
    REQUIRE(asx_rq_key_parse(&same, spaced.data(), spaced.size()) == ASX_OK);
    CHECK(std::memcmp(&key, &same, sizeof(key)) == 0);
    REQUIRE(asx_rq_key_parse(&same, key.bytes, sizeof(key.bytes)) == ASX_OK);
    CHECK(std::memcmp(&key, &same, sizeof(key)) == 0);

    const std::string half = hex.substr(0, 32);
    std::vector<std::string> bad = { "",
                                     hex.substr(1),
                                     hex + "0",
                                     std::string(64, '7'),
                                     half + half,
                                     "g" + hex.substr(1),
                                     hex.substr(0, 30) + " 0" + hex.substr(32),
                                     std::string(32, '\0') };
    for (const std::string &text : bad) {
        CAPTURE(text);
        CHECK(asx_rq_key_parse(&key, text.data(), text.size()) == ASX_RQ_E(BAD_KEY));
        CHECK(std::all_of(key.bytes, key.bytes + 32, [](uint8_t b) { return b == 0; }));
    }
}

namespace
{

struct tagger {
    asx_rq_keyring *ring = nullptr;
    asx_rq_tagger *self = nullptr;
    tagger(uint32_t key_seed, uint32_t object_seed)
    {
        asx_rq_key key;
        const rq::bytes bytes = rq::object(32, key_seed), id = rq::object(16, object_seed);
        REQUIRE(asx_rq_key_parse(&key, bytes.data(), bytes.size()) == ASX_OK);
        REQUIRE(asx_rq_keyring_create(&ring, &key) == ASX_OK);
        REQUIRE(asx_rq_tagger_create(&self, ring, id.data()) == ASX_OK);
    }
    tagger(const tagger &) = delete;
    tagger &operator=(const tagger &) = delete;
    ~tagger()
    {
        asx_rq_tagger_destroy(self);
        asx_rq_keyring_destroy(ring);
    }
};

/* HMAC as RFC 2104 writes it down, over SHA-256. */
rq::bytes hmac(rq::bytes key, const rq::bytes &text)
{
    key.resize(64);
    rq::bytes inner(64), outer(64), digest(32);
    for (size_t i = 0; i < 64; i++) {
        inner[i] = key[i] ^ 0x36;
        outer[i] = key[i] ^ 0x5C;
    }
    inner.insert(inner.end(), text.begin(), text.end());
    asx_rq_sha256(inner.data(), inner.size(), digest.data());
    outer.insert(outer.end(), digest.begin(), digest.end());
    asx_rq_sha256(outer.data(), outer.size(), digest.data());
    return digest;
}

rq::bytes operator+(rq::bytes a, const rq::bytes &b)
{
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

rq::bytes domain(const char *text)
{
    rq::bytes out(16);
    std::memcpy(out.data(), text, std::strlen(text));
    return out;
}

} // namespace

TEST_CASE("tag: of a symbol, is the HMAC that the header describes", "[raptorq][net]")
{
    tagger t(50, 51);
    const rq::bytes key = rq::object(32, 50), id = rq::object(16, 51), content = rq::object(90, 52);
    const rq::bytes extracted = hmac(rq::bytes(32), key);
    const rq::bytes derived = hmac(extracted, domain("asx-rq symbol 1") + id + rq::bytes{ 1 });
    const rq::bytes text = domain("asx-rq symbol 1") + id + rq::bytes{ 7, 0x45, 0x23, 0x01, 0, 1 } +
                           rq::bytes{ 90, 0, 0, 0, 0, 0, 0, 0 } + content;
    rq::bytes expected = hmac(derived, text);
    expected.resize(ASX_RQ_FRAME_TAG);
    const asx_rq_symbol_body symbol = { 7, 0x012345, content.data(), content.size() };
    rq::bytes made(ASX_RQ_FRAME_TAG);
    for (int again = 0; again < 2; again++) {
        asx_rq_tagger_symbol(t.self, &symbol, true, made.data());
        CHECK(rq::hex(made.data(), made.size()) == rq::hex(expected.data(), expected.size()));
    }
}

TEST_CASE("tag: nothing about a symbol can be changed, nor its key, object or kind",
          "[raptorq][net]")
{
    tagger t(50, 51), other_key(53, 51), other_object(50, 54);
    rq::bytes content = rq::object(40, 52);
    const asx_rq_symbol_body symbol = { 7, 100, content.data(), content.size() };
    uint8_t tag[ASX_RQ_FRAME_TAG], record[ASX_RQ_FRAME_TAG];
    asx_rq_tagger_symbol(t.self, &symbol, true, tag);
    CHECK(asx_rq_tagger_symbol_check(t.self, &symbol, true, tag));
    CHECK_FALSE(asx_rq_tagger_symbol_check(t.self, &symbol, false, tag));
    CHECK_FALSE(asx_rq_tagger_symbol_check(other_key.self, &symbol, true, tag));
    CHECK_FALSE(asx_rq_tagger_symbol_check(other_object.self, &symbol, true, tag));
    asx_rq_symbol_body changed = symbol;
    changed.sbn = 8;
    CHECK_FALSE(asx_rq_tagger_symbol_check(t.self, &changed, true, tag));
    changed = symbol;
    changed.esi = 101;
    CHECK_FALSE(asx_rq_tagger_symbol_check(t.self, &changed, true, tag));
    changed = symbol;
    changed.len--;
    CHECK_FALSE(asx_rq_tagger_symbol_check(t.self, &changed, true, tag));
    for (auto &byte : content) {
        byte ^= 1;
        CHECK_FALSE(asx_rq_tagger_symbol_check(t.self, &symbol, true, tag));
        byte ^= 1;
    }
    for (auto &byte : tag) {
        byte ^= 0x80;
        CHECK_FALSE(asx_rq_tagger_symbol_check(t.self, &symbol, true, tag));
        byte ^= 0x80;
    }
    const uint8_t zero[ASX_RQ_FRAME_TAG] = { 0 };
    CHECK_FALSE(asx_rq_tagger_symbol_check(t.self, &symbol, true, zero));
    asx_rq_tagger_record(t.self, content.data(), content.size(), record);
    CHECK(asx_rq_tagger_record_check(t.self, content.data(), content.size(), record));
    CHECK_FALSE(asx_rq_tagger_record_check(t.self, content.data(), content.size() - 1, record));
    CHECK_FALSE(asx_rq_tagger_record_check(t.self, content.data(), content.size(), tag));
}
