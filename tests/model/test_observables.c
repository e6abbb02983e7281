/* Observables of a definition: what is taken and refused, and the columns that they become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>

#include "model/observables.h"

static struct tw_schema *schema_of(const char *features, const char *conditions)
{
    json_t *f = json_loads(features, 0, NULL), *c = json_loads(conditions, 0, NULL);
    struct tw_schema *schema = NULL;
    struct tw_error error;

    if (tw_schema_parse(f, c, &schema, &error))
        fail_msg("%s", error.text);
    json_decref(f);
    json_decref(c);
    return schema;
}

static struct tw_schema *two_and_one(void)
{
    return schema_of("[{\"name\": \"x\", \"unit\": \"GeV\", \"transform\": \"log\", \"min\": -5}, {\"name\": \"y\"}]",
                     "[{\"name\": \"t\", \"value\": 2}]");
}

static int parse(const char *text, const struct tw_schema *schema, struct tw_observables **out, struct tw_error *error)
{
    json_t *json = json_loads(text, 0, NULL);
    int status;

    if (!json)
        fail_msg("not JSON: %s", text);
    error->text[0] = 0;
    status = tw_observables_parse(json, schema, out, error);
    json_decref(json);
    return status;
}

static struct tw_observables *parsed(const char *text, const struct tw_schema *schema)
{
    struct tw_observables *observables = NULL;
    struct tw_error error;

    if (parse(text, schema, &observables, &error))
        fail_msg("%s: %s", text, error.text);
    return observables;
}

static void test_columns(void **state)
{
    (void)state;
    struct tw_schema *schema = two_and_one();
    struct tw_observables *o =
        parsed("[{\"name\": \"s\", \"unit\": \"m\", \"expression\": \"x + t * y\"},"
               " {\"name\": \"root\", \"expression\": \"sqrt(s - 10)\", \"min\": 0, \"max\": 9}]",
               schema);
    const struct tw_schema *wide = o->extended;
    assert_int_equal(wide->features, 4);
    assert_int_equal(wide->conditions, 1);
    assert_string_equal(wide->columns[2].name, "s");
    assert_string_equal(wide->columns[2].unit, "m");
    assert_string_equal(wide->columns[4].name, "t");
    assert_true(wide->columns[0].transform == TW_LOG && wide->columns[4].role == TW_CONDITION);
    assert_false(wide->columns[3].has_min); /* what is shown is no domain */

    struct tw_data rows, out;
    const float values[] = {1, 2, 30, 0, NAN, 7, 8, -20}, at3 = 3, weights[] = {1, 2, 3, 4};
    tw_data_init(&rows, schema);
    tw_data_init(&out, wide);
    assert_int_equal(tw_data_append(&rows, 7, 0, 4, values, NULL, weights), TW_OK);
    assert_int_equal(tw_data_append(&rows, 8, 0, 1, values, &at3, NULL), TW_OK);
    assert_int_equal(tw_observables_extend(o, &rows, &out), TW_OK);
    assert_int_equal(out.rows, 4);
    assert_int_equal(out.invalid, 1);
    const float wanted[] = {1, 2, 5, NAN, 30, 0, 30, sqrtf(20), 8, -20, -32, NAN, 1, 2, 7, NAN};
    for (int i = 0; i < 16; i++)
        if (isnan(wanted[i]) ? !isnan(out.features[i]) : out.features[i] != wanted[i])
            fail_msg("value %d is %g", i, (double)out.features[i]);
    assert_memory_equal(out.keys, rows.keys, 4 * sizeof *rows.keys);
    assert_memory_equal(out.weights, rows.weights, 4 * sizeof *rows.weights);
    assert_memory_equal(out.conditions, rows.conditions, 4 * sizeof(float));

    /* once more behind what is there */
    assert_int_equal(tw_observables_extend(o, &rows, &out), TW_OK);
    assert_int_equal(out.rows, 8);
    assert_true(out.features[4 * 4 + 2] == 5 && out.features[7 * 4 + 2] == 7 && out.features[2] == 5);
    tw_data_fini(&rows);
    tw_data_fini(&out);
    tw_observables_unref(tw_observables_ref(o));
    tw_observables_unref(o);
    tw_schema_free(schema);
}

/* What is made of something optional is optional, also by way of another observable; the rest is not. */
static void test_optional(void **state)
{
    (void)state;
    struct tw_schema *schema =
        schema_of("[{\"name\": \"x\"}, {\"name\": \"j\", \"optional\": true}]", "[{\"name\": \"t\", \"value\": 2}]");
    struct tw_observables *o = parsed("[{\"name\": \"a\", \"expression\": \"x + t\"},"
                                      " {\"name\": \"b\", \"expression\": \"x + j\"},"
                                      " {\"name\": \"c\", \"expression\": \"a * 2\"},"
                                      " {\"name\": \"d\", \"expression\": \"b * 2\"}]",
                                      schema);
    const bool wanted[] = {false, true, false, true, false, true};
    for (int i = 0; i < o->extended->features; i++)
        if (o->extended->columns[i].optional != wanted[i])
            fail_msg("%s", o->extended->columns[i].name);
    tw_observables_unref(o);
    tw_schema_free(schema);
}

