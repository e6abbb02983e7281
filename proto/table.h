/* Rows of events in the formats that people send: .npy, CSV with a header line, JSON {"columns"?, "rows"}.
 *
 * Used by the HTTP server for bodies and by twinctl for files.
 */
#ifndef PROTO_TABLE_H
#define PROTO_TABLE_H

#include <stddef.h>

enum twp_format { TWP_FORMAT_NPY, TWP_FORMAT_CSV, TWP_FORMAT_JSON };

struct twp_table {
    size_t rows, cols;
    float *values; /* (rows, cols) */
    char **column; /* (cols) names, or NULL where the format carries none */
};

enum { TWP_TABLE_NO_MEMORY = -2 };

/* Returns 0, or -1 (TWP_TABLE_NO_MEMORY: it is not the table's fault) with a sentence in `detail` that says where (row,
 * column, byte). JSON: an array of arrays, or
 * {"columns": [...], "rows": [[...]]} or {"items": [[...]]}; null is NaN. CSV: comma separated, first line names,
 * empty field is NaN; "nan" and "inf" are read. */
int twp_table_parse(enum twp_format format, const void *bytes, size_t size, struct twp_table *out, char detail[200]);
void twp_table_fini(struct twp_table *table);

/* From a media type (application/x-npy, text/csv, application/json) or a file name (.npy, .csv, .json); -1 if none
 * fits. An empty or NULL media type is guessed from the first bytes. */
int twp_table_format_of_media(const char *media, const void *bytes, size_t size);
int twp_table_format_of_path(const char *path);

/* Encodes rows. JSON: {"columns": [...], "items": [[...]]} with null for what is not finite. Numbers are written with
 * the fewest digits that give the same float back. malloc'd; NULL when memory is out. */
void *twp_table_encode(enum twp_format format, const char *const *columns, size_t rows, size_t cols,
                       const float *values, size_t *size);
/* The pieces of it, for streaming: what comes before the rows, rows [first, first+rows), what comes after.
 * total_rows goes into the npy header. */
void *twp_table_encode_head(enum twp_format format, const char *const *columns, size_t total_rows, size_t cols,
                            size_t *size);
void *twp_table_encode_rows(enum twp_format format, size_t first, size_t rows, size_t cols, const float *values,
                            size_t *size);
const char *twp_table_encode_tail(enum twp_format format);

#endif
