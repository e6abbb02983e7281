/* Expressions against NumPy and vector, four-vectors against 60 digits, refusals by their sentence, limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "golden.h"
#include "hep/expression.h"
#include "hep/functions.h"
#include "hep/nearest.h"

enum { NAMES = sizeof names / sizeof *names };

static struct tw_expression *parsed(const char *text)
{
    struct tw_expression *expression = NULL;
    struct tw_error error = {""};

    if (tw_expression_parse(text, names, NAMES, &expression, &error))
        fail_msg("%s: %s", text, error.text);
    return expression;
}

static void close_to(const char *what, double found, double wanted, double relative)
{
    double limit = relative * fmax(fabs(wanted), 1e-3);

    if (isnan(wanted) ? !isnan(found) : !(fabs(found - wanted) <= limit))
        fail_msg("%s: %.17g instead of %.17g", what, found, wanted);
}

static void test_golden(void **state)
{
    (void)state;
    struct tw_expression_column of[NAMES];
    for (int i = 0; i < NAMES; i++)
        of[i] = (struct tw_expression_column){columns[i], 1};
    for (size_t k = 0; k < sizeof expressions / sizeof *expressions; k++) {
        struct tw_expression *expression = parsed(expressions[k].text);
        float out[EVENTS];
        assert_int_equal(tw_expression_eval(expression, of, EVENTS, out, 1), 0);
        for (int i = 0; i < EVENTS; i++)
            close_to(expressions[k].text, (double)out[i], expressions[k].values[i], 2e-7);
        tw_expression_free(expression);
    }
}

static void test_systems(void **state)
{
    (void)state;
    for (size_t k = 0; k < sizeof systems / sizeof *systems; k++) {
        const struct system_case *s = &systems[k];
        char what[32];
        snprintf(what, sizeof what, "system %zu", k);
        close_to(what, tw_kinematics_mass(s->particles, s->n), s->mass,
                 2e-8); /* the angles themselves have 16 digits */
        if (k != 2 && k != 3)
            close_to(what, tw_kinematics_mass(s->particles, s->n), s->mass, 1e-13);
        close_to(what, tw_kinematics_pt(s->particles, s->n), s->pt, 1e-12);
        close_to(what, tw_kinematics_eta(s->particles, s->n), s->eta, 1e-12);
        close_to(what, tw_kinematics_rapidity(s->particles, s->n), s->rapidity, 1e-12);
        close_to(what, tw_kinematics_phi(s->particles, s->n), s->phi, 1e-12);
    }
    assert_true(isinf(tw_kinematics_eta(&(struct tw_particle){0, 1, 1, 1}, 1)) ||
                isnan(tw_kinematics_eta(&(struct tw_particle){0, 1, 1, 1}, 1)));
    assert_true(isnan(tw_kinematics_delta_r(INFINITY, NAN, 0, 0)));
}

/* More rows than a block, rows apart, out apart: the same values as one by one. */
static void test_blocks(void **state)
{
    (void)state;
    enum { ROWS = 1000, WIDTH = 3 };
    static float in[ROWS * WIDTH], out[ROWS * 2];
    struct tw_expression *expression = parsed("a * 2 + b");
    struct tw_expression_column of[NAMES] = {{in, WIDTH}, {in + 1, WIDTH}};
    for (int i = 0; i < ROWS * WIDTH; i++)
        in[i] = (float)i;
    for (int i = 0; i < ROWS * 2; i++)
        out[i] = -1;
    assert_int_equal(tw_expression_eval(expression, of, ROWS, out, 2), 0);
    for (int i = 0; i < ROWS; i++) {
        assert_true(out[2 * i] == 2 * in[i * WIDTH] + in[i * WIDTH + 1]);
        assert_true(out[2 * i + 1] == -1);
    }
    assert_int_equal(tw_expression_eval(expression, of, 0, out, 1), 0);
    assert_true(tw_expression_uses(expression, 0) && tw_expression_uses(expression, 1));
    assert_false(tw_expression_uses(expression, 2));
    tw_expression_free(expression);
    tw_expression_free(NULL);
}

