#include <asx/shard/sync/end.h>

#include "far_internal.h"

#include <stdlib.h>
#include <string.h>

#define OBJECT_COUNT_MAX (1u << 24)

static asx_err tables_create(asx_shard *shard)
{
    asxi_objects *const objects = calloc(1, sizeof(*objects));
    if (!objects) {
        return ASX_E(NO_MEMORY);
    }
    asx_handle_table_init(&objects->objects, ASX_HANDLE_CHANNEL, (uint16_t)shard->index,
                          ASXI_OBJECT_BYTES, &shard->chunks, OBJECT_COUNT_MAX);
    asx_handle_table_init(&objects->ends, ASX_HANDLE_END, (uint16_t)shard->index, sizeof(asxi_end),
                          &shard->chunks, OBJECT_COUNT_MAX);
    shard->objects = objects;
    return ASX_OK;
}

void asxi_objects_destroy(asx_shard *shard)
{
    if (shard->objects) {
        asx_assert(shard->objects->objects.live == 0 && shard->objects->ends.live == 0);
        asx_handle_table_deinit(&shard->objects->objects);
        asx_handle_table_deinit(&shard->objects->ends);
        free(shard->objects);
        shard->objects = NULL;
    }
}

/* errors  NO_SLOTS, NO_MEMORY */
static inline asx_err object_make(asx_shard *shard, asx_region *region,
                                  const asxi_object_type *type, size_t size, asxi_object **opened)
{
    asx_assert(size >= sizeof(asxi_object) && size <= ASXI_OBJECT_BYTES);
    asxi_object *const object = asx_handle_alloc(&shard->objects->objects, NULL);
    if (asx_unlikely(!object)) {
        return asx_handle_table_why(&shard->objects->objects);
    }
    /* All of it: a size that the compiler knows is cleared by a few stores. */
    memset((char *)object + sizeof(asx_slot), 0, ASXI_OBJECT_BYTES - sizeof(asx_slot));
    object->type = type;
    object->shard = shard;
    object->region = region;
    object->refs = 1;
    asx_list_init(&object->ends);
    object->next = region->objects;
    object->at = &region->objects;
    if (object->next) {
        object->next->at = &object->next;
    }
    region->objects = object;
    *opened = object;
    return ASX_OK;
}

asx_err asxi_object_open(asx_cx *cx, const asxi_object_type *type, size_t size,
                         asxi_object **opened)
{
    asx_shard *const shard = cx->_shard;
    asx_region *const region = asxi_cx_region(cx);
    if (asx_unlikely(!region)) {
        return ASX_E(REGION_CLOSED);
    }
    asx_err err = asxi_region_admit(region, cx->_task->cx._region);
    if (!err && asx_unlikely(!shard->objects)) {
        err = tables_create(shard);
    }
    return asx_unlikely(err) ? err : object_make(shard, region, type, size, opened);
}

asx_err asxi_object_open_beside(const asxi_object *beside, const asxi_object_type *type,
                                size_t size, asxi_object **opened)
{
    asx_assert(asxi_object_is_open(beside));
    return object_make(beside->shard, beside->region, type, size, opened);
}

void asxi_object_ref(asxi_object *object)
{
    object->refs++;
}

void asxi_object_unref(asxi_object *object)
{
    asx_assert(object->refs > 0);
    if (--object->refs == 0) {
        asx_assert(!asxi_object_is_open(object));
        if (object->type->deinit) {
            object->type->deinit(object);
        }
        asx_handle_free(&object->shard->objects->objects, object);
    }
}

static void end_free(asxi_end *end)
{
    asx_list_unlink(&end->link);
    asx_handle_free(&end->object->shard->objects->ends, end);
}

void asxi_object_close(asxi_object *object)
{
    if (!asxi_object_is_open(object)) {
        return;
    }
    object->type->close(object);
    *object->at = object->next;
    if (object->next) {
        object->next->at = object->at;
    }
    object->region = NULL;
    while (!asx_list_empty(&object->ends)) {
        end_free(asx_container_of(object->ends._next, asxi_end, link));
        asxi_object_unref(object);
    }
    asxi_object_unref(object);
}

