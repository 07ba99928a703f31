#include <asx/lab/crc32c.h>
#include <asx/lab/trace_reader.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/sha256.h>

#include "array_internal.h"
#include "trace_internal.h"

#include <stdarg.h>
#include <string.h>

#define READ_LEN (64u << 10) /* room is made as the bytes come, not as a length promises them */
#define RECORD_FLAGS_KNOWN (ASX_LAB_EVENT_CHOICE | ASX_LAB_EVENT_REDACTED | ASX_LAB_EVENT_RECOVERED)

typedef struct buffer {
    char *bytes;
    size_t cap;
} buffer;

struct asx_lab_trace_reader {
    FILE *in;
    asx_lab_trace_manner manner;
    asx_lab_trace_info info;
    asx_lab_trace_certificate certificate; /* of the records so far */
    asx_sha256 sha;
    buffer raw, stored;
    size_t raw_len, raw_at;
    uint64_t offset;   /* of the next byte that was not read */
    uint64_t chunk_at; /* where this chunk begins */
    uint64_t chunks, records, good_bytes;
    uint64_t seq; /* of the last record */
    bool ended;
    bool looked_raw; /* records went by that were not certified */
    char wrong[ASX_LAB_TRACE_WRONG_MAX];
};

ASX_PRINTF(2, 3) static bool fail(asx_lab_trace_reader *self, const char *fmt, ...)
{
    va_list args;
    self->ended = true;
    if (!self->wrong[0]) {
        va_start(args, fmt);
        vsnprintf(self->wrong, sizeof(self->wrong), fmt, args);
        va_end(args);
    }
    return false;
}

static bool finished(const asx_lab_trace_reader *self)
{
    return self->info.total != ASX_LAB_TRACE_UNFINISHED;
}

static size_t take(asx_lab_trace_reader *self, void *bytes, size_t len)
{
    const size_t got = fread(bytes, 1, len, self->in);
    self->offset += got;
    return got;
}

static void grow(buffer *b, size_t cap, size_t used)
{
    if (cap > b->cap) {
        char *const bytes = asxi_lab_alloc(cap, 1);
        if (used > 0) {
            memcpy(bytes, b->bytes, used);
        }
        asxi_lab_free(b->bytes);
        b->bytes = bytes;
        b->cap = cap;
    }
}

/* Reads up to `len` bytes into the buffer, which becomes no larger than twice what there is. */
static size_t take_grown(asx_lab_trace_reader *self, buffer *b, size_t len)
{
    size_t have = 0;
    while (have < len) {
        const size_t step = len - have < READ_LEN + have ? len - have : READ_LEN + have;
        grow(b, have + step, have);
        const size_t got = take(self, b->bytes + have, step);
        have += got;
        if (got < step) {
            break;
        }
    }
    return have;
}

static bool head_take(asx_lab_trace_reader *self)
{
    asxi_trace_header header;
    uint32_t crc;
    const size_t got = take(self, &header, sizeof(header));
    if (got < sizeof(header)) {
        return fail(self,
                    got < 8 || !asx_lab_trace_is(header.magic, got)
                        ? "not a trace file"
                        : "byte %zu: cut short inside its header",
                    got);
    }
    const char *wrong = asxi_trace_header_take(&header, &self->info);
    if (wrong) {
        return fail(self, "%s", wrong);
    }
    if (take_grown(self, &self->stored, header.meta_len) < header.meta_len ||
        take(self, &crc, sizeof(crc)) < sizeof(crc)) {
        return fail(self, "byte %" PRIu64 ": cut short inside its metadata", self->offset);
    }
    wrong = "its metadata is damaged: the checksum is another";
    if (crc == asx_crc32c(0, self->stored.bytes, header.meta_len)) {
        wrong = asxi_trace_meta_take(self->stored.bytes, header.meta_len, &self->info);
    }
    if (wrong) {
        return fail(self, "byte %zu: %s", sizeof(header), wrong);
    }
    self->good_bytes = self->offset;
    return finished(self) || self->manner == ASX_LAB_TRACE_PREFIX ||
           fail(self, "it was never finished: asx lab recover makes a file of its good part");
}

asx_lab_trace_reader *asx_lab_trace_reader_create(FILE *in, asx_lab_trace_manner manner)
{
    asx_lab_trace_reader *const self = asxi_lab_alloc(1, sizeof(*self));
    self->in = in;
    self->manner = manner;
    asx_sha256_init(&self->sha);
    (void)head_take(self);
    return self;
}

