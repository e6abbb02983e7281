/* Optimal string alignment: Damerau's edits, no substring edited twice. */
#include "hep/nearest.h"

#include <limits.h>
#include <string.h>

static int least(int a, int b)
{
    return a < b ? a : b;
}

int tw_nearest_distance(const char *a, size_t length, const char *b)
{
    size_t n = length, m = strlen(b);
    int rows[3][TW_NEAREST_MAX + 1], *before = rows[0], *last = rows[1], *row = rows[2];

    if (n > TW_NEAREST_MAX || m > TW_NEAREST_MAX)
        return INT_MAX;
    for (size_t j = 0; j <= m; j++)
        last[j] = before[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            row[j] = least(least(last[j], row[j - 1]) + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        int *spare = before;
        before = last;
        last = row;
        row = spare;
    }
    return last[m];
}

int tw_nearest_limit(size_t length)
{
    return length < 3 ? 0 : length < 6 ? 1 : 2;
}
