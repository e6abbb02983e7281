/* twinctl status, twinctl show: twins as they are. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/commands.h"
#include "client/verdict.h"
#include "client/version.h"

static enum output_colour colour_of_verdict(const json_t *row)
{
    const char *verdict = json_string_value(json_object_get(row, "verdict"));
    if (!verdict)
        return OUTPUT_PLAIN;
    if (!strcmp(verdict, "true"))
        return OUTPUT_GOOD;
    return !strcmp(verdict, "drifted") ? OUTPUT_BAD : OUTPUT_UNSURE;
}

void cmd_twins_print(const struct cli *cli, const json_t *items)
{
    static const struct output_column columns[] = {
        {"TWIN", "name", OUTPUT_TEXT, NULL},
        {"VERDICT", "verdict", OUTPUT_TEXT, colour_of_verdict},
        {"ACTIVITY", "activity", OUTPUT_TEXT, NULL},
        {"CHAMPION", "champion.version", OUTPUT_TEXT, NULL},
        {"EVENTS", "ingest.events", OUTPUT_TEXT, NULL},
        {"LAG", "ingest.lag_batches", OUTPUT_TEXT, NULL},
        {"SINCE", "since", OUTPUT_TIME, NULL},
        {"MODE", "mode", OUTPUT_TEXT, NULL},
        {"REASON", "verdict_reason", OUTPUT_TEXT, NULL},
    };
    output_items(stdout, cli->format, items, columns, sizeof columns / sizeof *columns, true);
}

void cmd_twins_print_one(const struct cli *cli, json_t *twin)
{
    if (cli->format == OUTPUT_JSON) {
        output_json(stdout, twin);
        return;
    }
    json_t *items = json_pack("[O]", twin);
    cmd_twins_print(cli, items);
    json_decref(items);
}

/* What no table has room for, below it. */
static void explain(const struct cli *cli, const json_t *twin)
{
    const json_t *entry;
    size_t i;
    const char *name = json_string_value(json_object_get(twin, "name"));
    char *why = cli->format == OUTPUT_TABLE ? verdict_why(twin) : NULL;
    if (why)
        cli_say(cli, "%s: %s", name, why);
    free(why);
    json_array_foreach(output_at(twin, "ingest.all_invalid"), i, entry)
    {
        char *invalid = cli->format == OUTPUT_TABLE ? verdict_invalid(entry) : NULL;
        if (invalid)
            cli_say(cli, "%s: %s", name, invalid);
        free(invalid);
    }
}

int cmd_twins_status(struct cli *cli, int argc, char **argv)
{
    char **arg = NULL;
    json_t *items = NULL, *twin = NULL;
    size_t i;
    int count, rc = cli_parse(cli, NULL, 0, argc, argv, 0, 1, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if (!count) {
        rc = cli_list(cli, "/v1/twins", 100000, &items);
        if (!rc && !json_array_size(items))
            cli_say(cli, "no twins yet; twinctl create makes one");
        if (!rc)
            cmd_twins_print(cli, items);
        json_array_foreach(items, i, twin) explain(cli, twin);
        json_decref(items);
        return rc;
    }
    if (cli_check_name(cli, "twin", arg[0]))
        return CLI_USAGE;
    char *path = cli_text("/v1/twins/%s", arg[0]);
    rc = cli_get(cli, path, &twin);
    free(path);
    if (!rc)
        cmd_twins_print_one(cli, twin);
    if (!rc)
        explain(cli, twin);
    json_decref(twin);
    return rc;
}

int cmd_twins_show(struct cli *cli, int argc, char **argv)
{
    char **arg = NULL;
    json_t *object;
    int64_t version = 0;
    int count, rc = cli_parse(cli, NULL, 0, argc, argv, 1, 2, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if (cli_check_name(cli, "twin", arg[0]))
        return CLI_USAGE;
    if (count == 2 && (rc = version_read(cli, arg[0], arg[1], &version)))
        return rc;
    char *path = count == 2 ? cli_text("/v1/twins/%s/versions/%lld", arg[0], (long long)version)
                            : cli_text("/v1/twins/%s", arg[0]);
    rc = cli_get(cli, path, &object);
    free(path);
    if (!rc)
        output_object(stdout, cli->format, object);
    json_decref(object);
    return rc;
}
