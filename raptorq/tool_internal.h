/* What the files of the command share: values of options, texts, the progress line. */
#ifndef ASX_RAPTORQ_TOOL_INTERNAL_H
#define ASX_RAPTORQ_TOOL_INTERNAL_H

#include <asx/raptorq/tool.h>
#include <asx/shard/base/err.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum { TOOL_DONE = 0, TOOL_FAILED = 1, TOOL_USAGE = 2 };

/* Values; false when the text is none. A size may end in K, M or G (powers of 1024). */
bool asxi_tool_size(const char *text, uint64_t *value);
bool asxi_tool_percent(const char *text, uint32_t *permille);
bool asxi_tool_seconds(const char *text, uint64_t *ns);

/* NULL for a command that there is not. */
const char *asxi_tool_help(const char *command);

/* One option of a command line: moves *at past it, with value NULL for one without. */
typedef bool asxi_tool_option_fn(void *options, const char *name, const char *value);

/* Reads argv[2...]: options by `option`, where names in `flags` (ended by NULL) take no value, and
 * exactly `operands` words that are no options. Says what it cannot take. */
bool asxi_tool_parse(int argc, char **argv, const char *const *flags, const char **operands,
                     int operand_count, asxi_tool_option_fn *option, void *options);

/* Name of an error for people. */
const char *asxi_tool_err(asx_err err, char *buf, size_t cap);

typedef struct asxi_progress {
    bool is_shown;
    double start; /* seconds; 0: starts with the first line */
} asxi_progress;

void asxi_progress_show(asxi_progress *progress, uint64_t done, uint64_t total);
/* Ends a line that was left open. */
void asxi_progress_end(asxi_progress *progress);
/* The text of the line, after `seconds`; returns buf. */
const char *asxi_progress_line(char *buf, size_t cap, uint64_t done, uint64_t total,
                               double seconds);

int asxi_tool_send(int argc, char **argv, const asx_rq_host *host);
int asxi_tool_recv(int argc, char **argv, const asx_rq_host *host);

#endif
