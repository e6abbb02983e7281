/* Tables: what is written is read with the same bits; what is refused says where it is wrong. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/decimal.h"
#include "proto/table.h"

static int parse(enum twp_format format, const char *text, struct twp_table *table, char detail[200])
{
    return twp_table_parse(format, text, strlen(text), table, detail);
}

static void decimals_come_back(void **state)
{
    uint64_t seed = 88172645463325252u;
    char text[TWP_DECIMAL_MAX];
    for (int i = 0; i < 300000; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        uint32_t bits = (uint32_t)(seed >> 20);
        float value, again;
        memcpy(&value, &bits, sizeof value);
        size_t length = twp_decimal_print(value, text);
        assert_true(length < TWP_DECIMAL_MAX && strlen(text) == length);
        assert_true(twp_decimal_parse(text, length, &again));
        if (isnan(value) ? !isnan(again) : memcmp(&value, &again, sizeof value) != 0)
            fail_msg("%a was printed as %s", (double)value, text);
    }
}

static void decimals_are_short(void **state)
{
    static const struct {
        float value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0f, "-0"},
        {1, "1"},
        {0.1f, "0.1"},
        {-2.5f, "-2.5"},
        {1e-5f, "0.00001"},
        {1e-6f, "1e-6"},
        {123456.78f, "123456.78"},
        {16777216, "16777216"},
        {1e15f, "1e15"},
        {1e30f, "1e+30"},
        {FLT_MAX, "3.4028235e+38"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
        {NAN, "nan"},
        {0.3333333433f, "0.33333334"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[TWP_DECIMAL_MAX];
        twp_decimal_print(cases[i].value, text);
        assert_string_equal(text, cases[i].text);
    }
}

static void decimals_are_strict(void **state)
{
    static const char *const bad[] = {"", "0x10", "1,5", "1.5x", "nan(1)", "--1", "1e", "e5", ".", "1 2", "infinit"};
    static const char *const good[] = {"1", "+1.5", "-1e-3", "NaN", "-inf", "Infinity", ".5", "1e400"};
    float value;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(twp_decimal_parse(bad[i], strlen(bad[i]), &value));
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(twp_decimal_parse(good[i], strlen(good[i]), &value));
    assert_true(isinf(value));
    char longest[80];
    memset(longest, '1', sizeof longest);
    assert_true(twp_decimal_parse(longest, 63, &value));
    assert_false(twp_decimal_parse(longest, 64, &value));
}

static void csv_is_read(void **state)
{
    struct twp_table table;
    char detail[200];
    const char *text = "\xef\xbb\xbf# mu1_pt, \"mu1 eta\"\r\n1.5, -2e-3\r\n,nan\r\ninf,-7\n\n\n";
    assert_int_equal(parse(TWP_FORMAT_CSV, text, &table, detail), 0);
    assert_int_equal(table.rows, 3);
    assert_int_equal(table.cols, 2);
    assert_string_equal(table.column[0], "mu1_pt");
    assert_string_equal(table.column[1], "mu1 eta");
    assert_true(table.values[0] == 1.5f && table.values[1] == -2e-3f && isnan(table.values[2]) &&
                isnan(table.values[3]) && isinf(table.values[4]) && table.values[5] == -7);
    twp_table_fini(&table);
    assert_int_equal(parse(TWP_FORMAT_CSV, "x\n1\n\n3", &table, detail), 0);
    assert_true(table.rows == 3 && isnan(table.values[1]) && table.values[2] == 3);
    twp_table_fini(&table);
}

static void json_is_read(void **state)
{
    static const char *const texts[] = {
        "[[1, 2.5], [null, -3e2]]",
        " {\"columns\" : [\"a\", \"b\\\"]\"],\n\"rows\": [[1,2.5],[null,-300.0]] } ",
        "{\"items\": [[1,2.5],[null,-3.00E+2]], \"columns\": [\"a\", \"b\\\"]\"]}",
    };
    for (size_t i = 0; i < 3; i++) {
        struct twp_table table;
        char detail[200];
        assert_int_equal(parse(TWP_FORMAT_JSON, texts[i], &table, detail), 0);
        assert_true(table.rows == 2 && table.cols == 2);
        assert_true(table.values[0] == 1 && table.values[1] == 2.5f && isnan(table.values[2]) &&
                    table.values[3] == -300);
        if (i > 0)
            assert_string_equal(table.column[1], "b\"]");
        else
            assert_null(table.column);
        twp_table_fini(&table);
    }
}

static void errors_say_where(void **state)
{
    static const struct {
        enum twp_format format;
        const char *text, *says;
    } cases[] = {
        {TWP_FORMAT_CSV, "", "names"},
        {TWP_FORMAT_CSV, "\n\n", "names"},
        {TWP_FORMAT_CSV, "1,2\n3,4\n", "line 1, column 1"},
        {TWP_FORMAT_CSV, "a,nan\n3,4\n", "line 1, column 2"},
        {TWP_FORMAT_CSV, "a,\n3,4\n", "line 1, column 2 has no name"},
        {TWP_FORMAT_CSV, "a,b\xff\n3,4\n", "UTF-8"},
        {TWP_FORMAT_CSV, "a,b\n1,2\n3\n", "line 3 has 1 fields, not 2"},
        {TWP_FORMAT_CSV, "a,b\n1,2,3\n", "line 2 has more than 2 fields"},
        {TWP_FORMAT_CSV, "a,b\n1,2\n\n3,4\n", "line 3 has 1 fields"},
        {TWP_FORMAT_CSV, "a,b\n1,0x2\n", "line 2, column 2 (b)"},
        {TWP_FORMAT_JSON, "", "byte 0"},
        {TWP_FORMAT_JSON, "[[1],[2]", "byte 8"},
        {TWP_FORMAT_JSON, "[[1],[2,3]]", "row 1 has 2 values, not 1"},
        {TWP_FORMAT_JSON, "[[]]", "byte 2"},
        {TWP_FORMAT_JSON, "[[01]]", "byte 2"},
        {TWP_FORMAT_JSON, "[[1.]]", "byte 2"},
        {TWP_FORMAT_JSON, "[[+1]]", "byte 2"},
        {TWP_FORMAT_JSON, "[[NaN]]", "byte 2"},
        {TWP_FORMAT_JSON, "[[1]] x", "byte 6"},
        {TWP_FORMAT_JSON, "[1]", "byte 1"},
        {TWP_FORMAT_JSON, "{\"rows\":[[1]],\"rows\":[[1]]}", "twice"},
        {TWP_FORMAT_JSON, "{\"rows\":[[1]],\"items\":[[1]]}", "twice"},
        {TWP_FORMAT_JSON, "{\"columns\":[\"a\"]}", "\"rows\""},
        {TWP_FORMAT_JSON, "{\"columns\":[],\"rows\":[[1]]}", "empty"},
        {TWP_FORMAT_JSON, "{\"columns\":[1],\"rows\":[[1]]}", "column 1"},
        {TWP_FORMAT_JSON, "{\"columns\":[\"a\"],\"rows\":[[1,2]]}", "row 0 has 2 values, not 1"},
        {TWP_FORMAT_JSON, "{\"rows\":[[1,2]],\"columns\":[\"a\"]}", "1 names for rows of 2"},
        {TWP_FORMAT_JSON, "{\"rows\":[[1]],\"more\":1}", "expected \"columns\""},
        {TWP_FORMAT_NPY, "hello", "npy"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct twp_table table;
        char detail[200];
        assert_int_equal(parse(cases[i].format, cases[i].text, &table, detail), -1);
        if (!strstr(detail, cases[i].says))
            fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].text, detail, cases[i].says);
        assert_null(table.values);
    }
}

/* Written whole and written in pieces, each format gives the same bytes, and the same rows when read. */
static void pieces_make_the_whole(void **state)
{
    static const char *const columns[] = {"a", "b", "c"};
    static const float values[12] = {0.1f, 1e-30f, -7, 1e20f, 3.1415927f, 0, 5, 6, 7.25f, 8, 9, -1e-3f};
    for (enum twp_format format = TWP_FORMAT_NPY; format <= TWP_FORMAT_JSON; format++) {
        struct twp_table table;
        char detail[200], joined[1024];
        size_t size, part, at = 0;
        char *whole = twp_table_encode(format, columns, 4, 3, values, &size);
        char *pieces[3] = {twp_table_encode_head(format, columns, 4, 3, &part)};
        memcpy(joined, pieces[0], part);
        at = part;
        for (size_t i = 0; i < 2; i++) {
            pieces[1 + i] = twp_table_encode_rows(format, 2 * i, 2, 3, values + 6 * i, &part);
            memcpy(joined + at, pieces[1 + i], part);
            at += part;
        }
        strcpy(joined + at, twp_table_encode_tail(format));
        at += strlen(twp_table_encode_tail(format));
        assert_int_equal(at, size);
        assert_memory_equal(joined, whole, size);
        assert_int_equal(twp_table_parse(format, whole, size, &table, detail), 0);
        assert_true(table.rows == 4 && table.cols == 3);
        assert_memory_equal(table.values, values, sizeof values);
        assert_int_equal(twp_table_format_of_media("", whole, size), format);
        twp_table_fini(&table);
        free(whole);
        for (size_t i = 0; i < 3; i++)
            free(pieces[i]);
    }
}

