/* A driver's operations on files. They take effect when they complete. */
#include <asx/lab/vdisk.h>
#include <asx/shard/base/assert.h>

#include "vdisk_internal.h"

#include <fcntl.h>
#include <string.h>

enum { /* salts; vblock.c has those below 50 */
       SALT_INTR = 60,
       SALT_SPIKE,
       SALT_HANG,
       SALT_SHORT,
       SALT_READ,
       SALT_WRITE,
};

static asx_vdisk *disk_of(const asxi_vdriver *driver)
{
    return driver->config.disk;
}

void asxi_vdisk_submit(asxi_vdriver *driver, asx_op *op)
{
    asx_vdisk *const disk = disk_of(driver);
    if (!disk) {
        asxi_vop_over(driver, op, asx_err_errno(ENOSYS), 0);
        return;
    }
    const asx_vdisk_faults *const faults = &disk->config.faults;
    disk->op++;
    if (asxi_vdisk_fault(disk, faults->hang_ppm, SALT_HANG, disk->op)) {
        op->_state = ASXI_VOP_WAITING;
        asx_list_push_back(&driver->hung, &op->_link);
        return;
    }
    asx_duration delay_ns = disk->config.latency_ns;
    if (asxi_vdisk_fault(disk, faults->spike_ppm, SALT_SPIKE, disk->op)) {
        delay_ns += faults->spike_ns;
    }
    if (delay_ns > 0) {
        asxi_vop_later(driver, op, delay_ns, true);
    } else {
        asxi_vop_ready(driver, op);
    }
}

void asx_vdisk_heal(asx_vdisk *disk)
{
    const asx_duration spike_ns = disk->config.faults.spike_ns;
    disk->config.faults = (asx_vdisk_faults){ .spike_ns = spike_ns };
    disk->heals++; /* drivers see it */
    asx_list_each(node, &disk->all) {
        asxi_vinode *const inode = asx_container_of(node, asxi_vinode, all);
        for (uint32_t i = 0; i < inode->block_cap; i++) {
            inode->blocks[i].sticky = false;
        }
    }
}

void asxi_vdisk_resume(asxi_vdriver *driver)
{
    driver->heals = disk_of(driver)->heals;
    for (asx_list *node; (node = asx_list_pop_front(&driver->hung)) != NULL;) {
        asxi_vop_ready(driver, asx_container_of(node, asx_op, _link));
    }
}

bool asxi_vdisk_resumes(const asxi_vdriver *driver)
{
    return driver->heals != disk_of(driver)->heals;
}

static asx_err file_open(asxi_vdriver *driver, asxi_vinode *inode, uint32_t flags, int32_t *fd)
{
    asx_vdisk *const disk = disk_of(driver);
    asxi_vfile *const file = asx_heap_alloc(&disk->heap, sizeof(*file));
    if (!file) {
        return asx_err_errno(ENOMEM);
    }
    *file = (asxi_vfile){ .inode = inode, .epoch = disk->epoch, .flags = flags };
    const asx_err err = asxi_vfd_open(driver, ASXI_VFD_FILE, file, fd);
    if (err) {
        asx_heap_free(&disk->heap, file, sizeof(*file));
        return err;
    }
    inode->refs++;
    return ASX_OK;
}

/* Where relative paths start; NULL: at the root. */
static asxi_vinode *start_of(const asxi_vdriver *driver, const asx_op *op)
{
    const asxi_vfile *const file = asxi_vfd_get(driver, op->fd, ASXI_VFD_FILE);
    return op->fd > 0 && file ? file->inode : NULL;
}

static asx_err op_open(asxi_vdriver *driver, asx_op *op)
{
    asx_vdisk *const disk = disk_of(driver);
    const uint32_t flags = op->arg;
    asxi_vinode *inode = NULL;
    asx_err err = asxi_vdisk_walk(disk, start_of(driver, op), op->path, &inode);
    if (err == asx_err_errno(ENOENT) && (flags & O_CREAT)) {
        err = asxi_vdisk_make(disk, start_of(driver, op), op->path, false, &inode);
    } else if (!err && (flags & O_CREAT) && (flags & O_EXCL)) {
        err = asx_err_errno(EEXIST);
    }
    if (err) {
        return err;
    }
    const bool writes = (flags & O_ACCMODE) != O_RDONLY;
    if (inode->is_dir && writes) {
        return asx_err_errno(EISDIR);
    }
    if (!inode->is_dir && (flags & O_DIRECTORY)) {
        return asx_err_errno(ENOTDIR);
    }
    if (writes && (flags & O_TRUNC)) {
        err = asxi_vblock_resize(disk, inode, 0);
    }
    int32_t fd = -1;
    err = err ? err : file_open(driver, inode, flags, &fd);
    op->result = (uint32_t)fd;
    return err;
}

static asx_err op_stat(asxi_vdriver *driver, asx_op *op)
{
    const asxi_vfile *const file = asxi_vfd_get(driver, op->fd, ASXI_VFD_FILE);
    asxi_vinode *inode = file ? file->inode : NULL;
    if (op->path[0] != '\0') {
        const asx_err err =
            asxi_vdisk_walk(disk_of(driver), start_of(driver, op), op->path, &inode);
        if (err) {
            return err;
        }
    }
    if (!inode) {
        return asx_err_errno(EBADF);
    }
    memset(op->stat, 0, sizeof(*op->stat));
    op->stat->st_ino = inode->number;
    op->stat->st_mode = inode->is_dir ? S_IFDIR | 0755 : S_IFREG | 0644;
    op->stat->st_nlink = inode->links;
    op->stat->st_size = (off_t)inode->size;
    op->stat->st_blksize = ASX_VDISK_BLOCK;
    op->stat->st_blocks = (blkcnt_t)((inode->size + 511) / 512);
    return ASX_OK;
}

