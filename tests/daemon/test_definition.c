/* Definitions: what is taken, what the defaults are, what is refused and how the refusal names it; patches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/definition.h"
#include "daemon/patch.h"
#include "stat/drift.h"

#define FEATURES                                                                                                       \
    "\"features\": [{\"name\": \"pt\", \"unit\": \"GeV\", \"transform\": \"log\", \"min\": 0}, {\"name\": \"eta\"},"   \
    " {\"name\": \"phi\", \"kind\": \"periodic\", \"min\": -3, \"max\": 3}]"
#define MINIMAL       "{\"name\": \"z\", " FEATURES "}"
#define WITH(members) "{\"name\": \"z\", " FEATURES ", " members "}"

static int parse(const char *text, struct definition **out, struct tw_error *error)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    if (!json)
        fail_msg("not JSON: %s", text);
    error->text[0] = 0;
    int status = definition_parse(json, out, error);
    json_decref(json);
    return status;
}

static struct definition *parsed(const char *text)
{
    struct definition *definition = NULL;
    struct tw_error error;
    if (parse(text, &definition, &error))
        fail_msg("%s: %s", text, error.text);
    return definition;
}

static void test_defaults(void **state)
{
    (void)state;
    struct definition *d = parsed(MINIMAL);
    assert_string_equal(d->name, "z");
    assert_string_equal(d->description, "");
    assert_string_equal(d->kind->name, "flow");
    assert_int_equal(d->schema->features, 3);
    assert_int_equal(d->schema->conditions, 0);
    assert_int_equal(d->loop.mode, LOOP_AUTO);
    assert_int_equal(d->loop.window, 20000);
    assert_int_equal(d->loop.detectors, 1u << TW_DETECT_C2ST | 1u << TW_DETECT_KS | 1u << TW_DETECT_CUSUM);
    assert_true(d->loop.expected_run_time == 1000 && d->loop.silence_s == 60);
    assert_true(d->loop.max_lag_s == 300 && d->loop.max_lag_windows == 0);
    assert_true(d->loop.gate_min_gain == 0 && d->loop.gate_level == 0.01);
    assert_string_equal(json_string_value(json_object_get(d->model, "kind")), "flow");
    assert_non_null(json_object_get(d->model, "blocks"));
    definition_free(d);
    definition_free(NULL);
}

static void test_everything_that_is_built(void **state)
{
    (void)state;
    struct definition *d =
        parsed(WITH("\"description\": \"Z to mu mu\", \"model\": {\"kind\": \"flow\", \"blocks\": 2, \"hidden\": [16], "
                    "\"bins\": 4},"
                    "\"conditions\": [{\"name\": \"alpha_s\", \"min\": 0.1, \"max\": 0.15, \"value\": 0.1365}],"
                    "\"loop\": {\"auto\": false, \"window\": 5000, \"detectors\": [\"ks\"], \"expected_run_time\": 200,"
                    " \"cooldown\": 7, \"max_retunes\": {\"count\": 4, \"hours\": 24},"
                    " \"update\": \"weights\", \"silence_s\": 2.5, \"max_lag_s\": 7.5, \"max_lag_windows\": 3, "
                    "\"gate\": {\"min_gain\": 0.01, \"level\": 0.05}}"));
    assert_string_equal(d->description, "Z to mu mu");
    assert_int_equal(json_integer_value(json_object_get(d->model, "blocks")), 2);
    assert_int_equal(d->schema->conditions, 1);
    assert_int_equal(d->loop.mode, LOOP_MANUAL);
    assert_int_equal(d->loop.window, 5000);
    assert_int_equal(d->loop.detectors, 1u << TW_DETECT_KS);
    assert_true(d->loop.expected_run_time == 200 && d->loop.silence_s == 2.5);
    assert_true(d->loop.max_lag_s == 7.5 && d->loop.max_lag_windows == 3);
    assert_true(d->loop.cooldown == 7 && d->loop.max_retunes == 4 && d->loop.max_retunes_hours == 24);
    assert_true(d->loop.gate_min_gain == 0.01 && d->loop.gate_level == 0.05);
    definition_free(d);
}

/* What is written out is taken again and means the same. */
static void test_round_trip(void **state)
{
    (void)state;
    static const char *const texts[] = {
        MINIMAL, WITH("\"loop\": {\"window\": 100, \"detectors\": [\"c2st\"]}, \"model\": {\"blocks\": 3}"),
        WITH("\"conditions\": [{\"name\": \"c\", \"value\": 1}], \"description\": \"\\u03b1\\\"\""),
        WITH("\"observables\": [{\"name\": \"r\", \"unit\": \"m\", \"expression\": \"hypot(eta, phi)\", \"min\": 0.1},"
             " {\"name\": \"q\", \"expression\": \"r / 3\", \"max\": 1e-3}]")};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct definition *d = parsed(texts[i]);
        json_t *once = definition_json(d);
        char *text = json_dumps(once, 0);
        struct definition *again = parsed(text);
        json_t *twice = definition_json(again);
        assert_true(json_equal(once, twice));
        json_decref(once);
        json_decref(twice);
        free(text);
        definition_free(d);
        definition_free(again);
    }
}

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool ok;
    } names[] = {
        {"a", true},
        {"0-9_z", true},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", true},   /* 64 */
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false}, /* 65 */
        {"", false},
        {"-a", false},
        {"_a", false},
        {"A", false},
        {"a.b", false},
        {"a/b", false},
        {"..", false},
        {"a b", false},
        {"\\u0061\\u0000b", false},
        {"\\u00e9", false},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct definition *d = NULL;
        struct tw_error error;
        char text[600];
        snprintf(text, sizeof text, "{\"name\": \"%s\", " FEATURES "}", names[i].name);
        json_t *json = json_loads(text, JSON_ALLOW_NUL, NULL);
        assert_non_null(json);
        int status = definition_parse(json, &d, &error);
        json_decref(json);
        if (status != (names[i].ok ? TW_OK : TW_INVALID))
            fail_msg("name %s: %d", names[i].name, status);
        definition_free(d);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *names; /* what the sentence must name */
    } refused[] = {
        {"7", "object"},
        {"[]", "object"},
        {"{}", "name"},
        {"{" FEATURES "}", "name"},
        {"{\"name\": 7, " FEATURES "}", "name"},
        {"{\"name\": null, " FEATURES "}", "name"},
        {"{\"name\": \"z\"}", "features"},
        {"{\"name\": \"z\", \"features\": []}", "features"},
        {"{\"name\": \"z\", \"features\": [{\"name\": \"x\", \"optional\": 1}]}", "optional"},
        {"{\"name\": \"z\", \"features\": [{\"name\": \"x\", \"kind\": \"discrete\"}]}", "discrete"},
        {"{\"name\": \"z\", \"features\": [{\"name\": \"x\", \"colour\": 1}]}", "colour"},
        {"{\"name\": \"z\", \"features\": [{\"name\": \"x\"}, {\"name\": \"x\"}]}", "x"},
        {WITH("\"foo\": 1"), "foo"},
        {WITH("\"Loop\": {}"), "Loop"},
        {WITH("\"observables\": 7"), "observables"},
        {WITH("\"observables\": null"), "observables"},
        {WITH("\"observables\": [{\"name\": \"m\", \"expression\": \"pt / nought\"}]"), "m: expression, character 6"},
        {WITH("\"observables\": [{\"name\": \"pt\", \"expression\": \"eta\"}]"), "pt"},
        {WITH("\"description\": 7"), "description"},
        {WITH("\"description\": null"), "description"},
        {WITH("\"conditions\": {}"), "conditions"},
        {WITH("\"conditions\": [{\"name\": \"pt\"}]"), "pt"},
        {WITH("\"model\": 7"), "model"},
        {WITH("\"model\": {\"kind\": 7}"), "model.kind"},
        {WITH("\"model\": {\"kind\": \"diffusion\"}"), "model.kind"},
        {WITH("\"model\": {\"kind\": \"classifier\"}"), "classifier"},
        {WITH("\"model\": {\"blocks\": -1}"), "blocks"},
        {WITH("\"model\": {\"foo\": 1}"), "foo"},
        {WITH("\"loop\": 7"), "loop"},
        {WITH("\"loop\": null"), "loop"},
        {WITH("\"loop\": {\"foo\": 1}"), "loop.foo"},
        {WITH("\"loop\": {\"replay\": 0.95}"), "loop.replay"},
        {WITH("\"loop\": {\"max_distance\": 0}"), "loop.max_distance"},
        {WITH("\"loop\": {\"max_distance\": \"far\"}"), "loop.max_distance"},
        {WITH("\"loop\": {\"recall\": 17}"), "loop.recall"},
        {WITH("\"loop\": {\"growth\": 0.01}"), "loop.growth"},
        {WITH("\"loop\": {\"growth\": null}"), "loop.growth"},
        {WITH("\"loop\": {\"recall\": true}"), "loop.recall"},
        {WITH("\"loop\": {\"auto\": 1}"), "loop.auto"},
        {WITH("\"loop\": {\"mode\": \"off\"}"), "loop.mode"},
        {WITH("\"loop\": {\"mode\": null}"), "loop.mode"},
        {WITH("\"loop\": {\"mode\": \"auto\", \"auto\": false}"), "contradict"},
        {WITH("\"loop\": {\"auto\": true, \"mode\": \"advise\"}"), "contradict"},
        {WITH("\"loop\": {\"cooldown\": -1}"), "loop.cooldown"},
        {WITH("\"loop\": {\"cooldown\": 1.5}"), "loop.cooldown"},
        {WITH("\"loop\": {\"max_retunes\": 3}"), "loop.max_retunes"},
        {WITH("\"loop\": {\"max_retunes\": {\"count\": 3}}"), "loop.max_retunes"},
        {WITH("\"loop\": {\"max_retunes\": {\"count\": 101, \"hours\": 1}}"), "loop.max_retunes.count"},
        {WITH("\"loop\": {\"max_retunes\": {\"count\": 3, \"hours\": 0}}"), "loop.max_retunes.hours"},
        {WITH("\"loop\": {\"max_retunes\": {\"count\": 3, \"days\": 1}}"), "loop.max_retunes"},
        {WITH("\"loop\": {\"window\": 99}"), "loop.window"},
        {WITH("\"loop\": {\"window\": 1000001}"), "loop.window"},
        {WITH("\"loop\": {\"window\": 500.5}"), "loop.window"},
        {WITH("\"loop\": {\"window\": \"500\"}"), "loop.window"},
        {WITH("\"loop\": {\"detectors\": []}"), "loop.detectors"},
        {WITH("\"loop\": {\"detectors\": \"ks\"}"), "loop.detectors"},
        {WITH("\"loop\": {\"detectors\": [7]}"), "loop.detectors"},
        {WITH("\"loop\": {\"detectors\": [\"ks\", \"ks\"]}"), "loop.detectors"},
        {WITH("\"loop\": {\"detectors\": [\"lsdd\"]}"), "lsdd"},
        {WITH("\"loop\": {\"detectors\": [\"invalid\"]}"), "invalid"},
        {WITH("\"loop\": {\"expected_run_time\": 0.5}"), "loop.expected_run_time"},
        {WITH("\"loop\": {\"expected_run_time\": true}"), "loop.expected_run_time"},
        {WITH("\"loop\": {\"update\": \"theta\"}"), "loop.update"},
        {WITH("\"loop\": {\"update\": 7}"), "loop.update"},
        {WITH("\"loop\": {\"silence_s\": 0}"), "loop.silence_s"},
        {WITH("\"loop\": {\"silence_s\": -3}"), "loop.silence_s"},
        {WITH("\"loop\": {\"max_lag_s\": 0}"), "loop.max_lag_s"},
        {WITH("\"loop\": {\"max_lag_windows\": 0}"), "loop.max_lag_windows"},
        {WITH("\"loop\": {\"max_lag_windows\": 1.5}"), "loop.max_lag_windows"},
        {WITH("\"loop\": {\"gate\": 7}"), "loop.gate"},
        {WITH("\"loop\": {\"gate\": {\"foo\": 1}}"), "loop.gate.foo"},
        {WITH("\"loop\": {\"gate\": {\"min_gain\": -1}}"), "loop.gate.min_gain"},
        {WITH("\"loop\": {\"gate\": {\"level\": 0}}"), "loop.gate.level"},
        {WITH("\"loop\": {\"gate\": {\"level\": 0.6}}"), "loop.gate.level"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct definition *d = NULL;
        struct tw_error error;
        int status = parse(refused[i].text, &d, &error);
        if (status != TW_INVALID || d || !strstr(error.text, refused[i].names))
            fail_msg("%s: %d %s", refused[i].text, status, error.text);
    }
}

