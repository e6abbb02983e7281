/* Entity tags of answers in JSON, and requests that depend on them: who asks again for what it has gets 304. */
#ifndef DAEMON_HTTP_TAG_H
#define DAEMON_HTTP_TAG_H

#include "daemon/http_request.h"
#include "daemon/http_response.h"

/* To a GET whose answer is whole JSON, a weak tag made of its bytes, unless the handler gave one; then If-None-Match.
 */
void http_tag_answer(const struct http_request *request, struct http_response *response);

enum { HTTP_TAG_SIZE = 33 };
/* 32 hexadecimal digits that stand for the bytes. */
void http_tag_of(const void *bytes, size_t size, char out[HTTP_TAG_SIZE]);

#endif
