#include <asx/raptorq/object.h>
#include <asx/shard/base/bits.h>

#include "volume_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char temporary[] = ".tmp";

typedef struct writer {
    const asx_rq_volume_config *config;
    const char *dir;
    asxi_manifest manifest;
    FILE *volumes[ASX_RQ_VOLUMES_MAX];
    bool is_nameless; /* the volumes, until they are whole */
    asx_rq_sender_object *sender;
    uint8_t *scratch; /* 64 + T */
    asx_rq_volume_report *report;
} writer;

static asx_err write_symbol(writer *w, uint32_t sbn, uint32_t esi)
{
    const size_t size = w->manifest.oti.symbol_size;
    const asx_err err = asx_rq_sender_object_symbol(w->sender, sbn, esi, w->scratch + 64);
    if (err != ASX_OK) {
        return err;
    }
    uint8_t head[RECORD_HEAD];
    asx_rq_payload_id_encode(head, sbn, esi);
    asxi_record_tag(&w->manifest, head, w->scratch, w->config->digest,
                    head + ASX_RQ_PAYLOAD_ID_SIZE);
    FILE *file = w->volumes[esi % w->manifest.volumes];
    if (fwrite(head, sizeof(head), 1, file) != 1 || fwrite(w->scratch + 64, size, 1, file) != 1) {
        return asx_err_errno(errno);
    }
    w->report->symbols++;
    return ASX_OK;
}

static asx_err write_block(writer *w, uint32_t sbn)
{
    const asx_rq_extent extent = asx_rq_oti_block(&w->manifest.oti, sbn);
    const uint64_t repairs = asx_div_ceil((uint64_t)extent.k * w->config->overhead_permille, 1000);
    asx_err err = ASX_OK;
    for (uint32_t esi = 0; err == ASX_OK && esi < extent.k + repairs; esi++) {
        err = write_symbol(w, sbn, esi);
    }
    if (err == ASX_OK && w->config->progress != NULL) {
        w->config->progress(w->config->progress_arg, extent.offset + extent.size, w->manifest.size);
    }
    return err;
}

/* Files without names as long as they are written, where the file system has such: an encode that
 * is killed leaves nothing behind. */
static asx_err open_volumes(writer *w)
{
    w->is_nameless = true;
    for (uint32_t i = 0; i < w->manifest.volumes; i++) {
        char path[PATH_MAX];
        asxi_volume_path(path, w->dir, i, temporary);
        const int fd = w->is_nameless ? open(w->dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666) : -1;
        w->is_nameless = fd >= 0;
        w->volumes[i] = fd >= 0 ? fdopen(fd, "w") : fopen(path, "we");
        if (w->volumes[i] == NULL) {
            const int errnum = errno;
            if (fd >= 0) {
                close(fd);
            }
            return asx_err_errno(errnum);
        }
    }
    return ASX_OK;
}

/* Gives a volume that has none its temporary name. */
static asx_err name_volume(const writer *w, uint32_t volume)
{
    char self[64], path[PATH_MAX];
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fileno(w->volumes[volume]));
    asxi_volume_path(path, w->dir, volume, temporary);
    unlink(path); /* left by a run that had to use names */
    return linkat(AT_FDCWD, self, AT_FDCWD, path, AT_SYMLINK_FOLLOW) == 0 ? ASX_OK
                                                                          : asx_err_errno(errno);
}

static asx_err write_all(writer *w, const asxi_map *source)
{
    asx_err err = open_volumes(w);
    if (err != ASX_OK || w->manifest.size == 0) {
        return err;
    }
    w->scratch = asx_rq_alloc_get(NULL, 64u + w->manifest.oti.symbol_size);
    if (w->scratch == NULL) {
        return ASX_RQ_E(NO_MEMORY);
    }
    err = asx_rq_sender_object_create(&w->sender, &w->manifest.oti, source->data, NULL);
    for (uint32_t sbn = 0; err == ASX_OK && sbn < w->manifest.oti.blocks; sbn++) {
        err = write_block(w, sbn);
    }
    return err;
}

static asx_err rename_from_temporary(const char *path)
{
    char from[PATH_MAX + sizeof(temporary)];
    snprintf(from, sizeof(from), "%s%s", path, temporary);
    return rename(from, path) == 0 ? ASX_OK : asx_err_errno(errno);
}

/* Closes the volumes and, when all is well, gives everything its name, the manifest last: without
 * it the directory is no archive. */
static asx_err finish(writer *w, asx_err err)
{
    char path[PATH_MAX];
    for (uint32_t i = 0; i < w->manifest.volumes; i++) {
        if (w->volumes[i] == NULL) {
            continue;
        }
        if (err == ASX_OK && w->is_nameless) {
            err = name_volume(w, i);
        }
        if (fclose(w->volumes[i]) != 0 && err == ASX_OK) {
            err = asx_err_errno(errno);
        }
    }
    if (err == ASX_OK) {
        asxi_manifest_path(path, w->dir, temporary);
        err = asxi_manifest_write(&w->manifest, path);
    }
    for (uint32_t i = 0; err == ASX_OK && i < w->manifest.volumes; i++) {
        asxi_volume_path(path, w->dir, i, "");
        err = rename_from_temporary(path);
    }
    if (err == ASX_OK) {
        asxi_manifest_path(path, w->dir, "");
        err = rename_from_temporary(path);
    }
    if (err != ASX_OK) {
        for (uint32_t i = 0; i < w->manifest.volumes; i++) {
            asxi_volume_path(path, w->dir, i, temporary);
            unlink(path);
        }
        asxi_manifest_path(path, w->dir, temporary);
        unlink(path);
    }
    return err;
}

asx_err asx_rq_volume_encode(const char *file, const char *dir, const asx_rq_volume_config *config,
                             asx_rq_volume_report *report)
{
    memset(report, 0, sizeof(*report));
    asxi_map source;
    asx_err err = asxi_map_open(&source, file);
    if (err != ASX_OK) {
        snprintf(report->text, sizeof(report->text), "cannot read the file");
        return err;
    }
    writer w = { .config = config,
                 .dir = dir,
                 .manifest = { .size = source.size, .volumes = config->volumes },
                 .report = report };
    config->digest(source.data != NULL ? source.data : (const uint8_t *)"", source.size,
                   w.manifest.digest);
    if (source.size > 0) {
        err = asx_rq_oti_by_block(&w.manifest.oti, source.size, config->symbol_size,
                                  config->block_size);
    }
    if (err == ASX_OK && mkdir(dir, 0777) != 0 && errno != EEXIST) {
        err = asx_err_errno(errno);
        snprintf(report->text, sizeof(report->text), "cannot make the directory");
    }
    if (err == ASX_OK) {
        err = finish(&w, write_all(&w, &source));
    }
    report->size = source.size;
    report->blocks = w.manifest.oti.blocks;
    report->volumes = config->volumes;
    asx_rq_sender_object_destroy(w.sender);
    asx_rq_alloc_put(NULL, w.scratch, 64u + w.manifest.oti.symbol_size);
    asxi_map_close(&source);
    return err;
}
