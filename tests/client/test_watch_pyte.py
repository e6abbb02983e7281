"""twinctl watch as pyte, a terminal in Python by others, shows it: what our own screen shows, in the same colours."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import pypi

pypi.need("pyte")
import pyte

from cases import run, same
from test_watch import Daemon, iteration, watching

COLOURS = {"default": "", "green": "32", "brown": "33", "red": "1;31"}


def test_same_screen():
    """two screens that know nothing of each other agree, cell by cell, also after a decision and a change of twins"""
    with Daemon() as http:
        http.windows.append(iteration(6, 1e-9, "retuning"))
        t = watching(http, "zmumu").shows("retuning")
        http.windows[-1] = iteration(6, 1e-9, "promoted", "version 4 — ± 0.1 %")
        t.shows("version 4 — ± 0.1 %").type("n").shows("All is well with ttbar.").type("n").shows("All is well with zmumu.")
        t.type("p").shows("paused")
        theirs = pyte.Screen(t.screen.columns, t.screen.rows)
        pyte.ByteStream(theirs).feed(t.raw)
        same([line.rstrip() for line in theirs.display], t.screen.lines())
        for row in range(t.screen.rows):
            cells = [theirs.buffer[row][column] for column in range(t.screen.columns)]
            ours = ["" if paint == "1" else paint for paint in t.screen.colour[row]]
            same([COLOURS[cell.fg] if cell.data != " " else "" for cell in cells],
                 [paint if cell.data != " " else "" for paint, cell in zip(ours, cells)], f"colours of row {row}")
        same(t.type("q").end(), 0)


if __name__ == "__main__":
    run(sys.modules[__name__])
