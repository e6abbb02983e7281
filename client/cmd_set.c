/* twinctl set: settings of the loop, by their names in the definition. What is changed was read just before, and its
 * entity tag goes along as If-Match, so that nobody's change is overwritten unseen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/commands.h"

enum { KEYS_MAX = 64 };

struct settings {
    const char *twin;
    json_t *loop;  /* as the daemon has it */
    json_t *patch; /* of the loop */
    json_t *rows;  /* {"setting", "old", "new"}, in the order of the command */
    char *etag;
};

/* ---- names: "growth", "gate.level" ---- */

void cmd_set_each(json_t *settings, const char *prefix, void (*take)(void *context, const char *key, json_t *value),
                  void *context)
{
    const char *name;
    json_t *value;
    json_object_foreach(settings, name, value)
    {
        char *key = cli_text("%s%s", prefix, name), *deeper = cli_text("%s.", key);
        if (json_is_object(value))
            cmd_set_each(value, deeper, take, context);
        else
            take(context, key, value);
        free(deeper);
        free(key);
    }
}

struct search {
    const char *key;
    bool found;
    char *name[KEYS_MAX];
    size_t count;
};

static bool is_above(const char *above, const char *below)
{
    size_t length = strlen(above);
    return !strncmp(above, below, length) && (!below[length] || below[length] == '.');
}

/* "gate" is known by what is in it; what may be in something that is null now, only the daemon knows. */
static void compare(void *context, const char *key, json_t *value)
{
    struct search *search = context;
    search->found |= is_above(search->key, key) || (json_is_null(value) && is_above(key, search->key));
    if (search->count < KEYS_MAX)
        search->name[search->count++] = cli_text("%s", key);
}

/* True if the loop has no such setting; *guess, NULL or malloc'd, is what may be meant. */
static bool is_unknown(json_t *loop, const char *key, char **guess)
{
    struct search search = {.key = key};
    cmd_set_each(loop, "", compare, &search);
    const char *near = options_suggest(key, (const char *const *)search.name, search.count);
    *guess = near && !search.found ? strdup(near) : NULL;
    while (search.count)
        free(search.name[--search.count]);
    return !search.found;
}

/* Looks for settings that the loop does not have, and says what may be meant. With --dry-run nobody else refuses them:
 * then it does. */
static int look_at_names(struct cli *cli, const struct settings *s)
{
    json_t *row;
    size_t i;
    int rc = CLI_OK;
    json_array_foreach(s->rows, i, row)
    {
        const char *key = json_string_value(json_object_get(row, "setting"));
        char *guess;
        if (is_unknown(s->loop, key, &guess) && cli->dry_run)
            rc = cli_fail(CLI_FAILED, "unknown member loop.%s", key);
        if (guess)
            cli_say(cli, "did you mean %s?", guess);
        free(guess);
    }
    return rc;
}

/* ---- what is asked ---- */

/* JSON where it is JSON, else a word. */
static json_t *read_value(const char *text)
{
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
    return value ? value : json_string(text);
}

/* Puts a value at a dotted path, and makes the objects above it. */
static void put_value(json_t *object, const char *key, json_t *value)
{
    const char *dot = strchr(key, '.');
    if (!dot) {
        json_object_set(object, key, value);
        return;
    }
    char *name = cli_text("%.*s", (int)(dot - key), key);
    if (!json_is_object(json_object_get(object, name)))
        json_object_set_new(object, name, json_object());
    put_value(json_object_get(object, name), dot + 1, value);
    free(name);
}

/* "KEY=VALUE"; "loop.KEY" is the same, as that is what the daemon calls it. */
static int read_setting(struct cli *cli, struct settings *s, const char *text)
{
    if (!strncmp(text, "loop.", 5))
        text += 5;
    size_t length = strcspn(text, "=");
    if (!length || !text[length] || *text == '.' || text[length - 1] == '.')
        return cli_usage(cli, "set takes KEY=VALUE, not \"%.64s\"", text);
    char *key = cli_text("%.*s", (int)length, text);
    json_t *value = read_value(text + length + 1);
    int rc = value ? CLI_OK : cli_usage(cli, "the value of %s is no text in UTF-8", key);
    if (!rc && output_at(s->patch, key))
        rc = cli_usage(cli, "%s is given twice", key);
    if (!rc) {
        put_value(s->patch, key, value);
        json_array_append_new(s->rows, json_pack("{s:s, s:n, s:O}", "setting", key, "old", "new", value));
    }
    json_decref(value);
    free(key);
    return rc;
}

/* ---- asking ---- */

static int look(struct cli *cli, struct settings *s)
{
    struct rest_answer answer;
    char *path = cli_text("/v1/twins/%s/definition", s->twin);
    struct rest_request request = {.path = path};
    int rc = cli_send(cli, &request, &answer);
    json_t *definition = rc ? NULL : json_loadb(answer.body, answer.size, 0, NULL);
    s->loop = json_incref(json_object_get(definition, "loop"));
    s->etag = answer.etag ? strdup(answer.etag) : NULL;
    if (!rc && !json_is_object(s->loop))
        rc = cli_fail(CLI_FAILED, "%s does not answer as twind does", rest_url(cli->rest));
    json_decref(definition);
    rest_answer_fini(&answer);
    free(path);
    return rc;
}

/* Column "old" or "new" of the rows, from a loop. */
static void fill(const struct settings *s, const char *column, json_t *loop)
{
    json_t *row;
    size_t i;
    json_array_foreach(s->rows, i, row)
    {
        const json_t *value = output_at(loop, json_string_value(json_object_get(row, "setting")));
        json_object_set_new(row, column, value ? json_incref((json_t *)value) : json_null());
    }
}

static int change(struct cli *cli, const struct settings *s)
{
    static const struct output_column columns[] = {{"SETTING", "setting", OUTPUT_TEXT, NULL},
                                                   {"OLD", "old", OUTPUT_TEXT, NULL},
                                                   {"NEW", "new", OUTPUT_TEXT, NULL}};
    if (cli->dry_run && look_at_names(cli, s))
        return CLI_FAILED;
    char *path = cli_text("/v1/twins/%s", s->twin);
    struct rest_request request = {.method = "PATCH", .path = path, .if_match = s->etag};
    json_t *body = json_pack("{s:O}", "loop", s->patch), *twin;
    int rc = cli_change(cli, &request, body, &twin);
    if (rc && !strcmp(rest_error(cli->rest), "bad_definition"))
        look_at_names(cli, s);
    json_t *loop = json_object_get(json_object_get(twin, "definition"), "loop");
    if (loop)
        fill(s, "new", loop);
    if (!rc)
        output_items(stdout, cli->format, s->rows, columns, sizeof columns / sizeof *columns, true);
    json_decref(twin);
    json_decref(body);
    free(path);
    return rc;
}

int cmd_set_run(struct cli *cli, int argc, char **argv)
{
    char **arg = NULL;
    int count, rc = cli_parse(cli, NULL, 0, argc, argv, 2, 1 + KEYS_MAX, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if (cli_check_name(cli, "twin", arg[0]))
        return CLI_USAGE;
    struct settings s = {.twin = arg[0], .patch = json_object(), .rows = json_array()};
    rc = CLI_OK;
    for (int i = 1; !rc && i < count; i++)
        rc = read_setting(cli, &s, arg[i]);
    if (!rc)
        rc = look(cli, &s);
    if (!rc) {
        fill(&s, "old", s.loop);
        rc = change(cli, &s);
    }
    json_decref(s.loop);
    json_decref(s.patch);
    json_decref(s.rows);
    free(s.etag);
    return rc;
}
