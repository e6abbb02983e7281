/* What to do next after the daemon has refused something. */
#include "client/hint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"

enum { NAMES_MAX = 1000 };

/* %s is the twin. */
static const struct hint {
    const char *error, *path; /* path: what the request's has in it; the first line that fits */
    const char *words;
} hints[] = {
    {"unknown_version", "", "twinctl versions %s lists them"},
    {"unknown_alias", "", "twinctl history %s shows the aliases that were set"},
    {"untrained", "", "twinctl train %s FILE trains it"},
    {"trained", "", "twinctl retune %s trains it on; twinctl create makes another one"},
    {"training", "", "twinctl ops %s shows how far it is"},
    {"stale", "/aliases/", "somebody moved it in between: twinctl history %s shows who and why"},
    {"stale", "", "the definition of %s was changed in between; the same command starts from what it is now"},
    {"no_weights", "", "twinctl retune %s --kind reweight makes them"},
    {"not_exportable", "", "twinctl sample %s --version V --reweight weighted gives events with their weights"},
    {"bad_definition", "/v1/twins/", "man twin-definition has every member; twinctl show %s has them as they are"},
    {"bad_definition", "",
     "man twin-definition has every member; twinctl create NAME --from EVENTS --dry-run guesses one"},
    {"exists", "", "twinctl status shows it; another name makes another twin"},
};

/* NAME of "/v1/twins/NAME..."; empty where the path has none. */
static void twin_of(const char *path, char name[80])
{
    static const char before[] = "/v1/twins/";
    const char *rest = strncmp(path, before, strlen(before)) ? "" : path + strlen(before);
    snprintf(name, 80, "%.*s", (int)strcspn(rest, "/?"), rest);
}

void hint_twin(struct cli *cli, const char *name)
{
    const char *names[NAMES_MAX];
    size_t count = 0, i;
    json_t *twins = NULL, *twin;
    if (cli->quiet || cli_connect(cli) || rest_list(cli->rest, "/v1/twins", NAMES_MAX, &twins))
        return;
    json_array_foreach(twins, i, twin)
    {
        const char *other = json_string_value(json_object_get(twin, "name"));
        if (other && count < NAMES_MAX)
            names[count++] = other;
    }
    const char *guess = options_suggest(name, names, count);
    if (guess)
        cli_say(cli, "did you mean %s?", guess);
    else if (count)
        cli_say(cli, "twinctl status lists the twins there are");
    else
        cli_say(cli, "there are no twins yet; twinctl create makes one");
    json_decref(twins);
}

void hint_columns(struct cli *cli, const char *name)
{
    char *path = cli_text("/v1/twins/%s", name), *names = NULL;
    json_t *twin = NULL, *feature;
    size_t i;
    if (!cli->quiet && !cli_connect(cli))
        rest_get(cli->rest, path, &twin);
    json_array_foreach(output_at(twin, "definition.features"), i, feature)
    {
        const char *column = json_string_value(json_object_get(feature, "name"));
        char *longer = cli_text("%s%s%s", names ? names : "", names ? ", " : "", column ? column : "?");
        free(names);
        names = longer;
    }
    if (names)
        cli_say(cli, "the columns of %s are %s", name, names);
    free(names);
    json_decref(twin);
    free(path);
}

void hint_print(struct cli *cli, const char *path)
{
    char twin[80], error[64];
    /* A copy: asking for the names of twins is a request, too. */
    snprintf(error, sizeof error, "%s", rest_error(cli->rest));
    twin_of(path, twin);
    if (!strcmp(error, "unknown_alias") && strstr(path, "/champion")) /* only a training makes the first one */
        snprintf(error, sizeof error, "untrained");
    if (!strcmp(error, "unknown_twin"))
        hint_twin(cli, twin);
    if (!strcmp(error, "bad_shape") || !strcmp(error, "unknown_column"))
        hint_columns(cli, twin);
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++) {
        if (!strcmp(error, hints[i].error) && strstr(path, hints[i].path)) {
            char *words = cli_text(hints[i].words, *twin ? twin : "NAME");
            cli_say(cli, "%s", words);
            free(words);
            break;
        }
    }
}
