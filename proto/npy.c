/* The .npy header is a Python dictionary in ASCII with exactly three members. It is read by a small strict scanner: a
 * dictionary that numpy would not have written is refused, so that nothing is guessed about foreign bytes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proto/npy.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "values are copied as they lie in the file: little endian only"
#endif

static const char magic[6] = {'\x93', 'N', 'U', 'M', 'P', 'Y'};

struct scanner {
    const char *at, *end;
};

static void skip_space(struct scanner *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t' || *in->at == '\n' || *in->at == '\r'))
        in->at++;
}

static bool take(struct scanner *in, char wanted)
{
    skip_space(in);
    if (in->at == in->end || *in->at != wanted)
        return false;
    in->at++;
    return true;
}

static bool take_word(struct scanner *in, const char *word)
{
    skip_space(in);
    size_t length = strlen(word);
    if ((size_t)(in->end - in->at) < length || memcmp(in->at, word, length) != 0)
        return false;
    in->at += length;
    return true;
}

/* A quoted string without escapes, at most 31 characters. */
static bool take_string(struct scanner *in, char out[32])
{
    skip_space(in);
    if (in->at == in->end || (*in->at != '\'' && *in->at != '"'))
        return false;
    char quote = *in->at++;
    size_t length = 0;
    while (in->at < in->end && *in->at != quote) {
        if (length == 31 || *in->at == '\\' || *in->at == '\0')
            return false;
        out[length++] = *in->at++;
    }
    out[length] = '\0';
    return take(in, quote);
}

static int take_size(struct scanner *in, size_t *out)
{
    skip_space(in);
    size_t value = 0;
    const char *start = in->at;
    for (; in->at < in->end && *in->at >= '0' && *in->at <= '9'; in->at++) {
        if (__builtin_mul_overflow(value, (size_t)10, &value) ||
            __builtin_add_overflow(value, (size_t)(*in->at - '0'), &value))
            return TWP_NPY_BAD_SHAPE;
    }
    *out = value;
    return in->at > start ? TWP_NPY_OK : TWP_NPY_BAD_HEADER;
}

/* (), (n,), (n, m), (n, m,) and longer; only one or two dimensions are taken. */
static int take_shape(struct scanner *in, struct twp_npy_any *out)
{
    size_t size[2] = {0, 1};
    int dims = 0;
    bool comma = false;
    if (!take(in, '('))
        return TWP_NPY_BAD_HEADER;
    while (!take(in, ')')) {
        if (dims > 0 && !comma)
            return TWP_NPY_BAD_HEADER;
        if (dims == 2)
            return TWP_NPY_BAD_SHAPE;
        int error = take_size(in, &size[dims++]);
        if (error)
            return error;
        comma = take(in, ',');
    }
    if (dims == 1 && !comma) /* (3) is a number to Python, not a tuple */
        return TWP_NPY_BAD_HEADER;
    out->dims = dims;
    out->rows = size[0];
    out->cols = size[1];
    return dims == 0 || out->cols == 0 ? TWP_NPY_BAD_SHAPE : TWP_NPY_OK;
}

/* Byte order, kind and bytes: "<f4", ">i2"; bytes have no order: "|u1". */
static int take_dtype(struct scanner *in, struct twp_npy_any *out)
{
    char text[32];
    skip_space(in);
    if (in->at < in->end && *in->at == '[') /* a structured array: right format, wrong type */
        return TWP_NPY_NO_NUMBERS;
    if (!take_string(in, text))
        return TWP_NPY_BAD_HEADER;
    const char *sizes = text[0] == '|' ? "1" : text[0] == '<' || text[0] == '>' ? "248" : "";
    if (strlen(text) != 3 || !strchr("iuf", text[1]) || !strchr(sizes, text[2]) || (text[0] == '|' && text[1] == 'f'))
        return TWP_NPY_NO_NUMBERS;
    out->big_endian = text[0] == '>';
    out->kind = text[1];
    out->item = text[2] - '0';
    return TWP_NPY_OK;
}

static int take_order(struct scanner *in, bool *fortran)
{
    if (take_word(in, "False"))
        *fortran = false;
    else if (take_word(in, "True"))
        *fortran = true;
    else
        return TWP_NPY_BAD_HEADER;
    return TWP_NPY_OK;
}

static int parse_dictionary(struct scanner *in, struct twp_npy_any *out)
{
    static const char *const member[3] = {"descr", "fortran_order", "shape"};
    unsigned seen = 0;
    if (!take(in, '{'))
        return TWP_NPY_BAD_HEADER;
    while (!take(in, '}')) {
        char key[32];
        int which = 0;
        if (!take_string(in, key) || !take(in, ':'))
            return TWP_NPY_BAD_HEADER;
        while (which < 3 && strcmp(key, member[which]) != 0)
            which++;
        if (which == 3 || seen & 1u << which)
            return TWP_NPY_BAD_HEADER;
        seen |= 1u << which;
        int error = which == 0 ? take_dtype(in, out) : which == 1 ? take_order(in, &out->fortran) : take_shape(in, out);
        if (error)
            return error;
        if (!take(in, ',') && (in->at == in->end || *in->at != '}'))
            return TWP_NPY_BAD_HEADER;
    }
    skip_space(in);
    if (seen != 7 || in->at != in->end)
        return TWP_NPY_BAD_HEADER;
    return TWP_NPY_OK;
}

