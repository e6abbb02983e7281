/* The table of operators and functions. One loop each: the rows of a block lie side by side. */
#include <math.h>
#include <string.h>

#include "hep/functions.h"
#include "hep/kinematics.h"

#define UNARY(name, expression)                                                                                        \
    static void name(double *const *x, int count, int n)                                                               \
    {                                                                                                                  \
        (void)count;                                                                                                   \
        for (int i = 0; i < n; i++) {                                                                                  \
            double a = x[0][i];                                                                                        \
            x[0][i] = expression;                                                                                      \
        }                                                                                                              \
    }

#define BINARY(name, expression)                                                                                       \
    static void name(double *const *x, int count, int n)                                                               \
    {                                                                                                                  \
        (void)count;                                                                                                   \
        for (int i = 0; i < n; i++) {                                                                                  \
            double a = x[0][i], b = x[1][i];                                                                           \
            x[0][i] = expression;                                                                                      \
        }                                                                                                              \
    }

/* For what C answers with a number although an operand is NaN: comparisons, pow(NaN, 0), hypot(inf, NaN). */
#define BOTH(value) (isnan(a) || isnan(b) ? NAN : (value))

BINARY(add, a + b)
BINARY(subtract, a - b)
BINARY(multiply, a *b)
BINARY(divide, a / b)
BINARY(power, BOTH(pow(a, b)))
UNARY(negative, -a)
UNARY(not, isnan(a) ? NAN : a == 0)
BINARY(less, BOTH(a < b))
BINARY(less_equal, BOTH(a <= b))
BINARY(greater, BOTH(a > b))
BINARY(greater_equal, BOTH(a >= b))
BINARY(equal, BOTH(a == b))
BINARY(not_equal, BOTH(a != b))
BINARY(and, BOTH(a != 0 && b != 0))
BINARY(or, BOTH(a != 0 || b != 0))

UNARY(absolute, fabs(a))
UNARY(root, sqrt(a))
UNARY(exponential, exp(a))
UNARY(logarithm, log(a))
UNARY(logarithm10, log10(a))
UNARY(sine, sin(a))
UNARY(cosine, cos(a))
UNARY(tangent, tan(a))
UNARY(hyperbolic_sine, sinh(a))
UNARY(hyperbolic_cosine, cosh(a))
UNARY(hyperbolic_tangent, tanh(a))
UNARY(inverse_sinh, asinh(a))
BINARY(angle, atan2(a, b))
BINARY(length, BOTH(hypot(a, b)))
UNARY(present, !isnan(a))

static void least(double *const *x, int count, int n)
{
    for (int k = 1; k < count; k++)
        for (int i = 0; i < n; i++)
            x[0][i] = isnan(x[0][i]) || isnan(x[k][i]) ? NAN : fmin(x[0][i], x[k][i]);
}

static void greatest(double *const *x, int count, int n)
{
    for (int k = 1; k < count; k++)
        for (int i = 0; i < n; i++)
            x[0][i] = isnan(x[0][i]) || isnan(x[k][i]) ? NAN : fmax(x[0][i], x[k][i]);
}

static void choose(double *const *x, int count, int n)
{
    (void)count;
    for (int i = 0; i < n; i++)
        x[0][i] = isnan(x[0][i]) ? NAN : x[0][i] != 0 ? x[1][i] : x[2][i];
}

static void scalar_sum(double *const *x, int count, int n)
{
    for (int i = 0; i < n; i++) {
        double sum = 0;
        for (int k = 0; k < count; k++)
            sum += isnan(x[k][i]) ? 0 : x[k][i];
        x[0][i] = sum;
    }
}

BINARY(delta_phi, tw_kinematics_delta_phi(a, b))

static void delta_r(double *const *x, int count, int n)
{
    (void)count;
    for (int i = 0; i < n; i++)
        x[0][i] = tw_kinematics_delta_r(x[0][i], x[1][i], x[2][i], x[3][i]);
}

static void transverse(double *const *x, int count, int n)
{
    (void)count;
    for (int i = 0; i < n; i++)
        x[0][i] = tw_kinematics_mt(x[0][i], x[1][i], x[2][i], x[3][i]);
}

static void of_system(double (*quantity)(const struct tw_particle *, int), double *const *x, int count, int n)
{
    struct tw_particle particles[TW_FUNCTIONS_ARGUMENTS_MAX / 4];
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < count; k += 4)
            particles[k / 4] = (struct tw_particle){x[k][i], x[k + 1][i], x[k + 2][i], x[k + 3][i]};
        x[0][i] = quantity(particles, count / 4);
    }
}

