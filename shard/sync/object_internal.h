/* What channels and locks have in common: a record in the shard's table, owned by a region, and the
 * ends through which it is used.
 *
 * Model.  An object is named by handles only: its own, or that of one of its ends (a sender, a
 *         receiver). It is closed once: by its last end, or by its region. A closed object keeps
 *         its record until nothing refers to it any more, so that a permit that outlives it finds
 *         a record that says so.
 *            open ──close──> closed ──last ref──> freed
 * Owner.  The region it was opened in, whose heap holds what is larger than the record.
 * Rule.   Whoever keeps a pointer to an object across a wait holds a ref, and looks whether it is
 *         still open. */
#ifndef ASX_SHARD_SYNC_OBJECT_INTERNAL_H
#define ASX_SHARD_SYNC_OBJECT_INTERNAL_H

#include <asx/shard/base/assert.h>
#include <asx/shard/mail_internal.h>
#include <asx/shard/shard_internal.h>
#include <asx/shard/sync/waits.h>

#define ASXI_OBJECT_BYTES 256u /* of a record; larger state is in the region's heap */

typedef struct asxi_object asxi_object;
typedef struct asxi_end asxi_end;
typedef struct asxi_objects asxi_objects;
typedef struct asxi_far_ops asxi_far_ops; /* far_internal.h */

typedef struct asxi_object_type {
    const char *name;
    /* Tells every waiter and drops what the object holds. Its region's heap is still there. */
    void (*close)(asxi_object *object);
    /* Nothing refers to it any more: gives back what outlived the region; NULL: nothing did. */
    void (*deinit)(asxi_object *object);
    /* An end has gone, and this is what it was; NULL: the type has none. */
    void (*end_close)(asxi_object *object, const asxi_end *end);
    /* One of the two sides of an object without ends is closed: it is named by the object's handle
     * and asx_handle._side. */
    void (*side_close)(asxi_object *object, uint32_t side);
    /* A message from the far end of `end`; NULL: the type has no far ends. */
    void (*message)(asxi_end *end, const asx_msg *msg);
    /* A message of this type's that reaches nobody: frees what it owns. */
    void (*message_discard)(const asx_msg *msg);
    /* Before that, when its end was closed: tells the sender, who may wait for an answer; NULL:
     * nobody does. */
    void (*message_refuse)(asx_shard *shard, const asx_msg *msg);
    const asxi_far_ops *far; /* NULL: other shards cannot use it by its handle */
} asxi_object_type;

struct asxi_object {
    asx_slot slot;
    const asxi_object_type *type;
    asx_shard *shard;
    asx_region *region; /* NULL once closed */
    asxi_object *next, **at;
    asx_list ends;
    asx_waits waits; /* in all its lines */
    uint32_t refs;   /* ends, permits, guards, waiters; and one while it is open */
};

struct asxi_end {
    asx_slot slot;
    asxi_object *object;
    asx_list link; /* in object->ends */
    uint64_t mark; /* the type's: a cursor, a seen version, a pointer */
    uint32_t role; /* the type's */
    uint32_t _zero;
};

struct asxi_objects {
    asx_handle_table objects;
    asx_handle_table ends;
};

/* Before the first object of a shard. errors  NO_MEMORY */
asx_err asxi_objects_create(asx_shard *shard);
/* Idempotent. The object's refs decide when the record goes. */
void asxi_object_close(asxi_object *object);
/* Does nothing where the handle finds no open object of `type`. */
void asxi_object_close_found(asx_cx *cx, asx_handle handle, const asxi_object_type *type);
/* Of one that is closed and to which nothing refers any more. */
void asxi_object_free(asxi_object *object);

/* errors  NO_SLOTS, NO_MEMORY */
asx_err asxi_end_open(asxi_object *object, uint32_t role, asx_handle *handle, asxi_end **end);
/* A message to a far end: `op` is the type's, arg32 and words 3..6 are free. */
asx_msg asxi_object_message_to(asx_handle end, const asxi_object_type *type, uint16_t op);
/* The same in place; what is free keeps its value. */
static inline void asxi_object_address(asx_msg *msg, const asx_handle *end,
                                       const asxi_object_type *type, uint16_t op)
{
    msg->kind = ASXI_MSG_OBJECT;
    msg->flags = op;
    memcpy(&msg->words[0], end, sizeof(*end));
    memcpy(&msg->words[2], &type, sizeof(type));
}

/* Tells the type, and ends the handle. */
void asxi_end_close(asxi_end *end);
/* The end, side or object that `handle` names on this shard.
 * errors  WRONG_SHARD, and others that mean that there is none */
asx_err asxi_end_close_here(asx_shard *shard, asx_handle handle);
/* Of a shard without any object. */
asx_err asxi_object_none(const asx_shard *shard, asx_handle handle);

ASX_INLINE void asxi_object_ref(asxi_object *object)
{
    object->refs++;
}

ASX_INLINE void asxi_object_unref(asxi_object *object)
{
    asx_assert(object->refs > 0);
    if (asx_unlikely(--object->refs == 0)) {
        asxi_object_free(object);
    }
}

