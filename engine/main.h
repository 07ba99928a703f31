/* What a program's main calls: the standard flags, then the engine. */
#ifndef ASX_ENGINE_MAIN_H
#define ASX_ENGINE_MAIN_H

#include <asx/engine/boot.h>
#include <asx/shard/base/decls.h>
#include <asx/shard/task.h>

ASX_BEGIN_DECLS

#define ASX_VERSION "0.1.0"

/* Parses the flags and the environment (config.h), answers --help, --version and --effective, boots
 * pinned shards, and runs `app(cx, engine)` once on each of them, in a region of its own. Returns
 * the exit status: 0, 1 when an app failed, 2 for a setting or an address that cannot be had, after
 * one line on standard error. */
int asx_main(int argc, char **argv, asx_task_fn *app);

/* For programs that take no flags and have no listeners of the engine's: the defaults, one shard.
 * SIGTERM and SIGINT cancel the app. Returns as asx_main. */
int asx_run(asx_task_fn *app);

ASX_END_DECLS

#endif
