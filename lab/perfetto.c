#include <asx/lab/perfetto.h>

#include <errno.h>

typedef struct writer {
    FILE *out;
    bool first;
    uint64_t running[64]; /* the task whose slice is open on each shard; 0: none */
} writer;

#define WORLD_TRACK 64u

static unsigned track_of(const asx_lab_event *event)
{
    return event->shard < WORLD_TRACK ? event->shard : WORLD_TRACK;
}

static void begin(writer *w, const char *phase, const asx_lab_event *event)
{
    fprintf(w->out, "%s\n{\"ph\":\"%s\",\"pid\":1,\"tid\":%u,\"ts\":%" PRIu64, w->first ? "" : ",",
            phase, track_of(event), event->seq);
    w->first = false;
}

static void task_name(const writer *w, uint64_t task)
{
    fprintf(w->out, ",\"name\":\"T%u.%u.%u\"", (unsigned)(task >> 56),
            (unsigned)(task >> 32 & 0xffffff), (unsigned)task);
}

static void args(const writer *w, const asx_lab_event *event)
{
    char text[240];
    fprintf(w->out, ",\"args\":{\"vtime_ns\":%" PRIu64 ",\"event\":\"%s\"}", event->vtime_ns,
            asx_lab_event_text(event, text, sizeof(text)));
}

static void slice_close(writer *w, const asx_lab_event *event)
{
    const unsigned track = track_of(event);
    if (track < WORLD_TRACK && w->running[track] != 0) {
        begin(w, "E", event);
        fputc('}', w->out);
        w->running[track] = 0;
    }
}

static void slice_open(writer *w, const asx_lab_event *event)
{
    slice_close(w, event);
    if (track_of(event) < WORLD_TRACK) {
        w->running[track_of(event)] = event->words[0];
        begin(w, "B", event);
        task_name(w, event->words[0]);
        args(w, event);
        fputc('}', w->out);
    }
}

static void mark(writer *w, const asx_lab_event *event)
{
    begin(w, "i", event);
    fprintf(w->out, ",\"s\":\"t\",\"name\":\"%s\"", asx_trace_kind_name(event->kind));
    args(w, event);
    fputc('}', w->out);
}

/* An arrow's end binds to the slice around it, or to the mark's instant. */
static void arrow(writer *w, const asx_lab_event *event, const char *phase)
{
    begin(w, phase, event);
    fprintf(w->out,
            ",\"cat\":\"message\",\"name\":\"message\",\"bp\":\"e\",\"id\":\"%" PRIu64 ".%" PRIu64
            "\"}",
            event->words[0], event->words[1]);
}

static void event_write(writer *w, const asx_lab_event *event)
{
    switch (event->kind) {
    case ASX_TRACE_TASK_DISPATCH:
        slice_open(w, event);
        return;
    case ASX_TRACE_TASK_BLOCK:
    case ASX_TRACE_TASK_YIELD:
    case ASX_TRACE_TASK_COMPLETE:
        mark(w, event);
        if (track_of(event) < WORLD_TRACK && w->running[track_of(event)] == event->words[0]) {
            slice_close(w, event);
        }
        return;
    case ASX_TRACE_RING_PUSH:
        mark(w, event);
        arrow(w, event, "s");
        return;
    case ASX_TRACE_RING_POP:
        slice_close(w, event); /* a new turn began */
        mark(w, event);
        arrow(w, event, "f");
        return;
    case ASX_TRACE_SHARD_PARK:
    case ASX_TRACE_SHARD_UNPARK:
        slice_close(w, event);
        mark(w, event);
        return;
    default:
        mark(w, event);
        return;
    }
}

static void tracks_name(writer *w, const asx_lab_report *report)
{
    bool seen[WORLD_TRACK + 1] = { false };
    for (uint32_t i = 0; i < report->events_kept; i++) {
        const unsigned track = track_of(&report->events[i]);
        if (!seen[track]) {
            seen[track] = true;
            fprintf(w->out, "%s\n{\"ph\":\"M\",\"pid\":1,\"tid\":%u,\"name\":\"thread_name\",",
                    w->first ? "" : ",", track);
            if (track == WORLD_TRACK) {
                fputs("\"args\":{\"name\":\"the run\"}}", w->out);
            } else {
                fprintf(w->out, "\"args\":{\"name\":\"shard %u\"}}", track);
            }
            w->first = false;
        }
    }
}

asx_err asx_lab_perfetto_write(const asx_lab_report *report, FILE *out)
{
    writer w = { .out = out, .first = true };
    errno = 0;
    fprintf(out,
            "{\"displayTimeUnit\":\"ns\",\"otherData\":{\"seed\":\"%" PRIu64
            "\",\"trace_hash\":\"%016" PRIx64 "\"},\"traceEvents\":[",
            report->seed, report->trace_hash);
    tracks_name(&w, report);
    for (uint32_t i = 0; i < report->events_kept; i++) {
        event_write(&w, &report->events[i]);
    }
    fputs("\n]}\n", out);
    return fflush(out) == 0 && !ferror(out) ? ASX_OK : asx_err_errno(errno ? errno : EIO);
}
