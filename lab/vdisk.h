/* The virtual disk of a run: what a disk keeps, and what a crash takes.
 *
 * Model.   Two layers. Programs see the first, the page cache: files of 4 KiB blocks, directories.
 *          What is synced is in the second. A crash leaves the second and, of each block written
 *          since, the new bytes, the old ones, or the first few 512-byte sectors of the new: each
 *          for itself, in any order. A size may survive without its bytes, which then read as 0.
 * Names.   Changes of names (create, link, unlink, rename, mkdir) survive in their order up to some
 *          point, each whole or not at all, and all of them once any directory is synced. Syncing a
 *          file does not make its name durable.
 * Faults.  A draw proposes one twice as often as its ppm says, and the run's choice at
 *          ASX_CHOICE_FAULT decides. After a failed sync the blocks count as clean: a later one
 *          succeeds although the bytes are gone.
 * Ops.     OPEN, STAT, READ, WRITE, FSYNC, CLOSE and the source of SENDFILE are the driver's; what
 *          it has no operation for is below, and takes no time.
 * Owner.   The run, on its thread. Outlives its drivers. */
#ifndef ASX_LAB_VDISK_H
#define ASX_LAB_VDISK_H

#include <asx/lab/env.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/base/err.h>

#include <stdbool.h>

ASX_BEGIN_DECLS

#define ASX_VDISK_BLOCK 4096u
#define ASX_VDISK_SECTOR 512u
#define ASX_VDISK_NAME_MAX 255u

typedef struct asx_vdisk asx_vdisk;

/* Parts of a million. */
typedef struct asx_vdisk_faults {
    uint32_t read_eio_ppm, read_sticky_ppm; /* once, or for the block from then on */
    uint32_t write_eio_ppm, sync_eio_ppm;
    uint32_t short_ppm;       /* a read or write moves less than was asked for */
    uint32_t rot_ppm;         /* a read shows one bit wrong */
    uint32_t lost_ppm;        /* a block is synced, and is not on the disk */
    uint32_t misdirected_ppm; /* a block is synced to another place */
    uint32_t intr_ppm;        /* EINTR */
    uint32_t spike_ppm;       /* an operation takes spike_ns more */
    uint32_t hang_ppm;        /* an operation takes until asx_vdisk_heal */
    asx_duration spike_ns;    /* 0: 100 ms */
} asx_vdisk_faults;

typedef struct asx_vdisk_config { /* zero-filled: never wrong, at once, for ever */
    asx_lab_env *env;
    asx_duration latency_ns; /* of every operation */
    uint64_t bytes_max;      /* ENOSPC beyond; 0: none */
    uint32_t early_ppm;      /* a block written again has its earlier bytes on the disk already */
    asx_vdisk_faults faults;
} asx_vdisk_config;

/* perfect, crash_only, sad, hostile.
 * errors  INVALID_ARGUMENT for any other name */
ASX_NODISCARD asx_err asx_vdisk_preset(const char *name, asx_vdisk_config *config);

/* Of every field that can change a run, in a fixed order; never 0. */
uint64_t asx_vdisk_config_hash(const asx_vdisk_config *config);

typedef struct asx_vdisk_stats {
    uint64_t reads, writes, syncs, crashes, faults;
    uint64_t bytes; /* in files, as programs see them */
} asx_vdisk_stats;

/* errors  NO_MEMORY */
ASX_NODISCARD asx_err asx_vdisk_create(const asx_vdisk_config *config, asx_vdisk **disk);

/* Paths are absolute. errors  as the system calls of these names */
ASX_NODISCARD asx_err asx_vdisk_mkdir(asx_vdisk *disk, const char *path);
ASX_NODISCARD asx_err asx_vdisk_link(asx_vdisk *disk, const char *from, const char *to);
ASX_NODISCARD asx_err asx_vdisk_unlink(asx_vdisk *disk, const char *path);
ASX_NODISCARD asx_err asx_vdisk_rename(asx_vdisk *disk, const char *from, const char *to);
ASX_NODISCARD asx_err asx_vdisk_truncate(asx_vdisk *disk, const char *path, uint64_t size);

/* Names in the order of their making. errors  ENOENT, ENOTDIR */
typedef void asx_vdisk_name_fn(void *arg, const char *name, bool is_dir);
ASX_NODISCARD asx_err asx_vdisk_list(asx_vdisk *disk, const char *path, asx_vdisk_name_fn *fn,
                                     void *arg);

/* The power fails: descriptors of before fail with EIO from now on. */
void asx_vdisk_crash(asx_vdisk *disk);

/* Faults end: what hangs goes on, sticky blocks can be read, and nothing is proposed any more. */
void asx_vdisk_heal(asx_vdisk *disk);

void asx_vdisk_stats_read(const asx_vdisk *disk, asx_vdisk_stats *stats);

/* No driver uses it any more. */
void asx_vdisk_destroy(asx_vdisk *disk);

ASX_END_DECLS

#endif
