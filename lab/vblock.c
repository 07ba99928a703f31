/* The bytes of a file: what programs see, and what is on the disk. */
#include <asx/shard/base/assert.h>

#include "vdisk_internal.h"

#include <string.h>

enum { /* salts of faults and crashes */
       SALT_EARLY = 1,
       SALT_STICKY,
       SALT_ROT,
       SALT_LOST,
       SALT_MISDIRECTED,
       SALT_KEPT,
       SALT_TORN,
       SALT_SIZE,
};

#define TORN_PPM 250000u

static uint64_t block_object(const asxi_vinode *inode, uint64_t index)
{
    return inode->number << 32 | index;
}

static asxi_vblock *block_at(asx_vdisk *disk, asxi_vinode *inode, uint64_t index)
{
    if (index >= inode->block_cap) {
        uint32_t cap = inode->block_cap ? inode->block_cap : 4;
        while (cap <= index) {
            cap *= 2;
        }
        asxi_vblock *const blocks = asx_heap_alloc(&disk->heap, cap * sizeof(*blocks));
        if (!blocks) {
            return NULL;
        }
        memset(blocks, 0, cap * sizeof(*blocks));
        if (inode->blocks) {
            memcpy(blocks, inode->blocks, inode->block_cap * sizeof(*blocks));
            asx_heap_free(&disk->heap, inode->blocks, inode->block_cap * sizeof(*blocks));
        }
        inode->blocks = blocks;
        inode->block_cap = cap;
    }
    return &inode->blocks[index];
}

/* Memory of a layer; zeros at first. */
static char *layer_of(asx_vdisk *disk, char **layer)
{
    if (!*layer) {
        *layer = asx_heap_alloc(&disk->heap, ASX_VDISK_BLOCK);
        if (*layer) {
            memset(*layer, 0, ASX_VDISK_BLOCK);
        }
    }
    return *layer;
}

static void layer_free(asx_vdisk *disk, char **layer)
{
    if (*layer) {
        asx_heap_free(&disk->heap, *layer, ASX_VDISK_BLOCK);
        *layer = NULL;
    }
}

/* The first `len` bytes of `from` reach `*to`. Without memory a run is none. */
static void layer_copy(asx_vdisk *disk, char **to, const char *from, uint32_t len)
{
    if (!from) {
        if (*to) {
            memset(*to, 0, len);
        }
        return;
    }
    char *const bytes = layer_of(disk, to);
    asx_assert(bytes != NULL);
    memcpy(bytes, from, len);
}

asx_err asxi_vblock_resize(asx_vdisk *disk, asxi_vinode *inode, uint64_t size)
{
    const uint64_t used = disk->stats.bytes - inode->size;
    if (disk->config.bytes_max > 0 && size > inode->size &&
        (size > disk->config.bytes_max || used > disk->config.bytes_max - size)) {
        return asx_err_errno(ENOSPC);
    }
    for (uint64_t i = size / ASX_VDISK_BLOCK; size < inode->size && i < inode->block_cap; i++) {
        asxi_vblock *const block = &inode->blocks[i];
        const uint32_t from = i * ASX_VDISK_BLOCK < size ? (uint32_t)(size % ASX_VDISK_BLOCK) : 0;
        if (block->now) { /* what is cut off reads as zeros if the file grows again */
            memset(block->now + from, 0, ASX_VDISK_BLOCK - from);
            block->dirty = true;
        }
    }
    disk->stats.bytes = used + size;
    inode->size_dirty |= size != inode->size;
    inode->size = size;
    return ASX_OK;
}

asx_err asxi_vblock_write(asx_vdisk *disk, asxi_vinode *inode, uint64_t at, const char *bytes,
                          uint32_t len)
{
    if (at + len > inode->size) {
        const asx_err err = asxi_vblock_resize(disk, inode, at + len);
        if (err) {
            return err;
        }
    }
    while (len > 0) {
        const uint64_t index = at / ASX_VDISK_BLOCK;
        const uint32_t from = (uint32_t)(at % ASX_VDISK_BLOCK);
        const uint32_t room = ASX_VDISK_BLOCK - from, n = len < room ? len : room;
        asxi_vblock *const block = block_at(disk, inode, index);
        if (!block || !layer_of(disk, &block->now)) {
            return asx_err_errno(ENOSPC);
        }
        if (block->dirty && asxi_vdisk_fault(disk, disk->config.early_ppm, SALT_EARLY,
                                             block_object(inode, index))) {
            layer_copy(disk, &block->kept, block->now, ASX_VDISK_BLOCK);
        }
        memcpy(block->now + from, bytes, n);
        block->dirty = true;
        at += n;
        bytes += n;
        len -= n;
    }
    return ASX_OK;
}

