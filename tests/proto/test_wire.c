/* The wire: what a feed may send, each way in which it can be wrong, and the answers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "proto/wire.h"

#define KEY "\"twin\": \"zmumu\", \"feed\": \"daq1\", \"run\": 1, \"seq\": 42"

struct array {
    unsigned char bytes[TWP_NPY_HEADER + 64];
    size_t size;
};

static struct array array_of(int dims, size_t rows, size_t cols, float value)
{
    struct array out = {.size = TWP_NPY_HEADER + rows * cols * 4};
    twp_npy_header(dims, rows, cols, 4, out.bytes);
    for (size_t i = 0; i < rows * cols; i++)
        memcpy(out.bytes + TWP_NPY_HEADER + 4 * i, &value, 4);
    return out;
}

static struct twp_frame text(const char *string)
{
    return (struct twp_frame){string, strlen(string)};
}

static enum twp_code decode(const char *header, const struct array *payload, const struct array *weights,
                            struct twp_batch *batch, char detail[200])
{
    struct twp_frame frames[4] = {text(TWP_BATCH), text(header), {payload->bytes, payload->size}};
    if (weights)
        frames[3] = (struct twp_frame){weights->bytes, weights->size};
    return twp_wire_batch(frames, weights ? 4 : 3, batch, detail);
}

static void names(void **state)
{
    char name[70];
    memset(name, 'a', sizeof name);
    name[64] = '\0';
    assert_true(twp_wire_name_ok(name));
    name[64] = 'a';
    name[65] = '\0';
    assert_false(twp_wire_name_ok(name));
    assert_true(twp_wire_name_ok("0-_z"));
    static const char *const bad[] = {"", "-a", "_a", "A", "a b", "a/b", "\xc3\xbc", "a\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(twp_wire_name_ok(bad[i]));
}

static void full_batch(void **state)
{
    struct array payload = array_of(2, 4, 2, 1.5f), weights = array_of(1, 4, 1, 2);
    struct twp_batch batch;
    char detail[200];
    const char *header = "{" KEY ", \"columns\": [\"a\", \"b\"], \"conditions\": {\"x\": 1, \"y\": 0.5},"
                         " \"stream\": \"simulation\", \"time\": \"2026-03-01T12:00:00.25+01:00\"}";
    assert_int_equal(decode(header, &payload, &weights, &batch, detail), TWP_OK);
    assert_string_equal(batch.key.twin, "zmumu");
    assert_string_equal(batch.key.feed, "daq1");
    assert_true(batch.key.run == 1 && batch.key.seq == 42);
    assert_int_equal(batch.columns, 2);
    assert_string_equal(batch.column[1], "b");
    assert_int_equal(batch.conditions, 2);
    assert_int_equal(batch.stream, TWP_STREAM_SIMULATION);
    assert_string_equal(batch.time, "2026-03-01T12:00:00.25+01:00");
    assert_true(batch.payload.rows == 4 && batch.payload.cols == 2 && batch.has_weights && batch.weights.rows == 4);
    twp_wire_batch_fini(&batch);
    assert_int_equal(decode("{" KEY "}", &payload, NULL, &batch, detail), TWP_OK);
    assert_true(batch.columns == 0 && batch.conditions == 0 && !batch.has_weights && !batch.time[0] &&
                batch.stream == TWP_STREAM_DATA);
    twp_wire_batch_fini(&batch);
}

static void bad_headers(void **state)
{
    static const char *const headers[][2] = {
        {"", "JSON"},
        {"[]", "object"},
        {"{" KEY, "JSON"},
        {"{" KEY "} {}", "JSON"},
        {"{" KEY ", \"seq\": 42}", "JSON"}, /* a repeated member */
        {"{" KEY ", \"colour\": 1}", "colour"},
        {"{\"feed\": \"f\", \"run\": 1, \"seq\": 0}", "\"twin\" is missing"},
        {"{\"twin\": \"A\", \"feed\": \"f\", \"run\": 1, \"seq\": 0}", "twin"},
        {"{\"twin\": 1, \"feed\": \"f\", \"run\": 1, \"seq\": 0}", "\"twin\" must be a string"},
        {"{\"twin\": \"a\", \"feed\": \"f\", \"run\": 1.0, \"seq\": 0}", "\"run\" must be an integer"},
        {"{\"twin\": \"a\", \"feed\": \"f\", \"run\": -1, \"seq\": 0}", "run"},
        {"{\"twin\": \"a\", \"feed\": \"f\", \"run\": 1, \"seq\": 9223372036854775808}", "JSON"},
        {"{\"twin\": \"a\", \"feed\": \"f\", \"run\": 1, \"seq\": true}", "seq"},
        {"{\"twin\": \"a\", \"feed\": \"f\", \"run\": 1}", "\"seq\" is missing"},
        {"{" KEY ", \"columns\": \"a\"}", "columns"},
        {"{" KEY ", \"columns\": []}", "columns"},
        {"{" KEY ", \"columns\": [\"\"]}", "columns"},
        {"{" KEY ", \"columns\": [\"a\", 1]}", "\"columns\"[1]"},
        {"{" KEY ", \"conditions\": []}", "conditions"},
        {"{" KEY ", \"conditions\": {\"x\": \"1\"}}", "\"x\" must be a number"},
        {"{" KEY ", \"conditions\": {\"x\": 1e999}}", "JSON"},
        {"{" KEY ", \"stream\": \"toys\"}", "stream"},
        {"{" KEY ", \"stream\": null}", "stream"},
        {"{" KEY ", \"time\": \"\"}", "time"},
        {"{" KEY ", \"time\": \"yesterday\"}", "time"},
        {"{" KEY ", \"time\": \"2026-03-01 12:00:00Z\"}", "time"},
        {"{" KEY ", \"time\": \"2026-03-01T12:00:00\"}", "time"},
        {"{" KEY ", \"time\": \"2026-03-01T12:00:00.Z\"}", "time"},
        {"{" KEY ", \"time\": 0}", "time"},
    };
    struct array payload = array_of(2, 1, 1, 0);
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        struct twp_batch batch;
        char detail[200];
        if (decode(headers[i][0], &payload, NULL, &batch, detail) != TWP_BAD_HEADER)
            fail_msg("%s was not refused as bad_header", headers[i][0]);
        if (!strstr(detail, headers[i][1]))
            fail_msg("%s: \"%s\" does not say \"%s\"", headers[i][0], detail, headers[i][1]);
        assert_null(batch.column);
    }
}

