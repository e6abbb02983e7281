/* twinctl versions, twinctl history: where what is served comes from. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/commands.h"

static enum output_colour colour_of_status(const json_t *row)
{
    const char *status = json_string_value(json_object_get(row, "status"));
    if (!status)
        return OUTPUT_PLAIN;
    if (!strcmp(status, "champion"))
        return OUTPUT_GOOD;
    return !strcmp(status, "rejected") ? OUTPUT_BAD : OUTPUT_PLAIN;
}

/* What the data that came after its promotion said about a version. */
static enum output_colour colour_of_regret(const json_t *row)
{
    const json_t *state = output_at(row, "metrics.regret.state");
    const char *word = json_is_string(state) ? json_string_value(state) : "";
    if (!strcmp(word, "confirmed"))
        return OUTPUT_GOOD;
    return !strcmp(word, "worse") || !strcmp(word, "rolled_back") ? OUTPUT_BAD : OUTPUT_PLAIN;
}

int cmd_versions_list(struct cli *cli, int argc, char **argv)
{
    static const struct output_column columns[] = {
        {"VERSION", "version", OUTPUT_TEXT, NULL}, {"STATUS", "status", OUTPUT_TEXT, colour_of_status},
        {"CAUSE", "cause", OUTPUT_TEXT, NULL},     {"PARENT", "parent", OUTPUT_TEXT, NULL},
        {"CREATED", "created", OUTPUT_TIME, NULL}, {"SINCE", "metrics.regret.state", OUTPUT_TEXT, colour_of_regret},
        {"SHA256", "sha256", OUTPUT_HASH, NULL},   {"REASON", "reason", OUTPUT_TEXT, NULL}};
    int64_t limit = 100;
    const struct options_entry entries[] = {
        {"limit", 0, OPTIONS_POSITIVE, &limit, "N", "how many to list at most (100)"},
    };
    char **arg = NULL;
    json_t *items;
    int count, rc = cli_parse(cli, entries, 1, argc, argv, 1, 1, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if (cli_check_name(cli, "twin", arg[0]))
        return CLI_USAGE;
    char *path = cli_text("/v1/twins/%s/versions", arg[0]);
    rc = cli_list(cli, path, (size_t)limit, &items);
    free(path);
    if (!rc)
        output_items(stdout, cli->format, items, columns, sizeof columns / sizeof *columns, true);
    json_decref(items);
    return rc;
}

/* ?alias=...&at=..., escaped. */
static char *history_path(const char *twin, const char *alias, const char *at)
{
    char *escaped = at ? rest_escape(at) : NULL;
    char *path = cli_text("/v1/twins/%s/history%s%s%s%s%s", twin, alias || at ? "?" : "", alias ? "alias=" : "",
                          alias ? alias : "", at ? alias ? "&at=" : "at=" : "", at && escaped ? escaped : "");
    free(escaped);
    return path;
}

int cmd_versions_history(struct cli *cli, int argc, char **argv)
{
    static const struct output_column columns[] = {
        {"MOVE", "move", OUTPUT_TEXT, NULL},       {"ALIAS", "alias", OUTPUT_TEXT, NULL},
        {"VERSION", "version", OUTPUT_TEXT, NULL}, {"FROM", "from", OUTPUT_TIME, NULL},
        {"TO", "to", OUTPUT_TIME, NULL},           {"ACTOR", "actor", OUTPUT_TEXT, NULL},
        {"REASON", "reason", OUTPUT_TEXT, NULL}};
    const char *alias = NULL, *at = NULL;
    int64_t limit = 100;
    const struct options_entry entries[] = {
        {"alias", 0, OPTIONS_TEXT, &alias, "ALIAS", "moves of this alias alone"},
        {"at", 0, OPTIONS_TEXT, &at, "TIME", "what was in force then: 2026-03-01T12:00:00Z"},
        {"limit", 0, OPTIONS_POSITIVE, &limit, "N", "how many to list at most (100)"},
    };
    char **arg = NULL;
    json_t *items;
    int count, rc = cli_parse(cli, entries, sizeof entries / sizeof *entries, argc, argv, 1, 1, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if (cli_check_name(cli, "twin", arg[0]) || (alias && cli_check_name(cli, "alias", alias)))
        return CLI_USAGE;
    char *path = history_path(arg[0], alias, at);
    rc = cli_list(cli, path, (size_t)limit, &items);
    free(path);
    if (!rc)
        output_items(stdout, cli->format, items, columns, sizeof columns / sizeof *columns, true);
    json_decref(items);
    return rc;
}
