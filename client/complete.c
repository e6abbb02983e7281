/* What may stand where the cursor of a shell is. */
#include "client/complete.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/commands.h"

enum { WORDS_MAX = 256, LISTED = 100, PATIENCE_S = 2 };

struct cursor {
    struct cli *cli;
    const char *word;   /* what stands there now */
    const char *prefix; /* "--alias=" where an option and its value are one word */
    size_t prefix_length;
    const char *twin; /* the command's first argument, NULL: not given yet */
};

static void offer(const struct cursor *at, const char *candidate, const char *description)
{
    if (!strncmp(candidate, at->word, strlen(at->word)))
        printf("%.*s%s\t%s\n", (int)at->prefix_length, at->prefix, candidate, description);
}

/* ---- arguments, by the word that stands for them in the help ---- */

/* What one path answers, or all items of a list. Nobody is told of what goes wrong: there are no candidates then. */
enum answers { ONE, ALL };

static json_t *ask(const struct cursor *at, enum answers answers, const char *format, const char *argument)
{
    char problem[512];
    json_t *answer = NULL;
    struct rest *rest = rest_new(at->cli->url, NULL, PATIENCE_S, problem);
    char *path = cli_text(format, argument);
    if (rest && answers == ALL)
        rest_list(rest, path, LISTED, &answer);
    else if (rest)
        rest_get(rest, path, &answer);
    rest_free(rest);
    free(path);
    return answer;
}

static void offer_items(const struct cursor *at, json_t *items, const char *member, const char *description)
{
    char name[128], words[256];
    json_t *item;
    size_t i;
    json_array_foreach(items, i, item)
    {
        output_cell(item, member, OUTPUT_TEXT, name, sizeof name);
        output_cell(item, description, OUTPUT_TEXT, words, sizeof words);
        offer(at, name, words);
    }
    json_decref(items);
}

static void twins(const struct cursor *at)
{
    offer_items(at, ask(at, ALL, "/v1/twins%s", ""), "name", "verdict");
}

static void aliases(const struct cursor *at)
{
    offer(at, "champion", "the version that is served");
    offer(at, "challenger", "the version that is on trial");
    offer(at, "reference", "the version that people have chosen to compare with");
}

static void versions(const struct cursor *at)
{
    if (!at->twin)
        return;
    offer_items(at, ask(at, ALL, "/v1/twins/%s/versions", at->twin), "version", "status");
    aliases(at);
}

static void operations(const struct cursor *at)
{
    offer_items(at, ask(at, ALL, at->twin ? "/v1/operations?twin=%s" : "/v1/operations%s", at->twin ? at->twin : ""),
                "id", "state");
}

static void feeds(const struct cursor *at)
{
    if (at->twin)
        offer_items(at, ask(at, ALL, "/v1/twins/%s/feeds", at->twin), "feed", "run");
}

static void offer_setting(void *context, const char *key, json_t *value)
{
    char candidate[128], now[256];
    json_t *row = json_pack("{s:O}", "now", value);
    snprintf(candidate, sizeof candidate, "%s=", key);
    offer(context, candidate, output_cell(row, "now", OUTPUT_TEXT, now, sizeof now));
    json_decref(row);
}

/* Names; behind mode= its values, too. */
static void settings(const struct cursor *at)
{
    struct cursor cursor = *at;
    json_t *definition = NULL;
    if (!strncmp(at->word, "mode=", 5)) {
        offer(at, "mode=auto", "it retunes and promotes");
        offer(at, "mode=advise", "what passes the gate waits for people");
        offer(at, "mode=manual", "it compares and says what is due");
    } else if (at->twin && (definition = ask(at, ONE, "/v1/twins/%s/definition", at->twin))) {
        cmd_set_each(json_object_get(definition, "loop"), "", offer_setting, &cursor);
    }
    json_decref(definition);
}

static void formats(const struct cursor *at)
{
    offer(at, "table", "for people");
    offer(at, "json", "as the daemon says it");
    offer(at, "csv", "for spreadsheets");
}

static void kinds(const struct cursor *at)
{
    offer(at, "weights", "train the network on");
    offer(at, "reweight", "weights on top of its samples");
}

static void reweighting(const struct cursor *at)
{
    offer(at, "unweighted", "accepted by their weights");
    offer(at, "weighted", "with a column of weights");
}

static void outputs(const struct cursor *at)
{
    offer(at, "log_prob", "the density of events");
    offer(at, "sample", "events from base noise");
}

static void shells(const struct cursor *at)
{
    offer(at, "bash", "");
    offer(at, "zsh", "");
    offer(at, "fish", "");
}

static void command_names(const struct cursor *at)
{
    for (size_t i = 0; i < commands_count(); i++)
        offer(at, commands_at(i)->name, commands_at(i)->summary);
}

static void files(const struct cursor *at)
{
    puts("\tfiles");
}

static void folders(const struct cursor *at)
{
    puts("\tfolders");
}

