/* Answers in gzip, for who asks (Accept-Encoding) and where it pays: text. A list shrinks to a seventh at 200 to 300
 * MB/s, rows as CSV or JSON to a half at 100 MB/s; .npy and artifacts by 7 % at 40 MB/s, so they stay as they are. */
#ifndef DAEMON_HTTP_GZIP_H
#define DAEMON_HTTP_GZIP_H

#include <stdbool.h>

#include "daemon/http_response.h"

/* Does this Accept-Encoding (NULL: none was sent) take gzip (RFC 9110, 12.5.3)? */
bool http_gzip_accepted(const char *accept);

/* Turns the answer, whole or in chunks, into gzip if it is text, large enough and shrinks. It stays as it is where
 * memory is out. Text that could be either way says so: Vary. */
void http_gzip_answer(const char *accept, struct http_response *response);

#endif
