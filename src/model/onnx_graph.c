#include "model/onnx_graph.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IR_VERSION 8 /* of the format, the oldest that goes with these operators */
#define OPERATORS  17
#define AXIS_LAST  (-1)

/* --- protocol buffers: fields of a message, each a tag (number << 3 | form) and a value --- */

static void put(struct tw_onnx_graph *graph, struct tw_onnx_bytes *out, const void *data, size_t size)
{
    if (graph->failed || size == 0)
        return;
    if (out->capacity - out->size < size) {
        size_t capacity = 2 * out->capacity + size + 256;
        unsigned char *grown = capacity > size ? realloc(out->data, capacity) : NULL;

        if (!grown) {
            graph->failed = true;
            return;
        }
        out->data = grown;
        out->capacity = capacity;
    }
    memcpy(out->data + out->size, data, size);
    out->size += size;
}

static void put_varint(struct tw_onnx_graph *graph, struct tw_onnx_bytes *out, uint64_t value)
{
    unsigned char bytes[10];
    size_t size = 0;

    do {
        bytes[size++] = (unsigned char)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value);
    put(graph, out, bytes, size);
}

static void put_int(struct tw_onnx_graph *graph, struct tw_onnx_bytes *out, int field, int64_t value)
{
    put_varint(graph, out, (uint64_t)field << 3);
    put_varint(graph, out, (uint64_t)value);
}

static void put_bytes(struct tw_onnx_graph *graph, struct tw_onnx_bytes *out, int field, const void *data, size_t size)
{
    put_varint(graph, out, (uint64_t)field << 3 | 2);
    put_varint(graph, out, size);
    put(graph, out, data, size);
}

static void put_text(struct tw_onnx_graph *graph, struct tw_onnx_bytes *out, int field, const char *text)
{
    put_bytes(graph, out, field, text, strlen(text));
}

/* A message within one; it is empty afterwards. */
static void put_message(struct tw_onnx_graph *graph, struct tw_onnx_bytes *out, int field,
                        struct tw_onnx_bytes *message)
{
    put_bytes(graph, out, field, message->data, message->size);
    free(message->data);
    *message = (struct tw_onnx_bytes){0};
}

/* --- values and nodes --- */

enum { GRAPH_NODE = 1, GRAPH_NAME = 2, GRAPH_INITIALIZER = 5, GRAPH_INPUT = 11, GRAPH_OUTPUT = 12 };
enum { NODE_INPUT = 1, NODE_OUTPUT = 2, NODE_OPERATOR = 4, NODE_ATTRIBUTE = 5 };
enum { ATTRIBUTE_NAME = 1, ATTRIBUTE_INT = 3, ATTRIBUTE_TYPE = 20, ATTRIBUTE_IS_INT = 2 };
enum { TENSOR_DIMS = 1, TENSOR_TYPE = 2, TENSOR_NAME = 8, TENSOR_DATA = 9 };

/* Room for one more in an array that grows; false: memory is out. */
static bool grow(struct tw_onnx_graph *graph, void **array, size_t item, int count, int *capacity)
{
    int larger = 2 * *capacity + 256;
    void *grown;

    if (graph->failed || count < *capacity)
        return !graph->failed;
    grown = realloc(*array, (size_t)larger * item);
    if (!grown) {
        graph->failed = true;
        return false;
    }
    *array = grown;
    *capacity = larger;
    return true;
}

static int new_value(struct tw_onnx_graph *graph, struct tw_onnx_value value, const int *operands)
{
    value.first = graph->operands_count;
    for (int i = 0; i < value.count; i++)
        if (grow(graph, (void **)&graph->operands, sizeof(int), graph->operands_count, &graph->operands_capacity))
            graph->operands[graph->operands_count++] = operands[i];
    if (!grow(graph, (void **)&graph->list, sizeof value, graph->values, &graph->capacity))
        return 0;
    graph->list[graph->values] = value;
    return graph->values++;
}

enum tw_onnx_type tw_onnx_graph_type(const struct tw_onnx_graph *graph, int value)
{
    return graph->failed ? TW_ONNX_FLOAT : graph->list[value].type;
}

static void put_value(struct tw_onnx_graph *graph, struct tw_onnx_bytes *out, int field, int value)
{
    char name[16];

    snprintf(name, sizeof name, "%d", value);
    put_text(graph, out, field, name);
}

