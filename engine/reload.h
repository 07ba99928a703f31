/* Reload: the settings' sources read again while shards serve.
 *
 * Model.  SIGHUP reads and checks everything first, on the blocking pool. What has changed and may
 *         change at run time is published, and each shard takes it over at its control fiber; of
 *         the rest one line says that it needs a restart. A source with a mistake changes nothing.
 * Owner.  Seat 0's signals; each seat has a copy of its own, which only its thread reads.
 */
#ifndef ASX_ENGINE_RELOAD_H
#define ASX_ENGINE_RELOAD_H

#include <asx/engine/boot.h>

ASX_BEGIN_DECLS

/* Lines for people, one call each. */
typedef void asx_reload_fn(void *arg, const char *line);

/* Takes over into `now` what of `fresh` may change at run time. True when anything did.
 *
 * say  is told of each change, and of those that need a restart */
bool asx_reload_merge(asx_config *now, const asx_config *fresh, asx_reload_fn *say, void *arg);

/* cancel  nothing has changed */
ASX_NODISCARD asx_outcome asx_reload(asx_cx *cx, asx_engine *engine);

ASX_END_DECLS

#endif
