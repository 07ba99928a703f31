/* Far calls: what a task asks of an object that lives on another shard.
 *
 *   far: the caller           home: the object's shard
 *   ASK        ──>            tries; else the call's baton stands in the line, like a fiber's
 *              <──ANSWER      once: granted, or why not
 *   LEAVE      ──>            the caller will use no grant: out of the line, or to the next in it
 *              <──LEFT        home has forgotten the call
 *   RELEASE    ──>            what was granted comes back, with how its holder ended
 *   TELL, ITEM ──>            what needs no answer
 *   CLOSE      ──>            an end, or a side, is closed
 *
 * Model.  The object knows batons only, so that near and far callers are one line: one order, one
 *         baton rule. A caller that leaves does not wait for home: its region does, with a credit,
 *         since home may still write to the call.
 * Owner.  The call is memory of the caller's region. Home may touch its half from ASK to ANSWER,
 *         and from LEAVE to LEFT.
 * Bounds. A task has one call waiting and three messages under way for each of its calls. */
#ifndef ASX_SHARD_SYNC_FAR_INTERNAL_H
#define ASX_SHARD_SYNC_FAR_INTERNAL_H

#include <asx/shard/obligation.h>
#include <asx/shard/task.h>

#include "line_internal.h"

/* What an object does for callers of other shards; on its own shard, and never suspends. */
struct asxi_far_ops {
    /* Fills baton->leave; amount and tag are the caller's, and then the answer's; wait.task tells
     * callers apart. Grants at once (Ok), refuses, or names the line to stand in. */
    asx_err (*ask)(asxi_object *object, asxi_baton *baton, asxi_line **line);
    /* NULL: grants are used up by the answer. tag: the call's, or what was said of it since. */
    void (*release)(asxi_object *object, uint64_t amount, uint32_t tag, asx_settlement how);
    /* NULL: nothing is told. An op told twice in a row is told once, with the sum, where it had to
     * wait. */
    void (*tell)(asxi_object *object, uint32_t op, uint64_t amount);
    /* Takes or drops the item of a message (item_internal.h). NULL: none is sent. */
    void (*item)(asxi_object *object, const asx_msg *msg);
    /* A grant that nobody uses, of an object whose record has gone meanwhile. NULL: it is nothing.
     */
    void (*lost)(asxi_baton *baton);
};

typedef struct asxi_far_request {
    const asxi_object_type *type;
    asx_handle object; /* or an end of its, of `role` */
    uint32_t role;
    uint64_t amount;
    uint32_t tag;
    const void *sent; /* goes with the call: asxi_far_sent */
    uint32_t sent_size;
    void *reply; /* comes with the grant: asxi_far_reply */
    uint32_t reply_size;
    bool grant_wins;  /* over a cancel or a deadline that are seen in the same turn */
    asx_err closed;   /* what the caller gets when the object closes */
    const char *what; /* for people */
} asxi_far_request;

/* At home, of a baton that is a call's, until it is told; lent. */
void *asxi_far_sent(asxi_baton *baton);
void *asxi_far_reply(asxi_baton *baton);
uint32_t asxi_far_reply_size(asxi_baton *baton);
/* Out of the line, the call goes on: into another one, or to its answer. */
void asxi_far_answer(asxi_baton *baton, uintptr_t value);

/* Waits for a grant that leaves nothing to give back. amount: of the answer, of a refusal too; may
 * be NULL.
 * cancel  nothing is held; a grant under way goes to the next in line
 * errors  NO_CAPABILITY (REMOTE), NO_MEMORY, TIMED_OUT, request->closed, STALE, the object's */
asx_outcome asxi_far_wait(asx_cx *cx, const asxi_far_request *request, asx_instant deadline_ns,
                          uint64_t *amount);
/* The same for a grant that is held: `permit` is an obligation of this kind.
 * errors  AT_CAPACITY as well */
asx_outcome asxi_far_acquire(asx_cx *cx, const asxi_far_request *request, asx_obligation_kind kind,
                             asx_instant deadline_ns, asx_permit *permit);
/* Settles a permit of asxi_far_acquire: gives back what it holds, or (ABORTED) keeps it for ever. A
 * settled one is left alone. */
void asxi_far_release(asx_cx *cx, asx_permit permit, asx_obligation_state state);

/* What asxi_far_acquire granted with tag `from` becomes `to`: home is told `op`.
 * errors  STALE, TOKEN_MISMATCH; TYPE_MISMATCH: it is not `from`, and stays as it was */
asx_err asxi_far_retag(asx_cx *cx, asx_permit permit, uint32_t from, uint32_t to, uint32_t op);

/* A grant that no obligation stands for: the caller settles it with asxi_far_grant_end.
 * amount, tag: of the answer */
typedef struct asxi_far_grant {
    void *_call;
    uint64_t amount;
    uint32_t tag;
} asxi_far_grant;
asx_outcome asxi_far_ask(asx_cx *cx, const asxi_far_request *request, asx_instant deadline_ns,
                         asxi_far_grant *grant);
/* Nothing was held. */
void asxi_far_grant_free(asxi_far_grant *grant);
void asxi_far_grant_end(asxi_far_grant *grant, uint64_t amount, uint32_t tag, asx_settlement how);

/* Ignored where the object, or the shard, is gone. */
void asxi_far_tell(asx_cx *cx, asx_handle object, const asxi_object_type *type, uint32_t op,
                   uint64_t amount);
/* What was granted is done with; it needed no call any more. */
void asxi_far_done(asx_shard *shard, asx_handle object, const asxi_object_type *type,
                   uint64_t amount);
/* An item; where the object is gone, it is dropped there. */
void asxi_far_item(asx_shard *shard, asx_handle object, const asxi_object_type *type,
                   const void *item, uint32_t item_size, asx_drop_fn *drop);
void asxi_far_close(asx_shard *shard, asx_handle end);

#endif
