/* Checks of ZeroMQ endpoints. */
#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/address.h"

/* Cuts ADDR:PORT at its last colon; addr holds 64 bytes. */
static bool cut(const char *value, char addr[64], const char **port)
{
    const char *colon = strrchr(value, ':');
    if (!colon || colon - value >= 64)
        return false;
    memcpy(addr, value, (size_t)(colon - value));
    addr[colon - value] = 0;
    *port = colon + 1;
    return true;
}

static bool is_port(const char *port)
{
    size_t digits = strspn(port, "0123456789");
    return digits > 0 && digits <= 5 && !port[digits] && atol(port) <= 65535;
}

static bool is_loopback(const char *addr)
{
    struct in_addr v4;
    if (!strcmp(addr, "[::1]"))
        return true;
    return inet_pton(AF_INET, addr, &v4) == 1 && ntohl(v4.s_addr) >> 24 == 127;
}

int address_check_zmq(const char *name, const char *value, struct tw_error *error)
{
    char addr[64];
    const char *port;
    if (!strncmp(value, "ipc://", 6) && value[6])
        return 0;
    if (strncmp(value, "tcp://", 6) || !cut(value + 6, addr, &port) || !*addr || (strcmp(port, "*") && !is_port(port)))
        return tw_error_set(error, TW_INVALID, "%s is tcp://ADDR:PORT or ipc://PATH, not \"%.100s\"", name, value);
    if (!is_loopback(addr))
        return tw_error_set(error, TW_INVALID,
                            "%s: %.100s is not on the loopback, and there are no keys yet that would guard it; bind to "
                            "127.0.0.1 and let feeds come through a tunnel",
                            name, value);
    return 0;
}
