/* What is known without reading data: folder, disk, clock, kernels, libraries, limits, troubles, twins. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cblas.h>
#include <microhttpd.h>
#include <sqlite3.h>
#include <zmq.h>

#include "daemon/clock.h"
#include "daemon/doctor.h"
#include "daemon/feeds.h"
#include "daemon/space.h"
#include "daemon/spool.h"
#include "daemon/trouble.h"
#include "kernel/kernel.h"

#define MIB (1024.0 * 1024)

enum { FEEDS_SHOWN = 8 };

static void check_owned(json_t *items, const char *name, const char *path, mode_t wanted)
{
    struct stat at;
    char advice[300];
    snprintf(advice, sizeof advice, "chmod %o %.200s, as the user of twind", (unsigned)wanted, path);
    if (stat(path, &at) != 0)
        doctor_add(items, name, DOCTOR_ERROR, "stop twind and look where it went; a restart makes a new token",
                   "%.300s is not there any more", path);
    else if (at.st_uid != geteuid())
        doctor_add(items, name, DOCTOR_ERROR, "give it back to the user of twind (chown)",
                   "%.300s belongs to user %u, twind runs as %u", path, (unsigned)at.st_uid, (unsigned)geteuid());
    else if ((at.st_mode & 07777) & ~wanted)
        doctor_add(items, name, DOCTOR_ERROR, advice, "%.300s has mode %04o: others reach it", path,
                   (unsigned)(at.st_mode & 07777));
    else
        doctor_add(items, name, DOCTOR_OK, NULL, "%.300s, mode %04o", path, (unsigned)(at.st_mode & 07777));
}

static void check_state(const struct api *api, json_t *items)
{
    char token[4200];
    snprintf(token, sizeof token, "%s/admin.token", api->config->state);
    check_owned(items, "state", api->config->state, 0700);
    check_owned(items, "token", token, 0600);
}

/* How long the free space lasts if data come as they came so far. */
static void check_disk(const struct api *api, struct twin **twins, size_t count, json_t *items)
{
    double free_bytes = (double)space_free(), reserve = (double)config_live(&api->config->reserve_mb) * MIB, growth = 0;
    for (size_t i = 0; i < count; i++) {
        double days = (double)(clock_ms() - twins[i]->created_ms) / 86400000;
        if (days > 0.04) /* an hour says something */
            growth += (double)spool_bytes(twins[i]->spool) / days;
    }
    double days = growth > 0 ? (free_bytes - reserve) / growth : 1e9;
    if (free_bytes < reserve)
        doctor_add(items, "disk", DOCTOR_ERROR,
                   "make room on this disk, or set spool-mb lower and reload; twind goes on by itself",
                   "%.0f MiB are free, the reserve is %.0f MiB: no data are accepted", free_bytes / MIB, reserve / MIB);
    else if (days < 7)
        doctor_add(items, "disk", DOCTOR_WARNING, "make room, or limit the spool (spool-mb, spool-days) and reload",
                   "%.0f MiB are free, which lasts %.1f days at %.0f MiB a day", free_bytes / MIB, days, growth / MIB);
    else
        doctor_add(items, "disk", DOCTOR_OK, NULL,
                   "%.0f MiB are free, the reserve is %.0f MiB, the spool grew %.1f MiB a day", free_bytes / MIB,
                   reserve / MIB, growth / MIB);
}

static void check_clock(struct twin **twins, size_t count, json_t *items)
{
    int64_t newest = 0, now = clock_ms();
    for (size_t i = 0; i < count; i++) {
        pthread_mutex_lock(&twins[i]->lock);
        int64_t last = twins[i]->counters.last_received_ms;
        pthread_mutex_unlock(&twins[i]->lock);
        last = last > twins[i]->created_ms ? last : twins[i]->created_ms;
        newest = last > newest ? last : newest;
    }
    if (newest > now + 60000)
        doctor_add(
            items, "clock", DOCTOR_ERROR, "set the clock (timedatectl; NTP); history will be out of order until then",
            "the newest stored time lies %.0f s in the future: the clock went back", (double)(newest - now) / 1000);
    else if (now < 1600000000000)
        doctor_add(items, "clock", DOCTOR_ERROR, "set the clock (timedatectl; NTP)", "the clock is not set");
    else
        doctor_add(items, "clock", DOCTOR_OK, NULL, "no stored time lies in the future");
}

/* --- libraries --- */

