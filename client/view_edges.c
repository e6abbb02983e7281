/* What stands around the picture of a twin: names and state above it, keys below; and the text that explains it. */
#include "client/view_edges.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/verdict.h"

const char *view_edges_cell(const json_t *object, const char *path, enum output_kind kind, char out[VIEW_TEXT])
{
    return output_cell(object, path, kind, out, VIEW_TEXT);
}

static enum output_colour colour_of(const char *verdict)
{
    if (!strcmp(verdict, "true"))
        return OUTPUT_GOOD;
    return !strcmp(verdict, "drifted") ? OUTPUT_BAD : OUTPUT_UNSURE;
}

void view_edges_clock(const char *stamp, char out[VIEW_TEXT])
{
    json_t *object = json_pack("{s:s}", "t", stamp);
    view_edges_cell(object, "t", OUTPUT_CLOCK, out);
    json_decref(object);
}

/* Without its date where that is today's. */
static const char *when(const json_t *object, const char *path, char out[VIEW_TEXT])
{
    char today[VIEW_TEXT];
    time_t seconds = time(NULL);
    struct tm local;
    localtime_r(&seconds, &local);
    size_t length = strftime(today, sizeof today, "%Y-%m-%d ", &local);
    view_edges_cell(object, path, OUTPUT_TIME, out);
    if (!strncmp(out, today, length))
        memmove(out, out + length, strlen(out + length) + 1);
    return out;
}

static void draw_clock(struct frame *frame)
{
    char now[16];
    time_t seconds = time(NULL);
    struct tm local;
    localtime_r(&seconds, &local);
    strftime(now, sizeof now, "%H:%M:%S", &local);
    int column = frame->columns - (int)strlen(now);
    if (column < frame->column + 2) /* a narrow terminal has no room for it */
        return;
    frame_to(frame, column);
    frame_put(frame, OUTPUT_PLAIN, "%s", now);
}

/* Names as they stand in the line: "[zmumu] " or " zmumu  ". */
static int width_of(const json_t *twin)
{
    char name[VIEW_TEXT];
    return (int)strlen(view_edges_cell(twin, "name", OUTPUT_TEXT, name)) + 3;
}

/* The first name of the line: the one at hand is in it. */
static size_t first_name(const struct view *view, int columns)
{
    size_t at = 0, first = 0, count = json_array_size(view->twins);
    int used = 0;
    char name[VIEW_TEXT];
    for (; at < count; at++) {
        const json_t *twin = json_array_get(view->twins, at);
        used += width_of(twin);
        while (used > columns && first < at)
            used -= width_of(json_array_get(view->twins, first++));
        if (!strcmp(view_edges_cell(twin, "name", OUTPUT_TEXT, name), view->follow->twin))
            break;
    }
    return at < count ? first : 0;
}

static void draw_names(const struct view *view, struct frame *frame)
{
    char name[VIEW_TEXT], verdict[VIEW_TEXT];
    for (size_t i = first_name(view, frame->columns); i < json_array_size(view->twins); i++) {
        const json_t *twin = json_array_get(view->twins, i);
        view_edges_cell(twin, "name", OUTPUT_TEXT, name);
        view_edges_cell(twin, "verdict", OUTPUT_TEXT, verdict);
        bool here = !strcmp(name, view->follow->twin);
        frame_put(frame, OUTPUT_PLAIN, here ? "[" : " ");
        frame_put(frame, colour_of(verdict), "%s", name);
        frame_put(frame, OUTPUT_PLAIN, here ? "] " : "  ");
    }
    frame_end_line(frame);
}

static void draw_work(const struct view *view, struct frame *frame)
{
    char state[VIEW_TEXT], kind[VIEW_TEXT], id[VIEW_TEXT];
    const json_t *operation = json_array_get(json_object_get(view->follow->operation, "items"), 0);
    view_edges_cell(operation, "state", OUTPUT_TEXT, state);
    if (strcmp(state, "running") != 0 && strcmp(state, "queued") != 0)
        return;
    frame_put(frame, OUTPUT_PLAIN, "   ");
    frame_put(frame, OUTPUT_UNSURE, "%s %s %s, %.0f %%", view_edges_cell(operation, "kind", OUTPUT_TEXT, kind),
              view_edges_cell(operation, "id", OUTPUT_TEXT, id), state,
              100 * json_number_value(json_object_get(operation, "progress")));
}

