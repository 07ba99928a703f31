#include <asx/shard/base/assert.h>
#include <asx/shard/base/prng.h>

#include "check_internal.h"

#include <string.h>

static asxi_entity *entity_at(const asxi_entities *self, uint32_t index)
{
    return asxi_array_at(&self->all, index);
}

static uint32_t bucket_of(const asxi_entities *self, uint8_t kind, uint64_t id)
{
    return (uint32_t)asx_mix64(id * 8 + kind) & (self->bucket_count - 1);
}

void asxi_entities_init(asxi_entities *self)
{
    memset(self, 0, sizeof(*self));
    asxi_array_init(&self->all, sizeof(asxi_entity));
    self->bucket_count = 1024;
    self->buckets = asxi_lab_alloc(self->bucket_count, sizeof(*self->buckets));
    self->dead = asxi_lab_alloc(ASX_LAB_CHECK_DEAD, sizeof(*self->dead));
}

void asxi_entities_deinit(asxi_entities *self)
{
    asxi_array_deinit(&self->all);
    asxi_lab_free(self->buckets);
    asxi_lab_free(self->dead);
}

asxi_entity *asxi_entities_find(asxi_entities *self, asxi_entity_kind kind, uint64_t id)
{
    uint32_t at = self->buckets[bucket_of(self, (uint8_t)kind, id)];
    while (at != 0) {
        asxi_entity *const entity = entity_at(self, at - 1);
        if (entity->id == id && entity->kind == (uint8_t)kind) {
            return entity;
        }
        at = entity->next;
    }
    return NULL;
}

static void link(asxi_entities *self, uint32_t index)
{
    asxi_entity *const entity = entity_at(self, index);
    uint32_t *const bucket = &self->buckets[bucket_of(self, entity->kind, entity->id)];
    entity->next = *bucket;
    *bucket = index + 1;
}

static void unlink_at(asxi_entities *self, uint32_t index)
{
    const asxi_entity *const entity = entity_at(self, index);
    uint32_t *at = &self->buckets[bucket_of(self, entity->kind, entity->id)];
    while (*at != index + 1) {
        at = &entity_at(self, *at - 1)->next;
    }
    *at = entity->next;
}

/* The free ones have kind 0. */
static void grow(asxi_entities *self)
{
    asxi_lab_free(self->buckets);
    self->bucket_count *= 2;
    self->buckets = asxi_lab_alloc(self->bucket_count, sizeof(*self->buckets));
    for (uint32_t i = 0; i < self->all.count; i++) {
        if (entity_at(self, i)->kind != 0) {
            link(self, i);
        }
    }
}

asxi_entity *asxi_entities_add(asxi_entities *self, asxi_entity_kind kind, uint64_t id)
{
    if (self->live >= self->bucket_count) {
        grow(self);
    }
    uint32_t index = self->all.count;
    if (self->free != 0) {
        index = self->free - 1;
        self->free = entity_at(self, index)->next;
    } else {
        (void)asxi_array_push(&self->all);
    }
    asxi_entity *const entity = entity_at(self, index);
    *entity = (asxi_entity){ .id = id, .kind = (uint8_t)kind };
    link(self, index);
    self->live++;
    return entity;
}

static void forget(asxi_entities *self, uint32_t index)
{
    unlink_at(self, index);
    asxi_entity *const entity = entity_at(self, index);
    *entity = (asxi_entity){ .next = self->free };
    self->free = index + 1;
    self->live--;
}

void asxi_entities_end(asxi_entities *self, asxi_entity *entity)
{
    const uint32_t index = (uint32_t)(entity - (asxi_entity *)asxi_array_items(&self->all));
    asx_assert(!entity->over);
    entity->over = true;
    if (self->dead_count == ASX_LAB_CHECK_DEAD) {
        forget(self, self->dead[self->dead_at]);
    } else {
        self->dead_count++;
    }
    self->dead[self->dead_at] = index;
    self->dead_at = (self->dead_at + 1) % ASX_LAB_CHECK_DEAD;
}
