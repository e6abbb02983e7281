"""Quantities of the particles of one event, by their PDG numbers and rank in pt."""
from __future__ import annotations

import math
import re
from typing import Callable, NamedTuple

import numpy as np

from .arrays import Floats


class Particles(NamedTuple):
    """Of the final state: arrays (particles), in GeV."""

    pid: Floats
    px: Floats
    py: Floats
    pz: Floats
    e: Floats


Momentum = Callable[[float, float, float, float], float]


def _rapidity(pz: float, e: float) -> float:
    """artanh(pz / e); infinite for what flies along the beam without a mass."""
    return math.atanh(pz / e) if abs(pz) < e else math.copysign(math.inf, pz)


QUANTITIES: dict[str, Momentum] = {
    "px": lambda px, py, pz, e: px,
    "py": lambda px, py, pz, e: py,
    "pz": lambda px, py, pz, e: pz,
    "e": lambda px, py, pz, e: e,
    "p": lambda px, py, pz, e: math.sqrt(px * px + py * py + pz * pz),
    "pt": lambda px, py, pz, e: math.hypot(px, py),
    "eta": lambda px, py, pz, e: math.asinh(pz / math.hypot(px, py)) if px or py else math.copysign(math.inf, pz),
    "phi": lambda px, py, pz, e: math.atan2(py, px),
    "y": lambda px, py, pz, e: _rapidity(pz, e),
    "m": lambda px, py, pz, e: math.sqrt(max(e * e - px * px - py * py - pz * pz, 0.0)),
}

_SYNTAX = re.compile(r"(\w+)\(\s*(-?\d+(?:\s*\|\s*-?\d+)*)\s*(?:,\s*(\d+)\s*)?\)")


class Quantity:
    """ "pt(13)", "eta(11|13, 1)": a quantity of the particle that is so-manieth in pt (from 0) among those with one of the
    PDG numbers. Called with the particles of an event, it is NaN where there is none. ValueError: it is not so written."""

    def __init__(self, text: str) -> None:
        found = _SYNTAX.fullmatch(text.strip())
        if found is None or found[1] not in QUANTITIES:
            raise ValueError(f"{text!r} is not written like pt(13) or eta(11|13,1), with one of {', '.join(QUANTITIES)}")
        self._of = QUANTITIES[found[1]]
        self._pids = [int(pid) for pid in found[2].split("|")]
        self._rank = int(found[3] or 0)

    def __call__(self, particles: Particles) -> float:
        chosen = np.flatnonzero(np.isin(particles.pid, self._pids))
        if len(chosen) <= self._rank:
            return math.nan
        pt = np.hypot(particles.px[chosen], particles.py[chosen])
        i = chosen[np.argsort(-pt, kind="stable")[self._rank]]
        return self._of(*(float(component[i]) for component in particles[1:]))
