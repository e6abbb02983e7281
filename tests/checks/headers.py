"""Every header compiles alone; those of the product also twice."""
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor

from tap import ROOT, Tap, c_files, expect

COMMAND = ["gcc", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wno-unused-parameter", "-Werror",
           "-fsyntax-only", "-I", ROOT, "-I", os.path.join(ROOT, "src"), "-x", "c", "-"]


def pkg_config():
    """Where the libraries of Debian keep their headers."""
    found = subprocess.run(["pkg-config", "--cflags", "jansson", "libzmq", "sqlite3", "libmicrohttpd", "libcurl",
                            "openblas", "libsodium"], capture_output=True, text=True)
    return found.stdout.split()


def compiles(text, flags):
    """What the compiler says, nothing if it is content."""
    return subprocess.run(COMMAND[:-3] + flags + COMMAND[-3:], input=text, capture_output=True, text=True).stderr


def wrong(name, flags):
    times = 1 if name.startswith("tests/") else 2
    said = compiles(f'#include "{name}"\n' * times, flags)
    first = re.search(r".*error.*", said)
    return [first[0] if first else said.strip().splitlines()[0]] if said else []


def main():
    tap = Tap()
    flags = pkg_config()
    tap.case("a header that needs another one is found",
             expect("alone", bool(compiles("size_t missing(void);\n", flags)), True)
             + expect("fine", compiles("#include <stddef.h>\nsize_t there(void);\n", flags), ""))
    headers = c_files("src", "proto", "sql", "daemon", "client", "bench", "tests", ends=(".h",))
    tap.case("there are headers", [] if headers else ["none"])
    with ThreadPoolExecutor(2) as pool:
        for name, what in zip(headers, pool.map(lambda h: wrong(h, flags), headers)):
            tap.case(f"{name} compiles alone", what)
    tap.finish()


main()