static const char *chunk_refused(const asx_lab_trace_reader *self, const asxi_trace_chunk *chunk)
{
    if (chunk->raw_len > ASX_LAB_TRACE_CHUNK_MAX) {
        return "is longer than 64 MiB";
    }
    if (chunk->stored_len == 0 || chunk->stored_len > chunk->raw_len ||
        chunk->raw_len / ASXI_TRACE_UNPACK_RATIO > chunk->stored_len) {
        return "has lengths that cannot be";
    }
    if (chunk->stored_len < chunk->raw_len && self->info.codec == ASX_LAB_TRACE_NONE) {
        return "is compressed in a file that is not";
    }
    return NULL;
}

static bool chunk_unpack(asx_lab_trace_reader *self, const asxi_trace_chunk *chunk)
{
    if (chunk->stored_len == chunk->raw_len) {
        const buffer stored = self->stored;
        self->stored = self->raw;
        self->raw = stored;
    } else {
        grow(&self->raw, chunk->raw_len, 0);
        if (!asxi_trace_unpack(self->stored.bytes, chunk->stored_len, self->raw.bytes,
                               chunk->raw_len)) {
            return fail(self, "byte %" PRIu64 ": chunk %" PRIu64 " cannot be decompressed",
                        self->chunk_at, self->chunks);
        }
    }
    self->raw_len = chunk->raw_len;
    self->raw_at = 0;
    self->chunks++;
    self->good_bytes = self->offset;
    return true;
}

/* What the header says of the records, against what they were. */
static bool end_check(asx_lab_trace_reader *self)
{
    const asx_lab_trace_info *const info = &self->info;
    unsigned char digest[32];
    self->ended = true;
    if (!finished(self)) {
        return fail(self, "byte %" PRIu64 ": it was never finished", self->offset);
    }
    if (self->records < info->kept) {
        return fail(self, "byte %" PRIu64 ": it ends after %" PRIu64 " of %" PRIu64 " records",
                    self->offset, self->records, info->kept);
    }
    const uint64_t hash = self->records ? self->certificate.trace_hash : ASX_FNV64_EMPTY;
    if (hash != info->trace_hash && !self->looked_raw) {
        return fail(self,
                    "its records hash to %016" PRIx64 ", its header says %016" PRIx64
                    ": they are not those that were written",
                    hash, info->trace_hash);
    }
    if (info->flags & ASX_LAB_TRACE_DIGESTED) {
        asx_sha256_take(&self->sha, digest);
        if (memcmp(digest, info->digest, sizeof(digest)) != 0) {
            return fail(self, "its records have another SHA-256 than its header says");
        }
    }
    const char *const differs =
        asx_lab_trace_certificate_differs(&self->certificate, &info->certificate);
    return !differs || self->looked_raw ||
           fail(self, "its certificate is not that of its records: %s", differs);
}

/* False: there is no further chunk. */
static bool chunk_take(asx_lab_trace_reader *self)
{
    asxi_trace_chunk chunk;
    self->chunk_at = self->offset;
    const size_t got = take(self, &chunk, sizeof(chunk));
    if (got == 0) {
        (void)end_check(self);
        return false;
    }
    if (finished(self) && self->records == self->info.kept) {
        return fail(self, "byte %" PRIu64 ": it goes on after its %" PRIu64 " records",
                    self->chunk_at, self->info.kept);
    }
    if (got < sizeof(chunk)) {
        return fail(self, "byte %" PRIu64 ": cut short inside the header of chunk %" PRIu64,
                    self->offset, self->chunks);
    }
    const char *const refused = chunk_refused(self, &chunk);
    if (refused) {
        return fail(self, "byte %" PRIu64 ": chunk %" PRIu64 " %s", self->chunk_at, self->chunks,
                    refused);
    }
    if (take_grown(self, &self->stored, chunk.stored_len) < chunk.stored_len) {
        return fail(self, "byte %" PRIu64 ": cut short inside chunk %" PRIu64, self->offset,
                    self->chunks);
    }
    if (chunk.crc != asxi_trace_chunk_crc(&chunk, self->stored.bytes)) {
        return fail(self, "byte %" PRIu64 ": chunk %" PRIu64 " is damaged: the checksum is another",
                    self->chunk_at, self->chunks);
    }
    return chunk_unpack(self, &chunk);
}

static bool record_fail(asx_lab_trace_reader *self, const char *what)
{
    return fail(self, "record %" PRIu64 ", in the chunk at byte %" PRIu64 ": %s", self->records,
                self->chunk_at, what);
}

