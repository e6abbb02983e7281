/* The picture that twinctl watch draws of a twin. */
#include "client/view.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "client/view_edges.h"

enum {
    LABEL = 16,
    RIGHT = 44,
    CURVE_LEAST = 8,
    FEEDS_MOST = 6,
    SUMMARY_MOST = 6,
    NO_FEEDS = -1,
    DECISIONS_LEAST = 2,
};

/* Rows of each part, without the empty line above it. */
struct plan {
    int curve; /* columns */
    int detectors, fidelity, feeds, decisions, summary;
};

/* ---- curves ---- */

static void draw_title(struct frame *frame, const struct plan *plan, const char *title, const char *what,
                       const char *right)
{
    frame_bold(frame, "%s", title);
    frame_to(frame, LABEL);
    frame_put(frame, OUTPUT_PLAIN, "%.*s", plan->curve, what);
    frame_to(frame, LABEL + plan->curve + 2);
    frame_bold(frame, "%s", right);
    frame_end_line(frame);
}

/* The newest `plan->curve` values of `count`; `full` is what a full cell stands for. */
static void draw_curve(struct frame *frame, const struct plan *plan, const double *values, size_t count, double low,
                       double full, bool alarms)
{
    size_t wide = (size_t)plan->curve, from = count > wide ? count - wide : 0;
    frame_to(frame, LABEL + (int)(wide - (count - from)));
    for (size_t i = from; i < count; i++) {
        double level = full > low ? (values[i] - low) / (full - low) : 0;
        bool alarm = alarms && level >= 1;
        /* Only an alarm fills a cell of a curve that has them. */
        frame_level(frame, alarm ? OUTPUT_BAD : OUTPUT_PLAIN, alarms || level < 1 ? level : 1);
    }
    frame_to(frame, LABEL + plan->curve + 2);
}

static void draw_detectors(const struct view *view, struct frame *frame, const struct plan *plan)
{
    const struct follow *f = view->follow;
    double values[FOLLOW_POINTS];
    char value[32], p[32], limit[32];
    draw_title(frame, plan, "DRIFT", "full cell: alarm", "  value          p      limit  column");
    for (int k = 0; k < plan->detectors; k++) {
        const struct follow_detector *detector = &f->detector[k];
        for (size_t i = 0; i < f->points; i++)
            values[i] = f->point[i].toward[k];
        double last = f->points ? values[f->points - 1] : NAN;
        frame_put(frame, OUTPUT_PLAIN, " %s", detector->name);
        draw_curve(frame, plan, values, f->points, 0, 1, true);
        snprintf(value, sizeof value, isnan(detector->value) ? "-" : "%.4g", detector->value);
        snprintf(p, sizeof p, isnan(detector->p_value) ? "-" : "%.3g", detector->p_value);
        snprintf(limit, sizeof limit, isnan(detector->threshold) ? "-" : "%.3g", detector->threshold);
        if (isnan(last))
            frame_put(frame, OUTPUT_PLAIN, "      -          -          -  did not judge the last window");
        else
            frame_put(frame, last >= 1 ? OUTPUT_BAD : OUTPUT_PLAIN, "%7s %10s %10s  %s", value, p, limit,
                      *detector->feature ? detector->feature : "all");
        frame_end_line(frame);
    }
    if (!plan->detectors)
        frame_put(frame, OUTPUT_PLAIN, " no window was compared yet");
    if (!plan->detectors)
        frame_end_line(frame);
}

static void range(const double *values, size_t count, double *low, double *high)
{
    *low = INFINITY;
    *high = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        if (isfinite(values[i])) {
            *low = values[i] < *low ? values[i] : *low;
            *high = values[i] > *high ? values[i] : *high;
        }
    }
}