/* Why nothing is known, and of what came last nothing can be used. */
static void draw_why(const json_t *twin, struct frame *frame)
{
    char *why = verdict_why(twin);
    char *invalid = verdict_invalid(json_array_get(output_at(twin, "ingest.all_invalid"), 0));
    if (why && strcmp(json_string_value(output_at(twin, "verdict_reason")), "invalid_rows") != 0)
        frame_put(frame, OUTPUT_UNSURE, "%s%s", why, invalid ? "; " : "");
    if (invalid)
        frame_put(frame, OUTPUT_BAD, "%s", invalid);
    free(why);
    free(invalid);
}

static void draw_state(const struct view *view, struct frame *frame)
{
    const json_t *twin = view->follow->state;
    char verdict[VIEW_TEXT], activity[VIEW_TEXT], since[VIEW_TEXT], version[VIEW_TEXT], served[VIEW_TEXT],
        mode[VIEW_TEXT], events[VIEW_TEXT], lag[VIEW_TEXT], why[VIEW_TEXT];
    view_edges_cell(twin, "verdict", OUTPUT_TEXT, verdict);
    frame_bold(frame, "%s", view->follow->twin);
    frame_put(frame, OUTPUT_PLAIN, "  ");
    frame_put(frame, colour_of(verdict), "%s", verdict);
    frame_put(frame, OUTPUT_PLAIN, " since %s   %s   champion %s, since %s", when(twin, "since", since),
              view_edges_cell(twin, "activity", OUTPUT_TEXT, activity),
              view_edges_cell(twin, "champion.version", OUTPUT_TEXT, version), when(twin, "champion.since", served));
    draw_clock(frame);
    frame_end_line(frame);
    frame_put(frame, OUTPUT_PLAIN, "%s events, %s %s to be compared   mode %s",
              view_edges_cell(twin, "ingest.events", OUTPUT_TEXT, events),
              view_edges_cell(twin, "ingest.lag_batches", OUTPUT_TEXT, lag),
              output_noun(json_integer_value(output_at(twin, "ingest.lag_batches")), "batch", "batches"),
              view_edges_cell(twin, "mode", OUTPUT_TEXT, mode));
    draw_work(view, frame);
    if (json_is_true(json_object_get(twin, "hold")))
        frame_put(frame, OUTPUT_UNSURE, "   on hold: twinctl promote %s --lift-hold", view->follow->twin);
    if (output_at(twin, "fault"))
        frame_put(frame, OUTPUT_BAD, "   %s", view_edges_cell(twin, "fault", OUTPUT_TEXT, why));
    frame_end_line(frame);
    if (*view->problem)
        frame_put(frame, OUTPUT_BAD, "no answer for %.0f s: %s", view->away, view->problem);
    else
        draw_why(twin, frame);
    frame_end_line(frame);
}

void view_edges_top(const struct view *view, struct frame *frame)
{
    if (json_array_size(view->twins) > 1)
        draw_names(view, frame);
    draw_state(view, frame);
}

void view_edges_bottom(const struct view *view, struct frame *frame)
{
    bool several = json_array_size(view->twins) > 1;
    frame_row(frame, frame->rows - 1);
    frame_put(frame, OUTPUT_PLAIN, "q quit   %s%s   r look now   h help   ", several ? "arrows: the next twin   " : "",
              view->paused ? "p go on" : "p pause");
    if (view->paused)
        frame_put(frame, OUTPUT_UNSURE, "paused");
    else
        frame_put(frame, OUTPUT_PLAIN, "every %g s", view->interval);
}

void view_edges_help(struct frame *frame)
{
    static const char *const lines[] = {
        "DRIFT      how near each detector was to an alarm in each window, newest at the right. The height is",
        "           log p / log limit: a full cell is an alarm, and half the height half of its digits.",
        "           The numbers are those of the last window, of the column that was nearest.",
        "FIDELITY   AUC of a classifier between the champion's samples and the data: 0.5 is perfect; floor: what data",
        "           give against data. Mean log-likelihood of the data under the champion, up to the highest shown.",
        "FEEDS      events a second of each feed, and its latest run; counters over all its runs.",
        "DECISIONS  what the loop did where it had to decide, and why.",
        "",
        "  q quit            arrows, n, b   the next twin, the one before",
        "  p pause, go on    r              look now                     h  back",
        "",
        "In words: twinctl drift NAME. One window after the other: twinctl watch NAME | cat",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        frame_put(frame, OUTPUT_PLAIN, "%s", lines[i]);
        frame_end_line(frame);
    }
}
