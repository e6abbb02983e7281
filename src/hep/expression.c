/* Recursive descent in one pass: each operand and each operator is appended to the program as it is read, operands
 * first. The first refusal stays; what is read after it does nothing.
 */
#include <ctype.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/size.h"
#include "hep/expression.h"
#include "hep/functions.h"
#include "hep/nearest.h"

#define BLOCK 256 /* rows of a block: the stack of a usual expression stays in the cache */

/* One step: a call (function), a column (function NULL, column >= 0) or a number. */
struct step {
    const struct tw_function *function;
    int column, arguments;
    double number;
};

struct tw_expression {
    int steps, stack; /* stack: the most operands that wait at once */
    struct step step[];
};

/* --- reading --- */

struct parser {
    const char *text, *at;
    const char *const *names;
    int names_count;
    struct tw_expression *out; /* room for TW_EXPRESSION_STEPS_MAX steps */
    int waiting, depth;
    bool failed;
    struct tw_error *error;
};

__attribute__((format(printf, 3, 4))) static void refuse(struct parser *p, const char *where, const char *format, ...)
{
    char sentence[200];
    va_list arguments;

    if (p->failed)
        return;
    p->failed = true;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof sentence, format, arguments);
    va_end(arguments);
    tw_error_set(p->error, TW_INVALID, "character %d: %s", (int)(where - p->text) + 1, sentence);
}

/* "expected X, found Y" at the next character. */
static void expected(struct parser *p, const char *what)
{
    if (*p->at == 0)
        refuse(p, p->at, "expected %s, found the end", what);
    else if (isprint((unsigned char)*p->at) && (unsigned char)*p->at < 0x80)
        refuse(p, p->at, "expected %s, found '%c'", what, *p->at);
    else
        refuse(p, p->at, "expected %s, found byte 0x%02x", what, (unsigned char)*p->at);
}

