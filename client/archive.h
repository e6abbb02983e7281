/* A backup's archive (daemon/backup.h) as its bytes go by: every file is checked against the manifest that ends it, and
 * handed on to whoever wants to keep it.
 */
#ifndef CLIENT_ARCHIVE_H
#define CLIENT_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>
#include <sodium.h>

#include "proto/tar.h"

/* Where files go, one after the other. Names are twin.db or spool/<id>/<ordinal>.seg, each at most once. False with a
 * sentence in `problem` stops the reading. */
struct archive_sink {
    bool (*open)(void *context, const char *name, char problem[512]);
    bool (*write)(void *context, const void *bytes, size_t size, char problem[512]);
    bool (*close)(void *context, char problem[512]);
    void *context;
};

struct archive {
    struct twp_tar tar;
    const struct archive_sink *sink; /* NULL: the files go nowhere */
    char problem[512];
    uint64_t bytes; /* so far */

    json_t *files;    /* {name: {"size", "sha256"}} as found */
    json_t *manifest; /* once archive_finish has said that all is well */

    /* the file at hand */
    char name[TWP_TAR_NAME_MAX + 1];
    uint64_t size;
    crypto_hash_sha256_state sha256;
    char *text; /* of the manifest */
    size_t length;
};

void archive_init(struct archive *archive, const struct archive_sink *sink);
void archive_fini(struct archive *archive);
/* False for good once something is wrong; `problem` has the sentence. */
bool archive_push(struct archive *archive, const void *bytes, size_t size);
/* Is it whole, and exactly what its manifest says? */
bool archive_finish(struct archive *archive);

/* Reads a file ("-": standard input) through archive_push and archive_finish. */
bool archive_read(struct archive *archive, const char *path);
/* {"version", "schema", "created", "files", "bytes", "twins": [...]} for people. */
json_t *archive_summary(const struct archive *archive);

#endif
