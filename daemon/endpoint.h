/* The addresses that ingest listens on. */
#ifndef DAEMON_ENDPOINT_H
#define DAEMON_ENDPOINT_H

#include "base/status.h"

enum { ENDPOINT_MAX = 256 };

/* A socket of `type` that is bound; `bound` gets the endpoint with the real port. TW_BUSY: in use. On failure *out may
 * be a socket that is to be closed all the same. */
int endpoint_bind(void *zmq, int type, const char *endpoint, void **out, char bound[ENDPOINT_MAX],
                  struct tw_error *error);

#endif
