/* Parsing of what clients send: URIs, queries, Accept, entity tags, JSON bodies. Pure functions of their input. */
#include "daemon/http_request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sodium.h>

#include "daemon/http_response.h"

#define NAME(text)                                                                                                     \
    {                                                                                                                  \
        text, sizeof text - 1                                                                                          \
    }
static const struct {
    const char *name;
    size_t size;
} known_headers[HTTP_HEADERS_KNOWN] = {
    [HTTP_ACCEPT] = NAME("Accept"),
    [HTTP_ACCEPT_ENCODING] = NAME("Accept-Encoding"),
    [HTTP_AUTHORIZATION] = NAME("Authorization"),
    [HTTP_CONTENT_ENCODING] = NAME("Content-Encoding"),
    [HTTP_CONTENT_TYPE] = NAME("Content-Type"),
    [HTTP_IDEMPOTENCY_KEY] = NAME("Idempotency-Key"),
    [HTTP_IF_MATCH] = NAME("If-Match"),
    [HTTP_IF_NONE_MATCH] = NAME("If-None-Match"),
    [HTTP_INFERENCE_HEADER_LENGTH] = NAME("Inference-Header-Content-Length"),
    [HTTP_LAST_EVENT_ID] = NAME("Last-Event-ID"),
};

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Well-formed UTF-8 without control characters (RFC 3629: no overlong forms, no surrogates, at most U+10FFFF). */
static bool text_ok(const unsigned char *s, size_t size)
{
    for (size_t i = 0; i < size;) {
        unsigned char c = s[i++];
        if (c < 0x20 || c == 0x7f)
            return false;
        if (c < 0x80)
            continue;
        int more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
        if (c < 0xc2 || c > 0xf4 || size - i < (size_t)more)
            return false;
        unsigned char low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        unsigned char high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        if (s[i] < low || s[i] > high)
            return false;
        for (int k = 1; k < more; k++)
            if ((s[i + (size_t)k] & 0xc0) != 0x80)
                return false;
        i += (size_t)more;
    }
    return true;
}

