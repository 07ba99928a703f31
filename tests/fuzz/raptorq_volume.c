/* Directories from anyone: manifest and volumes of a small file, changed as the input says. First
 * byte even: the rest is the manifest as it is. Odd: changes of (file, place, byte) to true files,
 * or a cut. A decode that says it succeeded has the manifest's digest. */
#include <asx/raptorq/volume.h>

#include "raptorq_fuzz.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SIZE = 1500, VOLUMES = 3, FILES = VOLUMES + 1, FILE_MAX = 4096 };

static char dir[64];
static uint8_t content[SIZE];
static struct {
    char path[128];
    uint8_t bytes[FILE_MAX];
    size_t len;
} files[FILES];

static void require(bool condition)
{
    if (!condition) {
        abort();
    }
}

static void put(const char *path, const uint8_t *bytes, size_t len)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    require(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
    close(fd);
}

static void clean(void)
{
    for (int i = 0; i < FILES; i++) {
        unlink(files[i].path);
    }
    rmdir(dir);
}

static void make_files(void)
{
    char path[128];
    asx_rq_volume_report report;
    const asx_rq_volume_config config = { .symbol_size = 100,
                                          .block_size = 700,
                                          .overhead_permille = 300,
                                          .volumes = VOLUMES,
                                          .digest = mix };
    const bool has_shm = access("/dev/shm", W_OK) == 0;
    snprintf(dir, sizeof(dir), "%s/asx-fuzz-XXXXXX", has_shm ? "/dev/shm" : "/tmp");
    require(mkdtemp(dir) != NULL);
    for (size_t i = 0; i < SIZE; i++) {
        content[i] = (uint8_t)(i * 31 + i / 251);
    }
    snprintf(path, sizeof(path), "%s/in", dir);
    put(path, content, SIZE);
    require(asx_rq_volume_encode(path, dir, &config, &report) == ASX_OK);
    unlink(path);
    for (int i = 0; i < FILES; i++) {
        if (i < VOLUMES) {
            snprintf(files[i].path, sizeof(files[i].path), "%s/volume-%02d.rq", dir, i);
        } else {
            snprintf(files[i].path, sizeof(files[i].path), "%s/manifest", dir);
        }
        const int fd = open(files[i].path, O_RDONLY | O_CLOEXEC);
        const ssize_t got = fd >= 0 ? read(fd, files[i].bytes, FILE_MAX) : -1;
        require(got > 0 && got < FILE_MAX);
        files[i].len = (size_t)got;
        close(fd);
    }
    atexit(clean);
}

static void put_changed(int file, const uint8_t *data, size_t size)
{
    static uint8_t bytes[FILE_MAX];
    size_t len = files[file].len;
    memcpy(bytes, files[file].bytes, len);
    for (size_t at = 0; at + 4 <= size; at += 4) {
        const size_t where = (size_t)(data[at + 1] | data[at + 2] << 8);
        if (data[at] % FILES != file) {
            continue;
        }
        if ((data[at] & 0x80) != 0) {
            len = where % (files[file].len + 1);
        } else {
            bytes[where % files[file].len] ^= data[at + 3];
        }
    }
    put(files[file].path, bytes, len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    asx_rq_volume_report report;
    const asx_rq_volume_config config = { .digest = mix };
    if (dir[0] == '\0') {
        make_files();
    }
    const bool is_raw = size == 0 || (data[0] & 1) == 0;
    for (int i = 0; i < FILES; i++) {
        put_changed(i, data + 1, is_raw ? 0 : size - 1);
    }
    if (is_raw) {
        put(files[VOLUMES].path, data + (size > 0), size - (size > 0));
    }
    const asx_err err = asx_rq_volume_decode(dir, NULL, &config, &report);
    require((err == ASX_OK) == (report.text[0] == '\0'));
    require(err == ASX_OK ? report.blocks_bad == 0 : strlen(report.text) < sizeof(report.text));
    return 0;
}
