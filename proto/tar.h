/* Archives of plain files in the ustar format (POSIX.1-1988), so that any tar can list and unpack a backup.
 *
 * Only what a backup needs is written, and nothing else is read: plain files with short relative names. A size beyond
 * 8 GiB is in base 256, as GNU tar and bsdtar write it.
 */
#ifndef PROTO_TAR_H
#define PROTO_TAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TWP_TAR_BLOCK = 512, TWP_TAR_NAME_MAX = 100 };
#define TWP_TAR_END (2 * TWP_TAR_BLOCK) /* bytes of zeros behind the last file */

/* Can `name` be in an archive? Parts of letters, digits and ._- with single slashes between them; none begins with a
 * dot, so that no name leaves the folder it is unpacked into. */
bool twp_tar_name_ok(const char *name);
/* The block before a file's bytes. False if the name is not ok. */
bool twp_tar_header(unsigned char block[TWP_TAR_BLOCK], const char *name, uint64_t size, int64_t seconds);
/* Zeros that follow a file's bytes. */
size_t twp_tar_padding(uint64_t size);

/* What is found, in order: one entry, its data in pieces of any size, one end. True to go on. */
struct twp_tar_visitor {
    bool (*entry)(void *context, const char *name, uint64_t size);
    bool (*data)(void *context, const void *bytes, size_t size);
    bool (*end)(void *context);
    void *context;
};

/* A reader that is pushed: zero it, set the visitor. */
struct twp_tar {
    struct twp_tar_visitor visitor;
    unsigned char block[TWP_TAR_BLOCK];
    size_t have;         /* bytes of the block at hand */
    uint64_t left;       /* bytes of the file at hand that are still to come */
    size_t padding;      /* zeros that are still to come behind it */
    int zeros;           /* blocks of zeros so far */
    const char *problem; /* NULL: none */
};

/* False for good once something is wrong (problem says what) or a visitor said stop ("stopped"). */
bool twp_tar_push(struct twp_tar *tar, const void *bytes, size_t size);
/* Is the archive whole? Else problem says what. */
bool twp_tar_finish(struct twp_tar *tar);

#endif
