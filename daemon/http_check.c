/* Refusals before routing. Framing: RFC 9112 sections 3.2, 6.1 and 6.3; every doubt ends in 400 and a closed
 * connection, so that a proxy in front can never disagree with us about where a request ends. */
#include "daemon/http_check.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Where a byte may stand (RFC 9110, 5.6.2 and 5.5; RFC 9112, 3.2): each byte of a head is looked up once. */
enum { OF_TOKEN = 1, OF_TARGET = 2, OF_VALUE = 4 };
#define TOKEN   (OF_TOKEN | OF_TARGET | OF_VALUE)
#define VISIBLE (OF_TARGET | OF_VALUE)

static const unsigned char kinds[256] = {
    ['\t'] = OF_VALUE,      [' '] = OF_VALUE,        ['!'] = TOKEN,         ['"'] = VISIBLE,
    ['#' ... '\''] = TOKEN, ['(' ... ')'] = VISIBLE, ['*' ... '+'] = TOKEN, [','] = VISIBLE,
    ['-' ... '.'] = TOKEN,  ['/'] = VISIBLE,         ['0' ... '9'] = TOKEN, [':' ... '@'] = VISIBLE,
    ['A' ... 'Z'] = TOKEN,  ['[' ... ']'] = VISIBLE, ['^' ... 'z'] = TOKEN, ['{'] = VISIBLE,
    ['|'] = TOKEN,          ['}'] = VISIBLE,         ['~'] = TOKEN,         [0x80 ... 0xff] = VISIBLE,
};

/* How many bytes from the start are of this kind. */
static size_t span(const char *text, int kind)
{
    size_t size = 0;
    while (kinds[(unsigned char)text[size]] & kind)
        size++;
    return size;
}

static bool consists(const char *text, int kind)
{
    return text[span(text, kind)] == '\0';
}

static bool is(const char *name, size_t size, const char *known, size_t known_size)
{
    return size == known_size && strncasecmp(name, known, size) == 0;
}
#define IS(name, size, known) is(name, size, known, sizeof known - 1)

void http_check_header(struct http_check *check, const char *name, const char *value)
{
    size_t size = span(name, OF_TOKEN);
    if (value == NULL)
        value = "";
    if (size == 0 || name[size] != '\0' || !consists(value, OF_VALUE))
        check->bad_header = true;
    if (IS(name, size, "Host")) {
        check->host_count++;
        check->host = value;
    } else if (IS(name, size, "Origin")) {
        check->origin_count++;
        check->origin = value;
    } else if (IS(name, size, "Content-Length")) {
        check->length_count++;
        check->length = value;
    } else if (IS(name, size, "Transfer-Encoding")) {
        check->encoding_count++;
        check->encoding = value;
    }
}

/* Length of the name in "name[:port]" or "[v6][:port]"; 0 if it is malformed. */
static size_t name_length(const char *host)
{
    size_t size;
    if (host[0] == '[') {
        size = strcspn(host, "]");
        if (host[size] != ']')
            return 0;
        size++;
    } else {
        size = strcspn(host, ":");
    }
    if (host[size] == '\0')
        return size;
    size_t digits = host[size] == ':' ? strspn(host + size + 1, "0123456789") : 0;
    return digits <= 5 && host[size] == ':' && host[size + 1 + digits] == '\0' ? size : 0;
}

static bool name_accepted(const char *name, size_t size, const char *hosts)
{
    if (IS(name, size, "localhost") || IS(name, size, "127.0.0.1") || IS(name, size, "[::1]"))
        return true;
    for (const char *word = hosts; word != NULL && *word != '\0';) {
        word += strspn(word, " ,");
        size_t length = strcspn(word, " ,");
        if (length == size && size > 0 && strncasecmp(word, name, size) == 0)
            return true;
        word += length;
    }
    return false;
}

bool http_check_host(const char *host, const char *hosts)
{
    size_t size = name_length(host);
    return size > 0 && name_accepted(host, size, hosts);
}

bool http_check_origin(const char *origin, const char *host, const char *hosts, int port)
{
    size_t scheme = strncasecmp(origin, "http://", 7) == 0 ? 7 : strncasecmp(origin, "https://", 8) == 0 ? 8 : 0;
    const char *authority = origin + scheme;
    size_t size = scheme > 0 ? name_length(authority) : 0;
    if (size == 0)
        return false;
    if (host != NULL && strcasecmp(authority, host) == 0)
        return true;
    int given = authority[size] == ':' ? atoi(authority + size + 1) : scheme == 7 ? 80 : 443;
    return given == port && name_accepted(authority, size, hosts);
}

