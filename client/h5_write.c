/* A table in a new HDF5 file, with what is known of it as attributes. */
#include "client/h5.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef HAVE_HDF5

#include <hdf5.h>

enum { CHUNK_ROWS = 4096 };

struct h5_out {
    hid_t file, set, type; /* of the values in memory */
    hsize_t rows, cols;
};

/* Rows are appended: the library wants chunks for that. */
static hid_t create_set(hid_t file, const char *name, hsize_t cols, hid_t type)
{
    hsize_t none[2] = {0, cols}, most[2] = {H5S_UNLIMITED, cols}, chunk[2] = {CHUNK_ROWS, cols};
    hid_t space = H5Screate_simple(2, none, most), how = H5Pcreate(H5P_DATASET_CREATE), set = -1;
    if (space >= 0 && how >= 0 && H5Pset_chunk(how, 2, chunk) >= 0)
        set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, how, H5P_DEFAULT);
    if (how >= 0)
        H5Pclose(how);
    if (space >= 0)
        H5Sclose(space);
    return set;
}

struct h5_out *h5_create(const char *path, const char *name, size_t cols, int item, char problem[512])
{
    struct h5_out *h5 = calloc(1, sizeof *h5);
    if (h5) {
        H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* we say ourselves what is wrong */
        h5->cols = cols;
        h5->file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
        h5->type = item == 8 ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT;
        h5->set = h5->file >= 0 ? create_set(h5->file, name, cols, item == 8 ? H5T_IEEE_F64LE : H5T_IEEE_F32LE) : -1;
        if (h5->set >= 0)
            return h5;
    }
    snprintf(problem, 512, "%.200s cannot be written as HDF5", path);
    h5_finish(h5);
    return NULL;
}

bool h5_append(struct h5_out *h5, const void *values, size_t rows, char problem[512])
{
    hsize_t size[2] = {h5->rows + rows, h5->cols}, begin[2] = {h5->rows, 0}, count[2] = {rows, h5->cols};
    hid_t space = H5Dset_extent(h5->set, size) >= 0 ? H5Dget_space(h5->set) : -1;
    hid_t memory = H5Screate_simple(2, count, NULL);
    bool fine = space >= 0 && memory >= 0 &&
                H5Sselect_hyperslab(space, H5S_SELECT_SET, begin, NULL, count, NULL) >= 0 &&
                H5Dwrite(h5->set, h5->type, memory, space, H5P_DEFAULT, values) >= 0;
    if (memory >= 0)
        H5Sclose(memory);
    if (space >= 0)
        H5Sclose(space);
    h5->rows += rows;
    if (!fine)
        snprintf(problem, 512, "HDF5 could not write %llu rows", (unsigned long long)h5->rows);
    return fine;
}

bool h5_describe(struct h5_out *h5, const char *name, const char *text)
{
    if (!text || !*text)
        return true;
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR), attribute = -1;
    if (type >= 0 && space >= 0 && H5Tset_size(type, strlen(text)) >= 0 && H5Tset_cset(type, H5T_CSET_UTF8) >= 0 &&
        H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0)
        attribute = H5Acreate2(h5->set, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool fine = attribute >= 0 && H5Awrite(attribute, type, text) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    if (space >= 0)
        H5Sclose(space);
    if (type >= 0)
        H5Tclose(type);
    return fine;
}

bool h5_finish(struct h5_out *h5)
{
    if (!h5)
        return false;
    bool fine = h5->set >= 0 && H5Dclose(h5->set) >= 0;
    if (h5->file >= 0)
        fine &= H5Fclose(h5->file) >= 0;
    free(h5);
    return fine;
}

#else

struct h5_out {
    char none;
};

struct h5_out *h5_create(const char *path, const char *name, size_t cols, int item, char problem[512])
{
    snprintf(problem, 512, "this twinctl was built without HDF5; .npy and .csv can be written");
    return NULL;
}

bool h5_append(struct h5_out *h5, const void *values, size_t rows, char problem[512])
{
    return false;
}

bool h5_describe(struct h5_out *h5, const char *name, const char *text)
{
    return false;
}

bool h5_finish(struct h5_out *h5)
{
    return false;
}

#endif
