/* Versions as people name them. */
#include "client/version.h"

#include <stdlib.h>
#include <string.h>

#include "client/cli.h"

static bool is_alias(const char *text)
{
    return !strcmp(text, "champion") || !strcmp(text, "challenger") || !strcmp(text, "reference");
}

int version_read(struct cli *cli, const char *twin, const char *text, int64_t *version)
{
    if (!text || (options_read_count(*text == 'v' ? text + 1 : text, version) && *version > 0))
        return CLI_OK;
    if (!is_alias(text))
        return cli_usage(cli, "a version is a number or champion, challenger or reference, not \"%.64s\"", text);
    char *path = cli_text("/v1/twins/%s/aliases/%s", twin, text);
    json_t *alias;
    int rc = cli_get(cli, path, &alias);
    free(path);
    *version = json_integer_value(json_object_get(alias, "version"));
    json_decref(alias);
    return rc;
}
