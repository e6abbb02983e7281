/* Versions as people name them: by number, or by the alias that points to them. */
#ifndef CLIENT_VERSION_H
#define CLIENT_VERSION_H

#include <stdint.h>

struct cli;

/* "7", "v7", or "champion", "challenger", "reference", which the daemon is asked for. CLI_OK with *version, or a status
 * after a sentence. `text` NULL leaves *version as it is. */
int version_read(struct cli *cli, const char *twin, const char *text, int64_t *version);

#endif
