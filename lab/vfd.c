/* A driver's descriptors and its receive buffers. */
#include "vdriver_internal.h"

#include <stdlib.h>

#define FD_FIRST 3u /* as in a process with its three streams open */

static bool table_grow(asxi_vfds *fds)
{
    const uint32_t count = fds->count ? 2 * fds->count : 64;
    asxi_vfd *const table = realloc(fds->table, count * sizeof(*table));
    if (!table) {
        return false;
    }
    for (uint32_t i = fds->count; i < count; i++) {
        table[i] = (asxi_vfd){ .kind = ASXI_VFD_NONE };
    }
    fds->table = table;
    fds->count = count;
    return true;
}

bool asxi_vfd_full(const asxi_vdriver *self)
{
    return self->fds.open >= self->config.fd_max;
}

asx_err asxi_vfd_open(asxi_vdriver *self, asxi_vfd_kind kind, void *object, int32_t *fd)
{
    asxi_vfds *const fds = &self->fds;
    uint32_t at = fds->first_free > FD_FIRST ? fds->first_free : FD_FIRST;
    if (asxi_vfd_full(self)) {
        return asx_err_errno(EMFILE);
    }
    while (at < fds->count && fds->table[at].kind != ASXI_VFD_NONE) {
        at++;
    }
    if (at >= fds->count && !table_grow(fds)) {
        return asx_err_errno(ENFILE);
    }
    fds->table[at] = (asxi_vfd){ .object = object, .kind = kind };
    fds->first_free = at + 1;
    fds->open++;
    *fd = (int32_t)at;
    return ASX_OK;
}

void *asxi_vfd_get(const asxi_vdriver *self, int32_t fd, asxi_vfd_kind kind)
{
    if (fd < 0 || (uint32_t)fd >= self->fds.count || self->fds.table[fd].kind != kind) {
        return NULL;
    }
    return self->fds.table[fd].object;
}

void asxi_vfd_free(asxi_vdriver *self, int32_t fd)
{
    asxi_vfds *const fds = &self->fds;
    asx_assert(fds->table[fd].kind != ASXI_VFD_NONE);
    fds->table[fd] = (asxi_vfd){ .kind = ASXI_VFD_NONE };
    fds->open--;
    if ((uint32_t)fd < fds->first_free) {
        fds->first_free = (uint32_t)fd;
    }
}

asx_err asxi_vbufs_init(asxi_vdriver *self)
{
    asxi_vbufs *const bufs = &self->bufs;
    const uint32_t count = self->config.buf_count, size = self->config.buf_size;
    bufs->bufs = calloc(count, sizeof(*bufs->bufs));
    bufs->free = calloc(count, sizeof(*bufs->free));
    bufs->memory = malloc((size_t)count * size);
    if (!bufs->bufs || !bufs->free || !bufs->memory) {
        return ASX_E(NO_MEMORY);
    }
    bufs->count = count;
    for (uint32_t i = 0; i < count; i++) {
        bufs->bufs[i] = (asx_rbuf){ .data = bufs->memory + (size_t)i * size, .cap = size, .id = i };
        bufs->free[i] = count - 1 - i; /* the first one is lent first */
    }
    bufs->free_count = count;
    return ASX_OK;
}

asx_rbuf *asxi_vbuf_take(asxi_vdriver *self)
{
    asxi_vbufs *const bufs = &self->bufs;
    return bufs->free_count > 0 ? &bufs->bufs[bufs->free[--bufs->free_count]] : NULL;
}

void asxi_vbuf_put(asxi_vdriver *self, asx_rbuf *rbuf)
{
    asxi_vbufs *const bufs = &self->bufs;
    asx_assert_lt(rbuf->id, bufs->count);
    asx_assert(&bufs->bufs[rbuf->id] == rbuf);
    asx_assert_lt(bufs->free_count, bufs->count);
    bufs->free[bufs->free_count++] = rbuf->id;
}

void asxi_vfds_deinit(asxi_vdriver *self)
{
    asx_assert_eq(self->bufs.free_count, self->bufs.count); /* nothing is lent any more */
    free(self->fds.table);
    free(self->bufs.bufs);
    free(self->bufs.free);
    free(self->bufs.memory);
}
