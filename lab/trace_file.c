#include <asx/lab/crc32c.h>
#include <asx/lab/trace_file.h>
#include <asx/shard/base/assert.h>

#include "crashpack_internal.h"
#include "trace_internal.h"

#include <string.h>

static_assert(ASX_TRACE_KIND_END == ASX_TRACE_CAP_USE + 1,
              "a kind was added: give the schema another number, and its kinds a line below");

/* By schema; kinds are only ever appended, so that an older record is a newer one as it stands. */
static const uint32_t kind_max[ASX_LAB_TRACE_SCHEMA + 1] = {
    0,
    ASX_TRACE_SNAPSHOT,
    ASX_TRACE_OBL_TRANSFER,
    ASX_TRACE_CAP_USE,
};

uint32_t asx_lab_trace_kind_max(uint32_t schema)
{
    return schema < asx_array_count(kind_max) ? kind_max[schema] : 0;
}

static bool of_skeleton(uint32_t kind)
{
    switch (kind) {
    case ASX_TRACE_TASK_SPAWN:
    case ASX_TRACE_TASK_COMPLETE:
    case ASX_TRACE_CANCEL_REQUEST:
    case ASX_TRACE_CANCEL_ACK:
    case ASX_TRACE_REGION_CREATE:
    case ASX_TRACE_REGION_CANCEL:
    case ASX_TRACE_REGION_CLOSE_BEGIN:
    case ASX_TRACE_REGION_CLOSE_END:
    case ASX_TRACE_OBL_RESERVE:
    case ASX_TRACE_OBL_COMMIT:
    case ASX_TRACE_OBL_ABORT:
    case ASX_TRACE_OBL_LEAK:
    case ASX_TRACE_OBL_TRANSFER:
    case ASX_TRACE_RACE_BEGIN:
    case ASX_TRACE_RACE_END:
    case ASX_TRACE_FINALIZER_ADD:
    case ASX_TRACE_FINALIZER_RUN:
    case ASX_TRACE_MONITOR_ADD:
    case ASX_TRACE_MONITOR_DEL:
    case ASX_TRACE_DOWN:
    case ASX_TRACE_LINK_ADD:
    case ASX_TRACE_LINK_DEL:
    case ASX_TRACE_EXIT_SIGNAL:
        return true;
    default:
        return false;
    }
}

bool asx_lab_trace_keeps(asx_lab_trace_level level, uint32_t kind)
{
    switch (level) {
    case ASX_LAB_TRACE_LOSSLESS:
        return true;
    case ASX_LAB_TRACE_STRUCTURAL:
        return kind != ASX_TRACE_USER_MARK && kind != ASX_TRACE_TASK_READY &&
               kind != ASX_TRACE_TIMER_ARM && kind != ASX_TRACE_TIMER_FIRE;
    case ASX_LAB_TRACE_SKELETON:
        return of_skeleton(kind);
    }
    asx_unreachable();
}

void asx_lab_trace_certify(asx_lab_trace_certificate *certificate, const asx_lab_event *event)
{
    asx_lab_counts *const counts = &certificate->counts;
    const uint64_t before = certificate->events++ ? certificate->trace_hash : ASX_FNV64_EMPTY;
    certificate->trace_hash = asx_lab_event_chain(before, event);
    switch (event->kind) {
    case ASX_TRACE_TASK_SPAWN:
        counts->spawned++;
        return;
    case ASX_TRACE_TASK_COMPLETE:
        counts->completed++;
        return;
    case ASX_TRACE_CANCEL_REQUEST:
        counts->cancel_requested += !(event->words[2] & ASX_TRACE_STRENGTHENED);
        return;
    case ASX_TRACE_CANCEL_ACK:
        counts->cancel_acknowledged++;
        return;
    case ASX_TRACE_OBL_RESERVE:
        counts->reserved++;
        return;
    case ASX_TRACE_OBL_COMMIT:
        counts->committed++;
        return;
    case ASX_TRACE_OBL_ABORT:
        counts->aborted++;
        return;
    case ASX_TRACE_OBL_LEAK:
        counts->leaked++;
        return;
    case ASX_TRACE_RING_PUSH:
        counts->pushed++;
        return;
    case ASX_TRACE_RING_POP:
        counts->popped++;
        return;
    default:
        return;
    }
}

