/* What the files of the ONNX export share: arithmetic on values of a graph, and the parts that they make of a flow. */
#ifndef TW_MODEL_ONNX_PARTS_H
#define TW_MODEL_ONNX_PARTS_H

#include "model/flow_config.h"
#include "model/kind.h"
#include "model/onnx_graph.h"

/* Operands are values of a graph; those that end in _n have a number as second operand. */
#define TW_ONNX_BINARY(name, operator)                                                                                 \
    static inline int tw_onnx_##name(struct tw_onnx_graph *g, int a, int b)                                            \
    {                                                                                                                  \
        return tw_onnx_graph_op(g, operator, a, b, -1);                                                                \
    }                                                                                                                  \
    static inline int tw_onnx_##name##_n(struct tw_onnx_graph *g, int a, double b)                                     \
    {                                                                                                                  \
        return tw_onnx_graph_op_number(g, operator, a, b);                                                             \
    }
#define TW_ONNX_UNARY(name, operator)                                                                                  \
    static inline int tw_onnx_##name(struct tw_onnx_graph *g, int a)                                                   \
    {                                                                                                                  \
        return tw_onnx_graph_op(g, operator, a, -1, -1);                                                               \
    }

TW_ONNX_BINARY(add, "Add")
TW_ONNX_BINARY(sub, "Sub")
TW_ONNX_BINARY(mul, "Mul")
TW_ONNX_BINARY(div, "Div")
TW_ONNX_BINARY(min, "Min")
TW_ONNX_BINARY(max, "Max")
TW_ONNX_BINARY(less, "Less")
TW_ONNX_BINARY(greater, "Greater")
TW_ONNX_BINARY(least, "GreaterOrEqual") /* a >= b */
TW_ONNX_BINARY(most, "LessOrEqual")     /* a <= b */
TW_ONNX_BINARY(equal, "Equal")
TW_ONNX_UNARY(neg, "Neg")
TW_ONNX_UNARY(abs, "Abs")
TW_ONNX_UNARY(exp, "Exp")
TW_ONNX_UNARY(log, "Log")
TW_ONNX_UNARY(sqrt, "Sqrt")
TW_ONNX_UNARY(floor, "Floor")
TW_ONNX_UNARY(sin, "Sin")
TW_ONNX_UNARY(cos, "Cos")
TW_ONNX_UNARY(is_nan, "IsNaN")

static inline int tw_onnx_and(struct tw_onnx_graph *g, int a, int b)
{
    return tw_onnx_graph_op(g, "And", a, b, -1);
}

static inline int tw_onnx_where(struct tw_onnx_graph *g, int condition, int a, int b)
{
    return tw_onnx_graph_op(g, "Where", condition, a, b);
}

static inline int tw_onnx_where_n(struct tw_onnx_graph *g, int condition, int a, double b)
{
    return tw_onnx_where(g, condition, a, tw_onnx_graph_number(g, tw_onnx_graph_type(g, a), b));
}

/* An angle brought into [-bound, bound). */
static inline int tw_onnx_wrap(struct tw_onnx_graph *g, int a, double bound)
{
    int turns = tw_onnx_floor(g, tw_onnx_div_n(g, tw_onnx_add_n(g, a, bound), 2 * bound));

    return tw_onnx_sub(g, a, tw_onnx_mul_n(g, turns, 2 * bound));
}

/* --- onnx_flow.c --- */

/* Events in a flow's coordinates. All are values of a graph, (N, 1) each. */
struct tw_onnx_rows {
    int *row;     /* (coordinates) float32 */
    int *absent;  /* (coordinates) boolean, -1: never absent */
    int context;  /* what networks are told beside them: code of the class and conditions, float32; -1: nothing */
    int jacobian; /* double, of the map from features */
    int inside;   /* boolean: the event is in the domain */
};

/* conditions (N, C), float32: standardised, as networks see them. */
int tw_onnx_network(struct tw_onnx_graph *g, const struct tw_mlp *mlp, const struct tw_params *params, int in);
/* Takes the rows through the blocks, data -> base or back; returns the log-determinant of the way there, float32. */
int tw_onnx_blocks(struct tw_onnx_graph *g, const struct tw_kind_state *state, bool inverse, struct tw_onnx_rows *rows);
/* Log density of the base, float32. */
int tw_onnx_base(struct tw_onnx_graph *g, const struct tw_kind_state *state, const struct tw_onnx_rows *rows);

/* --- onnx_classes.c; levels (N, J) float32 --- */

int tw_onnx_classes_levels(struct tw_onnx_graph *g, const struct tw_kind_state *state, const int *features);
/* Fills in which rows are absent, and the context: the code, then the conditions (-1: none). */
void tw_onnx_classes_tell(struct tw_onnx_graph *g, const struct tw_kind_state *state, int levels, int conditions,
                          struct tw_onnx_rows *rows);
/* log p(class), float32. */
int tw_onnx_classes_log_prob(struct tw_onnx_graph *g, const struct tw_kind_state *state, int levels, int conditions);
/* Levels drawn by a uniform number (N, 1), float32. */
int tw_onnx_classes_draw(struct tw_onnx_graph *g, const struct tw_kind_state *state, int uniform, int conditions);

/* --- onnx_events.c; features are doubles (N, 1), NaN where absent --- */

void tw_onnx_events_enter(struct tw_onnx_graph *g, const struct tw_kind_state *state, const int *features,
                          struct tw_onnx_rows *rows);
/* Features of the rows, float32; levels -1: no classes. */
void tw_onnx_events_leave(struct tw_onnx_graph *g, const struct tw_kind_state *state, const struct tw_onnx_rows *rows,
                          int levels, int *features);

/* --- onnx_coordinates.c --- */

/* Of coordinate k: values y, doubles, the log of the Jacobian, and whether the event is in its domain. */
void tw_onnx_coordinates_forward(struct tw_onnx_graph *g, const struct tw_coordinates *coordinates, int k,
                                 const struct tw_params *statistics, double bound, const int *features, int *y,
                                 int *jacobian, int *inside);
/* Sets the features that it replaces, float32 values as doubles. */
void tw_onnx_coordinates_inverse(struct tw_onnx_graph *g, const struct tw_coordinates *coordinates, int k,
                                 const struct tw_params *statistics, double bound, const int *y, int *features);

#endif
