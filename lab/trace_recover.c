/* What is made of a trace file: its good part as another file, or a report. */
#include <asx/lab/trace_reader.h>
#include <asx/shard/base/assert.h>

#include "array_internal.h"

#include <string.h>

static void receipt_of(const asx_lab_trace_reader *reader, asx_lab_trace_recovery *recovery)
{
    const char *const wrong = asx_lab_trace_reader_wrong(reader);
    recovery->records = asx_lab_trace_reader_records(reader);
    recovery->bytes = asx_lab_trace_reader_bytes(reader);
    snprintf(recovery->reason, sizeof(recovery->reason), "%s", wrong ? wrong : "");
}

static asx_err copy(asx_lab_trace_reader *reader, FILE *out, asx_lab_trace_level level)
{
    const asx_lab_trace_info *const info = asx_lab_trace_reader_info(reader);
    const asx_lab_trace_options options = {
        .scenario = info->scenario,
        .config = &info->config,
        .codec = info->codec == ASX_LAB_TRACE_NONE ? ASX_LAB_TRACE_AUTO : ASX_LAB_TRACE_LZ4,
        .level = level > info->level ? level : (asx_lab_trace_level)info->level,
        .production = (info->flags & ASX_LAB_TRACE_PRODUCTION) != 0,
    };
    asx_lab_trace_writer *writer;
    asx_lab_event event;
    asx_err err = asx_lab_trace_writer_create(out, &options, &writer);
    if (err) {
        return err;
    }
    while (!asx_lab_trace_writer_halted(writer) && asx_lab_trace_reader_next(reader, &event)) {
        asx_lab_trace_writer_add(writer, &event);
    }
    const bool cut = asx_lab_trace_reader_wrong(reader) != NULL;
    err = asx_lab_trace_writer_finish_copy(writer, info, cut);
    asx_lab_trace_writer_destroy(writer);
    return err;
}

bool asx_lab_trace_recover(FILE *in, FILE *out, asx_lab_trace_level level,
                           asx_lab_trace_recovery *recovery, asx_err *err)
{
    asx_lab_trace_reader *const reader = asx_lab_trace_reader_create(in, ASX_LAB_TRACE_PREFIX);
    const bool headed = asx_lab_trace_reader_wrong(reader) == NULL;
    asx_lab_event event;
    *err = ASX_OK;
    if (headed && out) {
        *err = copy(reader, out, level);
    }
    while (headed && !out && asx_lab_trace_reader_next(reader, &event)) {
    }
    receipt_of(reader, recovery);
    asx_lab_trace_reader_destroy(reader);
    return headed && !*err;
}

/* Appends to a window of the last `max` events. */
static void window_add(asxi_array *events, uint32_t max, uint64_t seen, const asx_lab_event *event)
{
    if (events->count < max) {
        asxi_array_append(events, event, 1);
    } else if (max > 0) {
        memcpy(asxi_array_at(events, (uint32_t)(seen % max)), event, sizeof(*event));
    }
}

/* The window from its oldest event on. */
static asx_lab_event *window_take(const asxi_array *events, uint64_t seen)
{
    const uint32_t count = events->count;
    asx_lab_event *const taken = asxi_lab_alloc(count, sizeof(*taken));
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t at = seen > count ? (uint32_t)((seen + i) % count) : i;
        memcpy(&taken[i], asxi_array_at(events, at), sizeof(*taken));
    }
    return taken;
}

bool asx_lab_trace_load(asx_lab_trace_reader *reader, uint32_t events_max, asx_lab_report *report)
{
    const asx_lab_trace_info *const info = asx_lab_trace_reader_info(reader);
    asxi_array events;
    asx_lab_event event;
    uint64_t seen = 0;
    asx_assert_le(events_max, ASX_LAB_TRACE_RECORDS_MAX);
    asxi_array_init(&events, sizeof(asx_lab_event));
    for (; asx_lab_trace_reader_next(reader, &event); seen++) {
        window_add(&events, events_max, seen, &event);
    }
    *report = (asx_lab_report){
        .seed = info->seed,
        .config_hash = info->config_hash,
        .build_id = info->build_id,
        .termination = (asx_lab_termination)info->receipt.termination,
        .steps = info->receipt.steps,
        .now_ns = info->receipt.now_ns,
        .trace_total = info->total,
        .trace_hash = info->trace_hash,
        .schedule_hash = info->receipt.schedule_hash,
        .fingerprint = info->receipt.fingerprint,
        .counts = info->certificate.counts,
        .choice_count = info->receipt.choices,
        .events = window_take(&events, seen),
        .events_kept = events.count,
    };
    asxi_array_deinit(&events);
    return asx_lab_trace_reader_wrong(reader) == NULL;
}