static void draw_fidelity(const struct view *view, struct frame *frame, const struct plan *plan)
{
    const struct follow *f = view->follow;
    const struct follow_point *last = follow_last(f);
    const char *within = frame->utf8 ? "±" : "+-";
    double auc[FOLLOW_POINTS], log_prob[FOLLOW_POINTS], low, high;
    for (size_t i = 0; i < f->points; i++) {
        auc[i] = f->point[i].fidelity;
        log_prob[i] = f->point[i].log_prob;
    }
    frame_bold(frame, "FIDELITY");
    frame_put(frame, OUTPUT_PLAIN, "    AUC");
    range(auc, f->points, &low, &high);
    draw_curve(frame, plan, auc, f->points, 0.5, high > 0.6 ? high * 1.001 : 0.6, false);
    if (last && isfinite(last->fidelity))
        frame_put(frame, OUTPUT_PLAIN, "%7.4f %s %.4f   floor %.4f", last->fidelity, within, last->error, last->floor);
    frame_end_line(frame);
    frame_put(frame, OUTPUT_PLAIN, "   log-prob");
    range(log_prob, f->points, &low, &high);
    draw_curve(frame, plan, log_prob, f->points, low, high, false);
    if (last && isfinite(last->log_prob))
        frame_put(frame, OUTPUT_PLAIN, "%7.4g %s %.2g", last->log_prob, within, last->log_prob_error);
    frame_end_line(frame);
}

static void draw_feeds(const struct view *view, struct frame *frame, const struct plan *plan)
{
    const struct follow *f = view->follow;
    char received[VIEW_TEXT], name[VIEW_TEXT];
    double low, high;
    bool all = f->feeds <= (size_t)plan->feeds;
    snprintf(name, sizeof name, all ? "FEEDS" : "FEEDS, %d of %zu", plan->feeds, f->feeds);
    draw_title(frame, plan, name, "events/s", "events/s     events  gaps invalid  last");
    for (int k = 0; k < plan->feeds; k++) {
        const struct follow_feed *feed = &f->feed[k];
        range(feed->rate, feed->rates, &low, &high);
        snprintf(name, sizeof name, "%s %lld", feed->name, (long long)feed->run);
        frame_put(frame, OUTPUT_PLAIN, " %.*s", LABEL - 2, name);
        draw_curve(frame, plan, feed->rate, feed->rates, 0, high, false);
        if (feed->rates)
            frame_put(frame, OUTPUT_PLAIN, "%8.4g ", feed->rate[feed->rates - 1]);
        else
            frame_put(frame, OUTPUT_PLAIN, "%8s ", "-");
        view_edges_clock(feed->received, received);
        frame_put(frame, OUTPUT_PLAIN, "%10lld ", (long long)feed->events);
        frame_put(frame, feed->gaps ? OUTPUT_BAD : OUTPUT_PLAIN, "%5lld ", (long long)feed->gaps);
        frame_put(frame, feed->invalid ? OUTPUT_UNSURE : OUTPUT_PLAIN, "%7lld", (long long)feed->invalid);
        frame_put(frame, OUTPUT_PLAIN, "  %s", received);
        frame_end_line(frame);
    }
    if (!plan->feeds && f->feeds_at > 0)
        frame_put(frame, OUTPUT_PLAIN, " nobody has sent events yet: twinctl feed %s FILE", f->twin);
    else if (!plan->feeds)
        frame_put(frame, OUTPUT_PLAIN, " this daemon does not tell");
    if (!plan->feeds)
        frame_end_line(frame);
}

/* ---- decisions ---- */

static bool is_decision(const struct follow_point *point)
{
    return strcmp(point->decision, "none") != 0 || point->drift;
}

static enum output_colour colour_of_decision(const struct follow_point *point)
{
    static const char *const good[] = {"promoted", "recalled", "trained"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!strcmp(point->decision, good[i]))
            return OUTPUT_GOOD;
    return point->drift ? OUTPUT_BAD : OUTPUT_UNSURE;
}

static void draw_decisions(const struct view *view, struct frame *frame, int rows)
{
    const struct follow *f = view->follow;
    char when[VIEW_TEXT];
    int drawn = 0;
    frame_bold(frame, "DECISIONS");
    frame_put(frame, OUTPUT_PLAIN, "       the newest first");
    frame_end_line(frame);
    for (size_t i = f->points; i-- > 0 && drawn < rows;) {
        const struct follow_point *point = &f->point[i];
        if (!is_decision(point))
            continue;
        view_edges_clock(point->time, when);
        frame_put(frame, OUTPUT_PLAIN, " %s  window %lld  ", when, (long long)point->iteration);
        frame_put(frame, colour_of_decision(point), "%s", point->decision);
        frame_put(frame, OUTPUT_PLAIN, "  %s", point->reason);
        frame_end_line(frame);
        drawn++;
    }
    if (!drawn && f->points)
        frame_put(frame, OUTPUT_PLAIN, " none was needed in the last %zu %s", f->points,
                  output_noun((int64_t)f->points, "window", "windows"));
    if (!drawn)
        frame_end_line(frame);
}

