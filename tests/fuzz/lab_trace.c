/* Any bytes as a trace file: read strictly, read as far as they are good, looked at raw, recovered.
 * What was recovered is a good file of exactly the records that were read, and a file that reads
 * strictly is recovered whole. */
#include <asx/lab/crc32c.h>
#include <asx/lab/trace_reader.h>

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed);

typedef struct account {
    uint64_t records, hash;
    bool good, headed;
} account;

static void must(bool holds)
{
    if (!holds) {
        abort();
    }
}

static FILE *open_bytes(const uint8_t *data, size_t len)
{
    FILE *const file =
        len > 0 ? fmemopen((void *)(uintptr_t)data, len, "rb") : fopen("/dev/null", "rb");
    must(file != NULL);
    return file;
}

static account read_all(FILE *in, asx_lab_trace_manner manner)
{
    account a = { .hash = ASX_FNV64_EMPTY };
    asx_lab_trace_reader *const reader = asx_lab_trace_reader_create(in, manner);
    asx_lab_event event;
    a.headed = !asx_lab_trace_reader_wrong(reader);
    while (asx_lab_trace_reader_next(reader, &event)) {
        must(asx_lab_event_valid(&event));
        a.hash = asx_lab_event_chain(a.hash, &event);
        a.records++;
    }
    a.good = !asx_lab_trace_reader_wrong(reader);
    must(a.records == asx_lab_trace_reader_records(reader));
    must(!asx_lab_trace_reader_next(reader, &event)); /* an end is an end */
    asx_lab_trace_reader_destroy(reader);
    return a;
}

static void look_raw(FILE *in, size_t file_len, uint64_t records)
{
    asx_lab_trace_reader *const reader = asx_lab_trace_reader_create(in, ASX_LAB_TRACE_PREFIX);
    const void *bytes;
    size_t len;
    uint64_t seen = 0;
    while (asx_lab_trace_reader_next_raw(reader, &bytes, &len)) {
        must(len >= ASX_LAB_EVENT_HEADER_LEN && len <= ASX_LAB_TRACE_RECORD_MAX);
        seen++;
    }
    must(seen >= records);
    must(asx_lab_trace_reader_bytes(reader) <= file_len);
    asx_lab_trace_reader_destroy(reader);
}

static void recover(FILE *in, const account *prefix, const account *strict)
{
    asx_lab_trace_recovery recovery;
    asx_err err;
    FILE *const out = tmpfile();
    must(out != NULL);
    const bool got = asx_lab_trace_recover(in, out, ASX_LAB_TRACE_LOSSLESS, &recovery, &err);
    must(!err && got == prefix->headed);
    if (got) {
        rewind(out);
        const account again = read_all(out, ASX_LAB_TRACE_STRICT);
        must(again.good && again.records == prefix->records && again.hash == prefix->hash);
        must(recovery.records == prefix->records);
        must(strict->good == !recovery.reason[0]);
    }
    fclose(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    FILE *const in = open_bytes(data, len);
    const account strict = read_all(in, ASX_LAB_TRACE_STRICT);
    rewind(in);
    const account prefix = read_all(in, ASX_LAB_TRACE_PREFIX);
    must(prefix.records >= strict.records && prefix.good == strict.good);
    rewind(in);
    look_raw(in, len, prefix.records);
    rewind(in);
    recover(in, &prefix, &strict);
    fclose(in);
    return 0;
}

static void seal(uint8_t *data, size_t at, size_t len, size_t sum_at)
{
    const uint32_t crc = asx_crc32c(0, data + at, len);
    memcpy(data + sum_at, &crc, sizeof(crc));
}

static void seal_chunks(uint8_t *data, size_t size, size_t at)
{
    while (size - at >= ASX_LAB_TRACE_CHUNK_HEADER_LEN) {
        uint32_t stored_len;
        memcpy(&stored_len, data + at + 4, sizeof(stored_len));
        if (stored_len > size - at - ASX_LAB_TRACE_CHUNK_HEADER_LEN) {
            return;
        }
        const uint32_t crc = asx_crc32c(asx_crc32c(0, data + at, 8), data + at + 12, stored_len);
        memcpy(data + at + 8, &crc, sizeof(crc));
        at += ASX_LAB_TRACE_CHUNK_HEADER_LEN + stored_len;
    }
}

/* The checksums are made right, so that what changed is met by what lies behind them. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned int seed)
{
    size = LLVMFuzzerMutate(data, size, max_size);
    if (size < ASX_LAB_TRACE_HEADER_LEN || seed % 8 == 0) {
        return size;
    }
    uint32_t meta_len;
    memcpy(&meta_len, data + 96, sizeof(meta_len));
    if (meta_len <= size - ASX_LAB_TRACE_HEADER_LEN &&
        size - ASX_LAB_TRACE_HEADER_LEN - meta_len >= 4) {
        const size_t chunks = ASX_LAB_TRACE_HEADER_LEN + meta_len + 4;
        seal(data, ASX_LAB_TRACE_HEADER_LEN, meta_len, chunks - 4);
        seal_chunks(data, size, chunks);
    }
    seal(data, 0, 100, 100);
    return size;
}
