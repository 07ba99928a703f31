#include <asx/lab/trace_writer.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/sha256.h>

#include "array_internal.h"
#include "trace_internal.h"

#include <errno.h>
#include <string.h>

#define SAVES_AT_LEAST 16u /* compressed only where it saves the 16th part */

struct asx_lab_trace_writer {
    asx_lab_listener listener;
    FILE *out;
    asx_lab_trace_info info;
    asx_sha256 sha;
    asx_lab_trace_codec codec;
    bool digested, finished, packed; /* a chunk is stored compressed */
    asx_err halted;
    char *raw, *stored;
    uint32_t raw_len, raw_cap;
    uint64_t raw_total;       /* bytes of all chunks before this */
    uint64_t added, buffered; /* records given; of them, in `raw` */
};

static asx_err last_error(void)
{
    return asx_err_errno(errno ? errno : EIO);
}

static bool put(asx_lab_trace_writer *self, const void *bytes, size_t len)
{
    errno = 0;
    if (!self->halted && fwrite(bytes, 1, len, self->out) != len) {
        self->halted = last_error();
    }
    return !self->halted;
}

static bool flush(asx_lab_trace_writer *self)
{
    errno = 0;
    if (!self->halted && fflush(self->out) != 0) {
        self->halted = last_error();
    }
    return !self->halted;
}

/* Header and metadata, as they are known now. */
static bool head_put(asx_lab_trace_writer *self)
{
    asxi_array meta;
    asxi_trace_header header;
    asxi_trace_meta_of(&self->info, &meta);
    const uint32_t tags_len = meta.count - (uint32_t)sizeof(uint32_t);
    asx_assert_le(tags_len, ASX_LAB_TRACE_META_MAX);
    asxi_trace_header_of(&self->info, tags_len, &header);
    const bool written =
        put(self, &header, sizeof(header)) && put(self, asxi_array_items(&meta), meta.count);
    asxi_array_deinit(&meta);
    return written && flush(self);
}

static void hear(asx_lab_listener *listener, const asx_lab_event *event)
{
    asx_lab_trace_writer_add(asx_container_of(listener, asx_lab_trace_writer, listener), event);
}

static void info_open(asx_lab_trace_info *info, const asx_lab_trace_options *options)
{
    *info = (asx_lab_trace_info){
        .flags = (uint16_t)(options->production ? ASX_LAB_TRACE_PRODUCTION : 0),
        .schema = ASX_LAB_TRACE_SCHEMA,
        .seed = asx_lab_config_fill(options->config).seed,
        .config_hash = asx_lab_config_hash(options->config),
        .build_id = asx_lab_build_id(),
        .total = ASX_LAB_TRACE_UNFINISHED,
        .trace_hash = ASX_FNV64_EMPTY,
        .config = *options->config,
        .level = options->level,
    };
    if (options->codec != ASX_LAB_TRACE_NONE) {
        info->codec = ASX_LAB_TRACE_LZ4;
        info->flags |= ASX_LAB_TRACE_COMPRESSED;
    }
    snprintf(info->scenario, sizeof(info->scenario), "%s",
             options->scenario ? options->scenario : "");
}

asx_err asx_lab_trace_writer_create(FILE *out, const asx_lab_trace_options *options,
                                    asx_lab_trace_writer **writer)
{
    const uint32_t chunk_len = options->chunk_len ? options->chunk_len : ASX_LAB_TRACE_CHUNK_LEN;
    *writer = NULL;
    asx_assert_le(sizeof(asx_lab_event), chunk_len);
    asx_assert_le(chunk_len, ASX_LAB_TRACE_CHUNK_MAX);
    if (fseeko(out, 0, SEEK_SET) != 0) {
        return last_error();
    }
    asx_lab_trace_writer *const self = asxi_lab_alloc(1, sizeof(*self));
    self->out = out;
    self->codec = options->codec;
    self->digested = !options->undigested;
    self->listener.hear = hear;
    self->raw_cap = chunk_len;
    self->raw = asxi_lab_alloc(chunk_len, 1);
    self->stored = asxi_lab_alloc(chunk_len, 1);
    info_open(&self->info, options);
    asx_sha256_init(&self->sha);
    if (!head_put(self)) {
        const asx_err err = self->halted;
        asx_lab_trace_writer_destroy(self);
        return err;
    }
    *writer = self;
    return ASX_OK;
}

/* Whether this chunk is to be tried at all. */
static bool packs(const asx_lab_trace_writer *self)
{
    return self->codec == ASX_LAB_TRACE_LZ4 ||
           (self->codec == ASX_LAB_TRACE_AUTO && self->raw_total >= ASX_LAB_TRACE_AUTO_BYTES);
}

