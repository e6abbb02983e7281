/* twinctl feed: files, and those of folders, one after the other, cut into batches. Batch k always holds the same rows
 * of the same files, which is what makes it possible to go on where the last acknowledgement was. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli.h"
#include "client/commands.h"
#include "client/feed.h"
#include "client/hint.h"
#include "client/inputs.h"
#include "client/rows.h"
#include "client/timer.h"
#include "client/verdict.h"

struct files {
    char **path;
    const double *bytes;
    int count, at;
    const char *columns;
    int64_t from, to; /* rows of the only file */
    int64_t batch;
    bool loop;
    struct rows *rows; /* of path[at]; NULL: not open */
    int64_t length;    /* with --rows: rows to be sent, -1: not known */
    int64_t passed;    /* batches in this pass over the files */
    float *values;
    size_t capacity; /* values */
};

struct feeding {
    const char *feed, *endpoint, *columns, *rows;
    int64_t run, batch, in_flight, first;
    double rate;
    bool loop;
    struct options_list conditions;
};

/* ---- batches of files ---- */

static bool open_next(struct files *files, char problem[512])
{
    if (!(files->rows = rows_open(files->path[files->at], files->columns, problem)) ||
        !rows_slice(files->rows, files->from, files->to, problem))
        return false;
    files->length = files->to < INT64_MAX ? rows_left(files->rows) : -1;
    size_t need = (size_t)files->batch * rows_columns(files->rows);
    if (need > files->capacity) {
        free(files->values);
        files->values = malloc(need * sizeof *files->values);
        files->capacity = files->values ? need : 0;
    }
    if (!files->values)
        snprintf(problem, 512, "out of memory");
    return files->values != NULL;
}

static void close_file(struct files *files)
{
    rows_close(files->rows);
    files->rows = NULL;
}

/* The file at hand is read. False if there is no other. */
static bool turn(struct files *files)
{
    close_file(files);
    if (++files->at == files->count && files->loop && files->passed) {
        files->at = 0; /* files without a single row would be read for ever */
        files->passed = 0;
    }
    return files->at < files->count;
}

static int next_batch(void *context, const float **values, size_t *rows, size_t *cols, const char *const **names,
                      char problem[512])
{
    struct files *files = context;
    while (files->at < files->count && !timer_signal()) {
        if (!files->rows && !open_next(files, problem))
            return -1;
        int64_t have = rows_read(files->rows, (size_t)files->batch, files->values, problem);
        if (have < 0)
            return -1;
        if (have > 0) {
            files->passed++;
            *values = files->values;
            *rows = (size_t)have;
            *cols = rows_columns(files->rows);
            *names = rows_names(files->rows);
            return 1;
        }
        turn(files);
    }
    return 0;
}

static int64_t skip_batches(void *context, int64_t count, char problem[512])
{
    struct files *files = context;
    int64_t done = 0;
    while (done < count && files->at < files->count && !timer_signal()) {
        if (!files->rows && !open_next(files, problem))
            return -1;
        int64_t want;
        if (__builtin_mul_overflow(count - done, files->batch, &want))
            want = INT64_MAX / files->batch * files->batch;
        int64_t have = rows_skip(files->rows, want, problem);
        if (have < 0)
            return -1;
        int64_t batches = (have + files->batch - 1) / files->batch; /* the last of a file may be short */
        files->passed += batches;
        done += batches;
        if (have < want)
            turn(files);
    }
    return done;
}

/* Of the bytes of all files; of the rows that --rows names. */
static double fraction(void *context)
{
    const struct files *files = context;
    double all = 0, done = 0, part = files->rows ? rows_fraction(files->rows) : 0;
    if (files->loop || part < 0)
        return -1;
    if (files->rows && files->length > 0)
        return 1 - (double)rows_left(files->rows) / (double)files->length;
    for (int i = 0; i < files->count; i++) {
        all += files->bytes[i];
        done += files->bytes[i] * (i < files->at ? 1 : i == files->at ? part : 0);
    }
    return all > 0 ? done / all : -1;
}

/* ---- the command ---- */

