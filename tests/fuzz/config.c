/* Input: a configuration file. What is accepted prints as a file that is accepted and prints the same, unless a line
 * becomes longer than a file may have them. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"
#include "file.h"
#include "fuzz.h"

/* What config_print says; to be freed. */
static char *printed(const struct config *config, size_t *size)
{
    FILE *usual = stdout;
    char *text = NULL;
    stdout = open_memstream(&text, size);
    FUZZ_CHECK(stdout);
    config_print(config);
    fclose(stdout);
    stdout = usual;
    return text;
}

static int load(const void *bytes, size_t size, struct config *config)
{
    char path[40], program[] = "twind", flag[] = "--config", *argv[] = {program, flag, path, NULL};
    struct tw_error error = {""};
    int fd = file_make(bytes, size, path);
    int status = config_load(config, 3, argv, &error);
    FUZZ_CHECK(status == 0 || (status == TW_INVALID && error.text[0] != '\0'));
    close(fd);
    return status;
}

enum { LINE_MAX_BYTES = 198 };

static bool lines_fit(const char *text)
{
    for (size_t length; *text; text += length + (text[length] == '\n'))
        if ((length = strcspn(text, "\n")) > LINE_MAX_BYTES)
            return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config, again;
    size_t first_size, second_size;
    setenv("STATE_DIRECTORY", "/var/lib/twin", 1);
    if (load(data, size, &config))
        return 0;
    char *first = printed(&config, &first_size);
    bool fits = lines_fit(first);
    FUZZ_CHECK((load(first, first_size, &again) == 0) == fits);
    char *second = fits ? printed(&again, &second_size) : NULL;
    FUZZ_CHECK(!fits || (first_size == second_size && memcmp(first, second, first_size) == 0));
    free(first);
    free(second);
    return 0;
}
