#include <asx/lab/narrator.h>

#include <inttypes.h>
#include <string.h>

#define WORLD 0xffffu /* the shard of what no shard did */

static void flush(asx_narrator *n)
{
    if (n->_times > 1) {
        fprintf(n->_out, " (%u times)", n->_times);
    }
    n->_times = 0;
    n->_last[0] = 0;
}

static void end_line(asx_narrator *n)
{
    if (n->_telling) {
        flush(n);
        fputc('\n', n->_out);
        n->_telling = false;
    }
}

/* Says it once, however often it happens in a row. */
static void say(asx_narrator *n, const char *text)
{
    if (n->_times > 0 && strcmp(text, n->_last) == 0) {
        n->_times++;
        return;
    }
    const bool first = n->_times == 0;
    flush(n);
    fprintf(n->_out, "%s%s", first ? " " : "; ", text);
    snprintf(n->_last, sizeof(n->_last), "%s", text);
    n->_times = 1;
}

/* "T 1.3": shard and slot; the generation where it is not the first. */
static const char *task_name(uint64_t task, char *buf, size_t cap)
{
    const unsigned shard = (unsigned)(task >> 56), slot = (unsigned)(task >> 32) & 0xffffff;
    const uint32_t generation = (uint32_t)task;
    if (generation > 1) {
        snprintf(buf, cap, "T %u.%u#%u", shard, slot, generation);
    } else {
        snprintf(buf, cap, "T %u.%u", shard, slot);
    }
    return buf;
}

/* What the event means to a person, or false: nothing. */
static bool words_of(const asx_lab_event *event, char *buf, size_t cap)
{
    static const char *const outcomes[] = { "ends", "fails", "ends cancelled", "panics" };
    const uint64_t *const w = event->words;
    char task[40];
    switch (event->kind) {
    case ASX_TRACE_TASK_SPAWN:
        snprintf(buf, cap, "spawns %s", task_name(w[0], task, sizeof(task)));
        return true;
    case ASX_TRACE_TASK_DISPATCH:
        snprintf(buf, cap, "runs %s", task_name(w[0], task, sizeof(task)));
        return true;
    case ASX_TRACE_TASK_BLOCK:
        snprintf(buf, cap, "%s waits", task_name(w[0], task, sizeof(task)));
        return true;
    case ASX_TRACE_TASK_COMPLETE:
        snprintf(buf, cap, "%s %s", task_name(w[0], task, sizeof(task)), outcomes[w[2] & 3]);
        return true;
    case ASX_TRACE_CANCEL_REQUEST:
        snprintf(buf, cap, "%s is cancelled", task_name(w[0], task, sizeof(task)));
        return true;
    case ASX_TRACE_RING_PUSH:
        snprintf(buf, cap, "sends to %u", (unsigned)w[0] & 0xffff);
        return true;
    case ASX_TRACE_RING_POP:
        snprintf(buf, cap, "hears from %u", (unsigned)(w[0] >> 16));
        return true;
    case ASX_TRACE_RING_FULL:
        snprintf(buf, cap, "finds the ring to %u full", (unsigned)w[0] & 0xffff);
        return true;
    case ASX_TRACE_TIMER_FIRE:
        snprintf(buf, cap, "a timer fires");
        return true;
    case ASX_TRACE_IO_RESULT:
        snprintf(buf, cap, "operation %" PRIx64 " answers %" PRId64, w[0], (int64_t)w[1]);
        return true;
    case ASX_TRACE_CHAOS:
        snprintf(buf, cap, "chaos: point %" PRIu64 ", kind %" PRIu64, w[0], w[1]);
        return true;
    default:
        return false;
    }
}

static void hear(asx_lab_listener *listener, const asx_lab_event *event)
{
    asx_narrator *const n = asx_container_of(listener, asx_narrator, listener);
    char text[64];
    if (event->kind == ASX_TRACE_TIME_ADVANCE) {
        end_line(n);
        fprintf(n->_out, "  clock: %.6f ms\n", (double)event->words[1] / 1e6);
        return;
    }
    if (event->shard == WORLD || !words_of(event, text, sizeof(text))) {
        return;
    }
    if (!n->_telling || n->_shard != event->shard) {
        end_line(n);
        n->_telling = true;
        n->_shard = event->shard;
        fprintf(n->_out, "  shard %u:", n->_shard);
    }
    say(n, text);
}

void asx_narrator_init(asx_narrator *narrator, FILE *out)
{
    *narrator = (asx_narrator){ .listener = { .hear = hear }, ._out = out };
}

void asx_narrator_end(asx_narrator *narrator)
{
    end_line(narrator);
}
