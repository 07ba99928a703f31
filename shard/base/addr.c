#include <asx/shard/base/addr.h>
#include <asx/shard/base/assert.h>

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *asx_addr_family_name(asx_addr_family family)
{
    switch (family) {
    case ASX_ADDR_NONE:
        return "none";
    case ASX_ADDR_INET:
        return "inet";
    case ASX_ADDR_INET6:
        return "inet6";
    case ASX_ADDR_UNIX:
        return "unix";
    }
    return "?";
}

static asx_err parse_unix(const char *path, asx_addr *addr)
{
    const size_t len = strlen(path);
    if (len == 0) {
        return ASX_E(INVALID_ARGUMENT);
    }
    if (len >= sizeof(addr->path)) {
        return ASX_E(TOO_LONG);
    }
    addr->family = ASX_ADDR_UNIX;
    memcpy(addr->path, path, len + 1);
    return ASX_OK;
}

static asx_err parse_port(const char *text, uint16_t *port)
{
    unsigned value = 0;
    if (*text == '\0') {
        return ASX_E(INVALID_ARGUMENT);
    }
    for (; *text; text++) {
        if (*text < '0' || *text > '9') {
            return ASX_E(INVALID_ARGUMENT);
        }
        value = value * 10 + (unsigned)(*text - '0');
        if (value > 65535) {
            return ASX_E(INVALID_ARGUMENT);
        }
    }
    *port = (uint16_t)value;
    return ASX_OK;
}

asx_err asx_addr_parse(const char *text, asx_addr *addr)
{
    char host[64];
    memset(addr, 0, sizeof(*addr));
    if (strncmp(text, "unix:", 5) == 0) {
        return parse_unix(text + 5, addr);
    }
    const char *const colon = strrchr(text, ':');
    if (!colon) {
        return ASX_E(INVALID_ARGUMENT);
    }
    const asx_err err = parse_port(colon + 1, &addr->port);
    if (err) {
        return err;
    }
    size_t len = (size_t)(colon - text);
    const bool bracketed = len >= 2 && text[0] == '[' && text[len - 1] == ']';
    if (bracketed) {
        text++;
        len -= 2;
    }
    if (len >= sizeof(host)) {
        return ASX_E(INVALID_ARGUMENT);
    }
    memcpy(host, text, len);
    host[len] = '\0';
    addr->family = bracketed ? ASX_ADDR_INET6 : ASX_ADDR_INET;
    if (len == 0 || (!bracketed && strcmp(host, "*") == 0)) {
        return ASX_OK;
    }
    if (inet_pton(bracketed ? AF_INET6 : AF_INET, host, addr->ip) != 1) {
        return ASX_E(INVALID_ARGUMENT);
    }
    return ASX_OK;
}

const char *asx_addr_format(const asx_addr *addr, char *buf, size_t cap)
{
    char host[INET6_ADDRSTRLEN] = "";
    asx_assert(cap > 0);
    switch ((asx_addr_family)addr->family) {
    case ASX_ADDR_INET:
        (void)inet_ntop(AF_INET, addr->ip, host, sizeof(host));
        (void)snprintf(buf, cap, "%s:%u", host, addr->port);
        return buf;
    case ASX_ADDR_INET6:
        (void)inet_ntop(AF_INET6, addr->ip, host, sizeof(host));
        (void)snprintf(buf, cap, "[%s]:%u", host, addr->port);
        return buf;
    case ASX_ADDR_UNIX:
        (void)snprintf(buf, cap, "unix:%s", addr->path);
        return buf;
    case ASX_ADDR_NONE:
        break;
    }
    (void)snprintf(buf, cap, "-");
    return buf;
}
