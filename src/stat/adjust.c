#include "stat/adjust.h"

#include <math.h>
#include <stdlib.h>

#include "base/size.h"
#include "base/status.h"

struct ranked {
    double p;
    int at;
};

static int by_p(const void *a, const void *b)
{
    double x = ((const struct ranked *)a)->p, y = ((const struct ranked *)b)->p;
    return (x > y) - (x < y);
}

int tw_adjust_holm(const double *p, int n, double *adjusted)
{
    struct ranked *ranked = tw_size_alloc((size_t)n, sizeof *ranked);
    if (!ranked)
        return TW_NO_MEMORY;
    for (int i = 0; i < n; i++)
        ranked[i] = (struct ranked){p[i], i};
    qsort(ranked, (size_t)n, sizeof *ranked, by_p);
    double most = 0;
    for (int i = 0; i < n; i++) {
        most = fmax(most, fmin(1, (n - i) * ranked[i].p));
        adjusted[ranked[i].at] = most;
    }
    free(ranked);
    return TW_OK;
}
