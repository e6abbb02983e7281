/* The migrations of twin.db, in order: migration i brings the schema from version i to i + 1. Generated from the .sql
 * files of this folder at build. */
#ifndef SQL_MIGRATIONS_H
#define SQL_MIGRATIONS_H

struct sql_migration {
    const char *name; /* 0001_initial */
    const char *text;
};

extern const struct sql_migration sql_migrations[];
extern const int sql_migrations_count;

#endif
