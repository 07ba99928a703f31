/* The umbrella: everything a program on the engine includes, and no declaration of its own. */
#ifndef ASX_ASX_H
#define ASX_ASX_H

#include <asx/engine/main.h>
#include <asx/engine/route.h>
#include <asx/engine/serve.h>
#include <asx/engine/static_file.h>
#include <asx/proto/http.h>
#include <asx/shard/base/assert.h>
#include <asx/shard/base/err.h>
#include <asx/shard/base/time.h>
#include <asx/shard/base/view.h>
#include <asx/shard/combine/branch.h>
#include <asx/shard/cx.h>
#include <asx/shard/obligation.h>
#include <asx/shard/op.h>
#include <asx/shard/region.h>
#include <asx/shard/scope.h>
#include <asx/shard/task.h>

#endif
