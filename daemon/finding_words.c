#include "daemon/finding_words.h"

#include <math.h>
#include <stdio.h>

#include "daemon/number.h"

/* How many standard errors a region must have to be told in words. */
#define TELL 4.0

static const char *change_name(enum tw_component component)
{
    switch (component) {
    case TW_COMPONENT_LOCATION:
    case TW_COMPONENT_PEAK:
        return "location";
    case TW_COMPONENT_SCALE:
    case TW_COMPONENT_PEAK_WIDTH:
        return "width";
    case TW_COMPONENT_SKEW:
    case TW_COMPONENT_TAILS:
    case TW_COMPONENT_NOTCH:
        return "shape";
    case TW_COMPONENT_ABSENT:
        return "absent";
    case TW_COMPONENT_COS:
    case TW_COMPONENT_SIN:
    case TW_COMPONENT_COS2:
    case TW_COMPONENT_SIN2:
    case TW_COMPONENT_COS3:
    case TW_COMPONENT_SIN3:
        return "angle";
    }
    return "shape";
}

/* NULL where a sign says nothing. */
static const char *direction_name(enum tw_component component, bool positive)
{
    switch (component) {
    case TW_COMPONENT_LOCATION:
    case TW_COMPONENT_PEAK:
        return positive ? "up" : "down";
    case TW_COMPONENT_SCALE:
    case TW_COMPONENT_PEAK_WIDTH:
        return positive ? "wider" : "narrower";
    case TW_COMPONENT_ABSENT:
        return positive ? "more" : "fewer";
    case TW_COMPONENT_SKEW:
    case TW_COMPONENT_TAILS:
    case TW_COMPONENT_COS:
    case TW_COMPONENT_SIN:
    case TW_COMPONENT_COS2:
    case TW_COMPONENT_SIN2:
    case TW_COMPONENT_COS3:
    case TW_COMPONENT_SIN3:
    case TW_COMPONENT_NOTCH:
        return NULL;
    }
    return NULL;
}

/* Ends of a run of bins; NaN: open. */
static double low_end(const struct tw_column *column, const struct tw_sketch_grid *grid, int index, int first)
{
    if (first > 0)
        return (double)grid->edges[index * TW_SKETCH_BINS + first - 1];
    return column && column->has_min ? column->min : NAN;
}

static double high_end(const struct tw_column *column, const struct tw_sketch_grid *grid, int index, int last)
{
    if (last < grid->count[index])
        return (double)grid->edges[index * TW_SKETCH_BINS + last];
    return column && column->has_max ? column->max : NAN;
}

static json_t *region_json(const struct tw_column *column, const struct tw_sketch_grid *grid, int index,
                           const struct tw_excess *e)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "from", number_json(low_end(column, grid, index, e->first)),
                     "to", number_json(high_end(column, grid, index, e->last)), "observed", number_json(e->observed),
                     "expected", number_json(e->expected), "ratio", number_json(e->ratio), "error",
                     number_json(e->error), "significance", number_json(e->significance));
}

/* "12 ± 3": both to the decimal of the error's first digit, as physicists write it, and never with an exponent where
 * digits do (a shift of 100 % is not 1e+02 %). */
static void measured(double value, double error, char *out, size_t size)
{
    bool plain = error > 1e-6 && value < 1e6 && error < 1e6;
    int decimals = plain ? (int)fmax(0, -floor(log10(error))) : 0;
    if (plain && error * pow(10, decimals) >= 9.5 && decimals > 0) /* which rounds to 10 */
        decimals--;
    if (plain)
        snprintf(out, size, "%.*f \u00b1 %.*f", decimals, value, decimals, error);
    else
        snprintf(out, size, "%.3g \u00b1 %.1g", value, error);
}

