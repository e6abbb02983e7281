/* An iteration of the loop in one line. */
#include "client/iteration.h"

#include <string.h>

static const char *text_of(const json_t *entry, const char *member)
{
    const char *text = json_string_value(json_object_get(entry, member));
    return text ? text : "";
}

bool iteration_compared(const json_t *iteration)
{
    const json_t *entry;
    size_t i;
    json_array_foreach(json_object_get(iteration, "statistics"), i,
                       entry) if (!strcmp(text_of(entry, "verdict"), "drift")) return true;
    return false;
}

static void take(json_t *line, const char *name, const json_t *entry, const char *member)
{
    json_t *value = json_object_get(entry, member);
    if (value && !json_is_null(value))
        json_object_set(line, name, value);
}

/* Of a detector that has an entry for each column the one with the smallest p-value stands for all. */
static const struct by_column {
    const char *name, *p, *limit, *feature;
} by_column[] = {
    {"ks", "ks_p", "ks_limit", "ks_feature"},
    {"cusum", "cusum_p", "cusum_limit", "cusum_feature"},
};

static void take_least(json_t *line, const json_t *entry, const struct by_column *of)
{
    const json_t *p = json_object_get(entry, "p_value"), *least = json_object_get(line, of->p);
    if (!json_is_number(p) || (least && json_number_value(p) >= json_number_value(least)))
        return;
    json_object_del(line, of->feature); /* the log-likelihood's entry names none */
    take(line, of->p, entry, "p_value");
    take(line, of->limit, entry, "threshold");
    take(line, of->feature, entry, "feature");
}

json_t *iteration_line(const json_t *iteration)
{
    static const char *const same[] = {"iteration", "time", "version", "events", "drift", "decision"};
    json_t *line = json_object(), *entry;
    size_t i;
    for (i = 0; i < sizeof same / sizeof *same; i++)
        take(line, same[i], iteration, same[i]);
    json_array_foreach(json_object_get(iteration, "statistics"), i, entry)
    {
        const char *name = text_of(entry, "name");
        bool drift = !strcmp(text_of(entry, "verdict"), "drift"), c2st = !strcmp(name, "c2st");
        for (size_t k = 0; drift && k < sizeof by_column / sizeof *by_column; k++)
            if (!strcmp(name, by_column[k].name))
                take_least(line, entry, &by_column[k]);
        if (drift && c2st) {
            take(line, "auc", entry, "value");
            take(line, "auc_p", entry, "p_value");
            take(line, "auc_limit", entry, "threshold");
        } else if (drift && !strcmp(name, "invalid_rows")) {
            take(line, "invalid_p", entry, "p_value");
        } else if (!drift && c2st) {
            take(line, "fidelity", entry, "value");
            take(line, "floor", entry, "floor");
        }
    }
    return line;
}

/* Cells of fixed width. What matters most comes first: a narrow terminal cuts the rest. */
static const struct cell {
    const char *title, *path;
    enum output_kind kind;
    int width; /* negative: to the left */
} cells[] = {
    {"WINDOW", "iteration", OUTPUT_TEXT, 6},    {"TIME", "time", OUTPUT_CLOCK, -8},
    {"VERSION", "version", OUTPUT_TEXT, 7},     {"EVENTS", "events", OUTPUT_TEXT, 7},
    {"DRIFT", "drift", OUTPUT_TEXT, -5},        {"DECISION", "decision", OUTPUT_TEXT, -11},
    {"AUC", "auc", OUTPUT_NUMBER, 6},           {"P(AUC)", "auc_p", OUTPUT_NUMBER, 10},
    {"LIMIT", "auc_limit", OUTPUT_NUMBER, 9},   {"P(KS)", "ks_p", OUTPUT_NUMBER, 10},
    {"LIMIT", "ks_limit", OUTPUT_NUMBER, 9},    {"OF", "ks_feature", OUTPUT_TEXT, -12},
    {"P(CUSUM)", "cusum_p", OUTPUT_NUMBER, 10}, {"LIMIT", "cusum_limit", OUTPUT_NUMBER, 9},
    {"OF", "cusum_feature", OUTPUT_TEXT, -12},  {"P(INVALID)", "invalid_p", OUTPUT_NUMBER, 10},
    {"FIDELITY", "fidelity", OUTPUT_NUMBER, 8}, {"FLOOR", "floor", OUTPUT_NUMBER, 6},
};
enum { CELLS = sizeof cells / sizeof *cells };

static enum output_colour colour_of(const json_t *line)
{
    const char *decision = text_of(line, "decision");
    if (!strcmp(decision, "promoted") || !strcmp(decision, "recalled") || !strcmp(decision, "trained"))
        return OUTPUT_GOOD;
    return json_is_true(json_object_get(line, "drift")) ? OUTPUT_BAD : OUTPUT_PLAIN;
}

void iteration_heading(FILE *stream, enum output_format format)
{
    bool bold = format == OUTPUT_TABLE && output_colours(stream);
    fputs(bold ? "\033[1m" : "", stream);
    for (int i = 0; i < CELLS && format != OUTPUT_JSON; i++) {
        if (format == OUTPUT_CSV)
            fprintf(stream, "%s%s", i ? "," : "", cells[i].path);
        else
            fprintf(stream, "%s%*s", i ? "  " : "", cells[i].width, cells[i].title);
    }
    fputs(bold ? OUTPUT_END : "", stream);
    if (format != OUTPUT_JSON)
        fputc('\n', stream);
}

void iteration_print(FILE *stream, enum output_format format, const json_t *line)
{
    if (format == OUTPUT_TABLE) {
        const char *paint = output_colours(stream) ? output_paint(colour_of(line)) : "";
        char text[128];
        fputs(paint, stream);
        for (int i = 0; i < CELLS; i++)
            fprintf(stream, "%s%*s", i ? "  " : "", cells[i].width,
                    output_cell(line, cells[i].path, cells[i].kind, text, sizeof text));
        fprintf(stream, "%s\n", *paint ? OUTPUT_END : "");
    } else if (format == OUTPUT_CSV) {
        struct output_column columns[CELLS];
        for (int i = 0; i < CELLS; i++)
            columns[i] = (struct output_column){cells[i].title, cells[i].path, cells[i].kind, NULL};
        json_t *items = json_pack("[O]", line);
        output_items(stream, OUTPUT_CSV, items, columns, CELLS, false);
        json_decref(items);
    } else {
        json_dumpf(line, stream, JSON_COMPACT | JSON_REAL_PRECISION(16));
        fputc('\n', stream);
    }
    fflush(stream);
}
