#include "sender_internal.h"

#include <string.h>

/* Blocks that the answer lists need symbols; those it leaves out are done, up to the last one
 * listed when the list is full. */
static void blocks_update(asx_rq_sender *s, const asx_rq_need_body *need, const asxi_snapshot *shot)
{
    uint32_t at = 0, done = 0;
    uint64_t missing = 0;
    const bool is_full = need->count == ASX_RQ_NEEDS_MAX;
    const uint32_t known = is_full ? need->entries[need->count - 1].sbn + 1 : s->offer.oti.blocks;
    for (uint32_t i = 0; i < s->offer.oti.blocks; i++) {
        asxi_send_block *block = &s->blocks[i];
        if (at < need->count && need->entries[at].sbn == i) {
            const asx_rq_need_entry *entry = &need->entries[at++];
            block->need = entry->need < block->k ? entry->need : block->k;
            block->is_done = false;
            block->covered = shot->next[i];
            if (entry->next > block->next) { /* another sender of this object came before us */
                block->next = block->covered = entry->next;
            }
        } else if (i < known) {
            block->is_done = true;
        }
        done += block->is_done;
        missing += block->is_done ? 0 : block->need;
    }
    const uint64_t left = missing * s->config.symbol_size;
    s->stats.blocks_done = done;
    s->stats.done_bytes = left < s->offer.size ? s->offer.size - left : 0;
}

static void loss_update(asx_rq_sender *s, const asx_rq_need_body *need, const asxi_snapshot *shot)
{
    const uint64_t sent_now = shot->sent - s->sample_sent;
    if (need->received < s->sample_received || s->answered == 0) {
        s->sample_sent = shot->sent; /* a receiver that began anew, or had symbols before us */
        s->sample_received = need->received;
    } else if (sent_now >= LOSS_SAMPLE) {
        const uint64_t came = need->received - s->sample_received;
        const uint32_t loss = came < sent_now ? (uint32_t)((sent_now - came) * 1000 / sent_now) : 0;
        const uint32_t mixed = (3 * s->stats.loss_permille + loss) / 4;
        s->stats.loss_permille =
            mixed < ASX_RQ_SENDER_LOSS_PERMILLE_MAX ? mixed : ASX_RQ_SENDER_LOSS_PERMILLE_MAX;
        s->sample_sent = shot->sent;
        s->sample_received = need->received;
    }
}

static void take_need(asx_rq_sender *s, asx_instant now_ns, const asx_rq_need_body *need)
{
    const asxi_snapshot *shot = &s->snapshots[need->probe % SNAPSHOTS];
    if (need->session != s->config.session || need->probe <= s->answered ||
        shot->probe != need->probe) {
        s->stats.stale++;
        return;
    }
    s->stats.answers++;
    s->heard_at_ns = now_ns;
    s->misses = 0;
    s->srtt_ns = (7 * s->srtt_ns + asx_time_sub(now_ns, shot->at_ns)) / 8;
    s->peer = need->state;
    switch (need->state) {
    case ASX_RQ_NEED_RECEIVING:
    case ASX_RQ_NEED_FINISHING: {
        const uint32_t own = s->config.window > 0 ? s->config.window : ASX_RQ_SENDER_WINDOW;
        s->window = need->window == 0 ? 1 : need->window < own ? need->window : own;
        s->state = SENDING;
        blocks_update(s, need, shot);
        loss_update(s, need, shot);
        s->probe_at_ns =
            asx_time_add(now_ns, asxi_sender_probe_pause(s, asxi_sender_pick(s) == NO_BLOCK));
        break;
    }
    case ASX_RQ_NEED_DONE:
        s->stats.blocks_done = s->stats.blocks;
        s->stats.done_bytes = s->offer.size;
        s->state = ENDING;
        s->byes_left = BYES;
        break;
    case ASX_RQ_NEED_BUSY:
    case ASX_RQ_NEED_REFUSED:
    case ASX_RQ_NEED_FAILED:
        (void)asxi_sender_fail(s, ASX_RQ_E(REFUSED));
        break;
    }
    s->answered = need->probe;
}

void asx_rq_sender_hear(asx_rq_sender *s, asx_instant now_ns, const uint8_t *bytes, size_t len)
{
    asx_rq_frame frame;
    if (asx_rq_frame_decode(&frame, bytes, len) != ASX_RQ_FRAME_OK ||
        frame.kind != ASX_RQ_FRAME_NEED ||
        memcmp(frame.object_id, s->object_id, sizeof(s->object_id)) != 0) {
        s->stats.malformed++;
        return;
    }
    if (s->tagger != NULL &&
        (!frame.is_tagged ||
         !asx_rq_tagger_record_check(s->tagger, frame.signed_bytes, frame.signed_len, frame.tag))) {
        s->stats.forged++;
        return;
    }
    if (s->state == OFFERING || s->state == SENDING) {
        take_need(s, now_ns, &frame.need);
    }
}
