/* Rows of a file as the body of a request. */
#include "client/body.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "proto/npy.h"

enum { PIECE_ROWS = 16384 };

bool body_read(struct rows *rows, size_t most, size_t limit, unsigned char **bytes, size_t *size, size_t *count,
               char problem[512])
{
    size_t row = rows_columns(rows) * sizeof(float), have = 0, capacity = 0;
    unsigned char *body = NULL;
    int64_t n = 1;
    *bytes = NULL;
    *count = 0;
    while (have < most && n > 0) {
        size_t want = most - have < PIECE_ROWS ? most - have : PIECE_ROWS;
        if (have + want > capacity) {
            capacity = have + want > 2 * capacity ? have + want : 2 * capacity;
            unsigned char *more = realloc(body, TWP_NPY_HEADER + capacity * row);
            if (!more) {
                snprintf(problem, 512, "out of memory");
                n = -1;
                break;
            }
            body = more;
        }
        /* The header's length and that of rows before are multiples of 4: the values are aligned. */
        n = rows_read(rows, want, (float *)(void *)(body + TWP_NPY_HEADER + have * row), problem);
        have += n > 0 ? (size_t)n : 0;
        if (TWP_NPY_HEADER + have * row > limit) {
            snprintf(problem, 512, "that is more than %zu MiB; give fewer rows with --rows", limit >> 20);
            n = -1;
        }
    }
    if (n < 0 || !have) {
        free(body);
        return n >= 0;
    }
    twp_npy_header(2, have, rows_columns(rows), sizeof(float), body);
    *bytes = body;
    *size = TWP_NPY_HEADER + have * row;
    *count = have;
    return true;
}

char *body_columns(const struct rows *rows)
{
    const char *const *names = rows_names(rows);
    char *text = cli_text("%s", names ? "columns=" : "");
    for (size_t c = 0; names && c < rows_columns(rows); c++) {
        char *name = rest_escape(names[c]), *longer = cli_text("%s%s%s", text, c ? "," : "", name ? name : "");
        free(name);
        free(text);
        text = longer;
    }
    return text;
}