static void test_none(void **state)
{
    (void)state;
    struct tw_schema *schema = two_and_one();
    struct tw_observables *o = NULL;
    struct tw_error error;
    assert_int_equal(tw_observables_parse(NULL, schema, &o, &error), TW_OK);
    assert_true(tw_schema_equal(o->extended, schema));
    json_t *json = tw_observables_json(o);
    assert_int_equal(json_array_size(json), 0);
    json_decref(json);
    tw_observables_unref(o);
    tw_observables_unref(NULL);
    tw_schema_free(schema);
}

static void test_json(void **state)
{
    (void)state;
    struct tw_schema *schema = two_and_one();
    struct tw_observables *o =
        parsed("[{\"expression\": \" x+y \", \"name\": \"s\", \"max\": 4.5}, {\"name\": \"k\", \"expression\": \"2\"}]",
               schema);
    json_t *json = tw_observables_json(o),
           *wanted = json_loads("[{\"name\": \"s\", \"unit\": \"\", \"expression\": \" x+y \", \"max\": 4.5},"
                                " {\"name\": \"k\", \"unit\": \"\", \"expression\": \"2\"}]",
                                0, NULL);
    assert_true(json_equal(json, wanted));
    json_decref(json);
    json_decref(wanted);
    tw_observables_unref(o);
    tw_schema_free(schema);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *names;
    } refused[] = {
        {"{}", "array"},
        {"[7]", "observables[0]: must be an object"},
        {"[{}]", "observables[0]: name is missing"},
        {"[{\"name\": \"s\"}]", "observables[0]: expression is missing"},
        {"[{\"expression\": \"x\"}]", "name is missing"},
        {"[{\"name\": \"1s\", \"expression\": \"x\"}]", "name must be"},
        {"[{\"name\": 7, \"expression\": \"x\"}]", "name must be"},
        {"[{\"name\": \"s\", \"expression\": 7}]", "expression must be a string"},
        {"[{\"name\": \"s\", \"expression\": \"x\", \"unit\": 7}]", "unit"},
        {"[{\"name\": \"s\", \"expression\": \"x\", \"min\": \"a\"}]", "min"},
        {"[{\"name\": \"s\", \"expression\": \"x\", \"max\": 1e31}]", "max"},
        {"[{\"name\": \"s\", \"expression\": \"x\", \"min\": 2, \"max\": 2}]", "min must be below max"},
        {"[{\"name\": \"s\", \"expression\": \"x\", \"kind\": \"real\"}]", "unknown member \"kind\""},
        {"[{\"name\": \"x\", \"expression\": \"y\"}]", "observables[0]: name \"x\" is taken twice"},
        {"[{\"name\": \"t\", \"expression\": \"y\"}]", "name \"t\" is taken twice"},
        {"[{\"name\": \"s\", \"expression\": \"x\"}, {\"name\": \"s\", \"expression\": \"y\"}]",
         "observables[1]: name \"s\" is taken twice"},
        {"[{\"name\": \"s\", \"expression\": \"x + \"}]",
         "observables[0]: s: expression, character 5: expected a number, a name or '(', found the end"},
        {"[{\"name\": \"s\", \"expression\": \"s\"}]", "there is no column \"s\""}, /* itself */
        {"[{\"name\": \"a\", \"expression\": \"b\"}, {\"name\": \"b\", \"expression\": \"x\"}]", "no column \"b\""},
    };
    struct tw_schema *schema = two_and_one();
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct tw_observables *o = (void *)1;
        struct tw_error error;
        int status = parse(refused[i].text, schema, &o, &error);
        if (status != TW_INVALID || o || !strstr(error.text, refused[i].names))
            fail_msg("%s: %d %s", refused[i].text, status, error.text);
    }
    json_t *many = json_array();
    for (int i = 0; i <= TW_OBSERVABLES_MAX; i++)
        json_array_append_new(many, json_pack("{s:o, s:s}", "name", json_sprintf("o%d", i), "expression", "x"));
    struct tw_observables *o;
    struct tw_error error;
    assert_int_equal(tw_observables_parse(many, schema, &o, &error), TW_INVALID);
    json_array_remove(many, 0);
    assert_int_equal(tw_observables_parse(many, schema, &o, &error), TW_OK);
    tw_observables_unref(o);
    json_decref(many);
    tw_schema_free(schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_columns), cmocka_unit_test(test_optional), cmocka_unit_test(test_none),
        cmocka_unit_test(test_json),    cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
