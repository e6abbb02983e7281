/* Rows of a table in an HDF5 file. The library converts every type of number to float, whatever its byte order. */
#include "client/h5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool h5_is(const void *bytes, size_t size)
{
    return size >= 8 && !memcmp(bytes, "\x89HDF\r\n\x1a\n", 8);
}

#ifdef HAVE_HDF5

#include <hdf5.h>

struct h5 {
    hid_t file, set, space;
    hsize_t size[2];
    int dims;
};

/* While the datasets of a file are gone through. */
struct search {
    int found;
    char name[256];  /* of the first */
    char names[256]; /* of all, for the error */
};

/* True for numbers in one or two dimensions. */
static bool is_table(hid_t set)
{
    hid_t type = H5Dget_type(set), space = H5Dget_space(set);
    H5T_class_t class = H5Tget_class(type);
    int dims = H5Sget_simple_extent_ndims(space);
    H5Tclose(type);
    H5Sclose(space);
    return (class == H5T_FLOAT || class == H5T_INTEGER) && (dims == 1 || dims == 2);
}

static herr_t visit(hid_t file, const char *name, const H5O_info_t *info, void *context)
{
    struct search *search = context;
    if (info->type != H5O_TYPE_DATASET)
        return 0;
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    if (set >= 0 && is_table(set)) {
        size_t used = strlen(search->names);
        if (!search->found++)
            snprintf(search->name, sizeof search->name, "%s", name);
        snprintf(search->names + used, sizeof search->names - used, "%s%s", used ? ", " : "", name);
    }
    if (set >= 0)
        H5Dclose(set);
    return 0;
}

/* The dataset that is meant. */
static bool choose(struct h5 *h5, const char *path, const char *wanted, char problem[512])
{
    struct search search = {0};
    if (!wanted) {
        H5Ovisit2(h5->file, H5_INDEX_NAME, H5_ITER_INC, visit, &search, H5O_INFO_BASIC);
        if (search.found != 1) {
            snprintf(problem, 512,
                     search.found ? "%.150s has several tables; say which one with FILE::NAME: %s"
                                  : "%.150s has no table of numbers%s",
                     path, search.names);
            return false;
        }
        wanted = search.name;
    }
    h5->set = H5Dopen2(h5->file, wanted, H5P_DEFAULT);
    if (h5->set < 0 || !is_table(h5->set)) {
        snprintf(problem, 512, "%.150s has no table of numbers \"%.150s\"", path, wanted);
        return false;
    }
    return true;
}

static bool open_table(struct h5 *h5, const char *path, char problem[512])
{
    char file[1024];
    const char *name = strstr(path, "::");
    snprintf(file, sizeof file, "%.*s", name ? (int)(name - path) : (int)strlen(path), path);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* we say ourselves what is wrong */
    h5->file = H5Fopen(file, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (h5->file < 0) {
        snprintf(problem, 512, "%.200s cannot be read as HDF5", file);
        return false;
    }
    if (!choose(h5, file, name ? name + 2 : NULL, problem))
        return false;
    h5->space = H5Dget_space(h5->set);
    h5->size[1] = 1;
    h5->dims = H5Sget_simple_extent_dims(h5->space, h5->size, NULL);
    if (h5->dims > 0 && h5->size[1] > 0)
        return true;
    snprintf(problem, 512, "%.200s: the table has no columns", file);
    return false;
}

struct h5 *h5_open(const char *path, char problem[512])
{
    struct h5 *h5 = malloc(sizeof *h5);
    if (!h5) {
        snprintf(problem, 512, "out of memory");
        return NULL;
    }
    *h5 = (struct h5){.file = -1, .set = -1, .space = -1};
    if (!open_table(h5, path, problem)) {
        h5_close(h5);
        return NULL;
    }
    return h5;
}

void h5_close(struct h5 *h5)
{
    if (!h5)
        return;
    if (h5->space >= 0)
        H5Sclose(h5->space);
    if (h5->set >= 0)
        H5Dclose(h5->set);
    if (h5->file >= 0)
        H5Fclose(h5->file);
    free(h5);
}

char *h5_columns(const struct h5 *h5)
{
    if (H5Aexists(h5->set, "columns") <= 0)
        return NULL;
    hid_t attribute = H5Aopen(h5->set, "columns", H5P_DEFAULT), type = H5Aget_type(attribute);
    hid_t space = H5Aget_space(attribute);
    char *text = NULL;
    /* One text of a fixed length, as we write it. */
    if (H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0 && H5Sget_simple_extent_npoints(space) == 1)
        text = calloc(1, H5Tget_size(type) + 1);
    if (text && H5Aread(attribute, type, text) < 0) {
        free(text);
        text = NULL;
    }
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return text;
}

void h5_shape(const struct h5 *h5, size_t *rows, size_t *cols)
{
    *rows = h5->size[0];
    *cols = h5->size[1];
}

bool h5_read(struct h5 *h5, size_t first, size_t count, float *values)
{
    hsize_t begin[2] = {first, 0}, size[2] = {count, h5->size[1]};
    hid_t memory = H5Screate_simple(h5->dims, size, NULL);
    bool read = memory >= 0 && H5Sselect_hyperslab(h5->space, H5S_SELECT_SET, begin, NULL, size, NULL) >= 0 &&
                H5Dread(h5->set, H5T_NATIVE_FLOAT, memory, h5->space, H5P_DEFAULT, values) >= 0;
    if (memory >= 0)
        H5Sclose(memory);
    return read;
}

#else

struct h5 {
    char none;
};

struct h5 *h5_open(const char *path, char problem[512])
{
    snprintf(problem, 512, "%.200s is HDF5, and this twinctl was built without it", path);
    return NULL;
}

void h5_close(struct h5 *h5)
{
}

char *h5_columns(const struct h5 *h5)
{
    return NULL;
}

void h5_shape(const struct h5 *h5, size_t *rows, size_t *cols)
{
    *rows = *cols = 0;
}

bool h5_read(struct h5 *h5, size_t first, size_t count, float *values)
{
    return false;
}

#endif
