"""Shapes of the daemon's answers, for type checkers and completion. They are plain dictionaries: what a newer daemon
adds is there too, whether it is listed here or not (docs/http.md describes every member).

Times are RFC 3339 text in UTC.
"""
from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, List, Literal, Mapping, Optional, TypedDict, TypeVar, Union

import numpy as np
import numpy.typing as npt

from ._optional import need

__all__ = [
    "Alias", "AllInvalid", "Batch", "Bins", "Conditions", "Definition", "Drift", "FeedInfo", "Histogram", "Ingest", "Items",
    "Iteration", "Metric", "Move", "OperationInfo", "Ordinals", "Readiness", "Statistic", "Time", "TwinInfo",
    "Version", "VersionInfo", "Weights",
]

T = TypeVar("T")

Conditions = Mapping[str, float]
"""names of the definition's conditions and their values"""

Version = Union[int, str]
"""as an argument: its number, or one of its aliases: champion, challenger, reference"""

Time = Union[str, datetime]
"""as an argument: RFC 3339 text, or a datetime that knows its time zone"""

Definition = Mapping[str, Any]
"""what a twin is made of: docs/definition.md"""

Weights = Mapping[str, Any]
"""the report on a version's weights: docs/http.md, Weights"""


class Items(List[T]):
    """A list of answers that pandas can show."""

    def to_pandas(self) -> Any:
        """A pandas DataFrame with a row an item; members of members are columns such as `ordinals.first`."""
        return need("pandas").json_normalize([dict(item) if isinstance(item, Mapping) else vars(item) for item in self])


class Ordinals(TypedDict):
    first: int
    last: int


class Statistic(TypedDict, total=False):
    name: str
    verdict: Literal["drift", "fidelity"]
    feature: Optional[str]
    value: Optional[float]
    error: Optional[float]
    floor: Optional[float]
    p_value: Optional[float]
    threshold: Optional[float]


class Iteration(TypedDict, total=False):
    iteration: int
    time: str
    version: int
    ordinals: Ordinals
    events: int
    drift: bool
    decision: str
    policy: Optional[dict[str, Any]]
    statistics: list[Statistic]


class AllInvalid(TypedDict, total=False):
    """Of a feed whose last batches hold no valid row."""

    feed: str
    run: int
    batches: int
    rows: int
    column: Optional[str]
    rule: Optional[str]
    words: str


class Ingest(TypedDict, total=False):
    batches: int
    events: int
    duplicates: int
    gaps: int
    invalid_rows: int
    lag_batches: int
    lag_windows: int
    lag_s: float
    all_invalid: list[AllInvalid]


class TwinInfo(TypedDict, total=False):
    name: str
    verdict: Literal["true", "drifted", "unknown"]
    verdict_reason: str
    since: str
    activity: Literal["untrained", "idle", "comparing", "retuning", "held"]
    champion: Optional[dict[str, Any]]
    mode: str
    hold: bool
    ingest: Ingest
    last_iteration: Optional[Iteration]
    definition: dict[str, Any]
    fault: str


class Drift(TypedDict, total=False):
    twin: str
    verdict: Literal["true", "drifted", "unknown"]
    verdict_reason: str
    drift: Optional[bool]
    iteration: Optional[int]
    time: Optional[str]
    version: Optional[int]
    decision: Optional[str]
    policy: Optional[dict[str, Any]]
    hold: bool
    statistics: list[Statistic]
    summary: list[str]
    expected_run_time: dict[str, Any]
    alarm: Optional[dict[str, Any]]


class VersionInfo(TypedDict, total=False):
    version: int
    parent: Optional[int]
    created: str
    cause: Literal["train", "weights", "theta", "reweight", "import"]
    status: Literal["challenger", "champion", "retired", "rejected"]
    reason: Optional[str]
    sha256: str
    seed: int
    metrics: dict[str, Any]


class Alias(TypedDict, total=False):
    alias: str
    version: int
    move: int
    since: str
    hold: bool


Move = TypedDict(
    "Move",
    {"move": int, "alias": str, "version": int, "from": str, "to": Optional[str], "actor": str, "reason": str},
    total=False,
)
"""`version` held the alias from a time to another, None: it does still"""


class Batch(TypedDict, total=False):
    ordinal: Optional[int]
    feed: str
    run: int
    seq: int
    events: int
    invalid_rows: int
    received: str
    iteration: Optional[int]
    duplicate: bool


class FeedInfo(TypedDict, total=False):
    feed: str
    run: int
    batches: int
    events: int
    invalid_rows: int
    duplicates: int
    last_durable_seq: int
    highest_seq: int
    gaps: int
    missing: list[list[int]]
    last_received: str
    all_invalid: Optional[AllInvalid]


class Metric(TypedDict, total=False):
    time: str
    name: str
    verdict: str
    feature: Optional[str]
    value: float
    min: float
    max: float
    count: int


class OperationInfo(TypedDict, total=False):
    id: int
    kind: str
    twin: str
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    progress: float
    created: str
    finished: Optional[str]
    request: Optional[dict[str, Any]]
    result: dict[str, Any]
    error: dict[str, Any]


class Readiness(TypedDict):
    status: str
    checks: list[dict[str, Any]]


@dataclass(frozen=True)
class Bins:
    """Sums of weights of a histogram."""

    values: npt.NDArray[np.float64]
    """(bins), sum of weights in a bin"""
    errors: npt.NDArray[np.float64]
    """(bins), statistical standard errors"""
    model_errors: Optional[npt.NDArray[np.float64]]
    """(bins), of samples: errors of what the twin has learnt from a finite training set; None: it has one member, or
    these are data"""
    under: float
    over: float
    absent: float
    """sum of weights of the events that do not have the feature"""


@dataclass(frozen=True)
class Histogram:
    """A feature or observable of the last window of data, and of as many samples."""

    feature: str
    unit: Optional[str]
    edges: npt.NDArray[np.float64]
    """(bins + 1), in the feature's unit"""
    data: Bins
    samples: Bins

    def to_pandas(self) -> Any:
        """A pandas DataFrame with a row a bin."""
        return need("pandas").DataFrame({
            "low": self.edges[:-1], "high": self.edges[1:], "data": self.data.values, "data_error": self.data.errors,
            "samples": self.samples.values, "samples_error": self.samples.errors,
        })


def _bins(item: Mapping[str, Any]) -> Bins:
    model = item.get("model_error")
    return Bins(np.asarray(item["values"], float), np.asarray(item["errors"], float),
                None if model is None else np.asarray(model, float), item["under"], item["over"], item["absent"])


def histogram(item: Mapping[str, Any]) -> Histogram:
    return Histogram(item["feature"], item.get("unit"), np.asarray(item["edges"], float), _bins(item["data"]),
                     _bins(item["samples"]))