static void test_edges_are_taken(void **state)
{
    (void)state;
    static const char *const taken[] = {
        WITH("\"loop\": {}"),
        WITH("\"loop\": {\"window\": 100, \"expected_run_time\": 1, \"gate\": {}}"),
        WITH("\"loop\": {\"window\": 1000000, \"silence_s\": 1e9, \"gate\": {\"level\": 0.5}}"),
        WITH("\"loop\": {\"detectors\": [\"ks\", \"c2st\"]}, \"conditions\": []"),
        WITH("\"model\": {}"),
        WITH("\"loop\": {\"max_distance\": null, \"recall\": 0}"),
        WITH("\"loop\": {\"max_distance\": 0.7, \"recall\": 16, \"growth\": 0.5, \"replay\": 0.5}"),
        WITH("\"loop\": {\"mode\": \"advise\", \"auto\": false, \"cooldown\": 0, \"max_retunes\": null}"),
    };
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        definition_free(parsed(taken[i]));
}

/* `auto` is an older form of `mode`: a patch that names one of them does not meet the other one's old value. */
static void test_modes(void **state)
{
    (void)state;
    static const struct {
        const char *patch;
        enum loop_mode mode;
    } steps[] = {{"{\"loop\": {\"auto\": false}}", LOOP_MANUAL},
                 {"{\"loop\": {\"window\": 500}}", LOOP_MANUAL},
                 {"{\"loop\": {\"mode\": \"advise\"}}", LOOP_ADVISE},
                 {"{\"loop\": {\"auto\": true}}", LOOP_AUTO},
                 {"{\"loop\": {\"mode\": \"manual\"}}", LOOP_MANUAL},
                 {"{\"loop\": {\"auto\": null}}", LOOP_AUTO},
                 {"{\"loop\": {\"mode\": \"advise\", \"auto\": false}}", LOOP_ADVISE}};
    struct definition *now = parsed(MINIMAL);
    assert_int_equal(now->loop.mode, LOOP_AUTO);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct definition *next = NULL;
        json_t *patch = json_loads(steps[i].patch, 0, NULL);
        assert_int_equal(patch_definition(now, patch, &next, NULL), TW_OK);
        assert_int_equal(next->loop.mode, steps[i].mode);
        json_decref(patch);
        definition_free(now);
        now = next;
    }
    definition_free(now);
}

