"""Writes the migrations as C strings: embed.py OUT.c 0001_name.sql 0002_name.sql ..."""
import pathlib
import sys


def main():
    out, *sources = sys.argv[1:]
    lines = ['#include "sql/migrations.h"', '', 'const struct sql_migration sql_migrations[] = {']
    for number, source in enumerate(map(pathlib.Path, sources), 1):
        if not source.name.startswith(f'{number:04}_'):
            sys.exit(f'{source.name}: migrations are numbered without a gap; expected {number:04}_*.sql')
        lines.append(f'    {{"{source.stem}",')
        for line in source.read_text(encoding='ascii').splitlines():
            quoted = line.replace('\\', '\\\\').replace('"', '\\"')
            lines.append(f'     "{quoted}\\n"')
        lines[-1] += '},'
    lines += ['};', f'const int sql_migrations_count = {len(sources)};', '']
    pathlib.Path(out).write_text('\n'.join(lines), encoding='ascii')


main()
