#include "reload.h"

#include <asx/shard/base/assert.h>
#include <asx/shard/op.h>

#include "access_log.h"
#include "config_internal.h"
#include "engine_internal.h"
#include "serve_internal.h"

#include <string.h>

/* While it is read, for the thread of the pool. */
typedef struct attempt {
    const asx_config *before;
    asx_config fresh;
    asx_config_result result;
    char message[ASX_CONFIG_MESSAGE_MAX];
} attempt;

static void read_again(asx_op *op)
{
    attempt *const self = op->work_arg;
    self->result = asx_config_reparse(self->before, &self->fresh, self->message);
}

/* A log that is not there yet, or is to go, is a task more or less. */
static bool is_hot(const asxi_setting *s, const asx_config *now, const asx_config *fresh)
{
    char text[ASX_CONFIG_PATH_MAX];
    return s->hot &&
           (s->kind != ASXI_SETTING_PATH || (asxi_config_text(now, s, 0, text, sizeof(text)) &&
                                             asxi_config_text(fresh, s, 0, text, sizeof(text))));
}

static void say_change(const asxi_setting *s, const asx_config *now, const asx_config *fresh,
                       asx_reload_fn *say, void *arg)
{
    char was[ASX_CONFIG_PATH_MAX] = "", is[ASX_CONFIG_PATH_MAX] = "", line[256];
    (void)asxi_config_text(now, s, 0, was, sizeof(was));
    (void)asxi_config_text(fresh, s, 0, is, sizeof(is));
    snprintf(line, sizeof(line), "settings: %s is %.96s now, it was %.96s", s->name, is, was);
    say(arg, line);
}

bool asx_reload_merge(asx_config *now, const asx_config *fresh, asx_reload_fn *say, void *arg)
{
    char cold[320] = "settings:";
    size_t len = strlen(cold);
    const size_t none = len;
    bool any = false;
    for (size_t i = 0; i < asxi_setting_count; i++) {
        const asxi_setting *const s = &asxi_settings[i];
        if (asxi_setting_same(s, now, fresh)) {
            continue;
        }
        if (is_hot(s, now, fresh)) {
            say_change(s, now, fresh, say, arg);
            asxi_setting_copy(s, now, fresh);
            any = true;
        } else {
            len += (size_t)snprintf(cold + len, sizeof(cold) - len, "%s %s", len > none ? "," : "",
                                    s->name);
            asx_assert_lt(len, sizeof(cold) - 64); /* all names together are shorter */
        }
    }
    if (len > none) {
        snprintf(cold + len, sizeof(cold) - len, " would change at a restart");
        say(arg, cold);
    }
    return any;
}

static void say_line(ASX_UNUSED void *arg, const char *line)
{
    asxi_say("%s", line);
}

static void publish(asx_engine *engine, const asx_config *now)
{
    pthread_mutex_lock(&engine->reload_lock);
    engine->reloaded = *now;
    pthread_mutex_unlock(&engine->reload_lock);
    /* Pairs with the acquire in asxi_reload_heed. */
    asx_store_release(&engine->reload_epoch, engine->reload_epoch + 1);
    asxi_engine_ring_all(engine);
}

static void take_over(asx_engine *engine, const attempt *self)
{
    asx_config now = *engine->seats[0].config;
    if (self->result == ASX_CONFIG_ERROR) {
        asxi_say("settings: %s; nothing has changed", self->message);
    } else if (asx_reload_merge(&now, &self->fresh, say_line, NULL)) {
        publish(engine, &now);
    } else if (self->fresh.file_count > 0) {
        asxi_say("settings: read again");
    }
}

asx_outcome asx_reload(asx_cx *cx, asx_engine *engine)
{
    attempt *const self = asx_alloc(cx, sizeof(*self));
    if (!self) {
        asxi_say("settings: no memory to read them again");
        return asx_ok(0);
    }
    self->before = engine->config;
    asx_op op = { .code = ASX_OP_TASK, .work = read_again, .work_arg = self };
    const asx_outcome read = asx_op_await(cx, &op);
    if (asx_is_ok(read)) {
        take_over(engine, self);
    }
    asx_free(cx, self, sizeof(*self));
    return read.severity == ASX_SEVERITY_ERR ? asx_ok(0) : read;
}

void asxi_reload_heed(asx_cx *cx, asxi_seat *seat)
{
    asx_engine *const engine = seat->engine;
    const uint32_t epoch = asx_load_acquire(&engine->reload_epoch);
    if (seat->reload_seen == epoch) {
        return;
    }
    seat->reload_seen = epoch;
    seat->own_config = seat->own_config ? seat->own_config : asx_alloc(cx, sizeof(asx_config));
    if (!seat->own_config) {
        asxi_say("settings: shard %u has no memory for them, and keeps its own", seat->index);
        return;
    }
    pthread_mutex_lock(&engine->reload_lock);
    *seat->own_config = engine->reloaded;
    pthread_mutex_unlock(&engine->reload_lock);
    seat->config = seat->own_config;
    asxi_services_reload(seat);
    if (seat->log) {
        asx_access_log_rename(seat->log, seat->config->access_log);
    }
}
