#include "flow/masks.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "base/size.h"
#include "base/status.h"

#define CANDIDATES 256 /* for up to 64 features; the effort grows with the square of their number */
#define FEW        16
#define KEY        UINT64_C(0x6d61736b73) /* "masks" */

/* Sum over pairs left together of 8^(how often they were together before): two features that no block has separated
 * yet count for more than any number of others. */
static double cost(int features, const unsigned char *half, const int *together)
{
    double sum = 0;

    for (int i = 0; i < features; i++)
        for (int j = 0; j < i; j++)
            if (half[i] == half[j])
                sum += ldexp(1, 3 * together[i * features + j]);
    return sum;
}

/* Candidate 0 splits in the middle, 1 alternates, the others are drawn. */
static void candidate(int features, int pair, int which, uint32_t *order, unsigned char *half)
{
    if (which > 1)
        tw_rng_permutation(tw_rng_mix(KEY, (uint64_t)(pair * CANDIDATES + which)), (size_t)features, order);
    for (int i = 0; i < features; i++) {
        int place = which > 1 ? (int)order[i] : which == 1 ? (i % 2 ? features - 1 - i / 2 : i / 2) : i;

        half[i] = place >= features / 2;
    }
}

int tw_masks_default(int blocks, int features, unsigned char *masks)
{
    size_t n = (size_t)features, squares;

    if (features == 1) {
        memset(masks, 1, (size_t)blocks);
        return TW_OK;
    }
    if (!tw_size_mul(n, n, &squares))
        return TW_NO_MEMORY;

    int *together = calloc(squares, sizeof *together);
    uint32_t *order = malloc(n * sizeof *order);
    unsigned char *half = malloc(n);
    int status = TW_NO_MEMORY;

    if (!together || !order || !half)
        goto out;
    for (int b = 0; b < blocks; b += 2) {
        unsigned char *best = masks + (size_t)b * n;
        double lowest = -1;

        for (int which = 0; which < (features > 64 ? FEW : CANDIDATES); which++) {
            candidate(features, b / 2, which, order, half);

            double value = cost(features, half, together);

            if (lowest < 0 || value < lowest) {
                lowest = value;
                memcpy(best, half, n);
            }
        }
        for (int i = 0; i < features; i++)
            for (int j = 0; j < i; j++)
                together[i * features + j] += best[i] == best[j];
        for (int i = 0; i < features && b + 1 < blocks; i++)
            best[n + (size_t)i] = !best[i];
    }
    status = TW_OK;

out:
    free(together);
    free(order);
    free(half);
    return status;
}
