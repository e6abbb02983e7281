/* Observables: quantities that a definition declares as expressions over features, conditions and the observables
 * before them. No model learns them; comparisons, histograms and pages see them as further columns behind the features.
 *
 *     "observables": [{"name": "m_mumu", "unit": "GeV", "expression": "mass(mu1_pt, ...)", "min": 60, "max": 120}]
 *
 * min and max are what a histogram shows, not a domain. Where the value is not finite the observable is absent, NaN:
 * the row stays. What is made of optional features is itself optional: tests look at the rows that have it, and at
 * their share. In other observables the tests of a column put absent values below all, so that a change of their number
 * counts, and the classifier ranks such rows lowest.
 */
#ifndef TW_MODEL_OBSERVABLES_H
#define TW_MODEL_OBSERVABLES_H

#include <stdbool.h>

#include "model/data.h"
#include "model/schema.h"

#define TW_OBSERVABLES_MAX 64

struct tw_observable {
    char name[TW_NAME_MAX];
    char unit[TW_UNIT_MAX];
    char *text;                       /* the expression as it was written */
    struct tw_expression *expression; /* over features, conditions, and the observables before it, in this order */
    bool has_min, has_max;
    double min, max;
};

/* Immutable and counted. */
struct tw_observables {
    int count;
    struct tw_observable *items;
    struct tw_schema *extended; /* the features, then the observables as real columns, then the conditions */
    int references;             /* atomic */
};

/* `json`: an array, or NULL for none. Names are shared with the features and conditions of the schema. TW_INVALID with
 * a sentence that names the observable, and where its expression is wrong; TW_NO_MEMORY. Release with _unref. */
int tw_observables_parse(const struct json_t *json, const struct tw_schema *schema, struct tw_observables **out,
                         struct tw_error *error);
struct tw_observables *tw_observables_ref(struct tw_observables *observables);
void tw_observables_unref(struct tw_observables *observables); /* accepts NULL */

/* The same JSON; a new reference, NULL when memory is out. */
struct json_t *tw_observables_json(const struct tw_observables *observables);

/* Appends the rows of `from`, in the schema, to `to`, in the extended one, with the observables computed. `to` may be
 * empty or hold such rows. TW_NO_MEMORY or 0. */
int tw_observables_extend(const struct tw_observables *observables, const struct tw_data *from, struct tw_data *to);

/* The same for bare rows: values (n, D) and conditions (n, C; NULL: the defaults) to out (n, D + count). TW_NO_MEMORY
 * or 0. */
int tw_observables_rows(const struct tw_observables *observables, size_t n, const float *values,
                        const float *conditions, float *out);

#endif
