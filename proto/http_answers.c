/* How long requests took: from the turn in which their head was whole to the end of the turn that
 * sent the answer. */
#include "http_internal.h"

/* What has been answered took until now. */
static void answers_time(asx_http_server *server)
{
    asxi_http_answers *const self = &server->answers;
    const asx_instant now_ns = server->driver->ops->now(server->driver);
    for (uint32_t i = 0; i < self->count; i++) {
        const asx_duration took_ns = asx_time_sub(now_ns, self->rows[i].started_ns);
        asx_http_latency_count(&server->stats.latency, took_ns, self->rows[i].count);
        if (self->rows[i].route) {
            asx_http_latency_count(self->rows[i].route, took_ns, self->rows[i].count);
        }
    }
    self->count = 0;
}

/* Of a connection that was linked behind this hook the send is still to come. */
static void turn_end(asx_turn_end *hook)
{
    asxi_http_answers *const self = asx_container_of(hook, asxi_http_answers, turn_end);
    asx_http_server *const server = asx_container_of(self, asx_http_server, answers);
    self->again = !self->again;
    if (self->again) {
        asx_shard_turn_end_link(server->shard, hook);
        return;
    }
    answers_time(server);
}

void asxi_http_answers_init(asx_http_server *server)
{
    server->answers.turn_end.fn = turn_end;
}

void asxi_http_answers_end(asx_http_server *server)
{
    asxi_http_answers *const self = &server->answers;
    if (self->count > 0) {
        answers_time(server);
        asx_list_unlink(&self->turn_end._link);
        self->again = false;
    }
}

void asxi_http_answers_row(asx_http_server *server, asx_http_latency *route, asx_instant started_ns)
{
    asxi_http_answers *const self = &server->answers;
    if (self->count == ASXI_HTTP_ANSWERS_MAX) {
        answers_time(server);
    }
    self->rows[self->count].route = route;
    self->rows[self->count].started_ns = started_ns;
    self->rows[self->count].count = 1;
    self->count++;
    asx_shard_turn_end_link(server->shard, &self->turn_end);
}
