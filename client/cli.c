/* twinctl as a whole. */
#include "client/cli.h"

#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <curl/curl.h>

#include "client/commands.h"
#include "client/complete.h"
#include "client/hint.h"
#include "client/timer.h"
#include "proto/wire.h"

enum { OPTIONS_MAX = 32 };

int cli_fail(int code, const char *format, ...)
{
    va_list arguments;
    char text[2048];
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (timer_signal() != SIGPIPE) /* whoever reads no further has what was wanted */
        fprintf(stderr, "twinctl: %s\n", output_clean(text));
    return code;
}

int cli_usage(const struct cli *cli, const char *format, ...)
{
    va_list arguments;
    char text[1024];
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "twinctl: %s\n", output_clean(text));
    if (cli->command)
        fprintf(stderr, "usage: twinctl %s %s\nhelp:  twinctl %s --help\n", cli->command->name, cli->command->arguments,
                cli->command->name);
    else
        fprintf(stderr, "usage: twinctl [options] COMMAND ...\nhelp:  twinctl --help\n");
    return CLI_USAGE;
}

void cli_say(const struct cli *cli, const char *format, ...)
{
    va_list arguments;
    char text[2048];
    if (cli->quiet)
        return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s\n", output_clean(text));
}

char *cli_text(const char *format, ...)
{
    va_list arguments;
    char *text = NULL;
    va_start(arguments, format);
    if (vasprintf(&text, format, arguments) < 0) {
        fputs("twinctl: out of memory\n", stderr);
        exit(CLI_FAILED);
    }
    va_end(arguments);
    return text;
}

int cli_check_name(const struct cli *cli, const char *what, const char *name)
{
    if (twp_wire_name_ok(name))
        return CLI_OK;
    return cli_usage(cli, "\"%s\" cannot be the name of a %s: lower-case letters, digits, _ and -, at most 64", name,
                     what);
}

bool cli_can_ask(void)
{
    return isatty(STDIN_FILENO) && isatty(STDERR_FILENO);
}

bool cli_confirm(const struct cli *cli, const char *format, ...)
{
    va_list arguments;
    char answer[16];
    if (cli->yes || cli->dry_run || !cli_can_ask())
        return true;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputs(" [y/N] ", stderr);
    return fgets(answer, sizeof answer, stdin) && (*answer == 'y' || *answer == 'Y');
}

/* ---- the daemon ---- */

int cli_connect(struct cli *cli)
{
    char problem[512];
    if (cli->rest)
        return CLI_OK;
    cli->rest = rest_new(cli->url, cli->token_file, cli->timeout > 0 ? cli->timeout : 60, problem);
    return cli->rest ? CLI_OK : cli_usage(cli, "%s", problem);
}

static int refused(struct cli *cli, int rc, const char *path)
{
    cli_fail(rc, "%s", rest_problem(cli->rest));
    hint_print(cli, path);
    return rc;
}

int cli_send(struct cli *cli, const struct rest_request *request, struct rest_answer *answer)
{
    memset(answer, 0, sizeof *answer);
    int rc = cli_connect(cli);
    if (rc)
        return rc;
    rc = rest_send(cli->rest, request, answer);
    return rc ? refused(cli, rc, request->path) : CLI_OK;
}

int cli_get(struct cli *cli, const char *path, json_t **out)
{
    *out = NULL;
    int rc = cli_connect(cli);
    if (rc)
        return rc;
    rc = rest_get(cli->rest, path, out);
    return rc ? refused(cli, rc, path) : CLI_OK;
}

int cli_list(struct cli *cli, const char *path, size_t limit, json_t **out)
{
    *out = NULL;
    int rc = cli_connect(cli);
    if (rc)
        return rc;
    rc = rest_list(cli->rest, path, limit, out);
    return rc ? refused(cli, rc, path) : CLI_OK;
}

int cli_rehearse(struct cli *cli, const char *path, json_t **twin)
{
    static const char before[] = "/v1/twins/";
    json_t *found = NULL;
    if (twin)
        *twin = NULL;
    if (strncmp(path, before, strlen(before)) != 0)
        return CLI_OK;
    size_t length = strlen(before) + strcspn(path + strlen(before), "/?");
    char *about = cli_text("%.*s", (int)length, path);
    int rc = cli_get(cli, about, &found);
    free(about);
    if (twin)
        *twin = found;
    else
        json_decref(found);
    return rc;
}

