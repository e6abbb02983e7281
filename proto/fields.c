/* Reading a JSON object member by member, see fields.h. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/fields.h"

static const char *type_name(json_type type)
{
    switch (type) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "true or false";
    case JSON_NULL:
        return "null";
    }
    return "a value";
}

void twp_fields_fail(struct twp_fields *fields, const char *format, ...)
{
    if (fields->failed)
        return;
    fields->failed = true;
    va_list args;
    va_start(args, format);
    vsnprintf(fields->detail, 200, format, args);
    va_end(args);
}

void twp_fields_no_memory(struct twp_fields *fields)
{
    twp_fields_fail(fields, "out of memory; send again");
    fields->no_memory = true;
}

void twp_fields_open(struct twp_fields *fields, const void *bytes, size_t size, size_t max_size, char detail[200])
{
    *fields = (struct twp_fields){.detail = detail};
    detail[0] = '\0';
    if (size > max_size) {
        twp_fields_fail(fields, "the JSON frame has %zu bytes, more than %zu", size, max_size);
        return;
    }
    json_error_t error;
    json_t *root = json_loadb(bytes ? bytes : "", size, JSON_REJECT_DUPLICATES, &error);
    if (!root && error.text[0] == '\0') /* jansson has a sentence for everything else */
        twp_fields_no_memory(fields);
    else if (!root)
        twp_fields_fail(fields, "not valid JSON: %s at byte %d", error.text, error.position);
    else if (!json_is_object(root))
        twp_fields_fail(fields, "the JSON must be an object");
    if (json_is_object(root))
        fields->root = root;
    else
        json_decref(root);
}

static bool was_asked(const struct twp_fields *fields, const char *member)
{
    for (int i = 0; i < fields->asked_count; i++) {
        if (strcmp(fields->asked[i], member) == 0)
            return true;
    }
    return false;
}

bool twp_fields_close(struct twp_fields *fields, bool strict)
{
    const char *member;
    json_t *value;
    if (strict && fields->root) {
        json_object_foreach(fields->root, member, value)
        {
            if (!was_asked(fields, member))
                twp_fields_fail(fields, "unknown member \"%.64s\"", member);
        }
    }
    json_decref(fields->root);
    fields->root = NULL;
    return !fields->failed;
}

json_t *twp_fields_get(struct twp_fields *fields, const char *member, json_type type, bool required)
{
    if (fields->asked_count < TWP_FIELDS_MAX)
        fields->asked[fields->asked_count++] = member;
    json_t *value = json_object_get(fields->root, member);
    if (!value) {
        if (required)
            twp_fields_fail(fields, "member \"%s\" is missing", member);
        return NULL;
    }
    if (json_typeof(value) != type) {
        twp_fields_fail(fields, "member \"%s\" must be %s", member, type_name(type));
        return NULL;
    }
    return value;
}

void twp_fields_count(struct twp_fields *fields, const char *member, bool required, int64_t *out)
{
    json_t *value = twp_fields_get(fields, member, JSON_INTEGER, required);
    if (!value)
        return;
    if (json_integer_value(value) < 0)
        twp_fields_fail(fields, "member \"%s\" must not be negative", member);
    else
        *out = json_integer_value(value);
}

void twp_fields_string(struct twp_fields *fields, const char *member, bool required, char *out, size_t size)
{
    json_t *value = twp_fields_get(fields, member, JSON_STRING, required);
    if (!value)
        return;
    if (json_string_length(value) >= size)
        twp_fields_fail(fields, "member \"%s\" is longer than %zu characters", member, size - 1);
    else
        memcpy(out, json_string_value(value), json_string_length(value) + 1);
}
