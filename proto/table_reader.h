/* What the readers of text formats share: the text, and the table that grows. */
#ifndef PROTO_TABLE_READER_H
#define PROTO_TABLE_READER_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/table.h"

struct twp_table_reader {
    const char *start, *at, *end;
    struct twp_table *table;
    size_t count, capacity; /* values so far, and room */
    char *detail;           /* 200 bytes */
    bool no_memory;         /* why it was refused */
};

/* All return 0, or -1 with the sentence in `detail`. */
int twp_table_reader_push(struct twp_table_reader *in, float value);
int twp_table_reader_column(struct twp_table_reader *in, size_t index, const char *name, size_t length);
int twp_table_reader_refuse(struct twp_table_reader *in, const char *format, ...) __attribute__((format(printf, 2, 3)));
int twp_table_reader_no_memory(struct twp_table_reader *in);
/* Gives back what growing took too much. */
void twp_table_reader_fit(struct twp_table_reader *in);

/* table_csv.c and table_json.c */
int twp_table_csv_parse(struct twp_table_reader *in);
int twp_table_json_parse(struct twp_table_reader *in);

#endif
