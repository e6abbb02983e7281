/* Messages between feeds and twind. Decoding never trusts a size, a name or a type; the key of a bad message is read as
 * far as it goes, so that the refusal reaches the batch that it is about. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "proto/fields.h"
#include "proto/wire.h"

const char *twp_wire_code(enum twp_code code)
{
    switch (code) {
    case TWP_OK:
        return "ok";
    case TWP_BAD_FRAME:
        return "bad_frame";
    case TWP_BAD_HEADER:
        return "bad_header";
    case TWP_UNKNOWN_TWIN:
        return "unknown_twin";
    case TWP_BAD_PAYLOAD:
        return "bad_payload";
    case TWP_BAD_SHAPE:
        return "bad_shape";
    case TWP_UNKNOWN_COLUMN:
        return "unknown_column";
    case TWP_CONFLICT:
        return "conflict";
    case TWP_NO_CREDIT:
        return "no_credit";
    case TWP_FULL:
        return "full";
    }
    return "bad_frame";
}

static bool name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool twp_wire_name_ok(const char *name)
{
    size_t length = 0;
    for (; name[length]; length++) {
        bool inner = length > 0 && (name[length] == '-' || name[length] == '_');
        if (length == TWP_NAME_MAX || !(name_char(name[length]) || inner))
            return false;
    }
    return length > 0;
}

/* --- headers --- */

static void read_name(struct twp_fields *in, const char *member, char out[TWP_NAME_MAX + 1])
{
    char name[TWP_NAME_MAX + 1] = "";
    bool failed = in->failed;
    twp_fields_string(in, member, true, name, sizeof name);
    if (twp_wire_name_ok(name))
        memcpy(out, name, sizeof name);
    else if (in->failed == failed) /* a string that fits, yet no name */
        twp_fields_fail(in, "\"%s\" must match [a-z0-9][a-z0-9_-]{0,63}", member);
}

static void read_key(struct twp_fields *in, bool with_seq, struct twp_key *key)
{
    *key = (struct twp_key){.run = -1, .seq = -1};
    read_name(in, "twin", key->twin);
    read_name(in, "feed", key->feed);
    twp_fields_count(in, "run", true, &key->run);
    if (with_seq)
        twp_fields_count(in, "seq", true, &key->seq);
}

static void read_columns(struct twp_fields *in, struct twp_batch *out)
{
    json_t *columns = twp_fields_get(in, "columns", JSON_ARRAY, false);
    if (!columns)
        return;
    size_t count = json_array_size(columns);
    if (count == 0 || count > TWP_COLUMNS_MAX) {
        twp_fields_fail(in, "\"columns\" has %zu names, must have 1 to %d", count, TWP_COLUMNS_MAX);
        return;
    }
    out->column = calloc(count, sizeof *out->column);
    if (!out->column) {
        twp_fields_no_memory(in);
        return;
    }
    out->columns = (int)count;
    for (size_t i = 0; i < count; i++) {
        json_t *name = json_array_get(columns, i);
        size_t length = json_string_length(name);
        if (length == 0 || length > TWP_COLUMN_MAX)
            twp_fields_fail(in, "\"columns\"[%zu] must be a string of 1 to %d bytes", i, TWP_COLUMN_MAX);
        else
            memcpy(out->column[i], json_string_value(name), length);
    }
}

static void read_conditions(struct twp_fields *in, struct twp_batch *out)
{
    json_t *conditions = twp_fields_get(in, "conditions", JSON_OBJECT, false);
    size_t count = json_object_size(conditions);
    if (count == 0)
        return;
    if (count > TWP_CONDITIONS_MAX) {
        twp_fields_fail(in, "\"conditions\" has %zu members, more than %d", count, TWP_CONDITIONS_MAX);
        return;
    }
    out->condition = calloc(count, sizeof *out->condition);
    if (!out->condition) {
        twp_fields_no_memory(in);
        return;
    }
    const char *name;
    json_t *value;
    json_object_foreach(conditions, name, value)
    {
        struct twp_condition *to = &out->condition[out->conditions++];
        size_t length = strlen(name);
        if (length == 0 || length > TWP_COLUMN_MAX)
            twp_fields_fail(in, "a name in \"conditions\" must have 1 to %d bytes", TWP_COLUMN_MAX);
        else
            memcpy(to->name, name, length);
        if (!json_is_number(value))
            twp_fields_fail(in, "condition \"%s\" must be a number", to->name);
        to->value = json_number_value(value);
    }
}

