/* twinctl promote, twinctl rollback: moves of an alias by hand. A move is compare-and-swap: what we saw last goes along
 * as If-Match, so that nobody's move is overwritten unseen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/commands.h"
#include "client/hint.h"
#include "client/version.h"

struct move {
    const char *twin, *alias, *reason;
    int64_t version;
    bool no_hold;
};

/* Where the alias is. *etag is NULL and *now 0 if it was never set. */
static int look(struct cli *cli, const struct move *move, char **etag, json_int_t *now)
{
    struct rest_answer answer;
    char *path = cli_text("/v1/twins/%s/aliases/%s", move->twin, move->alias);
    struct rest_request request = {.path = path};
    int rc = cli_connect(cli);
    *etag = NULL;
    *now = 0;
    if (!rc) {
        rc = rest_send(cli->rest, &request, &answer);
        if (!rc) {
            json_t *alias = json_loadb(answer.body, answer.size, 0, NULL);
            *now = json_integer_value(json_object_get(alias, "version"));
            *etag = answer.etag ? strdup(answer.etag) : NULL;
            json_decref(alias);
        } else if (answer.status == 404 && strstr(answer.body, "unknown_alias")) {
            rc = CLI_OK;
        } else {
            cli_fail(rc, "%s", rest_problem(cli->rest));
            hint_print(cli, path);
        }
        rest_answer_fini(&answer);
    }
    free(path);
    return rc;
}

/* What people should know of the version before it is moved to: that it was rejected, and why. NULL: nothing. A version
 * that is not there is an error in a rehearsal; else the move itself will be refused. */
static int look_at_version(struct cli *cli, const struct move *move, char **warning)
{
    char *path = cli_text("/v1/twins/%s/versions/%lld", move->twin, (long long)move->version), reason[256];
    json_t *version = NULL;
    int rc = cli->dry_run ? cli_get(cli, path, &version) : CLI_OK;
    if (!cli->dry_run)
        rest_get(cli->rest, path, &version);
    const char *status = json_string_value(json_object_get(version, "status"));
    *warning = NULL;
    if (status && !strcmp(status, "rejected"))
        *warning = cli_text("version %lld was rejected: %s", (long long)move->version,
                            output_cell(version, "reason", OUTPUT_TEXT, reason, sizeof reason));
    json_decref(version);
    free(path);
    return rc;
}

static int put(struct cli *cli, const struct move *move, const char *etag, json_int_t now)
{
    char *path = cli_text("/v1/twins/%s/aliases/%s", move->twin, move->alias);
    struct rest_request request = {.method = "PUT", .path = path, .if_match = etag, .if_none = !etag};
    json_t *body = json_pack("{s:I, s:s}", "version", (json_int_t)move->version, "reason",
                             move->reason ? move->reason : "no reason given"),
           *answer;
    if (move->no_hold)
        json_object_set_new(body, "hold", json_false());
    if (cli->dry_run)
        cli_say(cli, "would move %s of %s from version %lld to %lld", move->alias, move->twin, (long long)now,
                (long long)move->version);
    int rc = cli_change(cli, &request, body, &answer);
    if (answer)
        output_object(stdout, cli->format, answer);
    if (!rc && answer && json_is_true(json_object_get(answer, "hold")) && !strcmp(move->alias, "champion"))
        cli_say(cli, "the loop is on hold; twinctl promote %s --lift-hold lets it move the champion again", move->twin);
    json_decref(answer);
    json_decref(body);
    free(path);
    return rc;
}

/* Asks, and moves. */
static int ask_and_put(struct cli *cli, const struct move *move, const char *etag, json_int_t now, const char *verb)
{
    char *warning;
    int rc = look_at_version(cli, move, &warning);
    if (!rc && warning)
        cli_say(cli, "note: %s", warning);
    if (!rc && !cli_confirm(cli, "%s %s of %s from version %lld to %lld?", verb, move->alias, move->twin,
                            (long long)now, (long long)move->version))
        rc = cli_fail(CLI_FAILED, "nothing was moved");
    else if (!rc)
        rc = put(cli, move, etag, now);
    free(warning);
    return rc;
}

