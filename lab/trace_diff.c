#include <asx/lab/foata.h>
#include <asx/lab/trace_diff.h>
#include <asx/shard/base/assert.h>

#include <string.h>

typedef struct side {
    FILE *in;
    char name;
    asx_lab_trace_reader *reader;
    asx_foata *foata;
} side;

static bool fail(char wrong[ASX_LAB_TRACE_WRONG_MAX], char name, const char *what)
{
    snprintf(wrong, ASX_LAB_TRACE_WRONG_MAX, "%c: %.200s", name, what);
    return false;
}

static bool open_again(side *s, char wrong[ASX_LAB_TRACE_WRONG_MAX])
{
    asx_lab_trace_reader_destroy(s->reader);
    s->reader = NULL;
    if (fseeko(s->in, 0, SEEK_SET) != 0) {
        return fail(wrong, s->name, "cannot be read twice");
    }
    s->reader = asx_lab_trace_reader_create(s->in, ASX_LAB_TRACE_STRICT);
    const char *const what = asx_lab_trace_reader_wrong(s->reader);
    return !what || fail(wrong, s->name, what);
}

static bool still_good(const side *s, char wrong[ASX_LAB_TRACE_WRONG_MAX])
{
    const char *const what = asx_lab_trace_reader_wrong(s->reader);
    return !what || fail(wrong, s->name, what);
}

/* Reads what is left of one side into the difference's context. */
static void take_rest(side *s, asx_lab_trace_side *context, bool have, asx_lab_event *event)
{
    for (uint32_t i = 0; i <= ASX_LAB_ROWS_AFTER && have; i++) {
        asx_lab_trace_side_add(context, event, ASX_LAB_TRACE_AROUND);
        have = asx_lab_trace_reader_next(s->reader, event);
    }
}

/* Record by record, up to the first difference. */
static void compare(side *a, side *b, asx_lab_trace_divergence *d)
{
    asx_lab_event x, y;
    for (;; d->index++) {
        const bool of_a = asx_lab_trace_reader_next(a->reader, &x);
        const bool of_b = asx_lab_trace_reader_next(b->reader, &y);
        if (!of_a && !of_b) {
            return;
        }
        d->what = of_a && of_b ? asx_lab_trace_compare(&x, &y)
                  : of_a       ? ASX_LAB_DIFFERS_LEFT
                               : ASX_LAB_DIFFERS_EXHAUSTED;
        if (d->what != ASX_LAB_SAME) {
            d->before = d->expected.count;
            take_rest(a, &d->expected, of_a, &x);
            take_rest(b, &d->actual, of_b, &y);
            return;
        }
        asx_lab_trace_side_add(&d->expected, &x, ASX_LAB_ROWS_BEFORE);
        asx_lab_trace_side_add(&d->actual, &y, ASX_LAB_ROWS_BEFORE);
    }
}

/* The whole file in normal form. */
static bool order(side *s, char wrong[ASX_LAB_TRACE_WRONG_MAX])
{
    asx_lab_event event;
    if (!open_again(s, wrong)) {
        return false;
    }
    if (asx_lab_trace_reader_info(s->reader)->kept > ASX_LAB_TRACE_RECORDS_MAX) {
        return fail(wrong, s->name, "more than 10000000 records, which are not ordered");
    }
    s->foata = asx_foata_create();
    while (asx_lab_trace_reader_next(s->reader, &event)) {
        asx_foata_add(s->foata, &event);
    }
    (void)asx_foata_take(s->foata);
    return still_good(s, wrong);
}

/* The record behind an item of the form; choices are no part of forms. */
static bool fetch(side *s, uint32_t item, uint32_t *layer, asx_lab_event *event,
                  char wrong[ASX_LAB_TRACE_WRONG_MAX])
{
    uint32_t count, ordinal = 0;
    const asx_foata_item *const items = asx_foata_items(s->foata, &count);
    if (item >= count || !open_again(s, wrong)) {
        return false;
    }
    while (asx_lab_trace_reader_next(s->reader, event)) {
        if (event->kind != ASX_TRACE_CHOICE && ordinal++ == items[item].ordinal) {
            *layer = items[item].layer;
            return true;
        }
    }
    return false;
}

static bool relate(side *a, side *b, asx_lab_trace_diff *diff, char wrong[ASX_LAB_TRACE_WRONG_MAX])
{
    compare(a, b, &diff->first);
    if (!still_good(a, wrong) || !still_good(b, wrong)) {
        return false;
    }
    if (diff->first.what == ASX_LAB_SAME) {
        return true;
    }
    if (!order(a, wrong) || !order(b, wrong)) {
        return false;
    }
    if (asx_foata_equal(a->foata, b->foata)) {
        diff->relation = ASX_LAB_TRACE_EQUIVALENT;
        return true;
    }
    uint32_t layer_a = UINT32_MAX, layer_b = UINT32_MAX;
    const uint32_t item = asx_foata_differs(a->foata, b->foata);
    diff->relation = ASX_LAB_TRACE_DIFFERENT;
    diff->has_a = fetch(a, item, &layer_a, &diff->a, wrong);
    diff->has_b = fetch(b, item, &layer_b, &diff->b, wrong);
    diff->layer = layer_a < layer_b ? layer_a : layer_b;
    return true;
}

bool asx_lab_trace_diff_take(FILE *a, FILE *b, asx_lab_trace_diff *diff,
                             char wrong[ASX_LAB_TRACE_WRONG_MAX])
{
    side x = { .in = a, .name = 'A' }, y = { .in = b, .name = 'B' };
    *diff = (asx_lab_trace_diff){ .relation = ASX_LAB_TRACE_EQUAL };
    bool good = open_again(&x, wrong) && open_again(&y, wrong);
    if (good) {
        const asx_lab_trace_info *const of_a = asx_lab_trace_reader_info(x.reader);
        diff->first.total = of_a->kept;
        diff->first.of_files = true;
        good = of_a->level == asx_lab_trace_reader_info(y.reader)->level ||
               fail(wrong, 'B', "is reduced to another level than A: reduce both alike");
    }
    good = good && relate(&x, &y, diff, wrong);
    asx_lab_trace_reader_destroy(x.reader);
    asx_lab_trace_reader_destroy(y.reader);
    asx_foata_destroy(x.foata);
    asx_foata_destroy(y.foata);
    return good;
}

static void item_print(const char *name, bool has, const asx_lab_event *event, FILE *out)
{
    char text[240];
    if (has) {
        fprintf(out, "  %s  record %" PRIu64 ", shard %u: %s\n", name, event->seq, event->shard,
                asx_lab_event_text(event, text, sizeof(text)));
    } else {
        fprintf(out, "  %s  nothing more\n", name);
    }
}

void asx_lab_trace_diff_print(const asx_lab_trace_diff *diff, FILE *out)
{
    switch (diff->relation) {
    case ASX_LAB_TRACE_EQUAL:
        fprintf(out, "the same %" PRIu64 " records\n", diff->first.total);
        return;
    case ASX_LAB_TRACE_EQUIVALENT:
        fprintf(out,
                "equivalent: the same run up to the order of what commutes; other order from "
                "record %" PRIu64 " on\n",
                diff->first.index);
        return;
    case ASX_LAB_TRACE_DIFFERENT:
        fprintf(out, "different, in layer %u of the normal form\n", diff->layer);
        item_print("A", diff->has_a, &diff->a, out);
        item_print("B", diff->has_b, &diff->b, out);
        asx_lab_trace_divergence_print(&diff->first, "A", "B", out);
        return;
    }
}
