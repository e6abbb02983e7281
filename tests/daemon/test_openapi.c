/* The OpenAPI document against the table of routes: each has what the other has. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "daemon/openapi.h"
#include "daemon/route.h"

static json_t *document;

static int load(void **state)
{
    struct http_request request = {0};
    struct http_response response = {0};
    assert_int_equal(openapi_get(&request, &response), ROUTE_DONE);
    assert_int_equal(response.status, 200);
    document = json_loadb(response.body, response.size, JSON_REJECT_DUPLICATES, NULL);
    http_response_fini(&response);
    return document != NULL ? 0 : -1;
}

static int unload(void **state)
{
    json_decref(document);
    return 0;
}

static const json_t *operation_of(const struct route *route)
{
    char method[16] = "";
    for (size_t i = 0; route->method[i] != '\0' && i < sizeof method - 1; i++)
        method[i] = (char)tolower((unsigned char)route->method[i]);
    return json_object_get(json_object_get(json_object_get(document, "paths"), route->pattern), method);
}

/* Are the parameters of the operation in `place` ("query", "path") those of "a,b,c"? */
static bool same_parameters(const json_t *operation, const char *place, const char *list)
{
    size_t i, named = 0, words = list[0] != '\0';
    json_t *parameter;
    for (const char *p = list; *p != '\0'; p++)
        words += *p == ',';
    json_array_foreach(json_object_get(operation, "parameters"), i, parameter)
    {
        if (strcmp(json_string_value(json_object_get(parameter, "in")), place) != 0)
            continue;
        if (!http_request_listed(json_string_value(json_object_get(parameter, "name")), list))
            return false;
        named++;
    }
    return named == words;
}

/* The names in braces of a pattern, as "a,b". */
static void braces(const char *pattern, char out[64])
{
    out[0] = '\0';
    for (const char *p = strchr(pattern, '{'); p != NULL; p = strchr(p + 1, '{')) {
        if (out[0] != '\0')
            strcat(out, ",");
        strncat(out, p + 1, strcspn(p + 1, "}"));
    }
}

/* Is it said how a daemon that is stopping answers? Most refer to what all share. */
static bool may_refuse(const json_t *answers, const char *pattern)
{
    const json_t *answer = json_object_get(answers, "503");
    const char *media = strncmp(pattern, "/v2", 3) == 0 ? "application/json" : "application/problem+json";
    return json_object_get(answer, "$ref") != NULL ||
           json_object_get(json_object_get(answer, "content"), media) != NULL;
}

static void test_routes_are_described(void **state)
{
    for (const struct route *route = route_all(); route->method != NULL; route++) {
        const json_t *operation = operation_of(route);
        const json_t *answers = json_object_get(operation, "responses");
        char path[64];
        const char *wrong = NULL;
        braces(route->pattern, path);
        if (operation == NULL)
            wrong = "is not described";
        else if (!same_parameters(operation, "query", route->query))
            wrong = "has other query parameters";
        else if (!same_parameters(operation, "path", path))
            wrong = "has other path parameters";
        else if ((json_object_get(operation, "security") != NULL) != route->token)
            wrong = "differs about the token";
        else if ((json_object_get(answers, "401") != NULL) != route->token)
            wrong = "differs about 401";
        else if (!may_refuse(answers, route->pattern))
            wrong = "does not say how it is refused";
        else if ((size_t)json_integer_value(json_object_get(operation, "x-max-body-bytes")) != route->body_limit)
            wrong = "has another limit";
        else if (route->body_limit > 1024 && json_object_get(operation, "requestBody") == NULL)
            wrong = "has no body";
        if (wrong != NULL)
            fail_msg("%s %s %s in the document", route->method, route->pattern, wrong);
    }
}

static void test_nothing_else_is_described(void **state)
{
    const char *pattern, *method;
    json_t *path, *operation;
    json_object_foreach(json_object_get(document, "paths"), pattern, path)
    {
        json_object_foreach(path, method, operation)
        {
            bool found = false;
            for (const struct route *route = route_all(); route->method != NULL; route++)
                found = found || operation_of(route) == operation;
            if (!found)
                fail_msg("%s %s is described, but no route", method, pattern);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_routes_are_described),
        cmocka_unit_test(test_nothing_else_is_described),
    };
    return cmocka_run_group_tests(tests, load, unload);
}
