/* At stake: what leaves the process comes back with no more rights than it left with. */
#include <asx/engine/token.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

namespace
{

struct key {
    uint8_t bytes[ASX_TOKEN_KEY_BYTES];

    explicit key(uint8_t first = 0)
    {
        for (uint8_t &byte : bytes) {
            byte = first++;
        }
    }
};

asx_token minted()
{
    asx_token token;
    REQUIRE(asx_token_mint(&token, key().bytes, asx_view_str("backup")) == ASX_OK);
    return token;
}

void narrow(asx_token &token, uint8_t type, const char *payload)
{
    REQUIRE(asx_token_narrow(&token, type, asx_view_str(payload)) == ASX_OK);
}

asx_token_use use_of(uint64_t unix_ns = 0, const char *resource = "")
{
    asx_token_use use{};
    use.unix_ns = unix_ns;
    use.scope = asx_view_str("R0.1.1");
    use.resource = asx_view_str(resource);
    return use;
}

asx_token_verdict shown(const asx_token &token, const asx_token_use &use = use_of())
{
    return asx_token_verify(&token, key().bytes, &use);
}

std::string mac_of(const asx_token &token)
{
    std::string hex;
    for (uint32_t i = token.len - ASX_TOKEN_MAC_BYTES; i < token.len; i++) {
        char two[3];
        snprintf(two, sizeof(two), "%02x", token.bytes[i]);
        hex += two;
    }
    return hex;
}

/* Those that `token` holds after its identifier, each with its head. */
std::vector<std::string> caveats_of(const asx_token &token)
{
    std::vector<std::string> caveats;
    const auto *const bytes = reinterpret_cast<const char *>(token.bytes);
    for (uint32_t at = 2u + token.bytes[1]; at < token.len - ASX_TOKEN_MAC_BYTES;) {
        const uint32_t len = 2u + token.bytes[at + 1];
        caveats.emplace_back(bytes + at, len);
        at += len;
    }
    return caveats;
}

/* The same identifier and MAC around other caveats. */
asx_token rebuilt(const asx_token &token, const std::vector<std::string> &caveats)
{
    const auto *const bytes = reinterpret_cast<const char *>(token.bytes);
    std::string all(bytes, 2u + token.bytes[1]);
    for (const std::string &caveat : caveats) {
        all += caveat;
    }
    all.append(bytes + token.len - ASX_TOKEN_MAC_BYTES, ASX_TOKEN_MAC_BYTES);
    asx_token made;
    REQUIRE(asx_token_decode(reinterpret_cast<const uint8_t *>(all.data()), all.size(), &made) ==
            ASX_OK);
    return made;
}

bool globbed(const char *glob, const char *path)
{
    asx_token token = minted();
    narrow(token, ASX_TOKEN_RESOURCE, glob);
    return shown(token, use_of(0, path)) == ASX_TOKEN_GRANTED;
}

} // namespace

TEST_CASE("token: the chain of MACs is HMAC-SHA256, step by step", "[engine][token]")
{
    asx_token token = minted();
    CHECK(mac_of(token) == "c8ea0f28908a88cea3bbe957a137d79c9ffc258b51651a0ac1d2d6a3b5748835");
    narrow(token, ASX_TOKEN_RESOURCE, "/data/*");
    CHECK(mac_of(token) == "2c7163c7e3740d849bb169486543e7ef435b4e9166131aa7ff49850dea4e451b");
    REQUIRE(asx_token_narrow_until(&token, 1000) == ASX_OK);
    CHECK(mac_of(token) == "1bbc867aacb08e177330409993fb61b69bed649bdb7a812cae738fb0c37a630c");
}

TEST_CASE("token: of the caveats none can be dropped, moved or edited", "[engine][token]")
{
    asx_token token = minted();
    CHECK(shown(token) == ASX_TOKEN_GRANTED);
    narrow(token, ASX_TOKEN_RESOURCE, "/data/*");
    narrow(token, ASX_TOKEN_SCOPE, "R0.1.1");
    REQUIRE(asx_token_narrow_until(&token, 1000) == ASX_OK);
    const asx_token_use use = use_of(999, "/data/x");
    REQUIRE(shown(token, use) == ASX_TOKEN_GRANTED);
    CHECK(asx_token_verify(&token, key(1).bytes, &use) == ASX_TOKEN_FORGED);
    const std::vector<std::string> caveats = caveats_of(token);
    REQUIRE(caveats.size() == 3);
    CHECK(shown(rebuilt(token, caveats), use) == ASX_TOKEN_GRANTED);
    for (size_t i = 0; i < 3; i++) {
        auto fewer = caveats, moved = caveats, twice = caveats;
        fewer.erase(fewer.begin() + static_cast<long>(i));
        std::swap(moved[i], moved[(i + 1) % 3]);
        twice.push_back(caveats[i]);
        CHECK(shown(rebuilt(token, fewer), use) == ASX_TOKEN_FORGED);
        CHECK(shown(rebuilt(token, moved), use) == ASX_TOKEN_FORGED);
        CHECK(shown(rebuilt(token, twice), use) == ASX_TOKEN_FORGED);
    }
    for (uint32_t i = 0; i < token.len * 8; i++) {
        asx_token edited = token;
        edited.bytes[i / 8] = static_cast<uint8_t>(edited.bytes[i / 8] ^ (1u << i % 8));
        CHECK(shown(edited, use) == ASX_TOKEN_FORGED);
    }
}

