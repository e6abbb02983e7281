/* What kinds share about columns: the transform of each feature with its statistics, and conditions.
 *
 * Statistics of every kind hold "mean" and "width" (D), of the transformed feature over the training rows that have it
 * where it is standardised, and 0 and 1 elsewhere, and with conditions "condition_mean" and "condition_width" (C).
 */
#ifndef TW_MODEL_COLUMNS_H
#define TW_MODEL_COLUMNS_H

#include <jansson.h>

#include "flow/transform.h"
#include "model/data.h"
#include "model/schema.h"
#include "nn/mlp.h"
#include "nn/params.h"

/* Not of discrete features, which have no coordinate. */
enum tw_transform_kind tw_columns_kind(const struct tw_column *column);

int tw_columns_layout(const struct tw_schema *schema, struct tw_params *statistics);
int tw_columns_prepare(const struct tw_data *data, struct tw_params *statistics);
/* After it: the median and the interquartile range / 1.349, which is the width of a normal law, in place of mean and
 * width of the features. A peak on a broad background then has the scale of the peak. */
int tw_columns_quartiles(const struct tw_data *data, struct tw_params *statistics);
/* True if all are finite and widths are positive. */
bool tw_columns_ok(const struct tw_schema *schema, const struct tw_params *statistics);

/* The transform of feature f; `bound` is that of bounded features. */
struct tw_transform_column tw_columns_transform(const struct tw_schema *schema, const struct tw_params *statistics,
                                                int f, double bound);

/* Mean and width that belong to feature f, and those of n values (which are sorted) in their place. */
void tw_columns_moments(const struct tw_params *statistics, int f, double *mean, double *width);
void tw_columns_set_moments(struct tw_params *statistics, int f, double *values, size_t n);
/* Its width, times a factor. */
void tw_columns_widen(struct tw_params *statistics, int f, double factor);

/* Mean and width that belong to condition c. */
void tw_columns_condition_moments(const struct tw_params *statistics, int c, double *mean, double *width);
/* conditions (events, C) -> out (C, cols), standardised, padded with copies of the first event. */
void tw_columns_conditions(const struct tw_schema *schema, const struct tw_params *statistics, const float *conditions,
                           int events, int cols, tw_real *out);

/* First periodic feature with the same min and max as feature f; -1 if f is not periodic. */
int tw_columns_circle(const struct tw_schema *schema, int f);
/* The first of them that every event has: what angles may be taken relative to. -1 if there is none. */
int tw_columns_origin(const struct tw_schema *schema, int f);

/* --- members of a model's JSON; each refusal names the member --- */

/* Absent: *out stays. */
int tw_columns_read_int(const json_t *json, const char *member, int low, int high, int *out, struct tw_error *error);
int tw_columns_read_real(const json_t *json, const char *member, double low, double high, double *out,
                         struct tw_error *error);
int tw_columns_read_bool(const json_t *json, const char *member, bool *out, struct tw_error *error);
/* "hidden": widths of the hidden layers; "activation". */
int tw_columns_read_hidden(const json_t *json, int *count, int *hidden, struct tw_error *error);
int tw_columns_read_activation(const json_t *json, enum tw_activation *activation, struct tw_error *error);
/* Refuses members that are not in the list (ending with NULL). */
int tw_columns_known(const json_t *json, const char *const *known, struct tw_error *error);

#endif
