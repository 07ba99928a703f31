/* The routes of the program `asx serve`. */
#ifndef ASX_ENGINE_PROGRAM_ROUTES_H
#define ASX_ENGINE_PROGRAM_ROUTES_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>

ASX_BEGIN_DECLS

/* The app: serves them on its shard until the engine drains. arg is the asx_engine. */
asx_outcome asxi_program_app(asx_cx *cx, void *engine);

ASX_END_DECLS

#endif