static inline bool asxi_object_is_open(const asxi_object *object)
{
    return object->region != NULL;
}

/* errors  WRONG_KIND, WRONG_SHARD, STALE; TYPE_MISMATCH for an object of another type */
ASX_INLINE asx_err asxi_object_find(asx_cx *cx, asx_handle handle, const asxi_object_type *type,
                                    asxi_object **object)
{
    const asxi_objects *const objects = cx->_shard->objects;
    *object = NULL;
    if (asx_unlikely(!objects)) {
        return asxi_object_none(cx->_shard, handle);
    }
    asxi_object *const found =
        (asxi_object *)asx_handle_find_sized(&objects->objects, handle, ASXI_OBJECT_BYTES);
    if (asx_unlikely(!found)) {
        return asx_handle_lookup_why(&objects->objects, handle);
    }
    *object = found;
    return asx_likely(found->type == type) ? ASX_OK : ASX_E(TYPE_MISMATCH);
}

/* errors  as asxi_object_find; CLOSED */
ASX_INLINE asx_err asxi_object_find_open(asx_cx *cx, asx_handle handle,
                                         const asxi_object_type *type, asxi_object **object)
{
    const asx_err err = asxi_object_find(cx, handle, type, object);
    if (asx_unlikely(err)) {
        return err;
    }
    return asx_likely(asxi_object_is_open(*object)) ? ASX_OK : ASX_E(CLOSED);
}

/* An open object of `type` in a region that admits it; the body behind asxi_object is zeroed up to
 * `size`, a constant.
 * errors  NO_SLOTS, NO_MEMORY */
ASX_INLINE asx_err asxi_object_make(asx_shard *shard, asx_region *region,
                                    const asxi_object_type *type, size_t size, asxi_object **made)
{
    _Static_assert(sizeof(asxi_object) <= ASXI_OBJECT_BYTES, "an object fits its record");
    asxi_object *const object = (asxi_object *)asx_handle_alloc(&shard->objects->objects, NULL);
    *made = object;
    if (asx_unlikely(!object)) {
        return asx_handle_table_why(&shard->objects->objects);
    }
    memset((char *)object + sizeof(asx_slot), 0, size - sizeof(asx_slot));
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
    return ASX_OK;
}

/* The same in the cx's region, which may not admit it.
 * errors  REGION_CLOSED as well */
ASX_INLINE asx_err asxi_object_open(asx_cx *cx, const asxi_object_type *type, size_t size,
                                    asxi_object **opened)
{
    asx_shard *const shard = cx->_shard;
    asx_region *const region = asxi_cx_region(cx);
    *opened = NULL;
    if (asx_unlikely(!region)) {
        return ASX_E(REGION_CLOSED);
    }
    asx_err err = asx_likely(asxi_region_admits_all(region))
                      ? ASX_OK
                      : asxi_region_admit_part(region, cx->_task->cx._region);
    if (!err && asx_unlikely(!shard->objects)) {
        err = asxi_objects_create(shard);
    }
    return asx_unlikely(err) ? err : asxi_object_make(shard, region, type, size, opened);
}

/* Handles are read and made in whole words, as asx_handle_of does: where a byte of one is asked
 * for, the compiler stores two and loads sixteen bytes at once, a stall of 5 ns. */

/* The handle of one side of an object without ends. */
ASX_INLINE asx_handle asxi_object_side(const asxi_object *object, uint8_t side)
{
    uint64_t words[2];
    asx_handle handle = asx_handle_of(object);
    memcpy(words, &handle, sizeof(words));
    words[1] |= (uint64_t)side << 24;
    memcpy(&handle, words, sizeof(handle));
    return handle;
}

/* Which side that is; 0: the object itself. */
ASX_INLINE uint32_t asxi_handle_side(asx_handle handle)
{
    uint64_t words[2];
    memcpy(words, &handle, sizeof(words));
    return words[1] >> 24 & 0xFF;
}

ASX_INLINE uint32_t asxi_handle_kind(asx_handle handle)
{
    uint64_t words[2];
    memcpy(words, &handle, sizeof(words));
    return words[1] >> 16 & 0xFF;
}

/* As asxi_object_find, by an end of `role`. */
ASX_INLINE asx_err asxi_end_find(asx_cx *cx, asx_handle handle, const asxi_object_type *type,
                                 uint32_t role, asxi_end **end)
{
    const asxi_objects *const objects = cx->_shard->objects;
    *end = NULL;
    if (asx_unlikely(!objects)) {
        return asxi_object_none(cx->_shard, handle);
    }
    asxi_end *const found =
        (asxi_end *)asx_handle_find_sized(&objects->ends, handle, sizeof(asxi_end));
    if (asx_unlikely(!found)) {
        return asx_handle_lookup_why(&objects->ends, handle);
    }
    *end = found;
    return asx_likely(found->object->type == type && found->role == role) ? ASX_OK
                                                                          : ASX_E(TYPE_MISMATCH);
}

#endif
