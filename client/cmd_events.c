/* twinctl sample, twinctl log-prob: what the surrogate makes, and what it thinks of events. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/body.h"
#include "client/cli.h"
#include "client/commands.h"
#include "client/file.h"
#include "client/h5.h"
#include "client/progress.h"
#include "client/save.h"
#include "client/timer.h"
#include "client/version.h"
#include "proto/npy.h"

/* Bodies of log_prob are limited to 1 MiB. */
static const size_t PIECE_BYTES = (1u << 20) - 4096;

/* "conditions" as JSON, NULL without any, or after a sentence with *rc. */
static json_t *conditions_of(const struct cli *cli, const struct options_list *list, int *rc)
{
    json_t *object = list->count ? json_object() : NULL;
    for (size_t i = 0; i < list->count; i++) {
        char name[128];
        double value;
        if (options_read_setting(list->item[i], name, sizeof name, &value))
            json_object_set_new(object, name, json_real(value));
        else
            *rc = cli_usage(cli, "--condition takes NAME=NUMBER, not \"%.64s\"", list->item[i]);
    }
    return object;
}

/* ---- sample ---- */

struct sampling {
    int64_t n, seed, member;
    const char *version, *out, *reweight;
    struct options_list conditions;
};

static int download(struct cli *cli, const char *twin, const struct sampling *s, enum save_format format,
                    const json_t *body)
{
    struct save save;
    struct rest_answer answer;
    char problem[512], *path = cli_text("/v1/twins/%s/sample", twin), *text = json_dumps(body, JSON_COMPACT);
    struct rest_request request = {.method = "POST",
                                   .path = path,
                                   .body = text,
                                   .size = text ? strlen(text) : 0,
                                   .content_type = "application/json",
                                   .accept = save_media(format),
                                   .sink = save_sink,
                                   .context = &save};
    int rc = CLI_FAILED;
    if (cli->dry_run) {
        rc = cli_rehearse_file(cli, path, s->out);
    } else if (!save_open(&save, s->out, format, s->n, cli->quiet, problem)) {
        cli_fail(rc, "%s", problem);
    } else {
        rc = cli_send(cli, &request, &answer);
        if (rc || timer_signal())
            save_abandon(&save);
        else if (!save_commit(&save, "events", &answer, problem))
            rc = cli_fail(CLI_FAILED, "%s", problem);
        if (!rc && !timer_signal())
            cli_say(cli, "%lld %s of version %s, seed %s", (long long)s->n, output_noun(s->n, "event", "events"),
                    answer.version ? answer.version : "?", answer.seed ? answer.seed : "?");
        rest_answer_fini(&answer);
    }
    free(text);
    free(path);
    return rc;
}

