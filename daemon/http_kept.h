/* Answers that are the same every time, such as that of /livez, are made once: the library counts references to a
 * response and sends it as often as it is queued, by several threads at once.
 *
 * Any thread, but for fini.
 */
#ifndef DAEMON_HTTP_KEPT_H
#define DAEMON_HTTP_KEPT_H

#include <stdbool.h>

#include <microhttpd.h>

#include "daemon/http_response.h"

enum { HTTP_KEPT_MOST = 16 };

struct http_kept {
    struct http_kept_answer *_Atomic answer[HTTP_KEPT_MOST]; /* from the front; none leaves before the end */
};

/* The response that was kept for an answer with this body and type; borrowed. NULL: there is none. */
struct MHD_Response *http_kept_find(const struct http_kept *kept, const struct http_response *answer);
/* Takes over the response that was made of an answer whose body is static and that has no headers of its own. False,
 * and it stays the caller's, where there is no room, no memory, or one for that answer already. */
bool http_kept_add(struct http_kept *kept, const struct http_response *answer, struct MHD_Response *response);
void http_kept_fini(struct http_kept *kept); /* accepts a zeroed one */

#endif
