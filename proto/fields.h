/* A JSON object read strictly: every member is asked for by name and type, and what nobody asked for is an error. The
 * first error sticks, so that a reader asks for everything and tests once; what could be read is there all the same. */
#ifndef PROTO_FIELDS_H
#define PROTO_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#define TWP_FIELDS_MAX 16

struct twp_fields {
    json_t *root; /* NULL if the text was no object */
    const char *asked[TWP_FIELDS_MAX];
    int asked_count;
    bool failed, no_memory; /* the latter: it is not the text's fault */
    char *detail;           /* the caller's 200 bytes: the sentence of the first error */
};

/* Parses one JSON text that must be an object; repeated members are refused. */
void twp_fields_open(struct twp_fields *fields, const void *bytes, size_t size, size_t max_size, char detail[200]);
/* Checks that there was nothing else, releases; true if all went well. `strict` false accepts further members. */
bool twp_fields_close(struct twp_fields *fields, bool strict);

/* The member, or NULL. Of the wrong type or, where required, absent: an error. */
json_t *twp_fields_get(struct twp_fields *fields, const char *member, json_type type, bool required);
/* An integer >= 0; stays as it was on an error. */
void twp_fields_count(struct twp_fields *fields, const char *member, bool required, int64_t *out);
/* A string of at most size-1 bytes; stays as it was on an error. */
void twp_fields_string(struct twp_fields *fields, const char *member, bool required, char *out, size_t size);

/* Notes that memory is out, as an error. */
void twp_fields_no_memory(struct twp_fields *fields);
/* Notes an error (the first one counts). */
void twp_fields_fail(struct twp_fields *fields, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
