/* How messages travel between shards: kinds, sending, and who handles what. */
#ifndef ASX_SHARD_MAIL_INTERNAL_H
#define ASX_SHARD_MAIL_INTERNAL_H

#include <asx/shard/cancel.h>
#include <asx/shard/cx.h>
#include <asx/shard/ring.h>

#include <string.h>

typedef enum asxi_msg_kind {
    ASXI_MSG_SPAWN_REQ = 1, /* [0] request */
    ASXI_MSG_SPAWN_ACK,     /* [0,1] proxy, [2,3] region */
    ASXI_MSG_SPAWN_REFUSED, /* [0,1] proxy, [2] error */
    ASXI_MSG_CANCEL,        /* [0,1] region, [2] reason; arg32 kind, should the copy have failed */
    ASXI_MSG_CHILD_DONE,    /* [0,1] proxy, [2] payload; arg32 severity */
    ASXI_MSG_WAKE,          /* [0,1] task */
    ASXI_MSG_POST,          /* [0] function, [1] argument */
    ASXI_MSG_SHUTDOWN,      /* [0] reason, or NULL */
    ASXI_MSG_FAR,           /* [0,1] object; the rest is sync/far.c's */
    ASXI_MSG_OBJECT,       /* [0,1] end, [2] the sender's type; flags and the rest are the type's */
    ASXI_MSG_MIGRATE_CALL, /* arg32 who */
    ASXI_MSG_MIGRATE_ASK,  /* arg32 who */
    ASXI_MSG_MIGRATE_LOAN, /* [0] batch; arg32 who */
    ASXI_MSG_MIGRATE_ACK,  /* [0,1] task, [2,3] region */
    ASXI_MSG_MIGRATE_BACK, /* [0,1] task, [2] stream, [3,4,5] budget, [6] instant; arg32 flags */
    ASXI_MSG_MIGRATE_DONE, /* [0,1] task, [2] payload; arg32 severity */
    ASXI_MSG_MIGRATE_WAKE, /* [0,1] region */
    ASXI_MSG_MIGRATE_CANCEL, /* as CANCEL */
} asxi_msg_kind;

_Static_assert(sizeof(asx_handle) == 2 * sizeof(uint64_t), "a handle is two words of a message");

static inline void asxi_mail_put_handle(asx_msg *msg, unsigned at, asx_handle handle)
{
    memcpy(&msg->words[at], &handle, sizeof(handle));
}

static inline asx_handle asxi_mail_get_handle(const asx_msg *msg, unsigned at)
{
    asx_handle handle;
    memcpy(&handle, &msg->words[at], sizeof(handle));
    return handle;
}

/* mail.c */

/* Control: never fails, never waits, never overtakes. The sender's protocol bounds how many are in
 * flight. */
void asxi_mail_send(asx_shard *shard, uint32_t to, const asx_msg *msg);
/* The same of what adds up: a message that is said again while it waits for room in the ring, with
 * nothing sent behind it, becomes one with the sum of both in this word, its last. */
#define ASXI_MAIL_SUM_WORD 3u
void asxi_mail_send_sum(asx_shard *shard, uint32_t to, const asx_msg *msg);
/* Data: false when the ring is full. */
bool asxi_mail_try_send(asx_shard *shard, uint32_t to, const asx_msg *msg);
/* Waits until the ring may have room for data.
 * errors  OVERLOADED for a poll task, CANCELLED */
asx_err asxi_mail_room_wait(asx_cx *cx, uint32_t to);
/* errors  NO_CAPABILITY, WRONG_TASK, RUNTIME_UNAVAILABLE (no mesh), INVALID_ARGUMENT (no such
 *         shard) */
asx_err asxi_mail_require(asx_cx *cx, uint32_t to);
/* The reason that travels in a message, with its reference. */
const asx_reason *asxi_mail_take_reason(const asx_msg *msg, unsigned at);

/* Handlers, and what frees a message that nobody will handle. */
void asxi_limb_message(asx_shard *shard, const asx_msg *msg);
void asxi_limb_message_discard(const asx_msg *msg);
/* The outcome that a CHILD_DONE brought, with its reference. */
asx_outcome asxi_limb_payload_take(const asx_msg *msg);
void asxi_object_message(asx_shard *shard, const asx_msg *msg);
void asxi_object_message_discard(const asx_msg *msg);
void asxi_far_message(asx_shard *shard, const asx_msg *msg);
void asxi_far_message_discard(const asx_msg *msg);

#endif
