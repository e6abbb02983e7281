/* Input: a request as text: method and target, header lines, an empty line, the body. A target that parses can be
 * written in one canonical form that parses to the same; whatever is refused gets a problem in JSON. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/http_check.h"
#include "daemon/http_gzip.h"
#include "daemon/http_request.h"
#include "daemon/http_response.h"
#include "daemon/route.h"
#include "fuzz.h"

/* The next line, copied; zero bytes end it early, as they would in a C string. NULL at the end. */
static char *next_line(const uint8_t **at, const uint8_t *end)
{
    if (*at == end)
        return NULL;
    const uint8_t *stop = memchr(*at, '\n', (size_t)(end - *at));
    size_t length = (size_t)((stop ? stop : end) - *at);
    char *line = strndup((const char *)*at, length);
    FUZZ_CHECK(line);
    *at += length + (stop != NULL);
    return line;
}

/* --- the target --- */

static void put_escaped(FILE *out, const char *text)
{
    for (; *text; text++) {
        if (isalnum((unsigned char)*text))
            putc(*text, out);
        else
            fprintf(out, "%%%02X", (unsigned char)*text);
    }
}

static char *canonical(const struct http_request *request)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    FUZZ_CHECK(out);
    if (request->authority) {
        fputs("http://", out);
        put_escaped(out, request->authority);
    }
    for (int i = 0; i < request->segments; i++) {
        putc('/', out);
        put_escaped(out, request->segment[i]);
    }
    if (request->segments == 0)
        putc('/', out);
    for (int i = 0; i < request->queries; i++) {
        putc(i ? '&' : '?', out);
        put_escaped(out, request->query[i].name);
        putc('=', out);
        put_escaped(out, request->query[i].value);
    }
    fclose(out);
    return text;
}

static void check_canonical(const struct http_request *request)
{
    char *text = canonical(request);
    struct http_request again = {.uri = http_request_uri(text)};
    free(text);
    FUZZ_CHECK(again.uri);
    char detail[200];
    FUZZ_CHECK(http_request_parse_uri(&again, detail) == 0);
    FUZZ_CHECK(again.segments == request->segments && again.queries == request->queries);
    FUZZ_CHECK(!again.authority == !request->authority);
    FUZZ_CHECK(!again.authority || strcmp(again.authority, request->authority) == 0);
    for (int i = 0; i < request->segments; i++)
        FUZZ_CHECK(strcmp(again.segment[i], request->segment[i]) == 0);
    for (int i = 0; i < request->queries; i++)
        FUZZ_CHECK(strcmp(again.query[i].name, request->query[i].name) == 0 &&
                   strcmp(again.query[i].value, request->query[i].value) == 0);
    http_request_fini(&again);
}

/* --- what is answered --- */

static void check_problem(struct http_response *response)
{
    json_t *problem = json_loadb(response->body, response->size, 0, NULL);
    FUZZ_CHECK(response->status >= 400 && json_is_string(json_object_get(problem, "detail")));
    json_decref(problem);
    http_response_fini(response);
}

static void check_query(const struct http_request *request, const char *allowed)
{
    const char *unknown = http_request_query_unknown(request, allowed);
    int64_t value = 7;
    FUZZ_CHECK(!unknown || http_request_query(request, unknown));
    for (int i = 0; i < request->queries; i++) {
        struct http_response response = {0};
        if (http_request_query_int(request, request->query[i].name, -5, 1000, &value, &response))
            FUZZ_CHECK(value >= -5 && value <= 1000);
        else
            check_problem(&response);
        http_response_fini(&response);
    }
}

