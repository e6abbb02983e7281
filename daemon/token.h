/* The admin token: whoever knows it may change things. */
#ifndef DAEMON_TOKEN_H
#define DAEMON_TOKEN_H

#include "base/status.h"

#define TOKEN_SIZE 65 /* 64 hexadecimal digits and the end */

/* Reads <state>/admin.token; the first start writes it with mode 0600. */
int token_load(const char *state, char token[TOKEN_SIZE], struct tw_error *error);

#endif
