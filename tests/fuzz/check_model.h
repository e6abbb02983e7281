/* What holds for every model that loads, whatever its numbers are. */
#ifndef TESTS_FUZZ_CHECK_MODEL_H
#define TESTS_FUZZ_CHECK_MODEL_H

#include <stddef.h>

/* Loads an artifact. Refused: TW_CORRUPT with a sentence. Loaded: log_prob is finite or -inf, scores and samples are
 * made, and saving gives an artifact that loads and saves to the same bytes. */
void check_model(const unsigned char *bytes, size_t size);

#endif
