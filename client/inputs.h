/* Files of events as they are named on a command line: a folder stands for the files of events in it. */
#ifndef CLIENT_INPUTS_H
#define CLIENT_INPUTS_H

#include <stdbool.h>
#include <stddef.h>

struct inputs {
    char **path;
    double *bytes; /* (count): size of each, 0 where that is not known */
    int count;
};

/* The .npy, .csv, .h5 and .hdf5 files of a folder, in the order of their names, numbers in them by value: 2 before 10.
 * Folders in it are left alone. False with a sentence; to be finished in both cases. */
bool inputs_init(struct inputs *inputs, char **words, int count, char problem[512]);
void inputs_fini(struct inputs *inputs);

#endif
