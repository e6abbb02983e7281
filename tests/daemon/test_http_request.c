/* Parsing of requests: escapes, queries, negotiation, entity tags, JSON members, the token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/rng.h"
#include "daemon/http_request.h"
#include "daemon/http_response.h"

static int parse(struct http_request *request, const char *uri)
{
    char detail[200] = "";
    memset(request, 0, sizeof *request);
    request->uri = http_request_uri(uri);
    int status = http_request_parse_uri(request, detail);
    assert_true((status != 0) == (detail[0] != '\0'));
    return status;
}

static void test_path(void **state)
{
    struct http_request request;
    assert_int_equal(parse(&request, "/v1/twins/z%6Dumu/sample?n=10&seed=4&x=%20+%2b"), 0);
    assert_int_equal(request.segments, 4);
    assert_string_equal(request.segment[2], "zmumu");
    assert_string_equal(request.segment[3], "sample");
    assert_string_equal(http_request_query(&request, "n"), "10");
    assert_string_equal(http_request_query(&request, "x"), "  +");
    assert_null(http_request_query(&request, "y"));
    http_request_fini(&request);

    assert_int_equal(parse(&request, "/"), 0);
    assert_int_equal(request.segments, 0);
    http_request_fini(&request);

    /* an escaped slash stays inside its segment, and an empty last segment counts */
    assert_int_equal(parse(&request, "/a%2fb/"), 0);
    assert_int_equal(request.segments, 2);
    assert_string_equal(request.segment[0], "a/b");
    assert_string_equal(request.segment[1], "");
    http_request_fini(&request);

    assert_int_equal(parse(&request, "/1/2/3/4/5/6/7/8/9"), 0);
    assert_int_equal(request.segments, -1);
    http_request_fini(&request);

    assert_int_equal(parse(&request, "HTTP://localhost:80/livez"), 0);
    assert_string_equal(request.authority, "localhost:80");
    assert_string_equal(request.segment[0], "livez");
    http_request_fini(&request);
}

static void test_refused_uris(void **state)
{
    static const char *const bad[] = {
        "",        "livez",        "*",      "/a%00b",           "/a%0",          "/a%",
        "/a%zz",   "/a%0d%0a",     "/%ff",   "/%c0%af",          "/%ed%a0%80",    "/?a=%00",
        "/?%00=a", "/?a=%g1",      "/a#b",   "http://localhost", "/%f5%80%80%80", "/\x01",
        "/?a=%c3", "http://%00/a", "/%e2%82"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct http_request request;
        if (parse(&request, bad[i]) == 0)
            fail_msg("accepted: %s", bad[i]);
        http_request_fini(&request);
    }
    char many[256] = "/?";
    for (int i = 0; i <= HTTP_QUERY_MAX; i++)
        sprintf(many + strlen(many), "a%d=1&", i);
    struct http_request request;
    assert_int_not_equal(parse(&request, many), 0);
    http_request_fini(&request);
}

/* Whatever comes: it parses or is refused, and what parses is UTF-8 without control characters. */
static void test_random_uris(void **state)
{
    static const char alphabet[] = "/?&=%+ab0fFgz\xc3\xa9\xff\x01#";
    for (uint64_t round = 0; round < 20000; round++) {
        char uri[64];
        size_t n = 1 + (size_t)(tw_rng_uniform(17, round, 0) * 60);
        for (size_t i = 0; i < n; i++)
            uri[i] = alphabet[(size_t)(tw_rng_uniform(17, round, i + 1) * (sizeof alphabet - 1))];
        uri[0] = '/';
        uri[n] = '\0';
        struct http_request request;
        if (parse(&request, uri) == 0)
            for (int i = 0; i < request.segments; i++) {
                json_t *text = json_string(request.segment[i]);
                assert_non_null(text);
                json_decref(text);
            }
        http_request_fini(&request);
    }
}

static void test_query_checks(void **state)
{
    struct http_request request;
    struct http_response response = {0};
    int64_t value = 7;
    parse(&request, "/?limit=5&n=-3&big=99999999999999999999&x=1e3&e=");
    assert_null(http_request_query_unknown(&request, "limit,n,big,x,e"));
    assert_string_equal(http_request_query_unknown(&request, "limit,n,bigger,x,e"), "big");
    assert_true(http_request_query_int(&request, "absent", 0, 9, &value, &response));
    assert_int_equal(value, 7);
    assert_true(http_request_query_int(&request, "limit", 1, 5, &value, &response));
    assert_int_equal(value, 5);
    assert_int_equal(response.status, 0);
    static const char *const bad[] = {"n", "big", "x", "e"};
    for (int i = 0; i < 4; i++) {
        assert_false(http_request_query_int(&request, bad[i], 0, INT64_MAX, &value, &response));
        assert_int_equal(response.status, 400);
    }
    assert_false(http_request_query_int(&request, "limit", 6, 9, &value, &response));
    assert_true(http_request_query_int(&request, "n", -3, 0, &value, &response));
    assert_int_equal(value, -3);
    http_request_fini(&request);
    parse(&request, "/?a=1&a=2");
    assert_string_equal(http_request_query_unknown(&request, "a"), "a");
    http_request_fini(&request);
    http_response_fini(&response);
}