TEST_CASE("token: each caveat narrows, and what the verifier does not know is refused",
          "[engine][token]")
{
    asx_token token = minted();
    REQUIRE(asx_token_narrow_until(&token, 1000) == ASX_OK);
    CHECK(shown(token, use_of(999)) == ASX_TOKEN_GRANTED);
    CHECK(shown(token, use_of(1000)) == ASX_TOKEN_EXPIRED);
    REQUIRE(asx_token_narrow_until(&token, 2000) == ASX_OK); /* later narrows nothing */
    CHECK(shown(token, use_of(1000)) == ASX_TOKEN_EXPIRED);

    token = minted();
    narrow(token, ASX_TOKEN_SCOPE, "R0.1.2");
    CHECK(shown(token) == ASX_TOKEN_OUT_OF_SCOPE);

    token = minted();
    REQUIRE(asx_token_narrow_uses(&token, 2, ASX_NS_PER_S) == ASX_OK);
    CHECK(shown(token) == ASX_TOKEN_USED_UP); /* nobody counts */
    uint32_t uses = 0;
    asx_token_use use = use_of();
    use.arg = &uses;
    use.uses = [](void *arg, asx_view id, asx_duration window) {
        CHECK(asx_view_eq(id, asx_view_str("backup")));
        CHECK(window == ASX_NS_PER_S);
        return (*static_cast<uint32_t *>(arg))++;
    };
    CHECK(shown(token, use) == ASX_TOKEN_GRANTED);
    CHECK(shown(token, use) == ASX_TOKEN_GRANTED);
    CHECK(shown(token, use) == ASX_TOKEN_USED_UP);

    token = minted();
    narrow(token, ASX_TOKEN_CUSTOM, "tenant=a=b");
    CHECK(shown(token) == ASX_TOKEN_CUSTOM_REFUSED);
    use.custom_holds = [](void *, asx_view k, asx_view v) {
        return asx_view_eq(k, asx_view_str("tenant")) && asx_view_eq(v, asx_view_str("a=b"));
    };
    CHECK(shown(token, use) == ASX_TOKEN_GRANTED);
    narrow(token, ASX_TOKEN_CUSTOM, "tenant");
    CHECK(shown(token, use) == ASX_TOKEN_CUSTOM_REFUSED);

    for (const uint8_t type : { 0, 6, 255 }) {
        token = minted();
        narrow(token, type, "");
        CHECK(shown(token) == ASX_TOKEN_UNKNOWN_CAVEAT);
    }
    for (const uint8_t type : { ASX_TOKEN_NOT_AFTER, ASX_TOKEN_USES }) {
        token = minted();
        narrow(token, type, "1234567"); /* of a length that it cannot have */
        CHECK(shown(token, use) != ASX_TOKEN_GRANTED);
    }
}

TEST_CASE("token: a star stays within its segment, two at the end take all below",
          "[engine][token]")
{
    CHECK(globbed("/data/a", "/data/a"));
    CHECK(!globbed("/data/a", "/data/ab"));
    CHECK(!globbed("/data/a", "/data/"));
    CHECK(globbed("/data/*", "/data/ab"));
    CHECK(globbed("/data/*", "/data/"));
    CHECK(!globbed("/data/*", "/data/a/b"));
    CHECK(globbed("/data/**", "/data/a/b"));
    CHECK(!globbed("/data/**", "/datum/a"));
    CHECK(globbed("/*/b*c/x", "/q/bcbc/x"));
    CHECK(!globbed("/*/b*c/x", "/q/b/c/x"));
    CHECK(globbed("*a*a", "baaba"));
    CHECK(!globbed("*a*a", "a"));
    CHECK(!globbed("/data/*", ""));
    CHECK(!globbed("", "/data"));
}

TEST_CASE("token: bytes that are none are refused, and what is full stays as it was",
          "[engine][token]")
{
    asx_token token = minted(), back;
    narrow(token, ASX_TOKEN_SCOPE, "R0.1.1");
    for (uint32_t len = 0; len < token.len; len++) {
        CHECK((asx_token_decode(token.bytes, len, &back) != ASX_OK ||
               shown(back) == ASX_TOKEN_FORGED));
    }
    REQUIRE(asx_token_decode(token.bytes, token.len, &back) == ASX_OK);
    CHECK(shown(back) == ASX_TOKEN_GRANTED);
    const std::string longest(ASX_TOKEN_TEXT_MAX, 'x');
    CHECK(asx_token_mint(&token, key().bytes, asx_view_str("")) == ASX_E(INVALID_ARGUMENT));
    CHECK(asx_token_mint(&token, key().bytes, asx_view_str((longest + "x").c_str())) ==
          ASX_E(INVALID_ARGUMENT));
    REQUIRE(asx_token_mint(&token, key().bytes, asx_view_str(longest.c_str())) == ASX_OK);
    CHECK(asx_token_narrow(&token, ASX_TOKEN_SCOPE, asx_view_str((longest + "x").c_str())) ==
          ASX_E(TOO_LONG));
    int narrowed = 0;
    while (asx_token_narrow(&token, 9, asx_view_str(longest.c_str())) == ASX_OK) {
        narrowed++;
    }
    CHECK(narrowed == 2);
    CHECK(shown(token) == ASX_TOKEN_UNKNOWN_CAVEAT);
    CHECK(asx_token_verdict_name(ASX_TOKEN_EXPIRED) == std::string("EXPIRED"));
}