static int check(const struct cli *cli, const char *twin, const struct feeding *f, struct files *files,
                 struct feed_options *options)
{
    if (cli_check_name(cli, "twin", twin) || cli_check_name(cli, "feed", f->feed))
        return CLI_USAGE;
    if (f->batch < 1 || f->batch > TWP_ROWS_MAX)
        return cli_usage(cli, "--batch takes 1 to %d events", TWP_ROWS_MAX);
    if (f->rows && (files->count > 1 || !options_read_range(f->rows, &files->from, &files->to)))
        return cli_usage(cli, files->count > 1 ? "--rows is for one file" : "--rows takes A:B with A < B");
    for (int i = 0; i < files->count; i++)
        if (!strcmp(files->path[i], "-") && (files->count > 1 || f->loop))
            return cli_usage(cli, "standard input can only be the one file, and is read once");
    snprintf(options->key.twin, sizeof options->key.twin, "%s", twin);
    snprintf(options->key.feed, sizeof options->key.feed, "%s", f->feed);
    options->key.run = f->run;
    options->key.seq = f->first;
    return CLI_OK;
}

static int read_conditions(const struct cli *cli, const struct options_list *list, struct twp_condition *condition)
{
    for (size_t i = 0; i < list->count; i++)
        if (!options_read_setting(list->item[i], condition[i].name, sizeof condition[i].name, &condition[i].value))
            return cli_usage(cli, "--condition takes NAME=NUMBER, not \"%.64s\"", list->item[i]);
    return CLI_OK;
}

/* What the daemon knows of this feed and run: an entry of its list of feeds, a reference; NULL where there is none, or
 * where it cannot be asked (*rc). Says nothing. */
static json_t *ask_feed(struct cli *cli, const struct twp_key *key, int *rc)
{
    json_t *feeds = NULL, *feed, *found = NULL;
    size_t i;
    char *path = cli_text("/v1/twins/%s/feeds?feed=%s&limit=1000", key->twin, key->feed);
    *rc = cli_connect(cli);
    if (!*rc)
        *rc = rest_get(cli->rest, path, &feeds);
    json_array_foreach(json_object_get(feeds, "items"), i, feed)
    {
        const char *name = json_string_value(json_object_get(feed, "feed"));
        if (name && !strcmp(name, key->feed) && json_integer_value(json_object_get(feed, "run")) == key->run)
            found = feed;
    }
    json_incref(found);
    json_decref(feeds);
    free(path);
    return found;
}

/* What is there already, where it can be asked. A twin that is not there is an error. */
static int say_what_is_there(struct cli *cli, const struct twp_key *key)
{
    int rc;
    json_t *feed = ask_feed(cli, key, &rc);
    long long durable = feed ? json_integer_value(json_object_get(feed, "last_durable_seq")) : -1;
    if (rc == CLI_UNAVAILABLE)
        cli_say(cli, "what is there already could not be asked: %s", rest_problem(cli->rest));
    else if (rc)
        cli_fail(rc, "%s", rest_problem(cli->rest));
    if (rc && !strcmp(rest_error(cli->rest), "unknown_twin"))
        hint_twin(cli, key->twin);
    if (durable >= 0 && durable >= key->seq)
        cli_say(cli, "run %lld of feed %s is there up to batch %lld: it would go on behind it", (long long)key->run,
                key->feed, durable);
    json_decref(feed);
    return rc == CLI_UNAVAILABLE ? CLI_OK : rc;
}

/* An acknowledgement says that a batch is on disk, and nothing of its rows. */
static void say_what_is_invalid(struct cli *cli, const struct twp_key *key)
{
    int rc;
    json_t *feed = ask_feed(cli, key, &rc);
    char *invalid = verdict_invalid(json_object_get(feed, "all_invalid"));
    if (invalid)
        cli_say(cli, "acknowledged, but %s", invalid);
    free(invalid);
    json_decref(feed);
}

static const char *batches_of(int64_t count)
{
    return output_noun(count, "batch", "batches");
}

static const char *events_of(int64_t count)
{
    return output_noun(count, "event", "events");
}

/* A program that makes events and fails may leave their header behind: nothing to send is no success. */
static int no_rows(const struct files *files)
{
    const char *only = strcmp(files->path[0], "-") ? files->path[0] : "standard input";
    return files->count > 1 ? cli_fail(CLI_FAILED, "none of %d files has a row", files->count)
                            : cli_fail(CLI_FAILED, "%s has no rows", only);
}

