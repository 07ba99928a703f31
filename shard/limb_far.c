/* The far side of a limb: the region that a request opens below the root, and the word that goes
 * home when it is closed. The protocol stands above limb.c. */
#include "limb_internal.h"
#include "migrate_internal.h"

#include <string.h>

/* The request goes before the region does. */
static asx_err resources_keep(asx_region *region)
{
    asx_resources *const kept =
        region->resources ? asx_heap_alloc(&region->heap, sizeof(*kept)) : NULL;
    if (kept) {
        *kept = *region->resources;
    }
    const bool is_lost = region->resources && !kept;
    region->resources = kept;
    return is_lost ? ASX_E(NO_MEMORY) : ASX_OK;
}

static asx_err limb_region_open(asx_shard *shard, const asxi_limb_request *request,
                                asx_region **region, asx_task **task)
{
    const asx_region_options options = { .budget = &request->budget,
                                         .resources =
                                             request->has_resources ? &request->resources : NULL,
                                         .caps = request->caps,
                                         .label = request->label };
    const asx_spawn_options spawn = { .priority = request->priority,
                                      .stack_bytes = request->stack_bytes,
                                      .label = request->label,
                                      .detached_result = true };
    if (!shard->root) {
        return ASX_E(REGION_CLOSED);
    }
    asx_err err = asxi_region_admit(shard->root, NULL);
    if (!err) {
        err = asxi_region_create(shard, shard->root, &options, ASX_CAP_ALL, region);
    }
    if (err) {
        return err;
    }
    err = resources_keep(*region);
    if (!err) {
        err = asxi_task_create(NULL, *region, &spawn, 0, task);
    }
    if (!err) {
        err = asxi_task_arg_put(*task, request->arg, request->arg_size, request->pointer,
                                request->drop);
        if (err) {
            asxi_task_uncreate(*task);
        }
    }
    if (err) {
        asx_region_close_begin(*region, ASX_CLOSE_CANCEL, NULL);
        return err;
    }
    (*task)->fn = request->fn;
    return ASX_OK;
}

void asxi_limb_on_spawn(asx_shard *shard, const asx_msg *msg)
{
    asxi_limb_request *request;
    asx_region *region = NULL;
    asx_task *task = NULL;
    memcpy(&request, &msg->words[0], sizeof(request));
    asx_msg answer = { .kind = ASXI_MSG_SPAWN_ACK };
    asxi_mail_put_handle(&answer, 0, request->proxy);
    const asx_err err = limb_region_open(shard, request, &region, &task);
    if (err) {
        answer.kind = ASXI_MSG_SPAWN_REFUSED;
        answer.words[2] = err;
        asxi_limb_request_drop(request);
    } else {
        region->is_limb = true;
        region->judges = true;
        region->home = (asxi_limb_home){ .shard = request->home, .proxy = request->proxy };
        asxi_mail_put_handle(&answer, 2, asx_handle_of(region));
        asxi_task_start(task);
        asx_region_close_begin(region, ASX_CLOSE_JOIN, NULL);
    }
    asxi_mail_send(shard, request->home, &answer);
    asxi_limb_request_free(request);
}

void asxi_limb_on_cancel(asx_shard *shard, const asx_msg *msg)
{
    asx_region *region = NULL;
    const asx_reason *const reason = asxi_mail_take_reason(msg, 2);
    if (asx_region_lookup(shard, asxi_mail_get_handle(msg, 0), &region)) {
        shard->stats.messages_stale++; /* it crossed the CHILD_DONE (XSH-4) */
    } else {
        asx_region_close_begin(region, ASX_CLOSE_CANCEL, reason);
    }
    asx_reason_release(reason);
}

/* A copy that no other shard's counts touch. */
static uint64_t payload_copy(asx_outcome outcome)
{
    switch ((asx_severity)outcome.severity) {
    case ASX_SEVERITY_OK:
        return outcome.value;
    case ASX_SEVERITY_ERR:
        return outcome.err;
    case ASX_SEVERITY_CANCELLED:
        return (uintptr_t)asx_reason_copy(outcome.reason);
    case ASX_SEVERITY_PANICKED:
        break;
    }
    const asx_panic_info *const info = outcome.panic;
    asx_panic_info *copy = NULL;
    if (info) {
        copy = asx_panic_info_create((asx_panic_cause)info->cause, info->file, info->line,
                                     info->message);
    }
    if (copy) {
        copy->cut = info->cut;
    }
    return (uintptr_t)copy;
}

void asxi_limb_home_closed(asx_region *region, asx_outcome value)
{
    asx_msg msg = { .kind = ASXI_MSG_CHILD_DONE, .arg32 = (uint32_t)value.severity };
    asxi_mail_put_handle(&msg, 0, region->home.proxy);
    msg.words[2] = payload_copy(value);
    if (asx_unlikely(region->is_guest)) {
        msg.kind = ASXI_MSG_MIGRATE_DONE;
        asxi_migrate_guest_ended(region->shard);
    }
    asxi_mail_send(region->shard, region->home.shard, &msg);
}
