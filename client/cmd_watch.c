/* twinctl watch: the loop, live. A terminal shows the view of live.h. Elsewhere the newest iterations are asked for
 * every so often, and those that are new, or whose decision has been made since, are printed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli.h"
#include "client/commands.h"
#include "client/hint.h"
#include "client/iteration.h"
#include "client/live.h"
#include "client/terminal.h"
#include "client/timer.h"

enum { NEWS = 20 }; /* iterations to ask for at a time */

static const double AWAY = 30; /* seconds a daemon may be away */

struct watch {
    const char *twin;
    double interval;
    int64_t count, last; /* last: lines of what was there before */
    json_int_t newest;   /* iteration that was printed last */
    char decision[32];   /* ... with this decision */
    int64_t seen;        /* iterations since we began, for --count */
    json_int_t first;    /* newest one when we began, -1: not asked yet */
    double answered;
};

static json_int_t number_of(const json_t *iteration)
{
    return json_integer_value(json_object_get(iteration, "iteration"));
}

static const char *decision_of(const json_t *iteration)
{
    const char *decision = json_string_value(json_object_get(iteration, "decision"));
    return decision ? decision : "";
}

/* A retune goes on: the line comes again when it is decided. */
static bool undecided(const json_t *iteration)
{
    return !strcmp(decision_of(iteration), "retuning");
}

static void print_line(const struct cli *cli, const json_t *iteration)
{
    json_t *line = iteration_line(iteration);
    iteration_print(stdout, cli->format, cli->format == OUTPUT_JSON ? iteration : line);
    json_decref(line);
}

/* Lines for what is new, oldest first. */
static void print_news(const struct cli *cli, struct watch *w, const json_t *items)
{
    for (size_t i = json_array_size(items); i-- > 0;) {
        const json_t *iteration = json_array_get(items, i);
        json_int_t number = number_of(iteration);
        bool decided = number == w->newest && strcmp(decision_of(iteration), w->decision);
        if (number < w->newest || (number == w->newest && !decided))
            continue;
        print_line(cli, iteration);
        w->newest = number;
        snprintf(w->decision, sizeof w->decision, "%s", decision_of(iteration));
    }
}

static int ask(struct cli *cli, const struct watch *w, json_t **items)
{
    char *path = cli_text("/v1/twins/%s/iterations", w->twin);
    size_t limit = w->first < 0 ? (size_t)w->last : NEWS;
    int rc = rest_list(cli->rest, path, limit ? limit : 1, items);
    json_int_t oldest = number_of(json_array_get(*items, limit - 1));
    if (!rc && w->first >= 0 && oldest > w->newest + 1) { /* we were away for long: all of it */
        json_int_t missed = number_of(json_array_get(*items, 0)) - w->newest;
        json_decref(*items);
        rc = rest_list(cli->rest, path, (size_t)missed, items);
    }
    free(path);
    return rc;
}

/* One look. CLI_GO_ON, or the end. */
static int look(struct cli *cli, struct watch *w)
{
    json_t *items = NULL;
    int rc = ask(cli, w, &items);
    if (!rc) {
        const json_t *newest = json_array_get(items, 0);
        w->answered = timer_now();
        if (w->first < 0) {
            iteration_heading(stdout, cli->format);
            w->first = number_of(newest);
            if (!w->last) { /* what was there is not shown */
                w->newest = w->first;
                snprintf(w->decision, sizeof w->decision, "%s", decision_of(newest));
            }
        }
        print_news(cli, w, items);
        fflush(stdout);
        w->seen = number_of(newest) - w->first;
        rc = w->count && w->seen >= w->count && !undecided(newest) ? CLI_OK : CLI_GO_ON;
    } else if (rc == CLI_UNAVAILABLE && timer_now() - w->answered < AWAY) {
        rc = CLI_GO_ON; /* it may be starting again */
    } else if (!timer_signal()) {
        cli_fail(rc, "%s", rest_problem(cli->rest));
        if (!strcmp(rest_error(cli->rest), "unknown_twin"))
            hint_twin(cli, w->twin);
    }
    json_decref(items);
    return rc;
}

static int print_lines(struct cli *cli, struct watch *w)
{
    int rc;
    double end = cli->timeout > 0 ? timer_now() + cli->timeout : 0;
    w->last = w->last >= 0 ? w->last : 0;
    w->answered = -AWAY; /* the first answer is not waited for */
    while ((rc = look(cli, w)) == CLI_GO_ON) {
        if (end > 0 && timer_now() > end && !w->count)
            return CLI_OK;
        if (end > 0 && timer_now() > end)
            return cli_fail(CLI_AGAIN, "%lld new iterations within --timeout", (long long)w->seen);
        double left = end > 0 ? end - timer_now() : w->interval;
        if (!timer_sleep(left < w->interval ? left : w->interval))
            return CLI_OK;
    }
    return rc;
}

int cmd_watch_run(struct cli *cli, int argc, char **argv)
{
    struct watch w = {.interval = 2, .last = -1, .first = -1};
    const struct options_entry entries[] = {
        {"interval", 'i', OPTIONS_NUMBER, &w.interval, "SECONDS", "time between two looks (2)"},
        {"count", 'n', OPTIONS_POSITIVE, &w.count, "N", "end after N new iterations"},
        {"last", 0, OPTIONS_COUNT, &w.last, "N",
         "begin with the last N that are there (terminal: all that fit; else 0)"},
    };
    char **arg = NULL;
    int count, rc = cli_parse(cli, entries, sizeof entries / sizeof *entries, argc, argv, 0, 1, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if ((count && cli_check_name(cli, "twin", arg[0])) || cli_connect(cli))
        return CLI_USAGE;
    w.twin = count ? arg[0] : NULL;
    if (cli->format == OUTPUT_TABLE && terminal_able())
        return live_run(cli, &(struct live_options){w.twin, w.interval, w.count, w.last});
    if (!w.twin)
        return cli_usage(cli, "watch needs the name of a twin where there is no terminal to choose it on");
    return print_lines(cli, &w);
}
