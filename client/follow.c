/* One twin, followed. */
#include "client/follow.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/rest.h"
#include "client/timer.h"

enum { FIRST = 120, NEWS = 8, RUNS = 20000 }; /* iterations to ask for at first, and at each look; runs of all feeds */

static const double MOST_TOWARD = 2; /* beyond an alarm it does not matter how far */

void follow_init(struct follow *follow, const char *twin, size_t most)
{
    memset(follow, 0, sizeof *follow);
    snprintf(follow->twin, sizeof follow->twin, "%s", twin);
    follow->most = most < FOLLOW_POINTS ? most : FOLLOW_POINTS;
}

void follow_fini(struct follow *follow)
{
    json_decref(follow->state);
    json_decref(follow->operation);
    json_decref(follow->drift);
    memset(follow, 0, sizeof *follow);
}

const struct follow_point *follow_last(const struct follow *follow)
{
    return follow->points ? &follow->point[follow->points - 1] : NULL;
}

static double number(const json_t *object, const char *member)
{
    const json_t *value = json_object_get(object, member);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static json_int_t whole(const json_t *object, const char *member)
{
    return json_integer_value(json_object_get(object, member));
}

static void text(const json_t *object, const char *path, char *out, size_t size)
{
    const char *value = json_string_value(output_at(object, path));
    snprintf(out, size, "%s", value ? value : "");
}

/* ---- iterations ---- */

/* An alarm is p <= threshold. On the scale of log p it is reached at 1, wherever the threshold is: a p-value of 1 is 0,
 * and half the digits of the threshold are a half. Of statistics without a p-value the ratio says the same. */
static double toward(const json_t *entry)
{
    double p = number(entry, "p_value"), threshold = number(entry, "threshold"), value = number(entry, "value");
    double part = NAN;
    if (p >= 0 && threshold > 0 && threshold < 1)
        part = p > 0 ? log(p) / log(threshold) : MOST_TOWARD;
    else if (isnan(p) && threshold > 0)
        part = value / threshold;
    return part > MOST_TOWARD ? MOST_TOWARD : part < 0 ? 0 : part;
}

static size_t detector_of(struct follow *follow, const char *name)
{
    size_t i = 0;
    while (i < follow->detectors && strcmp(follow->detector[i].name, name) != 0)
        i++;
    if (i == follow->detectors && i < FOLLOW_DETECTORS)
        snprintf(follow->detector[follow->detectors++].name, sizeof follow->detector->name, "%s", name);
    return i;
}

static void take_drift(struct follow *follow, struct follow_point *point, const json_t *entry)
{
    char name[32];
    double part = toward(entry);
    text(entry, "name", name, sizeof name);
    size_t i = detector_of(follow, name);
    if (i == FOLLOW_DETECTORS || isnan(part) || part <= point->toward[i])
        return;
    struct follow_detector *detector = &follow->detector[i];
    point->toward[i] = part;
    detector->value = number(entry, "value");
    detector->p_value = number(entry, "p_value");
    detector->threshold = number(entry, "threshold");
    text(entry, "feature", detector->feature, sizeof detector->feature);
}

static void take_fidelity(struct follow_point *point, const json_t *entry)
{
    char name[32];
    text(entry, "name", name, sizeof name);
    if (!strcmp(name, "c2st")) {
        point->fidelity = number(entry, "value");
        point->error = number(entry, "error");
        point->floor = number(entry, "floor");
    } else if (!strcmp(name, "log_prob")) {
        point->log_prob = number(entry, "value");
        point->log_prob_error = number(entry, "error");
    }
}

static void reduce(struct follow *follow, const json_t *iteration, struct follow_point *point)
{
    const json_t *entry;
    size_t i;
    *point = (struct follow_point){.iteration = whole(iteration, "iteration"),
                                   .drift = json_is_true(json_object_get(iteration, "drift")),
                                   .fidelity = NAN,
                                   .log_prob = NAN};
    text(iteration, "time", point->time, sizeof point->time);
    text(iteration, "decision", point->decision, sizeof point->decision);
    text(iteration, "policy.reason", point->reason, sizeof point->reason);
    for (i = 0; i < FOLLOW_DETECTORS; i++)
        point->toward[i] = -1; /* below everything that a detector may say */
    json_array_foreach(json_object_get(iteration, "statistics"), i, entry)
    {
        const char *verdict = json_string_value(json_object_get(entry, "verdict"));
        if (verdict && !strcmp(verdict, "drift"))
            take_drift(follow, point, entry);
        else
            take_fidelity(point, entry);
    }
    for (i = 0; i < FOLLOW_DETECTORS; i++)
        if (point->toward[i] < 0)
            point->toward[i] = NAN;
}

/* Oldest first; a point that is there already is made anew, as its decision may have been taken since. */
static void take_point(struct follow *follow, const json_t *iteration)
{
    size_t at = follow->points;
    json_int_t wanted = whole(iteration, "iteration");
    while (at && follow->point[at - 1].iteration >= wanted)
        at--;
    bool there = at < follow->points && follow->point[at].iteration == wanted;
    if (!there && at < follow->points)
        return; /* older than what is kept */
    if (!there && follow->points == FOLLOW_POINTS) {
        memmove(follow->point, follow->point + 1, (FOLLOW_POINTS - 1) * sizeof *follow->point);
        at = --follow->points;
    }
    reduce(follow, iteration, &follow->point[at]);
    follow->points += !there;
}

static int look_at_iterations(struct follow *follow, struct rest *rest)
{
    const struct follow_point *last = follow_last(follow);
    json_int_t newest = last ? last->iteration : 0;
    size_t limit = follow->looked_at > 0 ? NEWS : follow->most < FIRST ? follow->most + !follow->most : FIRST;
    json_t *page = NULL;
    int rc = CLI_OK;
    for (;;) {
        char *path = cli_text("/v1/twins/%s/iterations?limit=%zu", follow->twin, limit);
        rc = rest_get(rest, path, &page);
        free(path);
        const json_t *items = json_object_get(page, "items");
        size_t count = json_array_size(items);
        /* We were away for long: more of what was missed. */
        bool missed = !rc && count && newest && whole(json_array_get(items, count - 1), "iteration") > newest + 1;
        if (!missed || limit == FIRST)
            break;
        limit = FIRST;
        json_decref(page);
    }
    const json_t *items = json_object_get(page, "items");
    for (size_t i = json_array_size(items); i-- > 0;)
        if (follow->looked_at > 0 || i < follow->most)
            take_point(follow, json_array_get(items, i));
    json_decref(page);
    return rc;
}

/* ---- feeds ---- */

static struct follow_feed *feed_of(struct follow *follow, const char *name)
{
    for (size_t i = 0; i < follow->feeds; i++)
        if (!strcmp(follow->feed[i].name, name))
            return &follow->feed[i];
    if (follow->feeds == FOLLOW_FEEDS)
        return NULL;
    struct follow_feed *feed = &follow->feed[follow->feeds++];
    memset(feed, 0, sizeof *feed);
    snprintf(feed->name, sizeof feed->name, "%s", name);
    feed->events = follow->feeds_at > 0 ? 0 : -1; /* of what was there at the first look no rate is known */
    return feed;
}

static const char *name_of(const json_t *item)
{
    const char *name = json_string_value(json_object_get(item, "feed"));
    return name ? name : "";
}

static int by_time(const void *a, const void *b)
{
    const struct follow_feed *left = a, *right = b;
    int later = strcmp(right->received, left->received);
    return later ? later : strcmp(left->name, right->name);
}

static void add_run(struct follow_feed *feed, const json_t *item)
{
    char received[40];
    text(item, "last_received", received, sizeof received);
    if (strcmp(received, feed->received) >= 0) {
        snprintf(feed->received, sizeof feed->received, "%s", received);
        feed->run = whole(item, "run");
    }
    feed->batches += whole(item, "batches");
    feed->events += whole(item, "events");
    feed->invalid += whole(item, "invalid_rows");
    feed->gaps += whole(item, "gaps");
}

static void add_rate(struct follow_feed *feed, double rate)
{
    if (feed->rates == FOLLOW_POINTS) {
        memmove(feed->rate, feed->rate + 1, (FOLLOW_POINTS - 1) * sizeof *feed->rate);
        feed->rates--;
    }
    feed->rate[feed->rates++] = rate;
}

static void take_feeds(struct follow *follow, const json_t *items, double now)
{
    json_int_t before[FOLLOW_FEEDS];
    const json_t *item;
    size_t i;
    json_array_foreach(items, i, item) feed_of(follow, name_of(item));
    for (i = 0; i < follow->feeds; i++) {
        struct follow_feed *feed = &follow->feed[i];
        before[i] = feed->events;
        feed->batches = feed->events = feed->invalid = feed->gaps = 0;
        *feed->received = 0;
    }
    json_array_foreach(items, i, item)
    {
        struct follow_feed *feed = feed_of(follow, name_of(item));
        if (feed)
            add_run(feed, item);
    }
    for (i = 0; i < follow->feeds; i++) {
        struct follow_feed *feed = &follow->feed[i];
        double seconds = now - follow->feeds_at, more = (double)(feed->events - before[i]);
        if (before[i] >= 0 && seconds > 0)
            add_rate(feed, more > 0 ? more / seconds : 0);
    }
    qsort(follow->feed, follow->feeds, sizeof *follow->feed, by_time);
    follow->feeds_at = now;
}

/* ---- all of it ---- */

static int replace(struct rest *rest, json_t **object, const char *format, const char *twin)
{
    char *path = cli_text(format, twin);
    json_t *answer;
    int rc = rest_get(rest, path, &answer);
    free(path);
    if (!rc) {
        json_decref(*object);
        *object = answer;
    }
    return rc;
}

/* What a daemon of another version does not answer is left out of the picture; one that does not answer at all is not.
 */
static int spare(int rc)
{
    return rc == CLI_FAILED ? CLI_OK : rc;
}

int follow_look(struct follow *follow, struct rest *rest)
{
    json_t *feeds = NULL;
    int rc = replace(rest, &follow->state, "/v1/twins/%s", follow->twin);
    if (!rc)
        rc = look_at_iterations(follow, rest);
    if (!rc)
        rc = spare(replace(rest, &follow->drift, "/v1/twins/%s/drift", follow->twin));
    if (!rc)
        rc = spare(replace(rest, &follow->operation, "/v1/operations?limit=1&twin=%s", follow->twin));
    char *path = cli_text("/v1/twins/%s/feeds", follow->twin);
    if (!rc)
        rc = spare(rest_list(rest, path, RUNS, &feeds));
    free(path);
    if (!rc)
        follow->looked_at = timer_now();
    if (feeds)
        take_feeds(follow, feeds, follow->looked_at);
    json_decref(feeds);
    return rc;
}
