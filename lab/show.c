#include <asx/lab/show.h>
#include <asx/shard/cancel.h>

#include "array_internal.h"

#include <stdlib.h>
#include <string.h>

#define ID "%u.%u.%u"
#define ID_OF(id) (unsigned)((id) >> 56), (unsigned)((id) >> 32 & 0xffffff), (unsigned)(id)

static const char *outcome_name(uint64_t outcome)
{
    static const char *const names[] = { "ok", "err", "cancelled", "panicked" };
    return outcome < asx_array_count(names) ? names[outcome] : "?";
}

/* What a task waits for is recorded as the first bytes of its name. */
static const char *wait_name(uint64_t word, char *buf)
{
    for (unsigned i = 0; i < 8; i++) {
        const char c = (char)(word >> 8 * i);
        buf[i] = c == 0 || (c >= ' ' && c <= '~') ? c : '.';
    }
    buf[8] = '\0';
    return buf[0] ? buf : "something it did not name";
}

/* The task whose code ran on the event's shard when it happened; 0: none. */
static uint64_t running_at(const asx_lab_report *report, uint32_t index)
{
    const uint16_t shard = report->events[index].shard;
    for (uint32_t i = index; i-- > 0;) {
        const asx_lab_event *const event = &report->events[i];
        if (event->shard != shard) {
            continue;
        }
        switch (event->kind) {
        case ASX_TRACE_TASK_DISPATCH:
            return event->words[0];
        case ASX_TRACE_TASK_BLOCK:
        case ASX_TRACE_TASK_YIELD:
        case ASX_TRACE_RING_POP:
        case ASX_TRACE_TIMER_FIRE:
        case ASX_TRACE_SHARD_UNPARK:
            return 0;
        default:
            break;
        }
    }
    return 0;
}

/* What the kernel was doing when it woke a task of its own accord. */
static const char *kernel_cause(const asx_lab_report *report, uint32_t index)
{
    const uint16_t shard = report->events[index].shard;
    for (uint32_t i = index; i-- > 0;) {
        const asx_lab_event *const event = &report->events[i];
        if (event->shard != shard) {
            continue;
        }
        if (event->kind == ASX_TRACE_TIMER_FIRE) {
            return "its timer";
        }
        if (event->kind == ASX_TRACE_RING_POP) {
            return "a message";
        }
        if (event->kind == ASX_TRACE_CANCEL_REQUEST) {
            return "its cancellation";
        }
        if (event->kind == ASX_TRACE_TASK_COMPLETE) {
            return "another task's end";
        }
        if (event->kind != ASX_TRACE_TASK_READY) {
            break;
        }
    }
    return "a completion";
}

static void print_spawn(const asx_lab_report *report, uint32_t index, FILE *out)
{
    const asx_lab_event *const event = &report->events[index];
    const uint64_t parent = running_at(report, index);
    fprintf(out, "spawned into R" ID, ID_OF(event->words[1]));
    if (parent) {
        fprintf(out, " by T" ID, ID_OF(parent));
    } else {
        fputs(" by the kernel", out);
    }
}

static void print_request(const asx_lab_event *event, FILE *out)
{
    const uint64_t *const w = event->words;
    fprintf(out, "%s: %s",
            w[2] & ASX_TRACE_STRENGTHENED ? "its cancellation grows stronger"
                                          : "asked to cancel itself",
            asx_cancel_kind_name((asx_cancel_kind)(w[2] & 0xff)));
    if (w[3]) {
        fprintf(out, ", from R" ID, ID_OF(w[3]));
    }
    if (w[4]) {
        fprintf(out, ", because of T" ID, ID_OF(w[4]));
    }
}

static void print_about(const asx_lab_report *report, uint32_t index, uint64_t task, FILE *out)
{
    const asx_lab_event *const event = &report->events[index];
    const uint64_t *const w = event->words;
    char text[240], name[9];
    switch (event->kind) {
    case ASX_TRACE_TASK_SPAWN:
        print_spawn(report, index, out);
        break;
    case ASX_TRACE_TASK_READY:
        if (w[2] == task) {
            fputs("makes itself ready", out);
        } else if (w[2]) {
            fprintf(out, "made ready by T" ID, ID_OF(w[2]));
        } else {
            fprintf(out, "made ready by %s", kernel_cause(report, index));
        }
        break;
    case ASX_TRACE_TASK_DISPATCH:
        fprintf(out, "runs, from the %s lane",
                w[2] == 1   ? "cancel"
                : w[2] == 2 ? "timed"
                            : "ready");
        break;
    case ASX_TRACE_TASK_YIELD:
        fputs("yields", out);
        break;
    case ASX_TRACE_TASK_BLOCK:
        fprintf(out, "waits for %s", wait_name(w[2], name));
        if (w[3]) {
            fprintf(out, " " ID, ID_OF(w[3]));
        }
        break;
    case ASX_TRACE_CANCEL_REQUEST:
        print_request(event, out);
        break;
    case ASX_TRACE_CANCEL_ACK:
        fprintf(out, "notices its cancellation: %s",
                asx_cancel_kind_name((asx_cancel_kind)(w[2] & 0xff)));
        break;
    case ASX_TRACE_TASK_COMPLETE:
        fprintf(out, "ends %s", outcome_name(w[2]));
        break;
    default:
        fputs(asx_lab_event_text(event, text, sizeof(text)), out);
        break;
    }
}

