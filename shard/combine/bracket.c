#include <asx/shard/combine/bracket.h>
#include <asx/shard/shard_internal.h>

typedef struct bracket_release {
    asx_defer defer;
    const asx_bracket *bracket;
    uintptr_t resource;
    void *arg;
} bracket_release;

static void bracket_deferred(asx_cx *cx, asx_defer *defer)
{
    bracket_release *const self = asx_container_of(defer, bracket_release, defer);
    self->bracket->release(cx, self->resource, self->arg);
}

asx_outcome asx_bracket_run(asx_cx *cx, const asx_bracket *bracket, void *arg)
{
    bracket_release release = { .bracket = bracket, .arg = arg };
    const asx_outcome acquired = bracket->acquire(cx, arg);
    if (!asx_is_ok(acquired)) {
        return acquired;
    }
    release.resource = acquired.value;
    asx_defer_push(cx, &release.defer, bracket_deferred);
    const asx_outcome outcome = bracket->use(cx, release.resource, arg);
    asx_defer_pop(cx, &release.defer);
    cx->_task->kernel_masks++;
    bracket->release(cx, release.resource, arg);
    cx->_task->kernel_masks--;
    return outcome;
}