static void the_key_is_read_as_far_as_it_goes(void **state)
{
    struct array payload = array_of(2, 1, 1, 0);
    struct twp_batch batch;
    char detail[200];
    assert_int_equal(
        decode("{\"twin\": \"A\", \"feed\": \"f\", \"run\": 3, \"seq\": 9}", &payload, NULL, &batch, detail),
        TWP_BAD_HEADER);
    assert_string_equal(batch.key.twin, "");
    assert_string_equal(batch.key.feed, "f");
    assert_true(batch.key.run == 3 && batch.key.seq == 9);
    assert_int_equal(decode("nonsense", &payload, NULL, &batch, detail), TWP_BAD_HEADER);
    assert_true(batch.key.twin[0] == '\0' && batch.key.run == -1 && batch.key.seq == -1);
    struct array truncated = payload;
    truncated.size--;
    assert_int_equal(decode("{" KEY "}", &truncated, NULL, &batch, detail), TWP_BAD_PAYLOAD);
    assert_string_equal(batch.key.twin, "zmumu");
    struct twp_frame two[2] = {text(TWP_BATCH), text("{" KEY "}")};
    assert_int_equal(twp_wire_batch(two, 2, &batch, detail), TWP_BAD_FRAME);
    assert_int_equal(batch.key.seq, 42);
}

static void bad_frames(void **state)
{
    struct array payload = array_of(2, 1, 1, 0);
    struct twp_frame npy = {payload.bytes, payload.size};
    struct twp_frame wrong_tag[3] = {text("TWB2"), text("{" KEY "}"), npy};
    struct twp_frame many[5] = {text(TWP_BATCH), text("{" KEY "}"), npy, npy, npy};
    struct twp_frame huge[3] = {text(TWP_BATCH), text("{" KEY "}"), {payload.bytes, TWP_BATCH_BYTES_MAX}};
    struct twp_frame overflow[4] = {text(TWP_BATCH), text("{" KEY "}"), {payload.bytes, SIZE_MAX - 4}, {NULL, 64}};
    struct twp_batch batch;
    char detail[200];
    assert_int_equal(twp_wire_batch(NULL, 0, &batch, detail), TWP_BAD_FRAME);
    assert_int_equal(twp_wire_batch(wrong_tag, 3, &batch, detail), TWP_BAD_FRAME);
    assert_int_equal(twp_wire_batch(many, 1, &batch, detail), TWP_BAD_FRAME);
    assert_int_equal(twp_wire_batch(many, 5, &batch, detail), TWP_BAD_FRAME);
    assert_int_equal(twp_wire_batch(huge, 3, &batch, detail), TWP_BAD_FRAME);
    assert_int_equal(twp_wire_batch(overflow, 4, &batch, detail), TWP_BAD_FRAME);
}

