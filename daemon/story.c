#include "daemon/story.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/feeds.h"
#include "daemon/store.h"

enum { FOLLOWED = 24, SUMMARY = 2000 }; /* iterations after an alarm that may belong to it */

/* --- text that grows and is cut where it is too long --- */

struct text {
    char bytes[SUMMARY];
    size_t length;
};

__attribute__((format(printf, 2, 3))) static void say(struct text *text, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text->bytes + text->length, sizeof(text->bytes) - text->length, format, args);
    va_end(args);
    text->length += n > 0 ? (size_t)n : 0;
    if (text->length >= sizeof(text->bytes))
        text->length = sizeof(text->bytes) - 1;
}

/* --- what the store has --- */

static const json_t *statistic(const json_t *iteration, const char *name, const char *verdict)
{
    const json_t *entry;
    size_t i;
    json_array_foreach(json_object_get(iteration, "statistics"), i, entry)
    {
        const char *n = json_string_value(json_object_get(entry, "name"));
        const char *v = json_string_value(json_object_get(entry, "verdict"));
        if (n && v && strcmp(n, name) == 0 && strcmp(v, verdict) == 0)
            return entry;
    }
    return NULL;
}

/* The chance of such a window without drift, by all detectors together: thresholds are shares of
 * 1 / (2 expected_run_time), so the least p over its share. */
static double joint_p(const json_t *iteration)
{
    const json_t *entry;
    size_t i;
    double shares = 0, least = INFINITY;
    json_array_foreach(json_object_get(iteration, "statistics"), i, entry)
    {
        double p = json_number_value(json_object_get(entry, "p_value"));
        double threshold = json_number_value(json_object_get(entry, "threshold"));
        if (!(threshold > 0) || !json_is_number(json_object_get(entry, "p_value")))
            continue;
        shares += threshold;
        least = fmin(least, p / threshold);
    }
    return fmin(1, least * shares);
}

static bool decided(const json_t *iteration, const char *word)
{
    const char *decision = json_string_value(json_object_get(iteration, "decision"));
    return decision && strcmp(decision, word) == 0;
}

/* Did the champion change with this iteration? */
static bool moved(const json_t *iteration)
{
    return decided(iteration, "promoted") || decided(iteration, "recalled") || decided(iteration, "rolled_back");
}

/* The iteration that tells what was done about the alarm: the first that moved the champion, else the last that did
 * anything at all. */
static const json_t *acted(const json_t *iterations)
{
    const json_t *iteration, *found = NULL;
    size_t i;
    json_array_foreach(iterations, i, iteration)
    {
        if (moved(iteration))
            return iteration;
        if (!decided(iteration, "none") && !decided(iteration, "drift") && !decided(iteration, "skipped"))
            found = iteration;
    }
    return found ? found : json_array_get(iterations, 0);
}

/* Of the version that a retune made older rows know only what it was made of. */
static int version_of(struct twin *twin, const json_t *iteration)
{
    const json_t *policy = json_object_get(iteration, "policy");
    int version = (int)json_integer_value(json_object_get(policy, "version"));
    if (version || !json_object_get(policy, "operation"))
        return version;
    return store_version_made(
        twin->store, twin->id, (int)json_integer_value(json_object_get(iteration, "version")),
        (uint64_t)json_integer_value(json_object_get(json_object_get(iteration, "ordinals"), "last")));
}

static json_t *action_json(struct twin *twin, const json_t *iteration)
{
    const json_t *policy = json_object_get(iteration, "policy");
    json_t *outcome = json_object_get(policy, "outcome"), *operation = json_object_get(policy, "operation");
    int version = version_of(twin, iteration);
    return json_pack("{s:O, s:O, s:O, s:o, s:O?, s:O?}", "iteration", json_object_get(iteration, "iteration"),
                     "decision", json_object_get(iteration, "decision"), "from", json_object_get(iteration, "version"),
                     "version", version ? json_integer(version) : json_null(), "operation", operation, "reason",
                     outcome ? outcome : json_object_get(policy, "reason"));
}

static json_t *fidelity_of(const json_t *iteration)
{
    const json_t *entry = statistic(iteration, "c2st", "fidelity");
    json_t *json = entry ? json_object() : json_null();
    static const char *const members[] = {"value", "error", "floor"};
    for (size_t i = 0; i < 3 && entry; i++)
        json_object_set(json, members[i], json_object_get(entry, members[i]));
    return json;
}

/* What the new version's gate and its trial said, and the fidelity before and after. */
static json_t *helped_json(struct twin *twin, const json_t *action, const json_t *iterations)
{
    int version = (int)json_integer_value(json_object_get(action, "version"));
    if (version <= 0)
        return json_null();
    json_t *row = store_version_json(twin->store, twin->id, version);
    const json_t *metrics = json_object_get(row, "metrics"), *iteration, *after = NULL;
    json_t *appeal = json_object_get(metrics, "appeal"), *trial = json_object_get(metrics, "regret");
    json_t *gate = appeal ? appeal : json_object_get(metrics, "gate"); /* the same test, with more events */
    size_t i;
    json_array_foreach(iterations, i,
                       iteration) if (!after && json_integer_value(json_object_get(iteration, "version")) == version)
        after = iteration;
    json_t *json = json_pack("{s:O?, s:O?, s:{s:o, s:o}}", "gate", gate, "since", trial, "fidelity", "before",
                             fidelity_of(json_array_get(iterations, 0)), "after", fidelity_of(after));
    json_decref(row);
    return json;
}

