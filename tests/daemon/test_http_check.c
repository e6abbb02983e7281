/* What is refused before routing: framing, Host, Origin, addresses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/http_check.h"
#include "daemon/http_response.h"

static void test_host(void **state)
{
    static const char *const good[] = {"localhost", "LOCALHOST:1", "127.0.0.1",     "127.0.0.1:65535",  "[::1]",
                                       "[::1]:80",  "localhost:",  "twin.lab:8470", "other.example.org"};
    static const char *const bad[] = {"",
                                      "evil",
                                      "localhost.evil",
                                      "localhost:x",
                                      "[::1",
                                      "[::1]x",
                                      "127.0.0.1.evil",
                                      "127.0.0.2",
                                      "localhost:123456",
                                      "twin.la",
                                      "twin.lab.",
                                      "localhost evil",
                                      "localhost:1:2",
                                      "::1",
                                      "evil@localhost",
                                      "[::2]",
                                      ",",
                                      ":80"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!http_check_host(good[i], "twin.lab, other.example.org"))
            fail_msg("refused: %s", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (http_check_host(bad[i], "twin.lab, other.example.org"))
            fail_msg("accepted: %s", bad[i]);
    assert_false(http_check_host("twin.lab", ""));
    assert_false(http_check_host("twin.lab", NULL));
}

static void test_origin(void **state)
{
    assert_true(http_check_origin("http://localhost:8470", "localhost:8470", "", 8470));
    assert_true(http_check_origin("http://localhost:8470", "127.0.0.1:8470", "", 8470));
    assert_true(http_check_origin("https://twin.lab", "twin.lab", "twin.lab", 8470));    /* a proxy in front */
    assert_true(http_check_origin("http://localhost:9000", "localhost:9000", "", 8470)); /* a tunnel */
    assert_false(http_check_origin("http://localhost:3000", "localhost:8470", "", 8470));
    assert_false(http_check_origin("http://evil.example", "localhost:8470", "", 8470));
    assert_false(http_check_origin("http://localhost:8470.evil.example", "localhost:8470", "", 8470));
    assert_false(http_check_origin("null", "localhost:8470", "", 8470));
    assert_false(http_check_origin("", "localhost:8470", "", 8470));
    assert_false(http_check_origin("ftp://localhost:8470", "localhost:8470", "", 8470));
    assert_false(http_check_origin("http://localhost", "localhost:8470", "", 8470));
}

struct line {
    const char *name, *value;
};

static int status_of(const struct line *lines, bool http11, bool *close, int64_t *length)
{
    struct http_check check = {
        .hosts = "", .port = 8470, .method = "GET", .target = "/", .version = http11 ? "HTTP/1.1" : "HTTP/1.0"};
    struct http_refusal refusal = {0};
    for (; lines->name != NULL; lines++)
        http_check_header(&check, lines->name, lines->value);
    bool ok = http_check_request(&check, NULL, &refusal);
    *length = check.content_length;
    *close = refusal.close;
    return ok ? 0 : refusal.status;
}

