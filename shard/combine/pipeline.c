#include <asx/shard/combine/pipeline.h>

#include "set_internal.h"

typedef struct stage_call {
    const asx_stage *stage;
    uintptr_t input;
} stage_call;

static asx_outcome stage_run(asx_cx *cx, void *arg)
{
    const stage_call *const call = arg;
    return call->stage->fn(cx, call->input, call->stage->arg);
}

asx_outcome asx_pipeline(asx_cx *cx, const asx_stage *stages, uint32_t count, uintptr_t input,
                         const asx_pipeline_options *options, asx_pipeline_result *result)
{
    static const asx_pipeline_options defaults;
    asx_pipeline_result none;
    options = options ? options : &defaults;
    result = result ? result : &none;
    *result = (asx_pipeline_result){ 0 };
    asx_outcome outcome = asx_ok(input);
    for (uint32_t i = 0; i < count; i++) {
        result->stopped = i;
        if (!options->no_checkpoints) {
            ASX_TRY(asx_checkpoint(cx));
        }
        stage_call call = { &stages[i], input };
        const asx_branch branch = { .fn = stage_run, .arg = &call, .label = stages[i].label };
        outcome = asx_race(cx, &branch, 1, NULL);
        result->executed++;
        if (asx_is_ok(outcome)) {
            input = outcome.value;
        } else if (outcome.severity != ASX_SEVERITY_ERR || !options->continue_on_error) {
            return outcome;
        }
    }
    result->stopped = count;
    return asx_ok(input);
}