const char *asx_lab_trace_certificate_differs(const asx_lab_trace_certificate *a,
                                              const asx_lab_trace_certificate *b)
{
    const asx_lab_counts *const x = &a->counts, *const y = &b->counts;
    const struct {
        const char *name;
        uint64_t of_a, of_b;
    } checks[] = {
        { "events", a->events, b->events },
        { "trace_hash", a->trace_hash, b->trace_hash },
        { "spawned", x->spawned, y->spawned },
        { "completed", x->completed, y->completed },
        { "cancel_requested", x->cancel_requested, y->cancel_requested },
        { "cancel_acknowledged", x->cancel_acknowledged, y->cancel_acknowledged },
        { "reserved", x->reserved, y->reserved },
        { "committed", x->committed, y->committed },
        { "aborted", x->aborted, y->aborted },
        { "leaked", x->leaked, y->leaked },
        { "pushed", x->pushed, y->pushed },
        { "popped", x->popped, y->popped },
    };
    for (size_t i = 0; i < asx_array_count(checks); i++) {
        if (checks[i].of_a != checks[i].of_b) {
            return checks[i].name;
        }
    }
    return NULL;
}

asx_lab_config asx_lab_trace_config(const asx_lab_trace_info *info, const asx_lab_config *base)
{
    asx_lab_config config = *base;
    asxi_knobs_copy(&config, &info->config);
    return config;
}

static const char *const level_names[] = { "lossless", "structural", "skeleton" };

const char *asx_lab_trace_level_name(uint32_t level)
{
    return level < asx_array_count(level_names) ? level_names[level] : "?";
}

bool asx_lab_trace_level_parse(const char *name, asx_lab_trace_level *level)
{
    for (uint32_t i = 0; i < asx_array_count(level_names); i++) {
        if (strcmp(name, level_names[i]) == 0) {
            *level = (asx_lab_trace_level)i;
            return true;
        }
    }
    return false;
}

const char *asx_lab_trace_codec_name(uint32_t codec)
{
    static const char *const names[] = { "none", "lz4", "auto" };
    return codec < asx_array_count(names) ? names[codec] : "?";
}

void asx_lab_trace_info_print(const asx_lab_trace_info *info, FILE *out)
{
    const asx_lab_trace_receipt *const receipt = &info->receipt;
    fprintf(out, "trace      of %s, seed %" PRIu64 ", config %016" PRIx64 "\n",
            info->scenario[0] ? info->scenario : "a program without a name", info->seed,
            info->config_hash);
    fprintf(out, "file       version %u, schema %u, codec %s, level %s\n", ASX_LAB_TRACE_VERSION,
            info->schema, asx_lab_trace_codec_name(info->codec),
            asx_lab_trace_level_name(info->level));
    if (info->total == ASX_LAB_TRACE_UNFINISHED) {
        fputs("records    never finished\n", out);
        return;
    }
    fprintf(out, "records    %" PRIu64 " of %" PRIu64 "%s, hash %016" PRIx64 "\n", info->kept,
            info->total,
            info->cut                                 ? ", a recovered prefix"
            : info->flags & ASX_LAB_TRACE_OVERWRITTEN ? ", the last ones"
                                                      : "",
            info->trace_hash);
    if (receipt->ended) {
        fprintf(out, "ended      %s after %" PRIu64 " steps, at %" PRIu64 " ns\n",
                asx_lab_termination_name((asx_lab_termination)receipt->termination), receipt->steps,
                receipt->now_ns);
    }
    if (receipt->violation[0]) {
        fprintf(out, "violation  %s\n", receipt->violation);
    }
}
