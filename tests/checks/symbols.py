"""foo.c exports only foo_*, with tw_ in front in src and twp_ in proto; src and proto have no state and do not print.

    symbols.py BUILD

What foo.h declares may be spread over foo.c and foo_*.c, so that foo_bar.c may also export foo_*, if foo.h is there.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile

from tap import ROOT, Tap, expect

PREFIX = {"src": "tw_", "proto": "twp_", "daemon": "", "client": "", "bench": ""}
# Libraries return codes: what they may not call, and the one place that may.
SILENT = ("src", "proto")
FORBIDDEN = re.compile(r"^(v?printf|__v?printf_chk|puts|putchar|perror|stdout|stderr|v?syslog|sd_journal_\w+|exit|_exit|"
                       r"pthread_create|fork|system|popen)$")
MAY_CALL = {("src/base/pool.c", "pthread_create")}
STATE = {".data", ".bss", ".tdata", ".tbss"}
MAY_KEEP = {  # constant once they are filled, under a once
    ("src/base/crc32c.c", "table"), ("src/base/crc32c.c", "table_once"),
    ("src/base/sha256.c", "usable"), ("src/base/sha256.c", "usable_once"),
    ("src/kernel/tables.c", "tables"), ("src/kernel/tables.c", "count"), ("src/kernel/tables.c", "details"),
    ("src/kernel/tables.c", "once"),
}


def rows(library):
    """(object, symbol, kind, section) of everything in a static library."""
    text = subprocess.run(["nm", "--format=sysv", library], capture_output=True, text=True, check=True).stdout
    member = None
    for line in text.splitlines():
        if line.startswith(("Symbols from ", "Undefined symbols from ")):
            member = line.split(" from ")[1].rstrip(":")
            member = member[member.index("[") + 1:member.rindex("]")] if "[" in member else os.path.basename(member)
            continue
        fields = [f.strip() for f in line.split("|")]
        if len(fields) == 7 and fields[0] != "Name":
            yield os.path.basename(member), fields[0], fields[2], fields[6]


def source_of(member):
    """The source of an object as meson names it."""
    name = member[:-2] if member.endswith(".o") else member
    return name.removeprefix("meson-generated_.._")


def allowed_names(folder, source, root=ROOT):
    """The names that a source may export or begin its exports with."""
    stem = os.path.splitext(os.path.basename(source))[0]
    parts = stem.split("_")
    shorter = ["_".join(parts[:n]) for n in range(1, len(parts))]
    here = os.path.join(root, os.path.dirname(source))
    return [PREFIX[folder] + name for name in [stem] + [n for n in shorter if os.path.exists(os.path.join(here, n + ".h"))]]


def wrong_name(folder, source, symbol):
    """True if a global symbol does not carry the name of its file."""
    return not any(symbol == a or symbol.startswith(a + "_") for a in allowed_names(folder, source))


def look(library, folder, layer):
    """Sentences about a library: names, calls, state."""
    names, calls, state, exported = [], [], [], 0
    for member, symbol, kind, section in rows(library):
        source = f"{layer}/{source_of(member)}"
        if symbol.startswith(("__asan", "__ubsan", "__tsan", "__odr_asan", "_GLOBAL_")):
            continue
        if kind == "U" and folder in SILENT and FORBIDDEN.match(symbol) and (source, symbol) not in MAY_CALL:
            calls.append(f"{source}: calls {symbol}")
        if kind in "TDBRCVWuG" and kind != "U":
            exported += 1
            if not source.endswith("/main.c") and wrong_name(folder, source, symbol):
                names.append(f"{source}: exports {symbol}")
        if folder in SILENT and section in STATE and kind in "dDbBC" and (source, symbol) not in MAY_KEEP:
            state.append(f"{source}: keeps state in {symbol}")
    return names, calls, state, exported


def self_test(tap):
    text = ("int tw_good_one(void);\nint tw_good_one(void)\n{\n return 1;\n}\n"
            "int other(void);\nint other(void)\n{\n return 1;\n}\nint tw_goodness;\n"
            "static int kept;\nint tw_good(void);\nint tw_good(void)\n{\n __builtin_printf(\"%d\", kept++);\n return kept;\n}\n"
            "static const char *const table[] = {\"a\", \"b\"};\nconst char *tw_good_name(int i);\n"
            "const char *tw_good_name(int i)\n{\n return table[i];\n}\n")
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "good.c"), "w") as f:
            f.write(text)
        run = lambda *command: subprocess.run(command, check=True, cwd=folder)
        run("gcc", "-fPIC", "-fno-builtin", "-O2", "-c", "good.c", "-o", "good.c.o")
        run("ar", "rcs", "libgood.a", "good.c.o")
        names, calls, state, exported = look(os.path.join(folder, "libgood.a"), "src", "src/x")
    tap.case("a foreign name, a print and a state are found",
             expect("names", sorted(names), ["src/x/good.c: exports other", "src/x/good.c: exports tw_goodness"])
             + expect("calls", calls, ["src/x/good.c: calls printf"])
             + expect("state", sorted(state), ["src/x/good.c: keeps state in kept",
                                               "src/x/good.c: keeps state in tw_goodness"])
             + expect("exported", exported, 5))
    tap.case("a module in several files", expect("names", allowed_names("src", "src/base/status_more.c"),
                                                 ["tw_status_more", "tw_status"]))


def main():
    build = sys.argv[1]
    tap = Tap()
    self_test(tap)
    libraries = sorted(glob.glob(os.path.join(build, "**", "lib*.a"), recursive=True))
    total = 0
    for library in libraries:
        layer = os.path.relpath(os.path.dirname(library), build)
        folder = layer.split("/")[0]
        if folder not in PREFIX or not glob.glob(library + ".p/*.o"):  # made of other libraries
            continue
        names, calls, state, exported = look(library, folder, layer)
        total += exported
        where = os.path.relpath(library, build)
        tap.case(f"{where}: a file exports only its own name", names)
        if folder in SILENT:
            tap.case(f"{where}: neither prints nor ends the process nor starts threads", calls)
            tap.case(f"{where}: keeps no state", state)
    tap.case("there are exported symbols", [] if total else ["none"])
    tap.finish()


main()