bool http_request_decode(const char *in, size_t size, bool plus, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < size; i++) {
        char c = in[i];
        if (c == '%') {
            int high = i + 1 < size ? hex_digit(in[i + 1]) : -1;
            int low = i + 2 < size ? hex_digit(in[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus) {
            c = ' ';
        }
        out[n++] = c;
    }
    out[n] = '\0';
    return text_ok((const unsigned char *)out, n);
}

/* Decodes one piece into the request's memory at *at. */
static const char *take(char **at, const char *in, size_t size, bool plus)
{
    char *out = *at;
    if (!http_request_decode(in, size, plus, out))
        return NULL;
    *at += strlen(out) + 1;
    return out;
}

static int parse_query(struct http_request *request, const char *query, char **at, char detail[200])
{
    while (query[0] != '\0') {
        size_t size = strcspn(query, "&");
        size_t name = strcspn(query, "=&");
        if (size > 0) {
            if (request->queries == HTTP_QUERY_MAX) {
                snprintf(detail, 200, "more than %d query parameters", HTTP_QUERY_MAX);
                return -1;
            }
            struct http_pair *pair = &request->query[request->queries++];
            pair->name = take(at, query, name, true);
            pair->value = name < size ? take(at, query + name + 1, size - name - 1, true) : "";
            if (pair->name == NULL || pair->value == NULL) {
                snprintf(detail, 200, "the query holds a malformed escape or a byte that is not allowed");
                return -1;
            }
        }
        query += size + (query[size] == '&');
    }
    return 0;
}

/* Every piece is no longer than its source, with a zero in the place of its delimiter. */
char *http_request_uri(const char *target)
{
    size_t size = strlen(target) + 1;
    char *uri = malloc(2 * size + HTTP_QUERY_MAX + HTTP_SEGMENTS_MAX + 1);
    return uri != NULL ? memcpy(uri, target, size) : NULL;
}

int http_request_parse_uri(struct http_request *request, char detail[200])
{
    const char *uri = request->uri;
    char *at = request->uri + strlen(uri) + 1;
    if (uri[0] != '/' && strncasecmp(uri, "http://", 7) == 0) {
        uri += 7;
        size_t size = strcspn(uri, "/?");
        request->authority = take(&at, uri, size, false);
        uri += size;
        if (request->authority == NULL || uri[0] != '/') {
            snprintf(detail, 200, "malformed absolute URI");
            return -1;
        }
    }
    if (uri[0] != '/' || strchr(uri, '#') != NULL) {
        snprintf(detail, 200, "the request target must be an absolute path");
        return -1;
    }
    size_t path = strcspn(uri, "?");
    for (size_t i = 1; i <= path && path > 1;) {
        size_t size = strcspn(uri + i, "/?");
        const char *segment = take(&at, uri + i, size, false);
        if (segment == NULL) {
            snprintf(detail, 200, "the path holds a malformed escape or a byte that is not allowed");
            return -1;
        }
        if (request->segments >= 0 && request->segments < HTTP_SEGMENTS_MAX) {
            request->segment[request->segments++] = segment;
        } else {
            request->segments = -1;
        }
        i += size + 1;
    }
    return uri[path] == '?' ? parse_query(request, uri + path + 1, &at, detail) : 0;
}

void http_request_fini(struct http_request *request)
{
    free(request->uri);
    free(request->body);
    for (int i = 0; i < HTTP_HEADERS_KNOWN; i++)
        free(request->joined[i]);
    memset(request, 0, sizeof *request);
}

bool http_request_header(struct http_request *request, const char *name, const char *value)
{
    size_t size = strlen(name);
    int i = 0;
    while (i < HTTP_HEADERS_KNOWN &&
           (size != known_headers[i].size || strncasecmp(name, known_headers[i].name, size) != 0))
        i++;
    if (i == HTTP_HEADERS_KNOWN)
        return true;
    if (request->header[i] == NULL) {
        request->header[i] = value;
        return true;
    }
    char *joined;
    if (asprintf(&joined, "%s, %s", request->header[i], value) < 0)
        return false;
    free(request->joined[i]);
    request->header[i] = request->joined[i] = joined;
    return true;
}

const char *http_request_query(const struct http_request *request, const char *name)
{
    for (int i = 0; i < request->queries; i++)
        if (strcmp(request->query[i].name, name) == 0)
            return request->query[i].value;
    return NULL;
}

bool http_request_listed(const char *name, const char *list)
{
    size_t length = strlen(name);
    for (const char *word = list; word != NULL && *word != '\0';) {
        size_t size = strcspn(word, ",");
        if (size == length && strncmp(word, name, size) == 0)
            return true;
        word += size + (word[size] == ',');
    }
    return false;
}

const char *http_request_query_unknown(const struct http_request *request, const char *allowed)
{
    for (int i = 0; i < request->queries; i++) {
        const char *name = request->query[i].name;
        if (!http_request_listed(name, allowed))
            return name;
        for (int j = 0; j < i; j++)
            if (strcmp(request->query[j].name, name) == 0)
                return name;
    }
    return NULL;
}

bool http_request_int(const char *text, int64_t low, int64_t high, int64_t *value)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    size_t count = strspn(digits, "0123456789");
    if (count == 0 || count > 19 || digits[count] != '\0')
        return false;
    errno = 0;
    long long number = strtoll(text, NULL, 10);
    if (errno != 0 || number < low || number > high)
        return false;
    *value = number;
    return true;
}

bool http_request_query_int(const struct http_request *request, const char *name, int64_t low, int64_t high,
                            int64_t *value, struct http_response *response)
{
    const char *text = http_request_query(request, name);
    if (text == NULL || http_request_int(text, low, high, value))
        return true;
    http_response_problem(response, 400, "bad_query", "%s must be an integer from %lld to %lld", name, (long long)low,
                          (long long)high);
    return false;
}

/* --- content negotiation --- */

static const char *skip_space(const char *s)
{
    return s + strspn(s, " \t");
}

/* Quality of one media range, in thousandths: its parameter q. */
static int range_quality(const char *range, const char *end)
{
    for (const char *p = memchr(range, ';', (size_t)(end - range)); p != NULL;) {
        p = skip_space(p + 1);
        if (end - p > 2 && (p[0] == 'q' || p[0] == 'Q') && p[1] == '=') {
            double q = strtod(p + 2, NULL);
            return q >= 0 && q <= 1 ? (int)(q * 1000 + 0.5) : 0;
        }
        p = p < end ? memchr(p, ';', (size_t)(end - p)) : NULL;
    }
    return 1000;
}