static void chunk_put(asx_lab_trace_writer *self)
{
    if (self->raw_len == 0 || self->halted) {
        return;
    }
    asxi_trace_chunk chunk = { .raw_len = self->raw_len, .stored_len = self->raw_len };
    const char *stored = self->raw;
    if (packs(self)) {
        const size_t len = asxi_trace_pack(self->raw, self->raw_len, self->stored,
                                           self->raw_len - self->raw_len / SAVES_AT_LEAST);
        if (len > 0) {
            chunk.stored_len = (uint32_t)len;
            stored = self->stored;
            self->packed |= chunk.stored_len < chunk.raw_len;
        }
    }
    if (chunk.stored_len == chunk.raw_len) {
        stored = self->raw; /* equal lengths say so */
    }
    chunk.crc = asxi_trace_chunk_crc(&chunk, stored);
    if (put(self, &chunk, sizeof(chunk)) && put(self, stored, chunk.stored_len) && flush(self)) {
        self->info.kept += self->buffered;
        self->raw_total += self->raw_len;
        self->raw_len = 0;
        self->buffered = 0;
    }
}

void asx_lab_trace_writer_add(asx_lab_trace_writer *self, const asx_lab_event *event)
{
    const uint32_t size = (uint32_t)asx_lab_event_size(event);
    asx_assert(!self->finished);
    self->added++;
    if (self->halted || !asx_lab_trace_keeps((asx_lab_trace_level)self->info.level, event->kind)) {
        return;
    }
    if (self->raw_len + size > self->raw_cap) {
        chunk_put(self);
        if (self->halted) {
            return;
        }
    }
    memcpy(self->raw + self->raw_len, event, size);
    self->raw_len += size;
    self->buffered++;
    asx_lab_trace_certify(&self->info.certificate, event);
    if (self->digested) {
        asx_sha256_add(&self->sha, event, size);
    }
}

asx_lab_listener *asx_lab_trace_writer_listener(asx_lab_trace_writer *self)
{
    return &self->listener;
}

asx_err asx_lab_trace_writer_halted(const asx_lab_trace_writer *self)
{
    return self->halted;
}

uint64_t asx_lab_trace_writer_kept(const asx_lab_trace_writer *self)
{
    return self->info.kept;
}

static asx_err finish(asx_lab_trace_writer *self)
{
    asx_lab_trace_info *const info = &self->info;
    asx_assert(!self->finished);
    self->finished = true;
    chunk_put(self);
    if (self->halted) {
        return self->halted;
    }
    if (info->certificate.events > 0) {
        info->trace_hash = info->certificate.trace_hash;
    }
    asx_assert_eq(info->kept, info->certificate.events);
    if (self->digested) {
        info->flags |= ASX_LAB_TRACE_DIGESTED;
        asx_sha256_take(&self->sha, info->digest);
    }
    if (!self->packed) { /* nothing was: whoever reads it needs no codec */
        info->codec = ASX_LAB_TRACE_NONE;
        info->flags &= (uint16_t)~ASX_LAB_TRACE_COMPRESSED;
    }
    errno = 0;
    if (fseeko(self->out, 0, SEEK_SET) != 0) {
        self->halted = last_error();
        return self->halted;
    }
    (void)head_put(self);
    return self->halted;
}

asx_err asx_lab_trace_writer_finish(asx_lab_trace_writer *self, const asx_lab_report *report)
{
    asx_lab_trace_receipt *const receipt = &self->info.receipt;
    self->info.total = self->added;
    if (report) {
        *receipt = (asx_lab_trace_receipt){
            .steps = report->steps,
            .now_ns = report->now_ns,
            .choices = report->choice_count,
            .run_total = report->trace_total,
            .run_hash = report->trace_hash,
            .schedule_hash = report->schedule_hash,
            .fingerprint = report->fingerprint,
            .termination = report->termination,
            .ended = 1,
        };
        self->info.total = report->trace_total;
        if (report->violation_count > 0) {
            snprintf(receipt->violation, sizeof(receipt->violation), "%.31s: %.120s",
                     report->violations[0].code, report->violations[0].text);
        }
    }
    return finish(self);
}

asx_err asx_lab_trace_writer_finish_copy(asx_lab_trace_writer *self,
                                         const asx_lab_trace_info *original, bool cut)
{
    asx_lab_trace_info *const info = &self->info;
    const bool known = original->total != ASX_LAB_TRACE_UNFINISHED;
    info->total = known ? original->total : self->added;
    info->seed = original->seed;
    info->config_hash = original->config_hash;
    info->build_id = original->build_id;
    info->receipt = original->receipt;
    info->cut = cut || original->cut;
    info->flags |= original->flags & (ASX_LAB_TRACE_OVERWRITTEN | ASX_LAB_TRACE_PRODUCTION);
    return finish(self);
}

void asx_lab_trace_writer_destroy(asx_lab_trace_writer *self)
{
    if (self) {
        asxi_lab_free(self->raw);
        asxi_lab_free(self->stored);
        asxi_lab_free(self);
    }
}

asx_err asx_lab_trace_write(const asx_lab_report *report, const asx_lab_trace_options *options,
                            FILE *out)
{
    asx_lab_trace_writer *self;
    asx_err err = asx_lab_trace_writer_create(out, options, &self);
    if (err) {
        return err;
    }
    for (uint32_t i = 0; i < report->events_kept; i++) {
        asx_lab_trace_writer_add(self, &report->events[i]);
    }
    if (report->events_kept < report->trace_total) {
        self->info.flags |= ASX_LAB_TRACE_OVERWRITTEN;
    }
    err = asx_lab_trace_writer_finish(self, report);
    asx_lab_trace_writer_destroy(self);
    return err;
}
