/* The lookup of known names, inline for the parser. */
#ifndef ASX_PROTO_HEADER_INTERNAL_H
#define ASX_PROTO_HEADER_INTERNAL_H

#include <asx/proto/header.h>
#include <asx/shard/base/bits.h>

#define ASXI_HEADER_NAME_MIN 2u
#define ASXI_HEADER_NAME_MAX 32u
#define ASXI_HEADER_SLOTS 512u

/* Padded so that whole words can be read; the length is in asxi_header_lens. */
extern const char asxi_header_names[ASX_HEADER_ID_COUNT][40];
extern const uint8_t asxi_header_lens[ASX_HEADER_ID_COUNT];
extern const uint8_t asxi_header_slots[ASXI_HEADER_SLOTS];

/* 1 for tchar (RFC 9110, 5.6.2). */
extern const uint8_t asxi_tchar[256];

/* The multiplier was searched for once: no two known names share a slot. The test walks all names,
 * so that a new one which collides is noticed, not lost. */
ASX_INLINE uint32_t asxi_header_slot(const char *name, size_t len)
{
    const uint8_t *const b = (const uint8_t *)name;
    const uint32_t key = (uint32_t)(b[0] | 0x20) | (uint32_t)(b[len * 3 / 4] | 0x20) << 8 |
                         (uint32_t)(b[len - 1] | 0x20) << 16 | (uint32_t)len << 24;
    return (key * UINT32_C(0xfc3f10e3)) >> 23;
}

/* Equal but for the case of letters. Bit 6 is set in exactly the letters of a known name, so only
 * they get bit 5 forced; forcing it everywhere would take CR for '-'. */
ASX_INLINE bool asxi_header_word_eq(uint64_t wire, uint64_t known)
{
    return (wire | (known & UINT64_C(0x4040404040404040)) >> 1) == known;
}

ASX_INLINE bool asxi_header_text_eq(const char *wire, const char *known, size_t len)
{
    if (len >= 8) {
        for (size_t i = 0; i + 8 < len; i += 8) {
            if (!asxi_header_word_eq(asx_load_u64(wire + i), asx_load_u64(known + i))) {
                return false;
            }
        }
        return asxi_header_word_eq(asx_load_u64(wire + len - 8), asx_load_u64(known + len - 8));
    }
    if (len >= 4) {
        return asxi_header_word_eq(asx_load_u32(wire), asx_load_u32(known)) &&
               asxi_header_word_eq(asx_load_u32(wire + len - 4), asx_load_u32(known + len - 4));
    }
    for (size_t i = 0; i < len; i++) {
        if (!asxi_header_word_eq((uint8_t)wire[i], (uint8_t)known[i])) {
            return false;
        }
    }
    return true;
}

ASX_INLINE asx_header_id asxi_header_lookup(const char *name, size_t len)
{
    if (len - ASXI_HEADER_NAME_MIN > ASXI_HEADER_NAME_MAX - ASXI_HEADER_NAME_MIN) {
        return ASX_HEADER_OTHER;
    }
    const uint32_t id = asxi_header_slots[asxi_header_slot(name, len)];
    if (asxi_header_lens[id] != len || !asxi_header_text_eq(name, asxi_header_names[id], len)) {
        return ASX_HEADER_OTHER;
    }
    return (asx_header_id)id;
}

#endif