/* --- in words --- */

static void say_since(struct text *text, const json_t *alarm)
{
    const json_t *since = json_object_get(alarm, "since");
    say(text, "Since batch %lld", (long long)json_integer_value(json_object_get(since, "ordinal")));
    if (json_is_string(json_object_get(since, "feed")))
        say(text, " (feed %s, run %lld, seq %lld, %s)", json_string_value(json_object_get(since, "feed")),
            (long long)json_integer_value(json_object_get(since, "run")),
            (long long)json_integer_value(json_object_get(since, "seq")),
            json_string_value(json_object_get(since, "received")));
}

static void say_what(struct text *text, const json_t *alarm, const json_t *iteration)
{
    const json_t *drifted = json_object_get(alarm, "drifted"), *entry, *alarms = json_object_get(alarm, "alarms");
    size_t i, count = json_array_size(drifted);
    bool invalid = false, told = false;
    json_array_foreach(alarms, i, entry) invalid = invalid || strcmp(json_string_value(entry), "invalid_rows") == 0;
    const json_t *auc = statistic(iteration, "c2st", "drift"), *rate = statistic(iteration, "invalid_rows", "drift");
    if (invalid) {
        say(text, " %.3g %% of rows are invalid, %.3g %% in the reference",
            100 * json_number_value(json_object_get(rate, "value")),
            100 * json_number_value(json_object_get(rate, "floor")));
        told = true;
    }
    json_array_foreach(drifted, i, entry)
    {
        if (i >= 3)
            break;
        say(text, "%s%s", told || i ? "; " : " ", json_string_value(json_object_get(entry, "words")));
    }
    if (count > 3)
        say(text, "; %zu more %s changed", count - 3, count == 4 ? "column has" : "columns have");
    if (!count && !invalid)
        say(text, " events look different to a classifier (AUC %.3g \u00b1 %.1g), but no column stands out",
            json_number_value(json_object_get(auc, "value")), json_number_value(json_object_get(auc, "error")));
    say(text, ". ");
}

static void say_sure(struct text *text, double p)
{
    double windows = 1 / fmax(p, 1e-12);
    if (windows < 1e5)
        say(text, "By chance this happens at most once in %.0f windows. ", windows);
    else
        say(text, "By chance this happens at most once in 10^%d windows. ", (int)floor(log10(windows) + 1e-9));
}

static void say_action(struct text *text, const json_t *action)
{
    long long from = (long long)json_integer_value(json_object_get(action, "from"));
    long long version = (long long)json_integer_value(json_object_get(action, "version"));
    long long operation = (long long)json_integer_value(json_object_get(action, "operation"));
    const char *reason = json_string_value(json_object_get(action, "reason"));
    const char *decision = json_string_value(json_object_get(action, "decision"));
    if (!decision)
        return;
    if (strcmp(decision, "promoted") == 0)
        say(text, "The twin was retuned: version %lld replaced version %lld. ", version, from);
    else if (strcmp(decision, "recalled") == 0)
        say(text, "Version %lld of the past was recalled in place of version %lld. ", version, from);
    else if (strcmp(decision, "rolled_back") == 0)
        say(text, "The loop went back from version %lld to version %lld. ", from, version);
    else if (strcmp(decision, "retuning") == 0)
        say(text, "A retune is under way (operation %lld). ", operation);
    else if (strcmp(decision, "rejected") == 0)
        say(text, "A retune was tried and rejected: %s. ", reason ? reason : "no gain");
    else if (strcmp(decision, "advised") == 0)
        say(text, "The loop waits for people: %s. ", reason ? reason : "it advises");
    else if (strcmp(decision, "drift") != 0)
        say(text, "Decision %s: %s. ", decision, reason ? reason : "nothing was done");
}

static void say_gain(struct text *text, const char *how, const json_t *gain)
{
    if (json_is_number(json_object_get(gain, "gain")) && json_is_number(json_object_get(gain, "error")))
        say(text, "It gained %.3g \u00b1 %.1g nats an event on %lld %s. ",
            json_number_value(json_object_get(gain, "gain")), json_number_value(json_object_get(gain, "error")),
            (long long)json_integer_value(json_object_get(gain, "events")), how);
}

static void say_helped(struct text *text, const json_t *helped)
{
    const json_t *since = json_object_get(helped, "since"), *fidelity = json_object_get(helped, "fidelity");
    const json_t *before = json_object_get(fidelity, "before"), *after = json_object_get(fidelity, "after");
    say_gain(text, "events that it was not trained on", json_object_get(helped, "gate"));
    if (json_integer_value(json_object_get(since, "events")) > 0)
        say_gain(text, "events that came later", since);
    if (json_is_number(json_object_get(before, "value")) && json_is_number(json_object_get(after, "value")))
        say(text, "Fidelity went from AUC %.3f to %.3f (floor %.3f). ",
            json_number_value(json_object_get(before, "value")), json_number_value(json_object_get(after, "value")),
            json_number_value(json_object_get(after, "floor")));
}

