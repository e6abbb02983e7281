/* A tag is made of the answer's own bytes, so that nothing has to know what an answer depends on: what is spared is the
 * transfer, and the work of whoever reads it. It is weak because gzip may be put around it. */
#include "daemon/http_tag.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

void http_tag_of(const void *bytes, size_t size, char out[HTTP_TAG_SIZE])
{
    unsigned char hash[HTTP_TAG_SIZE / 2];
    crypto_generichash(hash, sizeof hash, bytes, size, NULL, 0);
    sodium_bin2hex(out, HTTP_TAG_SIZE, hash, sizeof hash);
}

/* The tag between the quotes of a response's ETag, malloc'd; NULL: it has none. */
static char *own_tag(const struct http_response *response)
{
    for (int i = 0; i < response->headers; i++) {
        const char *open =
            strcmp(response->header[i].name, "ETag") == 0 ? strchr(response->header[i].value, '"') : NULL;
        if (open != NULL)
            return strndup(open + 1, strcspn(open + 1, "\""));
    }
    return NULL;
}

void http_tag_answer(const struct http_request *request, struct http_response *response)
{
    bool reads = strcmp(request->method, "GET") == 0 || strcmp(request->method, "HEAD") == 0;
    const char *known = request->header[HTTP_IF_NONE_MATCH];
    if (!reads || response->status != 200 || response->type == NULL || response->source.next != NULL ||
        strcmp(response->type, "application/json") != 0)
        return;
    char made[HTTP_TAG_SIZE];
    char *own = own_tag(response);
    if (own == NULL) {
        http_tag_of(response->body, response->size, made);
        http_response_header(response, "ETag", "W/\"%s\"", made);
    }
    http_response_header(response, "Cache-Control", "private, no-cache"); /* may be kept, and is asked for again */
    if (known != NULL && http_request_etag(known, own != NULL ? own : made, true)) {
        if (own == NULL)
            http_response_header(response, "Vary", "Accept-Encoding"); /* as of the answer that it stands for */
        http_response_static(response, 304, NULL, "", 0);
    }
    free(own);
}