/* Reads everything and says what would be sent. */
static int rehearse(struct cli *cli, struct files *files, const struct twp_key *key)
{
    char problem[512];
    const float *values;
    const char *const *names;
    size_t rows, cols;
    long long batches = 0, events = 0;
    int more = 0, rc = say_what_is_there(cli, key);
    if (rc)
        return rc;
    while (!timer_signal() && (more = next_batch(files, &values, &rows, &cols, &names, problem)) > 0) {
        batches++;
        events += (long long)rows;
        if (files->loop && files->at + 1 == files->count && !rows_left(files->rows))
            break;
    }
    if (more < 0)
        return cli_fail(CLI_FAILED, "%s", problem);
    if (!batches && !timer_signal())
        return no_rows(files);
    fprintf(stderr, "would send %lld %s, %lld %s of %d %s%s\n", batches, batches_of(batches), events, events_of(events),
            files->count, output_noun(files->count, "file", "files"), files->loop ? ", over and over" : "");
    return CLI_OK;
}

static void print_result(const struct cli *cli, const struct feed_options *options, const struct feed_result *r)
{
    static const struct output_column columns[] = {
        {"batches", "batches", OUTPUT_TEXT, NULL},   {"events", "events", OUTPUT_TEXT, NULL},
        {"acked", "acked", OUTPUT_TEXT, NULL},       {"skipped", "skipped", OUTPUT_TEXT, NULL},
        {"resent", "resent", OUTPUT_TEXT, NULL},     {"resumed_from", "resumed_from", OUTPUT_TEXT, NULL},
        {"next_seq", "next_seq", OUTPUT_TEXT, NULL}, {"seconds", "seconds", OUTPUT_NUMBER, NULL}};
    double rate = r->seconds > 0 ? (double)r->events / r->seconds : 0;
    if (cli->format == OUTPUT_TABLE && r->refused >= 0) {
        printf("%lld of %lld %s acknowledged, %lld there before; batch %lld refused\n", (long long)r->acked,
               (long long)r->batches, batches_of(r->batches), (long long)r->skipped, (long long)r->refused);
        return;
    }
    if (cli->format == OUTPUT_TABLE) {
        printf("%lld %s, %lld %s in %.1f s (%.0f events/s): %lld acknowledged, %lld there before, %lld sent again; "
               "next: %lld\n",
               (long long)r->batches, batches_of(r->batches), (long long)r->events, events_of(r->events), r->seconds,
               rate, (long long)r->acked, (long long)r->skipped, (long long)r->resent, (long long)r->next_seq);
        return;
    }
    json_t *json =
        json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:b, s:o}", "twin", options->key.twin,
                  "feed", options->key.feed, "run", (json_int_t)options->key.run, "batches", (json_int_t)r->batches,
                  "events", (json_int_t)r->events, "acked", (json_int_t)r->acked, "skipped", (json_int_t)r->skipped,
                  "resent", (json_int_t)r->resent, "resumed_from", (json_int_t)r->resumed_from, "next_seq",
                  (json_int_t)r->next_seq, "seconds", r->seconds, "events_per_s", rate, "stopped", (int)r->stopped,
                  "refused", r->refused >= 0 ? json_integer((json_int_t)r->refused) : json_null());
    json_t *items = json_pack("[O]", json);
    if (cli->format == OUTPUT_JSON)
        output_json(stdout, json);
    else
        output_items(stdout, OUTPUT_CSV, items, columns, sizeof columns / sizeof *columns, true);
    json_decref(items);
    json_decref(json);
}

/* What is on disk, what is not, and what to do. */
static void say_after_refusal(const struct cli *cli, const struct feed_options *options, const struct feed_result *r)
{
    long long first = options->key.seq, next = r->next_seq;
    if (next > first + 1)
        cli_say(cli, "batches %lld to %lld are on disk, batch %lld is not", first, next - 1, (long long)r->refused);
    else if (next > first)
        cli_say(cli, "batch %lld is on disk, batch %lld is not", first, (long long)r->refused);
    else
        cli_say(cli, "batch %lld is not on disk", (long long)r->refused);
    if (r->batches + r->skipped > next - first + 1)
        cli_say(cli, "others were on their way and may be there too; what comes twice is counted once");
    cli_say(cli, "when batch %lld is put right, the same command goes on at batch %lld", (long long)r->refused, next);
}

