/* Completion: what may stand where the cursor of a shell is. Commands, options and the kinds of their arguments come
 * from the tables that parsing and help use, so that a new command is completed without a further line; names of twins,
 * versions, operations and feeds come from the daemon.
 *
 * A command that is asked to complete gets no further than cli_parse, which calls complete_options.
 */
#ifndef CLIENT_COMPLETE_H
#define CLIENT_COMPLETE_H

#include <stddef.h>

struct cli;
struct options_entry;

/* The words behind "twinctl", the last one being the word at the cursor, maybe empty. */
struct complete {
    char **words;
    int count;
};

/* Prints the candidates, one a line, a tab and a description behind each. A line that begins with a tab is no
 * candidate: "files" or "folders", whose names the shell completes itself. Returns the exit status. */
int complete_words(struct cli *cli, char **words, int count);

/* The same within a command: cli->complete are the words behind its name. */
void complete_options(struct cli *cli, const struct options_entry *entries, size_t count);

#endif
