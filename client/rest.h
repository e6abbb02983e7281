/* HTTP to twind through libcurl: one request, one answer, errors as a sentence and an exit code.
 *
 * No proxies, no redirects, limits on time and memory. The token goes along with requests that change something, and
 * with no others.
 */
#ifndef CLIENT_REST_H
#define CLIENT_REST_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "client/status.h"

struct rest;

struct rest_request {
    const char *method; /* NULL: GET */
    const char *path;   /* "/v1/twins?limit=10", already escaped */
    const void *body;
    size_t size;
    const char *content_type;
    const char *accept;   /* NULL: application/json */
    const char *if_match; /* NULL: none */
    bool if_none;         /* If-None-Match: * */
    const char *idempotency_key;
    bool change; /* sends the token */
    /* Where the body of a success goes, piece by piece; NULL: into the answer. Returns false to stop. */
    bool (*sink)(void *context, const void *data, size_t size);
    void *context;
};

struct rest_answer {
    long status;
    char *body; /* always ends in 0 */
    size_t size;
    char *etag, *location, *version, *seed, *columns; /* NULL where absent; Twin-Version, -Seed, -Columns */
};

/* `token_file` may be NULL: then the token is looked for where the daemon leaves it by default. `timeout`: seconds
 * without a single byte before giving up. NULL with a sentence if that is impossible. */
struct rest *rest_new(const char *url, const char *token_file, double timeout, char problem[512]);
void rest_free(struct rest *rest);
/* Another time to wait for a byte. */
void rest_patience(struct rest *rest, double seconds);
const char *rest_url(const struct rest *rest);
/* What went wrong in the last call, as a sentence; and the daemon's word for it, "" if it said none. */
const char *rest_problem(const struct rest *rest);
const char *rest_error(const struct rest *rest);

/* Returns a cli_status. The answer is the caller's to finish, whatever was returned; its status is 0 where none came.
 */
int rest_send(struct rest *rest, const struct rest_request *request, struct rest_answer *answer);
void rest_answer_fini(struct rest_answer *answer);

/* GET of a JSON value; *out is the caller's. */
int rest_get(struct rest *rest, const char *path, json_t **out);
/* GET of up to `limit` items of a list, following its cursor; `path` without limit and cursor. */
int rest_list(struct rest *rest, const char *path, size_t limit, json_t **out);

/* `text` as a value in a query; malloc'd. */
char *rest_escape(const char *text);

#endif
