/* Names and crashes. A directory has two lists of entries, one a layer; a change goes into the
 * first at once, and as a record of what changes together, later into the second. */
#include <asx/lab/event.h>
#include <asx/lab/vdisk.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/trace.h>

#include "vdisk_internal.h"

#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    asx_vdisk_config config;
} presets[] = {
    { "perfect", { .latency_ns = 0 } },
    { "crash_only", { .early_ppm = 250000 } },
    { "sad",
      { .early_ppm = 250000,
        .bytes_max = UINT64_C(64) << 20,
        .faults = { .sync_eio_ppm = 1000, .spike_ppm = 10000 } } },
    { "hostile",
      { .early_ppm = 250000,
        .bytes_max = UINT64_C(64) << 20,
        .faults = { .read_eio_ppm = 1000,
                    .read_sticky_ppm = 200,
                    .write_eio_ppm = 1000,
                    .sync_eio_ppm = 1000,
                    .short_ppm = 10000,
                    .rot_ppm = 200,
                    .lost_ppm = 200,
                    .misdirected_ppm = 200,
                    .intr_ppm = 1000,
                    .spike_ppm = 10000,
                    .hang_ppm = 100 } } },
};

asx_err asx_vdisk_preset(const char *name, asx_vdisk_config *config)
{
    for (size_t i = 0; i < sizeof(presets) / sizeof(presets[0]); i++) {
        if (strcmp(name, presets[i].name) == 0) {
            asx_lab_env *const env = config->env;
            *config = presets[i].config;
            config->env = env;
            return ASX_OK;
        }
    }
    return ASX_E(INVALID_ARGUMENT);
}

uint64_t asx_vdisk_config_hash(const asx_vdisk_config *config)
{
    const asx_vdisk_faults *const f = &config->faults;
    const uint64_t words[] = { config->latency_ns, config->bytes_max,  config->early_ppm,
                               f->read_eio_ppm,    f->read_sticky_ppm, f->write_eio_ppm,
                               f->sync_eio_ppm,    f->short_ppm,       f->rot_ppm,
                               f->lost_ppm,        f->misdirected_ppm, f->intr_ppm,
                               f->spike_ppm,       f->hang_ppm,        f->spike_ns };
    return asx_fnv64_words(ASX_FNV64_EMPTY, words, sizeof(words) / sizeof(words[0])) | 1;
}

uint64_t asxi_vdisk_draw(const asx_vdisk *disk, uint32_t salt, uint64_t object)
{
    return asx_mix64(asx_lab_draw(disk->env->rand, ASX_LAB_DISK, object, disk->op, 0) + salt);
}

bool asxi_vdisk_fault(asx_vdisk *disk, uint32_t ppm, uint32_t salt, uint64_t object)
{
    if (ppm == 0 || asx_lab_draw_below(asxi_vdisk_draw(disk, salt, object), 500000) >= ppm ||
        asxi_vchoose(disk->env, ASX_CHOICE_FAULT, 2, object) == 0) {
        return false;
    }
    disk->stats.faults++;
    if (disk->env->event) {
        const uint64_t words[] = { object, salt, disk->op };
        disk->env->event(disk->env, 0, ASX_TRACE_DISK_FAULT, words, 3);
    }
    return true;
}

/* Inodes and entries */

static asxi_vinode *inode_new(asx_vdisk *disk, bool is_dir)
{
    asxi_vinode *const inode = asx_heap_alloc(&disk->heap, sizeof(*inode));
    if (inode) {
        *inode = (asxi_vinode){ .number = ++disk->inodes, .refs = 1, .is_dir = is_dir };
        asx_list_init(&inode->entries);
        asx_list_init(&inode->entries_kept);
        asx_list_push_back(&disk->all, &inode->all);
    }
    return inode;
}

void asxi_vinode_unref(asx_vdisk *disk, asxi_vinode *inode)
{
    if (!inode || --inode->refs > 0) {
        return;
    }
    asx_assert(asx_list_empty(&inode->entries) && asx_list_empty(&inode->entries_kept));
    asxi_vblock_free(disk, inode);
    asx_list_unlink(&inode->all);
    asx_heap_free(&disk->heap, inode, sizeof(*inode));
}

static asxi_ventry *entry_find(asx_list *entries, const char *name, size_t len)
{
    asx_list_each(node, entries) {
        asxi_ventry *const entry = asx_container_of(node, asxi_ventry, link);
        if (entry->name_len == len && memcmp(entry->name, name, len) == 0) {
            return entry;
        }
    }
    return NULL;
}