asx_err asxi_vblock_read(asx_vdisk *disk, asxi_vinode *inode, uint64_t at, char *bytes,
                         uint32_t len, uint32_t *got)
{
    const asx_vdisk_faults *const faults = &disk->config.faults;
    const uint64_t left = at < inode->size ? inode->size - at : 0;
    len = left < len ? (uint32_t)left : len;
    *got = len;
    for (uint32_t done = 0; done < len;) {
        const uint64_t index = (at + done) / ASX_VDISK_BLOCK;
        const uint32_t from = (uint32_t)((at + done) % ASX_VDISK_BLOCK);
        const uint32_t room = ASX_VDISK_BLOCK - from;
        const uint32_t n = len - done < room ? len - done : room;
        asxi_vblock *const block = index < inode->block_cap ? &inode->blocks[index] : NULL;
        const uint64_t object = block_object(inode, index);
        if (block && (block->sticky ||
                      asxi_vdisk_fault(disk, faults->read_sticky_ppm, SALT_STICKY, object))) {
            block->sticky = true;
            return asx_err_errno(EIO);
        }
        if (block && block->now) {
            memcpy(bytes + done, block->now + from, n);
        } else {
            memset(bytes + done, 0, n);
        }
        if (asxi_vdisk_fault(disk, faults->rot_ppm, SALT_ROT, object)) {
            const uint64_t bit =
                asx_lab_draw_below(asxi_vdisk_draw(disk, SALT_ROT + 100, object), n * 8ull);
            bytes[done + bit / 8] = (char)(bytes[done + bit / 8] ^ (1 << (bit % 8)));
        }
        done += n;
    }
    return ASX_OK;
}

/* One block reaches the disk, or some other place, or none. */
static void block_keep(asx_vdisk *disk, asxi_vinode *inode, uint32_t index)
{
    const asx_vdisk_faults *const faults = &disk->config.faults;
    const uint64_t object = block_object(inode, index);
    uint32_t to = index;
    inode->blocks[index].dirty = false;
    if (asxi_vdisk_fault(disk, faults->lost_ppm, SALT_LOST, object)) {
        return;
    }
    if (asxi_vdisk_fault(disk, faults->misdirected_ppm, SALT_MISDIRECTED, object)) {
        const uint64_t draw = asxi_vdisk_draw(disk, SALT_MISDIRECTED + 100, object);
        to = (uint32_t)asx_lab_draw_below(draw, inode->block_cap);
    }
    layer_copy(disk, &inode->blocks[to].kept, inode->blocks[index].now, ASX_VDISK_BLOCK);
}

asx_err asxi_vblock_sync(asx_vdisk *disk, asxi_vinode *inode)
{
    const bool fails = asxi_vdisk_fault(disk, disk->config.faults.sync_eio_ppm, 20, inode->number);
    for (uint32_t i = 0; i < inode->block_cap; i++) {
        if (inode->blocks[i].dirty && fails) {
            inode->blocks[i].dirty = false;
        } else if (inode->blocks[i].dirty) {
            block_keep(disk, inode, i);
        }
    }
    if (!fails) {
        inode->size_kept = inode->size;
    }
    inode->size_dirty = false;
    return fails ? asx_err_errno(EIO) : ASX_OK;
}

/* What of a block that was not synced is on the disk after all. */
static uint32_t survives(const asx_vdisk *disk, uint64_t object)
{
    if (asx_lab_draw_hits(asxi_vdisk_draw(disk, SALT_TORN, object), TORN_PPM)) {
        const uint64_t draw = asxi_vdisk_draw(disk, SALT_TORN + 100, object);
        return (uint32_t)asx_lab_draw_below(draw, ASX_VDISK_BLOCK / ASX_VDISK_SECTOR + 1) *
               ASX_VDISK_SECTOR;
    }
    return asx_lab_draw_hits(asxi_vdisk_draw(disk, SALT_KEPT, object), 500000) ? ASX_VDISK_BLOCK
                                                                               : 0;
}

void asxi_vblock_crash(asx_vdisk *disk, asxi_vinode *inode)
{
    for (uint32_t i = 0; i < inode->block_cap; i++) {
        asxi_vblock *const block = &inode->blocks[i];
        if (block->dirty) {
            layer_copy(disk, &block->kept, block->now, survives(disk, block_object(inode, i)));
            block->dirty = false;
        }
        if (block->kept) {
            layer_copy(disk, &block->now, block->kept, ASX_VDISK_BLOCK);
        } else {
            layer_free(disk, &block->now);
        }
    }
    if (inode->size_dirty &&
        asx_lab_draw_hits(asxi_vdisk_draw(disk, SALT_SIZE, inode->number), 500000)) {
        inode->size_kept = inode->size;
    }
    inode->size_dirty = false;
    disk->stats.bytes = disk->stats.bytes - inode->size + inode->size_kept;
    inode->size = inode->size_kept;
}

void asxi_vblock_free(asx_vdisk *disk, asxi_vinode *inode)
{
    for (uint32_t i = 0; i < inode->block_cap; i++) {
        layer_free(disk, &inode->blocks[i].now);
        layer_free(disk, &inode->blocks[i].kept);
    }
    if (inode->blocks) {
        asx_heap_free(&disk->heap, inode->blocks, inode->block_cap * sizeof(*inode->blocks));
    }
    disk->stats.bytes -= inode->size;
}
