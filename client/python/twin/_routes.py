"""The calls behind the methods of `Twin` and `AsyncTwin`: what a route takes and what its answer becomes."""
from __future__ import annotations

import itertools
import operator
import time as clock
from typing import Any, Iterator, Mapping, Sequence

import httpx
import numpy as np
import numpy.typing as npt

from . import _call, answers, arrays, errors
from ._call import Call

SAMPLE_MOST = 1_000_000  # events an answer
LOG_PROB_BYTES = 1_000_000  # of a body: 1 MiB, less its header
NPY = "application/x-npy"


# --- samples ---


def sample(twin: str, n: int, seed: int | None, version: answers.Version | None, member: int | None,
           conditions: answers.Conditions | None, reweight: str | None) -> Call[arrays.Events]:
    body = {"n": n, "seed": seed, "version": version, "member": member, "reweight": reweight,
            "conditions": None if conditions is None else {name: float(value) for name, value in conditions.items()}}
    content, headers = _call.json_body({name: value for name, value in body.items() if value is not None})
    return Call("POST", _call.path("twins", twin, "sample"), _events, {}, content, {**headers, "Accept": NPY},
                repeatable=True)


def _events(response: httpx.Response) -> arrays.Events:
    head = response.headers
    return arrays.events(arrays.from_npy(response.content), tuple(head["Twin-Columns"].split(",")),
                         int(head["Twin-Version"]), int(head["Twin-Seed"]))


def pieces(n: int) -> list[int]:
    """Sizes of the answers that a sample is made of."""
    try:
        n = operator.index(n)
    except TypeError:
        raise TypeError(f"n is {n!r}, and events are counted in whole numbers, as int({n!r})") from None
    if n < 1:
        raise ValueError(f"n is {n}, and a sample has at least one event")
    return [min(SAMPLE_MOST, n - done) for done in range(0, n, SAMPLE_MOST)]


def join(parts: Sequence[arrays.Events]) -> arrays.Events:
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    return arrays.events(np.concatenate([np.asarray(part) for part in parts]), first.columns, first.version, first.seed)


# --- likelihoods ---


