/* A graph of the Open Neural Network Exchange format, written node by node.
 *
 * A value is a small number; every operation appends one node and returns the value that it makes, so that arithmetic
 * reads like C. What no output needs is left out of the file. Values are float32 or double tensors whose first axis is
 * events, or booleans; both operands of an operation have one type and broadcast as NumPy's. Memory that runs out is
 * remembered, and _finish says so.
 *
 * Format: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto3, protocol buffers of which the few messages that are
 * needed are written here. Operators are those of version 17 of the standard set.
 */
#ifndef TW_MODEL_ONNX_GRAPH_H
#define TW_MODEL_ONNX_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/real.h"

enum tw_onnx_type { TW_ONNX_FLOAT = 1, TW_ONNX_INT64 = 7, TW_ONNX_BOOL = 9, TW_ONNX_DOUBLE = 11 };

struct tw_onnx_bytes {
    unsigned char *data;
    size_t size, capacity;
};

struct tw_onnx_value {
    enum tw_onnx_type type;
    bool constant, used;
    size_t begin, end; /* of what makes it, in `nodes` or, if it is a constant, in `initializers` */
    int first, count;  /* of `operands` */
};

struct tw_onnx_graph {
    struct tw_onnx_bytes nodes, initializers, inputs, outputs, ends; /* fields of the graph; ends: nodes of outputs */
    struct tw_onnx_value *list;                                      /* (values) */
    int values, capacity;
    int *operands, operands_count, operands_capacity;
    bool failed; /* memory is out */
};

void tw_onnx_graph_init(struct tw_onnx_graph *graph);
void tw_onnx_graph_fini(struct tw_onnx_graph *graph); /* accepts a zeroed one */

/* An input (N, columns), and an output (N, columns), or (N) if columns is 0. */
int tw_onnx_graph_input(struct tw_onnx_graph *graph, const char *name, enum tw_onnx_type type, int columns);
void tw_onnx_graph_output(struct tw_onnx_graph *graph, const char *name, int value, int columns);

enum tw_onnx_type tw_onnx_graph_type(const struct tw_onnx_graph *graph, int value);

/* --- constants --- */

int tw_onnx_graph_number(struct tw_onnx_graph *graph, enum tw_onnx_type type, double number);
/* (rows, cols), or (cols) if rows is 0. */
int tw_onnx_graph_matrix(struct tw_onnx_graph *graph, int rows, int cols, const float *values);
int tw_onnx_graph_ints(struct tw_onnx_graph *graph, int count, const int64_t *values);

/* --- operations --- */

/* One with up to three operands, -1: not given, and no attributes. Its type is that of the first, or boolean for
 * comparisons; `Where` has that of the second. */
int tw_onnx_graph_op(struct tw_onnx_graph *graph, const char *name, int a, int b, int c);
/* The same with a number of a's type as second operand. */
int tw_onnx_graph_op_number(struct tw_onnx_graph *graph, const char *name, int a, double b);

int tw_onnx_graph_cast(struct tw_onnx_graph *graph, int a, enum tw_onnx_type type);
/* Along the last axis. */
int tw_onnx_graph_softmax(struct tw_onnx_graph *graph, int a);
int tw_onnx_graph_cumulative(struct tw_onnx_graph *graph, int a);
int tw_onnx_graph_sum(struct tw_onnx_graph *graph, int a, bool keep); /* keep: the axis, with one element */
int tw_onnx_graph_concat(struct tw_onnx_graph *graph, int count, const int *values);
int tw_onnx_graph_slice(struct tw_onnx_graph *graph, int a, int first, int end);
int tw_onnx_graph_columns(struct tw_onnx_graph *graph, int a, int count, const int64_t *columns);
/* a[..., index[..., j]], of equal shape but for the last axis. */
int tw_onnx_graph_pick(struct tw_onnx_graph *graph, int a, int index);
/* Rows of a constant, by an index (N, 1): (N, columns). */
int tw_onnx_graph_rows(struct tw_onnx_graph *graph, int a, int index, int columns);
/* (N, ...) -> (N, b) or (N, b, c) if c > 0. */
int tw_onnx_graph_reshape(struct tw_onnx_graph *graph, int a, int b, int c);
/* act(a weight^T + bias): a (N, in), weight (out, in), bias (out). */
int tw_onnx_graph_dense(struct tw_onnx_graph *graph, int a, int weight, int bias);

/* --- the file --- */

/* Texts that go with it, name and value in turn, ending with NULL. bytes is allocated with malloc. False: no memory. */
bool tw_onnx_graph_finish(struct tw_onnx_graph *graph, const char *name, const char *version, const char *const *texts,
                          unsigned char **bytes, size_t *size);

#endif
