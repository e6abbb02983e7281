/* What each twin says of itself, as GET /v1/twins/{twin} does, its feeds, and the retunes of this process. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/feeds.h"
#include "daemon/metrics_parts.h"
#include "stat/drift.h"

enum { FEEDS = 64 }; /* by name; what else there is counts as feed "", as no label may grow without bound */

struct seen {
    struct twin *twin; /* borrowed */
    json_t *json;
    json_t *last; /* the statistics of its last iteration, borrowed */
    size_t next;  /* of them */
    struct tw_observables *observables;
    unsigned detectors;
    struct feeds_total feeds[FEEDS];
    size_t feed_count;
    struct twin_retunes retunes;
    int aliases[REGISTRY_ALIASES];
    uint64_t alarms;
};

struct scrape {
    FILE *out;
    size_t count;
    struct seen *seen;
};

/* --- looking --- */

static int see(struct seen *seen, struct twin *twin)
{
    seen->twin = twin;
    seen->json = registry_twin_json(twin);
    seen->last = json_object_get(json_object_get(seen->json, "last_iteration"), "statistics");
    seen->observables = registry_observables(twin);
    pthread_mutex_lock(&twin->lock);
    seen->detectors = twin->definition->loop.detectors;
    seen->feed_count = feeds_totals(twin->feeds, seen->feeds, FEEDS);
    seen->retunes = twin->retunes;
    memcpy(seen->aliases, twin->aliases, sizeof seen->aliases);
    seen->alarms = twin->record.all_alarms;
    pthread_mutex_unlock(&twin->lock);
    return seen->json != NULL ? TW_OK : TW_NO_MEMORY;
}

/* --- families with one sample a twin --- */

static void begin(const struct scrape *scrape, const char *name, const struct seen *seen)
{
    fputs(name, scrape->out);
    metrics_label(scrape->out, "{", "twin", seen->twin->name);
}

static void end(const struct scrape *scrape, double value)
{
    fputc('}', scrape->out);
    metrics_number(scrape->out, value);
}

/* The number at `path` of two members (the second may be NULL); NaN, or 0 of a counter, where there is none yet. */
static void per_twin(const struct scrape *scrape, const char *name, const char *type, const char *help,
                     const char *member, const char *inner)
{
    double none = strcmp(type, "counter") == 0 ? 0 : NAN;
    metrics_family(scrape->out, name, type, help);
    for (size_t i = 0; i < scrape->count; i++) {
        const json_t *value = json_object_get(scrape->seen[i].json, member);
        if (inner != NULL)
            value = json_object_get(value, inner);
        begin(scrape, name, &scrape->seen[i]);
        end(scrape, json_is_boolean(value)  ? json_is_true(value)
                    : json_is_number(value) ? json_number_value(value)
                                            : none);
    }
}

/* A state set: 1 for the state that holds, 0 for the others. */
static void per_state(const struct scrape *scrape, const char *name, const char *help, const char *member,
                      const char *const *states)
{
    metrics_family(scrape->out, name, "gauge", help);
    for (size_t i = 0; i < scrape->count; i++) {
        const char *now = json_string_value(json_object_get(scrape->seen[i].json, member));
        for (const char *const *state = states; *state != NULL; state++) {
            begin(scrape, name, &scrape->seen[i]);
            metrics_label(scrape->out, ",", member, *state);
            end(scrape, now != NULL && strcmp(now, *state) == 0);
        }
    }
}

/* --- statistics of the last window --- */

/* They are asked for in the order in which they come, so that the look begins behind what was found last. */
static const json_t *find(struct seen *seen, const char *verdict, const char *name, const char *feature)
{
    size_t count = json_array_size(seen->last);
    for (size_t i = 0; i < count; i++) {
        size_t k = (seen->next + i) % count;
        const json_t *entry = json_array_get(seen->last, k);
        const char *of = json_string_value(json_object_get(entry, "verdict"));
        const char *named = json_string_value(json_object_get(entry, "name"));
        const char *about = json_string_value(json_object_get(entry, "feature"));
        if (of != NULL && named != NULL && strcmp(of, verdict) == 0 && strcmp(named, name) == 0 &&
            strcmp(about != NULL ? about : "", feature) == 0) {
            seen->next = k + 1;
            return entry;
        }
    }
    return NULL;
}

