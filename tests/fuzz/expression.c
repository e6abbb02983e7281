/* Input: an expression over a few columns. What is refused has a sentence that JSON can carry; what is accepted runs
 * over more than one block of rows, gives the same whether rows come together or alone, and nothing that is infinite.
 */
#include <math.h>
#include <string.h>

#include "fuzz.h"
#include "hep/expression.h"

enum { ROWS = 300, COLUMNS = 5 };

static const char *const names[COLUMNS] = {"x", "mu_pt", "eta", "phi", "gone"};
static float values[ROWS][COLUMNS];

static void fill(void)
{
    static const float odd[] = {0, -1, 1, 1e30f, -1e30f, 1e-30f, 3.14159f, 40};
    for (int i = 0; i < ROWS; i++) {
        for (int c = 0; c < COLUMNS; c++)
            values[i][c] = odd[(i * (c + 3) + i / 7) % 8];
        if (i % 3 == 0)
            values[i][COLUMNS - 1] = NAN;
    }
}

static void run(const struct tw_expression *expression)
{
    struct tw_expression_column all[COLUMNS];
    float out[ROWS], one;
    for (int c = 0; c < COLUMNS; c++)
        all[c] = (struct tw_expression_column){&values[0][c], COLUMNS};
    FUZZ_CHECK(tw_expression_eval(expression, all, ROWS, out, 1) == 0);
    for (int i = 0; i < ROWS; i++)
        FUZZ_CHECK(!isinf(out[i]));
    for (int i = 0; i < ROWS; i += ROWS - 1) {
        for (int c = 0; c < COLUMNS; c++)
            all[c].values = &values[i][c];
        FUZZ_CHECK(tw_expression_eval(expression, all, 1, &one, 1) == 0);
        FUZZ_CHECK(isnan(one) ? isnan(out[i]) : one == out[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tw_expression *expression = NULL;
    struct tw_error error = {""};
    char *text = malloc(size + 1);
    FUZZ_CHECK(text);
    if (size)
        memcpy(text, data, size);
    text[size] = 0;
    fill();
    int status = tw_expression_parse(text, names, COLUMNS, &expression, &error);
    if (status == 0) {
        run(expression);
    } else {
        FUZZ_CHECK(status == TW_INVALID && !expression && error.text[0]);
        for (const char *c = error.text; *c; c++)
            FUZZ_CHECK(*c >= ' ' && *c < 0x7f);
    }
    tw_expression_free(expression);
    free(text);
    return 0;
}
