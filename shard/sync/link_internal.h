/* Links: an object on one shard, and the far object that stands for it on another.
 *
 *   far                      home
 *   import  ──ATTACH(n)──>   the link learns who is there
 *           <──ITEM──>       what the two are for
 *           <──GONE──        home is closed, or nothing more will come
 *   close   ──DETACH──>      the link's end is closed
 *
 * Model.  Each names the other by the handle of an end, so that what arrives after a close finds
 *         nobody, and is dropped. Both rings are FIFO: at DETACH everything sent before it has been
 *         handled. More messages are the types' own, from ASXI_LINK_OPS on.
 * Owner.  Home's record is in the region's heap and goes with the end, or with that region. */
#ifndef ASX_SHARD_SYNC_LINK_INTERNAL_H
#define ASX_SHARD_SYNC_LINK_INTERNAL_H

#include "line_internal.h"

enum {
    ASXI_LINK_ATTACH = 1, /* arg32 the type's, [3,4] the far end */
    ASXI_LINK_DETACH,
    ASXI_LINK_ITEM, /* as item_internal.h lays it out */
    ASXI_LINK_GONE,
    ASXI_LINK_OPS,
};

typedef struct asxi_link asxi_link;
struct asxi_link {
    asxi_baton baton; /* in a line of the object's while the link waits there */
    asxi_link *next, **at;
    asx_handle far; /* null until attached */
    bool waits;
};

/* Home side */

/* A link of `size` bytes, zeroed behind asxi_link, in `links`, and its end of `role`.
 * errors  NO_SLOTS, NO_MEMORY */
asx_err asxi_link_open(asxi_object *object, asxi_link **links, size_t size, uint32_t role,
                       asx_handle *handle, asxi_link **opened);
/* Its end has been closed: out of its line, and freed. */
void asxi_link_close(asxi_link *link, size_t size);
asxi_link *asxi_link_of(const asxi_end *end);
void asxi_link_attached(asxi_link *link, const asx_msg *msg);
/* Stands in `line`; `tell`, which finds the link out of it, says what happens then. */
void asxi_link_wait(asxi_link *link, asxi_line *line,
                    void (*tell)(asxi_baton *baton, uintptr_t value));
/* To the far side; nothing, while there is none. */
void asxi_link_send(asxi_link *link, uint16_t op, uint32_t arg);
void asxi_link_send_item(asxi_link *link, const void *item, uint32_t size);
void asxi_links_gone(asxi_link *links);

static inline bool asxi_link_is_attached(const asxi_link *link)
{
    return !asx_handle_is_null(link->far);
}

static inline asxi_link *asxi_link_told(asxi_baton *baton)
{
    asxi_link *const link = asx_container_of(baton, asxi_link, baton);
    link->waits = false;
    return link;
}

/* Far side */

/* Opens the end of `role` that home's messages come to, and attaches it.
 * errors  NO_SLOTS, NO_MEMORY */
asx_err asxi_link_attach(asxi_object *object, uint32_t role, asx_handle home, uint32_t arg);
void asxi_link_send_home(asxi_object *object, asx_handle home, uint16_t op, uint32_t arg);

/* For asxi_object_type */
void asxi_link_discard(const asx_msg *msg);
void asxi_link_refuse(asx_shard *shard, const asx_msg *msg);

#endif