/* The daemon's own words, wrapped at spaces. Returns the rows that they take. */
static int draw_summary(const struct view *view, struct frame *frame, int rows, bool draw)
{
    const char *words = json_string_value(json_object_get(view->follow->drift, "summary"));
    int used = 0;
    while (words && *words && used < rows) {
        size_t length = strlen(words), wide = frame->columns > 1 ? (size_t)frame->columns - 1 : 1;
        if (length > wide) {
            length = wide;
            while (length > 1 && words[length] != ' ')
                length--;
            if (length <= 1)
                length = wide;
            while (length > 1 && ((unsigned char)words[length] & 0xc0) == 0x80) /* inside a character */
                length--;
        }
        used++;
        bool cut = used == rows && words[length];
        if (draw) {
            frame_put(frame, OUTPUT_PLAIN, "%.*s%s", (int)length, words, cut ? frame->utf8 ? "…" : "+" : "");
            frame_end_line(frame);
        }
        words += length;
        words += strspn(words, " ");
    }
    return used;
}

/* ---- all of it ---- */

/* Three lines of state, the keys, an empty line before each part. Of what does not fit the summary goes first, then all
 * feeds but one, then fidelity, then the feeds; the detectors stay. */
static struct plan plan_of(const struct view *view, struct frame *frame)
{
    const struct follow *f = view->follow;
    int several = json_array_size(view->twins) > 1, left;
    struct plan plan = {.curve = frame->columns - LABEL - 2 - RIGHT,
                        .detectors = (int)f->detectors,
                        .fidelity = 2,
                        .feeds = f->feeds < FEEDS_MOST ? (int)f->feeds : FEEDS_MOST,
                        .summary = draw_summary(view, frame, SUMMARY_MOST, false)};
    if (plan.curve < CURVE_LEAST)
        plan.curve = CURVE_LEAST;
    left = frame->rows - several - 3 - 1;                  /* names, state, keys */
    left -= 1 + (plan.detectors ? plan.detectors : 1) + 2; /* detectors; title of decisions */
    left -= plan.fidelity + 1;
    left -= 2 + (plan.feeds > 0 ? plan.feeds : 1);
    left -= plan.summary ? plan.summary + 1 : 0;
    while (left < DECISIONS_LEAST && plan.summary > 1) {
        plan.summary--;
        left++;
    }
    while (left < DECISIONS_LEAST && plan.feeds > 1) {
        plan.feeds--;
        left++;
    }
    if (left < DECISIONS_LEAST && plan.summary) {
        plan.summary = 0;
        left += 2;
    }
    if (left < 1) {
        left += plan.fidelity + 1;
        plan.fidelity = 0;
    }
    if (left < 1) {
        left += 2 + (plan.feeds > 0 ? plan.feeds : 1);
        plan.feeds = NO_FEEDS;
    }
    plan.decisions = left;
    return plan;
}

void view_draw(const struct view *view, struct frame *frame)
{
    struct plan plan = plan_of(view, frame);
    view_edges_top(view, frame);
    if (view->help) {
        view_edges_help(frame);
        view_edges_bottom(view, frame);
        return;
    }
    draw_detectors(view, frame, &plan);
    frame_end_line(frame);
    if (plan.fidelity) {
        draw_fidelity(view, frame, &plan);
        frame_end_line(frame);
    }
    if (plan.feeds != NO_FEEDS) {
        draw_feeds(view, frame, &plan);
        frame_end_line(frame);
    }
    if (plan.decisions > 0)
        draw_decisions(view, frame, plan.decisions);
    if (plan.summary) {
        frame_end_line(frame);
        draw_summary(view, frame, plan.summary, true);
    }
    view_edges_bottom(view, frame);
}