static void read_stream(struct twp_fields *in, struct twp_batch *out)
{
    char stream[16] = "data";
    twp_fields_string(in, "stream", false, stream, sizeof stream);
    if (strcmp(stream, "simulation") == 0)
        out->stream = TWP_STREAM_SIMULATION;
    else if (strcmp(stream, "data") != 0)
        twp_fields_fail(in, "\"stream\" must be \"data\" or \"simulation\"");
}

/* Fits `pattern`, where 0 stands for a digit, and moves on. */
static bool take_pattern(const char **at, const char *pattern)
{
    for (; *pattern; pattern++, (*at)++) {
        bool fits = *pattern == '0' ? **at >= '0' && **at <= '9' : **at == *pattern;
        if (!fits)
            return false;
    }
    return true;
}

/* RFC 3339 date-time by its form; the calendar is left alone. */
static bool time_ok(const char *at)
{
    if (!take_pattern(&at, "0000-00-00T00:00:00"))
        return false;
    if (*at == '.') {
        at++;
        if (!take_pattern(&at, "0"))
            return false;
        while (*at >= '0' && *at <= '9')
            at++;
    }
    if (*at == 'Z')
        return at[1] == '\0';
    if (*at != '+' && *at != '-')
        return false;
    at++;
    return take_pattern(&at, "00:00") && *at == '\0';
}

static void read_time(struct twp_fields *in, struct twp_batch *out)
{
    char time[sizeof out->time] = "";
    if (!json_object_get(in->root, "time")) /* so that "" is not taken for absent */
        return;
    twp_fields_string(in, "time", true, time, sizeof time);
    if (time_ok(time))
        memcpy(out->time, time, sizeof time);
    else
        twp_fields_fail(in, "\"time\" must be an RFC 3339 time");
}

/* --- payload and weights --- */

static enum twp_code read_payload(const struct twp_frame *frame, struct twp_batch *out, char detail[200])
{
    int error = twp_npy_parse(frame->data, frame->size, &out->payload);
    if (error) {
        snprintf(detail, 200, "payload: %s", twp_npy_strerror(error));
        return error == TWP_NPY_BAD_SHAPE ? TWP_BAD_SHAPE : TWP_BAD_PAYLOAD;
    }
    const struct twp_npy *npy = &out->payload;
    if (npy->dims != 2)
        snprintf(detail, 200, "payload: the shape must be (rows, columns), not (%zu,)", npy->rows);
    else if (npy->rows == 0 || npy->rows > TWP_ROWS_MAX || npy->cols > TWP_COLUMNS_MAX)
        snprintf(detail, 200, "payload: the shape (%zu, %zu) is outside 1 to %d rows and 1 to %d columns", npy->rows,
                 npy->cols, TWP_ROWS_MAX, TWP_COLUMNS_MAX);
    else
        return TWP_OK;
    return TWP_BAD_SHAPE;
}

/* Weights must be finite as floats; next-to-leading-order simulation has negative ones. */
static bool weights_ok(const struct twp_npy *weights, char detail[200])
{
    float block[256];
    for (size_t first = 0; first < weights->rows; first += 256) {
        size_t count = weights->rows - first < 256 ? weights->rows - first : 256;
        twp_npy_floats(weights, first, count, block);
        for (size_t i = 0; i < count; i++) {
            if (!isfinite(block[i])) {
                snprintf(detail, 200, "weights: row %zu is not finite", first + i);
                return false;
            }
        }
    }
    return true;
}

static enum twp_code read_weights(const struct twp_frame *frame, struct twp_batch *out, char detail[200])
{
    int error = twp_npy_parse(frame->data, frame->size, &out->weights);
    if (error) {
        snprintf(detail, 200, "weights: %s", twp_npy_strerror(error));
        return error == TWP_NPY_BAD_SHAPE ? TWP_BAD_SHAPE : TWP_BAD_PAYLOAD;
    }
    if (out->weights.dims != 1 || out->weights.rows != out->payload.rows) {
        snprintf(detail, 200, "weights: the shape must be (%zu,), one weight a row", out->payload.rows);
        return TWP_BAD_SHAPE;
    }
    out->has_weights = true;
    return weights_ok(&out->weights, detail) ? TWP_OK : TWP_BAD_PAYLOAD;
}

/* --- messages of feeds --- */

static bool is_tag(const struct twp_frame *frame, const char *tag)
{
    return frame->size == strlen(tag) && memcmp(frame->data, tag, frame->size) == 0;
}

