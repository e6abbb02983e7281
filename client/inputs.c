/* Files of events as they are named on a command line. */
#include "client/inputs.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static bool add(struct inputs *inputs, const char *folder, const char *name)
{
    struct stat info;
    size_t count = (size_t)inputs->count;
    char **path = realloc(inputs->path, (count + 1) * sizeof *path);
    if (path)
        inputs->path = path;
    double *bytes = realloc(inputs->bytes, (count + 1) * sizeof *bytes);
    if (bytes)
        inputs->bytes = bytes;
    if (!path || !bytes || asprintf(&path[count], "%s%s%s", folder ? folder : "", folder ? "/" : "", name) < 0)
        return false;
    bytes[count] = !stat(path[count], &info) && S_ISREG(info.st_mode) ? (double)info.st_size : 0;
    inputs->count++;
    return true;
}

static int is_events(const struct dirent *entry)
{
    static const char *const endings[] = {".npy", ".csv", ".h5", ".hdf5"};
    const char *dot = strrchr(entry->d_name, '.');
    for (size_t i = 0; dot && *entry->d_name != '.' && i < sizeof endings / sizeof *endings; i++)
        if (!strcmp(dot, endings[i]))
            return 1;
    return 0;
}

static bool add_folder(struct inputs *inputs, const char *folder, char problem[512])
{
    struct dirent **entry;
    int count = scandir(folder, &entry, is_events, versionsort);
    bool fine = count > 0;
    if (count < 0)
        snprintf(problem, 512, "%s: %s", folder, strerror(errno));
    else if (!count)
        snprintf(problem, 512, "%s has no .npy, .csv or .h5 file", folder);
    for (int i = 0; i < count; i++) {
        if (fine && !add(inputs, folder, entry[i]->d_name)) {
            snprintf(problem, 512, "out of memory");
            fine = false;
        }
        free(entry[i]);
    }
    if (count >= 0)
        free(entry);
    return fine;
}

bool inputs_init(struct inputs *inputs, char **words, int count, char problem[512])
{
    struct stat info;
    *inputs = (struct inputs){0};
    for (int i = 0; i < count; i++) {
        bool folder = !stat(words[i], &info) && S_ISDIR(info.st_mode);
        if (folder && !add_folder(inputs, words[i], problem))
            return false;
        if (!folder && !add(inputs, NULL, words[i])) {
            snprintf(problem, 512, "out of memory");
            return false;
        }
    }
    return true;
}

void inputs_fini(struct inputs *inputs)
{
    for (int i = 0; i < inputs->count; i++)
        free(inputs->path[i]);
    free(inputs->path);
    free(inputs->bytes);
    *inputs = (struct inputs){0};
}
