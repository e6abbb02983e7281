/* A toy experiment with a density that is known: two to four features, one of them an angle, one with hard edges. */
#ifndef TESTS_STAT_TOY_H
#define TESTS_STAT_TOY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>

#include "base/rng.h"
#include "model/data.h"

#define TOY_FEATURES 4

/* Physics of the toy: x and y are normal around `shift` with correlation rho; the angle phi follows von Mises'
 * cousin, the wrapped normal around 0.5 x with width 1; u in [0, 1] has the density 1 + slope (2 u - 1). */
struct toy {
    double shift, rho, slope;
};

static inline struct tw_schema *toy_schema(void)
{
    json_t *json = json_loads("[{\"name\": \"x\"}, {\"name\": \"y\"},"
                              " {\"name\": \"phi\", \"kind\": \"periodic\", \"min\": -3.141592653589793,"
                              "  \"max\": 3.141592653589793},"
                              " {\"name\": \"u\", \"min\": 0, \"max\": 1}]",
                              0, NULL);
    struct tw_schema *schema = NULL;
    struct tw_error error;
    assert_non_null(json);
    if (tw_schema_parse(json, NULL, &schema, &error))
        fail_msg("%s", error.text);
    json_decref(json);
    return schema;
}

static inline double toy_wrap(double angle)
{
    return angle - 2 * M_PI * floor((angle + M_PI) / (2 * M_PI));
}

/* Events first .. first+n-1 of the sequence that `key` names, as the batch with this ordinal. */
static inline void toy_append(struct tw_data *data, const struct toy *toy, uint64_t key, uint64_t ordinal, size_t n)
{
    tw_real *draws = test_malloc(4 * n * sizeof *draws);
    float *values = test_malloc(TOY_FEATURES * n * sizeof *values);
    for (uint64_t d = 0; d < 3; d++)
        tw_rng_normal(tw_rng_mix(key, ordinal), d, 0, n, draws + d * n);
    tw_rng_uniforms(tw_rng_mix(key, ordinal), 3, 0, n, draws + 3 * n);
    for (size_t i = 0; i < n; i++) {
        double a = (double)draws[i], b = (double)draws[n + i], c = (double)draws[2 * n + i],
               q = (double)draws[3 * n + i];
        float *row = values + TOY_FEATURES * i;
        row[0] = (float)(toy->shift + a);
        row[1] = (float)(toy->shift + toy->rho * a + sqrt(1 - toy->rho * toy->rho) * b);
        row[2] = (float)toy_wrap(0.5 * row[0] + c);
        /* the inverse of u (1 - slope) + slope u^2 */
        double s = toy->slope;
        row[3] = (float)(fabs(s) < 1e-9 ? q : (s - 1 + sqrt((1 - s) * (1 - s) + 4 * s * q)) / (2 * s));
    }
    assert_int_equal(tw_data_append(data, ordinal, 0, n, values, NULL, NULL), TW_OK);
    test_free(values);
    test_free(draws);
}

/* ln of the density of a row. */
static inline double toy_log_prob(const struct toy *toy, const float *row)
{
    double x = row[0] - toy->shift, y = row[1] - toy->shift, s2 = 1 - toy->rho * toy->rho, circle = 0;
    double log_xy = -x * x / 2 - (y - toy->rho * x) * (y - toy->rho * x) / (2 * s2) - log(2 * M_PI) - log(s2) / 2;
    for (int k = -8; k <= 8; k++) {
        double d = row[2] - 0.5 * row[0] + 2 * M_PI * k;
        circle += exp(-d * d / 2) / sqrt(2 * M_PI);
    }
    return log_xy + log(circle) + log(1 + toy->slope * (2 * row[3] - 1));
}

#endif
