#include <asx/raptorq/landing.h>
#include <asx/raptorq/object.h>
#include <asx/shard/base/assert.h>

#include "volume_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct reader {
    const asx_rq_volume_config *config;
    const char *dir;
    asxi_manifest manifest;
    asxi_map volumes[ASX_RQ_VOLUMES_MAX];
    size_t at[ASX_RQ_VOLUMES_MAX]; /* how far each was read: records ascend by block */
    asx_rq_receiver_object *receiver;
    uint8_t *target;
    uint8_t *scratch; /* 64 + T */
    asx_rq_volume_report *report;
} reader;

static size_t record_size(const reader *r)
{
    return RECORD_HEAD + (size_t)r->manifest.oti.symbol_size;
}

static void open_volumes(reader *r)
{
    for (uint32_t i = 0; i < r->manifest.volumes; i++) {
        char path[PATH_MAX];
        asxi_volume_path(path, r->dir, i, "");
        if (asxi_map_open(&r->volumes[i], path) != ASX_OK) {
            r->report->volumes_missing++;
        }
    }
}

/* Is it a symbol of this object, undamaged? */
static bool is_good(reader *r, const uint8_t *record)
{
    uint8_t tag[RECORD_TAG];
    memcpy(r->scratch + 64, record + RECORD_HEAD, r->manifest.oti.symbol_size);
    asxi_record_tag(&r->manifest, record, r->scratch, r->config->digest, tag);
    return memcmp(tag, record + ASX_RQ_PAYLOAD_ID_SIZE, RECORD_TAG) == 0;
}

static asx_err feed(reader *r, uint32_t sbn, uint32_t esi, const uint8_t *symbol)
{
    const asx_err err =
        asx_rq_receiver_object_feed(r->receiver, sbn, esi, symbol, r->manifest.oti.symbol_size);
    const bool harmless = err == ASX_OK || err == ASX_RQ_E(DUPLICATE) || err == ASX_RQ_E(DONE) ||
                          err == ASX_RQ_E(FULL);
    return harmless ? ASX_OK : err;
}

/* Reads the volume's records of one block. Good records stand in ascending order; a damaged number
 * must not end the block early, so that only good records are believed. Reading goes on after the
 * block is there: every record is checked and counted. */
static asx_err read_volume(reader *r, uint32_t volume, uint32_t sbn)
{
    const asxi_map *map = &r->volumes[volume];
    const size_t size = record_size(r);
    for (; map->size - r->at[volume] >= size; r->at[volume] += size) {
        const uint8_t *record = map->data + r->at[volume];
        uint32_t record_sbn, esi;
        asx_rq_payload_id_decode(record, &record_sbn, &esi);
        if (!is_good(r, record)) {
            r->report->damaged++;
            continue;
        }
        if (record_sbn > sbn) {
            return ASX_OK;
        }
        r->report->symbols++;
        const asx_err err = record_sbn == sbn ? feed(r, sbn, esi, record + RECORD_HEAD) : ASX_OK;
        if (err != ASX_OK) {
            return err;
        }
    }
    if (r->at[volume] < map->size) {
        r->report->damaged++; /* a record that was cut off */
        r->at[volume] = map->size;
    }
    return ASX_OK;
}

static void complain(reader *r, uint32_t sbn, const asx_rq_progress *progress)
{
    r->report->blocks_bad++;
    if (r->report->text[0] == '\0') {
        snprintf(r->report->text, sizeof(r->report->text),
                 "block %" PRIu32 " of %" PRIu32 " has %" PRIu32 " of its %" PRIu32
                 " symbols, at least %" PRIu32 " more are needed",
                 sbn, r->manifest.oti.blocks, progress->have, progress->k, progress->need);
    }
}

/* Decodes block after block; goes on after one that fails, to name all that is missing. */
static asx_err read_blocks(reader *r)
{
    asx_err first = ASX_OK;
    for (uint32_t sbn = 0; sbn < r->manifest.oti.blocks; sbn++) {
        for (uint32_t i = 0; i < r->manifest.volumes; i++) {
            const asx_err err = read_volume(r, i, sbn);
            if (err != ASX_OK) {
                return err;
            }
        }
        const asx_rq_progress progress = asx_rq_receiver_object_progress(r->receiver, sbn);
        if (!progress.is_done) {
            complain(r, sbn, &progress);
            const asx_err err = progress.have < progress.k ? ASX_RQ_E(TOO_FEW) : ASX_RQ_E(RANK);
            first = first == ASX_OK ? err : first;
        }
        const asx_rq_extent extent = asx_rq_oti_block(&r->manifest.oti, sbn);
        if (r->config->progress != NULL) {
            r->config->progress(r->config->progress_arg, extent.offset + extent.size,
                                r->manifest.size);
        }
    }
    return first;
}

