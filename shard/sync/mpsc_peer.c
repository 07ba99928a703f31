/* Another shard's senders, as home sees them: credits, as mpsc_internal.h draws them. */
#include "item_internal.h"
#include "mpsc_internal.h"

typedef struct peer {
    asxi_link link; /* in the line of the reservers while it wants slots */
    uint32_t credits;
    uint16_t told; /* ASXI_MPSC_STOPPED, then ASXI_LINK_GONE */
    bool recalled;
} peer;

static peer *peer_of(asxi_link *link)
{
    return asx_container_of(link, peer, link);
}

static asxi_mpsc *home_of(const peer *self)
{
    return asx_container_of(self->link.baton.object, asxi_mpsc, object);
}

static void recall(peer *self)
{
    self->recalled = true;
    asxi_link_send(&self->link, ASXI_MPSC_RECALL, 0);
}

static void grant(peer *self, uint32_t count)
{
    self->credits += count;
    self->recalled = false;
    asxi_link_send(&self->link, ASXI_MPSC_GRANT, count);
}

static void peer_told(asxi_baton *baton, uintptr_t value)
{
    peer *const self = peer_of(asxi_link_told(baton));
    if (value == ASXI_LINE_GRANTED) {
        grant(self, (uint32_t)baton->amount);
    }
}

static void peer_wants(peer *self, uint32_t count)
{
    asxi_mpsc *const home = home_of(self);
    if (home->stopped || home->receiver_gone) {
        return; /* it was told */
    }
    if (asxi_mpsc_slots_take(home, count)) {
        grant(self, count);
        return;
    }
    self->link.baton.amount = count;
    asxi_link_wait(&self->link, &home->reservers, peer_told);
    asx_shard_turn_end_link(home->object.shard, &home->turn_end);
}

void asxi_mpsc_recall(asxi_mpsc *home)
{
    for (asxi_link *link = home->links; link; link = link->next) {
        peer *const each = peer_of(link);
        const bool alone = link->waits && home->reservers.count == 1;
        if (each->credits > 0 && !each->recalled && !alone) {
            recall(each);
        }
    }
}

static void peer_tell(peer *self)
{
    const asxi_mpsc *const home = home_of(self);
    const uint16_t news = home->receiver_gone ? ASXI_LINK_GONE
                          : home->stopped     ? ASXI_MPSC_STOPPED
                                              : 0;
    if (news != self->told && asxi_link_is_attached(&self->link)) {
        self->told = news;
        asxi_link_send(&self->link, news, 0);
    }
}

/* Also at the end of the channel: then the peers' memory goes with its region. */
void asxi_mpsc_peers_tell(asxi_mpsc *home)
{
    for (asxi_link *link = home->links; link; link = link->next) {
        peer_tell(peer_of(link));
    }
}

/* Every item that its credits paid for was queued before. */
void asxi_mpsc_link_close(asxi_mpsc *home, const asxi_end *end)
{
    asxi_link *const link = asxi_link_of(end);
    const uint32_t credits = peer_of(link)->credits;
    asxi_link_close(link, sizeof(peer));
    asxi_mpsc_slots_return(home, credits);
}

static void credits_back(peer *self, uint32_t count)
{
    asx_assert(self->credits >= count);
    self->credits -= count;
    self->recalled = false;
    asxi_mpsc_slots_return(home_of(self), count);
}

static void peer_item(peer *self, const asx_msg *msg)
{
    asxi_mpsc *const home = home_of(self);
    asx_assert(self->credits > 0 && home->reserved > 0);
    self->credits--;
    home->reserved--;
    if (home->receiver_gone) {
        asxi_item_drop(msg);
        return;
    }
    asxi_mpsc_item_push(home, asxi_item_of(msg));
    asxi_item_taken(msg);
}

void asxi_mpsc_message(asxi_end *end, const asx_msg *msg)
{
    peer *const self = peer_of(asxi_link_of(end));
    switch (msg->flags) {
    case ASXI_LINK_ATTACH:
        asxi_link_attached(&self->link, msg);
        peer_tell(self);
        return;
    case ASXI_LINK_ITEM:
        peer_item(self, msg);
        return;
    case ASXI_LINK_DETACH:
        asxi_end_close(end);
        return;
    case ASXI_MPSC_WANT:
        peer_wants(self, msg->arg32);
        return;
    case ASXI_MPSC_RETURN:
        credits_back(self, msg->arg32);
        return;
    }
    asx_unreachable();
}

asx_err asx_mpsc_export(asx_cx *cx, asx_mpsc_sender sender, asx_mpsc_far *far)
{
    asxi_end *end;
    *far = (asx_mpsc_far){ 0 };
    asx_err err = asxi_end_find(cx, sender._end, &asxi_mpsc_type, ASXI_MPSC_SENDER, &end);
    if (err) {
        return err == ASX_E(TYPE_MISMATCH) ? ASX_E(WRONG_SHARD) : err;
    }
    asxi_mpsc *const self = asx_container_of(end->object, asxi_mpsc, object);
    asxi_link *link;
    err =
        asxi_link_open(end->object, &self->links, sizeof(peer), ASXI_MPSC_LINK, &far->_peer, &link);
    if (err) {
        return err;
    }
    self->senders++;
    far->_drop = self->drop;
    far->_what = self->what;
    far->_item_size = self->item_size;
    far->_capacity = self->capacity;
    return ASX_OK;
}

void asx_mpsc_far_abandon(asx_cx *cx, const asx_mpsc_far *far)
{
    asx_end_close(cx, far->_peer);
}