static void skip_space(struct parser *p)
{
    while (*p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r')
        p->at++;
}

/* Takes `sign` if it comes next. */
static bool take(struct parser *p, const char *sign)
{
    size_t length = strlen(sign);

    skip_space(p);
    if (p->failed || strncmp(p->at, sign, length) != 0)
        return false;
    p->at += length;
    return true;
}

static void append(struct parser *p, const char *where, struct step step)
{
    if (p->failed)
        return;
    if (p->out->steps == TW_EXPRESSION_STEPS_MAX) {
        refuse(p, where, "the expression has more than %d operands and operators", TW_EXPRESSION_STEPS_MAX);
        return;
    }
    p->out->step[p->out->steps++] = step;
    p->waiting += step.function ? 1 - step.arguments : 1;
    if (p->waiting > p->out->stack)
        p->out->stack = p->waiting;
    if (p->waiting > TW_EXPRESSION_STACK_MAX)
        refuse(p, where, "more than %d operands wait at once", TW_EXPRESSION_STACK_MAX);
}

static void append_operator(struct parser *p, const char *where, const char *sign)
{
    const struct tw_function *function = tw_functions_operator(sign);

    append(p, where, (struct step){.function = function, .arguments = function->least});
}

static bool enter(struct parser *p)
{
    if (p->depth == TW_EXPRESSION_DEPTH_MAX)
        refuse(p, p->at, "nested more than %d deep", TW_EXPRESSION_DEPTH_MAX);
    else
        p->depth++;
    return !p->failed;
}

static void read_expression(struct parser *p);

static bool name_begins(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t name_length(const char *at)
{
    size_t length = 0;

    while (name_begins(at[length]) || digit(at[length]))
        length++;
    return length;
}

/* Digits, point, exponent, and no other form of what strtod takes. */
static void read_number(struct parser *p)
{
    const char *begin = p->at, *end = begin;
    char copy[64], *rest;

    while (digit(*end))
        end++;
    if (*end == '.')
        for (end++; digit(*end);)
            end++;
    if (end == begin + 1 && *begin == '.') {
        expected(p, "a number, a name or '('");
        return;
    }
    const char *exponent = end;
    if (*exponent == 'e' || *exponent == 'E') {
        exponent += exponent[1] == '-' || exponent[1] == '+' ? 2 : 1;
        if (digit(*exponent))
            for (end = exponent; digit(*end);)
                end++;
    }
    size_t length = (size_t)(end - begin);
    if (length >= sizeof copy) {
        refuse(p, begin, "a number has at most %zu characters", sizeof copy - 1);
        return;
    }
    memcpy(copy, begin, length);
    copy[length] = 0;
    double number = strtod(copy, &rest);
    if (*rest || !isfinite(number))
        refuse(p, begin, "the number %s is out of range", copy);
    p->at = end;
    append(p, begin, (struct step){.column = -1, .number = number});
}

/* The nearest of the names that could stand here; NULL where none is near. */
static const char *nearest(const struct parser *p, const char *word, size_t length, bool call)
{
    const char *best = NULL;
    int least = tw_nearest_limit(length) + 1;
    const struct tw_function *function;

    for (int i = 0; !call && i < p->names_count; i++) {
        int distance = tw_nearest_distance(word, length, p->names[i]);
        if (distance < least) {
            least = distance;
            best = p->names[i];
        }
    }
    for (int i = 0; call && (function = tw_functions_at(i)); i++) {
        int distance = tw_nearest_distance(word, length, function->name);
        if (distance < least) {
            least = distance;
            best = function->name;
        }
    }
    return best;
}

static void refuse_name(struct parser *p, const char *word, size_t length, bool call)
{
    const char *guess = nearest(p, word, length, call);

    if (guess)
        refuse(p, word, "there is no %s \"%.*s\"; did you mean \"%s\"?", call ? "function" : "column",
               length < 40 ? (int)length : 40, word, guess);
    else
        refuse(p, word, "there is no %s \"%.*s\"", call ? "function" : "column", length < 40 ? (int)length : 40, word);
}

static void read_column(struct parser *p, const char *word, size_t length)
{
    for (int i = 0; i < p->names_count; i++)
        if (strlen(p->names[i]) == length && !memcmp(p->names[i], word, length)) {
            append(p, word, (struct step){.column = i});
            return;
        }
    if (length == 2 && !memcmp(word, "pi", 2))
        append(p, word, (struct step){.column = -1, .number = M_PI});
    else
        refuse_name(p, word, length, false);
}

static void read_call(struct parser *p, const char *word, size_t length)
{
    const struct tw_function *function = tw_functions_find(word, length);
    int arguments = 0;

    if (!function) {
        refuse_name(p, word, length, true);
        return;
    }
    do {
        read_expression(p);
        arguments++;
    } while (take(p, ","));
    if (!take(p, ")"))
        expected(p, "',' or ')'");
    if (arguments < function->least || arguments > function->most || arguments % function->step)
        refuse(p, word, "%s does not take %d argument%s", function->usage, arguments, arguments == 1 ? "" : "s");
    append(p, word, (struct step){.function = function, .arguments = arguments});
}

static void read_primary(struct parser *p)
{
    skip_space(p);
    if (p->failed)
        return;
    const char *word = p->at;
    if (digit(*word) || *word == '.') {
        read_number(p);
    } else if (name_begins(*word)) {
        size_t length = name_length(word);
        p->at += length;
        if (take(p, "("))
            read_call(p, word, length);
        else
            read_column(p, word, length);
    } else if (take(p, "(")) {
        read_expression(p);
        if (!take(p, ")"))
            expected(p, "')'");
    } else {
        expected(p, "a number, a name or '('");
    }
}

static void read_unary(struct parser *p);

static void read_power(struct parser *p)
{
    read_primary(p);
    if (take(p, "^")) {
        const char *where = p->at - 1;
        read_unary(p);
        append_operator(p, where, "^");
    }
}

static void read_unary(struct parser *p)
{
    if (!enter(p))
        return;
    if (take(p, "-")) {
        const char *where = p->at - 1;
        read_unary(p);
        append_operator(p, where, "neg");
    } else if (take(p, "+")) {
        read_unary(p);
    } else if (take(p, "!")) {
        const char *where = p->at - 1;
        read_unary(p);
        append_operator(p, where, "!");
    } else {
        read_power(p);
    }
    p->depth--;
}

/* operand (sign operand)*, from the left. */
static void read_chain(struct parser *p, void (*operand)(struct parser *), const char *const *signs)
{
    operand(p);
    for (int i = 0; signs[i] && !p->failed; i++)
        if (take(p, signs[i])) {
            const char *where = p->at - strlen(signs[i]);
            operand(p);
            append_operator(p, where, signs[i]);
            i = -1; /* any of them may follow */
        }
}

static void read_product(struct parser *p)
{
    read_chain(p, read_unary, (const char *const[]){"*", "/", NULL});
}

static void read_sum(struct parser *p)
{
    read_chain(p, read_product, (const char *const[]){"+", "-", NULL});
}

static void read_compare(struct parser *p)
{
    static const char *const signs[] = {"<=", ">=", "==", "!=", "<", ">"};

    read_sum(p);
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
        if (take(p, signs[i])) {
            const char *where = p->at - strlen(signs[i]);
            read_sum(p);
            append_operator(p, where, signs[i]);
            return;
        }
}

static void read_and(struct parser *p)
{
    read_chain(p, read_compare, (const char *const[]){"&&", NULL});
}

static void read_expression(struct parser *p)
{
    if (!enter(p))
        return;
    read_chain(p, read_and, (const char *const[]){"||", NULL});
    p->depth--;
}

int tw_expression_parse(const char *text, const char *const *names, int count, struct tw_expression **out,
                        struct tw_error *error)
{
    struct tw_expression *expression =
        calloc(1, sizeof *expression + TW_EXPRESSION_STEPS_MAX * sizeof *expression->step);
    struct parser parser = {
        .text = text, .at = text, .names = names, .names_count = count, .out = expression, .error = error};

    *out = NULL;
    if (!expression)
        return TW_NO_MEMORY;
    if (strlen(text) > TW_EXPRESSION_TEXT_MAX)
        refuse(&parser, text + TW_EXPRESSION_TEXT_MAX, "an expression has at most %d characters",
               TW_EXPRESSION_TEXT_MAX);
    read_expression(&parser);
    skip_space(&parser);
    if (*parser.at)
        expected(&parser, "an operator or the end");
    if (parser.failed) {
        free(expression);
        return TW_INVALID;
    }
    struct tw_expression *fitting =
        realloc(expression, sizeof *expression + (size_t)expression->steps * sizeof *expression->step);
    *out = fitting ? fitting : expression;
    return TW_OK;
}

void tw_expression_free(struct tw_expression *expression)
{
    free(expression);
}

bool tw_expression_uses(const struct tw_expression *expression, int column)
{
    for (int i = 0; i < expression->steps; i++)
        if (!expression->step[i].function && expression->step[i].column == column)
            return true;
    return false;
}

/* --- evaluation --- */

/* Rows [first, first + n) into x[0]; x are columns of at least n values, as many as the stack is high. */
static void run_block(const struct tw_expression *expression, const struct tw_expression_column *columns, size_t first,
                      int n, double *const *x)
{
    int top = 0;

    for (int s = 0; s < expression->steps; s++) {
        const struct step *step = &expression->step[s];

        if (step->function) {
            top -= step->arguments;
            step->function->apply(x + top, step->arguments, n);
        } else if (step->column >= 0) {
            const struct tw_expression_column *column = &columns[step->column];
            const float *from = column->values + first * column->stride;
            for (int i = 0; i < n; i++)
                x[top][i] = from[(size_t)i * column->stride];
        } else {
            for (int i = 0; i < n; i++)
                x[top][i] = step->number;
        }
        top++;
    }
}

int tw_expression_eval(const struct tw_expression *expression, const struct tw_expression_column *columns, size_t rows,
                       float *out, size_t stride)
{
    size_t block = rows < BLOCK ? rows : BLOCK;
    double *values = tw_size_alloc((size_t)expression->stack * (block + 1), sizeof *values);
    double *x[TW_EXPRESSION_STACK_MAX];

    if (!values)
        return TW_NO_MEMORY;
    for (int k = 0; k < expression->stack; k++)
        x[k] = values + (size_t)k * block;
    for (size_t first = 0; first < rows; first += BLOCK) {
        int n = rows - first < BLOCK ? (int)(rows - first) : BLOCK;

        run_block(expression, columns, first, n, x);
        for (int i = 0; i < n; i++) {
            float value = (float)x[0][i];
            out[(first + (size_t)i) * stride] = isfinite(value) ? value : NAN;
        }
    }
    free(values);
    return TW_OK;
}
