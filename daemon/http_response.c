/* Answers: JSON, problems (RFC 9457), bytes, streams. */
#include "daemon/http_response.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/http_events.h"
#include "daemon/shortage.h"

static void drop_body(struct http_response *response)
{
    if (!response->borrowed)
        free(response->body);
    if (response->source.next != NULL && response->source.release != NULL)
        response->source.release(response->source.context);
    memset(&response->source, 0, sizeof response->source);
    http_events_free(response->events);
    response->events = NULL;
    response->body = NULL;
    response->size = 0;
    response->borrowed = false;
}

void http_response_fini(struct http_response *response)
{
    drop_body(response);
    for (int i = 0; i < response->headers; i++)
        free(response->header[i].value);
    *response = (struct http_response){.inference = response->inference};
}

void http_response_header(struct http_response *response, const char *name, const char *format, ...)
{
    char *value;
    va_list arguments;
    va_start(arguments, format);
    int size = vasprintf(&value, format, arguments);
    va_end(arguments);
    if (size < 0) {
        shortage_note();
        return;
    }
    if (response->headers == HTTP_RESPONSE_HEADERS_MAX || strpbrk(value, "\r\n") != NULL) {
        free(value);
        return;
    }
    response->header[response->headers].name = name;
    response->header[response->headers++].value = value;
}

void http_response_bytes(struct http_response *response, int status, const char *type, void *bytes, size_t size)
{
    drop_body(response);
    response->status = status;
    response->type = type;
    response->body = bytes;
    response->size = size;
}

void http_response_static(struct http_response *response, int status, const char *type, const void *bytes, size_t size)
{
    http_response_bytes(response, status, type, (void *)bytes, size);
    response->borrowed = true;
}

void http_response_stream(struct http_response *response, const char *type, const struct http_source *source)
{
    drop_body(response);
    response->status = 200;
    response->type = type;
    response->source = *source;
}

void http_response_events(struct http_response *response, struct http_events *events)
{
    drop_body(response);
    response->status = 200;
    response->type = "text/event-stream";
    response->events = events;
}

void http_response_json(struct http_response *response, int status, json_t *json)
{
    char *text = json != NULL ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (text == NULL)
        http_response_problem(response, 500, "internal", "the answer could not be written");
    else
        http_response_bytes(response, status, "application/json", text, strlen(text));
}

const char *http_response_title(int status)
{
    static const struct {
        int status;
        const char *title;
    } titles[] = {
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {409, "Conflict"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {421, "Misdirected Request"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof titles / sizeof titles[0]; i++)
        if (titles[i].status == status)
            return titles[i].title;
    return "Error";
}

void http_response_problem(struct http_response *response, int status, const char *error, const char *format, ...)
{
    char detail[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    json_t *text = json_string(detail);
    if (text == NULL) { /* not UTF-8, perhaps cut in the middle of a character */
        for (char *p = detail; *p != '\0'; p++)
            if ((unsigned char)*p >= 0x80)
                *p = '?';
        text = json_string(detail);
    }
    json_t *problem = response->inference
                          ? json_pack("{s:o}", "error", text)
                          : json_pack("{s:s, s:s, s:i, s:o, s:s}", "type", "about:blank", "title",
                                      http_response_title(status), "status", status, "detail", text, "error", error);
    const char *type = response->inference ? "application/json" : "application/problem+json";
    char *bytes = problem != NULL ? json_dumps(problem, JSON_COMPACT) : NULL;
    json_decref(problem);
    static const char none[] = "{\"type\":\"about:blank\",\"status\":503,\"error\":\"no_memory\"}";
    if (bytes != NULL)
        http_response_bytes(response, status, type, bytes, strlen(bytes));
    else
        http_response_static(response, 503, type, none, sizeof none - 1);
}
