#include "daemon/distance.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "daemon/number.h"

int distance_measure_extended(const struct tw_observables *observables, const struct tw_data *reference, int version,
                              const struct tw_data *rows, double level, struct distance *out)
{
    struct tw_data then;
    memset(out, 0, sizeof(*out));
    tw_data_init(&then, observables->extended);
    int status = tw_observables_extend(observables, reference, &then);
    if (status == TW_OK)
        status = tw_distance(&then, rows, level, &out->measured);
    if (status == TW_OK) {
        out->reference = version;
        if (out->measured.column >= 0)
            snprintf(out->column, sizeof(out->column), "%s", observables->extended->columns[out->measured.column].name);
    }
    tw_data_fini(&then);
    return status;
}

int distance_measure(const struct tw_observables *observables, const struct tw_data *reference, int version,
                     const struct tw_data *rows, double level, struct distance *out)
{
    struct tw_data now;
    memset(out, 0, sizeof(*out));
    tw_data_init(&now, observables->extended);
    int status = tw_observables_extend(observables, rows, &now);
    if (status == TW_OK)
        status = distance_measure_extended(observables, reference, version, &now, level, out);
    tw_data_fini(&now);
    return status;
}

json_t *distance_json(const struct distance *distance)
{
    const struct tw_distance *d = &distance->measured;
    if (!distance->reference)
        return json_null();
    return json_pack("{s:i, s:f, s:o, s:o, s:s?, s:o, s:o, s:f, s:f}", "reference", distance->reference, "bound",
                     d->bound, "value", number_json(d->value), "error", number_json(d->error), "feature",
                     d->column >= 0 ? distance->column : NULL, "low", number_json(d->low), "high", number_json(d->high),
                     "found", d->found, "expected", d->expected);
}

bool distance_exceeds(const struct distance *distance, double limit, char *why, size_t size)
{
    const struct tw_distance *d = &distance->measured;
    char region[80] = "absent";
    if (limit <= 0 || (distance->reference && d->bound <= limit))
        return false;
    if (!isnan(d->low))
        snprintf(region, sizeof(region), "from %.4g to %.4g", d->low, d->high);
    if (!distance->reference)
        snprintf(why, size, "the distance from the reference is not known, and loop.max_distance is %g", limit);
    else
        snprintf(why, size,
                 "at least %.2f from version %d, more than loop.max_distance %g: %.0f events with %s %s, %.0f expected",
                 d->bound, distance->reference, limit, d->found, distance->column, region, d->expected);
    return true;
}
