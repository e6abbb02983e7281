/* Drives a fuzz target without libFuzzer: each file of the corpus as it is, cut at many lengths, and mutated by
 * a generator of fixed seed. Inputs lie in blocks of their exact size, where a sanitizer sees every overrun.
 *
 *   fuzz_wire CORPUS_FOLDER [TRIES]    over all inputs; the one that breaks something is left in crash-wire
 *   fuzz_wire FILE                     one input
 *
 * scripts/fuzz searches for new inputs, with libFuzzer instead of this file. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

enum { INPUTS_MAX = 1024, SIZE_MAX_READ = 1 << 20 };

struct input {
    char name[256];
    uint8_t *bytes;
    size_t size;
};

static uint64_t state = 0x9e3779b97f4a7c15u;

static uint64_t draw(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

/* --- the input at hand, kept when it breaks something --- */

static char crash_path[300];
static const uint8_t *at_hand;
static size_t at_hand_size;

static void keep_crash(void)
{
    int fd = at_hand ? open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (fd >= 0 && write(fd, at_hand, at_hand_size) == (ssize_t)at_hand_size)
        dprintf(STDOUT_FILENO, "# the input is in %s\n", crash_path);
    at_hand = NULL;
}

static void on_signal(int number)
{
    keep_crash();
    signal(number, SIG_DFL);
    raise(number);
}

/* Of a sanitizer's library, if there is one. */
extern void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void watch(const char *program)
{
    const char *name = strstr(program, "fuzz_");
    snprintf(crash_path, sizeof crash_path, "crash-%.200s", name ? name + 5 : "input");
    signal(SIGABRT, on_signal);
    if (__sanitizer_set_death_callback)
        __sanitizer_set_death_callback(keep_crash);
    else
        signal(SIGSEGV, on_signal);
}

static void try_bytes(const uint8_t *bytes, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);
    if (!exact)
        abort();
    memcpy(exact, bytes, size);
    at_hand = bytes;
    at_hand_size = size;
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct input *)a)->name, ((const struct input *)b)->name);
}

static void read_input(const char *path, const char *name, struct input *input)
{
    FILE *file = fopen(path, "rb");
    input->bytes = file ? malloc(SIZE_MAX_READ) : NULL;
    if (!input->bytes)
        abort();
    snprintf(input->name, sizeof input->name, "%s", name);
    input->size = fread(input->bytes, 1, SIZE_MAX_READ, file);
    fclose(file);
}

static size_t load(const char *folder, struct input *inputs)
{
    size_t count = 0;
    DIR *dir = opendir(folder);
    struct dirent *entry;
    while (dir && count < INPUTS_MAX && (entry = readdir(dir))) {
        char path[1024];
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        read_input(path, entry->d_name, &inputs[count++]);
    }
    if (dir)
        closedir(dir);
    qsort(inputs, count, sizeof *inputs, by_name);
    return count;
}

/* One small change; returns the new size, at most `room`. */
static size_t mutate(uint8_t *bytes, size_t size, size_t room, const struct input *other)
{
    static const uint8_t telling[] = {0, 1, 0x7f, 0x80, 0xff, '{', '}', '[', ']', '"', ',', ':', '-', '9', '\n', 'e'};
    size_t at = size ? draw(size) : 0, length;
    switch (draw(6)) {
    case 0:
        if (size)
            bytes[at] ^= (uint8_t)(1u << draw(8));
        return size;
    case 1:
        if (size)
            bytes[at] = telling[draw(sizeof telling)];
        return size;
    case 2:
        return at;
    case 3: /* cut a piece out */
        length = size > at ? draw(size - at) + 1 : 0;
        memmove(bytes + at, bytes + at + length, size - at - length);
        return size - length;
    case 4: /* say a piece twice */
        length = size > at ? draw(size - at) + 1 : 0;
        length = size + length > room ? 0 : length;
        memmove(bytes + at + length, bytes + at, size - at);
        return size + length;
    default: /* go on with another input */
        length = other->size > at ? other->size - at : 0;
        length = at + length > room ? room - at : length;
        memcpy(bytes + at, other->bytes + (other->size > at ? at : 0), length);
        return at + length;
    }
}

/* As it is, `tries` times cut and `tries` times changed. */
static void run_input(const struct input *inputs, size_t count, const struct input *input, size_t tries)
{
    static uint8_t scratch[2 * SIZE_MAX_READ];
    try_bytes(input->bytes, input->size);
    for (size_t i = 0; i < tries && i < input->size; i++)
        try_bytes(input->bytes, input->size <= tries ? i : draw(input->size));
    for (size_t i = 0; i < tries; i++) {
        size_t size = input->size;
        memcpy(scratch, input->bytes, size);
        for (uint64_t changes = 1 + draw(4); changes > 0; changes--)
            size = mutate(scratch, size, sizeof scratch, &inputs[draw(count)]);
        try_bytes(scratch, size);
    }
}

static int run_file(const char *path)
{
    struct input input;
    read_input(path, path, &input);
    try_bytes(input.bytes, input.size);
    free(input.bytes);
    return 0;
}

int main(int argc, char **argv)
{
    static struct input inputs[INPUTS_MAX];
    struct stat about;
    watch(argv[0]);
    if (argc == 2 && stat(argv[1], &about) == 0 && S_ISREG(about.st_mode))
        return run_file(argv[1]);
    size_t count = argc > 1 ? load(argv[1], inputs) : 0;
    size_t tries = argc > 2 ? (size_t)atol(argv[2]) : 20000;
    printf("1..%zu\n", count ? count : 1);
    if (count == 0)
        printf("not ok 1 - the corpus is empty\n");
    for (size_t i = 0; i < count; i++) {
        run_input(inputs, count, &inputs[i], 1 + tries / (2 * count));
        printf("ok %zu - %s\n", i + 1, inputs[i].name);
        fflush(stdout);
    }
    for (size_t i = 0; i < count; i++)
        free(inputs[i].bytes);
    return count == 0;
}