static bool refuse(struct http_refusal *refusal, int status, const char *error, const char *detail)
{
    *refusal = (struct http_refusal){status, error, detail, status == 400 || status == 505};
    return false;
}

static bool check_framing(struct http_check *check, struct http_refusal *refusal)
{
    bool http11 = strcmp(check->version, "HTTP/1.1") == 0;
    if (!http11 && strcmp(check->version, "HTTP/1.0") != 0)
        return refuse(refusal, 505, "bad_version", "HTTP/1.1 and HTTP/1.0 are spoken here");
    if (check->bad_header || check->method[0] == '\0' || !consists(check->method, OF_TOKEN) ||
        !consists(check->target, OF_TARGET))
        return refuse(refusal, 400, "bad_request",
                      "the request line or a header holds characters or line ends that are not allowed");
    if (check->length_count > 1)
        return refuse(refusal, 400, "bad_request", "more than one Content-Length");
    if (check->encoding_count > 1 || (check->encoding_count == 1 && strcasecmp(check->encoding, "chunked") != 0))
        return refuse(refusal, 400, "bad_request", "no Transfer-Encoding but chunked is understood");
    if (check->encoding_count == 1 && check->length_count == 1)
        return refuse(refusal, 400, "bad_request", "Content-Length together with Transfer-Encoding");
    if (check->encoding_count == 1 && !http11)
        return refuse(refusal, 400, "bad_request", "Transfer-Encoding needs HTTP/1.1");
    check->content_length = -1;
    if (check->length_count == 1) {
        size_t digits = strspn(check->length, "0123456789");
        if (digits == 0 || digits > 18 || check->length[digits] != '\0')
            return refuse(refusal, 400, "bad_request", "Content-Length is not a number");
        check->content_length = strtoll(check->length, NULL, 10);
    }
    return true;
}

bool http_check_request(struct http_check *check, const char *authority, struct http_refusal *refusal)
{
    if (!check_framing(check, refusal))
        return false;
    if (check->host_count != 1)
        return refuse(refusal, 400, "bad_request", check->host_count == 0 ? "Host is missing" : "more than one Host");
    if (!http_check_host(check->host, check->hosts) || (authority != NULL && !http_check_host(authority, check->hosts)))
        return refuse(refusal, 421, "misdirected",
                      "this server does not answer for that Host; add the name to the configuration key hosts");
    if (check->origin_count > 1 ||
        (check->origin_count == 1 && !http_check_origin(check->origin, check->host, check->hosts, check->port)))
        return refuse(refusal, 403, "foreign_origin", "requests from pages of another origin are refused");
    return true;
}

int http_check_address(const char *address, char host[64], int *port, struct tw_error *error)
{
    const char *colon = strrchr(address, ':');
    size_t size = colon != NULL ? (size_t)(colon - address) : 0;
    bool v6 = size > 2 && address[0] == '[' && address[size - 1] == ']';
    const char *start = v6 ? address + 1 : address;
    if (v6)
        size -= 2;
    size_t digits = colon != NULL ? strspn(colon + 1, "0123456789") : 0;
    if (size == 0 || size >= 64 || digits == 0 || digits > 5 || colon[1 + digits] != '\0' || atoi(colon + 1) > 65535)
        return tw_error_set(error, TW_INVALID, "\"%.100s\" is not ADDR:PORT", address);
    memcpy(host, start, size);
    host[size] = '\0';
    if (!v6 && strcasecmp(host, "localhost") == 0)
        strcpy(host, "127.0.0.1");
    struct in_addr v4_address;
    struct in6_addr v6_address;
    if (v6 ? inet_pton(AF_INET6, host, &v6_address) != 1 : inet_pton(AF_INET, host, &v4_address) != 1)
        return tw_error_set(error, TW_INVALID, "\"%s\" is not an IP address", host);
    bool loopback = v6 ? IN6_IS_ADDR_LOOPBACK(&v6_address) : ntohl(v4_address.s_addr) >> 24 == 127;
    if (!loopback)
        return tw_error_set(error, TW_INVALID,
                            "%s is not a loopback address, and there are no configured tokens to guard it; bind to "
                            "127.0.0.1 and put a proxy that authenticates in front",
                            host);
    if (port != NULL)
        *port = atoi(colon + 1);
    return TW_OK;
}
