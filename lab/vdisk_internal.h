/* The virtual disk's records, and the seams between its files:
 *
 *   vdisk.c     names, crashes    vblock.c   the bytes of a file in both layers
 *   vdisk_op.c  operations of a driver */
#ifndef ASX_LAB_VDISK_INTERNAL_H
#define ASX_LAB_VDISK_INTERNAL_H

#include <asx/lab/vdisk.h>
#include <asx/shard/base/list.h>
#include <asx/shard/heap.h>

#include "vdriver_internal.h"

typedef struct asxi_vblock {
    char *now, *kept; /* NULL: zeros */
    bool dirty, sticky;
} asxi_vblock;

typedef struct asxi_vinode {
    asx_list all;
    uint64_t number;
    uint32_t refs; /* entries of both layers, changes not yet kept, descriptors */
    uint32_t links;
    bool is_dir, size_dirty;
    uint64_t size, size_kept;
    asxi_vblock *blocks;
    uint32_t block_cap;
    asx_list entries, entries_kept; /* of a directory */
    struct asxi_vinode *parent;     /* of a directory; itself at the root */
} asxi_vinode;

typedef struct asxi_ventry {
    asx_list link;
    asxi_vinode *inode;
    uint32_t name_len;
    char name[];
} asxi_ventry;

/* One name's change: what it now leads to; NULL: nothing. */
typedef struct asxi_vchange {
    asxi_vinode *dir, *inode;
    char *name;
} asxi_vchange;

/* Changes that are kept together or not at all. */
typedef struct asxi_vrecord {
    asx_list link;
    asxi_vchange changes[2];
    uint32_t count;
} asxi_vrecord;

typedef struct asxi_vfile {
    asxi_vinode *inode;
    uint64_t offset, epoch;
    uint32_t flags; /* of open(2) */
} asxi_vfile;

struct asx_vdisk {
    asx_vdisk_config config;
    asx_lab_env *env;
    asx_chunk_source chunks;
    asx_heap heap;
    asxi_vinode *root;
    asx_list all;     /* inodes */
    asx_list records; /* not yet kept, oldest first */
    uint64_t inodes, op;
    uint64_t epoch; /* crashes so far: descriptors of an earlier one are dead */
    uint64_t heals;
    asx_vdisk_stats stats;
};

/* vdisk.c */
void asxi_vinode_unref(asx_vdisk *disk, asxi_vinode *inode);
/* From `at`, or from the root when the path is absolute. errors  ENOENT, ENOTDIR */
asx_err asxi_vdisk_walk(asx_vdisk *disk, asxi_vinode *at, const char *path, asxi_vinode **inode);
asx_err asxi_vdisk_make(asx_vdisk *disk, asxi_vinode *at, const char *path, bool is_dir,
                        asxi_vinode **inode);
void asxi_vdisk_names_keep(asx_vdisk *disk);
bool asxi_vdisk_fault(asx_vdisk *disk, uint32_t ppm, uint32_t salt, uint64_t object);
uint64_t asxi_vdisk_draw(const asx_vdisk *disk, uint32_t salt, uint64_t object);

/* vblock.c */
/* errors  ENOSPC */
asx_err asxi_vblock_write(asx_vdisk *disk, asxi_vinode *inode, uint64_t at, const char *bytes,
                          uint32_t len);
/* As far as the file goes. errors  EIO */
asx_err asxi_vblock_read(asx_vdisk *disk, asxi_vinode *inode, uint64_t at, char *bytes,
                         uint32_t len, uint32_t *got);
asx_err asxi_vblock_resize(asx_vdisk *disk, asxi_vinode *inode, uint64_t size);
/* errors  EIO: and the blocks are clean */
asx_err asxi_vblock_sync(asx_vdisk *disk, asxi_vinode *inode);
void asxi_vblock_crash(asx_vdisk *disk, asxi_vinode *inode);
void asxi_vblock_free(asx_vdisk *disk, asxi_vinode *inode);

/* vdisk_op.c */
void asxi_vdisk_submit(asxi_vdriver *driver, asx_op *op);
asxi_vstep asxi_vdisk_step(asxi_vdriver *driver, asx_op *op);
/* Whether the disk was healed since, and then: what hung goes on. */
bool asxi_vdisk_resumes(const asxi_vdriver *driver);
void asxi_vdisk_resume(asxi_vdriver *driver);
void asxi_vdisk_close_fd(asxi_vdriver *driver, int32_t fd);
/* For SENDFILE: how many bytes, 0 at the end, or -errno. */
int32_t asxi_vdisk_peek(asxi_vdriver *driver, int32_t fd, uint64_t at, char *bytes, uint32_t len);

#endif
