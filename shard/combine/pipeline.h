/* Pipelines: stages one after another, each a task of its own (CMB-15). */
#ifndef ASX_SHARD_COMBINE_PIPELINE_H
#define ASX_SHARD_COMBINE_PIPELINE_H

#include <asx/shard/base/decls.h>
#include <asx/shard/cx.h>

ASX_BEGIN_DECLS

/* One stage: makes its Ok value out of `input`. */
typedef asx_outcome asx_stage_fn(asx_cx *cx, uintptr_t input, void *arg);

typedef struct asx_stage {
    asx_stage_fn *fn;
    void *arg;
    const char *label;
} asx_stage;

typedef struct asx_pipeline_options { /* zero-filled fields are the defaults */
    bool continue_on_error;           /* a failed stage hands on its input */
    bool no_checkpoints;              /* between stages */
} asx_pipeline_options;

typedef struct asx_pipeline_result {
    uint32_t executed; /* stages that returned */
    uint32_t stopped;  /* index of the stage that stopped it; the count when none did */
} asx_pipeline_result;

/* Runs the stages in order, each as a task of its own; the Ok value of the last is the pipeline's.
 * Stops at the first outcome that is not Ok. result: NULL allowed. */
ASX_NODISCARD asx_outcome asx_pipeline(asx_cx *cx, const asx_stage *stages, uint32_t count,
                                       uintptr_t input, const asx_pipeline_options *options,
                                       asx_pipeline_result *result);

ASX_END_DECLS

#endif
