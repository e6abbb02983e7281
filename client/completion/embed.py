#!/usr/bin/env python3
"""Writes files as one C file of strings: embed.py OUT.c NAME=FILE ..."""
import sys

with open(sys.argv[1], "w") as out:
    out.write('#include "client/completion/scripts.h"\n')
    for item in sys.argv[2:]:
        name, path = item.split("=", 1)
        with open(path, "rb") as f:
            data = f.read() + b"\0"
        rows = [",".join(map(str, data[i:i + 24])) for i in range(0, len(data), 24)]
        out.write(f"const char scripts_{name}[] = {{\n" + ",\n".join(rows) + "\n};\n")