static enum twp_code check_frames(const struct twp_frame *frames, size_t count, size_t least, size_t most,
                                  const char *tag, char detail[200])
{
    size_t total = 0;
    bool overflow = false;
    for (size_t i = 0; i < count; i++)
        overflow = overflow || __builtin_add_overflow(total, frames[i].size, &total);
    if (count == 0 || !is_tag(&frames[0], tag))
        snprintf(detail, 200, "the first frame must be \"%s\" or \"%s\"", TWP_HELLO, TWP_BATCH);
    else if (count < least || count > most)
        snprintf(detail, 200, "a %s message has %zu to %zu frames, not %zu", tag, least, most, count);
    else if (overflow || total > TWP_BATCH_BYTES_MAX)
        snprintf(detail, 200, "the message has %zu bytes, more than %u", total, TWP_BATCH_BYTES_MAX);
    else
        return TWP_OK;
    return TWP_BAD_FRAME;
}

static enum twp_code close_header(struct twp_fields *in)
{
    bool ok = twp_fields_close(in, true);
    return ok ? TWP_OK : in->no_memory ? TWP_FULL : TWP_BAD_HEADER;
}

static enum twp_code read_header(const struct twp_frame *frame, struct twp_batch *out, char detail[200])
{
    struct twp_fields in;
    twp_fields_open(&in, frame->data, frame->size, TWP_HEADER_MAX, detail);
    read_key(&in, true, &out->key);
    read_columns(&in, out);
    read_conditions(&in, out);
    read_stream(&in, out);
    read_time(&in, out);
    twp_fields_get(&in, "time", JSON_STRING, false);
    return close_header(&in);
}

enum twp_code twp_wire_batch(const struct twp_frame *frames, size_t count, struct twp_batch *out, char detail[200])
{
    *out = (struct twp_batch){.key = {.run = -1, .seq = -1}};
    detail[0] = '\0';
    enum twp_code header = count > 1 ? read_header(&frames[1], out, detail) : TWP_BAD_HEADER;
    char frame_detail[200];
    enum twp_code code = check_frames(frames, count, 3, 4, TWP_BATCH, frame_detail);
    if (code != TWP_OK)
        memcpy(detail, frame_detail, sizeof frame_detail);
    else if (header != TWP_OK)
        code = header;
    else
        code = read_payload(&frames[2], out, detail);
    if (code == TWP_OK && count == 4)
        code = read_weights(&frames[3], out, detail);
    if (code != TWP_OK) {
        struct twp_key key = out->key;
        twp_wire_batch_fini(out);
        out->key = key;
    }
    return code;
}

void twp_wire_batch_fini(struct twp_batch *batch)
{
    free(batch->column);
    free(batch->condition);
    *batch = (struct twp_batch){.key = {.run = -1, .seq = -1}};
}

enum twp_code twp_wire_hello(const struct twp_frame *frames, size_t count, struct twp_key *out, char detail[200])
{
    *out = (struct twp_key){.run = -1, .seq = -1};
    enum twp_code header = TWP_BAD_HEADER;
    if (count > 1) {
        struct twp_fields in;
        twp_fields_open(&in, frames[1].data, frames[1].size, TWP_HEADER_MAX, detail);
        read_key(&in, false, out);
        header = close_header(&in);
    }
    char frame_detail[200];
    if (check_frames(frames, count, 2, 2, TWP_HELLO, frame_detail) != TWP_OK) {
        memcpy(detail, frame_detail, sizeof frame_detail);
        return TWP_BAD_FRAME;
    }
    return header;
}

/* --- JSON frames --- */

/* Takes the reference; NULL in, NULL out. */
static char *dump(json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    return text;
}

/* What is known of the key. */
static json_t *key_json(const struct twp_key *key)
{
    json_t *json = json_object();
    int failed = !json;
    if (key->twin[0])
        failed |= json_object_set_new(json, "twin", json_string(key->twin));
    if (key->feed[0])
        failed |= json_object_set_new(json, "feed", json_string(key->feed));
    if (key->run >= 0)
        failed |= json_object_set_new(json, "run", json_integer(key->run));
    if (key->seq >= 0)
        failed |= json_object_set_new(json, "seq", json_integer(key->seq));
    if (failed) {
        json_decref(json);
        return NULL;
    }
    return json;
}

/* Adds a member; takes both references; NULL if anything failed. */
static json_t *with(json_t *json, const char *member, json_t *value)
{
    if (json && json_object_set_new(json, member, value) == 0)
        return json;
    if (!json)
        json_decref(value);
    json_decref(json);
    return NULL;
}

char *twp_wire_welcome(const struct twp_key *key, int64_t last_durable_seq, int64_t credit_bytes, int64_t max_bytes)
{
    json_t *json = with(key_json(key), "last_durable_seq", json_integer(last_durable_seq));
    json = with(json, "credit_bytes", json_integer(credit_bytes));
    return dump(with(json, "max_bytes", json_integer(max_bytes)));
}

