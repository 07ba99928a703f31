/* Work records: what a connection borrows while a request is read, handled or written. A few are
 * kept initialised, with their buffers, the last one given back in front: a connection takes one
 * and gives it back within a step, so that all of them share the same warm lines. */
#include <asx/shard/base/assert.h>

#include "http_internal.h"

#include <string.h>

static asxi_http_work *work_create(asx_http_server *server)
{
    asxi_http_work *const work = asx_region_alloc(server->region, sizeof(*work));
    if (work) {
        memset(work, 0, offsetof(asxi_http_work, fields));
        work->turn_end.fn = asxi_http_turn_end;
        asx_http1_parser_init_request(&work->parser, &server->limits.head, work->fields,
                                      ASXI_HTTP_FIELD_COUNT);
    }
    return work;
}

void asxi_http_work_destroy(asx_http_server *server, asxi_http_work *work)
{
    if (work->out) {
        asx_region_free(server->region, work->out, ASXI_HTTP_OUT_BYTES);
    }
    if (work->copy) {
        asx_region_free(server->region, work->copy, work->copy_cap);
    }
    asx_region_free(server->region, work, sizeof(*work));
}

bool asxi_http_work_acquire(asxi_http_conn *conn)
{
    asx_http_server *const server = conn->server;
    asxi_http_work *work = server->free_work;
    if (conn->work) {
        return true;
    }
    if (work) {
        server->free_work = work->next_free;
        server->free_work_count--;
    } else {
        work = work_create(server);
        if (!work) {
            return false;
        }
    }
    work->conn = conn;
    conn->work = work;
    server->stats.connections_idle--;
    if (conn->rbuf) {
        work->rbuf = conn->rbuf;
        work->in_ptr = conn->rbuf->data;
        work->in_len = conn->recv.keep_words[ASXI_HTTP_KEEP_RBUF_LEN];
        conn->rbuf = NULL;
    }
    return true;
}

void asxi_http_work_release(asxi_http_conn *conn)
{
    asx_http_server *const server = conn->server;
    asxi_http_work *const work = conn->work;
    asx_assert(!work->request && !work->handling && !work->fiber_sends);
    asxi_http_in_release(conn);
    work->out_len = 0;
    work->sent_now = 0;
    asx_list_unlink(&work->turn_end._link);
    conn->work = NULL;
    server->stats.connections_idle++;
    if (work->parsing) {
        work->parsing = false;
        asx_http1_parser_reset(&work->parser);
    }
    work->sent = (asx_event){ 0 };
    work->readable = (asx_event){ 0 };
    if (server->free_work_count < ASXI_HTTP_FREE_WORK_MAX) {
        work->next_free = server->free_work;
        server->free_work = work;
        server->free_work_count++;
    } else {
        asxi_http_work_destroy(server, work);
    }
}