static void bad_payloads(void **state)
{
    struct twp_batch batch;
    char detail[200];
    struct array one = array_of(2, 2, 1, 1), flat = array_of(1, 4, 1, 1), none = array_of(2, 0, 3, 0), text_array = one;
    text_array.bytes[1] = 'M';
    assert_int_equal(decode("{" KEY "}", &text_array, NULL, &batch, detail), TWP_BAD_PAYLOAD);
    assert_int_equal(decode("{" KEY "}", &flat, NULL, &batch, detail), TWP_BAD_SHAPE);
    assert_int_equal(decode("{" KEY "}", &none, NULL, &batch, detail), TWP_BAD_SHAPE);
    struct array fits = array_of(1, 2, 1, 1), more = array_of(1, 3, 1, 1), square = array_of(2, 2, 1, 1);
    struct array negative = array_of(1, 2, 1, -1), undefined = array_of(1, 2, 1, NAN),
                 endless = array_of(1, 2, 1, INFINITY);
    assert_int_equal(decode("{" KEY "}", &one, &fits, &batch, detail), TWP_OK);
    twp_wire_batch_fini(&batch);
    assert_int_equal(decode("{" KEY "}", &one, &more, &batch, detail), TWP_BAD_SHAPE);
    assert_int_equal(decode("{" KEY "}", &one, &square, &batch, detail), TWP_BAD_SHAPE);
    assert_int_equal(decode("{" KEY "}", &one, &negative, &batch, detail), TWP_OK);
    twp_wire_batch_fini(&batch);
    assert_int_equal(decode("{" KEY "}", &one, &undefined, &batch, detail), TWP_BAD_PAYLOAD);
    assert_int_equal(decode("{" KEY "}", &one, &endless, &batch, detail), TWP_BAD_PAYLOAD);
    assert_non_null(strstr(detail, "row 0"));
}

static void limits(void **state)
{
    struct array payload = array_of(2, 1, 1, 0);
    struct twp_batch batch;
    char detail[200];
    char *header = malloc(TWP_HEADER_MAX + 100);
    memset(header, ' ', TWP_HEADER_MAX + 99);
    header[TWP_HEADER_MAX + 99] = '\0';
    memcpy(header, "{" KEY "}", strlen("{" KEY "}"));
    assert_int_equal(decode(header, &payload, NULL, &batch, detail), TWP_BAD_HEADER);
    header[TWP_HEADER_MAX] = '\0';
    assert_int_equal(decode(header, &payload, NULL, &batch, detail), TWP_OK);
    twp_wire_batch_fini(&batch);
    for (int columns = TWP_COLUMNS_MAX; columns <= TWP_COLUMNS_MAX + 1; columns++) {
        size_t at = (size_t)sprintf(header, "{" KEY ", \"columns\": [");
        for (int i = 0; i < columns; i++)
            at += (size_t)sprintf(header + at, "%s\"c%d\"", i ? "," : "", i);
        strcpy(header + at, "]}");
        assert_int_equal(decode(header, &payload, NULL, &batch, detail),
                         columns == TWP_COLUMNS_MAX ? TWP_OK : TWP_BAD_HEADER);
        twp_wire_batch_fini(&batch);
    }
    memset(header, '[', 100000); /* nested deeper than any stack should go */
    header[100000] = '\0';
    assert_int_equal(decode(header, &payload, NULL, &batch, detail), TWP_BAD_HEADER);
    free(header);
}