/* The header of the next record, which lies in the chunk as a whole. */
static bool record_peek(asx_lab_trace_reader *self, asx_lab_event *head)
{
    if (self->ended) {
        return false;
    }
    if (self->raw_at == self->raw_len && !chunk_take(self)) {
        return false;
    }
    const size_t left = self->raw_len - self->raw_at;
    if (left < ASX_LAB_EVENT_HEADER_LEN) {
        return record_fail(self, "the chunk ends inside its header");
    }
    memcpy(head, self->raw.bytes + self->raw_at, ASX_LAB_EVENT_HEADER_LEN);
    if (asx_lab_event_size(head) > left) {
        return record_fail(self, "the chunk ends inside it");
    }
    if (finished(self) && self->records == self->info.kept) {
        return record_fail(self, "one more than the header says");
    }
    return true;
}

static void record_take(asx_lab_trace_reader *self, size_t len)
{
    if (self->info.flags & ASX_LAB_TRACE_DIGESTED) {
        asx_sha256_add(&self->sha, self->raw.bytes + self->raw_at, len);
    }
    self->raw_at += len;
    self->records++;
}

bool asx_lab_trace_reader_next_raw(asx_lab_trace_reader *self, const void **bytes, size_t *len)
{
    asx_lab_event head;
    if (!record_peek(self, &head)) {
        return false;
    }
    *bytes = self->raw.bytes + self->raw_at;
    *len = asx_lab_event_size(&head);
    self->looked_raw = true;
    record_take(self, *len);
    return true;
}

/* Lab runs number their records one by one; what a level left out leaves a gap. */
static bool in_sequence(const asx_lab_trace_reader *self, const asx_lab_event *event)
{
    const asx_lab_trace_info *const info = &self->info;
    if (info->flags & ASX_LAB_TRACE_PRODUCTION) {
        return true;
    }
    if (self->records == 0) {
        const bool from_start =
            info->level == ASX_LAB_TRACE_LOSSLESS && !(info->flags & ASX_LAB_TRACE_OVERWRITTEN);
        return event->seq == 0 || !from_start;
    }
    return info->level == ASX_LAB_TRACE_LOSSLESS ? event->seq == self->seq + 1
                                                 : event->seq > self->seq;
}

static const char *record_refused(const asx_lab_trace_reader *self, const asx_lab_event *event)
{
    const bool choice = event->kind == ASX_TRACE_CHOICE;
    if (event->kind > asx_lab_trace_kind_max(self->info.schema)) {
        return "of a kind that its schema does not know";
    }
    if (event->version != ASX_LAB_EVENT_VERSION) {
        return "of another record version";
    }
    if ((event->flags & ~RECORD_FLAGS_KNOWN) != 0 ||
        choice != ((event->flags & ASX_LAB_EVENT_CHOICE) != 0)) {
        return "has flags that cannot be";
    }
    if (!asx_lab_event_valid(event)) {
        return "has another payload than its kind";
    }
    if (!asx_lab_trace_keeps((asx_lab_trace_level)self->info.level, event->kind)) {
        return "of a kind that its level leaves out";
    }
    return in_sequence(self, event) ? NULL : "out of sequence";
}

bool asx_lab_trace_reader_next(asx_lab_trace_reader *self, asx_lab_event *event)
{
    if (!record_peek(self, event)) {
        return false;
    }
    if (event->payload_len > sizeof(event->words)) {
        return record_fail(self, "has another payload than its kind");
    }
    memcpy(event->words, self->raw.bytes + self->raw_at + ASX_LAB_EVENT_HEADER_LEN,
           event->payload_len);
    const char *const refused = record_refused(self, event);
    if (refused) {
        return record_fail(self, refused);
    }
    record_take(self, asx_lab_event_size(event));
    asx_lab_trace_certify(&self->certificate, event);
    self->seq = event->seq;
    return true;
}

const asx_lab_trace_info *asx_lab_trace_reader_info(const asx_lab_trace_reader *self)
{
    return &self->info;
}

const char *asx_lab_trace_reader_wrong(const asx_lab_trace_reader *self)
{
    return self->wrong[0] ? self->wrong : NULL;
}

uint64_t asx_lab_trace_reader_records(const asx_lab_trace_reader *self)
{
    return self->records;
}

uint64_t asx_lab_trace_reader_bytes(const asx_lab_trace_reader *self)
{
    return self->good_bytes;
}

size_t asx_lab_trace_reader_memory(const asx_lab_trace_reader *self)
{
    return self->raw.cap + self->stored.cap;
}

void asx_lab_trace_reader_destroy(asx_lab_trace_reader *self)
{
    if (self) {
        asxi_lab_free(self->raw.bytes);
        asxi_lab_free(self->stored.bytes);
        asxi_lab_free(self);
    }
}

bool asx_lab_trace_is(const char *bytes, size_t len)
{
    const size_t magic_len = sizeof(ASXI_TRACE_MAGIC) - 1;
    return len >= magic_len && memcmp(bytes, ASXI_TRACE_MAGIC, magic_len) == 0;
}
