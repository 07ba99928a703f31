/* At stake: files are trusted by this digest. */
#include <asx/shard/base/sha256.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

static std::string digest_of(const std::string &text, size_t piece = 1000)
{
    asx_sha256 sha;
    unsigned char digest[32];
    asx_sha256_init(&sha);
    for (size_t at = 0; at < text.size(); at += piece) {
        asx_sha256_add(&sha, text.data() + at, std::min(piece, text.size() - at));
    }
    asx_sha256_take(&sha, digest);
    std::string hex;
    for (unsigned char byte : digest) {
        char two[3];
        snprintf(two, sizeof(two), "%02x", byte);
        hex += two;
    }
    return hex;
}

TEST_CASE("sha256: the known answers", "[base]")
{
    CHECK(digest_of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(digest_of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    CHECK(digest_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
          "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    CHECK(digest_of(std::string(1000000, 'a')) ==
          "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("sha256: pieces of any length are the whole", "[base]")
{
    const std::string text(517, 'q');
    for (size_t piece = 1; piece < 140; piece++) {
        CHECK(digest_of(text, piece) == digest_of(text));
    }
}