static void test_framing(void **state)
{
    static const struct {
        struct line line[4];
        bool http10;
        int status;
        int64_t length;
    } cases[] = {
        {{{"Host", "localhost"}}, false, 0, -1},
        {{{"host", "localhost"}, {"CONTENT-LENGTH", "17"}}, false, 0, 17},
        {{{"Host", "localhost"}, {"Transfer-Encoding", "Chunked"}}, false, 0, -1},
        {{{"Host", "localhost"}, {"Transfer-Encoding", "chunked"}}, true, 400, 0},
        {{{"X", "1"}}, false, 400, -1},
        {{{"Host", "localhost"}, {"Host", "localhost"}}, false, 400, -1},
        {{{"Host", "localhost"}, {"Content-Length", "1"}, {"Content-Length", "1"}}, false, 400, 0},
        {{{"Host", "localhost"}, {"Content-Length", "1"}, {"Transfer-Encoding", "chunked"}}, false, 400, 0},
        {{{"Host", "localhost"}, {"Transfer-Encoding", "gzip, chunked"}}, false, 400, 0},
        {{{"Host", "localhost"}, {"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}}, false, 400, 0},
        {{{"Host", "localhost"}, {"Transfer-Encoding", "xchunked"}}, false, 400, 0},
        {{{"Host", "localhost"}, {"Transfer-Encoding ", "chunked"}}, false, 400, 0},
        {{{"Host", "localhost"}, {"Content-Length", "+1"}}, false, 400, -1},
        {{{"Host", "localhost"}, {"Content-Length", "1, 1"}}, false, 400, -1},
        {{{"Host", "localhost"}, {"Content-Length", ""}}, false, 400, -1},
        {{{"Host", "localhost"}, {"Content-Length", "9999999999999999999"}}, false, 400, -1},
        {{{"Host", "localhost"}, {"X\x01", "1"}}, false, 400, 0},
        {{{"Host", "localhost"}, {"X", "a\rb"}}, false, 400, 0},
        {{{"Host", "localhost"}, {"", "a"}}, false, 400, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool close;
        int64_t length;
        int status = status_of(cases[i].line, !cases[i].http10, &close, &length);
        if (status != cases[i].status || (status == 400 && !close) || length != cases[i].length)
            fail_msg("case %zu: status %d, length %lld", i, status, (long long)length);
    }
}

/* Each byte in each place, against the words of the RFCs. */
static void test_bytes(void **state)
{
    for (int c = 1; c < 256; c++) {
        char text[] = {'a', (char)c, 'b', '\0'};
        bool letter = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool token = letter || strchr("!#$%&'*+-.^_`|~", c) != NULL;
        bool visible = c > ' ' && c != 0x7f;
        for (int place = 0; place < 4; place++) {
            struct http_check check = {.hosts = "", .port = 1, .method = "GET", .target = "/", .version = "HTTP/1.1"};
            struct http_refusal refusal;
            http_check_header(&check, "Host", "localhost");
            if (place == 0)
                check.method = text;
            else if (place == 1)
                check.target = text;
            else
                http_check_header(&check, place == 2 ? text : "X", place == 3 ? text : "1");
            bool expected = place == 1 ? visible : place == 3 ? visible || c == ' ' || c == '\t' : token;
            if (http_check_request(&check, NULL, &refusal) != expected)
                fail_msg("byte %d in place %d", c, place);
        }
    }
}

static void test_host_and_origin(void **state)
{
    bool close;
    int64_t length;
    assert_int_equal(status_of((struct line[]){{"Host", "evil"}, {NULL, NULL}}, true, &close, &length), 421);
    assert_int_equal(status_of((struct line[]){{"Host", "localhost"}, {"Origin", "http://evil"}, {NULL, NULL}}, true,
                               &close, &length),
                     403);
    assert_int_equal(status_of((struct line[]){{"Host", "localhost:8470"},
                                               {"Origin", "http://localhost:8470"},
                                               {"Origin", "http://localhost:8470"},
                                               {NULL, NULL}},
                               true, &close, &length),
                     403);
    struct http_check check = {.hosts = "", .port = 8470, .method = "GET", .target = "/", .version = "HTTP/1.1"};
    struct http_refusal refusal;
    http_check_header(&check, "Host", "localhost");
    assert_true(http_check_request(&check, "127.0.0.1:8470", &refusal));
    assert_false(http_check_request(&check, "evil", &refusal));
    assert_int_equal(refusal.status, 421);
}

static void test_address(void **state)
{
    char host[64];
    int port = -1;
    struct tw_error error;
    assert_int_equal(http_check_address("127.0.0.1:8470", host, &port, &error), TW_OK);
    assert_string_equal(host, "127.0.0.1");
    assert_int_equal(port, 8470);
    assert_int_equal(http_check_address("localhost:0", host, &port, &error), TW_OK);
    assert_int_equal(port, 0);
    assert_int_equal(http_check_address("[::1]:80", host, &port, &error), TW_OK);
    assert_string_equal(host, "::1");
    static const char *const bad[] = {"",        "127.0.0.1",  "127.0.0.1:",    "127.0.0.1:x",   "127.0.0.1:65536",
                                      ":8470",   "0.0.0.0:80", "192.168.0.1:1", "[::]:80",       "[::1:80",
                                      "twin:80", "::1:80",     "127.1:80",      "[127.0.0.1]:80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (http_check_address(bad[i], host, &port, &error) != TW_INVALID)
            fail_msg("accepted: %s", bad[i]);
}

static void test_problem(void **state)
{
    struct http_response response = {0};
    http_response_header(&response, "X-Ok", "%s", "1");
    http_response_header(&response, "X-Split", "%s", "1\r\nX-Other: 2");
    assert_int_equal(response.headers, 1);
    http_response_problem(&response, 404, "unknown_twin", "there is no twin \"%s\"", "a\"b\xff");
    json_t *json = json_loadb(response.body, response.size, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(json, "status")), 404);
    assert_string_equal(json_string_value(json_object_get(json, "error")), "unknown_twin");
    assert_string_equal(json_string_value(json_object_get(json, "detail")), "there is no twin \"a\"b?\"");
    json_decref(json);
    http_response_fini(&response);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_host),    cmocka_unit_test(test_origin),
        cmocka_unit_test(test_framing), cmocka_unit_test(test_host_and_origin),
        cmocka_unit_test(test_bytes),   cmocka_unit_test(test_address),
        cmocka_unit_test(test_problem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