static asx_err check_whole(reader *r)
{
    uint8_t digest[ASX_RQ_DIGEST_SIZE];
    r->config->digest(r->target != NULL ? r->target : (const uint8_t *)"", r->manifest.size,
                      digest);
    if (memcmp(digest, r->manifest.digest, sizeof(digest)) != 0) {
        snprintf(r->report->text, sizeof(r->report->text),
                 "the decoded object does not have the manifest's SHA-256");
        return ASX_RQ_E(CORRUPT);
    }
    return ASX_OK;
}

static asx_err read_all(reader *r)
{
    if (r->manifest.size == 0) {
        return check_whole(r);
    }
    /* a block that fails keeps its place until the end */
    const asx_rq_object_config config = { .blocks_max = 255, .verify_max = 1 };
    r->scratch = asx_rq_alloc_get(NULL, 64u + r->manifest.oti.symbol_size);
    if (r->scratch == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    asx_err err = asx_rq_receiver_object_create(&r->receiver, &r->manifest.oti, r->target, &config,
                                                NULL, NULL);
    if (err == ASX_OK) {
        err = read_blocks(r);
    }
    return err == ASX_OK ? check_whole(r) : err;
}

/* Maps `size` bytes to decode into: of the file at `fd`, or with -1 of memory. */
static asx_err map_target(reader *r, int fd)
{
    if (fd >= 0 && ftruncate(fd, (off_t)r->manifest.size) != 0) {
        return asx_err_errno(errno);
    }
    if (r->manifest.size == 0) {
        return ASX_OK;
    }
    const int flags = fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    void *target = mmap(NULL, r->manifest.size, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (target == MAP_FAILED) {
        return asx_err_errno(errno);
    }
    r->target = target;
    return ASX_OK;
}

static void reader_close(reader *r)
{
    asx_rq_receiver_object_destroy(r->receiver);
    asx_rq_alloc_put(NULL, r->scratch, 64u + r->manifest.oti.symbol_size);
    for (uint32_t i = 0; i < r->manifest.volumes; i++) {
        asxi_map_close(&r->volumes[i]);
    }
    if (r->target != NULL) {
        munmap(r->target, r->manifest.size);
    }
}

/* Into a file that takes the output's name once all is right. */
static asx_err decode_to(reader *r, const char *file)
{
    asx_rq_landing landing;
    asx_err err = asx_rq_landing_open(&landing, file, r->manifest.size);
    if (err != ASX_OK) {
        snprintf(r->report->text, sizeof(r->report->text), "cannot write the output");
        return err;
    }
    r->target = landing.data;
    err = read_all(r);
    err = err == ASX_OK ? asx_rq_landing_commit(&landing) : err;
    asx_rq_receiver_object_destroy(r->receiver); /* it has the target until here */
    r->receiver = NULL;
    r->target = NULL;
    asx_rq_landing_close(&landing);
    return err;
}

asx_err asx_rq_volume_decode(const char *dir, const char *file, const asx_rq_volume_config *config,
                             asx_rq_volume_report *report)
{
    memset(report, 0, sizeof(*report));
    reader r = { .config = config, .dir = dir, .report = report };
    char path[PATH_MAX];
    asxi_manifest_path(path, dir, "");
    asx_err err = asxi_manifest_read(&r.manifest, path);
    if (err != ASX_OK) {
        snprintf(report->text, sizeof(report->text), "no usable manifest in the directory");
        return err;
    }
    asx_assert_le(r.manifest.volumes, ASX_RQ_VOLUMES_MAX);
    report->size = r.manifest.size;
    report->blocks = r.manifest.oti.blocks;
    report->volumes = r.manifest.volumes;
    open_volumes(&r);
    if (file != NULL) {
        err = decode_to(&r, file);
    } else {
        /* Decoded into a file without a name, so that objects larger than memory can be verified;
         * where the directory takes none, into memory. */
        const int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
        err = map_target(&r, fd);
        err = err == ASX_OK ? read_all(&r) : err;
        if (fd >= 0) {
            close(fd);
        }
    }
    reader_close(&r);
    return err;
}