/* How closely a media range names the offer: 3 the type, 2 type slash star, 1 star slash star, 0 not at all. */
static int range_fits(const char *range, size_t size, const char *offer)
{
    const char *slash = strchr(offer, '/');
    size_t type = (size_t)(slash - offer) + 1;
    if (size == strlen(offer) && strncasecmp(range, offer, size) == 0)
        return 3;
    if (size == type + 1 && range[type] == '*' && strncasecmp(range, offer, type) == 0)
        return 2;
    return size == 3 && memcmp(range, "*/*", 3) == 0 ? 1 : 0;
}

static int offer_quality(const char *accept, const char *offer)
{
    int best_fit = 0, quality = 0;
    for (const char *range = skip_space(accept); *range != '\0';) {
        const char *end = range + strcspn(range, ",");
        int fit = range_fits(range, strcspn(range, ",; \t"), offer);
        if (fit > best_fit) {
            best_fit = fit;
            quality = range_quality(range, end);
        }
        range = *end == ',' ? skip_space(end + 1) : end;
    }
    return quality;
}

int http_request_negotiate(const char *accept, const char *const *offers, int count)
{
    if (accept == NULL || *skip_space(accept) == '\0')
        return 0;
    int best = -1, best_quality = 0;
    for (int i = 0; i < count; i++) {
        int quality = offer_quality(accept, offers[i]);
        if (quality > best_quality) {
            best = i;
            best_quality = quality;
        }
    }
    return best;
}

/* --- JSON bodies --- */

bool http_request_members(const json_t *object, const char *allowed, struct http_response *response)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value)
    {
        if (!http_request_listed(key, allowed)) {
            http_response_problem(response, 400, "unknown_member", "unknown member \"%s\"; known are %s", key, allowed);
            return false;
        }
    }
    return true;
}

static bool media_is_json(const char *media)
{
    if (media == NULL)
        return true;
    size_t size = strcspn(media, "; \t");
    return (size == 16 && strncasecmp(media, "application/json", size) == 0) ||
           (size == 28 && strncasecmp(media, "application/merge-patch+json", size) == 0);
}

json_t *http_request_object(const struct http_request *request, const char *allowed, struct http_response *response)
{
    if (!media_is_json(request->header[HTTP_CONTENT_TYPE])) {
        http_response_problem(response, 415, "unsupported_media_type", "send Content-Type: application/json");
        return NULL;
    }
    if (request->body_size == 0) {
        http_response_problem(response, 400, "bad_json", "the body is empty: send a JSON object");
        return NULL;
    }
    json_error_t error;
    json_t *json = json_loadb((const char *)request->body, request->body_size, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL) {
        http_response_problem(response, 400, "bad_json", "line %d, column %d: %s", error.line, error.column,
                              error.text);
        return NULL;
    }
    if (!json_is_object(json)) {
        http_response_problem(response, 400, "bad_json", "the body must be a JSON object");
    } else if (allowed == NULL || http_request_members(json, allowed, response)) {
        return json;
    }
    json_decref(json);
    return NULL;
}

bool http_request_member_int(const json_t *object, const char *name, int64_t low, int64_t high, int64_t *value,
                             struct http_response *response)
{
    const json_t *member = json_object_get(object, name);
    if (member == NULL || json_is_null(member))
        return true;
    if (json_is_integer(member) && json_integer_value(member) >= low && json_integer_value(member) <= high) {
        *value = json_integer_value(member);
        return true;
    }
    http_response_problem(response, 400, "bad_request", "%s must be an integer from %lld to %lld", name, (long long)low,
                          (long long)high);
    return false;
}

/* --- preconditions and the token --- */

bool http_request_etag(const char *header, const char *tag, bool weak)
{
    size_t length = strlen(tag);
    for (const char *p = skip_space(header); *p != '\0';) {
        bool is_weak = p[0] == 'W' && p[1] == '/';
        const char *open = is_weak ? p + 2 : p;
        if (*p == '*' && *skip_space(p + 1) == '\0')
            return true;
        if (*open != '"')
            return false;
        size_t size = strcspn(open + 1, "\"");
        if (open[1 + size] != '"')
            return false;
        if (size == length && strncmp(open + 1, tag, size) == 0 && (weak || !is_weak))
            return true;
        p = skip_space(open + size + 2);
        if (*p == ',')
            p = skip_space(p + 1);
    }
    return false;
}

bool http_request_bearer(const char *authorization, const char *token)
{
    if (authorization == NULL || token == NULL || token[0] == '\0' || strncasecmp(authorization, "Bearer ", 7) != 0)
        return false;
    const char *given = skip_space(authorization + 7);
    size_t length = strlen(token);
    return strlen(given) == length && sodium_memcmp(given, token, length) == 0;
}
