/* What each fuzz target exports; libFuzzer's name, so that clang -fsanitize=fuzzer can drive the same file. */
#ifndef TESTS_PROTO_FUZZ_H
#define TESTS_PROTO_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property does not hold: unlike assert() it is there in every build. */
#define FUZZ_CHECK(condition) ((condition) ? (void)0 : __builtin_trap())

#endif
