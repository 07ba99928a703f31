#include <asx/raptorq/volume.h>

#include "volume_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MANIFEST_MAX = 512 }; /* three times what one has */

asx_err asxi_map_open(asxi_map *map, const char *path)
{
    map->data = NULL;
    map->size = 0;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return asx_err_errno(errno);
    }
    struct stat stat;
    asx_err err = ASX_OK;
    if (fstat(fd, &stat) != 0) {
        err = asx_err_errno(errno);
    } else if (!S_ISREG(stat.st_mode)) {
        err = asx_err_errno(EINVAL);
    } else if (stat.st_size > 0) {
        void *data = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED) {
            err = asx_err_errno(errno);
        } else {
            map->data = data;
            map->size = (size_t)stat.st_size;
        }
    }
    close(fd);
    return err;
}

void asxi_map_close(asxi_map *map)
{
    if (map->data != NULL) {
        munmap(map->data, map->size);
        map->data = NULL;
    }
}

void asxi_volume_path(char path[PATH_MAX], const char *dir, uint32_t volume, const char *suffix)
{
    snprintf(path, PATH_MAX, "%s/volume-%02" PRIu32 ".rq%s", dir, volume, suffix);
}

void asxi_manifest_path(char path[PATH_MAX], const char *dir, const char *suffix)
{
    snprintf(path, PATH_MAX, "%s/manifest%s", dir, suffix);
}

static void put_hex(FILE *file, const char *key, const uint8_t *bytes, size_t len)
{
    fprintf(file, "%s ", key);
    for (size_t i = 0; i < len; i++) {
        fprintf(file, "%02x", bytes[i]);
    }
    fputc('\n', file);
}

asx_err asxi_manifest_write(const asxi_manifest *manifest, const char *path)
{
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return asx_err_errno(errno);
    }
    uint8_t oti[ASX_RQ_OTI_SIZE] = { 0 };
    if (manifest->size > 0) {
        asx_rq_oti_encode(&manifest->oti, oti);
    }
    fprintf(file, "asx-rq 1\nsize %" PRIu64 "\nvolumes %" PRIu32 "\n", manifest->size,
            manifest->volumes);
    put_hex(file, "sha256", manifest->digest, sizeof(manifest->digest));
    put_hex(file, "oti", oti, sizeof(oti));
    const bool failed = ferror(file) != 0;
    return fclose(file) != 0 || failed ? asx_err_errno(EIO) : ASX_OK;
}

/* The manifest's text, read from the front. */
typedef struct text {
    const char *at, *end;
} text;

static bool take_word(text *t, const char *word)
{
    const size_t len = strlen(word);
    const bool good = (size_t)(t->end - t->at) >= len && memcmp(t->at, word, len) == 0;
    t->at += good ? len : 0;
    return good;
}

/* Digits and nothing else, at most 15 of them. */
static bool take_number(text *t, uint64_t *value)
{
    const char *first = t->at;
    *value = 0;
    while (t->at < t->end && *t->at >= '0' && *t->at <= '9' && t->at - first < 15) {
        *value = *value * 10 + (uint64_t)(*t->at++ - '0');
    }
    return t->at > first;
}

static bool take_hex(text *t, uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    if ((size_t)(t->end - t->at) < 2 * len) {
        return false;
    }
    for (size_t i = 0; i < 2 * len; i++) {
        const char *digit = memchr(digits, t->at[i], 16);
        if (digit == NULL) {
            return false;
        }
        bytes[i / 2] = (uint8_t)(bytes[i / 2] << 4 | (digit - digits));
    }
    t->at += 2 * len;
    return true;
}

static bool take_manifest(text *t, asxi_manifest *manifest, uint8_t oti[ASX_RQ_OTI_SIZE])
{
    uint64_t volumes;
    const bool good =
        take_word(t, "asx-rq 1\nsize ") && take_number(t, &manifest->size) &&
        take_word(t, "\nvolumes ") && take_number(t, &volumes) && take_word(t, "\nsha256 ") &&
        take_hex(t, manifest->digest, sizeof(manifest->digest)) && take_word(t, "\noti ") &&
        take_hex(t, oti, ASX_RQ_OTI_SIZE) && take_word(t, "\n") && t->at == t->end;
    if (!good || volumes == 0 || volumes > ASX_RQ_VOLUMES_MAX) {
        return false;
    }
    manifest->volumes = (uint32_t)volumes;
    return true;
}

asx_err asxi_manifest_read(asxi_manifest *manifest, const char *path)
{
    char bytes[MANIFEST_MAX];
    uint8_t oti[ASX_RQ_OTI_SIZE];
    memset(manifest, 0, sizeof(*manifest));
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return asx_err_errno(errno);
    }
    const size_t len = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    text t = { .at = bytes, .end = bytes + len };
    if (!take_manifest(&t, manifest, oti)) {
        return ASX_RQ_E(BAD_OTI);
    }
    if (manifest->size == 0) {
        return ASX_OK;
    }
    const asx_err err = asx_rq_oti_decode(&manifest->oti, oti);
    if (err != ASX_OK) {
        return err;
    }
    return manifest->oti.size == manifest->size ? ASX_OK : ASX_RQ_E(BAD_OTI);
}

void asxi_record_tag(const asxi_manifest *manifest, const uint8_t id[ASX_RQ_PAYLOAD_ID_SIZE],
                     uint8_t *scratch, asx_rq_digest_fn *digest, uint8_t tag[RECORD_TAG])
{
    uint8_t full[ASX_RQ_DIGEST_SIZE];
    memset(scratch, 0, 64);
    memcpy(scratch, manifest->digest, ASX_RQ_DIGEST_SIZE);
    memcpy(scratch + ASX_RQ_DIGEST_SIZE, id, ASX_RQ_PAYLOAD_ID_SIZE);
    asx_rq_oti_encode(&manifest->oti, scratch + 40);
    digest(scratch, 64 + (size_t)manifest->oti.symbol_size, full);
    memcpy(tag, full, RECORD_TAG);
}
