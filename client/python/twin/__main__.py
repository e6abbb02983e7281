"""python -m twin feed TWIN FILE…: ROOT, HepMC and LHE files to a twin (twinctl feeds .npy, .csv and HDF5).
python -m twin yoda TWIN: its histograms."""
from __future__ import annotations

import argparse
import itertools
import os
import sys
from typing import Sequence

from . import Feed, Twin, TwinError, io, yoda


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _condition(text: str) -> tuple[str, float]:
    name, value = _setting(text)
    return name, float(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m twin", description="Files of the field to and from a twin.")
    commands = parser.add_subparsers(required=True)
    feed = commands.add_parser(
        "feed", help="send files", description="Sends files to a twin: .root, .hepmc, .lhe, .npy. The same command "
        "again goes on where the last acknowledgement was.",
        epilog="example: python -m twin feed zmumu run7.root --tree Events --run 7 -c 'mu1_pt=Muon_pt[0]' -c met=MET_pt")
    feed.add_argument("twin")
    feed.add_argument("file", nargs="+")
    feed.add_argument("-c", "--column", type=_setting, action="append", metavar="NAME=WHAT",
                      help="a column: of ROOT a branch, 'Muon_pt[0] / 1000'; of HepMC and LHE a particle, 'pt(13)'")
    feed.add_argument("--tree", help="of ROOT files that have several")
    feed.add_argument("--feed", default="python", help="who sends (python)")
    feed.add_argument("--run", type=int, default=1, help="the data-taking run (1)")
    feed.add_argument("--batch", type=int, default=io.BATCH, help=f"events in a batch ({io.BATCH})")
    feed.add_argument("--weights", action="store_true", help="take the events' weights along (HepMC, LHE)")
    feed.add_argument("--condition", type=_condition, action="append", default=[], metavar="NAME=VALUE",
                      help="a condition of all batches")
    feed.add_argument("--ingest", metavar="ENDPOINT", help="of twind (TWIN_INGEST, tcp://127.0.0.1:8471)")
    feed.set_defaults(run_command=_feed)
    text = commands.add_parser("yoda", help="write histograms", description="Writes the last window of data and samples "
                               "of a twin as YODA text.")
    text.add_argument("twin")
    text.add_argument("-o", "--output", default="-", metavar="FILE", help="where to (standard output)")
    text.add_argument("--bins", type=int, help="of each histogram (40)")
    text.add_argument("--yoda", type=int, choices=(1, 2), default=2, help="version of YODA (2)")
    text.add_argument("--kind", choices=("estimate", "histo"), default="estimate",
                      help="values with errors, or sums of weights (estimate)")
    text.add_argument("--url", help="of twind (TWIN_URL, http://127.0.0.1:8470)")
    text.set_defaults(run_command=_yoda)
    return parser


def _feed(args: argparse.Namespace) -> None:
    columns = dict(args.column) if args.column else None
    batches = itertools.chain.from_iterable(
        io.read(path, columns, tree=args.tree, batch=args.batch, weights=args.weights) for path in args.file)
    with Feed(args.twin, feed=args.feed, run=args.run, endpoint=args.ingest) as feed:
        began = feed.next_seq
        feed.send_all(batches, conditions=dict(args.condition) or None)
    print(f"{feed.next_seq - began} batches sent, {began} were there before", file=sys.stderr)


def _yoda(args: argparse.Namespace) -> None:
    with Twin(args.twin, url=args.url) as twin:
        text = yoda.dumps(twin.histograms(bins=args.bins), args.twin, version=args.yoda, kind=args.kind)
    if args.output == "-":
        sys.stdout.write(text)
    else:
        with open(args.output, "w", encoding="utf-8") as file:
            file.write(text)


def main(arguments: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(arguments)
    try:
        args.run_command(args)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads no further has what was wanted; nothing is left for the end to flush
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (TwinError, OSError, ValueError, KeyError, ImportError) as error:
        print(f"twin: {error.args[0] if isinstance(error, KeyError) else error}", file=sys.stderr)
        return 69 if isinstance(error, ConnectionError) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