class LogProb:
    """Rows cut into bodies that the daemon takes; each piece names the version that answered the first one."""

    def __init__(self, twin: str, rows: arrays.Rows, columns: Sequence[str] | None, version: answers.Version | None,
                 member: int | None, spread: bool, conditions: answers.Conditions | None) -> None:
        self.twin = twin
        self.table = arrays.as_table(rows, columns)
        self.version = version
        self.params = {"member": member, "spread": spread or None, "conditions": conditions,
                       "columns": names(self.table)}
        self.spread = spread
        self.parts: list[npt.NDArray[np.float64]] = []

    def calls(self) -> Iterator[Call[None]]:
        values = self.table.values
        step = max(1, LOG_PROB_BYTES // (values.shape[1] * values.itemsize))
        for first in range(0, len(values), step):
            part = np.ascontiguousarray(values[first:first + step])
            yield Call("POST", _call.path("twins", self.twin, "log_prob"), self._take,
                       _call.query(version=self.version, **self.params), arrays.to_npy(part),
                       {"Content-Type": NPY, "Accept": NPY}, repeatable=True)

    def _take(self, response: httpx.Response) -> None:
        self.parts.append(arrays.from_npy(response.content))
        self.version = int(response.headers["Twin-Version"])

    def result(self) -> npt.NDArray[np.float64]:
        if not self.parts:
            return np.empty((0, 2) if self.spread else 0)
        return np.concatenate(self.parts)


def names(table: arrays.Table) -> str | None:
    if table.columns is None:
        return None
    for name in table.columns:
        if "," in name:
            raise ValueError(f"column {name!r} has a comma in its name")
    return ",".join(table.columns)


# --- rows in ---


def train(twin: str, rows: arrays.Rows | None, seed: int | None, epochs: int | None, columns: Sequence[str] | None,
          conditions: answers.Conditions | None) -> Call[answers.OperationInfo]:
    if rows is None:
        body = {"source": "spool", **{k: v for k, v in (("seed", seed), ("epochs", epochs)) if v is not None}}
        return _call.change("POST", "twins", twin, "train", body=body)
    return _rows(twin, "train", rows, columns, seed=seed, epochs=epochs, conditions=conditions)


def submit(twin: str, rows: arrays.Rows, feed: str, run: int, seq: int, columns: Sequence[str] | None,
           conditions: answers.Conditions | None, time: answers.Time | None) -> Call[answers.Batch]:
    return _rows(twin, "batches", rows, columns, repeatable=True, feed=feed, run=run, seq=seq, conditions=conditions,
                 time=time)


def _rows(twin: str, what: str, rows: arrays.Rows, columns: Sequence[str] | None, repeatable: bool = False,
          **params: Any) -> Call[Any]:
    table = arrays.as_table(rows, columns)
    if table.weights is not None:
        raise ValueError("weights of events travel with a Feed only, not over HTTP")
    return Call("POST", _call.path("twins", twin, what), _call.as_json,
                _call.query(columns=names(table), **params), arrays.to_npy(table.values), {"Content-Type": NPY},
                change=True, repeatable=repeatable)


# --- the loop ---


def retune(twin: str, kind: str, events: int | None, ordinals: tuple[int, int] | None, seed: int | None,
           promote: bool | None, key: str) -> Call[answers.OperationInfo]:
    body = {"kind": kind, "events": events, "seed": seed, "promote": promote,
            "ordinals": None if ordinals is None else {"first": ordinals[0], "last": ordinals[1]}}
    return _call.change("POST", "twins", twin, "retunes", body={k: v for k, v in body.items() if v is not None},
                        headers={"Idempotency-Key": key}, repeatable=True)


def newest(iterations: Sequence[answers.Iteration]) -> int:
    """The number of the last comparison, of a list newest first; 0: there is none."""
    return iterations[0]["iteration"] if iterations else 0


def decided(iterations: Sequence[answers.Iteration], seen: int) -> list[answers.Iteration]:
    """Those behind `seen`, oldest first, up to one whose retune is under way: it is told once that is decided."""
    known = [iteration for iteration in reversed(iterations) if iteration["iteration"] > seen]
    return list(itertools.takewhile(lambda iteration: iteration["decision"] != "retuning", known))


def histograms(twin: str, feature: str | None, bins: int | None, version: answers.Version | None) -> Call[Any]:
    def parse(response: httpx.Response) -> answers.Items[answers.Histogram]:
        return answers.Items(answers.histogram(item) for item in response.json()["items"])

    return Call("GET", _call.path("twins", twin, "histograms"), parse,
                _call.query(feature=feature, bins=bins, version=version), repeatable=True)


def bytes_of(twin: str, version: int, what: str, **params: str) -> Call[bytes]:
    return Call("GET", _call.path("twins", twin, "versions", version, what), lambda response: response.content,
                _call.query(**params), headers={"Accept": "*/*"}, repeatable=True)


def readiness() -> Call[answers.Readiness]:
    return Call("GET", "/readyz", _call.as_json, {"verbose": ""}, repeatable=True, also=503)


# --- aliases ---


def put_alias(twin: str, alias: str, version: int, reason: str | None, hold: bool | None,
              move: int | None) -> Call[answers.Alias]:
    """A move that holds only if `move` was the alias's last one, None: it had none."""
    body: dict[str, Any] = {"version": version, "reason": reason or "no reason given"}
    if hold is not None:
        body["hold"] = hold
    condition = {"If-None-Match": "*"} if move is None else {"If-Match": f'"{move}"'}
    return _call.change("PUT", "twins", twin, "aliases", alias, body=body, headers=condition)


def champion_before(moves: Sequence[Mapping[str, Any]]) -> int:
    """The champion before this one, of moves newest first. A move back to a version that was served earlier undoes what
    came in between, so that repeated roll backs go further back and do not swing to and fro. ValueError: there is
    none."""
    served: list[int] = []
    for move in reversed(moves):
        version = move["version"]
        served = served[:served.index(version)] if version in served else served
        served.append(version)
    if len(served) < 2:
        raise ValueError("there was no champion before this one")
    return served[-2]


# --- operations ---

OVER = ("succeeded", "failed", "cancelled")
AWAY = 15.0  # seconds that a daemon may be away while an operation is waited for: it takes it up again
PAUSE = 0.5  # seconds between two tries of reaching it
WAIT_MOST = 10.0  # seconds a request


def operation(number: int, wait: float = 0.0) -> Call[answers.OperationInfo]:
    seconds = max(0, min(int(wait + 0.999), int(WAIT_MOST)))
    return Call("GET", _call.path("operations", number), _call.as_json, _call.query(wait=seconds or None),
                repeatable=True, longer=float(seconds))


class Patience:
    """Of whoever waits for an operation."""

    def __init__(self, number: int, timeout: float | None) -> None:
        self._number = number
        self._end = None if timeout is None else clock.monotonic() + timeout
        self.heard()

    def left(self) -> float:
        """Seconds that the next request may wait. Raises Timeout when there are none."""
        left = WAIT_MOST if self._end is None else self._end - clock.monotonic()
        if left <= 0:
            raise errors.Timeout(f"operation {self._number} goes on")
        return left

    def heard(self) -> None:
        """The daemon answered."""
        self._heard = clock.monotonic()

    def away(self, error: errors.Unavailable) -> None:
        """It did not. Raises the error once that is so for long."""
        if clock.monotonic() - self._heard > AWAY:
            raise error