static void entry_drop(asx_vdisk *disk, asxi_ventry *entry)
{
    asx_list_unlink(&entry->link);
    asxi_vinode_unref(disk, entry->inode);
    asx_heap_free(&disk->heap, entry, sizeof(*entry) + entry->name_len + 1);
}

/* Makes the name lead to inode in this layer; NULL: to nothing. Without memory a run is none. */
static void entry_set(asx_vdisk *disk, asx_list *entries, const char *name, asxi_vinode *inode)
{
    const size_t len = strlen(name);
    asxi_ventry *entry = entry_find(entries, name, len);
    if (inode) {
        inode->refs++;
    }
    if (entry && !inode) {
        entry_drop(disk, entry);
    } else if (entry) {
        asxi_vinode_unref(disk, entry->inode);
        entry->inode = inode;
    } else if (inode) {
        entry = asx_heap_alloc(&disk->heap, sizeof(*entry) + len + 1);
        asx_assert(entry != NULL);
        *entry = (asxi_ventry){ .inode = inode, .name_len = (uint32_t)len };
        memcpy(entry->name, name, len + 1);
        asx_list_push_back(entries, &entry->link);
    }
}

static asxi_vrecord *record_new(asx_vdisk *disk)
{
    asxi_vrecord *const record = asx_heap_alloc(&disk->heap, sizeof(*record));
    asx_assert(record != NULL);
    *record = (asxi_vrecord){ .count = 0 };
    asx_list_push_back(&disk->records, &record->link);
    return record;
}

static void record_add(asx_vdisk *disk, asxi_vrecord *record, asxi_vinode *dir, const char *name,
                       asxi_vinode *inode)
{
    const size_t size = strlen(name) + 1;
    asxi_vchange *const change = &record->changes[record->count++];
    *change = (asxi_vchange){ .dir = dir, .inode = inode };
    change->name = asx_heap_alloc(&disk->heap, size);
    asx_assert(change->name != NULL);
    memcpy(change->name, name, size);
    dir->refs++;
    if (inode) {
        inode->refs++;
    }
    entry_set(disk, &dir->entries, name, inode);
}

/* The oldest record reaches the disk, or is forgotten. */
static void record_end(asx_vdisk *disk, asxi_vrecord *record, bool kept)
{
    for (uint32_t i = 0; i < record->count; i++) {
        const asxi_vchange *const change = &record->changes[i];
        if (kept) {
            entry_set(disk, &change->dir->entries_kept, change->name, change->inode);
        }
        asxi_vinode_unref(disk, change->inode);
        asxi_vinode_unref(disk, change->dir);
        asx_heap_free(&disk->heap, change->name, strlen(change->name) + 1);
    }
    asx_heap_free(&disk->heap, record, sizeof(*record));
}

void asxi_vdisk_names_keep(asx_vdisk *disk)
{
    for (asx_list *node; (node = asx_list_pop_front(&disk->records)) != NULL;) {
        record_end(disk, asx_container_of(node, asxi_vrecord, link), true);
    }
}

/* Paths */

/* To the directory of the path's last component, which goes to `name`. */
static asx_err walk_to_last(asx_vdisk *disk, asxi_vinode *at, const char *path, asxi_vinode **dir,
                            char *name)
{
    asxi_vinode *here = *path == '/' || !at ? disk->root : at;
    for (;;) {
        path += strspn(path, "/");
        const size_t len = strcspn(path, "/");
        if (len > ASX_VDISK_NAME_MAX) {
            return asx_err_errno(ENAMETOOLONG);
        }
        memcpy(name, path, len);
        name[len] = '\0';
        path += len;
        if (path[strspn(path, "/")] == '\0') {
            *dir = here;
            return here->is_dir ? ASX_OK : asx_err_errno(ENOTDIR);
        }
        const asxi_ventry *const entry = entry_find(&here->entries, name, len);
        const bool up = strcmp(name, "..") == 0, stay = strcmp(name, ".") == 0;
        if (!here->is_dir || (!entry && !up && !stay)) {
            return asx_err_errno(here->is_dir ? ENOENT : ENOTDIR);
        }
        here = up ? here->parent : stay ? here : entry->inode;
    }
}

