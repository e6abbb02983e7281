/* twinctl train: the first version of a twin. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/body.h"
#include "client/cli.h"
#include "client/commands.h"
#include "client/operation.h"
#include "client/timer.h"

static const size_t BODY_MOST = 256u << 20;

struct training {
    const char *rows, *columns;
    int64_t seed, epochs;
    bool spooled, wait;
};

static int rehearse(struct cli *cli, const struct rest_request *request, size_t events)
{
    json_t *twin;
    int rc = cli_rehearse(cli, request->path, &twin);
    if (!rc && output_at(twin, "champion"))
        rc = cli_fail(CLI_FAILED, "it is trained already; twinctl retune trains it on");
    if (!rc && events)
        cli_say(cli, "would train on %zu %s", events, output_noun((int64_t)events, "event", "events"));
    if (!rc)
        fprintf(stderr, "would ask: POST %s with %zu bytes\n", request->path, request->size);
    json_decref(twin);
    return rc;
}

/* events: how many are in the body, 0: none. */
static int post(struct cli *cli, struct rest_request *request, const struct training *t, size_t events)
{
    struct rest_answer answer;
    if (cli->dry_run)
        return rehearse(cli, request, events);
    int rc = cli_send(cli, request, &answer);
    if (!rc && events)
        cli_say(cli, "training on %zu %s", events, output_noun((int64_t)events, "event", "events"));
    if (!rc)
        rc = operation_report(cli, json_loadb(answer.body, answer.size, 0, NULL), t->wait);
    rest_answer_fini(&answer);
    return rc;
}

static int train_spooled(struct cli *cli, const char *twin, const struct training *t)
{
    json_t *body = json_pack("{s:s}", "source", "spool");
    if (t->seed >= 0)
        json_object_set_new(body, "seed", json_integer(t->seed));
    if (t->epochs > 0)
        json_object_set_new(body, "epochs", json_integer(t->epochs));
    char *path = cli_text("/v1/twins/%s/train", twin), *text = json_dumps(body, JSON_COMPACT);
    struct rest_request request = {.method = "POST",
                                   .path = path,
                                   .body = text,
                                   .size = text ? strlen(text) : 0,
                                   .content_type = "application/json",
                                   .change = true};
    int rc = post(cli, &request, t, 0);
    free(text);
    free(path);
    json_decref(body);
    return rc;
}

/* /v1/twins/NAME/train?seed=1&epochs=2&columns=a,b */
static char *path_of(const char *twin, const struct training *t, const struct rows *rows)
{
    char *columns = body_columns(rows), seed[40] = "", epochs[40] = "";
    if (t->seed >= 0)
        snprintf(seed, sizeof seed, "seed=%lld&", (long long)t->seed);
    if (t->epochs > 0)
        snprintf(epochs, sizeof epochs, "epochs=%lld&", (long long)t->epochs);
    char *path = cli_text("/v1/twins/%s/train?%s%s%s", twin, seed, epochs, columns);
    size_t length = strlen(path);
    if (path[length - 1] == '&' || path[length - 1] == '?')
        path[length - 1] = 0;
    free(columns);
    return path;
}

static int train_file(struct cli *cli, const char *twin, const char *file, const struct training *t, int64_t from,
                      int64_t to)
{
    char problem[512], *path = NULL;
    unsigned char *bytes = NULL;
    size_t size, count;
    int rc = CLI_FAILED;
    struct rows *rows = rows_open(file, t->columns, problem);
    if (!rows || !rows_slice(rows, from, to, problem) ||
        !body_read(rows, SIZE_MAX, BODY_MOST, &bytes, &size, &count, problem)) {
        cli_fail(rc, "%s", problem);
    } else if (!bytes && !timer_signal()) {
        cli_fail(rc, "%s has no rows", file);
    } else if (bytes && !timer_signal()) {
        path = path_of(twin, t, rows);
        struct rest_request request = {.method = "POST",
                                       .path = path,
                                       .body = bytes,
                                       .size = size,
                                       .content_type = "application/x-npy",
                                       .change = true};
        rc = post(cli, &request, t, count);
    }
    free(path);
    free(bytes);
    rows_close(rows);
    return rc;
}

int cmd_train_run(struct cli *cli, int argc, char **argv)
{
    struct training t = {.seed = -1};
    int64_t from = 0, to = INT64_MAX;
    const struct options_entry entries[] = {
        {"wait", 'w', OPTIONS_FLAG, &t.wait, NULL, "wait until it has ended"},
        {"rows", 0, OPTIONS_TEXT, &t.rows, "A:B", "rows A up to, not including, B of the file"},
        {"columns", 0, OPTIONS_TEXT, &t.columns, "NAMES", "names of the columns, separated by commas"},
        {"seed", 0, OPTIONS_COUNT, &t.seed, "S", "seed of the training"},
        {"epochs", 0, OPTIONS_COUNT, &t.epochs, "N", "passes over the events at most"},
        {"spooled", 0, OPTIONS_FLAG, &t.spooled, NULL, "train on what the feeds have sent"},
    };
    char **arg = NULL;
    int count, rc = cli_parse(cli, entries, sizeof entries / sizeof *entries, argc, argv, 1, 2, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if (cli_check_name(cli, "twin", arg[0]))
        return CLI_USAGE;
    if (t.spooled == (count == 2))
        return cli_usage(cli, "train needs a file or --spooled");
    if (t.rows && (t.spooled || !options_read_range(t.rows, &from, &to)))
        return cli_usage(cli, "--rows takes A:B with A < B, and goes with a file");
    rc = t.spooled ? train_spooled(cli, arg[0], &t) : train_file(cli, arg[0], arg[1], &t, from, to);
    if (!rc && t.wait && !cli->dry_run && !timer_signal())
        cli_say(cli, "next: twinctl feed %s FILE, and twinctl watch %s", arg[0], arg[0]);
    return rc;
}