/* Whether the event is part of the task's own story. */
static bool is_about(const asx_lab_event *event, uint64_t task)
{
    const uint64_t *const w = event->words;
    switch (event->kind) {
    case ASX_TRACE_TASK_SPAWN:
    case ASX_TRACE_TASK_READY:
    case ASX_TRACE_TASK_DISPATCH:
    case ASX_TRACE_TASK_YIELD:
    case ASX_TRACE_TASK_BLOCK:
    case ASX_TRACE_TASK_COMPLETE:
    case ASX_TRACE_CANCEL_REQUEST:
    case ASX_TRACE_CANCEL_ACK:
    case ASX_TRACE_MASK_ENTER:
    case ASX_TRACE_MASK_EXIT:
    case ASX_TRACE_USER_MARK:
        return w[0] == task;
    case ASX_TRACE_OBL_RESERVE:
    case ASX_TRACE_OBL_COMMIT:
    case ASX_TRACE_OBL_ABORT:
    case ASX_TRACE_OBL_LEAK:
        return w[1] == task;
    case ASX_TRACE_OBL_TRANSFER:
        return w[1] == task || w[3] == task;
    default:
        return false;
    }
}

bool asx_lab_show_task(const asx_lab_report *report, uint64_t task, FILE *out)
{
    bool found = false;
    for (uint32_t i = 0; i < report->events_kept; i++) {
        const asx_lab_event *const event = &report->events[i];
        if (is_about(event, task)) {
            if (!found) {
                fprintf(out, "the story of T" ID "\n", ID_OF(task));
                fputs("     event      time ns  shard\n", out);
            }
            found = true;
            fprintf(out, "%10" PRIu64 " %12" PRIu64 "  %5u  ", event->seq, event->vtime_ns,
                    event->shard);
            print_about(report, i, task, out);
            fputc('\n', out);
        }
    }
    return found;
}

typedef struct task_row {
    uint64_t task, parent;
    uint32_t runs;
    const asx_lab_event *end, *request;
} task_row;

static task_row *row_of(const asxi_array *rows, uint64_t task)
{
    for (uint32_t i = rows->count; i-- > 0;) {
        task_row *const row = asxi_array_at(rows, i);
        if (row->task == task) {
            return row;
        }
    }
    return NULL;
}

static void rows_collect(const asx_lab_report *report, asxi_array *rows)
{
    for (uint32_t i = 0; i < report->events_kept; i++) {
        const asx_lab_event *const event = &report->events[i];
        if (event->kind == ASX_TRACE_TASK_SPAWN) {
            task_row *const row = asxi_array_push(rows);
            row->task = event->words[0];
            row->parent = running_at(report, i);
            continue;
        }
        if (event->kind != ASX_TRACE_TASK_DISPATCH && event->kind != ASX_TRACE_TASK_COMPLETE &&
            event->kind != ASX_TRACE_CANCEL_REQUEST) {
            continue;
        }
        task_row *const row = row_of(rows, event->words[0]);
        if (row && event->kind == ASX_TRACE_TASK_DISPATCH) {
            row->runs++;
        } else if (row && event->kind == ASX_TRACE_TASK_COMPLETE) {
            row->end = event;
        } else if (row) {
            row->request = event;
        }
    }
}

void asx_lab_show_tasks(const asx_lab_report *report, FILE *out)
{
    asxi_array rows;
    asxi_array_init(&rows, sizeof(task_row));
    rows_collect(report, &rows);
    fputs("task            made by          runs  end\n", out);
    for (uint32_t i = 0; i < rows.count; i++) {
        const task_row *const row = asxi_array_at(&rows, i);
        char task[40], parent[40] = "the kernel";
        snprintf(task, sizeof(task), "T" ID, ID_OF(row->task));
        if (row->parent) {
            snprintf(parent, sizeof(parent), "T" ID, ID_OF(row->parent));
        }
        fprintf(out, "%-15s %-15s %5u  %s", task, parent, row->runs,
                row->end ? outcome_name(row->end->words[2]) : "never");
        if (row->request) {
            fprintf(out, ", cancelled: %s",
                    asx_cancel_kind_name((asx_cancel_kind)(row->request->words[2] & 0xff)));
        }
        fputc('\n', out);
    }
    asxi_array_deinit(&rows);
}

uint64_t asx_lab_task_parse(const char *text)
{
    uint64_t parts[3] = { 0 };
    text += *text == 'T';
    for (unsigned i = 0; i < 3; i++) {
        char *end;
        parts[i] = strtoull(text, &end, 10);
        if (end == text || *end != (i < 2 ? '.' : '\0')) {
            return 0;
        }
        text = end + 1;
    }
    const bool fits = parts[0] < 256 && parts[1] < 1u << 24 && parts[2] <= UINT32_MAX;
    return fits ? parts[0] << 56 | parts[1] << 32 | parts[2] : 0;
}