asx_err asxi_vdisk_walk(asx_vdisk *disk, asxi_vinode *at, const char *path, asxi_vinode **inode)
{
    char name[ASX_VDISK_NAME_MAX + 1];
    asxi_vinode *dir;
    const asx_err err = walk_to_last(disk, at, path, &dir, name);
    if (err) {
        return err;
    }
    const asxi_ventry *const entry = entry_find(&dir->entries, name, strlen(name));
    const bool itself = name[0] == '\0' || strcmp(name, ".") == 0;
    *inode = itself ? dir : strcmp(name, "..") == 0 ? dir->parent : entry ? entry->inode : NULL;
    return *inode ? ASX_OK : asx_err_errno(ENOENT);
}

asx_err asxi_vdisk_make(asx_vdisk *disk, asxi_vinode *at, const char *path, bool is_dir,
                        asxi_vinode **inode)
{
    char name[ASX_VDISK_NAME_MAX + 1];
    asxi_vinode *dir;
    const asx_err err = walk_to_last(disk, at, path, &dir, name);
    if (err) {
        return err;
    }
    if (entry_find(&dir->entries, name, strlen(name)) || name[0] == '\0' || name[0] == '.') {
        return asx_err_errno(EEXIST);
    }
    asxi_vinode *const made = inode_new(disk, is_dir);
    if (!made) {
        return asx_err_errno(ENOSPC);
    }
    made->parent = is_dir ? dir : NULL;
    made->links = 1;
    record_add(disk, record_new(disk), dir, name, made);
    asxi_vinode_unref(disk, made); /* its entry has it */
    *inode = made;
    return ASX_OK;
}

asx_err asx_vdisk_mkdir(asx_vdisk *disk, const char *path)
{
    asxi_vinode *inode;
    return asxi_vdisk_make(disk, NULL, path, true, &inode);
}

asx_err asx_vdisk_link(asx_vdisk *disk, const char *from, const char *to)
{
    char name[ASX_VDISK_NAME_MAX + 1];
    asxi_vinode *inode, *dir;
    asx_err err = asxi_vdisk_walk(disk, NULL, from, &inode);
    if (!err) {
        err = walk_to_last(disk, NULL, to, &dir, name);
    }
    if (err) {
        return err;
    }
    if (inode->is_dir) {
        return asx_err_errno(EPERM);
    }
    if (entry_find(&dir->entries, name, strlen(name))) {
        return asx_err_errno(EEXIST);
    }
    inode->links++;
    record_add(disk, record_new(disk), dir, name, inode);
    return ASX_OK;
}

asx_err asx_vdisk_unlink(asx_vdisk *disk, const char *path)
{
    char name[ASX_VDISK_NAME_MAX + 1];
    asxi_vinode *dir;
    const asx_err err = walk_to_last(disk, NULL, path, &dir, name);
    if (err) {
        return err;
    }
    const asxi_ventry *const entry = entry_find(&dir->entries, name, strlen(name));
    if (!entry) {
        return asx_err_errno(ENOENT);
    }
    if (entry->inode->is_dir && !asx_list_empty(&entry->inode->entries)) {
        return asx_err_errno(ENOTEMPTY);
    }
    entry->inode->links--;
    record_add(disk, record_new(disk), dir, name, NULL);
    return ASX_OK;
}

asx_err asx_vdisk_rename(asx_vdisk *disk, const char *from, const char *to)
{
    char old_name[ASX_VDISK_NAME_MAX + 1], new_name[ASX_VDISK_NAME_MAX + 1];
    asxi_vinode *old_dir, *new_dir;
    asx_err err = walk_to_last(disk, NULL, from, &old_dir, old_name);
    if (!err) {
        err = walk_to_last(disk, NULL, to, &new_dir, new_name);
    }
    if (err) {
        return err;
    }
    const asxi_ventry *const moved = entry_find(&old_dir->entries, old_name, strlen(old_name));
    const asxi_ventry *const there = entry_find(&new_dir->entries, new_name, strlen(new_name));
    if (!moved) {
        return asx_err_errno(ENOENT);
    }
    asxi_vinode *const inode = moved->inode;
    if (there && there->inode == inode) {
        return ASX_OK;
    }
    if (there && there->inode->is_dir != inode->is_dir) {
        return asx_err_errno(inode->is_dir ? ENOTDIR : EISDIR);
    }
    if (there && !asx_list_empty(&there->inode->entries)) {
        return asx_err_errno(ENOTEMPTY);
    }
    for (const asxi_vinode *up = new_dir; inode->is_dir && up != disk->root; up = up->parent) {
        if (up == inode) {
            return asx_err_errno(EINVAL); /* into itself */
        }
    }
    if (inode->is_dir) {
        inode->parent = new_dir;
    }
    asxi_vrecord *const record = record_new(disk);
    record_add(disk, record, new_dir, new_name, inode);
    record_add(disk, record, old_dir, old_name, NULL);
    return ASX_OK;
}

