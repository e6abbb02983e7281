/* What the files of /metrics share. */
#ifndef DAEMON_METRICS_PARTS_H
#define DAEMON_METRICS_PARTS_H

#include <stdio.h>

#include "daemon/registry.h"
#include "daemon/route.h"

/* HELP and TYPE; the samples of the family follow. */
void metrics_family(FILE *out, const char *name, const char *type, const char *help);
/* Name, labels and value of a sample: `before` is the name and "{", or ",". */
void metrics_label(FILE *out, const char *before, const char *name, const char *value);
void metrics_number(FILE *out, double value); /* with the space before it and the end of the line */

void metrics_process(const struct http_request *request, FILE *out);
void metrics_troubles(FILE *out);
/* All families that have the label `twin`, the twins of a family together. TW_NO_MEMORY or 0. */
int metrics_twins(struct registry *registry, FILE *out);

#endif