/* "12 ± 3 % more events between 40 and 52 GeV" */
static void region_words(const struct tw_column *column, const struct tw_sketch_grid *grid, int index,
                         const struct tw_excess *e, char *out, size_t size)
{
    double low = low_end(column, grid, index, e->first), high = high_end(column, grid, index, e->last);
    const char *unit = column ? column->unit : "", *space = unit[0] ? " " : "";
    char where[120];
    if (isfinite(low) && isfinite(high))
        snprintf(where, sizeof(where), "between %.4g and %.4g%s%s", low, high, space, unit);
    else if (isfinite(high))
        snprintf(where, sizeof(where), "below %.4g%s%s", high, space, unit);
    else if (isfinite(low))
        snprintf(where, sizeof(where), "above %.4g%s%s", low, space, unit);
    else
        snprintf(where, sizeof(where), "everywhere");
    const char *more = e->observed > e->expected ? "more" : "fewer";
    if (isfinite(e->ratio)) {
        char percent[64];
        measured(100 * fabs(e->ratio), 100 * e->error, percent, sizeof(percent));
        snprintf(out, size, "%s %% %s events %s", percent, more, where);
    } else
        snprintf(out, size, "events %s, where there were none", where);
}

static void append(char *out, size_t size, const char *text)
{
    size_t length = 0;
    while (length < size && out[length])
        length++;
    snprintf(out + length, size - length, "%s", text);
}

static void change_words(const struct tw_column *column, const struct tw_contrast *c, char *out, size_t size)
{
    const char *name = column ? column->name : "the log-likelihood", *unit = column ? column->unit : "";
    const char *direction = direction_name(c->component, c->value > 0);
    char percent[64];
    measured(100 * fabs(c->size), 100 * c->size_error, percent, sizeof(percent));
    if (direction && fabs(c->size) <= c->size_error) /* a constant that is another one now: no spread to measure by */
        snprintf(out, size, "%s has changed", name);
    else if (c->component == TW_COMPONENT_LOCATION) {
        snprintf(out, size, "%s is shifted %s by %s %% of its spread", name, direction, percent);
        if (isfinite(c->spread) && column) {
            char amount[64], units[120];
            measured(fabs(c->size) * c->spread, c->size_error * c->spread, amount, sizeof(amount));
            snprintf(units, sizeof(units), " (%s%s%s)", amount, unit[0] ? " " : "", unit);
            append(out, size, units);
        }
    } else if (c->component == TW_COMPONENT_SCALE) {
        snprintf(out, size, "%s is %s by %s %%", name, direction, percent);
    } else if (c->component == TW_COMPONENT_ABSENT) {
        snprintf(out, size, "%s is absent in %s events, by %s %% of all", name, direction, percent);
    } else {
        snprintf(out, size, "%s has changed its shape", name);
    }
}

json_t *finding_words_json(const struct tw_column *column, const struct tw_sketch_grid *grid, int index,
                           const struct tw_contrast *contrast, const struct tw_excess excess[2], double p_value)
{
    const char *direction = direction_name(contrast->component, contrast->value > 0);
    bool sized = isfinite(contrast->size);
    char words[600], region[200];
    change_words(column, contrast, words, sizeof(words));
    if (!column)
        append(words, sizeof(words), contrast->value < 0 ? ": events are less like the twin's" : "");
    json_t *regions = json_array();
    for (int i = 0; i < 2; i++)
        if (excess[i].significance > 0)
            json_array_append_new(regions, region_json(column, grid, index, &excess[i]));
    const struct tw_excess *most = excess[1].significance > excess[0].significance ? &excess[1] : &excess[0];
    if (column && most->significance >= TELL) {
        region_words(column, grid, index, most, region, sizeof(region));
        append(words, sizeof(words), sized ? "; " : ": ");
        append(words, sizeof(words), region);
    }
    json_t *in_units = json_null();
    if (contrast->component == TW_COMPONENT_LOCATION && isfinite(contrast->spread) && column)
        in_units = json_pack("{s:f, s:f, s:s}", "value", contrast->size * contrast->spread, "error",
                             contrast->size_error * contrast->spread, "unit", column->unit);
    return json_pack("{s:s?, s:s, s:s?, s:o, s:o, s:o, s:o, s:o, s:o, s:s}", "feature", column ? column->name : NULL,
                     "change", change_name(contrast->component), "direction", direction, "size",
                     number_json(sized ? contrast->size : contrast->value), "error",
                     number_json(sized ? contrast->size_error : contrast->error), "in_units", in_units, "significance",
                     number_json(fabs(contrast->value) / contrast->error), "p_value", number_json(p_value), "regions",
                     regions, "words", words);
}
