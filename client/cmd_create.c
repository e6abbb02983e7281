/* twinctl create: a twin from a definition, or from a guess at one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/commands.h"
#include "client/file.h"
#include "client/guess.h"

enum { DEFINITION_MOST = 1 << 20 };

static json_t *read_definition(const char *path)
{
    char problem[512];
    size_t size;
    json_error_t error;
    char *text = file_read(path, DEFINITION_MOST, &size, problem);
    if (!text) {
        cli_fail(CLI_FAILED, "%s", problem);
        return NULL;
    }
    json_t *definition = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
    free(text);
    if (!json_is_object(definition)) {
        if (definition)
            cli_fail(CLI_FAILED, "%s: a definition is a JSON object", path);
        else
            cli_fail(CLI_FAILED, "%s: line %d: %s", path, error.line, error.text);
        json_decref(definition);
        return NULL;
    }
    return definition;
}

static json_t *guess(const struct cli *cli, const char *name, const char *path, const char *columns)
{
    char problem[512];
    json_t *definition = NULL, *remarks = json_array(), *remark;
    struct rows *rows = rows_open(path, columns, problem);
    size_t i;
    if (rows)
        definition = guess_definition(name, rows, remarks, problem);
    if (!definition)
        cli_fail(CLI_FAILED, "%s", problem);
    json_array_foreach(remarks, i, remark) cli_say(cli, "note: %s", json_string_value(remark));
    json_decref(remarks);
    rows_close(rows);
    return definition;
}

/* A twin of this name would be in the way. */
static int rehearse(struct cli *cli, const char *name)
{
    char *path = cli_text("/v1/twins/%s", name ? name : "");
    json_t *twin = NULL;
    int rc = cli_connect(cli);
    if (!rc && name)
        rc = rest_get(cli->rest, path, &twin);
    if (twin)
        rc = cli_fail(CLI_FAILED, "there is a twin %s already; another name makes another twin", name);
    else if (rc && !strcmp(rest_error(cli->rest), "unknown_twin"))
        rc = CLI_OK;
    else if (rc)
        cli_fail(rc, "%s", rest_problem(cli->rest));
    json_decref(twin);
    free(path);
    return rc;
}

static int create(struct cli *cli, json_t *definition, bool guessed)
{
    struct rest_request request = {.method = "POST", .path = "/v1/twins"};
    json_t *twin = NULL;
    const char *name = json_string_value(json_object_get(definition, "name"));
    /* A guess alone needs no daemon. */
    int rc = cli->dry_run && !guessed ? rehearse(cli, name) : CLI_OK;
    if (!rc && !(cli->dry_run && guessed))
        rc = cli_change(cli, &request, definition, &twin);
    if (guessed) /* printed whatever became of it: it is what the user wants to change */
        output_json(stdout, definition);
    else if (twin)
        cmd_twins_print_one(cli, twin);
    if (!rc && twin)
        cli_say(cli, "made; next: twinctl train %s FILE", name);
    else if (!rc && guessed)
        cli_say(cli, "not made; next: change what is guessed wrong, then twinctl create %s FILE", name);
    json_decref(twin);
    return rc;
}

int cmd_create_run(struct cli *cli, int argc, char **argv)
{
    const char *from = NULL, *file = NULL, *columns = NULL;
    const struct options_entry entries[] = {
        {"file", 0, OPTIONS_TEXT, &file, "FILE", "the definition (JSON); - for standard input"},
        {"from", 0, OPTIONS_TEXT, &from, "EVENTS", "guess the definition from this file of events"},
        {"columns", 0, OPTIONS_TEXT, &columns, "NAMES", "with --from: names of the columns, separated by commas"},
    };
    char **arg = NULL;
    int count, rc = cli_parse(cli, entries, sizeof entries / sizeof *entries, argc, argv, 0, 2, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if (count == 2 && !file && !from)
        file = arg[1];
    else if (count == 2 || (!file) == (!from) || (from && !count))
        return cli_usage(cli, "create needs a name and a definition, or --file, or a name and --from");
    if (count && cli_check_name(cli, "twin", arg[0]))
        return CLI_USAGE;
    json_t *definition = from ? guess(cli, arg[0], from, columns) : read_definition(file);
    if (!definition)
        return CLI_FAILED;
    if (count)
        json_object_set_new(definition, "name", json_string(arg[0]));
    rc = create(cli, definition, from != NULL);
    json_decref(definition);
    return rc;
}