struct attribute {
    const char *name; /* NULL: none */
    int64_t value;
};

static int node(struct tw_onnx_graph *graph, const char *name, enum tw_onnx_type type, int count, const int *operands,
                struct attribute attribute)
{
    struct tw_onnx_bytes message = {0}, inner = {0};
    size_t begin = graph->nodes.size;

    for (int i = 0; i < count; i++)
        put_value(graph, &message, NODE_INPUT, operands[i]);
    put_value(graph, &message, NODE_OUTPUT, graph->values);
    put_text(graph, &message, NODE_OPERATOR, name);
    if (attribute.name) {
        put_text(graph, &inner, ATTRIBUTE_NAME, attribute.name);
        put_int(graph, &inner, ATTRIBUTE_INT, attribute.value);
        put_int(graph, &inner, ATTRIBUTE_TYPE, ATTRIBUTE_IS_INT);
        put_message(graph, &message, NODE_ATTRIBUTE, &inner);
    }
    put_message(graph, &graph->nodes, GRAPH_NODE, &message);
    return new_value(graph,
                     (struct tw_onnx_value){.type = type, .begin = begin, .end = graph->nodes.size, .count = count},
                     operands);
}

static int tensor(struct tw_onnx_graph *graph, enum tw_onnx_type type, int dims, const int64_t *shape, const void *data,
                  size_t size)
{
    struct tw_onnx_bytes message = {0};
    size_t begin = graph->initializers.size;

    for (int i = 0; i < dims; i++)
        put_int(graph, &message, TENSOR_DIMS, shape[i]);
    put_int(graph, &message, TENSOR_TYPE, type);
    put_value(graph, &message, TENSOR_NAME, graph->values);
    put_bytes(graph, &message, TENSOR_DATA, data, size);
    put_message(graph, &graph->initializers, GRAPH_INITIALIZER, &message);
    return new_value(
        graph, (struct tw_onnx_value){.type = type, .constant = true, .begin = begin, .end = graph->initializers.size},
        NULL);
}

void tw_onnx_graph_init(struct tw_onnx_graph *graph)
{
    *graph = (struct tw_onnx_graph){0};
}

void tw_onnx_graph_fini(struct tw_onnx_graph *graph)
{
    free(graph->nodes.data);
    free(graph->initializers.data);
    free(graph->inputs.data);
    free(graph->outputs.data);
    free(graph->ends.data);
    free(graph->list);
    free(graph->operands);
    *graph = (struct tw_onnx_graph){0};
}

/* --- inputs and outputs --- */

static void describe(struct tw_onnx_graph *graph, struct tw_onnx_bytes *out, int field, const char *name,
                     enum tw_onnx_type type, int columns)
{
    struct tw_onnx_bytes value = {0}, kind = {0}, form = {0}, shape = {0}, dim = {0};

    put_text(graph, &dim, 2, "N");
    put_message(graph, &shape, 1, &dim);
    if (columns) {
        put_int(graph, &dim, 1, columns);
        put_message(graph, &shape, 1, &dim);
    }
    put_int(graph, &form, 1, type);
    put_message(graph, &form, 2, &shape);
    put_message(graph, &kind, 1, &form);
    put_text(graph, &value, 1, name);
    put_message(graph, &value, 2, &kind);
    put_message(graph, out, field, &value);
}

/* A name that people see stands beside the number that the graph works with. */
static void rename_value(struct tw_onnx_graph *graph, struct tw_onnx_bytes *out, const char *name, int value,
                         bool input)
{
    struct tw_onnx_bytes message = {0};

    if (input)
        put_text(graph, &message, NODE_INPUT, name);
    put_value(graph, &message, input ? NODE_OUTPUT : NODE_INPUT, value);
    if (!input)
        put_text(graph, &message, NODE_OUTPUT, name);
    put_text(graph, &message, NODE_OPERATOR, "Identity");
    put_message(graph, out, GRAPH_NODE, &message);
}

int tw_onnx_graph_input(struct tw_onnx_graph *graph, const char *name, enum tw_onnx_type type, int columns)
{
    size_t begin = graph->nodes.size;

    describe(graph, &graph->inputs, GRAPH_INPUT, name, type, columns);
    rename_value(graph, &graph->nodes, name, graph->values, true);
    return new_value(graph, (struct tw_onnx_value){.type = type, .begin = begin, .end = graph->nodes.size}, NULL);
}

