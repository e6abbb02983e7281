"""Events from the files that the field has, in pieces for a feed:

    feed.send_all(io.read_root("run7.root", "Events", {"mu1_pt": "Muon_pt[0]", "met": "MET_pt / 1000"}))
    feed.send_all(io.read_hepmc("run7.hepmc", {"mum_pt": "pt(13)", "mup_pt": "pt(-13)"}))

ROOT needs uproot and awkward (`twin-client[root]`), HepMC pyhepmc (`[hepmc]`), LHE pylhe (`[lhe]`). Files are read piece
by piece, and each piece has `batch` rows but the last.
"""
from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence, Union

import numpy as np

from ._optional import need
from ._particles import Particles, Quantity
from .arrays import Floats, Table, as_table

__all__ = ["read", "read_npy", "read_root", "read_hepmc", "read_lhe"]

File = Union[str, "os.PathLike[str]"]
Select = Union[Mapping[str, str], Callable[[Any], Union[Mapping[str, float], None]]]
"""names and quantities of particles, or a function that makes the columns of an event, None: the event is left out"""

BATCH = 1000


def read(path: File, columns: Any = None, *, tree: str | None = None, batch: int = BATCH,
         weights: bool = False) -> Iterator[Table]:
    """Reads a file by the end of its name: .npy, .root, .hepmc (.hepmc2, .hepmc3), .lhe; the text formats also with .gz.
    ValueError for others."""
    name = Path(path).name.lower().removesuffix(".gz")
    if name.endswith(".npy"):
        return read_npy(path, columns, batch=batch)
    if name.endswith(".root"):
        return read_root(path, tree, columns, batch=batch)
    if name.endswith((".hepmc", ".hepmc2", ".hepmc3")):
        return read_hepmc(path, columns, batch=batch, weights=weights)
    if name.endswith(".lhe"):
        return read_lhe(path, columns, batch=batch, weights=weights)
    hint = "; twinctl feed sends it" if name.endswith((".csv", ".h5", ".hdf5")) else ""
    raise ValueError(f"{path}: not .npy, .root, .hepmc or .lhe{hint}")


def read_npy(path: File, columns: Sequence[str] | None = None, *, batch: int = BATCH) -> Iterator[Table]:
    """Rows of a .npy file, (rows, columns) or a structured array, which is not read into memory as a whole."""
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:  # NumPy's words propose to load it unsafely
        raise ValueError(f"{path}: not a whole .npy array of numbers") from error
    for first in range(0, len(rows), batch):
        yield as_table(rows[first:first + batch], columns)


# --- ROOT ---

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_BRANCH = re.compile(rf"(?P<name>.+?)\s*(?:\[(?P<index>\d+)\])?\s*(?:(?P<sign>[*/])\s*(?P<factor>{_NUMBER}))?\s*")


def read_root(path: File, tree: str | None = None, columns: Sequence[str] | Mapping[str, str] | None = None, *,
              weight: str | None = None, batch: int = BATCH) -> Iterator[Table]:
    """Rows of a TTree or RNTuple. `tree` may be left out where the file has one.

    columns: names of branches, or names of columns and what each is: a branch "met", the i-th element of a branch that
    has several an event "Muon_pt[0]" (NaN where there are fewer), either of it times or over a number "mu_pt[1] / 1000".
    Without columns: all branches that hold a number an event. weight: the same for the events' weights. Raises KeyError
    where there is no such tree or branch, ValueError for one that holds several numbers and has no index.
    """
    uproot = need("uproot", "root")
    with uproot.open(path) as file:
        source = _tree(file, tree, str(path))
        wanted = _wanted(source, columns)
        parts = {name: _branch(source, what) for name, what in wanted.items()}
        weighted = _branch(source, weight) if weight else None
        branches = {part[0] for part in [*parts.values(), *([weighted] if weighted else [])]}
        for piece in source.iterate(filter_name=lambda name: name in branches, step_size=batch, library="ak"):
            yield as_table({name: _column(piece, part) for name, part in parts.items()},
                           weights=_column(piece, weighted) if weighted else None)


def _tree(file: Any, name: str | None, path: str) -> Any:
    kinds = ("TTree", "ROOT::RNTuple")
    trees = sorted({key.split(";")[0] for key, kind in file.classnames().items() if kind in kinds})
    if name is None and len(trees) == 1:
        return file[trees[0]]
    if name is None:
        raise KeyError(f"{path} has {len(trees)} trees ({', '.join(trees)}): name one")
    if name not in trees:
        raise KeyError(f"{path} has no tree {name!r} among {', '.join(trees) or 'none'}")
    return file[name]


