/* Header and metadata of trace files, to bytes and back. */
#include <asx/lab/crc32c.h>
#include <asx/shard/base/assert.h>

#include "crashpack_internal.h"
#include "trace_internal.h"

#include <string.h>

void asxi_trace_header_of(const asx_lab_trace_info *info, uint32_t meta_len,
                          asxi_trace_header *header)
{
    *header = (asxi_trace_header){ .version = ASX_LAB_TRACE_VERSION,
                                   .flags = info->flags,
                                   .schema = info->schema,
                                   .codec = info->codec,
                                   .seed = info->seed,
                                   .config_hash = info->config_hash,
                                   .build_id = info->build_id,
                                   .kept = info->kept,
                                   .total = info->total,
                                   .trace_hash = info->trace_hash,
                                   .meta_len = meta_len };
    memcpy(header->magic, ASXI_TRACE_MAGIC, sizeof(header->magic));
    memcpy(header->digest, info->digest, sizeof(header->digest));
    header->crc = asx_crc32c(0, header, offsetof(asxi_trace_header, crc));
}

static const char *header_refused(const asxi_trace_header *header)
{
    if (memcmp(header->magic, ASXI_TRACE_MAGIC, sizeof(header->magic)) != 0) {
        return "not a trace file";
    }
    if (header->version > ASX_LAB_TRACE_VERSION) {
        return "its container is newer than this program";
    }
    if (header->crc != asx_crc32c(0, header, offsetof(asxi_trace_header, crc))) {
        return "its header is damaged: the checksum is another";
    }
    if (header->version == 0) {
        return "its container has version 0, which never was";
    }
    if (header->flags & ~ASXI_TRACE_FLAGS_KNOWN) {
        return "its header has a flag that this program does not know";
    }
    if (header->codec > ASX_LAB_TRACE_LZ4) {
        return "its codec is not known: none and lz4 are";
    }
    if ((header->codec != ASX_LAB_TRACE_NONE) != !!(header->flags & ASX_LAB_TRACE_COMPRESSED)) {
        return "its header contradicts itself: codec and flag";
    }
    if (header->schema > ASX_LAB_TRACE_SCHEMA) {
        return "its events are of a newer schema than this program's";
    }
    if (header->schema == 0) {
        return "its events are of schema 0, which never was";
    }
    return header->meta_len > ASX_LAB_TRACE_META_MAX ? "its metadata is longer than 1 MiB" : NULL;
}

const char *asxi_trace_header_take(const asxi_trace_header *header, asx_lab_trace_info *info)
{
    const char *const refused = header_refused(header);
    if (refused) {
        return refused;
    }
    info->flags = header->flags;
    info->schema = header->schema;
    info->codec = header->codec;
    info->seed = header->seed;
    info->config_hash = header->config_hash;
    info->build_id = header->build_id;
    info->kept = header->kept;
    info->total = header->total;
    info->trace_hash = header->trace_hash;
    memcpy(info->digest, header->digest, sizeof(info->digest));
    if (info->total != ASX_LAB_TRACE_UNFINISHED && info->kept > info->total) {
        return "its header contradicts itself: more records than the run had";
    }
    return NULL;
}

/* Numbers are part of files: append only. */
enum {
    TAG_SCENARIO = 1,
    TAG_CONFIG = 2, /* lines "knob NAME NUMBER" */
    TAG_EXTENT = 3,
    TAG_CERTIFICATE = 4,
    TAG_RECEIPT = 5,
};

typedef struct tag {
    uint16_t tag, zero;
    uint32_t len;
} tag;

typedef struct extent {
    uint32_t level, cut, mode, zero;
} extent;

static_assert(sizeof(tag) == 8 && sizeof(extent) == 16 && sizeof(asx_lab_trace_certificate) == 96 &&
                  sizeof(asx_lab_trace_receipt) == 224,
              "no padding in files");

static void tag_put(asxi_array *meta, uint16_t number, const void *bytes, size_t len)
{
    const tag head = { .tag = number, .len = (uint32_t)len };
    asxi_array_append(meta, &head, sizeof(head));
    asxi_array_append(meta, bytes, (uint32_t)len);
}

static void config_put(asxi_array *meta, const asx_lab_config *config)
{
    char text[4096]; /* of two hundred knobs at their longest; there are a few dozen */
    FILE *const lines = fmemopen(text, sizeof(text), "w");
    asx_assert(lines);
    asxi_knobs_print(config, lines);
    const long len = ftell(lines);
    const int full = fclose(lines);
    asx_assert(full == 0 && len > 0);
    tag_put(meta, TAG_CONFIG, text, (size_t)len);
}

