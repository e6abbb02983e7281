/* Which table this machine gets: the best one that agrees with `ref` on it. */
#include <stdio.h>
#include <string.h>

#include "kernel/kernel.h"
#include "kernel/ref.h"
#include "kernel/selftest.h"
#include "kernel/tables.h"

#define NOTE 160

const struct tw_kernels *tw_kernels_ref(void)
{
    return &tw_ref_kernels;
}

/* The best table that passes, of those of this name (NULL: of all that are precise); the note names the first that did
 * not. */
static const struct tw_kernels *choose(const char *name, char *note)
{
    const struct tw_kernels *candidate;
    for (int rank = 0; (candidate = tw_tables(rank)); rank++) {
        const char *failed;
        if (name ? strcmp(name, candidate->name) != 0 : candidate->coarse > 0)
            continue;
        failed = tw_selftest(candidate);
        if (!failed)
            return candidate;
        if (note && note[0] == '\0')
            snprintf(note, NOTE, "%s differs from ref in %s and is not used", candidate->detail, failed);
    }
    return NULL;
}

const struct tw_kernels *tw_kernels_choose(const char *forced, char *note)
{
    if (note)
        note[0] = '\0';
    tw_tables(0); /* one thread for OpenBLAS, whatever is chosen */
    if (forced && strcmp(forced, "ref") == 0)
        return &tw_ref_kernels;
    const struct tw_kernels *best = choose(forced, note);
    return best || forced ? best : &tw_ref_kernels;
}