def _wanted(source: Any, columns: Sequence[str] | Mapping[str, str] | None) -> Mapping[str, str]:
    if isinstance(columns, Mapping):
        return columns
    if columns is not None:
        return {name: name for name in columns}
    return {name: name for name in source.keys() if re.fullmatch(r"u?int\d+_t|float|double|bool", _type(source, name))}


def _type(source: Any, name: str) -> str:
    return str(source[name].typename)


def _branch(source: Any, what: str) -> tuple[str, int | None, float]:
    """Branch, index, factor of "Muon_pt[0] / 1000"."""
    found = _BRANCH.fullmatch(what)
    if found is None:
        raise KeyError(f"{what!r} is no branch")
    name = found["name"]
    if name not in source.keys():
        raise KeyError(f"no branch {name!r} among {', '.join(source.keys())}")
    factor = float(found["factor"] or 1)
    return name, int(found["index"]) if found["index"] else None, 1 / factor if found["sign"] == "/" else factor


def _column(piece: Any, part: tuple[str, int | None, float]) -> Floats:
    awkward = need("awkward", "root")
    name, index, factor = part
    values = piece[name]
    if values.ndim > 1 and index is None:
        raise ValueError(f"branch {name!r} holds several numbers an event: choose one, such as {name}[0]")
    if values.ndim > 1:
        values = awkward.pad_none(values, index + 1, axis=1)[:, index]  # type: ignore[operator]
    elif index is not None:
        raise ValueError(f"branch {name!r} holds one number an event, which has no index")
    column = np.asarray(awkward.to_numpy(awkward.fill_none(values, np.nan)))
    return column if factor == 1 else column * column.dtype.type(factor) if column.dtype.kind == "f" else column * factor


# --- particles ---


def read_hepmc(path: File, columns: Select, *, batch: int = BATCH, weights: bool = False) -> Iterator[Table]:
    """Rows of a HepMC file (2 or 3, text), one an event.

    columns: names and quantities of final-state particles: "pt(13)" of the muon with the highest pt, "eta(11|13,1)" of
    the second among electrons and muons; px, py, pz, e, p, pt, eta, phi, y and m, in GeV and radians; NaN where there is
    none. Or a function that takes the pyhepmc event and makes a dictionary of columns, None: the event is left out.
    weights: of the events, the first of each.
    """
    pyhepmc = need("pyhepmc", "hepmc")

    def particles(event: Any) -> Particles:
        of = event.numpy.particles
        scale = 1e-3 if event.momentum_unit == pyhepmc.Units.MomentumUnit.MEV else 1.0
        final = of.status == 1
        return Particles(of.pid[final], *(scale * np.asarray(v)[final] for v in (of.px, of.py, of.pz, of.e)))

    with pyhepmc.open(os.fspath(path)) as file:
        yield from _rows(file, columns, particles, (lambda event: event.weights[0]) if weights else None, batch)


def read_lhe(path: File, columns: Select, *, batch: int = BATCH, weights: bool = False) -> Iterator[Table]:
    """Rows of a Les Houches file, one an event. Arguments are those of `read_hepmc`; a function takes the pylhe event."""
    pylhe = need("pylhe", "lhe")

    def particles(event: Any) -> Particles:
        final = [p for p in event.particles if p.status == 1]
        return Particles(np.array([p.id for p in final], int),
                         *(np.array([getattr(p, name) for p in final], float) for name in ("px", "py", "pz", "e")))

    events = pylhe.LHEFile.fromfile(os.fspath(path)).events
    yield from _rows(events, columns, particles, (lambda event: event.eventinfo.weight) if weights else None, batch)


def _rows(events: Iterable[Any], columns: Select, particles: Callable[[Any], Particles],
          weight: Callable[[Any], float] | None, batch: int) -> Iterator[Table]:
    if callable(columns):
        select = columns
    else:
        quantities = {name: Quantity(text) for name, text in columns.items()}

        def select(event: Any) -> Mapping[str, float]:
            of = particles(event)
            return {name: quantity(of) for name, quantity in quantities.items()}

    names: tuple[str, ...] | None = None
    rows: list[list[float]] = []
    weights: list[float] = []
    for event in events:
        made = select(event)
        if made is None:
            continue
        names = names or tuple(made)
        if set(made) != set(names):
            raise ValueError(f"an event has columns {', '.join(made)} where others have {', '.join(names)}")
        rows.append([made[name] for name in names])
        if weight:
            weights.append(weight(event))
        if len(rows) == batch:
            yield _table(rows, names, weights)
            rows, weights = [], []
    if rows and names:
        yield _table(rows, names, weights)


def _table(rows: list[list[float]], names: tuple[str, ...], weights: list[float]) -> Table:
    return Table(np.array(rows, np.float32), names, np.array(weights) if weights else None)
