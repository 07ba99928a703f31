#include <asx/shard/sync/end.h>

#include "far_internal.h"

#include <stdlib.h>
#include <string.h>

#define OBJECT_COUNT_MAX (1u << 24)

asx_err asxi_objects_create(asx_shard *shard)
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
        asx_assert(asx_handle_table_live(&shard->objects->objects) == 0 &&
                   asx_handle_table_live(&shard->objects->ends) == 0);
        asx_handle_table_deinit(&shard->objects->objects);
        asx_handle_table_deinit(&shard->objects->ends);
        free(shard->objects);
        shard->objects = NULL;
    }
}

void asxi_object_free(asxi_object *object)
{
    asx_assert(!asxi_object_is_open(object) && object->refs == 0);
    if (object->type->deinit) {
        object->type->deinit(object);
    }
    asx_handle_free(&object->shard->objects->objects, object);
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

ASX_INLINE asx_err end_close_here(asx_shard *shard, asx_handle handle)
{
    const asxi_objects *const objects = shard->objects;
    if (asx_unlikely(!objects)) {
        return asxi_object_none(shard, handle);
    }
    if (asxi_handle_kind(handle) != ASX_HANDLE_CHANNEL) {
        asxi_end *const end =
            (asxi_end *)asx_handle_find_sized(&objects->ends, handle, sizeof(asxi_end));
        if (asx_unlikely(!end)) {
            return asx_handle_lookup_why(&objects->ends, handle);
        }
        asxi_end_close(end);
        return ASX_OK;
    }
    asxi_object *const object =
        (asxi_object *)asx_handle_find_sized(&objects->objects, handle, ASXI_OBJECT_BYTES);
    if (asx_unlikely(!object)) {
        return asx_handle_lookup_why(&objects->objects, handle);
    }
    const uint32_t side = asxi_handle_side(handle);
    if (side != 0) {
        object->type->side_close(object, side);
    } else {
        asxi_object_close(object);
    }
    return ASX_OK;
}

asx_err asxi_end_close_here(asx_shard *shard, asx_handle handle)
{
    return end_close_here(shard, handle);
}

void asx_end_close(asx_cx *cx, asx_handle handle)
{
    if (asx_unlikely(end_close_here(cx->_shard, handle) == ASX_E(WRONG_SHARD))) {
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
