/* An iteration of the loop in one line: what watch shows of it. */
#ifndef CLIENT_ITERATION_H
#define CLIENT_ITERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#include "client/output.h"

/* True if a window was compared in it: it has statistics of drift. */
bool iteration_compared(const json_t *iteration);

/* The line as an object: iteration, time, version, events, drift, decision, auc, auc_p, auc_limit, ks_p, ks_limit,
 * ks_feature (the feature with the least p), cusum_p, cusum_limit, cusum_feature (alike; absent: the log-likelihood),
 * invalid_p, fidelity, floor. What the iteration lacks is left out. */
json_t *iteration_line(const json_t *iteration);

/* Lines as a table, CSV or JSON. Cells of a table have fixed widths, so that lines printed one by one stay aligned. */
void iteration_heading(FILE *stream, enum output_format format);
void iteration_print(FILE *stream, enum output_format format, const json_t *line);

#endif
