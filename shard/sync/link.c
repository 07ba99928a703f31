#include "item_internal.h"
#include "link_internal.h"

#include <string.h>

static void left(asxi_baton *baton, bool granted)
{
    (void)granted; /* a link that leaves closes: what it was given comes back by itself */
    asxi_link_told(baton);
}

asx_err asxi_link_open(asxi_object *object, asxi_link **links, size_t size, uint32_t role,
                       asx_handle *handle, asxi_link **opened)
{
    asxi_end *end;
    asx_assert(size >= sizeof(asxi_link));
    asxi_link *const link = asx_heap_alloc(&object->region->heap, size);
    if (!link) {
        return ASX_E(NO_MEMORY);
    }
    const asx_err err = asxi_end_open(object, role, handle, &end);
    if (err) {
        asx_heap_free(&object->region->heap, link, size);
        return err;
    }
    memset(link, 0, size);
    link->baton.object = object;
    link->baton.leave = left;
    link->next = *links;
    link->at = links;
    if (link->next) {
        link->next->at = &link->next;
    }
    *links = link;
    memcpy(&end->mark, &link, sizeof(link));
    *opened = link;
    return ASX_OK;
}

void asxi_link_close(asxi_link *link, size_t size)
{
    if (link->waits) {
        asxi_line_leave(&link->baton);
    }
    *link->at = link->next;
    if (link->next) {
        link->next->at = link->at;
    }
    asx_heap_free(&link->baton.object->region->heap, link, size);
}

asxi_link *asxi_link_of(const asxi_end *end)
{
    asxi_link *link;
    memcpy(&link, &end->mark, sizeof(link));
    return link;
}

void asxi_link_attached(asxi_link *link, const asx_msg *msg)
{
    asx_assert(!asxi_link_is_attached(link));
    link->far = asxi_mail_get_handle(msg, 3);
}

void asxi_link_wait(asxi_link *link, asxi_line *line,
                    void (*tell)(asxi_baton *baton, uintptr_t value))
{
    asx_assert(!link->waits);
    link->waits = true;
    link->baton.tell = tell;
    asxi_line_enter(line, &link->baton);
}

static void to_far(asxi_link *link, asx_msg *msg)
{
    asxi_mail_send(link->baton.object->shard, link->far.shard, msg);
}

void asxi_link_send(asxi_link *link, uint16_t op, uint32_t arg)
{
    asx_msg msg = asxi_object_message_to(link->far, link->baton.object->type, op);
    msg.arg32 = arg;
    if (asxi_link_is_attached(link)) {
        to_far(link, &msg);
    }
}

void asxi_link_send_item(asxi_link *link, const void *item, uint32_t size)
{
    asx_assert(asxi_link_is_attached(link));
    asx_msg msg = asxi_object_message_to(link->far, link->baton.object->type, ASXI_LINK_ITEM);
    asxi_item_put(&msg, item, size, NULL);
    to_far(link, &msg);
}

void asxi_links_gone(asxi_link *links)
{
    for (asxi_link *link = links; link; link = link->next) {
        asxi_link_send(link, ASXI_LINK_GONE, 0);
    }
}

asx_err asxi_link_attach(asxi_object *object, uint32_t role, asx_handle home, uint32_t arg)
{
    asx_handle link;
    const asx_err err = asxi_end_open(object, role, &link, NULL);
    if (!err) {
        asx_msg msg = asxi_object_message_to(home, object->type, ASXI_LINK_ATTACH);
        msg.arg32 = arg;
        asxi_mail_put_handle(&msg, 3, link);
        asxi_mail_send(object->shard, home.shard, &msg);
    }
    return err;
}

void asxi_link_send_home(asxi_object *object, asx_handle home, uint16_t op, uint32_t arg)
{
    asx_msg msg = asxi_object_message_to(home, object->type, op);
    msg.arg32 = arg;
    asxi_mail_send(object->shard, home.shard, &msg);
}

void asxi_link_discard(const asx_msg *msg)
{
    if (msg->flags == ASXI_LINK_ITEM) {
        asxi_item_drop(msg);
    }
}

/* Home closed before it learnt who shall be told of it. */
void asxi_link_refuse(asx_shard *shard, const asx_msg *msg)
{
    if (msg->flags == ASXI_LINK_ATTACH) {
        asx_msg gone = *msg; /* with its type */
        const asx_handle link = asxi_mail_get_handle(msg, 3);
        gone.flags = ASXI_LINK_GONE;
        asxi_mail_put_handle(&gone, 0, link);
        asxi_mail_send(shard, link.shard, &gone);
    }
}