/* Less than was asked for, by a fault. */
static uint32_t shortened(asx_vdisk *disk, uint32_t len)
{
    if (len > 1 && asxi_vdisk_fault(disk, disk->config.faults.short_ppm, SALT_SHORT, disk->op)) {
        return 1 + (uint32_t)asx_lab_draw_below(asxi_vdisk_draw(disk, SALT_SHORT + 100, disk->op),
                                                len - 1);
    }
    return len;
}

static bool aligned(const asxi_vfile *file, const asx_op *op, uint64_t at)
{
    return !(file->flags & O_DIRECT) ||
           (at % ASX_VDISK_SECTOR == 0 && op->iov->iov_len % ASX_VDISK_SECTOR == 0 &&
            (uintptr_t)op->iov->iov_base % ASX_VDISK_SECTOR == 0);
}

static asx_err op_transfer(asx_vdisk *disk, asxi_vfile *file, asx_op *op)
{
    const asx_vdisk_faults *const faults = &disk->config.faults;
    const bool reads = op->code == ASX_OP_READ;
    const uint32_t access = file->flags & O_ACCMODE;
    const bool own = op->offset == UINT64_MAX;
    uint64_t at = own ? file->offset : op->offset;
    if (access == (reads ? O_WRONLY : O_RDONLY)) {
        return asx_err_errno(EBADF);
    }
    if (file->inode->is_dir) {
        return asx_err_errno(EISDIR);
    }
    if (!aligned(file, op, at)) {
        return asx_err_errno(EINVAL);
    }
    if (asxi_vdisk_fault(disk, reads ? faults->read_eio_ppm : faults->write_eio_ppm,
                         reads ? SALT_READ : SALT_WRITE, disk->op)) {
        return asx_err_errno(EIO);
    }
    if (!reads && (file->flags & O_APPEND)) {
        at = file->inode->size;
    }
    uint32_t len = shortened(disk, (uint32_t)op->iov->iov_len);
    asx_err err;
    if (reads) {
        disk->stats.reads++;
        err = asxi_vblock_read(disk, file->inode, at, op->iov->iov_base, len, &len);
    } else {
        disk->stats.writes++;
        err = asxi_vblock_write(disk, file->inode, at, op->iov->iov_base, len);
    }
    if (!err) {
        op->result = len;
        file->offset = own ? at + len : file->offset;
    }
    return err;
}

static asx_err op_sync(asx_vdisk *disk, asxi_vinode *inode)
{
    disk->stats.syncs++;
    if (inode->is_dir) {
        asxi_vdisk_names_keep(disk);
        return ASX_OK;
    }
    return asxi_vblock_sync(disk, inode);
}

static asx_err op_run(asxi_vdriver *driver, asx_op *op)
{
    asx_vdisk *const disk = disk_of(driver);
    asxi_vfile *const file = asxi_vfd_get(driver, op->fd, ASXI_VFD_FILE);
    disk->op++;
    if (asxi_vdisk_fault(disk, disk->config.faults.intr_ppm, SALT_INTR, disk->op)) {
        return asx_err_errno(EINTR);
    }
    if (op->code == ASX_OP_OPEN) {
        return op_open(driver, op);
    }
    if (op->code == ASX_OP_STAT) {
        return op_stat(driver, op);
    }
    if (!file) {
        return asx_err_errno(EBADF); /* closed meanwhile */
    }
    if (file->epoch != disk->epoch) {
        return asx_err_errno(EIO);
    }
    if (op->code == ASX_OP_READ || op->code == ASX_OP_WRITE) {
        return op_transfer(disk, file, op);
    }
    return op->code == ASX_OP_FSYNC ? op_sync(disk, file->inode) : asx_err_errno(ENOTSOCK);
}

asxi_vstep asxi_vdisk_step(asxi_vdriver *driver, asx_op *op)
{
    op->err = op_run(driver, op);
    return ASXI_VSTEP_OVER;
}

void asxi_vdisk_close_fd(asxi_vdriver *driver, int32_t fd)
{
    asx_vdisk *const disk = disk_of(driver);
    asxi_vfile *const file = asxi_vfd_get(driver, fd, ASXI_VFD_FILE);
    asxi_vfd_free(driver, fd);
    asxi_vinode_unref(disk, file->inode);
    asx_heap_free(&disk->heap, file, sizeof(*file));
}

int32_t asxi_vdisk_peek(asxi_vdriver *driver, int32_t fd, uint64_t at, char *bytes, uint32_t len)
{
    const asxi_vfile *const file = asxi_vfd_get(driver, fd, ASXI_VFD_FILE);
    uint32_t got = 0;
    if (!file) {
        return -EBADF;
    }
    const asx_err err = asxi_vblock_read(disk_of(driver), file->inode, at, bytes, len, &got);
    return err ? -(int32_t)asx_err_code(err) : (int32_t)got;
}
