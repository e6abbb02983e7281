/* twinctl delete: a twin goes, with everything that was kept of it. There is no way back, so that it wants a yes, by
 * word or by option. */
#include <stdlib.h>

#include "client/cli.h"
#include "client/commands.h"

int cmd_delete_run(struct cli *cli, int argc, char **argv)
{
    char **arg = NULL;
    int count, rc = cli_parse(cli, NULL, 0, argc, argv, 1, 1, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if (cli_check_name(cli, "twin", arg[0]))
        return CLI_USAGE;
    if (!cli->yes && !cli->dry_run && !cli_can_ask())
        return cli_usage(cli, "delete needs --yes where nobody can be asked");
    char *path = cli_text("/v1/twins/%s", arg[0]);
    struct rest_request request = {.method = "DELETE", .path = path};
    json_t *twin;
    rc = cli_rehearse(cli, path, &twin);
    long long events = (long long)json_integer_value(output_at(twin, "ingest.events"));
    if (!rc && !cli_confirm(cli, "delete %s, its versions and %lld %s that it was fed, for ever?", arg[0], events,
                            output_noun(events, "event", "events")))
        rc = cli_fail(CLI_FAILED, "nothing was deleted");
    else if (!rc)
        rc = cli_change(cli, &request, NULL, NULL);
    if (!rc && !cli->dry_run)
        cli_say(cli, "%s is gone", arg[0]);
    json_decref(twin);
    free(path);
    return rc;
}
