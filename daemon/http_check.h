/* The checks that every request passes before anything is looked up: framing that two parsers could read differently,
 * Host and Origin. */
#ifndef DAEMON_HTTP_CHECK_H
#define DAEMON_HTTP_CHECK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct http_check {
    const char *hosts;                     /* further names accepted in Host, separated by commas */
    int port;                              /* as bound */
    const char *method, *target, *version; /* as they came */

    /* what was seen, filled by http_check_header */
    bool bad_header; /* also set by whoever sees another fault of the head */
    int host_count, origin_count, length_count, encoding_count;
    const char *host, *origin, *length, *encoding;
    int64_t content_length; /* out: -1 none or chunked */
};

/* Looks at one header. Names must be tokens, values free of control characters. */
void http_check_header(struct http_check *check, const char *name, const char *value);

struct http_refusal {
    int status;
    const char *error;
    const char *detail;
    bool close;
};
/* After all headers. `authority` is that of an absolute URI, or NULL. True if nothing is to be refused. */
bool http_check_request(struct http_check *check, const char *authority, struct http_refusal *refusal);

/* True if "name[:port]" is localhost, 127.0.0.1, [::1] or one of `hosts`, with any port. */
bool http_check_host(const char *host, const char *hosts);
/* True if an Origin belongs to this server: its authority is the Host that was asked, or an accepted name with the
 * port that is bound. */
bool http_check_origin(const char *origin, const char *host, const char *hosts, int port);

/* ADDR:PORT or [ADDR]:PORT, an address of the loopback interface: nothing else is served, as every other network would
 * see answers without authentication. TW_INVALID with a sentence. `port` may be NULL. */
int http_check_address(const char *address, char host[64], int *port, struct tw_error *error);

#endif
