/* What several codec tests need: digests, vector files, objects by seed. */
#ifndef ASX_TESTS_RAPTORQ_SUPPORT_H
#define ASX_TESTS_RAPTORQ_SUPPORT_H

#include <asx/shard/base/prng.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <openssl/evp.h>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace rq
{

using bytes = std::vector<uint8_t>;

inline std::string hex(const uint8_t *p, size_t n)
{
    std::string out;
    for (size_t i = 0; i < n; i++) {
        char pair[3];
        std::snprintf(pair, sizeof(pair), "%02x", p[i]);
        out += pair;
    }
    return out;
}

inline std::string sha256(const void *p, size_t n)
{
    uint8_t digest[32];
    unsigned len = 0;
    if (EVP_Digest(p, n, digest, &len, EVP_sha256(), nullptr) != 1) {
        throw std::runtime_error("EVP_Digest");
    }
    return hex(digest, len);
}

/* Content of an object by seed, as the vectors define it. */
inline bytes object(size_t size, uint32_t seed)
{
    bytes out(size);
    for (auto &byte : out) {
        seed = seed * 1664525u + 1013904223u;
        byte = (uint8_t)(seed >> 24);
    }
    return out;
}

/* The lines of a vector file, without comments. */
inline std::vector<std::istringstream> vectors(const char *name)
{
    const char *root = std::getenv("ASX_SOURCE_ROOT");
    std::ifstream file(std::string(root != nullptr ? root : ".") + "/tests/raptorq/data/" + name);
    if (!file) {
        throw std::runtime_error(std::string("no vector file ") + name);
    }
    std::vector<std::istringstream> lines;
    for (std::string line; std::getline(file, line);) {
        if (!line.empty() && line[0] != '#') {
            lines.emplace_back(line);
        }
    }
    return lines;
}

} // namespace rq

#endif
