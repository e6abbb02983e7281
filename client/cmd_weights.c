/* twinctl weights: where the twin is off, in regions of a column or two, and how good the weights are that say so. */
#include <stdio.h>
#include <stdlib.h>

#include "client/cli.h"
#include "client/commands.h"
#include "client/version.h"

/* A region whose ratio is this many standard errors from one is worth a look. */
enum { SURE = 5 };

static enum output_colour colour_of_ratio(const json_t *row)
{
    double ratio = json_number_value(json_object_get(row, "ratio"));
    double error = json_number_value(json_object_get(row, "error"));
    double off = ratio > 1 ? ratio - 1 : 1 - ratio;
    return error > 0 && off > SURE * error ? OUTPUT_BAD : OUTPUT_PLAIN;
}

static const struct output_column map_columns[] = {
    {"WHERE", "where", OUTPUT_TEXT, NULL},       {"DATA", "data", OUTPUT_NUMBER, NULL},
    {"SAMPLES", "samples", OUTPUT_NUMBER, NULL}, {"DATA/SAMPLES", "ratio", OUTPUT_NUMBER, colour_of_ratio},
    {"ERROR", "error", OUTPUT_NUMBER, NULL},     {"EVENTS", "events", OUTPUT_TEXT, NULL},
};
static const struct output_column reliability_columns[] = {
    {"PREDICTED", "predicted", OUTPUT_NUMBER, NULL},
    {"OBSERVED", "observed", OUTPUT_NUMBER, NULL},
    {"ERROR", "error", OUTPUT_NUMBER, NULL},
    {"EVENTS", "events", OUTPUT_TEXT, NULL},
};
static const struct output_column closure_columns[] = {
    {"FEATURE", "feature", OUTPUT_TEXT, NULL},       {"NDF", "before.ndf", OUTPUT_TEXT, NULL},
    {"CHI2", "before.chi2", OUTPUT_NUMBER, NULL},    {"P", "before.p_value", OUTPUT_NUMBER, NULL},
    {"WEIGHTED", "after.chi2", OUTPUT_NUMBER, NULL}, {"P_WEIGHTED", "after.p_value", OUTPUT_NUMBER, NULL},
};

#define COUNT(columns) (sizeof(columns) / sizeof *(columns))

static void say_summary(const struct cli *cli, const json_t *report)
{
    char version[32], status[32], parent[32], ess[32], largest[32], overflow[32], events[32];
    cli_say(
        cli,
        "version %s (%s): weights on version %s, effective share of its samples %s, largest weight %s, cut off %s of "
        "the sum; %s held-out events",
        output_cell(report, "version", OUTPUT_TEXT, version, sizeof version),
        output_cell(report, "status", OUTPUT_TEXT, status, sizeof status),
        output_cell(report, "parent", OUTPUT_TEXT, parent, sizeof parent),
        output_cell(report, "ess", OUTPUT_NUMBER, ess, sizeof ess),
        output_cell(report, "largest", OUTPUT_NUMBER, largest, sizeof largest),
        output_cell(report, "overflow", OUTPUT_NUMBER, overflow, sizeof overflow),
        output_cell(report, "events", OUTPUT_TEXT, events, sizeof events));
}

int cmd_weights_show(struct cli *cli, int argc, char **argv)
{
    const char *named = NULL;
    int64_t version = 0;
    bool closure = false, reliability = false;
    const struct options_entry entries[] = {
        {"version", 0, OPTIONS_TEXT, &named, "V", "a version that was made by weights (the newest)"},
        {"closure", 0, OPTIONS_FLAG, &closure, NULL, "each column, before and after, instead of the map"},
        {"reliability", 0, OPTIONS_FLAG, &reliability, NULL, "the reliability diagram instead of the map"},
    };
    char **arg = NULL;
    json_t *report;
    int count, rc = cli_parse(cli, entries, COUNT(entries), argc, argv, 1, 1, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if (cli_check_name(cli, "twin", arg[0]))
        return CLI_USAGE;
    if (closure && reliability)
        return cli_usage(cli, "--closure and --reliability are two tables: one at a time");
    rc = version_read(cli, arg[0], named, &version);
    if (rc)
        return rc;
    char *path = version > 0 ? cli_text("/v1/twins/%s/weights?version=%lld", arg[0], (long long)version)
                             : cli_text("/v1/twins/%s/weights", arg[0]);
    rc = cli_get(cli, path, &report);
    free(path);
    if (rc)
        return rc;
    if (cli->format == OUTPUT_JSON)
        output_json(stdout, report);
    else if (closure)
        output_items(stdout, cli->format, json_object_get(report, "closure"), closure_columns, COUNT(closure_columns),
                     true);
    else if (reliability)
        output_items(stdout, cli->format, json_object_get(report, "reliability"), reliability_columns,
                     COUNT(reliability_columns), true);
    else
        output_items(stdout, cli->format, json_object_get(report, "map"), map_columns, COUNT(map_columns), true);
    say_summary(cli, report);
    json_decref(report);
    return CLI_OK;
}
