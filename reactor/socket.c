#include "socket.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG_DEFAULT 4096

socklen_t asx_addr_to_native(const asx_addr *addr, struct sockaddr_storage *native)
{
    memset(native, 0, sizeof(*native));
    switch ((asx_addr_family)addr->family) {
    case ASX_ADDR_INET: {
        struct sockaddr_in *const in = (struct sockaddr_in *)native;
        in->sin_family = AF_INET;
        in->sin_port = htons(addr->port);
        memcpy(&in->sin_addr, addr->ip, sizeof(in->sin_addr));
        return sizeof(*in);
    }
    case ASX_ADDR_INET6: {
        struct sockaddr_in6 *const in6 = (struct sockaddr_in6 *)native;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(addr->port);
        memcpy(&in6->sin6_addr, addr->ip, sizeof(in6->sin6_addr));
        return sizeof(*in6);
    }
    case ASX_ADDR_UNIX: {
        struct sockaddr_un *const un = (struct sockaddr_un *)native;
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, addr->path, sizeof(un->sun_path) - 1);
        return sizeof(*un);
    }
    case ASX_ADDR_NONE:
        break;
    }
    return 0;
}

static void unix_from_native(const struct sockaddr_un *un, socklen_t len, asx_addr *addr)
{
    const size_t head = offsetof(struct sockaddr_un, sun_path);
    size_t path_len = len > head ? len - head : 0;
    if (path_len >= sizeof(addr->path)) {
        path_len = sizeof(addr->path) - 1;
    }
    addr->family = ASX_ADDR_UNIX;
    memcpy(addr->path, un->sun_path, path_len);
}

void asx_addr_from_native(const struct sockaddr_storage *native, socklen_t len, asx_addr *addr)
{
    memset(addr, 0, sizeof(*addr));
    if (len < sizeof(sa_family_t)) {
        return;
    }
    if (native->ss_family == AF_INET) {
        const struct sockaddr_in *const in = (const struct sockaddr_in *)native;
        addr->family = ASX_ADDR_INET;
        addr->port = ntohs(in->sin_port);
        memcpy(addr->ip, &in->sin_addr, sizeof(in->sin_addr));
    } else if (native->ss_family == AF_INET6) {
        const struct sockaddr_in6 *const in6 = (const struct sockaddr_in6 *)native;
        addr->family = ASX_ADDR_INET6;
        addr->port = ntohs(in6->sin6_port);
        memcpy(addr->ip, &in6->sin6_addr, sizeof(in6->sin6_addr));
    } else if (native->ss_family == AF_UNIX) {
        unix_from_native((const struct sockaddr_un *)native, len, addr);
    }
}

static int domain_of(asx_addr_family family)
{
    switch (family) {
    case ASX_ADDR_INET:
        return AF_INET;
    case ASX_ADDR_INET6:
        return AF_INET6;
    case ASX_ADDR_UNIX:
        return AF_UNIX;
    case ASX_ADDR_NONE:
        break;
    }
    return -1;
}

static asx_err socket_create(asx_addr_family family, bool datagram, bool nonblocking, int32_t *fd)
{
    const int domain = domain_of(family);
    if (domain < 0) {
        return asx_err_errno(EAFNOSUPPORT);
    }
    const int type =
        (datagram ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0);
    const int made = socket(domain, type, 0);
    if (made < 0) {
        return asx_err_errno(errno);
    }
    *fd = made;
    return ASX_OK;
}

static asx_err option_set(int fd, int level, int name)
{
    const int on = 1;
    return setsockopt(fd, level, name, &on, sizeof(on)) == 0 ? ASX_OK : asx_err_errno(errno);
}

/* A path left behind by a process that died refuses connections; only such a one is removed. */
static void unix_path_reclaim(const struct sockaddr_storage *native, socklen_t len)
{
    const struct sockaddr_un *const un = (const struct sockaddr_un *)native;
    struct stat st;
    if (lstat(un->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        return;
    }
    const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) {
        return;
    }
    if (connect(probe, (const struct sockaddr *)native, len) != 0 && errno == ECONNREFUSED) {
        unlink(un->sun_path);
    }
    close(probe);
}

static asx_err listen_options_apply(int fd, const asx_addr *addr, const asx_listen_options *options)
{
    if (addr->family == ASX_ADDR_UNIX) {
        return ASX_OK;
    }
    asx_err err = option_set(fd, SOL_SOCKET, SO_REUSEADDR);
    if (!err && options->reuse_port) {
        err = option_set(fd, SOL_SOCKET, SO_REUSEPORT);
    }
    if (!err && options->nodelay) {
        err = option_set(fd, IPPROTO_TCP, TCP_NODELAY);
    }
    return err;
}

static asx_err bind_and_listen(int fd, const asx_addr *addr, const asx_listen_options *options)
{
    struct sockaddr_storage native;
    const socklen_t len = asx_addr_to_native(addr, &native);
    if (addr->family == ASX_ADDR_UNIX) {
        unix_path_reclaim(&native, len);
    }
    if (bind(fd, (struct sockaddr *)&native, len) != 0) {
        return asx_err_errno(errno);
    }
    const int backlog = options->backlog ? (int)options->backlog : BACKLOG_DEFAULT;
    if (addr->family == ASX_ADDR_UNIX) {
        /* Before listen(): nobody connects through permissions that were not meant. */
        const mode_t mode = options->unix_mode ? (mode_t)options->unix_mode : 0660;
        if (chmod(addr->path, mode) != 0) {
            return asx_err_errno(errno);
        }
    }
    return listen(fd, backlog) == 0 ? ASX_OK : asx_err_errno(errno);
}

asx_err asx_socket_listen(const asx_addr *addr, const asx_listen_options *options, bool nonblocking,
                          int32_t *fd)
{
    int32_t made;
    asx_err err = socket_create((asx_addr_family)addr->family, false, nonblocking, &made);
    if (err) {
        return err;
    }
    err = listen_options_apply(made, addr, options);
    if (!err) {
        err = bind_and_listen(made, addr, options);
    }
    if (err) {
        close(made);
        return err;
    }
    *fd = made;
    return ASX_OK;
}

asx_err asx_socket_open(asx_addr_family family, bool datagram, const asx_addr *local,
                        bool nonblocking, int32_t *fd)
{
    int32_t made;
    const asx_err err = socket_create(family, datagram, nonblocking, &made);
    if (err) {
        return err;
    }
    if (local) {
        struct sockaddr_storage native;
        const socklen_t len = asx_addr_to_native(local, &native);
        if (bind(made, (struct sockaddr *)&native, len) != 0) {
            const int errnum = errno;
            close(made);
            return asx_err_errno(errnum);
        }
    }
    *fd = made;
    return ASX_OK;
}

asx_err asx_socket_name(int32_t fd, bool remote, asx_addr *addr)
{
    struct sockaddr_storage native;
    socklen_t len = sizeof(native);
    const int rc = remote ? getpeername(fd, (struct sockaddr *)&native, &len)
                          : getsockname(fd, (struct sockaddr *)&native, &len);
    if (rc != 0) {
        return asx_err_errno(errno);
    }
    asx_addr_from_native(&native, len, addr);
    return ASX_OK;
}
