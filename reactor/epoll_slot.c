/* What is known of each descriptor, found by its number: four bytes for every descriptor of the
 * process, a slot only for those that this shard has to do with. */
#include <asx/shard/base/assert.h>

#include "epoll_internal.h"

#include <stdlib.h>
#include <string.h>

/* Room for one more at `index`, and zeroes up to there; `*count` is a power of two. */
static void **pointers_grow(void **pointers, uint32_t *count, uint32_t index)
{
    uint32_t cap = *count ? *count : 16;
    while (cap <= index) {
        cap *= 2;
    }
    void **const grown = realloc(pointers, cap * sizeof(*grown));
    if (grown) {
        memset(grown + *count, 0, (cap - *count) * sizeof(*grown));
        *count = cap;
    }
    return grown;
}

/* Where the number of the descriptor's slot stands; NULL when memory is short. */
static uint32_t *slot_number(asxi_epoll *epoll, int32_t fd)
{
    const uint32_t index = (uint32_t)fd >> EPOLL_BLOCK_LOG2;
    if (index >= epoll->block_count) {
        void **const grown = pointers_grow((void **)epoll->blocks, &epoll->block_count, index);
        if (!grown) {
            return NULL;
        }
        epoll->blocks = (uint32_t **)grown;
    }
    if (!epoll->blocks[index]) {
        epoll->blocks[index] = calloc(EPOLL_BLOCK, sizeof(**epoll->blocks));
    }
    return epoll->blocks[index] ? &epoll->blocks[index][(uint32_t)fd & (EPOLL_BLOCK - 1)] : NULL;
}

static bool chunk_add(asxi_epoll *epoll)
{
    uint32_t index = 0;
    while (index < epoll->chunk_count && epoll->chunks[index]) {
        index++;
    }
    if (index >= epoll->chunk_count) {
        void **const grown = pointers_grow((void **)epoll->chunks, &epoll->chunk_count, index);
        if (!grown) {
            return false;
        }
        epoll->chunks = (epoll_slot **)grown;
    }
    epoll_slot *const chunk = calloc(EPOLL_BLOCK, sizeof(*chunk));
    epoll->chunks[index] = chunk;
    for (uint32_t i = 0; chunk && i < EPOLL_BLOCK; i++) {
        chunk[i].number = (index << EPOLL_BLOCK_LOG2) + i + 1;
        asx_list_push_back(&epoll->unused, &chunk[i].run);
    }
    return chunk != NULL;
}

static epoll_slot *slot_at(const asxi_epoll *epoll, uint32_t number)
{
    const uint32_t index = number - 1;
    return &epoll->chunks[index >> EPOLL_BLOCK_LOG2][index & (EPOLL_BLOCK - 1)];
}

epoll_slot *asxi_epoll_slot_find(const asxi_epoll *epoll, int32_t fd)
{
    const uint32_t index = (uint32_t)fd >> EPOLL_BLOCK_LOG2;
    const uint32_t *const block = index < epoll->block_count ? epoll->blocks[index] : NULL;
    const uint32_t number = block ? block[(uint32_t)fd & (EPOLL_BLOCK - 1)] : 0;
    return number ? slot_at(epoll, number) : NULL;
}

epoll_slot *asxi_epoll_slot_of(asxi_epoll *epoll, int32_t fd)
{
    epoll_slot *slot = asxi_epoll_slot_find(epoll, fd);
    if (asx_likely(slot != NULL)) {
        return slot;
    }
    uint32_t *const number = slot_number(epoll, fd);
    if (!number || (asx_list_empty(&epoll->unused) && !chunk_add(epoll))) {
        return NULL;
    }
    slot = asx_container_of(asx_list_pop_front(&epoll->unused), epoll_slot, run);
    *number = slot->number;
    slot->watched = 0;
    slot->generation = ++epoll->generation;
    return slot;
}

void asxi_epoll_slot_forget(asxi_epoll *epoll, epoll_slot *slot)
{
    for (asx_list *node; (node = slot->ops) != NULL;) {
        asx_list_ring_unlink(&slot->ops, node);
        asx_op *const op = asx_container_of(node, asx_op, _link);
        asxi_op_defer(&epoll->reactor, op, asx_err_errno(ECANCELED), 0);
    }
    asx_list_unlink(&slot->run);
    slot->generation = ++epoll->generation;
    slot->watched = 0;
    slot->revents = 0;
    slot->ready = 0;
    slot->hung_up = false;
    slot->known = false;
    slot->nonblocking = false;
}

void asxi_epoll_slot_give_up(asxi_epoll *epoll, epoll_slot *slot, int32_t fd)
{
    uint32_t *const number = slot_number(epoll, fd);
    asxi_epoll_slot_forget(epoll, slot);
    slot->number = *number;
    *number = 0;
    asx_list_push_front(&epoll->unused, &slot->run);
}

void asxi_epoll_slots_deinit(asxi_epoll *epoll)
{
    for (uint32_t i = 0; i < epoll->block_count; i++) {
        free(epoll->blocks[i]);
    }
    free(epoll->blocks);
    for (uint32_t i = 0; i < epoll->chunk_count; i++) {
        free(epoll->chunks[i]);
    }
    free(epoll->chunks);
}
