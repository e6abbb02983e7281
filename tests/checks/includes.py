"""Directories are layers: who may include whom, as docs/ARCHITECTURE.md draws it."""
import re

from tap import Tap, c_files, expect, read

LIBRARY = ["base", "kernel", "nn", "flow", "hep", "model", "stat"]  # each may include those before it
APART = {"flow": {"hep"}, "hep": {"flow"}}  # but not these
PROGRAMS = {
    "proto": {"proto"},
    "sql": {"sql"},
    "daemon": {"daemon", "proto", "sql", *LIBRARY},
    "client": {"client", "proto"},
    "bench": {"bench", "proto", *LIBRARY},
}
LAYERS = {*LIBRARY, *PROGRAMS}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)


def layer_of(name):
    parts = name.split("/")
    return parts[1] if parts[0] == "src" and len(parts) > 2 else parts[0]


def allowed(layer):
    if layer in LIBRARY:
        return set(LIBRARY[:LIBRARY.index(layer) + 1]) - APART.get(layer, set())
    return PROGRAMS.get(layer, set())


def wrong_includes(name, text):
    """Sentences about the includes of a file that point where they may not."""
    wrong = []
    layer = layer_of(name)
    if layer not in LAYERS:
        return [f"{name}: {layer} is no layer that this check knows"]
    for quote, target in INCLUDE.findall(text):
        first = target.split("/")[0]
        if "/" in target and first in LAYERS:
            if first not in allowed(layer):
                wrong.append(f"{name}: {layer} may not include {target}")
        elif quote == '"':
            wrong.append(f'{name}: "{target}" has to be written as "layer/file.h"')
    return wrong


def main():
    tap = Tap()
    examples = [
        ("src/base/a.c", '#include "kernel/kernel.h"\n', 1), ("src/nn/a.c", '# include <flow/flow.h>\n', 1),
        ("proto/a.h", '#include "base/crc32c.h"\n', 1), ("client/a.c", '#include "daemon/api.h"\n', 1),
        ("src/stat/a.c", '#include "ks.h"\n', 1), ("src/stat/a.c", '#include "daemon/api.h"\n', 1),
        ("src/other/a.c", "", 1), ("src/hep/a.c", '#include "flow/masks.h"\n', 1),
        ("src/stat/a.c", '#include "stat/ks.h"\n#include "base/rng.h"\n#include <math.h>\n#include <sys/stat.h>\n', 0),
        ("daemon/a.c", '#include "proto/frame.h"\n#include "model/model.h"\n', 0),
    ]
    tap.case("upward and unknown includes are found",
             [w for name, text, n in examples for w in expect(name, len(wrong_includes(name, text)), n)])
    files = c_files("src", "proto", "sql", "daemon", "client", "bench")
    tap.case("there are files to look at", [] if files else ["none"])
    for layer in [*LIBRARY, *PROGRAMS]:
        mine = [f for f in files if layer_of(f) == layer]
        tap.case(f"{layer} includes only what it may", [w for f in mine for w in wrong_includes(f, read(f))])
    tap.case("every file is in a layer",
             [f"{f}: no layer" for f in files if layer_of(f) not in LAYERS])
    tap.finish()


main()