static double member_of(const json_t *entry, const char *member)
{
    const json_t *value = json_object_get(entry, member);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* Does this detector speak about single columns, or about the window? */
static bool by_column(enum tw_detector detector)
{
    return detector != TW_DETECT_C2ST && detector != TW_DETECT_MMD && detector != TW_DETECT_INVALID;
}

/* One sample; NaN until a window has it. */
static void statistic(const struct scrape *scrape, const char *name, struct seen *seen, enum tw_detector detector,
                      const char *feature, const char *member)
{
    const char *detector_name = tw_drift_detector_name(detector);
    begin(scrape, name, seen);
    metrics_label(scrape->out, ",", "statistic", detector_name);
    metrics_label(scrape->out, ",", "feature", feature);
    end(scrape, member_of(find(seen, "drift", detector_name, feature), member));
}

/* `member` of every statistic that the detectors of a twin can have. */
static void per_statistic(const struct scrape *scrape, const char *name, const char *help, const char *member)
{
    metrics_family(scrape->out, name, "gauge", help);
    for (size_t i = 0; i < scrape->count; i++) {
        struct seen *seen = &scrape->seen[i];
        const struct tw_schema *schema = seen->observables->extended;
        for (int d = 0; d < TW_DETECTORS; d++) {
            enum tw_detector detector = (enum tw_detector)d;
            bool chosen = (seen->detectors >> d & 1) != 0 || detector == TW_DETECT_INVALID;
            if (chosen && (!by_column(detector) || detector == TW_DETECT_CUSUM)) /* cusum: the log-likelihood too */
                statistic(scrape, name, seen, detector, "", member);
            for (int f = 0; by_column(detector) && f < schema->features; f++)
                if (chosen || (detector == TW_DETECT_PRESENCE && schema->columns[f].optional))
                    statistic(scrape, name, seen, detector, schema->columns[f].name, member);
        }
    }
}

static void per_fidelity(const struct scrape *scrape, const char *name, const char *help, const char *statistic_name,
                         const char *member)
{
    metrics_family(scrape->out, name, "gauge", help);
    for (size_t i = 0; i < scrape->count; i++) {
        begin(scrape, name, &scrape->seen[i]);
        end(scrape, member_of(find(&scrape->seen[i], "fidelity", statistic_name, ""), member));
    }
}

static void comparisons(const struct scrape *scrape)
{
    per_twin(scrape, "twin_iterations_total", "counter", "Windows that were compared.", "last_iteration", "iteration");
    metrics_family(scrape->out, "twin_drift_alarms_total", "counter",
                   "Alarms of drift; an alarm that lasts is one, over all versions.");
    for (size_t i = 0; i < scrape->count; i++) {
        begin(scrape, "twin_drift_alarms_total", &scrape->seen[i]);
        end(scrape, (double)scrape->seen[i].alarms);
    }
    per_twin(scrape, "twin_drift", "gauge", "1 if the last window differs from the acceptance reference.",
             "last_iteration", "drift");
    per_statistic(scrape, "twin_drift_statistic", "Drift statistics of the last window.", "value");
    per_statistic(scrape, "twin_drift_p_value", "Their p-values.", "p_value");
    per_statistic(scrape, "twin_drift_threshold", "p-values at or below this raise the alarm.", "threshold");
    per_fidelity(scrape, "twin_fidelity_auc", "A classifier's AUC, samples of the champion against the last window.",
                 "c2st", "value");
    per_fidelity(scrape, "twin_fidelity_auc_floor", "The same for data against data.", "c2st", "floor");
    per_fidelity(scrape, "twin_log_prob", "Mean log-likelihood of the last window under the champion.", "log_prob",
                 "value");
    per_fidelity(scrape, "twin_distance",
                 "Largest difference of any 5 % region of the last window from the version named as reference.",
                 "distance", "value");
}

/* --- versions and retunes --- */

static void versions(const struct scrape *scrape)
{
    metrics_family(scrape->out, "twin_model_version", "gauge", "Version that an alias names; 0: none was ever named.");
    for (size_t i = 0; i < scrape->count; i++)
        for (int a = 0; a < REGISTRY_ALIASES; a++) {
            begin(scrape, "twin_model_version", &scrape->seen[i]);
            metrics_label(scrape->out, ",", "alias", registry_alias_name(a));
            end(scrape, scrape->seen[i].aliases[a]);
        }
    metrics_family(scrape->out, "twin_model_version_info", "gauge",
                   "Constant 1, with the version that an alias names; version \"\": none was ever named.");
    for (size_t i = 0; i < scrape->count; i++)
        for (int a = 0; a < REGISTRY_ALIASES; a++) {
            char version[16] = "";
            if (scrape->seen[i].aliases[a])
                snprintf(version, sizeof version, "%d", scrape->seen[i].aliases[a]);
            begin(scrape, "twin_model_version_info", &scrape->seen[i]);
            metrics_label(scrape->out, ",", "alias", registry_alias_name(a));
            metrics_label(scrape->out, ",", "version", version);
            end(scrape, 1);
        }
}

static void retunes(const struct scrape *scrape)
{
    FILE *out = scrape->out;
    metrics_family(out, "twin_retunes_total", "counter", "Retunes that ended, since the start.");
    for (size_t i = 0; i < scrape->count; i++)
        for (int o = 0; o < REGISTRY_OUTCOMES; o++) {
            begin(scrape, "twin_retunes_total", &scrape->seen[i]);
            metrics_label(out, ",", "outcome", registry_outcome_name(o));
            end(scrape, (double)scrape->seen[i].retunes.outcomes[o]);
        }
    metrics_family(out, "twin_retune_duration_seconds", "histogram",
                   "From the reading of a retune's rows to its decision, since the start.");
    for (size_t i = 0; i < scrape->count; i++) {
        const struct twin_retunes *r = &scrape->seen[i].retunes;
        for (int b = 0; b <= REGISTRY_BOUNDS; b++) {
            char bound[16] = "+Inf";
            if (b < REGISTRY_BOUNDS)
                snprintf(bound, sizeof bound, "%g", registry_duration_bound(b));
            begin(scrape, "twin_retune_duration_seconds_bucket", &scrape->seen[i]);
            metrics_label(out, ",", "le", bound);
            end(scrape, (double)(b < REGISTRY_BOUNDS ? r->within[b] : r->count));
        }
        begin(scrape, "twin_retune_duration_seconds_sum", &scrape->seen[i]);
        end(scrape, r->seconds);
        begin(scrape, "twin_retune_duration_seconds_count", &scrape->seen[i]);
        end(scrape, (double)r->count);
    }
}

/* --- feeds --- */

static void per_feed(const struct scrape *scrape, const char *name, const char *help, size_t offset)
{
    metrics_family(scrape->out, name, "counter", help);
    for (size_t i = 0; i < scrape->count; i++)
        for (size_t f = 0; f < scrape->seen[i].feed_count; f++) {
            const struct feeds_total *total = &scrape->seen[i].feeds[f];
            uint64_t value;
            memcpy(&value, (const char *)total + offset, sizeof value);
            begin(scrape, name, &scrape->seen[i]);
            metrics_label(scrape->out, ",", "feed", total->feed);
            end(scrape, (double)value);
        }
}

static void ingest(const struct scrape *scrape)
{
    per_feed(scrape, "twin_ingest_events_total", "Events that are durable; feed \"\": of all beyond the first 63.",
             offsetof(struct feeds_total, events));
    per_feed(scrape, "twin_ingest_batches_total", "Batches that are durable.", offsetof(struct feeds_total, batches));
    per_feed(scrape, "twin_ingest_duplicates_total", "Batches that came again, since the start.",
             offsetof(struct feeds_total, duplicates));
    per_feed(scrape, "twin_ingest_invalid_rows_total", "Rows with NaN, inf or values outside a hard domain.",
             offsetof(struct feeds_total, invalid_rows));
    per_twin(scrape, "twin_ingest_gaps", "gauge", "Sequence numbers that are missing.", "ingest", "gaps");
    per_twin(scrape, "twin_lag_batches", "gauge", "Batches of complete windows not yet compared.", "ingest",
             "lag_batches");
    per_twin(scrape, "twin_lag_windows", "gauge", "Complete windows not yet compared.", "ingest", "lag_windows");
    per_twin(scrape, "twin_lag_seconds", "gauge", "How long the oldest complete window has waited.", "ingest", "lag_s");
    per_twin(scrape, "twin_windows_skipped_total", "counter", "Windows that loop.max_lag_windows left out.", "ingest",
             "windows_skipped");
}

int metrics_twins(struct registry *registry, FILE *out)
{
    static const char *const verdicts[] = {"true", "drifted", "unknown", NULL};
    static const char *const activities[] = {"untrained", "idle", "comparing", "retuning", "held", NULL};
    struct twin **list = NULL;
    struct scrape scrape = {.out = out, .count = registry_list(registry, &list)};
    int status = TW_OK;
    scrape.seen = calloc(scrape.count + 1, sizeof *scrape.seen);
    if (scrape.seen == NULL || list == NULL)
        status = TW_NO_MEMORY;
    for (size_t i = 0; i < scrape.count && status == TW_OK; i++)
        status = see(&scrape.seen[i], list[i]);
    if (status == TW_OK) {
        per_state(&scrape, "twin_verdict", "Is the twin true to its data?", "verdict", verdicts);
        per_state(&scrape, "twin_activity", "What the loop is doing.", "activity", activities);
        versions(&scrape);
        comparisons(&scrape);
        retunes(&scrape);
        ingest(&scrape);
    }
    for (size_t i = 0; i < scrape.count; i++) {
        if (scrape.seen != NULL) {
            json_decref(scrape.seen[i].json);
            tw_observables_unref(scrape.seen[i].observables);
        }
        registry_twin_unref(list[i]);
    }
    free(scrape.seen);
    free(list);
    return status;
}