#define SYSTEM(name)                                                                                                   \
    static void name(double *const *x, int count, int n)                                                               \
    {                                                                                                                  \
        of_system(tw_kinematics_##name, x, count, n);                                                                  \
    }
SYSTEM(mass)
SYSTEM(pt)
SYSTEM(eta)
SYSTEM(rapidity)
SYSTEM(phi)

static const struct tw_function operators[] = {
    {"||", NULL, 2, 2, 1, or },        {"&&", NULL, 2, 2, 1, and},       {"<", NULL, 2, 2, 1, less},
    {"<=", NULL, 2, 2, 1, less_equal}, {">", NULL, 2, 2, 1, greater},    {">=", NULL, 2, 2, 1, greater_equal},
    {"==", NULL, 2, 2, 1, equal},      {"!=", NULL, 2, 2, 1, not_equal}, {"+", NULL, 2, 2, 1, add},
    {"-", NULL, 2, 2, 1, subtract},    {"*", NULL, 2, 2, 1, multiply},   {"/", NULL, 2, 2, 1, divide},
    {"^", NULL, 2, 2, 1, power},       {"neg", NULL, 1, 1, 1, negative}, {"!", NULL, 1, 1, 1, not },
};

#define MANY TW_FUNCTIONS_ARGUMENTS_MAX

static const struct tw_function functions[] = {
    {"abs", "abs(x)", 1, 1, 1, absolute},
    {"sqrt", "sqrt(x)", 1, 1, 1, root},
    {"exp", "exp(x)", 1, 1, 1, exponential},
    {"log", "log(x)", 1, 1, 1, logarithm},
    {"log10", "log10(x)", 1, 1, 1, logarithm10},
    {"sin", "sin(x)", 1, 1, 1, sine},
    {"cos", "cos(x)", 1, 1, 1, cosine},
    {"tan", "tan(x)", 1, 1, 1, tangent},
    {"sinh", "sinh(x)", 1, 1, 1, hyperbolic_sine},
    {"cosh", "cosh(x)", 1, 1, 1, hyperbolic_cosine},
    {"tanh", "tanh(x)", 1, 1, 1, hyperbolic_tangent},
    {"asinh", "asinh(x)", 1, 1, 1, inverse_sinh},
    {"atan2", "atan2(y, x)", 2, 2, 1, angle},
    {"hypot", "hypot(x, y)", 2, 2, 1, length},
    {"min", "min(x, y, ...)", 1, MANY, 1, least},
    {"max", "max(x, y, ...)", 1, MANY, 1, greatest},
    {"if", "if(condition, then, else)", 3, 3, 1, choose},
    {"where", "where(condition, then, else)", 3, 3, 1, choose},
    {"present", "present(x)", 1, 1, 1, present},
    {"mass", "mass(pt, eta, phi, m, ...)", 4, MANY, 4, mass},
    {"pt", "pt(pt, eta, phi, m, ...)", 4, MANY, 4, pt},
    {"eta", "eta(pt, eta, phi, m, ...)", 4, MANY, 4, eta},
    {"rapidity", "rapidity(pt, eta, phi, m, ...)", 4, MANY, 4, rapidity},
    {"phi", "phi(pt, eta, phi, m, ...)", 4, MANY, 4, phi},
    {"delta_phi", "delta_phi(a, b)", 2, 2, 1, delta_phi},
    {"delta_r", "delta_r(eta1, phi1, eta2, phi2)", 4, 4, 1, delta_r},
    {"ht", "ht(pt1, pt2, ...)", 1, MANY, 1, scalar_sum},
    {"mt", "mt(pt, phi, met, met_phi)", 4, 4, 1, transverse},
};

const struct tw_function *tw_functions_operator(const char *sign)
{
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++)
        if (!strcmp(operators[i].name, sign))
            return &operators[i];
    return NULL;
}

const struct tw_function *tw_functions_at(int i)
{
    return i >= 0 && (size_t)i < sizeof functions / sizeof *functions ? &functions[i] : NULL;
}

const struct tw_function *tw_functions_find(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strlen(functions[i].name) == length && !memcmp(functions[i].name, name, length))
            return &functions[i];
    return NULL;
}
