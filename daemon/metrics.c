/* Prometheus text format 0.0.4 (https://prometheus.io/docs/instrumenting/exposition_formats/): families one after the
 * other, each with HELP and TYPE, all twins of a family together. Values come from what GET /v1/twins answers. */
#include "daemon/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/api.h"
#include "daemon/http_peers.h"
#include "daemon/memory.h"
#include "daemon/trouble.h"

struct scrape {
    FILE *out;
    size_t count;
    json_t **twin; /* answers of GET /v1/twins/{twin} */
};

static void family(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void number(FILE *out, double value)
{
    if (isnan(value))
        fputs(" NaN\n", out);
    else if (isinf(value))
        fputs(value > 0 ? " +Inf\n" : " -Inf\n", out);
    else
        fprintf(out, " %.17g\n", value);
}

static void label(FILE *out, const char *before, const char *name, const char *value)
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

static const char *name_of(const json_t *twin)
{
    return json_string_value(json_object_get(twin, "name"));
}

/* One number a twin, at `path` of two members (the second may be NULL); left out where there is none. */
static void per_twin(const struct scrape *scrape, const char *name, const char *type, const char *help,
                     const char *member, const char *inner)
{
    family(scrape->out, name, type, help);
    for (size_t i = 0; i < scrape->count; i++) {
        const json_t *value = json_object_get(scrape->twin[i], member);
        if (inner != NULL)
            value = json_object_get(value, inner);
        if (!json_is_number(value) && !json_is_boolean(value))
            continue;
        label(scrape->out, name, "{twin", name_of(scrape->twin[i]));
        fputc('}', scrape->out);
        number(scrape->out, json_is_boolean(value) ? json_is_true(value) : json_number_value(value));
    }
}

/* Member `member` of every statistic of the last iterations; `only`: of the one with this name, without labels for what
 * it is about. */
static void per_statistic(const struct scrape *scrape, const char *name, const char *help, const char *verdict,
                          const char *only, const char *member)
{
    family(scrape->out, name, "gauge", help);
    for (size_t i = 0; i < scrape->count; i++) {
        const json_t *last = json_object_get(scrape->twin[i], "last_iteration");
        json_t *entry;
        size_t k;
        json_array_foreach(json_object_get(last, "statistics"), k, entry)
        {
            const char *of = json_string_value(json_object_get(entry, "verdict"));
            const char *statistic = json_string_value(json_object_get(entry, "name"));
            const json_t *value = json_object_get(entry, member);
            if (of == NULL || strcmp(of, verdict) != 0 || !json_is_number(value))
                continue;
            if (only != NULL && (statistic == NULL || strcmp(statistic, only) != 0))
                continue;
            label(scrape->out, name, "{twin", name_of(scrape->twin[i]));
            if (only == NULL) {
                label(scrape->out, ",", "statistic", statistic);
                label(scrape->out, ",", "feature", json_string_value(json_object_get(entry, "feature")));
            }
            fputc('}', scrape->out);
            number(scrape->out, json_number_value(value));
        }
    }
}

/* A state set: 1 for the state that holds, 0 for the others. */
static void per_state(const struct scrape *scrape, const char *name, const char *help, const char *member,
                      const char *const *states)
{
    family(scrape->out, name, "gauge", help);
    for (size_t i = 0; i < scrape->count; i++) {
        const char *now = json_string_value(json_object_get(scrape->twin[i], member));
        for (const char *const *state = states; now != NULL && *state != NULL; state++) {
            label(scrape->out, name, "{twin", name_of(scrape->twin[i]));
            label(scrape->out, ",", member, *state);
            fprintf(scrape->out, "} %d\n", strcmp(now, *state) == 0);
        }
    }
}

static void twins(const struct scrape *scrape)
{
    static const char *const verdicts[] = {"true", "drifted", "unknown", NULL};
    static const char *const activities[] = {"untrained", "idle", "comparing", "retuning", "held", NULL};
    per_state(scrape, "twin_verdict", "Is the twin true to its data?", "verdict", verdicts);
    per_state(scrape, "twin_activity", "What the loop is doing.", "activity", activities);
    per_twin(scrape, "twin_champion_version", "gauge", "Version that is served.", "champion", "version");
    per_twin(scrape, "twin_ingest_events_total", "counter", "Events that are durable.", "ingest", "events");
    per_twin(scrape, "twin_ingest_batches_total", "counter", "Batches that are durable.", "ingest", "batches");
    per_twin(scrape, "twin_ingest_duplicates_total", "counter", "Batches that came again.", "ingest", "duplicates");
    per_twin(scrape, "twin_ingest_invalid_rows_total", "counter", "Rows with NaN, inf or values outside a hard domain.",
             "ingest", "invalid_rows");
    per_twin(scrape, "twin_ingest_gaps", "gauge", "Sequence numbers that are missing.", "ingest", "gaps");
    per_twin(scrape, "twin_lag_batches", "gauge", "Batches of complete windows not yet compared.", "ingest",
             "lag_batches");
    per_twin(scrape, "twin_lag_windows", "gauge", "Complete windows not yet compared.", "ingest", "lag_windows");
    per_twin(scrape, "twin_lag_seconds", "gauge", "How long the oldest complete window has waited.", "ingest", "lag_s");
    per_twin(scrape, "twin_windows_skipped_total", "counter", "Windows that loop.max_lag_windows left out.", "ingest",
             "windows_skipped");
    per_twin(scrape, "twin_iterations_total", "counter", "Windows that were compared.", "last_iteration", "iteration");
    per_twin(scrape, "twin_drift", "gauge", "1 if the last window differs from the acceptance reference.",
             "last_iteration", "drift");
    per_statistic(scrape, "twin_drift_statistic", "Drift statistics of the last window.", "drift", NULL, "value");
    per_statistic(scrape, "twin_drift_p_value", "Their p-values.", "drift", NULL, "p_value");
    per_statistic(scrape, "twin_drift_threshold", "p-values at or below this raise the alarm.", "drift", NULL,
                  "threshold");
    per_statistic(scrape, "twin_fidelity_auc", "A classifier's AUC, samples of the champion against the last window.",
                  "fidelity", "c2st", "value");
    per_statistic(scrape, "twin_fidelity_auc_floor", "The same for data against data.", "fidelity", "c2st", "floor");
    per_statistic(scrape, "twin_log_prob", "Mean log-likelihood of the last window under the champion.", "fidelity",
                  "log_prob", "value");
}

static void zmq_ports(const struct api *api, FILE *out)
{
    struct guard_counts counts;
    ingest_counts(api->ingest, &counts);
    family(out, "twin_zmq_connections", "gauge", "Connections of the ZeroMQ ports.");
    for (int i = 0; i < GUARD_PORTS; i++)
        fprintf(out, "twin_zmq_connections{port=\"%s\"} %" PRIu64 "\n", guard_port_name((enum guard_port)i),
                counts.connections[i]);
    family(out, "twin_zmq_connections_ended_total", "counter", "Connections that were ended for what they cost.");
    for (int i = 0; i < GUARD_REASONS; i++)
        fprintf(out, "twin_zmq_connections_ended_total{reason=\"%s\"} %" PRIu64 "\n",
                guard_reason_name((enum guard_reason)i), counts.ended[i]);
}

static void process(const struct http_request *request, FILE *out)
{
    const struct api *api = request->api;
    struct timespec cpu;
    uint64_t counts[5];
    family(out, "twin_build_info", "gauge", "Constant 1, with the version of the program and the kernels in use.");
    fprintf(out, "twin_build_info{version=\"%s\"", TWIN_VERSION);
    label(out, ",", "kernels", api->kernels->detail);
    fputs("} 1\n", out);
    family(out, "twin_training_cpu_seconds_total", "counter", "CPU time of trainings and comparisons.");
    fprintf(out, "twin_training_cpu_seconds_total %.3f\n", pipeline_cpu_seconds(api->pipeline));
    http_counts(request->http, counts);
    family(out, "twin_http_responses_total", "counter", "HTTP answers by class of status.");
    for (int i = 1; i < 5; i++)
        fprintf(out, "twin_http_responses_total{code=\"%dxx\"} %" PRIu64 "\n", i + 1, counts[i]);
    family(out, "twin_memory_share_bytes", "gauge", "Shares of memory-mb: what each may hold.");
    for (int i = 0; i < MEMORY_SHARES; i++)
        fprintf(out, "twin_memory_share_bytes{share=\"%s\"} %zu\n", memory_name(i), memory_limit(i));
    family(out, "twin_memory_held_bytes", "gauge", "What each share holds.");
    for (int i = 0; i < MEMORY_SHARES; i++)
        fprintf(out, "twin_memory_held_bytes{share=\"%s\"} %zu\n", memory_name(i), memory_held(i));
    family(out, "twin_memory_ceiling_bytes", "gauge", "The setting memory-mb, for process_resident_memory_bytes.");
    fprintf(out, "twin_memory_ceiling_bytes %zu\n", (size_t)config_live(&api->config->memory_mb) << 20);
    struct http_peers_counts peers;
    http_connections(request->http, &peers);
    family(out, "twin_http_connections", "gauge", "HTTP connections that are open.");
    fprintf(out, "twin_http_connections %zu\n", peers.open);
    family(out, "twin_http_connections_limit", "gauge", "HTTP connections that may be open.");
    fprintf(out, "twin_http_connections_limit %zu\n", peers.most);
    family(out, "twin_http_connections_ended_total", "counter",
           "Connections ended for want of progress, or to make room.");
    fprintf(out, "twin_http_connections_ended_total{reason=\"slow\"} %" PRIu64 "\n", peers.slow);
    fprintf(out, "twin_http_connections_ended_total{reason=\"crowded\"} %" PRIu64 "\n", peers.crowded);
    zmq_ports(api, out);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    family(out, "process_cpu_seconds_total", "counter", "CPU time of the daemon.");
    fprintf(out, "process_cpu_seconds_total %.3f\n", (double)cpu.tv_sec + 1e-9 * (double)cpu.tv_nsec);
    family(out, "process_resident_memory_bytes", "gauge", "Resident memory.");
    fprintf(out, "process_resident_memory_bytes %zu\n", memory_resident());
    family(out, "process_start_time_seconds", "gauge", "Start, seconds since 1970.");
    fprintf(out, "process_start_time_seconds %.3f\n", (double)api->started_ms / 1000);
}

static void troubles(FILE *out)
{
    json_t *list = trouble_json(), *trouble;
    size_t i;
    family(out, "twin_ready", "gauge", "1 if data are accepted and kept, as /readyz says.");
    fprintf(out, "twin_ready %d\n", !trouble_unready());
    family(out, "twin_trouble", "gauge", "1 for each thing that is wrong now; level unready: data are not accepted.");
    json_array_foreach(list, i, trouble)
    {
        label(out, "twin_trouble{", "name", json_string_value(json_object_get(trouble, "name")));
        label(out, ",", "subject", json_string_value(json_object_get(trouble, "subject")));
        label(out, ",", "level", json_string_value(json_object_get(trouble, "level")));
        fputs("} 1\n", out);
    }
    json_decref(list);
}

enum route_outcome metrics_get(struct http_request *request, struct http_response *response)
{
    char *text = NULL;
    size_t size = 0;
    struct twin **list = NULL;
    struct scrape scrape = {.out = open_memstream(&text, &size)};
    scrape.count = registry_list(request->api->registry, &list);
    scrape.twin = calloc(scrape.count + 1, sizeof *scrape.twin);
    for (size_t i = 0; i < scrape.count; i++) {
        if (scrape.twin != NULL)
            scrape.twin[i] = registry_twin_json(list[i]);
        registry_twin_unref(list[i]);
    }
    free(list);
    if (scrape.out != NULL && scrape.twin != NULL) {
        process(request, scrape.out);
        troubles(scrape.out);
        twins(&scrape);
    }
    bool ok = scrape.out != NULL && fclose(scrape.out) == 0 && scrape.twin != NULL;
    for (size_t i = 0; scrape.twin != NULL && i < scrape.count; i++)
        json_decref(scrape.twin[i]);
    free(scrape.twin);
    if (ok) {
        http_response_bytes(response, 200, "text/plain; version=0.0.4; charset=utf-8", text, size);
    } else {
        free(text);
        http_response_problem(response, 500, "internal", "memory is out");
    }
    return ROUTE_DONE;
}
