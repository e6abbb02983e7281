/* Which table this machine gets: the best one that agrees with `ref` on it. */
#include <stdio.h>
#include <string.h>

#include "kernel/blas.h"
#include "kernel/kernel.h"
#include "kernel/ref.h"
#include "kernel/selftest.h"

#define NOTE 160

const struct tw_kernels *tw_kernels_ref(void)
{
    return &tw_ref_kernels;
}

/* The best table of OpenBLAS that passes, else NULL; the note names the first that did not. */
static const struct tw_kernels *choose_blas(char *note)
{
    const struct tw_kernels *candidate;
    for (int rank = 0; (candidate = tw_blas_kernels(rank)); rank++) {
        const char *failed = tw_selftest(candidate);
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
    const struct tw_kernels *blas = tw_blas_kernels(0); /* one thread, whatever is chosen */
    if (forced && strcmp(forced, "ref") == 0)
        return &tw_ref_kernels;
    if (forced && strcmp(forced, blas->name) != 0)
        return NULL;
    blas = choose_blas(note);
    return blas || forced ? blas : &tw_ref_kernels;
}
