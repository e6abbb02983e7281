#!/usr/bin/python3
"""Measures twin beside its peers and against the machine's limits. scripts/bench builds what this needs.

Every part prints tables of Markdown; the last says what was asked for and what is reached. Nothing is failed for being
slow; a result that is wrong, or a peer that does not run, ends the run with exit status 1.
"""
import argparse
import json
import pathlib
import sys
import tempfile
import time

import flows
import ingest
import loop
import rest
import start
from common import Failed, Report, Setting, machine, progress

PARTS = {"flows": flows.run, "ingest": ingest.run, "http": rest.run, "start": start.run, "loop": loop.run}
BEGIN, END = "<!-- what scripts/bench wrote -->", "<!-- the end of it -->"
CROSS = "2x128,6x128,64x128,16x32,16x64,16x512"


def shapes(text):
    if text == "grid":
        text = ",".join(f"{d}x{h}" for d in (2, 6, 16, 64) for h in (32, 64, 128, 512))
    return [flows.Shape(*map(int, part.split("x"))) for part in (CROSS if text == "cross" else text).split(",") if part]


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", default=list(PARTS),
                        help=f"of {', '.join(PARTS)}; all of them unless named")
    parser.add_argument("--quick", action="store_true", help="a moment for each figure, and no peers: does it run, do results agree?")
    parser.add_argument("--no-peers", action="store_true", help="without the other libraries")
    parser.add_argument("--prepare", action="store_true", help="only what needs no quiet machine: peers are compiled for the shapes")
    parser.add_argument("--rounds", type=int, help="of the main table (5)")
    parser.add_argument("--shapes", default="cross", help="of the table of other shapes: cross (features and width changed "
                        "one at a time), grid (4 × 4 of them), or FEATURESxHIDDEN,…")
    parser.add_argument("--core", type=int, help="on which the measured process runs (the last one)")
    parser.add_argument("--build", default="build-bench", help="folder of the programs")
    parser.add_argument("--write", metavar="FILE", help="replace the marked block of this file by the tables")
    parser.add_argument("--json", metavar="FILE", help="all numbers")
    options = parser.parse_args()
    for part in options.parts:
        if part not in PARTS:
            parser.error(f"there is no part {part}; there are {', '.join(PARTS)}")
    options.shapes = shapes("6x32" if options.quick and options.shapes == "cross" else options.shapes)
    return options


def replace_block(path, text):
    page = pathlib.Path(path)
    before, mark, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        raise Failed(f"{path} has no block between {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main():
    options, report = arguments(), Report()
    pathlib.Path(options.build).mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=options.build) as scratch: # on a disk, not in memory
        setting = Setting(options, scratch)
        if options.prepare:
            flows.prepare(setting)
            return 0
        for line in machine(setting):
            report.words(line)
        took = []
        try:
            for part in options.parts:
                begin = time.monotonic()
                PARTS[part](setting, report)
                took.append(f"{part} {time.monotonic() - begin:.0f} s")
                progress(took[-1])
        except Failed as failed:
            print(f"scripts/bench: {failed}", file=sys.stderr)
            return 1
    report.heading("What was asked for, and what is reached")
    report.table(["", "measured", "asked", "reached"], report.goals)
    report.words(f"Times: {', '.join(took)}.")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(report.numbers))
    if options.write:
        replace_block(options.write, "\n".join(report.lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