static void test_negotiate(void **state)
{
    static const char *const offers[] = {"application/json", "application/x-npy", "text/csv"};
    static const struct {
        const char *accept;
        int expected;
    } cases[] = {
        {NULL, 0},
        {"", 0},
        {"*/*", 0},
        {"text/csv", 2},
        {"TEXT/CSV", 2},
        {"application/x-npy, */*;q=0.1", 1},
        {"text/*", 2},
        {"application/*;q=0.5, text/csv;q=0.6", 2},
        {"application/json;q=0, */*", 1},
        {"application/json;q=0.1, text/csv;q=0.1", 0},
        {"text/csv;charset=utf-8;q=0.9,application/x-npy;q=0.95", 1},
        {"image/png", -1},
        {"text/html, image/*", -1},
        {"*/*;q=0", -1},
        {"text/csv;q=nonsense", -1},
        {",,;;", -1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int got = http_request_negotiate(cases[i].accept, offers, 3);
        if (got != cases[i].expected)
            fail_msg("Accept: %s gives %d, not %d", cases[i].accept, got, cases[i].expected);
    }
}

static void test_etag(void **state)
{
    assert_true(http_request_etag("\"12\"", "12", false));
    assert_true(http_request_etag("\"11\", \"12\"", "12", false));
    assert_true(http_request_etag(" * ", "12", false));
    assert_true(http_request_etag("W/\"12\"", "12", true));
    assert_false(http_request_etag("W/\"12\"", "12", false));
    assert_false(http_request_etag("12", "12", false));
    assert_false(http_request_etag("\"1\"", "12", false));
    assert_false(http_request_etag("\"123\"", "12", false));
    assert_false(http_request_etag("\"12", "12", false));
    assert_false(http_request_etag("", "12", false));
}

static void test_bearer(void **state)
{
    assert_true(http_request_bearer("Bearer secret", "secret"));
    assert_true(http_request_bearer("bearer   secret", "secret"));
    assert_false(http_request_bearer("Bearer secre", "secret"));
    assert_false(http_request_bearer("Bearer secrets", "secret"));
    assert_false(http_request_bearer("Basic secret", "secret"));
    assert_false(http_request_bearer("Bearer ", ""));
    assert_false(http_request_bearer(NULL, "secret"));
    assert_false(http_request_bearer("Bearer secret", NULL));
}

static json_t *object(const char *body, const char *type, struct http_response *response)
{
    struct http_request request = {.body = (unsigned char *)body, .body_size = strlen(body)};
    request.header[HTTP_CONTENT_TYPE] = type;
    return http_request_object(&request, "a,b", response);
}

static void test_objects(void **state)
{
    struct http_response response = {0};
    json_t *json = object("{\"a\": 1}", "application/json; charset=utf-8", &response);
    assert_non_null(json);
    json_decref(json);
    json = object("{}", NULL, &response);
    assert_non_null(json);
    json_decref(json);
    static const struct {
        const char *body, *type;
        int status;
    } bad[] = {
        {"{\"c\": 1}", NULL, 400},
        {"{\"a\": 1, \"a\": 2}", NULL, 400},
        {"[]", NULL, 400},
        {"", NULL, 400},
        {"{\"a\": 1} x", NULL, 400},
        {"{}", "text/plain", 415},
        {"{\"\\u0000\": 1}", NULL, 400},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_null(object(bad[i].body, bad[i].type, &response));
        assert_int_equal(response.status, bad[i].status);
        assert_string_equal(response.type, "application/problem+json");
    }
    http_response_fini(&response);
}

static void test_headers_joined(void **state)
{
    struct http_request request = {0};
    assert_true(http_request_header(&request, "aCCept", "text/csv"));
    assert_true(http_request_header(&request, "Accept", "*/*"));
    assert_true(http_request_header(&request, "X-Other", "1"));
    assert_string_equal(request.header[HTTP_ACCEPT], "text/csv, */*");
    assert_true(http_request_header(&request, "ACCEPT", "a/b"));
    assert_string_equal(request.header[HTTP_ACCEPT], "text/csv, */*, a/b");
    assert_null(request.header[HTTP_ACCEPT_ENCODING]);
    http_request_fini(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path),         cmocka_unit_test(test_refused_uris), cmocka_unit_test(test_random_uris),
        cmocka_unit_test(test_query_checks), cmocka_unit_test(test_negotiate),    cmocka_unit_test(test_etag),
        cmocka_unit_test(test_bearer),       cmocka_unit_test(test_objects),      cmocka_unit_test(test_headers_joined),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