asx_err asx_vdisk_truncate(asx_vdisk *disk, const char *path, uint64_t size)
{
    asxi_vinode *inode;
    const asx_err err = asxi_vdisk_walk(disk, NULL, path, &inode);
    if (err) {
        return err;
    }
    return inode->is_dir ? asx_err_errno(EISDIR) : asxi_vblock_resize(disk, inode, size);
}

asx_err asx_vdisk_list(asx_vdisk *disk, const char *path, asx_vdisk_name_fn *fn, void *arg)
{
    asxi_vinode *dir;
    const asx_err err = asxi_vdisk_walk(disk, NULL, path, &dir);
    if (err) {
        return err;
    }
    if (!dir->is_dir) {
        return asx_err_errno(ENOTDIR);
    }
    asx_list_each(node, &dir->entries) {
        const asxi_ventry *const entry = asx_container_of(node, asxi_ventry, link);
        fn(arg, entry->name, entry->inode->is_dir);
    }
    return ASX_OK;
}

/* What is on the disk is what programs see from now on. */
static void entries_reload(asx_vdisk *disk, asxi_vinode *dir)
{
    while (!asx_list_empty(&dir->entries)) {
        entry_drop(disk, asx_container_of(dir->entries._next, asxi_ventry, link));
    }
    asx_list_each(node, &dir->entries_kept) {
        const asxi_ventry *const entry = asx_container_of(node, asxi_ventry, link);
        entry_set(disk, &dir->entries, entry->name, entry->inode);
        entry->inode->links++;
        if (entry->inode->is_dir) {
            entry->inode->parent = dir;
        }
    }
}

void asx_vdisk_crash(asx_vdisk *disk)
{
    uint64_t count = 0;
    disk->op++;
    disk->epoch++;
    disk->stats.crashes++;
    asx_list_each(node, &disk->records) {
        count++;
    }
    uint64_t kept = asx_lab_draw_below(asxi_vdisk_draw(disk, 50, 0), count + 1);
    for (asx_list *node; (node = asx_list_pop_front(&disk->records)) != NULL; kept -= kept > 0) {
        record_end(disk, asx_container_of(node, asxi_vrecord, link), kept > 0);
    }
    asx_list_each(node, &disk->all) { /* held, so that nothing goes while all are visited */
        asxi_vinode *const inode = asx_container_of(node, asxi_vinode, all);
        inode->refs++;
        inode->links = 0;
        asxi_vblock_crash(disk, inode);
    }
    asx_list_each(node, &disk->all) {
        asxi_vinode *const inode = asx_container_of(node, asxi_vinode, all);
        if (inode->is_dir) {
            entries_reload(disk, inode);
        }
    }
    asx_list_each_safe(node, &disk->all) {
        asxi_vinode_unref(disk, asx_container_of(node, asxi_vinode, all));
    }
}

void asx_vdisk_stats_read(const asx_vdisk *disk, asx_vdisk_stats *stats)
{
    *stats = disk->stats;
}

asx_err asx_vdisk_create(const asx_vdisk_config *config, asx_vdisk **disk)
{
    asx_vdisk *const self = calloc(1, sizeof(*self));
    if (!self) {
        return ASX_E(NO_MEMORY);
    }
    asx_assert(config->env != NULL);
    self->config = *config;
    self->env = config->env;
    if (self->config.faults.spike_ns == 0) {
        self->config.faults.spike_ns = asx_ms(100);
    }
    asx_chunk_source_init(&self->chunks, &(asx_chunk_config){ .numa_node = -1 });
    asx_heap_init(&self->heap, &self->chunks, 0);
    asx_list_init(&self->all);
    asx_list_init(&self->records);
    self->root = inode_new(self, true);
    asx_assert(self->root != NULL);
    self->root->parent = self->root;
    *disk = self;
    return ASX_OK;
}

void asx_vdisk_destroy(asx_vdisk *disk)
{
    asx_heap_close(&disk->heap);
    asx_chunk_source_deinit(&disk->chunks);
    free(disk);
}
