#include <asx/shard/driver.h>

const char *asx_driver_kind_name(asx_driver_kind kind)
{
    switch (kind) {
    case ASX_DRIVER_URING:
        return "uring";
    case ASX_DRIVER_EPOLL:
        return "epoll";
    case ASX_DRIVER_LAB:
        return "lab";
    case ASX_DRIVER_DPDK:
        return "dpdk";
    }
    return "?";
}

const char *asx_op_code_name(asx_op_code code)
{
    static const char *const names[] = {
        [ASX_OP_NONE] = "none",         [ASX_OP_ACCEPT] = "accept", [ASX_OP_CONNECT] = "connect",
        [ASX_OP_RECV] = "recv",         [ASX_OP_SEND] = "send",     [ASX_OP_SENDV] = "sendv",
        [ASX_OP_RECVFROM] = "recvfrom", [ASX_OP_SENDTO] = "sendto", [ASX_OP_SHUTDOWN] = "shutdown",
        [ASX_OP_CLOSE] = "close",       [ASX_OP_OPEN] = "open",     [ASX_OP_STAT] = "stat",
        [ASX_OP_READ] = "read",         [ASX_OP_WRITE] = "write",   [ASX_OP_FSYNC] = "fsync",
        [ASX_OP_SENDFILE] = "sendfile", [ASX_OP_POLL] = "poll",     [ASX_OP_TASK] = "task",
    };
    return (unsigned)code < asx_array_count(names) ? names[code] : "?";
}
