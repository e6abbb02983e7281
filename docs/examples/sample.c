/* Events of a twin as CSV: sample ARTIFACT N [SEED]
 *
 *     twinctl export zmumu --out zmumu.safetensors
 *     cc sample.c $(pkg-config --cflags --libs twin) -o sample
 *     ./sample zmumu.safetensors 10
 */
#include <stdio.h>
#include <stdlib.h>

#include "model/model.h"

static unsigned char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    unsigned char *bytes = NULL;
    long length;

    if (!file)
        return NULL;
    if (fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) >= 0 && (bytes = malloc((size_t)length + 1))) {
        rewind(file);
        *size = fread(bytes, 1, (size_t)length, file);
    }
    fclose(file);
    return bytes;
}

int main(int argc, char **argv)
{
    struct tw_error error = {""};
    struct tw_model *model;
    size_t size = 0, n = argc > 2 ? strtoul(argv[2], NULL, 10) : 0;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;

    if (n == 0) {
        fprintf(stderr, "usage: sample ARTIFACT N [SEED]\n");
        return 64;
    }
    unsigned char *bytes = read_file(argv[1], &size);
    if (!bytes) {
        fprintf(stderr, "%s cannot be read\n", argv[1]);
        return 1;
    }
    /* A file that is not exactly an artifact is refused, with a sentence. */
    if (tw_model_load(bytes, size, &model, NULL, &error)) {
        fprintf(stderr, "%s: %s\n", argv[1], error.text);
        return 1;
    }
    free(bytes);

    const struct tw_schema *schema = tw_model_schema(model);
    const struct tw_kernels *kernels = tw_kernels_choose(NULL, NULL); /* the fastest that this processor has */
    size_t columns = (size_t)schema->features;
    float *events = malloc(n * columns * sizeof *events);
    double *log_prob = malloc(n * sizeof *log_prob);

    /* Event i of a seed is the same however many are asked for, and from whichever one on. */
    if (!events || !log_prob || tw_model_sample(model, kernels, NULL, seed, 0, n, NULL, events) ||
        tw_model_log_prob(model, kernels, NULL, n, events, NULL, log_prob)) {
        fprintf(stderr, "memory is out, or a model of this kind has no samples\n");
        return 1;
    }
    for (size_t c = 0; c < columns; c++)
        printf("%s,", schema->columns[c].name);
    printf("log_prob\n");
    for (size_t i = 0; i < n; i++) {
        for (size_t c = 0; c < columns; c++)
            printf("%.9g,", (double)events[i * columns + c]);
        printf("%.9g\n", log_prob[i]);
    }
    free(events);
    free(log_prob);
    tw_model_unref(model);
    return 0;
}
