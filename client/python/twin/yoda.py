"""Histograms as YODA text, for Rivet and its tools: `write("zmumu.yoda", Twin("zmumu").histograms(), "zmumu")`.

Samples go to /TWIN/<twin>/<feature> and data to /REF/TWIN/<twin>/<feature>, where Rivet looks for what to compare with.
As `estimate` they are what they are, values with their errors: ESTIMATE1D_V3 of YODA 2, with the statistical and, for an
ensemble, the model's error apart, or SCATTER2D_V2 of YODA 1, with their squares summed. As `histo` they are sums of
weights, HISTO1D_V3 or HISTO1D_V2, which can be scaled, merged and rebinned; x within a bin is then taken for its middle,
and the error of the model is left out. Estimates are densities, sums of weights over the width of a bin, as Rivet draws.
"""
from __future__ import annotations

import json
import os
import re
from typing import Iterable, Literal, Union

import numpy as np

from .answers import Bins, Histogram
from .arrays import Floats

__all__ = ["dumps", "write"]

Kind = Literal["estimate", "histo"]


def write(path: Union[str, "os.PathLike[str]"], histograms: Iterable[Histogram], twin: str, *,
          version: Literal[1, 2] = 2, kind: Kind = "estimate") -> None:
    """Writes `dumps` to a file."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(dumps(histograms, twin, version=version, kind=kind))


def dumps(histograms: Iterable[Histogram], twin: str, *, version: Literal[1, 2] = 2, kind: Kind = "estimate") -> str:
    """The text. version: of YODA. ValueError for another version or kind."""
    form = {(1, "estimate"): _scatter, (2, "estimate"): _estimate, (1, "histo"): _histo_v2,
            (2, "histo"): _histo_v3}.get((version, kind))
    if form is None:
        raise ValueError(f"no YODA {version} {kind}: version is 1 or 2, kind estimate or histo")
    parts = []
    for histogram in histograms:
        at = f"/TWIN/{_word(twin)}/{_word(histogram.feature)}"
        parts.append(form(f"/REF{at}", histogram, histogram.data))
        parts.append(form(at, histogram, histogram.samples))
    return "\n".join(parts)


def _word(name: str) -> str:
    return re.sub(r"[^\w.+-]", "_", name)


def _object(tag: str, path: str, histogram: Histogram, kind: str, lines: Iterable[str]) -> str:
    unit = "" if histogram.unit in (None, "", "1") else f" [{histogram.unit}]"
    head = [f"BEGIN YODA_{tag} {path}", f"Path: {path}", f"Title: {_line(histogram.feature)}", f"Type: {kind}",
            f"XLabel: {_line(histogram.feature + unit)}"]
    if path.startswith("/REF/"):
        head.append("IsRef: 1")
    return "\n".join([*head, "---", *lines, f"END YODA_{tag}"]) + "\n"


def _line(text: str) -> str:
    """A value of YAML: in quotes where it is not plain."""
    return text if re.fullmatch(r"\w[\w .+()/^\[\]-]*", text) else json.dumps(text)


def _numbers(*values: float) -> str:
    return "\t".join(f"{value:.9e}" for value in values)


def _edges(histogram: Histogram) -> str:
    return f"Edges(A1): [{', '.join(f'{edge:.9e}' for edge in histogram.edges)}]"


def _estimate(path: str, histogram: Histogram, bins: Bins) -> str:
    width = np.diff(histogram.edges)
    errors = {"stats": bins.errors / width}
    if bins.model_errors is not None:
        errors["model"] = bins.model_errors / width
    labels = ", ".join(f'"{name}"' for name in errors)
    heads = "\t".join(f"errDn({i})\terrUp({i})" for i in range(1, len(errors) + 1))
    nothing = "nan" + "\t---\t---" * len(errors)  # under and over have no width
    lines = [_edges(histogram), f"ErrorLabels: [{labels}]", f"# value\t{heads}", nothing]
    for i, value in enumerate(bins.values / width):
        lines.append(_numbers(value, *(sign * each[i] for each in errors.values() for sign in (-1, 1))))
    return _object("ESTIMATE1D_V3", path, histogram, "Estimate1D", [*lines, nothing])


def _scatter(path: str, histogram: Histogram, bins: Bins) -> str:
    half = np.diff(histogram.edges) / 2
    error = bins.errors if bins.model_errors is None else np.hypot(bins.errors, bins.model_errors)
    lines = ["# xval\txerr-\txerr+\tyval\tyerr-\tyerr+"]
    for x, dx, y, dy in zip(histogram.edges[:-1] + half, half, bins.values / (2 * half), error / (2 * half)):
        lines.append(_numbers(x, dx, dx, y, dy, dy))
    return _object("SCATTER2D_V2", path, histogram, "Scatter2D", lines)


def _sums(histogram: Histogram, bins: Bins) -> Floats:
    """(bins + 2, 5): sum of w, w^2, w x, w x^2, and the number of entries, of what lies under, each bin, what lies over.
    Outside the bins, weights are taken to be such as they are in them on average."""
    inside = bins.values.sum()
    square = (bins.errors**2).sum() / inside if inside else 1.0
    w = np.concatenate([[bins.under], bins.values, [bins.over]])
    w2 = np.concatenate([[bins.under * square], bins.errors**2, [bins.over * square]])
    x = np.concatenate([histogram.edges[:1], (histogram.edges[:-1] + histogram.edges[1:]) / 2, histogram.edges[-1:]])
    entries = np.divide(w * w, w2, out=np.zeros_like(w), where=w2 > 0)
    return np.column_stack([w, w2, w * x, w * x * x, entries])


def _histo_v3(path: str, histogram: Histogram, bins: Bins) -> str:
    lines = [_edges(histogram), "# sumW\tsumW2\tsumW(A1)\tsumW2(A1)\tnumEntries"]
    return _object("HISTO1D_V3", path, histogram, "Histo1D",
                   [*lines, *(_numbers(*row) for row in _sums(histogram, bins))])


def _histo_v2(path: str, histogram: Histogram, bins: Bins) -> str:
    sums = _sums(histogram, bins)
    lines = ["# ID\tID\tsumw\tsumw2\tsumwx\tsumwx2\tnumEntries"]
    for name, row in (("Total", sums.sum(axis=0)), ("Underflow", sums[0]), ("Overflow", sums[-1])):
        lines.append(f"{name}\t{name}\t{_numbers(*row)}")
    lines.append("# xlow\txhigh\tsumw\tsumw2\tsumwx\tsumwx2\tnumEntries")
    for low, high, row in zip(histogram.edges[:-1], histogram.edges[1:], sums[1:-1]):
        lines.append(_numbers(low, high, *row))
    return _object("HISTO1D_V2", path, histogram, "Histo1D", lines)
