/* Runs a body as a task of a shard in virtual time: for what needs a region and nothing else. */
#ifndef ASX_TESTS_ENGINE_ENGINE_FIXTURE_H
#define ASX_TESTS_ENGINE_ENGINE_FIXTURE_H

#include <asx/lab/vdriver.h>
#include <asx/shard/shard.h>

#include <catch2/catch.hpp>
#include <functional>

using engine_body = std::function<void(asx_cx *cx)>;

static inline asx_outcome engine_task(asx_cx *cx, void *arg)
{
    (*static_cast<const engine_body *>(arg))(cx);
    return asx_ok(0);
}

static inline void in_a_task(engine_body body)
{
    asx_vdriver_config vconfig{};
    asx_shard_config config{};
    asx_shard *shard = nullptr;
    REQUIRE(asx_vdriver_create(&vconfig, &config.driver) == ASX_OK);
    config.seed = 1;
    REQUIRE(asx_shard_create(&config, &shard) == ASX_OK);
    CHECK(asx_shard_run(shard, engine_task, &body).severity == ASX_SEVERITY_OK);
    asx_shard_destroy(shard);
}

#endif