static void hello(void **state)
{
    struct twp_key key = {"zmumu", "daq1", 7, -1}, out;
    char detail[200], *header = twp_wire_hello_header(&key);
    struct twp_frame frames[3] = {text(TWP_HELLO), text(header), text("")};
    assert_int_equal(twp_wire_hello(frames, 2, &out, detail), TWP_OK);
    assert_true(strcmp(out.twin, "zmumu") == 0 && strcmp(out.feed, "daq1") == 0 && out.run == 7 && out.seq == -1);
    assert_int_equal(twp_wire_hello(frames, 3, &out, detail), TWP_BAD_FRAME);
    assert_int_equal(out.run, 7);
    frames[1] = text("{" KEY "}"); /* seq does not belong there */
    assert_int_equal(twp_wire_hello(frames, 2, &out, detail), TWP_BAD_HEADER);
    free(header);
}

static struct twp_reply reply_of(const char *tag, char *json, enum twp_code expected)
{
    struct twp_frame frames[2] = {text(tag), text(json)};
    struct twp_reply reply;
    assert_int_equal(twp_wire_reply(frames, 2, &reply), expected);
    free(json);
    return reply;
}

static void replies(void **state)
{
    struct twp_key key = {"zmumu", "daq1", 7, 3}, none = {"", "", -1, -1};
    struct twp_reply reply =
        reply_of(TWP_WELCOME, twp_wire_welcome(&(struct twp_key){"t", "f", 0, -1}, -1, 5, 6), TWP_OK);
    assert_true(reply.last_durable_seq == -1 && reply.credit_bytes == 5 && reply.max_bytes == 6 && reply.key.run == 0);
    assert_string_equal(reply.tag, TWP_WELCOME);
    reply = reply_of(TWP_ACK, twp_wire_ack(&key), TWP_OK);
    assert_true(reply.key.seq == 3 && reply.key.run == 7 && strcmp(reply.key.feed, "daq1") == 0);
    reply = reply_of(TWP_NACK, twp_wire_nack(&none, TWP_CONFLICT, "cut \xc3"), TWP_OK);
    assert_string_equal(reply.code, "conflict");
    assert_string_equal(reply.detail, "cut ?");
    assert_true(reply.key.run == -1 && reply.key.twin[0] == '\0');
    reply = reply_of(TWP_CREDIT, twp_wire_credit(&key, 99), TWP_OK);
    assert_true(reply.credit_bytes == 99 && reply.key.seq == -1);
    reply_of(TWP_ACK, strdup("{}"), TWP_BAD_HEADER);
    reply_of(TWP_WELCOME, strdup("{" KEY "}"), TWP_BAD_HEADER);
    reply_of("NOPE", strdup("{" KEY "}"), TWP_BAD_FRAME);
    reply_of(TWP_ACK, strdup("{" KEY ", \"later\": [1]}"), TWP_OK);
}

static void the_feed_writes_what_the_daemon_reads(void **state)
{
    static const char *const columns[] = {"a", "b"};
    static const struct twp_condition conditions[] = {{"x", 0.1}, {"y", -2}};
    struct twp_key key = {"t", "f", INT64_MAX, 0};
    struct array payload = array_of(2, 1, 2, 0);
    struct twp_batch batch;
    char detail[200];
    char *header = twp_wire_batch_header(&key, columns, 2, conditions, 2, "2026-03-01T12:00:00Z");
    assert_int_equal(decode(header, &payload, NULL, &batch, detail), TWP_OK);
    assert_true(batch.key.run == INT64_MAX && batch.columns == 2 && batch.conditions == 2);
    for (int i = 0; i < 2; i++)
        assert_true(batch.condition[i].value == (batch.condition[i].name[0] == 'x' ? 0.1 : -2));
    twp_wire_batch_fini(&batch);
    free(header);
}

static void every_code_has_a_name(void **state)
{
    static const char *const expected[] = {"ok",        "bad_frame",      "bad_header", "unknown_twin", "bad_payload",
                                           "bad_shape", "unknown_column", "conflict",   "no_credit",    "full"};
    for (int code = TWP_OK; code <= TWP_FULL; code++)
        assert_string_equal(twp_wire_code((enum twp_code)code), expected[code]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(full_batch),
        cmocka_unit_test(bad_headers),
        cmocka_unit_test(the_key_is_read_as_far_as_it_goes),
        cmocka_unit_test(bad_frames),
        cmocka_unit_test(bad_payloads),
        cmocka_unit_test(limits),
        cmocka_unit_test(hello),
        cmocka_unit_test(replies),
        cmocka_unit_test(the_feed_writes_what_the_daemon_reads),
        cmocka_unit_test(every_code_has_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