static const struct source {
    const char *argument;
    void (*offer)(const struct cursor *at);
} sources[] = {
    {"NAME", twins},   {"VERSION", versions},      {"V", versions}, {"ALIAS", aliases},         {"ID", operations},
    {"FEED", feeds},   {"FORMAT", formats},        {"KIND", kinds}, {"HOW", reweighting},       {"WHAT", outputs},
    {"SHELL", shells}, {"COMMAND", command_names}, {"FILE", files}, {"DEFINITION.json", files}, {"EVENTS", files},
    {"DIR", folders},  {"KEY=VALUE", settings},
};

/* `argument` as it stands in the help: "NAME", "[VERSION]", "FILE...". */
static void offer_argument(const struct cursor *at, const char *argument, size_t length)
{
    while (length && *argument == '[') {
        argument++;
        length--;
    }
    while (length && strchr("].", argument[length - 1]))
        length--;
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (strlen(sources[i].argument) == length && !strncmp(sources[i].argument, argument, length))
            sources[i].offer(at);
}

/* The n-th word of the first form of "NAME FILE... | NAME --spooled"; the last one may be given again. */
static void offer_positional(const struct cursor *at, const char *arguments, int n)
{
    for (;;) {
        size_t length = strcspn(arguments, " ");
        bool again = length > 3 && !strncmp(arguments + length - 3, "...", 3);
        if (!length || *arguments == '|' || *arguments == '-' || !strncmp(arguments, "[-", 2))
            return;
        if (!n || again) {
            offer_argument(at, arguments, length);
            return;
        }
        n--;
        arguments += length + (arguments[length] == ' ');
    }
}

/* ---- words ---- */

/* The option whose value comes after this word, NULL: none. */
static const struct options_entry *needs_value(const struct options_entry *entries, size_t count, const char *word)
{
    size_t length = strlen(word);
    for (size_t i = 0; i < count; i++) {
        if (!entries[i].argument || word[0] != '-' || length < 2)
            continue;
        if (word[1] == '-' ? !strcmp(word + 2, entries[i].name)
                           : entries[i].letter && word[length - 1] == entries[i].letter)
            return &entries[i];
    }
    return NULL;
}

/* Reads the words before the cursor: the shared options among them say where the daemon is. Returns how many of them
 * are arguments, -1 if they cannot be understood. */
static int understand(struct cursor *at, const struct options_entry *entries, size_t count, char **words, int n)
{
    char problem[256], program[] = "twinctl", *copy[WORDS_MAX + 2] = {program};
    int first;
    memcpy(copy + 1, words, (size_t)n * sizeof *words);
    if (!options_parse(entries, count, false, n + 1, copy, &first, problem))
        return -1;
    at->twin = first <= n ? copy[first] : NULL;
    return n + 1 - first;
}

void complete_options(struct cli *cli, const struct options_entry *entries, size_t count)
{
    char **words = cli->complete->words;
    int before = cli->complete->count - 1;
    struct cursor at = {.cli = cli, .word = words[before]};
    const struct options_entry *option = before ? needs_value(entries, count, words[before - 1]) : NULL;
    int arguments = understand(&at, entries, count, words, before - (option != NULL));
    const char *equals = strncmp(at.word, "--", 2) ? NULL : strchr(at.word, '=');
    if (arguments < 0)
        return;
    if (option) {
        offer_argument(&at, option->argument, strlen(option->argument));
    } else if (equals) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)(equals - at.word), at.word);
        option = needs_value(entries, count, name);
        at.prefix = at.word;
        at.prefix_length = (size_t)(equals - at.word) + 1;
        at.word = equals + 1;
        if (option)
            offer_argument(&at, option->argument, strlen(option->argument));
    } else if (*at.word == '-') {
        for (size_t i = 0; i < count; i++) {
            char name[64];
            snprintf(name, sizeof name, "--%s", entries[i].name);
            offer(&at, name, entries[i].help);
        }
    } else if (cli->command) {
        offer_positional(&at, cli->command->arguments, arguments);
    } else if (!arguments) {
        command_names(&at);
        offer(&at, "help", "of a command");
    }
}

int complete_words(struct cli *cli, char **words, int count)
{
    struct complete within = {words, count};
    if (count < 1 || count > WORDS_MAX)
        return CLI_OK;
    /* The command is the first word that is no shared option and no value of one. */
    size_t n;
    const struct options_entry *shared = cli_shared(cli, &n);
    int at = 0;
    while (at < count - 1 && *words[at] == '-')
        at += needs_value(shared, n, words[at]) ? 2 : 1;
    cli->complete = &within;
    cli->command = NULL;
    const struct cli_command *command = at < count - 1 ? commands_find(words[at]) : NULL;
    if (!command && at < count - 1 && !strcmp(words[at], "help")) {
        struct cursor cursor = {.cli = cli, .word = words[count - 1]};
        command_names(&cursor);
    } else if (!command) {
        complete_options(cli, shared, n);
    } else {
        /* The shared options before the command's name are read with its own. */
        char *moved[WORDS_MAX];
        memcpy(moved, words, (size_t)at * sizeof *words);
        memcpy(moved + at, words + at + 1, (size_t)(count - at - 1) * sizeof *words);
        within = (struct complete){moved, count - 1};
        cli->command = command;
        command->run(cli, 0, NULL);
    }
    cli->complete = NULL;
    return CLI_OK;
}