void asxi_trace_meta_of(const asx_lab_trace_info *info, asxi_array *meta)
{
    const extent kept = { .level = info->level,
                          .cut = info->cut,
                          .mode = (uint32_t)info->config.mode };
    asxi_array_init(meta, 1);
    tag_put(meta, TAG_SCENARIO, info->scenario, sizeof(info->scenario));
    config_put(meta, &info->config);
    tag_put(meta, TAG_EXTENT, &kept, sizeof(kept));
    tag_put(meta, TAG_CERTIFICATE, &info->certificate, sizeof(info->certificate));
    tag_put(meta, TAG_RECEIPT, &info->receipt, sizeof(info->receipt));
    const uint32_t crc = asx_crc32c(0, asxi_array_items(meta), meta->count);
    asxi_array_append(meta, &crc, sizeof(crc));
}

/* "knob NAME NUMBER\n" as often as `len` bytes hold. */
static bool config_take(const char *text, size_t len, asx_lab_config *config)
{
    const char *const end = text + len;
    while (text < end) {
        const char *const line_end = memchr(text, '\n', (size_t)(end - text));
        char line[96], name[64];
        uint64_t value;
        int used = 0;
        if (!line_end || (size_t)(line_end - text) >= sizeof(line)) {
            return false;
        }
        memcpy(line, text, (size_t)(line_end - text));
        line[line_end - text] = '\0';
        if (sscanf(line, "knob %63s %" SCNu64 "%n", name, &value, &used) != 2 ||
            line[used] != '\0' || !asxi_knob_set(config, name, value)) {
            return false;
        }
        text = line_end + 1;
    }
    return true;
}

/* Copies a value of exactly its size. */
static bool value_take(void *value, size_t size, const char *bytes, size_t len)
{
    if (len != size) {
        return false;
    }
    memcpy(value, bytes, size);
    return true;
}

static const char *extent_take(asx_lab_trace_info *info, const char *bytes, size_t len)
{
    extent kept;
    if (!value_take(&kept, sizeof(kept), bytes, len) || kept.level > ASX_LAB_TRACE_SKELETON ||
        kept.cut > 1 || kept.mode > ASX_LAB_STEERED || kept.zero != 0) {
        return "its metadata says what was kept in a way that cannot be";
    }
    info->level = kept.level;
    info->cut = kept.cut;
    info->config.mode = (asx_lab_mode)kept.mode;
    return NULL;
}

static const char *tag_take(asx_lab_trace_info *info, uint16_t number, const char *bytes,
                            size_t len)
{
    asx_lab_trace_receipt *const receipt = &info->receipt;
    switch (number) {
    case TAG_SCENARIO:
        return value_take(info->scenario, sizeof(info->scenario), bytes, len) &&
                       info->scenario[sizeof(info->scenario) - 1] == '\0'
                   ? NULL
                   : "its metadata has a name that cannot be";
    case TAG_CONFIG:
        return config_take(bytes, len, &info->config)
                   ? NULL
                   : "its metadata has a knob that this program does not know";
    case TAG_EXTENT:
        return extent_take(info, bytes, len);
    case TAG_CERTIFICATE:
        return value_take(&info->certificate, sizeof(info->certificate), bytes, len)
                   ? NULL
                   : "its metadata has a certificate of another size";
    case TAG_RECEIPT:
        return value_take(receipt, sizeof(*receipt), bytes, len) &&
                       receipt->violation[sizeof(receipt->violation) - 1] == '\0'
                   ? NULL
                   : "its metadata has a receipt that cannot be";
    default:
        return NULL; /* of a later program; the checksum covers it */
    }
}

const char *asxi_trace_meta_take(const char *meta, size_t len, asx_lab_trace_info *info)
{
    unsigned seen = 0;
    for (size_t at = 0; at < len;) {
        tag head;
        if (len - at < sizeof(head)) {
            return "its metadata ends inside a tag";
        }
        memcpy(&head, meta + at, sizeof(head));
        at += sizeof(head);
        if (head.zero != 0 || head.len > len - at) {
            return "its metadata has a tag that is longer than it";
        }
        const char *const wrong = tag_take(info, head.tag, meta + at, head.len);
        if (wrong) {
            return wrong;
        }
        if (head.tag <= TAG_RECEIPT) {
            if (seen & 1u << head.tag) {
                return "its metadata says something twice";
            }
            seen |= 1u << head.tag;
        }
        at += head.len;
    }
    const unsigned needed = 1u << TAG_SCENARIO | 1u << TAG_CONFIG | 1u << TAG_EXTENT |
                            1u << TAG_CERTIFICATE | 1u << TAG_RECEIPT;
    if ((seen & needed) != needed) {
        return "its metadata is incomplete";
    }
    asx_lab_config config = info->config;
    config.mode = ASX_LAB_RANDOM; /* whose list or strategy is not here to be looked at */
    return asx_lab_config_refused(&config) ? "its metadata has knobs that no run can have" : NULL;
}

uint32_t asxi_trace_chunk_crc(const asxi_trace_chunk *chunk, const void *stored)
{
    const uint32_t of_lengths = asx_crc32c(0, chunk, offsetof(asxi_trace_chunk, crc));
    return asx_crc32c(of_lengths, stored, chunk->stored_len);
}
