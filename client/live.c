/* twinctl watch on a terminal. One loop: look at the daemon when it is time, draw, wait for a key. */
#include "client/live.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/follow.h"
#include "client/frame.h"
#include "client/hint.h"
#include "client/terminal.h"
#include "client/timer.h"
#include "client/view.h"

enum { TWINS_MOST = 200, PATIENCE_S = 5 };

/* Between two looks the picture is drawn again, so that the clock goes on. */
static const double TICK = 1.0;

struct live {
    struct cli *cli;
    const struct live_options *options;
    struct follow follow;
    struct frame frame;
    struct view view;
    json_t *twins;
    double began, look_at;
    json_int_t first;  /* the newest window at the first look, -1: there was no look */
    bool over, failed; /* failed: the next look will fail as well */
    int rc;
};

static const char *name_at(const struct live *live, size_t i)
{
    return json_string_value(json_object_get(json_array_get(live->twins, i), "name"));
}

static void begin(struct live *live, const char *twin)
{
    size_t most = live->options->last < 0 ? FOLLOW_POINTS : (size_t)live->options->last;
    char name[sizeof live->follow.twin];
    snprintf(name, sizeof name, "%s", twin);
    follow_fini(&live->follow);
    follow_init(&live->follow, name, most);
    live->first = -1;
    live->look_at = 0;
}

/* ---- looking ---- */

/* A daemon that is away is waited for, as it may be starting again; one that never answered, or says that there is no
 * such twin, ends the view. */
static void took_no_answer(struct live *live, int rc)
{
    struct view *view = &live->view;
    snprintf(view->problem, sizeof view->problem, "%s", rest_problem(live->cli->rest));
    if ((rc == CLI_UNAVAILABLE || rc == CLI_AGAIN) && live->follow.looked_at > 0)
        return;
    live->rc = rc;
    live->over = live->failed = true;
}

static void count_windows(struct live *live)
{
    const struct follow_point *last = follow_last(&live->follow);
    json_int_t newest = last ? last->iteration : 0;
    if (live->first < 0)
        live->first = newest;
    bool undecided = last && !strcmp(last->decision, "retuning");
    if (live->options->count && newest - live->first >= live->options->count && !undecided)
        live->over = true;
}

static void look(struct live *live)
{
    json_t *twins = NULL;
    int rc = follow_look(&live->follow, live->cli->rest);
    if (!rc)
        rc = rest_list(live->cli->rest, "/v1/twins", TWINS_MOST, &twins);
    live->look_at = timer_now() + live->options->interval;
    if (timer_signal())
        return;
    if (twins) {
        json_decref(live->twins);
        live->view.twins = live->twins = twins;
    }
    if (rc) {
        took_no_answer(live, rc);
        return;
    }
    *live->view.problem = 0;
    count_windows(live);
}

/* ---- keys ---- */

static void choose_twin(struct live *live, int step)
{
    int count = (int)json_array_size(live->twins), at = 0;
    while (at < count && strcmp(name_at(live, (size_t)at), live->follow.twin) != 0)
        at++;
    if (count > 1)
        begin(live, name_at(live, (size_t)((at + step + count) % count)));
}

static void act(struct live *live, int key)
{
    switch (key) {
    case 'q':
    case 'Q':
        live->over = true;
        break;
    case TERMINAL_DOWN:
    case TERMINAL_RIGHT:
    case 'n':
    case '\t':
        choose_twin(live, 1);
        break;
    case TERMINAL_UP:
    case TERMINAL_LEFT:
    case 'b':
        choose_twin(live, -1);
        break;
    case 'p':
    case ' ':
        live->view.paused = !live->view.paused;
        break;
    case 'r':
        live->look_at = 0;
        break;
    case 'h':
    case '?':
        live->view.help = !live->view.help;
        break;
    default:
        break;
    }
}

/* ---- the loop ---- */

static void draw(struct live *live)
{
    int rows, columns;
    bool all = terminal_changed(); /* before the size: a change after it is drawn the next time */
    terminal_size(&rows, &columns);
    live->view.away = timer_now() - live->follow.looked_at;
    frame_begin(&live->frame, rows, columns);
    view_draw(&live->view, &live->frame);
    if (!frame_show(&live->frame, all))
        live->over = true;
}

static void loop(struct live *live)
{
    double end = live->cli->timeout > 0 ? live->began + live->cli->timeout : INFINITY;
    while (!live->over && !timer_signal()) {
        double now = timer_now();
        if (now > end) {
            live->rc = live->options->count ? CLI_AGAIN : CLI_OK;
            return;
        }
        if (now >= live->look_at && (!live->view.paused || live->look_at <= 0))
            look(live);
        if (live->over || timer_signal())
            return;
        draw(live);
        double wait = live->view.paused ? TICK : live->look_at - timer_now();
        wait = wait > TICK ? TICK : wait < 0 ? 0 : wait;
        act(live, terminal_key(wait));
    }
}

/* What is left to read when the view is gone. */
static void say_last(const struct live *live)
{
    const struct follow_point *last = follow_last(&live->follow);
    char verdict[64], version[32];
    if (live->failed) {
        cli_fail(live->rc, "%s", live->view.problem);
        if (!strcmp(rest_error(live->cli->rest), "unknown_twin"))
            hint_twin(live->cli, live->follow.twin);
        return;
    }
    if (!live->follow.state)
        return;
    cli_say(live->cli, "%s: %s, champion %s; %lld %s compared, the last one: %s", live->follow.twin,
            output_cell(live->follow.state, "verdict", OUTPUT_TEXT, verdict, sizeof verdict),
            output_cell(live->follow.state, "champion.version", OUTPUT_TEXT, version, sizeof version),
            last ? (long long)last->iteration : 0, output_noun(last ? last->iteration : 0, "window", "windows"),
            last ? last->drift ? "drift" : "no drift" : "none");
    if (live->rc == CLI_AGAIN)
        cli_fail(CLI_AGAIN, "%lld new windows within --timeout",
                 last && live->first >= 0 ? (long long)(last->iteration - live->first) : 0);
}

/* The first twin, where none was named. */
static int find_twins(struct live *live, const char **twin)
{
    int rc = cli_list(live->cli, "/v1/twins", TWINS_MOST, &live->twins);
    live->view.twins = live->twins;
    if (!rc && !*twin)
        *twin = name_at(live, 0);
    if (!rc && !*twin)
        rc = cli_fail(CLI_FAILED, "there are no twins yet; twinctl create makes one");
    return rc;
}

int live_run(struct cli *cli, const struct live_options *options)
{
    struct live *live = calloc(1, sizeof *live);
    const char *twin = options->twin;
    if (!live || !frame_init(&live->frame)) {
        free(live);
        return cli_fail(CLI_FAILED, "out of memory");
    }
    *live = (struct live){.cli = cli, .options = options, .frame = live->frame, .began = timer_now()};
    live->view = (struct view){.follow = &live->follow, .interval = options->interval};
    live->rc = cli_connect(cli);
    if (!live->rc)
        live->rc = find_twins(live, &twin);
    if (!live->rc) {
        begin(live, twin);
        look(live); /* before the screen is taken: a twin that is not there is an error like others */
        if (!live->failed && !timer_signal()) {
            rest_patience(cli->rest, PATIENCE_S); /* the view says that a daemon is away, and must not stand still */
            terminal_open();
            loop(live);
            terminal_close();
        }
        say_last(live);
    }
    int rc = live->rc;
    follow_fini(&live->follow);
    frame_fini(&live->frame);
    json_decref(live->twins);
    free(live);
    return rc;
}
