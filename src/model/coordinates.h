/* Coordinates that a flow works in instead of a feature: a mass in place of one of the momenta that it is made of.
 *
 * Coordinate k replaces feature r(k). It is a function of r(k) and of other features, of those replaced only by
 * coordinates before it. So the Jacobian is triangular, and an event is recovered coordinate by coordinate.
 * Events outside the domain of a coordinate have density zero: those that kinematics or `min` forbid.
 */
#ifndef TW_MODEL_COORDINATES_H
#define TW_MODEL_COORDINATES_H

#include "base/status.h"
#include "model/data.h"
#include "model/schema.h"
#include "nn/params.h"

struct json_t;
struct tw_coordinates;

#define TW_COORDINATES_MAX           64
#define TW_COORDINATES_PARTICLES_MAX 8

/* The array "coordinates" of a model; absent or empty: *out = NULL, which all others accept as no coordinates.
 * TW_INVALID with a sentence that names the member. */
int tw_coordinates_parse(const struct json_t *json, const struct tw_schema *schema, struct tw_coordinates **out,
                         struct tw_error *error);
void tw_coordinates_free(struct tw_coordinates *coordinates);
/* The same JSON with defaults written out; a new reference. */
struct json_t *tw_coordinates_json(const struct tw_coordinates *coordinates);

int tw_coordinates_count(const struct tw_coordinates *coordinates);
/* r(k). */
int tw_coordinates_feature(const struct tw_coordinates *coordinates, int k);
/* The coordinate that replaces feature f; -1 if none does. */
int tw_coordinates_find(const struct tw_coordinates *coordinates, int f);

/* Mean and width of each coordinate over the rows in its domain, in place of those of the feature that it replaces. */
int tw_coordinates_prepare(const struct tw_coordinates *coordinates, const struct tw_data *data,
                           struct tw_params *statistics);

/* Coordinate k of an event in the feed's units; *log_jacobian += log |dy / d row[r(k)]|. Outside the domain y is NaN
 * and *log_jacobian -inf. */
double tw_coordinates_forward(const struct tw_coordinates *coordinates, int k, const struct tw_params *statistics,
                              const float *row, double *log_jacobian);
/* The value of feature r(k) where coordinate k is y, given the other features of the row. In the feature's domain, and
 * in that of the coordinate as far as float32 can tell. */
float tw_coordinates_inverse(const struct tw_coordinates *coordinates, int k, const struct tw_params *statistics,
                             const float *row, double y);

#endif
