/* What to do next after the daemon has refused something: a line under its sentence. */
#ifndef CLIENT_HINT_H
#define CLIENT_HINT_H

struct cli;

/* After cli->rest has refused a request for `path`: by the `error` word of its problem+json. */
void hint_print(struct cli *cli, const char *path);
/* The daemon knows no twin of this name. */
void hint_twin(struct cli *cli, const char *name);
/* Rows did not fit the twin: which columns it has. */
void hint_columns(struct cli *cli, const char *name);

#endif
