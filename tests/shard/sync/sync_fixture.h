/* Bodies as lambdas, for cases with several small tasks. */
#ifndef ASX_TESTS_SHARD_SYNC_FIXTURE_H
#define ASX_TESTS_SHARD_SYNC_FIXTURE_H

#include "../kernel_fixture.h"

#include <algorithm>
#include <functional>

using body = std::function<asx_outcome(asx_cx *)>;

static inline asx_outcome body_run(asx_cx *cx, void *arg)
{
    return (*static_cast<body *>(arg))(cx);
}

/* `fn` lives in the spawner's frame, outside the scope's block. */
static inline asx_handle go(asx_scope *scope, body &fn)
{
    return asx_scope_spawn(scope, body_run, &fn, 0, nullptr);
}

/* Runs `fn` as the first task of a kernel. */
static inline kernel_run run_body(body fn, uint64_t seed = 1,
                                  asx_leak_response leak = ASX_LEAK_PANIC)
{
    return run_kernel(body_run, &fn, seed, leak);
}

#endif
