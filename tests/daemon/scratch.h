/* A scratch folder for a test, removed with all that is in it.
 */
#ifndef TESTS_DAEMON_SCRATCH_H
#define TESTS_DAEMON_SCRATCH_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline int scratch_unlink(const char *path, const struct stat *at, int flag, struct FTW *walk)
{
    (void)at, (void)flag, (void)walk;
    return remove(path);
}

static inline void scratch_remove(const char *path)
{
    nftw(path, scratch_unlink, 16, FTW_DEPTH | FTW_PHYS);
}

/* out holds 64 bytes. */
static inline char *scratch_make(char *out)
{
    const char *base = getenv("TMPDIR");
    snprintf(out, 64, "%.40s/twin-test-XXXXXX", base && *base ? base : "/tmp");
    return mkdtemp(out);
}

#endif
