/* The distance of data from the version that people named `reference`, as the loop uses it: measured on features and
 * observables, on record, and held against `loop.max_distance`.
 */
#ifndef DAEMON_DISTANCE_H
#define DAEMON_DISTANCE_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "model/observables.h"
#include "stat/distance.h"

struct distance {
    int reference; /* the version; 0: not measured */
    char column[TW_NAME_MAX];
    struct tw_distance measured;
};

/* `reference` holds the acceptance reference of `version`; `rows` are new data. The first takes them with their
 * observables, as a comparison has them already. */
int distance_measure_extended(const struct tw_observables *observables, const struct tw_data *reference, int version,
                              const struct tw_data *rows, double level, struct distance *out);
int distance_measure(const struct tw_observables *observables, const struct tw_data *reference, int version,
                     const struct tw_data *rows, double level, struct distance *out);

/* {"reference", "bound", "value", "error", "feature", "low", "high", "found", "expected"}; null where it was not
 * measured. */
json_t *distance_json(const struct distance *distance);

/* May the loop not promote on such data by itself? `limit` is loop.max_distance, 0: none. What could not be measured is
 * beyond any limit. `why`: a clause that says so, with the region. */
bool distance_exceeds(const struct distance *distance, double limit, char *why, size_t size);

#endif
