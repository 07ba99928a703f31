#include <asx/lab/event.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/bits.h>

#include <assert.h>
#include <stdio.h>
#include <string.h>

static_assert(offsetof(asx_lab_event, words) == ASX_LAB_EVENT_HEADER_LEN,
              "the struct is the record");

#define FNV_PRIME UINT64_C(0x100000001b3)

typedef struct kind_info {
    const char *name, *words;
    uint8_t least, most;
} kind_info;

static const kind_info kinds[ASX_TRACE_KIND_END] = {
#define X(number, upper, text, fewest, highest, what) \
    [number] = { .name = #text, .words = what, .least = (fewest), .most = (highest) },
    ASX_TRACE_KIND_LIST(X)
#undef X
};

uint64_t asx_fnv64(uint64_t hash, const void *bytes, size_t len)
{
    const unsigned char *const at = bytes;
    for (size_t i = 0; i < len; i++) {
        hash = (hash ^ at[i]) * FNV_PRIME;
    }
    return hash;
}

uint64_t asx_fnv64_words(uint64_t hash, const uint64_t *words, size_t count)
{
    /* A zero byte only multiplies: the prime to the power of how many of them end the word. */
    static const uint64_t powers[9] = {
        UINT64_C(1),
        UINT64_C(0x100000001b3),
        UINT64_C(0x366000002e329),
        UINT64_C(0x8a97b0004e7feab),
        UINT64_C(0x9ffaac085635bc91),
        UINT64_C(0xcaee32a7d4f6a63),
        UINT64_C(0xdc966432edf1c639),
        UINT64_C(0xc5527b8a51d3d2db),
        UINT64_C(0x1efac7090aef4a21),
    };
    for (size_t i = 0; i < count; i++) {
        unsigned zeros = 8;
        for (uint64_t word = words[i]; word; word >>= 8, zeros--) {
            hash = (hash ^ (word & 0xff)) * FNV_PRIME;
        }
        hash *= powers[zeros];
    }
    return hash;
}

void asx_lab_event_init(asx_lab_event *event, uint32_t shard, asx_trace_kind kind,
                        const uint64_t *words, uint32_t count)
{
    asx_assert_le(count, ASX_LAB_EVENT_WORDS_MAX);
    event->kind = (uint16_t)kind;
    event->version = ASX_LAB_EVENT_VERSION;
    event->flags = kind == ASX_TRACE_CHOICE ? ASX_LAB_EVENT_CHOICE : 0;
    event->shard = (uint16_t)shard;
    event->payload_len = (uint16_t)(8 * count);
    event->seq = event->vtime_ns = event->lamport = 0;
    for (uint32_t i = 0; i < count; i++) {
        event->words[i] = words[i];
    }
}

uint64_t asx_lab_event_chain(uint64_t hash, const asx_lab_event *event)
{
    uint64_t header[4];
    memcpy(header, event, sizeof(header));
    hash = asx_fnv64_words(hash, header, asx_array_count(header));
    return asx_fnv64_words(hash, event->words, asx_lab_event_count(event));
}

size_t asx_lab_event_decode(const void *bytes, size_t len, asx_lab_event *event)
{
    if (len < ASX_LAB_EVENT_HEADER_LEN) {
        return 0;
    }
    memcpy(event, bytes, ASX_LAB_EVENT_HEADER_LEN);
    const size_t size = asx_lab_event_size(event);
    if (event->version != ASX_LAB_EVENT_VERSION || event->payload_len % 8 != 0 ||
        event->payload_len > sizeof(event->words) || size > len) {
        return 0;
    }
    memcpy(event->words, (const char *)bytes + ASX_LAB_EVENT_HEADER_LEN, event->payload_len);
    return size;
}

bool asx_lab_event_valid(const asx_lab_event *event)
{
    if (event->kind >= ASX_TRACE_KIND_END || !kinds[event->kind].name) {
        return false;
    }
    const uint32_t count = asx_lab_event_count(event);
    return event->payload_len % 8 == 0 && count >= kinds[event->kind].least &&
           count <= kinds[event->kind].most;
}

const char *asx_trace_kind_name(uint32_t kind)
{
    return kind < ASX_TRACE_KIND_END && kinds[kind].name ? kinds[kind].name : "?";
}

const char *asx_trace_kind_words(uint32_t kind)
{
    return kind < ASX_TRACE_KIND_END && kinds[kind].words ? kinds[kind].words : "";
}

static bool names_record(const char *word, size_t len)
{
    static const char *const names[] = { "T",     "R",       "O",      "A",     "RA",
                                         "B",     "RB",      "parent", "from",  "to",
                                         "cause", "watcher", "target", "child", "supervisor" };
    for (size_t i = 0; i < asx_array_count(names); i++) {
        if (strlen(names[i]) == len && memcmp(names[i], word, len) == 0) {
            return true;
        }
    }
    return false;
}

const char *asx_lab_event_text(const asx_lab_event *event, char *buf, size_t cap)
{
    int at = snprintf(buf, cap, "%u %s", event->kind, asx_trace_kind_name(event->kind));
    const char *word = asx_trace_kind_words(event->kind);
    const uint32_t count = asx_lab_event_count(event);
    for (uint32_t i = 0; i < count && i < ASX_LAB_EVENT_WORDS_MAX && at < (int)cap; i++) {
        const size_t len = strcspn(word, ",.");
        const uint64_t value = event->words[i];
        if (value != 0 && event->kind != ASX_TRACE_DOORBELL && names_record(word, len)) {
            at += snprintf(buf + at, cap - (size_t)at, " %.*s=%u.%u.%u", (int)len, word,
                           (unsigned)(value >> 56), (unsigned)(value >> 32 & 0xffffff),
                           (unsigned)value);
        } else {
            at += snprintf(buf + at, cap - (size_t)at, " %.*s=%" PRIu64, (int)len, word, value);
        }
        word += word[len] == ',' ? len + 1 : 0;
    }
    return buf;
}
