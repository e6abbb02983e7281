/* twinctl drift: the last comparison, statistic by statistic, and in words what has drifted and what was done. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/commands.h"
#include "client/iteration.h"

enum { LOOK_BACK = 50, DRIFT = 1, NO_ANSWER = 2 };

static bool is_alarm(const json_t *row)
{
    const json_t *p = json_object_get(row, "p_value"), *threshold = json_object_get(row, "threshold");
    const char *verdict = json_string_value(json_object_get(row, "verdict"));
    return verdict && !strcmp(verdict, "drift") && json_is_number(p) && json_is_number(threshold) &&
           json_number_value(p) <= json_number_value(threshold);
}

static enum output_colour colour_of_alarm(const json_t *row)
{
    return is_alarm(row) ? OUTPUT_BAD : OUTPUT_PLAIN;
}

static void print_statistics(const struct cli *cli, const json_t *iteration)
{
    static const struct output_column columns[] = {
        {"STATISTIC", "name", OUTPUT_TEXT, NULL},        {"QUESTION", "verdict", OUTPUT_TEXT, NULL},
        {"FEATURE", "feature", OUTPUT_TEXT, NULL},       {"VALUE", "value", OUTPUT_NUMBER, NULL},
        {"ERROR", "error", OUTPUT_NUMBER, NULL},         {"FLOOR", "floor", OUTPUT_NUMBER, NULL},
        {"P", "p_value", OUTPUT_NUMBER, NULL},           {"P(HOLM)", "p_adjusted", OUTPUT_NUMBER, NULL},
        {"THRESHOLD", "threshold", OUTPUT_NUMBER, NULL}, {"ALARM", "alarm", OUTPUT_TEXT, colour_of_alarm},
    };
    if (cli->format == OUTPUT_JSON) {
        output_json(stdout, iteration);
        return;
    }
    json_t *items = json_array(), *entry;
    size_t i;
    json_array_foreach(json_object_get(iteration, "statistics"), i, entry)
    {
        json_t *row = json_copy(entry);
        json_object_set_new(row, "alarm", is_alarm(entry) ? json_true() : json_null());
        json_array_append_new(items, row);
    }
    output_items(stdout, cli->format, items, columns, sizeof columns / sizeof *columns, true);
    json_decref(items);
}

static void say_which(const struct cli *cli, const json_t *iteration)
{
    char number[32], when[40], version[32], events[32];
    const char *decision = json_string_value(json_object_get(iteration, "decision"));
    const char *reason = json_string_value(output_at(iteration, "policy.reason"));
    cli_say(cli, "window %s of %s: %s events against version %s: %s%s%s%s%s",
            output_cell(iteration, "iteration", OUTPUT_TEXT, number, sizeof number),
            output_cell(iteration, "time", OUTPUT_TIME, when, sizeof when),
            output_cell(iteration, "events", OUTPUT_TEXT, events, sizeof events),
            output_cell(iteration, "version", OUTPUT_TEXT, version, sizeof version),
            json_is_true(json_object_get(iteration, "drift")) ? "drift" : "no drift", decision ? "; decision: " : "",
            decision ? decision : "", decision && reason ? ": " : "", decision && reason ? reason : "");
    const json_t *left_out;
    size_t i;
    json_array_foreach(output_at(iteration, "policy.left_out"), i, left_out)
        cli_say(cli, "%s did not judge it: %s", json_string_value(json_object_get(left_out, "name")),
                json_string_value(json_object_get(left_out, "reason")));
}

/* Windows that were skipped say nothing about drift; a new version makes what came before old. */
static const json_t *last_compared(const json_t *items)
{
    const json_t *iteration;
    size_t i;
    json_array_foreach(items, i, iteration) if (iteration_compared(iteration)) return iteration;
    return NULL;
}

/* How far the first window is, where the daemon tells. */
static int nothing_compared(struct cli *cli, const char *name)
{
    char *path = cli_text("/v1/twins/%s", name);
    json_t *twin = NULL;
    int rc = rest_get(cli->rest, path, &twin);
    const json_t *window = rc ? NULL : output_at(twin, "definition.loop.window"),
                 *events = output_at(twin, "ingest.events");
    if (json_is_integer(window) && json_is_integer(events))
        rc = cli_fail(CLI_AGAIN, "no window of %s was compared yet: a window is %lld events, %lld %s arrived", name,
                      (long long)json_integer_value(window), (long long)json_integer_value(events),
                      output_noun(json_integer_value(events), "has", "have"));
    else
        rc = cli_fail(CLI_AGAIN, "no window of %s was compared yet", name);
    json_decref(twin);
    free(path);
    return rc;
}

/* Goes into the object of the iteration: "summary", "alarm", "expected_run_time". A daemon that tells nothing of it is
 * none to complain about. */
static void take_story(struct cli *cli, const char *name, json_t *iteration)
{
    static const char *const members[] = {"summary", "alarm", "expected_run_time"};
    char *path = cli_text("/v1/twins/%s/drift", name);
    json_t *drift = NULL;
    if (rest_get(cli->rest, path, &drift) == CLI_OK)
        for (size_t i = 0; i < sizeof members / sizeof *members; i++)
            if (json_object_get(drift, members[i]))
                json_object_set(iteration, members[i], json_object_get(drift, members[i]));
    json_decref(drift);
    free(path);
}

int cmd_drift_run(struct cli *cli, int argc, char **argv)
{
    char **arg = NULL;
    json_t *items;
    int count, rc = cli_parse(cli, NULL, 0, argc, argv, 1, 1, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if (cli_check_name(cli, "twin", arg[0]))
        return CLI_USAGE;
    char *path = cli_text("/v1/twins/%s/iterations", arg[0]);
    rc = cli_list(cli, path, LOOK_BACK, &items);
    free(path);
    if (rc) /* 1 means drift here, and nothing else */
        return rc == CLI_FAILED ? NO_ANSWER : rc;
    json_t *iteration = (json_t *)last_compared(items);
    if (iteration) {
        take_story(cli, arg[0], iteration);
        print_statistics(cli, iteration);
        say_which(cli, iteration);
        if (json_is_string(json_object_get(iteration, "summary")))
            cli_say(cli, "%s", json_string_value(json_object_get(iteration, "summary")));
        rc = json_is_true(json_object_get(iteration, "drift")) ? DRIFT : CLI_OK;
    } else {
        rc = nothing_compared(cli, arg[0]);
    }
    json_decref(items);
    return rc;
}
