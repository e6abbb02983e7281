/* What the process is and does: memory, connections, answers, what is wrong. */
#include <inttypes.h>
#include <time.h>

#include "daemon/api.h"
#include "daemon/http_peers.h"
#include "daemon/memory.h"
#include "daemon/metrics_parts.h"
#include "daemon/trouble.h"

static void zmq_ports(const struct api *api, FILE *out)
{
    struct guard_counts counts;
    ingest_counts(api->ingest, &counts);
    metrics_family(out, "twin_zmq_connections", "gauge", "Connections of the ZeroMQ ports.");
    for (int i = 0; i < GUARD_PORTS; i++)
        fprintf(out, "twin_zmq_connections{port=\"%s\"} %" PRIu64 "\n", guard_port_name((enum guard_port)i),
                counts.connections[i]);
    metrics_family(out, "twin_zmq_connections_ended_total", "counter",
                   "Connections that were ended for what they cost.");
    for (int i = 0; i < GUARD_REASONS; i++)
        fprintf(out, "twin_zmq_connections_ended_total{reason=\"%s\"} %" PRIu64 "\n",
                guard_reason_name((enum guard_reason)i), counts.ended[i]);
}

void metrics_process(const struct http_request *request, FILE *out)
{
    const struct api *api = request->api;
    struct timespec cpu;
    uint64_t counts[5];
    metrics_family(out, "twin_build_info", "gauge",
                   "Constant 1, with the version of the program and the kernels in use.");
    fprintf(out, "twin_build_info{version=\"%s\"", TWIN_VERSION);
    metrics_label(out, ",", "kernels", api->kernels->detail);
    fputs("} 1\n", out);
    metrics_family(out, "twin_training_cpu_seconds_total", "counter", "CPU time of trainings and comparisons.");
    fprintf(out, "twin_training_cpu_seconds_total %.3f\n", pipeline_cpu_seconds(api->pipeline));
    http_counts(request->http, counts);
    metrics_family(out, "twin_http_responses_total", "counter", "HTTP answers by class of status.");
    for (int i = 1; i < 5; i++)
        fprintf(out, "twin_http_responses_total{code=\"%dxx\"} %" PRIu64 "\n", i + 1, counts[i]);
    metrics_family(out, "twin_memory_share_bytes", "gauge", "Shares of memory-mb: what each may hold.");
    for (int i = 0; i < MEMORY_SHARES; i++)
        fprintf(out, "twin_memory_share_bytes{share=\"%s\"} %zu\n", memory_name(i), memory_limit(i));
    metrics_family(out, "twin_memory_held_bytes", "gauge", "What each share holds.");
    for (int i = 0; i < MEMORY_SHARES; i++)
        fprintf(out, "twin_memory_held_bytes{share=\"%s\"} %zu\n", memory_name(i), memory_held(i));
    metrics_family(out, "twin_memory_ceiling_bytes", "gauge",
                   "The setting memory-mb, for process_resident_memory_bytes.");
    fprintf(out, "twin_memory_ceiling_bytes %zu\n", (size_t)config_live(&api->config->memory_mb) << 20);
    struct http_peers_counts peers;
    http_connections(request->http, &peers);
    metrics_family(out, "twin_http_connections", "gauge", "HTTP connections that are open.");
    fprintf(out, "twin_http_connections %zu\n", peers.open);
    metrics_family(out, "twin_http_connections_limit", "gauge", "HTTP connections that may be open.");
    fprintf(out, "twin_http_connections_limit %zu\n", peers.most);
    metrics_family(out, "twin_http_connections_ended_total", "counter",
                   "Connections ended for want of progress, or to make room.");
    fprintf(out, "twin_http_connections_ended_total{reason=\"slow\"} %" PRIu64 "\n", peers.slow);
    fprintf(out, "twin_http_connections_ended_total{reason=\"crowded\"} %" PRIu64 "\n", peers.crowded);
    zmq_ports(api, out);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    metrics_family(out, "process_cpu_seconds_total", "counter", "CPU time of the daemon.");
    fprintf(out, "process_cpu_seconds_total %.3f\n", (double)cpu.tv_sec + 1e-9 * (double)cpu.tv_nsec);
    metrics_family(out, "process_resident_memory_bytes", "gauge", "Resident memory.");
    fprintf(out, "process_resident_memory_bytes %zu\n", memory_resident());
    metrics_family(out, "process_start_time_seconds", "gauge", "Start, seconds since 1970.");
    fprintf(out, "process_start_time_seconds %.3f\n", (double)api->started_ms / 1000);
}

void metrics_troubles(FILE *out)
{
    json_t *list = trouble_json(), *trouble;
    size_t i;
    metrics_family(out, "twin_ready", "gauge", "1 if data are accepted and kept, as /readyz says.");
    fprintf(out, "twin_ready %d\n", !trouble_unready());
    metrics_family(out, "twin_trouble", "gauge",
                   "1 for each thing that is wrong now; level unready: data are not accepted.");
    json_array_foreach(list, i, trouble)
    {
        metrics_label(out, "twin_trouble{", "name", json_string_value(json_object_get(trouble, "name")));
        metrics_label(out, ",", "subject", json_string_value(json_object_get(trouble, "subject")));
        metrics_label(out, ",", "level", json_string_value(json_object_get(trouble, "level")));
        fputs("} 1\n", out);
    }
    json_decref(list);
}
