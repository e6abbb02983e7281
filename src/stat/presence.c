#include "stat/presence.h"

#include <math.h>

#include "stat/rate.h"

static bool is_there(const struct tw_data *data, size_t row, int feature)
{
    return !isnan(data->features[row * (size_t)data->schema->features + (size_t)feature]);
}

static size_t count_there(const struct tw_data *data, int feature)
{
    size_t count = 0;
    for (size_t i = 0; i < data->rows; i++)
        count += is_there(data, i, feature);
    return count;
}

/* Do the same rows have both features? */
static bool together(const struct tw_data *data, int a, int b)
{
    size_t i = 0;
    while (i < data->rows && is_there(data, i, a) == is_there(data, i, b))
        i++;
    return i == data->rows;
}

static void compare(const struct tw_data *reference, const struct tw_data *window, struct tw_statistic *s)
{
    size_t n = window->rows, m = reference->rows, now = count_there(window, s->feature);
    size_t before = count_there(reference, s->feature);
    s->value = n ? (double)now / (double)n : NAN;
    s->error = n ? sqrt(s->value * (1 - s->value) / (double)n) : NAN;
    s->floor = m ? (double)before / (double)m : NAN;
    s->p_value = tw_rate_fisher(now, n, before, m);
}

void tw_presence(const struct tw_data *reference, const struct tw_data *window, struct tw_statistic *statistics,
                 int count)
{
    int tests = 0;
    for (int i = 0; i < count; i++) {
        int j = 0, f = statistics[i].feature;
        while (j < i && !(together(reference, statistics[j].feature, f) && together(window, statistics[j].feature, f)))
            j++;
        tests += j == i; /* the first of those that it goes together with, or alone */
        compare(reference, window, &statistics[i]);
    }
    for (int i = 0; i < count; i++)
        statistics[i].threshold *= (double)count / tests;
}