static void test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *sentence;
    } refused[] = {
        {"", "character 1: expected a number, a name or '(', found the end"},
        {"a +", "character 4: expected a number, a name or '(', found the end"},
        {"a b", "character 3: expected an operator or the end, found 'b'"},
        {"2a", "character 2: expected an operator or the end, found 'a'"},
        {"(a", "character 3: expected ')', found the end"},
        {"a)", "character 2: expected an operator or the end, found ')'"},
        {"sin(a", "character 6: expected ',' or ')', found the end"},
        {"sin()", "character 5: expected a number, a name or '(', found ')'"},
        {"sin(a, b)", "character 1: sin(x) does not take 2 arguments"},
        {"mass(a, b, pt)", "character 1: mass(pt, eta, phi, m, ...) does not take 3 arguments"},
        {"mass(a,a,a,a,a,a)", "character 1: mass(pt, eta, phi, m, ...) does not take 6 arguments"},
        {"1 + masss(a)", "character 5: there is no function \"masss\"; did you mean \"mass\"?"},
        {"eta3 * 2", "character 1: there is no column \"eta3\"; did you mean \"eta1\"?"},
        {"1 + nowhere", "character 5: there is no column \"nowhere\""},
        {"a(1)", "character 1: there is no function \"a\""},
        {"sin", "character 1: there is no column \"sin\""},
        {"a < b < 1", "character 7: expected an operator or the end, found '<'"},
        {"a = b", "character 3: expected an operator or the end, found '='"},
        {"a & b", "character 3: expected an operator or the end, found '&'"},
        {"1e999", "character 1: the number 1e999 is out of range"},
        {"0x10", "character 2: expected an operator or the end, found 'x'"},
        {".", "character 1: expected a number, a name or '(', found '.'"},
        {"nan", "character 1: there is no column \"nan\""},
        {"inf", "character 1: there is no column \"inf\""},
        {"a\001", "character 2: expected an operator or the end, found byte 0x01"},
        {"a \303\227 b", "character 3: expected an operator or the end, found byte 0xc3"},
        {"1 , 2", "character 3: expected an operator or the end, found ','"},
        {"00000000000000000000000000000000000000000000000000000000000000000001",
         "character 1: a number has at most 63 characters"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        struct tw_expression *expression = (void *)1;
        struct tw_error error = {""};
        int status = tw_expression_parse(refused[i].text, names, NAMES, &expression, &error);
        assert_null(expression);
        if (status != TW_INVALID || strcmp(error.text, refused[i].sentence))
            fail_msg("\"%s\": %d, %s", refused[i].text, status, error.text);
    }
}

/* `open` n times, then a, then `close` n times. */
static int parse_nested(const char *open, const char *close, int n, char *sentence)
{
    static char text[8192];
    struct tw_expression *expression;
    struct tw_error error = {""};
    text[0] = 0;
    for (int i = 0; i < n; i++)
        strcat(text, open);
    strcat(text, "a");
    for (int i = 0; i < n; i++)
        strcat(text, close);
    int status = tw_expression_parse(text, names, NAMES, &expression, &error);
    strcpy(sentence, error.text);
    tw_expression_free(expression);
    return status;
}

static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *open, *close, *sentence;
        int good, bad;
    } limits[] = {
        {"(", ")", "nested", 30, 40},        {"-", "", "nested", 60, 70},      {"sin(", ")", "nested", 30, 40},
        {"2^", "", "nested", 60, 70},        {"a+", "", "operands", 255, 256}, {"a*(a+", ")", "nested", 30, 40},
        {" ", " ", "characters", 999, 1000},
    };
    char sentence[256];
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        if (parse_nested(limits[i].open, limits[i].close, limits[i].good, sentence))
            fail_msg("%s: %s", limits[i].open, sentence);
        assert_int_equal(parse_nested(limits[i].open, limits[i].close, limits[i].bad, sentence), TW_INVALID);
        if (!strstr(sentence, limits[i].sentence))
            fail_msg("%s: %s", limits[i].open, sentence);
    }

    /* more arguments than a function takes; more operands than may wait */
    char text[1024] = "ht(a";
    for (int i = 1; i < TW_FUNCTIONS_ARGUMENTS_MAX; i++)
        strcat(text, ",a");
    struct tw_expression *expression;
    struct tw_error error;
    strcat(text, ")");
    assert_int_equal(tw_expression_parse(text, names, NAMES, &expression, &error), 0);
    tw_expression_free(expression);
    strcpy(text + strlen(text) - 1, ",a)");
    assert_int_equal(tw_expression_parse(text, names, NAMES, &expression, &error), TW_INVALID);
    strcpy(text, "ht(a");
    for (int i = 0; i < TW_EXPRESSION_STACK_MAX; i++)
        strcat(text, ",a");
    strcat(text, ")");
    assert_int_equal(tw_expression_parse(text, names, NAMES, &expression, &error), TW_INVALID);
    assert_non_null(strstr(error.text, "wait at once"));
}

static void test_nearest(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        int distance;
    } pairs[] = {{"", "", 0},          {"mass", "mass", 0},     {"mas", "mass", 1},
                 {"mass", "maass", 1}, {"amss", "mass", 1},     {"mess", "mass", 1},
                 {"eta", "phi", 3},    {"mu1_pt", "mu2_pt", 1}, {"kitten", "sitting", 3},
                 {"", "pt", 2},        {"delta_phi", "dphi", 5}};
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (tw_nearest_distance(pairs[i].a, strlen(pairs[i].a), pairs[i].b) != pairs[i].distance)
            fail_msg("%s, %s", pairs[i].a, pairs[i].b);
    char text[80];
    memset(text, 'x', sizeof text);
    text[79] = 0;
    assert_true(tw_nearest_distance(text, 79, "x") > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),   cmocka_unit_test(test_systems), cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_refusals), cmocka_unit_test(test_limits),  cmocka_unit_test(test_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
