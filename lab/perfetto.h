/* A run as Chrome trace JSON, for ui.perfetto.dev and chrome://tracing.
 *
 * Model.  One track a shard. An instant of virtual time has no length, so the axis is the order of
 *         events: one microsecond each; virtual time stands in the arguments. A dispatch is a
 *         slice, a message an arrow from its push to its pop, everything else a mark. */
#ifndef ASX_LAB_PERFETTO_H
#define ASX_LAB_PERFETTO_H

#include <asx/lab/report.h>

#include <stdio.h>

ASX_BEGIN_DECLS

/* errors  the errno */
ASX_NODISCARD asx_err asx_lab_perfetto_write(const asx_lab_report *report, FILE *out);

ASX_END_DECLS

#endif