int twp_npy_parse_any(const void *bytes, size_t size, struct twp_npy_any *out)
{
    const unsigned char *at = bytes;
    memset(out, 0, sizeof *out);
    if (size < 10 || memcmp(at, magic, sizeof magic) != 0 || at[6] < 1 || at[6] > 3 || at[7] != 0)
        return TWP_NPY_BAD_MAGIC;
    size_t start = at[6] == 1 ? 10 : 12;
    if (size < start)
        return TWP_NPY_BAD_HEADER;
    size_t length = at[8] | (size_t)at[9] << 8;
    if (at[6] > 1)
        length |= (size_t)at[10] << 16 | (size_t)at[11] << 24;
    if (length > size - start)
        return TWP_NPY_BAD_HEADER;

    struct scanner in = {(const char *)at + start, (const char *)at + start + length};
    int error = parse_dictionary(&in, out);
    if (error)
        return error;
    size_t values, need;
    if (__builtin_mul_overflow(out->rows, out->cols, &values) ||
        __builtin_mul_overflow(values, (size_t)out->item, &need))
        return TWP_NPY_BAD_SHAPE;
    if (need != size - start - length)
        return TWP_NPY_BAD_LENGTH;
    out->data = at + start + length;
    return TWP_NPY_OK;
}

int twp_npy_parse(const void *bytes, size_t size, struct twp_npy *out)
{
    struct twp_npy_any any;
    int error = twp_npy_parse_any(bytes, size, &any);
    memset(out, 0, sizeof *out);
    if (error == TWP_NPY_NO_NUMBERS || (!error && (any.kind != 'f' || any.item == 2 || any.big_endian)))
        return TWP_NPY_BAD_DTYPE;
    if (!error && any.fortran)
        return TWP_NPY_FORTRAN;
    if (!error)
        *out = (struct twp_npy){any.dims, any.rows, any.cols, any.item, any.data};
    return error;
}

const char *twp_npy_strerror(int error)
{
    switch ((enum twp_npy_error)error) {
    case TWP_NPY_OK:
        return "ok";
    case TWP_NPY_BAD_MAGIC:
        return "not an .npy array of version 1 to 3";
    case TWP_NPY_BAD_HEADER:
        return "the .npy header is not well formed";
    case TWP_NPY_BAD_DTYPE:
        return "values must be little-endian float32 or float64 ('<f4' or '<f8')";
    case TWP_NPY_FORTRAN:
        return "the array must be in C order, not Fortran order";
    case TWP_NPY_BAD_SHAPE:
        return "the shape must have one or two dimensions and at least one column";
    case TWP_NPY_BAD_LENGTH:
        return "the data are shorter or longer than the shape says";
    case TWP_NPY_NO_NUMBERS:
        return "values must be integers or floats of at most 64 bits: not bool, complex, text, nor fields of records";
    }
    return "unknown error";
}

void twp_npy_floats(const struct twp_npy *npy, size_t first, size_t count, float *out)
{
    if (count == 0)
        return;
    if (npy->item == 4) {
        memcpy(out, npy->data + first * 4, count * 4);
        return;
    }
    const unsigned char *at = npy->data + first * 8;
    for (size_t i = 0; i < count; i++, at += 8) {
        double value;
        memcpy(&value, at, sizeof value);
        out[i] = (float)value; /* IEEE 754: rounds to nearest, to inf beyond the range */
    }
}

/* IEEE 754 binary16: 1 bit of sign, 5 of exponent, 10 of fraction. */
static float half(uint64_t bits)
{
    int exponent = bits >> 10 & 31, fraction = bits & 1023;
    float magnitude = exponent == 31 ? (fraction ? NAN : INFINITY)
                      : exponent     ? ldexpf((float)(1024 + fraction), exponent - 25)
                                     : ldexpf((float)fraction, -24);
    return bits >> 15 ? -magnitude : magnitude;
}

/* One value whose bytes, lowest first, are `bits`. */
static float number(char kind, int item, uint64_t bits)
{
    int unused = 64 - 8 * item;
    if (kind == 'u')
        return (float)bits;
    if (kind == 'i')
        return (float)((int64_t)(bits << unused) >> unused); /* carries the sign down */
    if (item == 2)
        return half(bits);
    if (item == 4) {
        uint32_t low = (uint32_t)bits;
        float value;
        memcpy(&value, &low, sizeof value);
        return value;
    }
    double value;
    memcpy(&value, &bits, sizeof value);
    return (float)value;
}

void twp_npy_any_floats(const struct twp_npy_any *npy, const void *values, size_t count, size_t stride, float *out)
{
    const unsigned char *at = values;
    if (npy->kind == 'f' && npy->item != 2 && !npy->big_endian && stride == 1) {
        twp_npy_floats(&(struct twp_npy){1, count, 1, npy->item, at}, 0, count, out);
        return;
    }
    for (size_t i = 0; i < count; i++, at += npy->item) {
        uint64_t bits = 0;
        for (int k = 0; k < npy->item; k++)
            bits |= (uint64_t)at[k] << 8 * (npy->big_endian ? npy->item - 1 - k : k);
        out[i * stride] = number(npy->kind, npy->item, bits);
    }
}

void twp_npy_header(int dims, size_t rows, size_t cols, int item, unsigned char out[TWP_NPY_HEADER])
{
    char text[TWP_NPY_HEADER];
    char shape[64];
    if (dims == 1)
        snprintf(shape, sizeof shape, "(%zu,)", rows);
    else
        snprintf(shape, sizeof shape, "(%zu, %zu)", rows, cols);
    int length = snprintf(text, sizeof text, "{'descr': '<f%d', 'fortran_order': False, 'shape': %s, }", item, shape);
    memcpy(out, magic, sizeof magic);
    out[6] = 1;
    out[7] = 0;
    out[8] = TWP_NPY_HEADER - 10;
    out[9] = 0;
    memset(out + 10, ' ', TWP_NPY_HEADER - 10);
    memcpy(out + 10, text, (size_t)length);
    out[TWP_NPY_HEADER - 1] = '\n';
}
