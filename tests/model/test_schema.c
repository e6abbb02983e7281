/* Definitions that are refused, each with the name of the member; domains; and the way back to JSON. */
#include <float.h>
#include <stdio.h>

#include "common.h"

static void refused(const char *features, const char *conditions, const char *word)
{
    json_t *f = json_loads(features, JSON_DECODE_ANY, NULL), *c = conditions ? json_loads(conditions, 0, NULL) : NULL;
    struct tw_schema *schema = NULL;
    struct tw_error error = {""};

    assert_non_null(f);
    if (tw_schema_parse(f, c, &schema, &error) != TW_INVALID)
        fail_msg("not refused: %s", features);
    assert_null(schema);
    if (!strstr(error.text, word))
        fail_msg("\"%s\" does not name \"%s\"", error.text, word);
    json_decref(f);
    json_decref(c);
}

/* 17 features of 64 values: more than a network is told of. */
static void refused_many(void)
{
    char text[17 * 80], *at = text;

    for (int k = 0; k < 17; k++)
        at += sprintf(at, "%c{\"name\": \"k%d\", \"kind\": \"discrete\", \"min\": 0, \"max\": 63}", k ? ',' : '[', k);
    strcpy(at, "]");
    refused(text, NULL, "more than 1024");
}

static void test_refusals(void **state)
{
    refused("[]", NULL, "features");
    refused("{}", NULL, "features");
    refused("3", NULL, "features");
    refused("[3]", NULL, "features[0]");
    refused("[{}]", NULL, "name");
    refused("[{\"name\": \"a b\"}]", NULL, "name");
    refused("[{\"name\": \"1a\"}]", NULL, "name");
    refused("[{\"name\": 3}]", NULL, "name");
    refused("[{\"name\": \"a\"}, {\"name\": \"b\", \"colour\": 1}]", NULL, "features[1]: unknown member \"colour\"");
    refused("[{\"name\": \"a\", \"unit\": 3}]", NULL, "unit");
    refused("[{\"name\": \"a\", \"optional\": 1}]", NULL, "optional");
    refused("[{\"name\": \"a\", \"kind\": \"discrete\"}]", NULL, "min and max");
    refused("[{\"name\": \"a\", \"kind\": \"discrete\", \"min\": 0, \"max\": 2.5}]", NULL, "integers");
    refused("[{\"name\": \"a\", \"kind\": \"discrete\", \"min\": 0, \"max\": 64}]", NULL, "64 values");
    refused("[{\"name\": \"a\", \"kind\": \"discrete\", \"min\": 0, \"max\": 2, \"transform\": \"log\"}]", NULL, "log");
    refused_many();
    refused("[{\"name\": \"b\"}]", "[{\"name\": \"a\", \"optional\": true}]", "optional");
    refused("[{\"name\": \"a\", \"kind\": \"angle\"}]", NULL, "kind");
    refused("[{\"name\": \"a\", \"kind\": \"periodic\"}]", NULL, "min and max");
    refused("[{\"name\": \"a\", \"kind\": \"periodic\", \"min\": 0, \"max\": 1, \"transform\": \"log\"}]", NULL, "log");
    refused("[{\"name\": \"a\", \"transform\": \"sqrt\"}]", NULL, "transform");
    refused("[{\"name\": \"a\", \"transform\": \"log\", \"min\": 0, \"max\": 3}]", NULL, "max");
    refused("[{\"name\": \"a\", \"min\": \"0\"}]", NULL, "min");
    refused("[{\"name\": \"a\", \"min\": 1e300}]", NULL, "min");
    refused("[{\"name\": \"a\", \"min\": 1, \"max\": 1}]", NULL, "min must be below max");
    refused("[{\"name\": \"a\", \"min\": 1, \"max\": 1.00000000001}]", NULL, "min must be below max");
    refused("[{\"name\": \"a\"}, {\"name\": \"a\"}]", NULL, "\"a\" is taken twice");
    refused("[{\"name\": \"a\"}]", "[{\"name\": \"a\"}]", "\"a\" is taken twice");
    refused("[{\"name\": \"a\"}]", "[{\"name\": \"c\", \"kind\": \"real\"}]", "conditions[0]: unknown member \"kind\"");
    refused("[{\"name\": \"a\"}]", "{}", "conditions");
    refused("[{\"name\": \"a\", \"value\": 1}]", NULL, "value");
}

