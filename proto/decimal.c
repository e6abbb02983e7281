/* Printing a float with the fewest digits that give it back.
 *
 * A float has 24 bits and a double 53, so a nine-digit integer scaled by an exact power of ten (10^22 is the largest)
 * is computed in double with one rounding. Rounded again to float it is what a correct reader gets, unless the double
 * lies on the border between two floats; then one more digit is tried. What lies outside that range goes through
 * printf and strtof. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/decimal.h"

enum { DIGITS_MIN = 6, DIGITS_MAX = 9, FIELD_MAX = 63 };

static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                               1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* digits * 10^exponent with one rounding; |exponent| <= 22. */
static double scaled(double digits, int exponent)
{
    return exponent < 0 ? digits / power[-exponent] : digits * power[exponent];
}

/* True if reading digits * 10^exponent surely gives `value`. */
static bool gives_back(double digits, int exponent, float value)
{
    double read = scaled(digits, exponent);
    uint64_t bits;
    memcpy(&bits, &read, sizeof bits);
    bool on_border = (bits & 0x1fffffff) == 0x10000000; /* the 29 bits that float has not */
    return !on_border && (float)read == value;
}

/* value = *digits * 10^*exponent, value > 0; false if it lies outside the range that doubles do exactly. */
static bool shortest(float value, uint32_t *digits, int *exponent)
{
    if (!(value >= 1e-10f && value < 1e20f))
        return false;
    int leading = (int)floor(log10(value)); /* may be one off at powers of ten; the digits below make up for it */
    for (int count = DIGITS_MIN; count <= DIGITS_MAX; count++) {
        int scale = leading - count + 1; /* exponent of the last digit */
        double rounded = nearbyint(scaled((double)value, -scale));
        if (gives_back(rounded, scale, value)) {
            *digits = (uint32_t)rounded;
            *exponent = scale;
            return true;
        }
    }
    return false;
}

static size_t print_slowly(float value, char *out)
{
    int length = 0;
    for (int count = DIGITS_MIN; count <= DIGITS_MAX; count++) {
        length = snprintf(out, TWP_DECIMAL_MAX, "%.*g", count, (double)value);
        if (strtof(out, NULL) == value)
            break;
    }
    return (size_t)length;
}

/* `text` holds `count` digits, the last one of weight 10^exponent. */
static size_t place_point(const char *text, int count, int exponent, char *out)
{
    char *at = out;
    int leading = exponent + count - 1; /* of the first digit */
    if (leading < -5 || leading > 14) {
        *at++ = text[0];
        if (count > 1) {
            *at++ = '.';
            memcpy(at, text + 1, (size_t)count - 1);
            at += count - 1;
        }
        return (size_t)(at - out) + (size_t)sprintf(at, "e%d", leading);
    }
    if (leading < 0) {
        *at++ = '0';
        *at++ = '.';
        for (int i = -1; i > leading; i--)
            *at++ = '0';
    }
    for (int i = 0; i < count; i++) {
        if (i > 0 && i == leading + 1)
            *at++ = '.';
        *at++ = text[i];
    }
    for (int i = 0; i < exponent; i++)
        *at++ = '0';
    *at = '\0';
    return (size_t)(at - out);
}

size_t twp_decimal_print(float value, char out[TWP_DECIMAL_MAX])
{
    if (isnan(value)) {
        memcpy(out, "nan", 4);
        return 3;
    }
    char *at = out;
    if (signbit(value))
        *at++ = '-';
    float size = fabsf(value);
    if (isinf(size) || size == 0) {
        strcpy(at, size == 0 ? "0" : "inf");
        return (size_t)(at - out) + strlen(at);
    }
    uint32_t digits;
    int exponent;
    if (!shortest(size, &digits, &exponent))
        return (size_t)(at - out) + print_slowly(size, at);
    while (digits % 10 == 0) {
        digits /= 10;
        exponent++;
    }
    char text[16];
    int first = (int)sizeof text;
    for (; digits > 0; digits /= 10)
        text[--first] = (char)('0' + digits % 10);
    return (size_t)(at - out) + place_point(text + first, (int)sizeof text - first, exponent, at);
}

static bool plain_number(const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (!(text[i] >= '0' && text[i] <= '9') && !strchr("+-.eE", text[i]))
            return false;
    }
    return true;
}

bool twp_decimal_parse(const char *text, size_t size, float *out)
{
    char field[FIELD_MAX + 1];
    if (size == 0 || size > FIELD_MAX || memchr(text, '\0', size))
        return false;
    memcpy(field, text, size);
    field[size] = '\0';
    if (!plain_number(field, size)) { /* strtof also knows hexadecimal and nan(...), which nobody means */
        const char *word = field + (*field == '-' || *field == '+');
        if (strcasecmp(word, "nan") != 0 && strcasecmp(word, "inf") != 0 && strcasecmp(word, "infinity") != 0)
            return false;
    }
    char *end;
    *out = strtof(field, &end);
    return end == field + size;
}
