/* What stands behind a twin's verdict, in sentences. */
#ifndef CLIENT_VERDICT_H
#define CLIENT_VERDICT_H

#include <jansson.h>

/* Why the verdict of a twin, as GET /v1/twins/{twin} has it, is unknown, with the next step where there is one.
 * Malloc'd; NULL: it is known. */
char *verdict_why(const json_t *twin);
/* The daemon's words for an entry of `all_invalid`: a feed whose last batches hold no valid row. NULL: there is none.
 */
char *verdict_invalid(const json_t *entry);

#endif