static void test_merge(void **state)
{
    (void)state;
    static const struct { /* RFC 7396, appendix A */
        const char *target, *patch, *result;
    } cases[] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        json_t *target = json_loads(cases[i].target, JSON_DECODE_ANY, NULL);
        json_t *before = json_deep_copy(target);
        json_t *patch = json_loads(cases[i].patch, JSON_DECODE_ANY, NULL);
        json_t *result = json_loads(cases[i].result, JSON_DECODE_ANY, NULL);
        json_t *merged = patch_merge(target, patch);
        if (!json_equal(merged, result) || !json_equal(target, before))
            fail_msg("%s over %s", cases[i].patch, cases[i].target);
        json_decref(target);
        json_decref(before);
        json_decref(patch);
        json_decref(result);
        json_decref(merged);
    }
}

static void test_patches(void **state)
{
    (void)state;
    static const struct {
        const char *patch;
        int status;
        const char *names;
    } patches[] = {
        {"{}", TW_OK, NULL},
        {"{\"description\": \"new\", \"loop\": {\"window\": 500, \"gate\": {\"level\": 0.1}}}", TW_OK, NULL},
        {"{\"name\": \"z\"}", TW_OK, NULL},
        {"{" FEATURES "}", TW_OK, NULL}, /* the same, without its defaults */
        {"{\"model\": {\"blocks\": 3}}", TW_OK, NULL},
        {"[]", TW_INVALID, "object"},
        {"{\"foo\": 1}", TW_INVALID, "foo"},
        {"{\"loop\": {\"window\": 1}}", TW_INVALID, "loop.window"},
        {"{\"loop\": {\"replay\": 1}}", TW_INVALID, "loop.replay"},
        {"{\"observables\": []}", TW_OK, NULL},
        {"{\"observables\": null}", TW_OK, NULL},
        {"{\"observables\": [{\"name\": \"s\", \"expression\": \"pt + eta\", \"unit\": \"m\", \"max\": 7},"
         " {\"name\": \"n\", \"expression\": \"s^2\"}]}",
         TW_OK, NULL},
        {"{\"observables\": [{\"name\": \"s\", \"expression\": \"pt\"}]}", TW_CONFLICT, "s has another expression"},
        {"{\"observables\": [{\"name\": \"n\", \"expression\": \"s\"}]}", TW_INVALID, "no column \"s\""},
        {"{\"name\": \"y\"}", TW_CONFLICT, "name"},
        {"{\"name\": 7}", TW_CONFLICT, "name"},
        {"{\"features\": [{\"name\": \"pt\"}]}", TW_CONFLICT, "features"},
        {"{\"features\": null}", TW_CONFLICT, "features"},
        {"{\"features\": 7}", TW_CONFLICT, "features"},
        {"{\"conditions\": [{\"name\": \"c\", \"value\": 1}]}", TW_CONFLICT, "conditions"},
        {"{\"model\": {\"blocks\": 4}}", TW_CONFLICT, "model"},
        {"{\"model\": null}", TW_CONFLICT, "model"},
    };
    struct definition *before = parsed(WITH("\"model\": {\"blocks\": 3}, \"loop\": {\"window\": 700, \"auto\": false},"
                                            "\"observables\": [{\"name\": \"s\", \"expression\": \"pt + eta\"}]"));
    for (size_t i = 0; i < sizeof patches / sizeof *patches; i++) {
        struct definition *after = NULL;
        struct tw_error error = {""};
        json_t *patch = json_loads(patches[i].patch, 0, NULL);
        assert_non_null(patch);
        int status = patch_definition(before, patch, &after, &error);
        if (status != patches[i].status || !!after != !status ||
            (patches[i].names && !strstr(error.text, patches[i].names)))
            fail_msg("%s: %d %s", patches[i].patch, status, error.text);
        json_decref(patch);
        definition_free(after);
    }
    struct definition *after = NULL;
    json_t *patch = json_loads("{\"loop\": {\"window\": null, \"silence_s\": 5}, \"description\": null}", 0, NULL);
    assert_int_equal(patch_definition(before, patch, &after, NULL), 0);
    assert_int_equal(after->loop.window, 20000); /* null: the default */
    assert_true(after->loop.silence_s == 5);
    assert_int_equal(after->loop.mode, LOOP_MANUAL); /* not mentioned: as it was */
    json_decref(patch);
    definition_free(after);
    definition_free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),   cmocka_unit_test(test_everything_that_is_built),
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_names),
        cmocka_unit_test(test_refusals),   cmocka_unit_test(test_edges_are_taken),
        cmocka_unit_test(test_modes),      cmocka_unit_test(test_merge),
        cmocka_unit_test(test_patches),
    };
    return cmocka_run_group_tests_name("definition", tests, NULL, NULL);
}
