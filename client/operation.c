/* Long work of the daemon. */
#include "client/operation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/progress.h"
#include "client/timer.h"

static const double AWAY = 15, PAUSE = 0.5; /* seconds a daemon may be away; between two tries */

static enum output_colour colour_of_state(const json_t *row)
{
    const char *state = json_string_value(json_object_get(row, "state"));
    if (!state)
        return OUTPUT_PLAIN;
    if (!strcmp(state, "succeeded"))
        return OUTPUT_GOOD;
    return !strcmp(state, "failed") ? OUTPUT_BAD : OUTPUT_UNSURE;
}

static bool is_over(const json_t *operation)
{
    const char *state = json_string_value(json_object_get(operation, "state"));
    return state && (!strcmp(state, "succeeded") || !strcmp(state, "failed") || !strcmp(state, "cancelled"));
}

static int verdict(const json_t *operation)
{
    const char *state = json_string_value(json_object_get(operation, "state"));
    const json_t *error = json_object_get(operation, "error");
    const char *why = json_string_value(json_object_get(error, "detail"));
    char id[64];
    if (state && !strcmp(state, "succeeded"))
        return CLI_OK;
    if (!why)
        why = json_string_value(json_is_string(error) ? error : json_object_get(error, "error"));
    output_cell(operation, "id", OUTPUT_TEXT, id, sizeof id);
    return cli_fail(CLI_FAILED, "operation %s %s%s%s", id, state ? state : "is unknown", why ? ": " : "",
                    why ? why : "");
}

/* Asks once, which takes up to two seconds while the operation goes on. */
static int ask(struct cli *cli, const char *id, json_t **operation)
{
    char *path = cli_text("/v1/operations/%s?wait=2", id);
    json_t *now = NULL;
    int rc = rest_get(cli->rest, path, &now);
    free(path);
    if (now) {
        json_decref(*operation);
        *operation = now;
    }
    return rc;
}

int operation_wait(struct cli *cli, json_t **operation)
{
    struct progress progress;
    double began = timer_now(), answered = began;
    char id[64];
    int rc = CLI_OK;
    output_cell(*operation, "id", OUTPUT_TEXT, id, sizeof id);
    const char *kind = json_string_value(json_object_get(*operation, "kind"));
    char *label = cli_text("%s", kind ? kind : "operation");
    progress_init(&progress, label, cli->quiet);
    while (!is_over(*operation) && !rc && !timer_signal()) {
        double now = timer_now();
        if (cli->timeout > 0 && now - began > cli->timeout) {
            progress_clear(&progress);
            rc = cli_fail(CLI_AGAIN, "operation %s goes on; see twinctl ops --wait-for %s", id, id);
            break;
        }
        rc = ask(cli, id, operation);
        if (!rc)
            answered = timer_now();
        else if (rc == CLI_UNAVAILABLE && timer_now() - answered < AWAY && timer_sleep(PAUSE))
            rc = CLI_OK; /* a restarted daemon takes the operation up again */
        if (rc && !timer_signal()) {
            progress_clear(&progress);
            cli_fail(rc, "%s", rest_problem(cli->rest));
        }
        const char *state = json_string_value(json_object_get(*operation, "state"));
        progress_update(&progress, json_number_value(json_object_get(*operation, "progress")), state);
    }
    progress_clear(&progress);
    free(label);
    if (timer_signal()) {
        cli_say(cli, "operation %s goes on; see twinctl ops --wait-for %s", id, id);
        return CLI_AGAIN;
    }
    return rc ? rc : verdict(*operation);
}

static void say_how_to_wait(const struct cli *cli, const json_t *operation)
{
    char id[64];
    output_cell(operation, "id", OUTPUT_TEXT, id, sizeof id);
    cli_say(cli, "it goes on by itself; twinctl ops --wait-for %s waits for it", id);
}

int operation_report(struct cli *cli, json_t *operation, bool wait)
{
    int rc = CLI_OK;
    if (!operation)
        return cli->dry_run ? CLI_OK : cli_fail(CLI_FAILED, "the daemon did not say which operation it is");
    if (wait)
        rc = operation_wait(cli, &operation);
    output_object(stdout, cli->format, operation);
    if (!wait && !is_over(operation))
        say_how_to_wait(cli, operation);
    json_decref(operation);
    return rc;
}

void operation_table(const struct cli *cli, const json_t *items)
{
    static const struct output_column columns[] = {{"ID", "id", OUTPUT_TEXT, NULL},
                                                   {"TWIN", "twin", OUTPUT_TEXT, NULL},
                                                   {"KIND", "kind", OUTPUT_TEXT, NULL},
                                                   {"STATE", "state", OUTPUT_TEXT, colour_of_state},
                                                   {"DONE", "progress", OUTPUT_NUMBER, NULL},
                                                   {"CREATED", "created", OUTPUT_TIME, NULL},
                                                   {"FINISHED", "finished", OUTPUT_TIME, NULL},
                                                   {"ERROR", "error.detail", OUTPUT_TEXT, NULL}};
    output_items(stdout, cli->format, items, columns, sizeof columns / sizeof *columns, true);
}
