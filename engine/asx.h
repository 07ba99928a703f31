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
#include <asx/shard/combine/bracket.h>
#include <asx/shard/combine/branch.h>
#include <asx/shard/combine/breaker.h>
#include <asx/shard/combine/bulkhead.h>
#include <asx/shard/combine/first_ok.h>
#include <asx/shard/combine/hedge.h>
#include <asx/shard/combine/map_reduce.h>
#include <asx/shard/combine/pipeline.h>
#include <asx/shard/combine/quorum.h>
#include <asx/shard/combine/ratelimit.h>
#include <asx/shard/combine/retry.h>
#include <asx/shard/cx.h>
#include <asx/shard/interval.h>
#include <asx/shard/obligation.h>
#include <asx/shard/op.h>
#include <asx/shard/region.h>
#include <asx/shard/scope.h>
#include <asx/shard/sync/barrier.h>
#include <asx/shard/sync/broadcast.h>
#include <asx/shard/sync/latch.h>
#include <asx/shard/sync/mpsc.h>
#include <asx/shard/sync/mutex.h>
#include <asx/shard/sync/notify.h>
#include <asx/shard/sync/once.h>
#include <asx/shard/sync/oneshot.h>
#include <asx/shard/sync/pool.h>
#include <asx/shard/sync/rwlock.h>
#include <asx/shard/sync/select.h>
#include <asx/shard/sync/semaphore.h>
#include <asx/shard/sync/session.h>
#include <asx/shard/sync/watch.h>
#include <asx/shard/task.h>

#endif
