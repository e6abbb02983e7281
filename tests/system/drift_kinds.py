"""Kinds of drift: what can happen to an experiment, done to rows of Z -> mu mu + jet events that nothing has happened to.

A kind turns undisturbed rows into what the feed sends. `age` runs from 0, when the change begins, to 1 at the end of the
stream; only kinds that creep or go away look at it.
"""
import json
import pathlib

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
COLUMNS = ["mum_pt", "mum_eta", "mum_phi", "mup_pt", "mup_eta", "mup_phi", "j1_pt", "j1_eta", "j1_phi", "j1_m"]
MUON_PT, MUON_PHI = [0, 3], [2, 5]
PERSISTS = 0.7  # drift that returns is there for so much of the stream


class Kind:
    """`disturb(rows, age, rng)` may return fewer rows than it gets. `names`: columns of which one at least has to be
    named, none: anything that is named will do. `should`: what the loop should do about it: learn, advise and not learn,
    nothing. `fed`: so many events a daemon gets of it, or what there is."""

    def __init__(self, name, title, disturb, names=(), should="learn", source=None, fed=30000):
        self.name, self.title, self.disturb = name, title, disturb
        self.names, self.should, self.source, self.fed = set(names), should, source, fed


def scaled(factor):
    def disturb(rows, age, rng):
        rows[:, MUON_PT] *= factor
        return rows
    return disturb


def smeared(width):
    def disturb(rows, age, rng):
        rows[:, MUON_PT] *= 1 + width * rng.standard_normal((len(rows), 2))
        return rows
    return disturb


def dead(rows, age, rng):
    """Muons at phi from 1.0 to 1.4 are lost, and events with them."""
    return rows[~((rows[:, MUON_PHI] > 1.0) & (rows[:, MUON_PHI] < 1.4)).any(1)]


def background(share):
    """Pairs of muons that have nothing to do with each other: each from an event of its own, far from the peak."""
    def disturb(rows, age, rng):
        new = rng.random(len(rows)) < share
        rows[np.ix_(new, [0, 1, 2])] = rows[rng.permutation(len(rows))][np.ix_(new, [0, 1, 2])]
        return rows
    return disturb


def resonance(share, mass, width):
    def disturb(rows, age, rng):
        new = rng.random(len(rows)) < share
        target = mass + width * rng.standard_normal(new.sum())
        rows[np.ix_(new, MUON_PT)] *= (target / dimuon_mass(rows[new]))[:, None]
        return rows
    return disturb


def dimuon_mass(rows):
    pt1, eta1, phi1, pt2, eta2, phi2 = rows[:, :6].T.astype(float)
    return np.sqrt(2 * pt1 * pt2 * (np.cosh(eta1 - eta2) - np.cos(phi1 - phi2)))


def creeping(rows, age, rng):
    rows[:, MUON_PT] *= 1 + 0.01 * age[:, None]
    return rows


def returning(rows, age, rng):
    rows[np.ix_(age < PERSISTS, MUON_PT)] *= 1.01
    return rows


def mixed(rows, age, rng):
    rows[np.ix_(rng.random(len(rows)) < 0.5, MUON_PT)] *= 1.02
    return rows


def unchanged(rows, age, rng):
    return rows


MOMENTUM = {"mum_pt", "mup_pt", "m_mumu", "pt_mumu"}

KINDS = [
    Kind("scale_05", "momentum scale +0.5 %", scaled(1.005), ["m_mumu"], fed=50000),
    Kind("scale_10", "momentum scale +1 %", scaled(1.01), ["m_mumu"], fed=50000),
    Kind("resolution", "momentum resolution 2 % worse", smeared(0.02), ["m_mumu"], fed=50000),
    Kind("dead", "dead region in φ of 0.4 rad, 13 % of events lost", dead, ["mum_phi", "mup_phi"], should="advise"),
    Kind("background", "1 % of a new background: unrelated muons", background(0.01), MOMENTUM | {"dr_mumu", "high_mass"},
         should="advise"),
    Kind("resonance", "1 % of a new background: pairs at 150 GeV", resonance(0.01, 150, 2), ["high_mass"],
         should="advise"),
    # It makes more and harder second jets; of the columns of leading jet and muons no mean moves by three standard errors
    # in 40,000 events.
    Kind("alpha_s", "α_s of the shower 0.1365 → 0.150, seen by the leading jet alone", unchanged, should="nothing",
         source="alphaS", fed=50000),
    Kind("multiparton", "multiparton interactions on", unchanged, ["j1_m"], source="mpi_on", fed=50000),
    Kind("slow", "momentum scale creeping to +1 %", creeping, ["m_mumu"]),
    # The peak moves by twice its width: that is not for a loop to learn, and far beyond loop.max_distance.
    Kind("step", "sudden step: momentum scale +5 %", scaled(1.05), ["m_mumu"], should="advise"),
    Kind("returns", "momentum scale +1 % that goes away", returning, ["m_mumu"], fed=50000),
    Kind("mixture", "half of each batch at scale +2 %", mixed, ["m_mumu"]),
]


def definition():
    """The shipped twin, and one more observable: a region in which there is little, and that somebody looks at."""
    shipped = json.loads((ROOT / "data" / "zjets.json").read_text())
    return {**shipped, "observables": [*shipped["observables"], {"name": "high_mass", "expression": "m_mumu > 120"}]}


def undisturbed():
    return np.load(ROOT / "data" / "zjets_nominal.npy")


def source(kind, nominal, folder):
    """Rows that the kind starts from, None where they are not at hand: `nominal`, or events of another simulation, which
    for a changed alpha_s are not shipped but may lie in `folder`."""
    if kind.source is None:
        return nominal
    if kind.source == "mpi_on":
        return np.load(ROOT / "data" / "zjets_mpi_on.npy")
    path = pathlib.Path(folder) / f"zjets_drift_{kind.source}.npy"
    return np.load(path)[:, 1:11] if path.exists() else None  # the count of jets goes before, further jets after


def stream(kind, rows, seed):
    rows = np.array(rows)
    age = np.arange(len(rows)) / max(1, len(rows))
    return np.ascontiguousarray(kind.disturb(rows, age, np.random.default_rng(seed)), np.float32)