int cli_change(struct cli *cli, struct rest_request *request, const json_t *body, json_t **out)
{
    struct rest_answer answer;
    char *text = body ? json_dumps(body, JSON_COMPACT | JSON_REAL_PRECISION(16)) : NULL;
    if (out)
        *out = NULL;
    if (cli->dry_run) {
        int rc = cli_rehearse(cli, request->path, NULL);
        if (!rc)
            fprintf(stderr, "would ask: %s %s %s\n", request->method, request->path, text ? text : "");
        free(text);
        return rc;
    }
    request->change = true;
    if (text) {
        request->body = text;
        request->size = strlen(text);
        request->content_type = "application/json";
    }
    int rc = cli_send(cli, request, &answer);
    if (!rc && out)
        *out = json_loadb(answer.body, answer.size, 0, NULL);
    rest_answer_fini(&answer);
    free(text);
    return rc;
}

int cli_rehearse_file(struct cli *cli, const char *path, const char *file)
{
    int rc = cli_rehearse(cli, path, NULL);
    if (!rc)
        fprintf(stderr, "would write %s\n", file && strcmp(file, "-") ? file : "to standard output");
    return rc;
}

/* ---- options and help ---- */

static size_t shared_options(struct cli *cli, struct options_entry *entries)
{
    const struct options_entry shared[] = {
        {"url", 0, OPTIONS_TEXT, &cli->url, "URL", "where twind answers (TWIN_URL, http://127.0.0.1:8470)"},
        {"token-file", 0, OPTIONS_TEXT, &cli->token_file, "FILE",
         "the admin token (TWIN_TOKEN_FILE, the state folder's)"},
        {"output", 'o', OPTIONS_TEXT, &cli->output, "FORMAT", "table, json or csv"},
        {"timeout", 0, OPTIONS_NUMBER, &cli->timeout, "SECONDS", "give up waiting after this time"},
        {"yes", 'y', OPTIONS_FLAG, &cli->yes, NULL, "do not ask back"},
        {"dry-run", 0, OPTIONS_FLAG, &cli->dry_run, NULL, "say what would be done, change nothing"},
        {"quiet", 'q', OPTIONS_FLAG, &cli->quiet, NULL, "no progress and no remarks"},
        {"help", 'h', OPTIONS_FLAG, &cli->help, NULL, "this text"},
    };
    memcpy(entries, shared, sizeof shared);
    return sizeof shared / sizeof *shared;
}

const struct options_entry *cli_shared(struct cli *cli, size_t *count)
{
    static struct options_entry entries[OPTIONS_MAX];
    *count = shared_options(cli, entries);
    entries[(*count)++] =
        (struct options_entry){"version", 'V', OPTIONS_FLAG, &cli->version, NULL, "print the version"};
    return entries;
}

static void print_help(const struct cli *cli, const struct options_entry *entries, size_t own, size_t all)
{
    printf("usage: twinctl %s %s\n\n%s\n", cli->command->name, cli->command->arguments, cli->command->help);
    if (own) {
        puts("\noptions:");
        options_help(stdout, entries, own);
    }
    puts("\nshared options:");
    options_help(stdout, entries + own, all - own);
}

int cli_parse(struct cli *cli, const struct options_entry *entries, size_t n_entries, int argc, char **argv, int least,
              int most, char ***positional, int *count)
{
    struct options_entry all[OPTIONS_MAX];
    char problem[256];
    int first;
    if (n_entries)
        memcpy(all, entries, n_entries * sizeof *entries);
    size_t n = n_entries + shared_options(cli, all + n_entries);
    if (cli->complete) {
        complete_options(cli, all, n);
        return CLI_OK;
    }
    if (!options_parse(all, n, false, argc, argv, &first, problem))
        return cli_usage(cli, "%s", problem);
    if (cli->help) {
        print_help(cli, all, n_entries, n);
        return CLI_OK;
    }
    if (!output_format_read(cli->output, &cli->format))
        return cli_usage(cli, "--output takes table, json or csv, not \"%.64s\"", cli->output);
    *positional = argv + first;
    *count = argc - first;
    if (*count < least)
        return cli_usage(cli, "%s needs %s", cli->command->name, cli->command->arguments);
    if (*count > most)
        return cli_usage(cli, "\"%.64s\" is one argument too many", argv[first + most]);
    return CLI_GO_ON;
}