char *twp_wire_ack(const struct twp_key *key)
{
    return dump(key_json(key));
}

/* A sentence may quote foreign text cut in the middle of a character. */
static json_t *sentence(const char *text)
{
    json_t *json = json_string(text);
    if (json)
        return json;
    char plain[200];
    size_t length = 0;
    for (; text[length] && length < sizeof plain - 1; length++)
        plain[length] = text[length] & 0x80 ? '?' : text[length];
    return json_stringn(plain, length);
}

char *twp_wire_nack(const struct twp_key *key, enum twp_code code, const char *detail)
{
    json_t *json = with(key_json(key), "code", json_string(twp_wire_code(code)));
    return dump(with(json, "detail", sentence(detail)));
}

char *twp_wire_credit(const struct twp_key *key, int64_t credit_bytes)
{
    struct twp_key to = *key;
    to.seq = -1; /* credit belongs to the feed, not to a batch */
    return dump(with(key_json(&to), "credit_bytes", json_integer(credit_bytes)));
}

char *twp_wire_hello_header(const struct twp_key *key)
{
    struct twp_key to = *key;
    to.seq = -1;
    return dump(key_json(&to));
}

char *twp_wire_batch_header(const struct twp_key *key, const char *const *columns, size_t n_columns,
                            const struct twp_condition *conditions, size_t n_conditions, const char *time)
{
    json_t *json = key_json(key);
    if (columns) {
        json_t *names = json_array();
        int failed = !names;
        for (size_t i = 0; i < n_columns; i++)
            failed |= json_array_append_new(names, json_string(columns[i]));
        json = with(json, "columns", failed ? NULL : names);
        if (failed)
            json_decref(names);
    }
    if (conditions && n_conditions > 0) {
        json_t *values = json_object();
        int failed = !values;
        for (size_t i = 0; i < n_conditions; i++)
            failed |= json_object_set_new(values, conditions[i].name, json_real(conditions[i].value));
        json = with(json, "conditions", failed ? NULL : values);
        if (failed)
            json_decref(values);
    }
    return dump(time ? with(json, "time", json_string(time)) : json);
}

/* --- replies --- */

static void read_text(struct twp_fields *in, const char *member, char *out, size_t size)
{
    json_t *value = twp_fields_get(in, member, JSON_STRING, true);
    snprintf(out, size, "%s", value ? json_string_value(value) : "");
}

/* Members of a reply may be absent (a NACK whose key could not be read) or new (a later daemon). */
enum twp_code twp_wire_reply(const struct twp_frame *frames, size_t count, struct twp_reply *out)
{
    static const char *const tags[] = {TWP_WELCOME, TWP_ACK, TWP_NACK, TWP_CREDIT};
    *out =
        (struct twp_reply){.key = {.run = -1, .seq = -1}, .last_durable_seq = -1, .credit_bytes = -1, .max_bytes = -1};
    size_t tag = 0;
    while (count == 2 && tag < 4 && !is_tag(&frames[0], tags[tag]))
        tag++;
    if (count != 2 || tag == 4)
        return TWP_BAD_FRAME;
    memcpy(out->tag, tags[tag], strlen(tags[tag]));

    struct twp_fields in;
    char detail[200];
    bool nack = strcmp(out->tag, TWP_NACK) == 0, welcome = strcmp(out->tag, TWP_WELCOME) == 0;
    twp_fields_open(&in, frames[1].data, frames[1].size, TWP_HEADER_MAX, detail);
    twp_fields_string(&in, "twin", !nack, out->key.twin, sizeof out->key.twin);
    twp_fields_string(&in, "feed", !nack, out->key.feed, sizeof out->key.feed);
    twp_fields_count(&in, "run", !nack, &out->key.run);
    twp_fields_count(&in, "seq", strcmp(out->tag, TWP_ACK) == 0, &out->key.seq);
    if (nack) {
        twp_fields_string(&in, "code", true, out->code, sizeof out->code);
        read_text(&in, "detail", out->detail, sizeof out->detail);
    }
    json_t *last = welcome ? twp_fields_get(&in, "last_durable_seq", JSON_INTEGER, true) : NULL;
    if (last && json_integer_value(last) >= -1)
        out->last_durable_seq = json_integer_value(last);
    if (welcome || strcmp(out->tag, TWP_CREDIT) == 0)
        twp_fields_count(&in, "credit_bytes", true, &out->credit_bytes);
    if (welcome)
        twp_fields_count(&in, "max_bytes", true, &out->max_bytes);
    return twp_fields_close(&in, false) ? TWP_OK : TWP_BAD_HEADER;
}
