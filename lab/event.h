/* Events of a run: the record, its text, and its hash chain.
 *
 * Model.   A record is a 32-byte header and its payload words, little-endian: the struct itself is
 *          the encoding, cut after the words in use. What a kind touches is footprint.h's.
 * Source.  Fowler, Noll, Vo (FNV-1a). */
#ifndef ASX_LAB_EVENT_H
#define ASX_LAB_EVENT_H

#include <asx/shard/trace.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

ASX_BEGIN_DECLS

#define ASX_LAB_EVENT_WORDS_MAX 8u
#define ASX_LAB_EVENT_HEADER_LEN 32u
#define ASX_LAB_EVENT_VERSION 1u

enum {
    ASX_LAB_EVENT_CLOCKED = 1u << 0, /* a vector clock is appended */
    ASX_LAB_EVENT_CHOICE = 1u << 1,
    ASX_LAB_EVENT_REDACTED = 1u << 2,
    ASX_LAB_EVENT_RECOVERED = 1u << 3, /* made up by recovery */
};

typedef struct asx_lab_event {
    uint16_t kind; /* asx_trace_kind */
    uint8_t version;
    uint8_t flags; /* ASX_LAB_EVENT_* */
    uint16_t shard;
    uint16_t payload_len; /* bytes of words in use */
    uint64_t seq;         /* in the run */
    uint64_t vtime_ns;
    uint64_t lamport;
    uint64_t words[ASX_LAB_EVENT_WORDS_MAX];
} asx_lab_event;

#define ASX_FNV64_EMPTY UINT64_C(0xcbf29ce484222325)

/* FNV-1a continued over `len` bytes. */
uint64_t asx_fnv64(uint64_t hash, const void *bytes, size_t len);
/* The same over `count` words, as their bytes lie in memory; faster, because most of them are 0. */
uint64_t asx_fnv64_words(uint64_t hash, const uint64_t *words, size_t count);

/* Fills the header and copies the words. count <= ASX_LAB_EVENT_WORDS_MAX */
void asx_lab_event_init(asx_lab_event *event, uint32_t shard, asx_trace_kind kind,
                        const uint64_t *words, uint32_t count);

/* Continues a hash chain over the complete record. */
uint64_t asx_lab_event_chain(uint64_t hash, const asx_lab_event *event);

/* Reads one record of at most `len` bytes; returns its length, 0 when the bytes hold no complete
 * record of a known version with at most ASX_LAB_EVENT_WORDS_MAX words. */
size_t asx_lab_event_decode(const void *bytes, size_t len, asx_lab_event *event);

/* Whether the kind is known and has as many words as it should. */
bool asx_lab_event_valid(const asx_lab_event *event);

/* "7 task_block T=0.3.1 R=0.1.1 wait=2 object=0"; returns buf. */
const char *asx_lab_event_text(const asx_lab_event *event, char *buf, size_t cap);

const char *asx_trace_kind_name(uint32_t kind);  /* "?" when unknown */
const char *asx_trace_kind_words(uint32_t kind); /* "T,R,cause" */

/* Bytes of the record: what is hashed, and what a file holds. */
static inline size_t asx_lab_event_size(const asx_lab_event *event)
{
    return ASX_LAB_EVENT_HEADER_LEN + event->payload_len;
}

static inline uint32_t asx_lab_event_count(const asx_lab_event *event)
{
    return event->payload_len / 8u;
}

ASX_END_DECLS

#endif