int cmd_events_sample(struct cli *cli, int argc, char **argv)
{
    struct sampling s = {.n = 1000, .seed = -1, .member = -1};
    const struct options_entry entries[] = {
        {"number", 'n', OPTIONS_POSITIVE, &s.n, "N", "how many events (1000)"},
        {"seed", 0, OPTIONS_COUNT, &s.seed, "S", "seed (a new one, which is printed)"},
        {"version", 0, OPTIONS_TEXT, &s.version, "V", "version: its number or alias (champion)"},
        {"member", 0, OPTIONS_COUNT, &s.member, "K", "one member of an ensemble, from 0 (their mixture)"},
        {"condition", 'c', OPTIONS_LIST, &s.conditions, "NAME=VALUE", "a condition; may be repeated"},
        {"reweight", 0, OPTIONS_TEXT, &s.reweight, "HOW",
         "of a version with weights: unweighted (default) or weighted"},
        {"out", 0, OPTIONS_TEXT, &s.out, "FILE", ".npy, .csv, .h5 or .json; - for standard output"},
    };
    char **arg = NULL;
    int count, rc = cli_parse(cli, entries, sizeof entries / sizeof *entries, argc, argv, 1, 1, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if (cli_check_name(cli, "twin", arg[0]))
        return CLI_USAGE;
    enum save_format format;
    if (!save_format_of(cli, s.out, &format))
        return CLI_USAGE;
    if (s.reweight && strcmp(s.reweight, "weighted") && strcmp(s.reweight, "unweighted"))
        return cli_usage(cli, "--reweight takes weighted or unweighted");
    int64_t version = 0;
    rc = version_read(cli, arg[0], s.version, &version);
    if (rc)
        return rc;
    json_t *conditions = conditions_of(cli, &s.conditions, &rc), *body = json_pack("{s:I}", "n", (json_int_t)s.n);
    if (s.seed >= 0)
        json_object_set_new(body, "seed", json_integer(s.seed));
    if (version > 0)
        json_object_set_new(body, "version", json_integer(version));
    if (s.member >= 0)
        json_object_set_new(body, "member", json_integer(s.member));
    if (conditions)
        json_object_set_new(body, "conditions", conditions);
    if (s.reweight)
        json_object_set_new(body, "reweight", json_string(s.reweight));
    if (!rc)
        rc = download(cli, arg[0], &s, format, body);
    json_decref(body);
    return rc;
}

/* ---- log-prob ---- */

struct densities {
    const char *twin, *named, *rows, *columns, *out;
    struct options_list conditions;
    int64_t version, from, to;
    char *query; /* columns and conditions, "" or "a=b&c=d" */
    double *values;
    size_t count, capacity;
};

/* One piece's answer, appended. */
static bool append(struct densities *d, const struct rest_answer *answer, size_t count)
{
    struct twp_npy npy;
    if (twp_npy_parse(answer->body, answer->size, &npy) || npy.rows != count || npy.cols != 1 ||
        npy.item != sizeof *d->values)
        return false;
    if (d->count + count > d->capacity) {
        size_t capacity = 2 * d->capacity + count;
        double *values = realloc(d->values, capacity * sizeof *values);
        if (!values)
            return false;
        d->values = values;
        d->capacity = capacity;
    }
    memcpy(d->values + d->count, npy.data, count * sizeof *d->values);
    d->count += count;
    return true;
}

/* The first piece is answered by the champion of the moment; that version answers the others too. */
static int ask_piece(struct cli *cli, struct densities *d, const unsigned char *bytes, size_t size, size_t count)
{
    struct rest_answer answer;
    char version[40] = "";
    if (d->version > 0)
        snprintf(version, sizeof version, "version=%lld", (long long)d->version);
    char *path = cli_text("/v1/twins/%s/log_prob%s%s%s%s", d->twin, *version || *d->query ? "?" : "", version,
                          *version && *d->query ? "&" : "", d->query);
    struct rest_request request = {.method = "POST",
                                   .path = path,
                                   .body = bytes,
                                   .size = size,
                                   .content_type = "application/x-npy",
                                   .accept = "application/x-npy"};
    int rc = cli_send(cli, &request, &answer);
    if (!rc && !append(d, &answer, count))
        rc = cli_fail(CLI_FAILED, "the daemon did not answer with one number an event");
    if (!rc && !d->version && answer.version)
        options_read_count(answer.version, &d->version);
    rest_answer_fini(&answer);
    free(path);
    return rc;
}

static int ask_all(struct cli *cli, struct densities *d, struct rows *rows)
{
    char problem[512];
    unsigned char *bytes;
    size_t size, count = 1, row = rows_columns(rows) * sizeof(float), most = PIECE_BYTES / row;
    struct progress progress;
    int rc = CLI_OK;
    int64_t total = rows_left(rows);
    progress_init(&progress, "log-prob", cli->quiet);
    while (!rc && count && !timer_signal()) {
        if (!body_read(rows, most ? most : 1, SIZE_MAX, &bytes, &size, &count, problem)) {
            rc = cli_fail(CLI_FAILED, "%s", problem);
            break;
        }
        if (count)
            rc = ask_piece(cli, d, bytes, size, count);
        free(bytes);
        progress_update(&progress, total > 0 ? (double)d->count / (double)total : -1, NULL);
    }
    progress_clear(&progress);
    return rc;
}

/* One number a line; JSON has no infinities: null. */
static void write_numbers(FILE *stream, const struct densities *d, bool json)
{
    fputs(json ? "{\"items\": [" : "log_prob\n", stream);
    for (size_t i = 0; i < d->count; i++) {
        if (json && !isfinite(d->values[i]))
            fprintf(stream, "%snull", i ? ", " : "");
        else
            fprintf(stream, json ? "%s%.9g" : "%s%.9g\n", json && i ? ", " : "", d->values[i]);
    }
    fputs(json ? "]}\n" : "", stream);
}

static char *encode(const struct densities *d, enum save_format format, size_t *size)
{
    char *bytes = NULL;
    FILE *stream = open_memstream(&bytes, size);
    if (!stream)
        return NULL;
    if (format == SAVE_NPY) {
        unsigned char header[TWP_NPY_HEADER];
        twp_npy_header(1, d->count, 1, sizeof *d->values, header);
        fwrite(header, 1, sizeof header, stream);
        fwrite(d->values, sizeof *d->values, d->count, stream);
    } else {
        write_numbers(stream, d, format == SAVE_JSON);
    }
    bool failed = ferror(stream);
    if (fclose(stream) || failed) {
        free(bytes);
        bytes = NULL;
    }
    return bytes;
}

static int save_h5(const struct densities *d)
{
    char problem[512];
    struct file_out out;
    if (!file_create(&out, d->out, problem))
        return cli_fail(CLI_FAILED, "%s", problem);
    struct h5_out *h5 = h5_create(out.temporary, "log_prob", 1, sizeof *d->values, problem);
    bool fine = h5 && h5_append(h5, d->values, d->count, problem) && h5_describe(h5, "columns", "log_prob");
    if (!h5_finish(h5) && fine) {
        fine = false;
        snprintf(problem, sizeof problem, "%s: HDF5 could not write it", d->out);
    }
    if (!fine)
        file_abandon(&out);
    return fine && file_commit(&out, problem) ? CLI_OK : cli_fail(CLI_FAILED, "%s", problem);
}

static int save(const struct densities *d, enum save_format format)
{
    char problem[512];
    struct file_out out;
    if (format == SAVE_H5)
        return save_h5(d);
    size_t size;
    char *bytes = encode(d, format, &size);
    if (!bytes)
        return cli_fail(CLI_FAILED, "out of memory");
    int rc = CLI_FAILED;
    if (!file_create(&out, d->out ? d->out : "-", problem)) {
        cli_fail(rc, "%s", problem);
    } else if (!file_write(&out, bytes, size)) {
        cli_fail(rc, "%s: %s", d->out ? d->out : "standard output", strerror(errno));
        file_abandon(&out);
    } else {
        rc = file_commit(&out, problem) ? CLI_OK : cli_fail(rc, "%s", problem);
    }
    free(bytes);
    return rc;
}

static char *query_of(const struct rows *rows, const json_t *conditions)
{
    char *columns = body_columns(rows), *json = conditions ? json_dumps(conditions, JSON_COMPACT) : NULL,
         *escaped = json ? rest_escape(json) : NULL;
    char *query = cli_text("%s%s%s%s", columns, *columns && escaped ? "&" : "", escaped ? "conditions=" : "",
                           escaped ? escaped : "");
    free(columns);
    free(json);
    free(escaped);
    return query;
}

static int log_prob(struct cli *cli, const char *file, struct densities *d, enum save_format format,
                    const json_t *conditions)
{
    char problem[512];
    struct rows *rows = rows_open(file, d->columns, problem);
    int rc = CLI_FAILED;
    if (!rows || !rows_slice(rows, d->from, d->to, problem)) {
        cli_fail(rc, "%s", problem);
    } else if (cli->dry_run) {
        char *path = cli_text("/v1/twins/%s/log_prob", d->twin);
        rc = cli_rehearse_file(cli, path, d->out);
        free(path);
    } else {
        d->query = query_of(rows, conditions);
        rc = ask_all(cli, d, rows);
        if (!rc && !timer_signal())
            rc = save(d, format);
        if (!rc && !timer_signal() && d->count)
            cli_say(cli, "%zu %s under version %lld", d->count, output_noun((int64_t)d->count, "event", "events"),
                    (long long)d->version);
        else if (!rc && !timer_signal())
            cli_say(cli, "%s has no rows", file);
    }
    free(d->query);
    free(d->values);
    rows_close(rows);
    return rc;
}

int cmd_events_log_prob(struct cli *cli, int argc, char **argv)
{
    struct densities d = {.to = INT64_MAX};
    const struct options_entry entries[] = {
        {"version", 0, OPTIONS_TEXT, &d.named, "V", "version: its number or alias (champion)"},
        {"rows", 0, OPTIONS_TEXT, &d.rows, "A:B", "rows A up to, not including, B of the file"},
        {"columns", 0, OPTIONS_TEXT, &d.columns, "NAMES", "names of the columns, separated by commas"},
        {"condition", 'c', OPTIONS_LIST, &d.conditions, "NAME=VALUE", "a condition; may be repeated"},
        {"out", 0, OPTIONS_TEXT, &d.out, "FILE", ".npy, .csv, .h5 or .json; - for standard output"},
    };
    char **arg = NULL;
    int count, rc = cli_parse(cli, entries, sizeof entries / sizeof *entries, argc, argv, 2, 2, &arg, &count);
    if (rc != CLI_GO_ON)
        return rc;
    if (cli_check_name(cli, "twin", arg[0]))
        return CLI_USAGE;
    enum save_format format;
    if (!save_format_of(cli, d.out, &format))
        return CLI_USAGE;
    if (d.rows && !options_read_range(d.rows, &d.from, &d.to))
        return cli_usage(cli, "--rows takes A:B with A < B");
    d.twin = arg[0];
    rc = version_read(cli, arg[0], d.named, &d.version);
    if (rc)
        return rc;
    json_t *conditions = conditions_of(cli, &d.conditions, &rc);
    if (!rc)
        rc = log_prob(cli, arg[1], &d, format, conditions);
    json_decref(conditions);
    return rc;
}