static void print_overview(FILE *stream, const struct options_entry *entries, size_t n)
{
    fputs(
        "usage: twinctl [options] COMMAND ...\n\nThe operator's command line of twind: digital twins of experiments.\n"
        "\ncommands:\n",
        stream);
    for (size_t i = 0; i < commands_count(); i++)
        fprintf(stream, "  %-10s %s\n", commands_at(i)->name, commands_at(i)->summary);
    fputs("  help       of a command: twinctl help COMMAND\n\noptions:\n", stream);
    options_help(stream, entries, n);
    fputs("\nexamples, from the first step on (twinctl COMMAND --help has those of each):\n"
          "  twinctl create zmumu --from events.csv --dry-run > zmumu.json\n"
          "  twinctl create zmumu zmumu.json\n"
          "  twinctl train zmumu nominal.npy --wait\n"
          "  twinctl feed zmumu today.npy --run 12\n"
          "  twinctl drift zmumu\n",
          stream);
    fputs("\nExit status: 0 ok, 1 failed, 64 wrong usage, 69 nobody answers, 75 try again, 77 not permitted;\n"
          "of drift: 0 none, 1 drift, more than 1 no answer.\n",
          stream);
}

static int unknown_command(const struct cli *cli, const char *word)
{
    const char *names[32];
    size_t count = 0;
    for (; count < commands_count() && count < 31; count++)
        names[count] = commands_at(count)->name;
    names[count++] = "help";
    const char *guess = options_suggest(word, names, count);
    if (guess)
        return cli_usage(cli, "no command \"%.64s\"; did you mean %s?", word, guess);
    return cli_usage(cli, "no command \"%.64s\"", word);
}

static int run_command(struct cli *cli, int argc, char **argv)
{
    bool help = !strcmp(argv[0], "help");
    if (help && argc == 2 && *argv[1] == '-') { /* about help, there is no more than about all */
        size_t n;
        const struct options_entry *entries = cli_shared(cli, &n);
        print_overview(stdout, entries, n);
        return CLI_OK;
    }
    if (help && argc > 2)
        return cli_usage(cli, "help is about one command");
    const struct cli_command *command = commands_find(argv[help]);
    if (!command)
        return unknown_command(cli, argv[help]);
    cli->command = command;
    cli->help = help;
    if (help)
        return command->run(cli, 1, argv);
    return command->run(cli, argc, argv);
}

/* What was buffered may not fit on a full disk: a command whose data did not arrive has failed. */
static int finish(struct cli *cli, int rc)
{
    rest_free(cli->rest);
    curl_global_cleanup();
    if (fflush(stdout) || ferror(stdout))
        rc = rc ? rc : cli_fail(CLI_FAILED, "standard output: the data could not be written");
    return timer_signal() ? 128 + timer_signal() : rc;
}

int cli_main(int argc, char **argv)
{
    const char *url = getenv("TWIN_URL"), *token_file = getenv("TWIN_TOKEN_FILE");
    struct cli cli = {.url = url && *url ? url : "http://127.0.0.1:8470",
                      .token_file = token_file && *token_file ? token_file : NULL,
                      .output = "table"};
    char problem[256];
    int first, rc;
    size_t n;
    setlocale(LC_CTYPE, "");
    curl_global_init(CURL_GLOBAL_DEFAULT);
    timer_catch_signals();
    const struct options_entry *entries = cli_shared(&cli, &n);
    if (!options_parse(entries, n, true, argc, argv, &first, problem)) {
        rc = cli_usage(&cli, "%s", problem);
    } else if (cli.version) {
        rc = CLI_OK;
        puts("twinctl " TWIN_VERSION);
    } else if (cli.help || (argc - first == 1 && !strcmp(argv[first], "help"))) {
        rc = CLI_OK;
        print_overview(stdout, entries, n);
    } else if (first == argc) {
        rc = CLI_USAGE;
        print_overview(stderr, entries, n);
    } else {
        rc = run_command(&cli, argc - first, argv + first);
    }
    return finish(&cli, rc);
}
