/* Long work of the daemon, as those who started it see it. */
#ifndef CLIENT_OPERATION_H
#define CLIENT_OPERATION_H

#include <stdbool.h>

#include <jansson.h>

struct cli;

/* Waits for the end of an operation, with a progress bar, for --timeout seconds at most; a daemon that restarts in
 * between is waited for. *operation is replaced by its last state. CLI_FAILED if it failed or was cancelled, CLI_AGAIN
 * if it goes on. */
int operation_wait(struct cli *cli, json_t **operation);

/* Waits if asked to, then prints the operation. Takes the reference; NULL (--dry-run) is nothing to do. */
int operation_report(struct cli *cli, json_t *operation, bool wait);

/* Prints a list of operations. */
void operation_table(const struct cli *cli, const json_t *items);

#endif
