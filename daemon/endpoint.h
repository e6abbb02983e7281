/* The addresses that ingest listens on. */
#ifndef DAEMON_ENDPOINT_H
#define DAEMON_ENDPOINT_H

#include <stdint.h>

#include "base/status.h"

enum { ENDPOINT_MAX = 256 };

/* A socket of `type` with the limits that it needs; no frame beyond `largest` bytes is taken. */
int endpoint_open(void *zmq, int type, int64_t largest, void **out, struct tw_error *error);
/* Binds it; `bound` gets the endpoint with the real port. TW_BUSY: in use. */
int endpoint_bind(void *socket, const char *endpoint, char bound[ENDPOINT_MAX], struct tw_error *error);

#endif
