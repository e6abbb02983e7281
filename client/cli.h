/* twinctl as a whole: the table of commands, the options that all share, and what every command needs to speak to the
 * daemon and to the user. Data goes to stdout, words to stderr. */
#ifndef CLIENT_CLI_H
#define CLIENT_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "client/options.h"
#include "client/output.h"
#include "client/rest.h"
#include "client/status.h"

struct cli;
struct complete;

struct cli_command {
    const char *name;
    const char *arguments; /* "NAME [VERSION]" */
    const char *summary;   /* half a line */
    const char *help;      /* what it does, and examples */
    int (*run)(struct cli *cli, int argc, char **argv);
};

struct cli {
    const struct cli_command *command;
    const char *url, *token_file, *output;
    enum output_format format;
    double timeout; /* seconds; 0: not given */
    bool yes, dry_run, quiet, help, version;
    struct rest *rest;               /* see cli_connect */
    const struct complete *complete; /* NULL, or the words that cli_parse completes in place of parsing */
};

/* Runs twinctl; returns the exit status. */
int cli_main(int argc, char **argv);

/* Parses a command's own and the shared options. Returns CLI_GO_ON with `positional` pointing to *count arguments, of
 * which there are `least` to `most`; or an exit status: help or completions were printed, or something was wrong. */
enum { CLI_GO_ON = -1 };
int cli_parse(struct cli *cli, const struct options_entry *entries, size_t n_entries, int argc, char **argv, int least,
              int most, char ***positional, int *count);

/* The options that all commands share, with --version: there are *count, valid until the next call. */
const struct options_entry *cli_shared(struct cli *cli, size_t *count);

/* One sentence on stderr, "twinctl: ..."; returns `code`. */
int cli_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for wrong usage; adds where help is. */
int cli_usage(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Words on stderr, unless --quiet. */
void cli_say(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* CLI_OK if `name` can be a twin's or feed's name, else CLI_USAGE with a sentence. */
int cli_check_name(const struct cli *cli, const char *what, const char *name);

/* Makes cli->rest if it is not there. */
int cli_connect(struct cli *cli);
/* Requests as in rest.h that print what went wrong, and what to do next where that is known. */
int cli_send(struct cli *cli, const struct rest_request *request, struct rest_answer *answer);
int cli_get(struct cli *cli, const char *path, json_t **out);
int cli_list(struct cli *cli, const char *path, size_t limit, json_t **out);
/* A request with a JSON body that changes something; takes no reference. *out (may be NULL) is the answer's JSON or
 * NULL. With --dry-run it only says what it would ask, and fails where the twin of the path is not there: *out is
 * NULL. */
int cli_change(struct cli *cli, struct rest_request *request, const json_t *body, json_t **out);

/* With --dry-run: fails as the request would where the twin of a path "/v1/twins/NAME..." is not there. *twin, which
 * may be NULL, is what the daemon says of it. */
int cli_rehearse(struct cli *cli, const char *path, json_t **twin);
/* The same for what makes a file and changes nothing else: says that it would be written. NULL, "-": standard output.
 */
int cli_rehearse_file(struct cli *cli, const char *path, const char *file);

bool cli_can_ask(void); /* there is a terminal to ask on */
/* Asks a yes-or-no question where there is a terminal to ask on; true without one or with --yes. */
bool cli_confirm(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* printf to a malloc'd string; ends the program when memory is out. */
char *cli_text(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