void tw_onnx_graph_output(struct tw_onnx_graph *graph, const char *name, int value, int columns)
{
    describe(graph, &graph->outputs, GRAPH_OUTPUT, name, tw_onnx_graph_type(graph, value), columns);
    rename_value(graph, &graph->ends, name, value, false);
    if (!graph->failed)
        graph->list[value].used = true;
}

/* --- constants --- */

int tw_onnx_graph_number(struct tw_onnx_graph *graph, enum tw_onnx_type type, double number)
{
    float single = (float)number;
    int64_t whole = (int64_t)number;

    switch (type) {
    case TW_ONNX_FLOAT:
        return tensor(graph, type, 0, NULL, &single, sizeof single);
    case TW_ONNX_INT64:
        return tensor(graph, type, 0, NULL, &whole, sizeof whole);
    case TW_ONNX_DOUBLE:
    case TW_ONNX_BOOL:
        break;
    }
    return tensor(graph, TW_ONNX_DOUBLE, 0, NULL, &number, sizeof number);
}

int tw_onnx_graph_matrix(struct tw_onnx_graph *graph, int rows, int cols, const float *values)
{
    int64_t shape[] = {rows, cols};
    size_t count = (size_t)(rows ? rows : 1) * (size_t)cols;

    return tensor(graph, TW_ONNX_FLOAT, rows ? 2 : 1, rows ? shape : shape + 1, values, count * sizeof *values);
}

int tw_onnx_graph_ints(struct tw_onnx_graph *graph, int count, const int64_t *values)
{
    int64_t shape = count;

    return tensor(graph, TW_ONNX_INT64, 1, &shape, values, (size_t)count * sizeof *values);
}

/* --- operations --- */

