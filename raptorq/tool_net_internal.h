/* What `asx rq send` and `asx rq recv` share: the key, the address, and a shard that runs one fiber
 * until it ends or the process is asked to. */
#ifndef ASX_RAPTORQ_TOOL_NET_INTERNAL_H
#define ASX_RAPTORQ_TOOL_NET_INTERNAL_H

#include <asx/raptorq/net/tag.h>
#include <asx/shard/base/addr.h>
#include <asx/shard/task.h>

#include "tool_internal.h"

typedef struct asxi_tool_key {
    asx_rq_keyring *ring; /* NULL: none was given */
} asxi_tool_key;

/* --key-file and --key; the last one counts. False, with a line on standard error, for what is no
 * key. */
bool asxi_tool_key_file(asxi_tool_key *key, const char *path);
bool asxi_tool_key_text(asxi_tool_key *key, const char *text);

void asxi_tool_key_end(asxi_tool_key *key);

/* HOST:PORT, [V6]:PORT, and :PORT where any address will do; names are looked up. False, with a
 * line. */
bool asxi_tool_addr(const char *text, bool may_be_any, asx_addr *addr);

/* How a run ended. */
typedef enum asxi_tool_end {
    TOOL_RAN,         /* the fiber ended by itself: `err` is its error, or OK */
    TOOL_INTERRUPTED, /* by a signal */
    TOOL_BROKE,       /* a panic, which was told */
    TOOL_NO_SHARD,    /* it could not start, which was told */
} asxi_tool_end;

/* Runs fn(cx, arg) as a fiber of a shard of its own. */
asxi_tool_end asxi_tool_run(const asx_rq_host *host, asx_task_fn *fn, void *arg, asx_err *err);

#endif