static void say_quiet(struct text *text, const struct twin_record *record, int champion, double promised)
{
    if (record->windows == 0 || record->version != champion)
        say(text, champion ? "No window has been compared with version %d yet. " : "The twin is not trained yet. ",
            champion);
    else
        say(text,
            "No drift in the last window; %llu windows compared with version %d, %llu alarms (promised: at least %g "
            "windows between false alarms). ",
            (unsigned long long)record->windows, record->version, (unsigned long long)record->alarms, promised);
}

/* --- together --- */

static json_t *alarm_json(struct twin *twin, const struct twin_record *record, const json_t *last)
{
    /* an alarm that lasts is told by the newest window, which knows most */
    json_t *iterations = store_iterations_from(twin->store, twin->id, record->alarm_iteration, FOLLOWED);
    const json_t *begun = json_array_get(iterations, 0);
    if (!begun || json_integer_value(json_object_get(begun, "iteration")) != record->alarm_iteration) {
        json_decref(iterations); /* pruned */
        return json_null();
    }
    const json_t *told = record->alarmed && json_is_true(json_object_get(last, "drift")) ? last : begun;
    const json_t *policy = json_object_get(told, "policy");
    json_t *drifted = json_object_get(policy, "drifted");
    bool lasts = told == last && !moved(last);
    json_t *change = json_object_get(json_object_get(begun, "policy"), "since");
    if (!change)
        change = json_object_get(json_object_get(begun, "ordinals"), "first");
    json_t *since = store_batch_json(twin->store, twin->id, (uint64_t)json_integer_value(change));
    if (!since)
        since = json_pack("{s:O}", "ordinal", change);
    json_t *action = action_json(twin, acted(iterations));
    json_t *helped = helped_json(twin, action, iterations);
    json_t *json = json_pack(
        "{s:O, s:O, s:O, s:b, s:O, s:o, s:o, s:f, s:o, s:o}", "iteration", json_object_get(begun, "iteration"), "time",
        json_object_get(begun, "time"), "version", json_object_get(begun, "version"), "lasts", lasts, "alarms",
        json_object_get(policy, "alarms"), "since", since, "drifted", drifted ? json_incref(drifted) : json_array(),
        "p_value", joint_p(told), "action", action, "helped", helped);
    struct text text = {.length = 0};
    if (json) {
        say_since(&text, json);
        say_what(&text, json, told);
        say_sure(&text, joint_p(told));
        say_action(&text, action);
        say_helped(&text, helped);
        json_object_set_new(json, "words", json_stringn(text.bytes, text.length ? text.length - 1 : 0));
    }
    json_decref(iterations);
    return json ? json : json_null();
}

/* What came last and cannot be used: the story is not of that. */
static void say_invalid(struct text *text, struct twin *twin)
{
    struct feeds_invalid invalid;
    char words[400];
    pthread_mutex_lock(&twin->lock);
    size_t count = feeds_invalid(twin->feeds, &invalid, 1);
    if (count > 0)
        feeds_invalid_words(&invalid, words);
    pthread_mutex_unlock(&twin->lock);
    if (count > 0)
        say(text, "Now %s. ", words);
}

void story_tell(struct twin *twin, const json_t *last, json_t *answer)
{
    pthread_mutex_lock(&twin->lock);
    struct twin_record record = twin->record;
    double promised = twin->definition->loop.expected_run_time;
    int champion = twin->champion ? twin->champion->version : 0;
    pthread_mutex_unlock(&twin->lock);
    json_object_set_new(answer, "expected_run_time",
                        json_pack("{s:f, s:i, s:I, s:I, s:I, s:I}", "promised", promised, "version", record.version,
                                  "windows", (json_int_t)record.windows, "alarms", (json_int_t)record.alarms,
                                  "all_windows", (json_int_t)record.all_windows, "all_alarms",
                                  (json_int_t)record.all_alarms));
    json_t *alarm = record.alarm_iteration > 0 ? alarm_json(twin, &record, last) : json_null();
    const char *words = json_string_value(json_object_get(alarm, "words"));
    struct text text = {.length = 0};
    if (words && json_is_true(json_object_get(alarm, "lasts"))) {
        say(&text, "%s ", words);
    } else {
        say_quiet(&text, &record, champion, promised);
        if (words)
            say(&text, "The last alarm, window %lld of %s: %s ",
                (long long)json_integer_value(json_object_get(alarm, "iteration")),
                json_string_value(json_object_get(alarm, "time")), words);
    }
    say_invalid(&text, twin);
    json_object_set_new(answer, "summary", json_stringn(text.bytes, text.length ? text.length - 1 : 0));
    json_object_set_new(answer, "alarm", alarm);
}