static bool compares(const char *name)
{
    static const char *const names[] = {"Less", "Greater", "GreaterOrEqual", "LessOrEqual", "Equal", "IsNaN"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

int tw_onnx_graph_op(struct tw_onnx_graph *graph, const char *name, int a, int b, int c)
{
    enum tw_onnx_type type = strcmp(name, "Where") == 0 ? tw_onnx_graph_type(graph, b) : tw_onnx_graph_type(graph, a);

    return node(graph, name, compares(name) ? TW_ONNX_BOOL : type,
                b < 0   ? 1
                : c < 0 ? 2
                        : 3,
                (int[]){a, b, c}, (struct attribute){0});
}

int tw_onnx_graph_op_number(struct tw_onnx_graph *graph, const char *name, int a, double b)
{
    return tw_onnx_graph_op(graph, name, a, tw_onnx_graph_number(graph, tw_onnx_graph_type(graph, a), b), -1);
}

int tw_onnx_graph_cast(struct tw_onnx_graph *graph, int a, enum tw_onnx_type type)
{
    return tw_onnx_graph_type(graph, a) == type ? a : node(graph, "Cast", type, 1, &a, (struct attribute){"to", type});
}

int tw_onnx_graph_softmax(struct tw_onnx_graph *graph, int a)
{
    return node(graph, "Softmax", tw_onnx_graph_type(graph, a), 1, &a, (struct attribute){"axis", AXIS_LAST});
}

static int last_axis(struct tw_onnx_graph *graph)
{
    return tw_onnx_graph_ints(graph, 1, (int64_t[]){AXIS_LAST});
}

int tw_onnx_graph_cumulative(struct tw_onnx_graph *graph, int a)
{
    int axis = tw_onnx_graph_number(graph, TW_ONNX_INT64, AXIS_LAST);

    return node(graph, "CumSum", tw_onnx_graph_type(graph, a), 2, (int[]){a, axis}, (struct attribute){0});
}

int tw_onnx_graph_sum(struct tw_onnx_graph *graph, int a, bool keep)
{
    return node(graph, "ReduceSum", tw_onnx_graph_type(graph, a), 2, (int[]){a, last_axis(graph)},
                (struct attribute){"keepdims", keep});
}

int tw_onnx_graph_concat(struct tw_onnx_graph *graph, int count, const int *values)
{
    if (count == 1)
        return values[0];
    return node(graph, "Concat", tw_onnx_graph_type(graph, values[0]), count, values,
                (struct attribute){"axis", AXIS_LAST});
}

int tw_onnx_graph_slice(struct tw_onnx_graph *graph, int a, int first, int end)
{
    int from = tw_onnx_graph_ints(graph, 1, (int64_t[]){first}), to = tw_onnx_graph_ints(graph, 1, (int64_t[]){end});

    return node(graph, "Slice", tw_onnx_graph_type(graph, a), 4, (int[]){a, from, to, last_axis(graph)},
                (struct attribute){0});
}

int tw_onnx_graph_columns(struct tw_onnx_graph *graph, int a, int count, const int64_t *columns)
{
    return node(graph, "Gather", tw_onnx_graph_type(graph, a), 2, (int[]){a, tw_onnx_graph_ints(graph, count, columns)},
                (struct attribute){"axis", AXIS_LAST});
}

int tw_onnx_graph_pick(struct tw_onnx_graph *graph, int a, int index)
{
    return node(graph, "GatherElements", tw_onnx_graph_type(graph, a), 2, (int[]){a, index},
                (struct attribute){"axis", AXIS_LAST});
}

int tw_onnx_graph_rows(struct tw_onnx_graph *graph, int a, int index, int columns)
{
    int found =
        node(graph, "Gather", tw_onnx_graph_type(graph, a), 2, (int[]){a, index}, (struct attribute){"axis", 0});

    return tw_onnx_graph_reshape(graph, found, columns, 0);
}

int tw_onnx_graph_reshape(struct tw_onnx_graph *graph, int a, int b, int c)
{
    int shape = tw_onnx_graph_ints(graph, c > 0 ? 3 : 2, (int64_t[]){-1, b, c});

    return node(graph, "Reshape", tw_onnx_graph_type(graph, a), 2, (int[]){a, shape}, (struct attribute){0});
}

int tw_onnx_graph_dense(struct tw_onnx_graph *graph, int a, int weight, int bias)
{
    return node(graph, "Gemm", tw_onnx_graph_type(graph, a), 3, (int[]){a, weight, bias},
                (struct attribute){"transB", 1});
}

/* --- the file --- */

/* Values come after their operands. */
static void mark_used(struct tw_onnx_graph *graph)
{
    for (int v = graph->values - 1; v >= 0 && !graph->failed; v--)
        for (int i = 0; graph->list[v].used && i < graph->list[v].count; i++)
            graph->list[graph->operands[graph->list[v].first + i]].used = true;
}

static void put_used(struct tw_onnx_graph *graph, struct tw_onnx_bytes *out, bool constants)
{
    const unsigned char *from = constants ? graph->initializers.data : graph->nodes.data;

    for (int v = 0; v < graph->values && !graph->failed; v++)
        if (graph->list[v].used && graph->list[v].constant == constants)
            put(graph, out, from + graph->list[v].begin, graph->list[v].end - graph->list[v].begin);
}

bool tw_onnx_graph_finish(struct tw_onnx_graph *graph, const char *name, const char *version, const char *const *texts,
                          unsigned char **bytes, size_t *size)
{
    struct tw_onnx_bytes model = {0}, body = {0}, part = {0};

    mark_used(graph);
    put_used(graph, &body, false);
    put(graph, &body, graph->ends.data, graph->ends.size);
    put_text(graph, &body, GRAPH_NAME, name);
    put_used(graph, &body, true);
    put(graph, &body, graph->inputs.data, graph->inputs.size);
    put(graph, &body, graph->outputs.data, graph->outputs.size);

    put_int(graph, &model, 1, IR_VERSION);
    put_text(graph, &model, 2, "twin");
    put_text(graph, &model, 3, version);
    put_message(graph, &model, 7, &body);
    put_int(graph, &part, 2, OPERATORS);
    put_message(graph, &model, 8, &part);
    for (; texts && texts[0]; texts += 2) {
        put_text(graph, &part, 1, texts[0]);
        put_text(graph, &part, 2, texts[1]);
        put_message(graph, &model, 14, &part);
    }
    if (graph->failed) {
        free(model.data);
        return false;
    }
    *bytes = model.data;
    *size = model.size;
    return true;
}
