/* What a connection has received and nobody has read yet. */
#include "http_internal.h"

#include <string.h>

static void rbuf_return(asxi_http_conn *conn, asx_rbuf *rbuf)
{
    asx_driver *const driver = conn->server->driver;
    driver->ops->buf_return(driver, rbuf);
}

static void rbuf_release(asxi_http_conn *conn)
{
    asxi_http_work *const work = conn->work;
    if (work->rbuf) {
        rbuf_return(conn, work->rbuf);
        work->rbuf = NULL;
    }
}

static void lent_rbuf_release(asxi_http_conn *conn)
{
    if (conn->work->lent_rbuf) {
        rbuf_return(conn, conn->work->lent_rbuf);
        conn->work->lent_rbuf = NULL;
    }
}

static void copy_free(asxi_http_conn *conn, char **ptr, size_t *cap)
{
    if (*ptr) {
        asx_region_free(conn->server->region, *ptr, *cap);
        *ptr = NULL;
        *cap = 0;
    }
}

static bool view_lent(const asxi_http_work *work)
{
    return work->handling && work->exchange.lent;
}

/* The handler may still look at bytes of `copy`. */
static bool copy_pinned(const asxi_http_work *work)
{
    return work->copy && !work->retired && (work->head_held || view_lent(work));
}

/* Makes room for `more` bytes behind the unread ones, in `copy`. What the handler may still look at
 * stays valid: it is retired, not freed, and not moved. */
static bool copy_reserve(asxi_http_conn *conn, size_t more)
{
    asxi_http_work *const work = conn->work;
    const size_t need = work->in_len + more;
    const bool in_copy = work->copy && !work->rbuf;
    const bool pinned = in_copy && copy_pinned(work);
    if (in_copy && (size_t)(work->in_ptr - work->copy) + need <= work->copy_cap) {
        return true;
    }
    if (need > ASXI_HTTP_IN_BYTES_MAX) {
        return false;
    }
    if (work->copy && need <= work->copy_cap && !pinned) {
        memmove(work->copy, work->in_ptr, work->in_len);
        work->in_ptr = work->copy;
        return true;
    }
    size_t cap = ASXI_HTTP_IN_BYTES;
    while (cap < need) {
        cap *= 2;
    }
    char *const grown = asx_region_alloc(conn->server->region, cap);
    if (!grown) {
        return false;
    }
    if (work->in_len > 0) {
        memcpy(grown, work->in_ptr, work->in_len);
    }
    if (pinned) {
        work->retired = work->copy;
        work->retired_cap = work->copy_cap;
    } else {
        copy_free(conn, &work->copy, &work->copy_cap);
    }
    work->copy = grown;
    work->copy_cap = cap;
    work->in_ptr = grown;
    return true;
}

bool asxi_http_in_append(asxi_http_conn *conn, const char *bytes, size_t len)
{
    asxi_http_work *const work = conn->work;
    if (!asxi_http_in_detach(conn) || !copy_reserve(conn, len)) {
        return false;
    }
    if (!work->in_ptr) {
        work->in_ptr = work->copy;
    }
    char *const end = work->copy + (work->in_ptr - work->copy) + work->in_len;
    memcpy(end, bytes, len);
    work->in_len += len;
    return true;
}

/* Moves unread bytes out of the driver's buffer and gives it back; while a view into it is lent, at
 * its end. */
bool asxi_http_in_detach(asxi_http_conn *conn)
{
    asxi_http_work *const work = conn->work;
    asx_rbuf *const rbuf = work->rbuf;
    if (!rbuf) {
        return true;
    }
    const char *const unread = work->in_ptr;
    const size_t len = work->in_len;
    work->rbuf = NULL;
    work->in_len = 0;
    /* Behind a pinned copy there is no room: where its last byte stands is not known here. */
    work->in_ptr = copy_pinned(work) ? work->copy + work->copy_cap : work->copy;
    if (len > 0 && !copy_reserve(conn, len)) {
        work->rbuf = rbuf;
        work->in_ptr = unread;
        work->in_len = len;
        return false;
    }
    if (len > 0) {
        work->in_ptr = work->copy;
        memcpy(work->copy, unread, len);
        work->in_len = len;
    }
    if (view_lent(work) && !work->lent_rbuf) {
        work->lent_rbuf = rbuf;
    } else {
        rbuf_return(conn, rbuf);
    }
    return true;
}

void asxi_http_in_consume(asxi_http_conn *conn, size_t len)
{
    asxi_http_work *const work = conn->work;
    work->in_ptr += len;
    work->in_len -= len;
    if (work->in_len == 0 && !work->head_held && !view_lent(work)) {
        rbuf_release(conn);
        work->in_ptr = work->copy;
    }
}

static void unpin(asxi_http_conn *conn)
{
    asxi_http_work *const work = conn->work;
    copy_free(conn, &work->retired, &work->retired_cap);
    if (work->in_len == 0) {
        rbuf_release(conn);
        work->in_ptr = work->copy;
    }
}

void asxi_http_in_unlend(asxi_http_conn *conn)
{
    conn->work->exchange.lent = false;
    lent_rbuf_release(conn);
    unpin(conn);
}

void asxi_http_in_unhold(asxi_http_conn *conn)
{
    unpin(conn);
}

void asxi_http_in_release(asxi_http_conn *conn)
{
    asxi_http_work *const work = conn->work;
    rbuf_release(conn);
    lent_rbuf_release(conn);
    if (work->copy_cap > ASXI_HTTP_IN_KEEP_BYTES) {
        copy_free(conn, &work->copy, &work->copy_cap);
    }
    copy_free(conn, &work->retired, &work->retired_cap);
    work->in_ptr = work->copy;
    work->in_len = 0;
}
