/* How a request on one shard asks another, and the answers of the admin listener. */
#ifndef ASX_ENGINE_ADMIN_INTERNAL_H
#define ASX_ENGINE_ADMIN_INTERNAL_H

#include <asx/proto/http.h>

#include "engine_internal.h"

typedef enum asxi_report_form { ASXI_REPORT_TEXT, ASXI_REPORT_JSON } asxi_report_form;

/* What one shard writes for another: memory of the asking request's, which does not leave before
 * `done` is set, or it took its question back. */
typedef struct asxi_report asxi_report;
struct asxi_report {
    void (*write)(asxi_seat *seat, asxi_report *report); /* on the asked shard's thread */
    asxi_report_form form;
    asx_handle about; /* to be explained */
    asx_err err;      /* of the explanation */
    uint64_t nodes_max, nodes_written, nodes_alive;
    char *buf;
    size_t len, cap;
    uint32_t done; /* released by the answering shard behind everything above */
};

/* Adds to the text; what has no room is cut. */
void asxi_report_put(asxi_report *report, const char *fmt, ...) ASX_PRINTF(2, 3);
/* A line: asx_explain_fn of a report. */
void asxi_report_line(void *report, const char *line);

/* Asks `seat` and waits. False when it did not begin within a second: then it never will. Does not
 * leave while the other shard may write. */
bool asxi_report_ask(asx_cx *cx, asxi_seat *seat, asxi_report *report);

/* ?format=json */
bool asxi_admin_wants_json(const asx_http_exchange *x);

/* admin_answers.c */
asx_outcome asxi_admin_drain(asx_cx *cx, asx_http_exchange *x);
asx_outcome asxi_admin_timers(asx_cx *cx, asx_http_exchange *x);
asx_outcome asxi_admin_cleanup(asx_cx *cx, asx_http_exchange *x);
asx_outcome asxi_admin_deadlocks(asx_cx *cx, asx_http_exchange *x);
asx_outcome asxi_admin_config(asx_cx *cx, asx_http_exchange *x);
asx_outcome asxi_admin_live(asx_cx *cx, asx_http_exchange *x);

#endif
