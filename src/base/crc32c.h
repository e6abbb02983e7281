/* CRC32C (Castagnoli), the checksum of spool records. */
#ifndef TW_BASE_CRC32C_H
#define TW_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 to start) over the bytes. */
uint32_t tw_crc32c(uint32_t crc, const void *bytes, size_t size);

/* The same by tables alone: what processors without the instruction run, and what tests compare with. */
uint32_t tw_crc32c_table(uint32_t crc, const void *bytes, size_t size);

#endif