/* Versions below `below` are known to be bad in a way that reaches twind. */
static const struct {
    const char *library, *below, *why;
} bad[] = {
    {"libzmq", "4.3.3", "a peer can crash it or run code in it (CVE-2019-6250, CVE-2020-15166)"},
    {"libmicrohttpd", "0.9.71", "it has faults in parsing requests and in suspended connections"},
    {"sqlite", "3.37.0", "it has no STRICT tables"},
    {"jansson", "2.13", "it lacks checks of json_pack that twind builds on"},
    {"openblas", "0.3.13", "its AVX-512 kernels gave wrong results, and it does not know newer processors"},
};

static int compare_versions(const char *a, const char *b)
{
    for (;;) {
        char *end_a, *end_b;
        long x = strtol(a, &end_a, 10), y = strtol(b, &end_b, 10);
        if (x != y)
            return x < y ? -1 : 1;
        if (*end_a != '.' || *end_b != '.')
            return 0;
        a = end_a + 1;
        b = end_b + 1;
    }
}

static void check_library(json_t *items, const char *library, const char *version)
{
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (strcmp(bad[i].library, library) != 0 || compare_versions(version, bad[i].below) >= 0)
            continue;
        doctor_add(items, library, DOCTOR_WARNING, "install a newer one and restart twind", "%s %s, but below %s %s",
                   library, version, bad[i].below, bad[i].why);
        return;
    }
    doctor_add(items, library, DOCTOR_OK, NULL, "%s %s", library, version);
}

static void check_libraries(json_t *items)
{
    char version[64];
    int major, minor, patch;
    zmq_version(&major, &minor, &patch);
    snprintf(version, sizeof version, "%d.%d.%d", major, minor, patch);
    check_library(items, "libzmq", version);
    check_library(items, "libmicrohttpd", MHD_get_version());
    check_library(items, "sqlite", sqlite3_libversion());
    check_library(items, "jansson", jansson_version_str());
    if (sscanf(openblas_get_config(), "OpenBLAS %63s", version) != 1)
        strcpy(version, "0");
    check_library(items, "openblas", version);
}

/* A new processor under an old OpenBLAS falls back to kernels of the nineties without a word. */
static void check_kernels(const struct api *api, json_t *items)
{
    const char *core = strcmp(api->kernels->name, "blas") == 0 ? openblas_get_corename() : "";
    if (!strcasecmp(core, "Prescott") || !strcasecmp(core, "Core2") || !strcasecmp(core, "generic"))
        doctor_add(items, "kernels", DOCTOR_WARNING, "install an OpenBLAS that knows this processor",
                   "%s, self-test passed, but OpenBLAS treats this processor as %s", api->kernels->detail, core);
    else
        doctor_add(items, "kernels", DOCTOR_OK, NULL, "%s, self-test passed", api->kernels->detail);
}

/* --- limits --- */

/* memory.max of the cgroup, 0 if there is none. */
static double cgroup_memory(void)
{
    char line[600], path[700];
    double bytes = 0;
    FILE *file = fopen("/proc/self/cgroup", "re");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "0::", 3) != 0)
            continue;
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", line + 3);
        FILE *limit = fopen(path, "re");
        if (limit && fscanf(limit, "%lf", &bytes) != 1) /* "max" */
            bytes = 0;
        if (limit)
            fclose(limit);
    }
    if (file)
        fclose(file);
    return bytes;
}

static void check_limits(const struct api *api, json_t *items)
{
    const struct config *config = api->config;
    struct rlimit files;
    double memory = (double)config_live(&config->memory_mb) * MIB, cgroup = cgroup_memory();
    unsigned long need =
        (unsigned long)(config_live(&config->http_connections) + 2 * config_live(&config->zmq_connections)) + 128;
    getrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_cur < need)
        doctor_add(items, "open_files", DOCTOR_WARNING,
                   "raise LimitNOFILE= of the service (ulimit -n), or allow fewer connections",
                   "%llu files may be open, connections may need %lu", (unsigned long long)files.rlim_cur, need);
    else
        doctor_add(items, "open_files", DOCTOR_OK, NULL, "%llu may be open, connections may need %lu",
                   (unsigned long long)files.rlim_cur, need);
    if (cgroup > 0 && cgroup < memory)
        doctor_add(items, "memory", DOCTOR_WARNING, "set memory-mb below MemoryMax= of the service",
                   "memory-mb is %.0f MiB, but the control group ends the daemon at %.0f MiB", memory / MIB,
                   cgroup / MIB);
    else
        doctor_add(items, "memory", DOCTOR_OK, NULL, "memory-mb is %.0f MiB%s", memory / MIB,
                   cgroup > 0 ? ", below the control group's limit" : "; no control group limits it");
}