static void test_domains(void **state)
{
    struct tw_schema *schema = schema_of(MIXED, CONDITIONS);
    const struct tw_column *c = schema->columns;
    float row[] = {21, 0, 9, 1, -50};

    assert_int_equal(schema->features, 5);
    assert_int_equal(schema->conditions, 1);
    assert_true(tw_schema_row_ok(schema, row));
    assert_false(tw_schema_value_ok(&c[0], 20));
    assert_true(tw_schema_value_ok(&c[0], 20.00001f));
    assert_true(tw_schema_value_ok(&c[1], -1e30f));
    assert_true(tw_schema_value_ok(&c[3], 0) && tw_schema_value_ok(&c[3], 1));
    assert_false(tw_schema_value_ok(&c[3], 1.000001f));
    for (int i = 0; i < 5; i++) {
        assert_false(tw_schema_value_ok(&c[i], NAN));
        assert_false(tw_schema_value_ok(&c[i], INFINITY));
        row[i] = NAN;
        assert_false(tw_schema_row_ok(schema, row));
        row[i] = i == 0 ? 21 : 0;
    }
    assert_int_equal(tw_schema_find(schema, "phi"), 2);
    assert_int_equal(tw_schema_find(schema, "alpha"), 5);
    assert_int_equal(tw_schema_find(schema, "beta"), -1);
    tw_schema_free(schema);
}

/* What lies within the limits is ok, and only what sits on an edge, is absent or is discrete may be ok without. */
static void test_limits(void **state)
{
    struct tw_schema *schema = schema_of(MIXED, CONDITIONS);
    const float edges[] = {-INFINITY, -FLT_MAX,  -50, -1,         -0.0f, 0,       1e-45f,   0.5f,
                           1,         19.99999f, 20,  20.000002f, 21,    FLT_MAX, INFINITY, NAN};
    float low[8], high[8];

    tw_schema_limits(schema, low, high);
    for (int f = 0; f < schema->features; f++) {
        const struct tw_column *c = &schema->columns[f];

        assert_true(c->kind == TW_DISCRETE || low[f] <= high[f]);
        for (size_t i = 0; i < sizeof edges / sizeof edges[0]; i++) {
            bool within = edges[i] >= low[f] && edges[i] <= high[f], ok = tw_schema_value_ok(c, edges[i]);

            if (within && !ok)
                fail_msg("column %s: %g is within the limits, and not ok", c->name, (double)edges[i]);
            if (ok && !within && isfinite(edges[i]) && c->kind != TW_DISCRETE &&
                !tw_schema_value_ok(c, nextafterf(edges[i], low[f])))
                continue; /* on the edge */
            if (ok && !within && isfinite(edges[i]) && c->kind != TW_DISCRETE)
                fail_msg("column %s: %g is ok, and outside the limits", c->name, (double)edges[i]);
        }
    }
    tw_schema_free(schema);
}

/* JSON with all defaults parses to an equal schema. */
static void test_json(void **state)
{
    struct tw_schema *schema = schema_of(MIXED, CONDITIONS), *again, *copy = tw_schema_copy(schema);
    json_t *features = tw_schema_features_json(schema), *conditions = tw_schema_conditions_json(schema);
    struct tw_error error;

    assert_int_equal(tw_schema_parse(features, conditions, &again, &error), 0);
    assert_true(tw_schema_equal(schema, again));
    assert_true(tw_schema_equal(schema, copy));
    again->columns[0].min = 19;
    assert_false(tw_schema_equal(schema, again));
    assert_string_equal(json_string_value(json_object_get(json_array_get(features, 1), "kind")), "real");
    assert_string_equal(json_string_value(json_object_get(json_array_get(features, 1), "transform")), "standardise");
    assert_float_equal(json_real_value(json_object_get(json_array_get(conditions, 0), "value")), 0.12, 0);
    json_decref(features);
    json_decref(conditions);
    tw_schema_free(schema);
    tw_schema_free(again);
    tw_schema_free(copy);
    tw_schema_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_domains),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_json),
    };

    return cmocka_run_group_tests_name("model/schema", tests, NULL, NULL);
}
