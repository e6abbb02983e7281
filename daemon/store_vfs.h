/* Checksums of database pages: SQLite has none of its own.
 *
 * A VFS over the default one. Where page 1 says that pages have 8 reserved bytes (byte 20 of the file), the last 8 of
 * each page are, little-endian,
 *
 *     u32 CRC32C of the page number and all bytes of the page before these 8      u32 "TWP1"
 *
 * but page 1 has a copy of its change counter (4 bytes at 24) in place of "TWP1".
 *
 * They are computed when a page is written to the main file, which in WAL mode only a checkpoint does, and checked
 * whenever one is read from it. Frames of the WAL have checksums of SQLite. The page number is part of it, so that a
 * page written to the wrong place is found too. What SQLite itself puts into the reserved bytes (nothing) is ignored.
 *
 * A file whose pages have no reserved bytes is read and written as always. Another program that writes to a file leaves
 * the checksums as they were, but raises the change counter whenever it writes page 1: a counter that is not its copy
 * tells that SQLite was at work, not decay, and the checksums are made anew (store_vfs_adopt).
 */
#ifndef DAEMON_STORE_VFS_H
#define DAEMON_STORE_VFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define STORE_VFS "twin"
enum { STORE_VFS_RESERVED = 8 };

/* A file control (sqlite3_file_control, no argument) for a salvage: page 1 may be read whatever its checksum, since
 * without it nothing can. */
enum { STORE_VFS_TRUST_FIRST = 0x7477 };

/* Once for the process; again is harmless. */
int store_vfs_register(struct tw_error *error);

/* A page that does not have its checksum makes the read SQLITE_IOERR_DATA; this tells the last one's file and number.
 * Any thread. */
void store_vfs_last_damage(char *text, size_t size);

/* Has another program written to the file since twind did? */
bool store_vfs_foreign(const char *path);
/* Makes the checksums of all pages right, page 1 last, durable on return; *pages: how many were not. No connection may
 * be open, no WAL be left. */
int store_vfs_adopt(const char *path, uint64_t *pages, struct tw_error *error);

/* Reads the main file from its start, for at most `seconds`, and calls `found` with the number of each page that does
 * not have its checksum; it returns false to stop. Pages that are all zeros, which a file may have where nothing was
 * ever written, are passed over. No connection may be writing. *checked: the file has checksums; *pages: those read. */
int store_vfs_sweep(const char *path, double seconds, bool (*found)(void *context, uint32_t page), void *context,
                    bool *checked, uint64_t *pages, struct tw_error *error);

#endif
