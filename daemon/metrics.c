/* Prometheus text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/): families one after the
 * other, each with HELP and TYPE. Every series is there from the start, so that a rule never waits for its first event,
 * and no label has more values than a definition declares or a setting allows.
 */
#include "daemon/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "daemon/api.h"
#include "daemon/metrics_parts.h"

void metrics_family(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void metrics_number(FILE *out, double value)
{
    if (isnan(value))
        fputs(" NaN\n", out);
    else if (isinf(value))
        fputs(value > 0 ? " +Inf\n" : " -Inf\n", out);
    else
        fprintf(out, " %.17g\n", value);
}

void metrics_label(FILE *out, const char *before, const char *name, const char *value)
{
    fprintf(out, "%s%s=\"", before, name);
    for (const char *p = value != NULL ? value : ""; *p != '\0'; p++) {
        if (*p == '\\' || *p == '"')
            fputc('\\', out);
        if (*p == '\n')
            fputs("\\n", out);
        else
            fputc(*p, out);
    }
    fputc('"', out);
}

enum route_outcome metrics_get(struct http_request *request, struct http_response *response)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    int status = out == NULL ? TW_NO_MEMORY : TW_OK;
    if (status == TW_OK) {
        metrics_process(request, out);
        metrics_troubles(out);
        status = metrics_twins(request->api->registry, out);
    }
    if (out != NULL && fclose(out) != 0)
        status = TW_NO_MEMORY;
    if (status == TW_OK) {
        http_response_bytes(response, 200, "text/plain; version=0.0.4; charset=utf-8", text, size);
    } else {
        free(text);
        http_response_problem(response, 500, "internal", "memory is out");
    }
    return ROUTE_DONE;
}