static void json_has_no_infinity(void **state)
{
    static const float values[3] = {NAN, INFINITY, 1};
    size_t size;
    char *text = twp_table_encode(TWP_FORMAT_JSON, NULL, 1, 3, values, &size);
    assert_string_equal(text, "{\"items\":[[null,null,1]]}");
    free(text);
    text = twp_table_encode(TWP_FORMAT_CSV, NULL, 1, 3, values, &size);
    assert_string_equal(text, "c0,c1,c2\nnan,inf,1\n");
    free(text);
    text = twp_table_encode(TWP_FORMAT_JSON, NULL, 0, 3, NULL, &size);
    assert_string_equal(text, "{\"items\":[]}");
    free(text);
}

static void formats_are_known(void **state)
{
    assert_int_equal(twp_table_format_of_media("Text/CSV; charset=utf-8", "", 0), TWP_FORMAT_CSV);
    assert_int_equal(twp_table_format_of_media("application/json", "", 0), TWP_FORMAT_JSON);
    assert_int_equal(twp_table_format_of_media("application/x-npy", "", 0), TWP_FORMAT_NPY);
    assert_int_equal(twp_table_format_of_media("text/html", "[[1]]", 5), -1);
    assert_int_equal(twp_table_format_of_media(NULL, " [[1]]", 6), TWP_FORMAT_JSON);
    assert_int_equal(twp_table_format_of_media(NULL, "a,b\n", 4), TWP_FORMAT_CSV);
    assert_int_equal(twp_table_format_of_media(NULL, "", 0), -1);
    assert_int_equal(twp_table_format_of_path("/x.y/events.CSV"), TWP_FORMAT_CSV);
    assert_int_equal(twp_table_format_of_path("events.npy"), TWP_FORMAT_NPY);
    assert_int_equal(twp_table_format_of_path("events.json"), TWP_FORMAT_JSON);
    assert_int_equal(twp_table_format_of_path("events.h5"), -1);
    assert_int_equal(twp_table_format_of_path("events"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimals_come_back),    cmocka_unit_test(decimals_are_short),
        cmocka_unit_test(decimals_are_strict),   cmocka_unit_test(csv_is_read),
        cmocka_unit_test(json_is_read),          cmocka_unit_test(errors_say_where),
        cmocka_unit_test(pieces_make_the_whole), cmocka_unit_test(json_has_no_infinity),
        cmocka_unit_test(formats_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
