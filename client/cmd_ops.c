/* twinctl retune, twinctl tune, twinctl ops: long work and what becomes of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "client/cli.h"
#include "client/commands.h"
#include "client/operation.h"

struct retuning {
    const char *kind;
    int64_t events, seed;
    bool wait, propose;
};

static int ask_retune(struct cli *cli, const char *twin, const struct retuning *r)
{
    unsigned char random[16];
    char key[33];
    if (cli_check_name(cli, "twin", twin))
        return CLI_USAGE;
    /* The key makes it safe to repeat the request when its answer was lost. */
    randombytes_buf(random, sizeof random);
    sodium_bin2hex(key, sizeof key, random, sizeof random);
    char *path = cli_text("/v1/twins/%s/retunes", twin);
    struct rest_request request = {.method = "POST", .path = path, .idempotency_key = key};
    json_t *body = json_pack("{s:s}", "kind", r->kind), *operation;
    if (r->propose)
        json_object_set_new(body, "promote", json_false());
    if (r->events >= 0)
        json_object_set_new(body, "events", json_integer(r->events));
    if (r->seed >= 0)
        json_object_set_new(body, "seed", json_integer(r->seed));
    int rc = cli_change(cli, &request, body, &operation);
    if (!rc)
        rc = operation_report(cli, operation, r->wait);
    json_decref(body);
    free(path);
    return rc;
}

int cmd_ops_retune(struct cli *cli, int argc, char **argv)
{
    struct retuning r = {.kind = "weights", .events = -1, .seed = -1};
    const struct options_entry entries[] = {
        {"events", 0, OPTIONS_POSITIVE, &r.events, "N", "train on the latest N events (what the policy says)"},
        {"seed", 0, OPTIONS_COUNT, &r.seed, "S", "seed of the training"},
        {"kind", 0, OPTIONS_TEXT, &r.kind, "KIND",
         "weights: of the network (default); reweight: on top of its samples"},
        {"propose", 0, OPTIONS_FLAG, &r.propose, NULL, "what passes the gate waits for people"},
        {"wait", 'w', OPTIONS_FLAG, &r.wait, NULL, "wait until it has ended"},
    };
    char **arg = NULL;
    int count, rc = cli_parse(cli, entries, sizeof entries / sizeof *entries, argc, argv, 1, 1, &arg, &count);
    return rc == CLI_GO_ON ? ask_retune(cli, arg[0], &r) : rc;
}

int cmd_ops_tune(struct cli *cli, int argc, char **argv)
{
    struct retuning r = {.kind = "theta", .events = -1, .seed = -1};
    const struct options_entry entries[] = {
        {"events", 0, OPTIONS_POSITIVE, &r.events, "N", "fit to the latest N events (what the policy says)"},
        {"seed", 0, OPTIONS_COUNT, &r.seed, "S", "seed of the fit"},
        {"propose", 0, OPTIONS_FLAG, &r.propose, NULL, "what passes the gate waits for people"},
        {"wait", 'w', OPTIONS_FLAG, &r.wait, NULL, "wait until it has ended"},
    };
    char **arg = NULL;
    int count, rc = cli_parse(cli, entries, sizeof entries / sizeof *entries, argc, argv, 1, 1, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    rc = ask_retune(cli, arg[0], &r);
    if (rc && cli->rest && !strcmp(rest_error(cli->rest), "bad_kind"))
        cli_say(cli, "this twind fits no physics parameters; twinctl retune %s trains the network on instead", arg[0]);
    return rc;
}

static int show_one(struct cli *cli, int64_t id, bool wait)
{
    char *path = cli_text("/v1/operations/%lld", (long long)id);
    json_t *operation;
    int rc = cli_get(cli, path, &operation);
    free(path);
    return rc ? rc : operation_report(cli, operation, wait);
}

static int cancel(struct cli *cli, int64_t id)
{
    char *path = cli_text("/v1/operations/%lld", (long long)id);
    struct rest_request request = {.method = "DELETE", .path = path};
    json_t *operation;
    int rc = cli_change(cli, &request, NULL, &operation);
    if (operation) {
        output_object(stdout, cli->format, operation);
        cli_say(cli, "operation %lld is cancelled", (long long)id);
    }
    json_decref(operation);
    free(path);
    return rc;
}

int cmd_ops_list(struct cli *cli, int argc, char **argv)
{
    int64_t cancelled = -1, waited = -1, limit = 20;
    const struct options_entry entries[] = {
        {"cancel", 0, OPTIONS_COUNT, &cancelled, "ID", "cancel this operation"},
        {"wait-for", 0, OPTIONS_COUNT, &waited, "ID", "wait until this operation has ended"},
        {"limit", 0, OPTIONS_POSITIVE, &limit, "N", "how many to list at most (20)"},
    };
    char **arg = NULL;
    json_t *items;
    int count, rc = cli_parse(cli, entries, sizeof entries / sizeof *entries, argc, argv, 0, 1, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if (count && cli_check_name(cli, "twin", arg[0]))
        return CLI_USAGE;
    if (cancelled >= 0)
        return cancel(cli, cancelled);
    if (waited >= 0)
        return show_one(cli, waited, true);
    char *path = cli_text("/v1/operations%s%s", count ? "?twin=" : "", count ? arg[0] : "");
    rc = cli_list(cli, path, (size_t)limit, &items);
    free(path);
    if (!rc)
        operation_table(cli, items);
    json_decref(items);
    return rc;
}