static int lift_hold(struct cli *cli, const char *twin)
{
    char *path = cli_text("/v1/twins/%s", twin);
    struct rest_request request = {.method = "PATCH", .path = path};
    json_t *body = json_pack("{s:b}", "hold", 0);
    json_t *state;
    int rc = cli_change(cli, &request, body, &state);
    if (state) {
        cmd_twins_print_one(cli, state);
        cli_say(cli, "the hold is lifted");
    }
    json_decref(state);
    json_decref(body);
    free(path);
    return rc;
}

int cmd_promote_run(struct cli *cli, int argc, char **argv)
{
    struct move move = {.alias = "champion"};
    bool lift = false;
    const struct options_entry entries[] = {
        {"reason", 0, OPTIONS_TEXT, &move.reason, "REASON", "why, for the history"},
        {"alias", 0, OPTIONS_TEXT, &move.alias, "ALIAS", "champion or reference (champion)"},
        {"no-hold", 0, OPTIONS_FLAG, &move.no_hold, NULL, "let the loop go on promoting by itself"},
        {"lift-hold", 0, OPTIONS_FLAG, &lift, NULL, "end the hold, move nothing"},
    };
    char **arg = NULL, *etag = NULL;
    json_int_t now;
    int count, rc = cli_parse(cli, entries, sizeof entries / sizeof *entries, argc, argv, 1, 2, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    move.twin = arg[0];
    if (cli_check_name(cli, "twin", move.twin) || cli_check_name(cli, "alias", move.alias))
        return CLI_USAGE;
    if (lift && count == 1)
        return lift_hold(cli, move.twin);
    if (lift || count != 2)
        return cli_usage(cli, "promote needs NAME and a version, or NAME --lift-hold");
    rc = version_read(cli, move.twin, arg[1], &move.version);
    if (!rc)
        rc = look(cli, &move, &etag, &now);
    if (!rc)
        rc = ask_and_put(cli, &move, etag, now, "move");
    free(etag);
    return rc;
}

/* The champion before, from the moves, newest first. A move back to a version that was served earlier undoes what came
 * in between, so that repeated roll backs go further back and do not swing to and fro. 0: there was none. */
static json_int_t champion_before(const json_t *moves)
{
    size_t count = json_array_size(moves), height = 0;
    json_int_t *stack = calloc(count + 1, sizeof *stack), before;
    for (size_t i = count; stack && i-- > 0;) {
        json_int_t version = json_integer_value(json_object_get(json_array_get(moves, i), "version"));
        size_t at = 0;
        while (at < height && stack[at] != version)
            at++;
        stack[at] = version;
        height = at + 1;
    }
    before = stack && height > 1 ? stack[height - 2] : 0;
    free(stack);
    return before;
}

static int find_before(struct cli *cli, struct move *move)
{
    json_t *moves;
    char *path = cli_text("/v1/twins/%s/history?alias=champion", move->twin);
    int rc = cli_list(cli, path, 100000, &moves);
    free(path);
    if (rc)
        return rc;
    move->version = champion_before(moves);
    json_decref(moves);
    if (!move->version)
        return cli_fail(CLI_FAILED,
                        "%s had no champion before this one; twinctl rollback %s --to VERSION takes any of "
                        "twinctl versions %s",
                        move->twin, move->twin, move->twin);
    return CLI_OK;
}

int cmd_promote_rollback(struct cli *cli, int argc, char **argv)
{
    struct move move = {.alias = "champion"};
    const char *to = NULL;
    const struct options_entry entries[] = {
        {"to", 0, OPTIONS_TEXT, &to, "VERSION", "go back to this version (the champion before)"},
        {"reason", 0, OPTIONS_TEXT, &move.reason, "REASON", "why, for the history"},
        {"no-hold", 0, OPTIONS_FLAG, &move.no_hold, NULL, "let the loop go on promoting by itself"},
    };
    char **arg = NULL, *etag = NULL;
    json_int_t now;
    int count, rc = cli_parse(cli, entries, sizeof entries / sizeof *entries, argc, argv, 1, 1, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    move.twin = arg[0];
    if (cli_check_name(cli, "twin", move.twin))
        return CLI_USAGE;
    rc = version_read(cli, move.twin, to, &move.version);
    /* The entity tag first: a move that comes after it makes the roll back fail, not go somewhere else. */
    if (!rc)
        rc = look(cli, &move, &etag, &now);
    if (!rc && !move.version)
        rc = find_before(cli, &move);
    if (!rc)
        rc = ask_and_put(cli, &move, etag, now, "roll back");
    free(etag);
    return rc;
}
