/* twinctl completion: what a shell needs to complete the words of a command line. */
#include <stdio.h>
#include <string.h>

#include "client/cli.h"
#include "client/commands.h"
#include "client/complete.h"
#include "client/completion/scripts.h"

int cmd_completion_run(struct cli *cli, int argc, char **argv)
{
    static const char *const names[] = {"bash", "zsh", "fish"};
    static const char *const scripts[] = {scripts_bash, scripts_zsh, scripts_fish};
    bool candidates = false;
    const struct options_entry entries[] = {
        {"candidates", 0, OPTIONS_FLAG, &candidates, NULL, "what may stand in place of the last argument"},
    };
    char **arg = NULL;
    int count, rc = cli_parse(cli, entries, 1, argc, argv, 1, 1000, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if (candidates)
        return complete_words(cli, arg, count);
    for (size_t i = 0; count == 1 && i < sizeof names / sizeof *names; i++) {
        if (!strcmp(arg[0], names[i])) {
            fputs(scripts[i], stdout);
            return CLI_OK;
        }
    }
    return cli_usage(cli, "completion is for bash, zsh or fish, not \"%.64s\"", arg[0]);
}
