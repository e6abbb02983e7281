/* The table of routes: what is found, what is allowed, and that the table itself is sound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/api.h"
#include "daemon/route.h"

static const struct route *find(const char *method, const char *uri, struct http_request *request, char allow[64])
{
    char detail[200];
    memset(request, 0, sizeof *request);
    request->method = method;
    request->uri = http_request_uri(uri);
    assert_int_equal(http_request_parse_uri(request, detail), 0);
    return route_find(request, allow);
}

static void expect(const char *method, const char *uri, route_handler handler, const char *allow)
{
    struct http_request request;
    char allowed[64];
    const struct route *route = find(method, uri, &request, allowed);
    if ((route != NULL ? route->handler : NULL) != handler)
        fail_msg("%s %s: the wrong handler", method, uri);
    if (route == NULL)
        assert_string_equal(allowed, allow);
    http_request_fini(&request);
}

static void test_found(void **state)
{
    expect("GET", "/v1/twins", api_twins_list, "");
    expect("HEAD", "/v1/twins?limit=3", api_twins_list, "");
    expect("POST", "/v1/twins", api_twins_create, "");
    expect("GET", "/v1/twins/zmumu", api_twins_get, "");
    expect("POST", "/v1/twins/zmumu/sample", api_sample_post, "");
    expect("GET", "/v1/twins/zmumu/versions/3/artifact", api_versions_artifact, "");
    expect("PUT", "/v1/twins/zmumu/aliases/champion", api_aliases_put, "");
    expect("DELETE", "/v1/operations/12", api_operations_cancel, "");
    expect("GET", "/v2", api_inference_server, "");
    expect("POST", "/v2/models/zmumu/versions/2/infer", api_infer_post, "");
}

static void test_not_found(void **state)
{
    static const char *const nothing[] = {"/v1",
                                          "/v1/",
                                          "/v1/twins/",
                                          "/v2/twins",
                                          "/v1/twins//sample",
                                          "/v1/twinsx",
                                          "/V1/twins",
                                          "/v1/twins/a/b/c/d/e/f/g/h",
                                          "/v1/twins/a/sample/",
                                          "/livezz",
                                          "/v1%2ftwins",
                                          "/livez%2f",
                                          "/v1/twins%2fa"};
    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++)
        expect("GET", nothing[i], NULL, "");
}

static void test_allow(void **state)
{
    expect("DELETE", "/v1/twins", NULL, "GET, HEAD, POST");
    expect("POST", "/v1/twins/a", NULL, "GET, HEAD, PATCH, DELETE");
    expect("get", "/livez", NULL, "GET, HEAD");
    expect("POST", "/v1/twins/a/aliases/champion", NULL, "GET, HEAD, PUT");
}

static void test_inference(void **state)
{
    static const char *const yes[] = {"/v2", "/v2/", "/v2?x", "/v2/models/a"}, *const no[] = {"/", "/v1", "/v20",
                                                                                              "/v2x/"};
    for (size_t i = 0; i < 4; i++) {
        assert_true(route_is_inference(yes[i]));
        assert_false(route_is_inference(no[i]));
    }
}

static void test_params(void **state)
{
    struct http_request request;
    char allow[64];
    assert_non_null(find("GET", "/v1/twins/a%20b/aliases/c", &request, allow));
    assert_string_equal(request.param[0], "a b");
    assert_string_equal(request.param[1], "c");
    http_request_fini(&request);
}

/* Everything that changes something needs the token, and so do a copy of everything and a look at the machine; only
 * queries of a model may be posted without. */
static void test_table(void **state)
{
    for (const struct route *route = route_all(); route->method != NULL; route++) {
        bool reads = strcmp(route->method, "GET") == 0 || strstr(route->pattern, "/sample") != NULL ||
                     strstr(route->pattern, "/log_prob") != NULL || route_is_inference(route->pattern);
        reads = reads && strcmp(route->pattern, "/v1/backup") != 0 && strcmp(route->pattern, "/v1/doctor") != 0;
        if (route->token == reads)
            fail_msg("%s %s: token %d", route->method, route->pattern, route->token);
        bool rows = strstr(route->pattern, "/train") != NULL ||
                    (strstr(route->pattern, "/batches") != NULL && strcmp(route->method, "POST") == 0);
        assert_true(route->body_limit <= (rows ? 256u : 1u) * 1024 * 1024);
        for (const struct route *other = route_all(); other != route; other++)
            assert_true(strcmp(other->pattern, route->pattern) != 0 || strcmp(other->method, route->method) != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_found),  cmocka_unit_test(test_not_found), cmocka_unit_test(test_allow),
        cmocka_unit_test(test_params), cmocka_unit_test(test_inference), cmocka_unit_test(test_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