static void check_headers(const struct http_request *request)
{
    static const char *const offers[] = {"application/json", "application/x-npy", "text/csv"};
    int best = http_request_negotiate(request->header[HTTP_ACCEPT], offers, 3);
    FUZZ_CHECK(best >= -1 && best < 3 && (request->header[HTTP_ACCEPT] || best == 0));
    for (int id = HTTP_IF_MATCH; id <= HTTP_IF_NONE_MATCH; id++) {
        const char *tags = request->header[id];
        if (tags && http_request_etag(tags, "42", false)) /* what matches strictly matches weakly */
            FUZZ_CHECK(http_request_etag(tags, "42", true));
    }
    if (http_gzip_accepted(request->header[HTTP_ACCEPT_ENCODING]))
        FUZZ_CHECK(strpbrk(request->header[HTTP_ACCEPT_ENCODING], "*gG"));
    if (http_request_bearer(request->header[HTTP_AUTHORIZATION], "secret"))
        FUZZ_CHECK(strstr(request->header[HTTP_AUTHORIZATION], "secret"));
}

static void check_body(struct http_request *request, const uint8_t *body, size_t size)
{
    struct http_response response = {0};
    int64_t value = 3;
    request->body = malloc(size + !size);
    FUZZ_CHECK(request->body);
    memcpy(request->body, body, size);
    request->body_size = size;
    json_t *object = http_request_object(request, "n,seed,version,conditions,reason,kind", &response);
    if (!object) {
        check_problem(&response);
        return;
    }
    if (http_request_member_int(object, "n", 1, 1000, &value, &response))
        FUZZ_CHECK(value >= 1 && value <= 1000);
    else
        check_problem(&response);
    json_decref(object);
    http_response_fini(&response);
}

static void check_framing(struct http_check *check, const struct http_request *request)
{
    struct http_refusal refusal = {0};
    if (http_check_request(check, request->authority, &refusal)) {
        FUZZ_CHECK(check->host_count == 1 && check->length_count + check->encoding_count <= 1 && !check->bad_header);
        FUZZ_CHECK(check->content_length >= -1 && (check->length_count || check->content_length == -1));
        FUZZ_CHECK(strncasecmp(check->host, "localhost", 9) == 0 || strncmp(check->host, "127.0.0.1", 9) == 0 ||
                   strncmp(check->host, "[::1]", 5) == 0 || strncasecmp(check->host, "twin.example", 12) == 0 ||
                   strncasecmp(check->host, "other", 5) == 0);
    } else {
        FUZZ_CHECK(refusal.status >= 400 && refusal.error && refusal.detail &&
                   refusal.close == (refusal.status == 400));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *at = data, *end = data + size;
    char *line = next_line(&at, end), *kept[64], detail[200] = "", allow[64];
    if (!line)
        return 0;
    size_t blank = strcspn(line, " "), lines = 0;
    struct http_request request = {.uri = http_request_uri(line[blank] ? line + blank + 1 : "/")};
    struct http_check check = {
        .hosts = "twin.example, other", .port = 8470, .method = line, .target = request.uri, .version = "HTTP/1.1"};
    line[blank] = '\0';
    request.method = line;
    FUZZ_CHECK(request.uri);
    while (lines < 64 && (kept[lines] = next_line(&at, end)) && *kept[lines]) {
        char *name = kept[lines++], *colon = strchr(name, ':');
        if (colon)
            *colon = '\0';
        const char *value = colon ? colon + 1 + strspn(colon + 1, " \t") : NULL;
        http_check_header(&check, name, value);
        FUZZ_CHECK(http_request_header(&request, name, value ? value : ""));
    }
    if (lines < 64)
        free(kept[lines]);
    if (http_request_parse_uri(&request, detail) == 0) {
        if (request.segments >= 0)
            check_canonical(&request);
        const struct route *route = route_find(&request, allow);
        FUZZ_CHECK(!route || (request.route == route && route_match(route->pattern, &request)));
        check_query(&request, route ? route->query : NULL);
        check_headers(&request);
        check_framing(&check, &request);
        check_body(&request, at, (size_t)(end - at));
    } else {
        FUZZ_CHECK(detail[0] != '\0' && strlen(detail) < sizeof detail);
    }
    for (size_t i = 0; i < lines; i++)
        free(kept[i]);
    http_request_fini(&request);
    free(line);
    return 0;
}