void asxi_object_close_found(asx_cx *cx, asx_handle handle, const asxi_object_type *type)
{
    asxi_object *object;
    const asx_err err = asxi_object_find_open(cx, handle, type, &object);
    if (!err) {
        asxi_object_close(object);
    } else if (err == ASX_E(WRONG_SHARD)) {
        asxi_far_close(cx->_shard, handle);
    }
}

void asxi_objects_close_all(asx_region *region)
{
    while (region->objects) {
        asxi_object_close(region->objects);
    }
}

asx_err asxi_end_open(asxi_object *object, uint32_t role, asx_handle *handle, asxi_end **opened)
{
    asx_handle_table *const ends = &object->shard->objects->ends;
    asxi_end *const end = asx_handle_alloc(ends, handle);
    if (asx_unlikely(!end)) {
        return asx_handle_table_why(ends);
    }
    end->object = object;
    end->role = role;
    end->mark = 0;
    end->link = (asx_list){ 0 };
    asx_list_push_back(&object->ends, &end->link);
    asxi_object_ref(object);
    if (opened) {
        *opened = end;
    }
    return ASX_OK;
}

void asxi_end_close(asxi_end *end)
{
    asxi_object *const object = end->object;
    /* The handle goes first: what the type's note wakes or drops cannot use the end any more. */
    const asxi_end gone = *end;
    end_free(end);
    object->type->end_close(object, &gone);
    asxi_object_unref(object);
}

void asxi_object_message(asx_shard *shard, const asx_msg *msg)
{
    void *record;
    if (!shard->objects ||
        asx_handle_lookup(&shard->objects->ends, asxi_mail_get_handle(msg, 0), &record)) {
        const asxi_object_type *type;
        memcpy(&type, &msg->words[2], sizeof(type));
        shard->stats.messages_stale++;
        if (type->message_refuse) {
            type->message_refuse(shard, msg);
        }
        type->message_discard(msg);
        return;
    }
    asxi_end *const end = record;
    asx_assert(end->object->type->message != NULL);
    end->object->type->message(end, msg);
}

void asxi_object_message_discard(const asx_msg *msg)
{
    const asxi_object_type *type;
    memcpy(&type, &msg->words[2], sizeof(type));
    type->message_discard(msg);
}

asx_msg asxi_object_message_to(asx_handle end, const asxi_object_type *type, uint16_t op)
{
    asx_msg msg = { 0 };
    asxi_object_address(&msg, &end, type, op);
    return msg;
}

asx_err asxi_object_none(const asx_shard *shard, asx_handle handle)
{
    return asx_handle_is_null(handle) || handle.shard == shard->index ? ASX_E(STALE)
                                                                      : ASX_E(WRONG_SHARD);
}

asx_err asxi_end_close_here(asx_shard *shard, asx_handle handle)
{
    void *record;
    asx_err err;
    const asxi_objects *const objects = shard->objects;
    if (!objects) {
        return asxi_object_none(shard, handle);
    }
    if (handle.kind != ASX_HANDLE_CHANNEL) {
        err = asx_handle_lookup(&objects->ends, handle, &record);
        if (!err) {
            asxi_end_close(record);
        }
        return err;
    }
    err = asx_handle_lookup(&objects->objects, handle, &record);
    if (!err) {
        asxi_object *const object = record;
        if (handle._side[0] != 0) {
            object->type->side_close(object, handle._side[0]);
        } else {
            asxi_object_close(object);
        }
    }
    return err;
}

void asx_end_close(asx_cx *cx, asx_handle handle)
{
    if (asx_unlikely(asxi_end_close_here(cx->_shard, handle) == ASX_E(WRONG_SHARD))) {
        asxi_far_close(cx->_shard, handle);
    }
}

static void hold_deferred(asx_cx *cx, asx_defer *defer)
{
    asx_hold *const hold = asx_container_of(defer, asx_hold, _defer);
    hold->_cx = NULL;
    asx_end_close(cx, hold->_end);
}

void asx_hold_open(asx_hold *hold, asx_cx *cx, asx_handle end)
{
    hold->_cx = cx;
    hold->_end = end;
    asx_defer_push(cx, &hold->_defer, hold_deferred);
}

void asx_hold_close(asx_hold *hold)
{
    asx_cx *const cx = hold->_cx;
    if (cx) {
        hold->_cx = NULL;
        asx_defer_pop(cx, &hold->_defer);
        asx_end_close(cx, hold->_end);
    }
}