/* --- what the daemon knows --- */

static void check_troubles(json_t *items)
{
    json_t *troubles = trouble_json(), *trouble;
    size_t i;
    json_array_foreach(troubles, i, trouble)
    {
        const char *name, *subject, *level, *detail, *since;
        if (json_unpack(trouble, "{s:s, s:s, s:s, s:s, s:s}", "name", &name, "subject", &subject, "level", &level,
                        "detail", &detail, "since", &since) != 0)
            continue;
        bool unready = !strcmp(level, "unready");
        doctor_add(items, name, unready ? DOCTOR_ERROR : DOCTOR_WARNING,
                   "the log tells what came before (journalctl -u twind)", "%s%s%s, since %s", subject,
                   *subject ? ": " : "", detail, since);
    }
    if (json_array_size(troubles) == 0)
        doctor_add(items, "troubles", DOCTOR_OK, NULL, "none");
    json_decref(troubles);
}

/* What was acknowledged and is of no use. True if there is none of it. */
static bool check_rows(struct twin *twin, json_t *items)
{
    struct feeds_invalid invalid[FEEDS_SHOWN];
    char words[FEEDS_SHOWN][400];
    pthread_mutex_lock(&twin->lock);
    size_t count = feeds_invalid(twin->feeds, invalid, FEEDS_SHOWN);
    for (size_t i = 0; i < count; i++)
        feeds_invalid_words(&invalid[i], words[i]);
    pthread_mutex_unlock(&twin->lock);
    for (size_t i = 0; i < count; i++)
        doctor_add(items, "invalid_rows", DOCTOR_WARNING,
                   "see what the feed sends: units, order of the columns; twinctl show NAME has each column's limits",
                   "%s: %s", twin->name, words[i]);
    return count == 0;
}

static void check_twin(struct twin *twin, json_t *items)
{
    bool usable = check_rows(twin, items);
    pthread_mutex_lock(&twin->lock);
    struct twin_lag lag = registry_lag(twin);
    double seconds = registry_lag_seconds(twin);
    uint64_t gaps = twin->counters.gaps;
    bool trained = twin->champion != NULL;
    char fault[256];
    memcpy(fault, twin->fault, sizeof fault);
    pthread_mutex_unlock(&twin->lock);
    if (*fault)
        doctor_add(items, "champion", DOCTOR_ERROR, "serve a version that is whole: twinctl versions, twinctl rollback",
                   "%s: %s", twin->name, fault);
    if (trained && lag.windows > 1 && seconds > 60)
        doctor_add(items, "lag", DOCTOR_WARNING,
                   "larger windows, fewer events, more threads, or let the loop skip windows",
                   "%s: %llu complete windows wait, the oldest for %.0f s", twin->name, (unsigned long long)lag.windows,
                   seconds);
    if (gaps)
        doctor_add(items, "feeds", DOCTOR_WARNING,
                   "see which feed lost them (GET /v1/twins/NAME/feeds); it can still send them",
                   "%s: %llu sequence numbers are missing", twin->name, (unsigned long long)gaps);
    if (!*fault && !gaps && usable && (!trained || lag.windows <= 1 || seconds <= 60))
        doctor_add(items, "twin", DOCTOR_OK, NULL, "%s: %s, no gaps, no lag", twin->name,
                   trained ? "serves a champion" : "not trained yet");
}

void doctor_facts(const struct api *api, json_t *items)
{
    struct twin **twins = NULL;
    size_t count = registry_list(api->registry, &twins);
    check_state(api, items);
    check_disk(api, twins, count, items);
    check_clock(twins, count, items);
    check_kernels(api, items);
    check_libraries(items);
    check_limits(api, items);
    check_troubles(items);
    doctor_add(items, "ports", DOCTOR_OK, NULL, "feeds at %s, announcements at %s", ingest_endpoint(api->ingest),
               ingest_publish_endpoint(api->ingest));
    for (size_t i = 0; i < count; i++) {
        check_twin(twins[i], items);
        registry_twin_unref(twins[i]);
    }
    free(twins);
}