static int report(struct cli *cli, const struct files *files, const struct feed_options *options,
                  const struct feed_result *result, int rc)
{
    if (!rc && !result->stopped && !result->batches && !result->skipped)
        return no_rows(files);
    if (!rc || result->batches || cli->format != OUTPUT_TABLE)
        print_result(cli, options, result);
    if (result->skipped && !result->batches && !rc && !result->stopped)
        cli_say(cli, "all of it is there already as run %lld of feed %s; other data need another --run",
                (long long)options->key.run, options->key.feed);
    else if (result->skipped && !rc && !result->stopped)
        cli_say(cli, "the first %lld %s %s there before as run %lld of feed %s; other data need another --run",
                (long long)result->skipped, batches_of(result->skipped), output_noun(result->skipped, "was", "were"),
                (long long)options->key.run, options->key.feed);
    if (result->stopped)
        cli_say(cli, "stopped; the same command goes on at batch %lld", (long long)result->next_seq);
    if (rc && *result->problem)
        cli_fail(rc, "%s", result->problem);
    if (rc && strstr(result->problem, twp_wire_code(TWP_UNKNOWN_TWIN)))
        hint_twin(cli, options->key.twin);
    if (rc && (strstr(result->problem, twp_wire_code(TWP_BAD_SHAPE)) ||
               strstr(result->problem, twp_wire_code(TWP_UNKNOWN_COLUMN))))
        hint_columns(cli, options->key.twin);
    if (result->refused >= 0)
        say_after_refusal(cli, options, result);
    else if (rc && !result->stopped && result->batches)
        cli_say(cli, "the same command goes on at batch %lld", (long long)result->next_seq);
    if (!rc && result->acked && !cli->quiet)
        say_what_is_invalid(cli, &options->key);
    return rc;
}

int cmd_feed_run(struct cli *cli, int argc, char **argv)
{
    const char *ingest = getenv("TWIN_INGEST");
    struct feeding f = {
        .feed = "twinctl", .endpoint = ingest && *ingest ? ingest : "tcp://127.0.0.1:8471", .run = 1, .batch = 1000};
    const struct options_entry entries[] = {
        {"feed", 'f', OPTIONS_TEXT, &f.feed, "FEED", "who sends (twinctl)"},
        {"run", 'r', OPTIONS_COUNT, &f.run, "N", "the data-taking run (1)"},
        {"batch", 'b', OPTIONS_COUNT, &f.batch, "EVENTS", "events in a batch (1000)"},
        {"rate", 0, OPTIONS_NUMBER, &f.rate, "EVENTS/s", "events per second at most (as fast as they are taken)"},
        {"rows", 0, OPTIONS_TEXT, &f.rows, "A:B", "rows A up to, not including, B of the file"},
        {"columns", 0, OPTIONS_TEXT, &f.columns, "NAMES", "names of the columns, separated by commas"},
        {"condition", 'c', OPTIONS_LIST, &f.conditions, "NAME=VALUE", "a condition of all batches; may be repeated"},
        {"seq-start", 0, OPTIONS_COUNT, &f.first, "N", "sequence number of the first batch of the files (0)"},
        {"in-flight", 0, OPTIONS_COUNT, &f.in_flight, "BYTES", "bytes without acknowledgement at most (the credit)"},
        {"ingest", 0, OPTIONS_TEXT, &f.endpoint, "ENDPOINT", "of twind (TWIN_INGEST, tcp://127.0.0.1:8471)"},
        {"loop", 0, OPTIONS_FLAG, &f.loop, NULL, "start over at the end, for ever; the loop then sees rows twice"},
    };
    struct twp_condition condition[OPTIONS_LIST_MAX];
    struct feed_options options = {.condition = condition};
    struct feed_result result;
    char **arg;
    int count, rc = cli_parse(cli, entries, sizeof entries / sizeof *entries, argc, argv, 2, 10000, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    struct inputs inputs;
    char problem[512];
    rc = inputs_init(&inputs, arg + 1, count - 1, problem) ? CLI_OK : cli_fail(CLI_FAILED, "%s", problem);
    struct files files = {.path = inputs.path,
                          .bytes = inputs.bytes,
                          .count = inputs.count,
                          .columns = f.columns,
                          .to = INT64_MAX,
                          .batch = f.batch,
                          .loop = f.loop};
    if (!rc)
        rc = check(cli, arg[0], &f, &files, &options);
    if (!rc)
        rc = read_conditions(cli, &f.conditions, condition);
    options.conditions = f.conditions.count;
    options.endpoint = f.endpoint;
    options.rate = f.rate;
    options.in_flight = f.in_flight;
    options.patience = cli->timeout > 0 ? cli->timeout : 30;
    options.stall = cli->timeout;
    struct feed_source source = {&files, skip_batches, next_batch, fraction};
    if (!rc && cli->dry_run)
        rc = rehearse(cli, &files, &options.key);
    else if (!rc)
        rc = report(cli, &files, &options, &result, feed_run(&options, &source, cli->quiet, &result));
    close_file(&files);
    free(files.values);
    inputs_fini(&inputs);
    return rc;
}
