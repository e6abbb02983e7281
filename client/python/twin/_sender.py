"""The sending end of the wire as a machine without sockets: it is told what arrived and what time it is, and says
what to send next. `Feed` and `AsyncFeed` move its frames.

What was sent and not acknowledged is kept whole. After a reconnection or a silence a hello asks what is durable; the
WELCOME settles that and the rest is sent again, which counts nothing twice, as the daemon knows every key. Batches of
keys that were durable before we began are checks: only their own answer settles them, as it may be `conflict`.
"""
from __future__ import annotations

import json
import logging
from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import Any, Iterator, Mapping, Sequence

from . import _call, answers, arrays, errors

HELLO_EVERY = 1.0
RESYNC_FIRST, RESYNC_MOST = 3.0, 30.0  # silence after which something is taken for lost
BACKOFF_FIRST, BACKOFF_MOST = 0.05, 1.0  # before a refused batch goes out again
CREDIT_ASK = 2.0  # without credit, until we ask again
TICK = 0.1  # all in seconds
FREE_CREDIT = 16 << 20  # bytes, without a WELCOME

Frames = Sequence[bytes]

log = logging.getLogger("twin")


@dataclass
class Batch:
    seq: int
    frames: Frames
    cost: int  # bytes of credit: all its frames
    check: bool
    sent_at: float = 0.0  # the last time


class _Batches(OrderedDict[int, Batch]):
    """By sequence number, with their sum."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def put(self, batch: Batch, first: bool = False) -> None:
        self[batch.seq] = batch
        self.move_to_end(batch.seq, last=not first)
        self.bytes += batch.cost

    def take(self, seq: int) -> Batch | None:
        batch = self.pop(seq, None)
        self.bytes -= batch.cost if batch else 0
        return batch

    def first(self) -> Batch | None:
        return next(iter(self.values()), None)


@dataclass(frozen=True)
class Progress:
    """What a feed has done so far. Counts are of batches."""

    sent: int
    """taken from the caller"""
    acked: int
    """on the daemon's disk"""
    resent: int
    """sent again, after a silence, a reconnection or for want of credit"""
    in_flight: int
    """not yet acknowledged"""


class Sender:
    def __init__(self, twin: str, feed: str, run: int, in_flight: int | None) -> None:
        self.key = {"twin": twin, "feed": feed, "run": run}
        self._hello = [b"TWH1", _call.dumps(self.key).encode()]
        self.durable = -1  # the last of an unbroken series from 0, as the daemon said
        self.welcomed = False
        self.max_bytes = 0  # of a batch
        self.problems: deque[errors.BatchRefused] = deque()
        self._limit = in_flight
        self._credit = FREE_CREDIT
        self._waiting = _Batches()  # to be sent (again), those of a second time first
        self._flying = _Batches()  # in the order in which they were sent
        self._asked = self._resync = False
        self._hello_at = 0.0
        self._resync_after = RESYNC_FIRST
        self._retry_at, self._backoff = 0.0, BACKOFF_FIRST
        self._heard = 0.0  # when the last answer came, or since when we wait for one
        self._moved_at = 0.0  # the last news of durable batches
        self._connected = self._said_full = False
        self._sent = self._acked = self._resent = 0

    # --- what the caller sees ---

    @property
    def progress(self) -> Progress:
        return Progress(self._sent, self._acked, self._resent, len(self._waiting) + len(self._flying))

    def unacked(self) -> list[int]:
        return sorted([*self._waiting, *self._flying])

    def holds(self, seq: int) -> bool:
        return seq in self._waiting or seq in self._flying

    def has_room(self, cost: int) -> bool:
        """May another batch be taken? What is kept here never exceeds what may be in flight, but for a single batch."""
        limit = self._credit if self._limit is None else min(self._credit, self._limit)
        held = self._waiting.bytes + self._flying.bytes
        return held == 0 or held + cost <= limit

    def add(self, seq: int, frames: Frames, now: float) -> None:
        """Takes a batch. ValueError: it is larger than the daemon takes."""
        cost = sum(map(len, frames))
        if 0 < self.max_bytes < cost:
            raise ValueError(f"a batch of {cost} bytes, and the daemon takes {self.max_bytes} at most: send fewer rows")
        if not self._waiting and not self._flying:
            self._heard = self._moved_at = now
        self._waiting.put(Batch(seq, frames, cost, seq <= self.durable))
        self._sent += 1

    # --- what happens ---

    def connected(self, now: float) -> None:
        """A connection is there. After the first one, what was on its way may be lost."""
        self._resync |= self._connected and self.welcomed
        self._connected = self._asked = True
        self._hello_at = now

    def receive(self, frames: Frames, now: float) -> None:
        """An answer of the daemon. What is none is passed over."""
        self._heard = now
        if len(frames) != 2:
            return
        try:
            body = json.loads(frames[1])
        except ValueError:
            return
        if not isinstance(body, dict):
            return
        handler = {b"ACK": self._on_ack, b"NACK": self._on_nack, b"WELCOME": self._on_welcome,
                   b"CREDIT": self._on_credit}.get(bytes(frames[0]))
        if handler:
            handler(body, now)

    def _on_ack(self, body: Mapping[str, Any], now: float) -> None:
        if self._settle(body.get("seq"), now):
            self._resync_after, self._backoff = RESYNC_FIRST, BACKOFF_FIRST

    def _on_credit(self, body: Mapping[str, Any], now: float) -> None:
        self._credit = _number(body, "credit_bytes", self._credit)

    def _on_welcome(self, body: Mapping[str, Any], now: float) -> None:
        self._asked = False
        self._on_credit(body, now)
        self.max_bytes = _number(body, "max_bytes", self.max_bytes)
        self.durable = max(self.durable, _number(body, "last_durable_seq", -1))
        self.welcomed = True
        for batch in [*self._waiting.values(), *self._flying.values()]:
            if batch.seq <= self.durable and not batch.check:
                self._settle(batch.seq, now)
        if self._resync:
            self._resync = False
            for seq in reversed(list(self._flying)):
                self._again(seq)

    def _on_nack(self, body: Mapping[str, Any], now: float) -> None:
        code, detail, seq = str(body.get("code", "")), str(body.get("detail", "")), body.get("seq")
        if not isinstance(seq, int):
            seq = None
        if code in ("no_credit", "full"):
            if code == "full" and not self._said_full:
                self._said_full = True
                log.warning("feed %s waits, as the daemon has no room now: %s", self.key["feed"], detail)
            self._again(seq)
            self._retry_at = now + self._backoff
            self._backoff = min(2 * self._backoff, BACKOFF_MOST)
            return
        if seq is not None:
            self._take(seq)
        elif self.problems and self.problems[-1].seq is None:
            return  # a hello's, again
        self.problems.append(errors.of_nack(code, detail, seq))

    def _take(self, seq: int) -> bool:
        return self._waiting.take(seq) is not None or self._flying.take(seq) is not None

    def _settle(self, seq: Any, now: float) -> bool:
        if not isinstance(seq, int) or not self._take(seq):
            return False
        self._acked += 1
        self._moved_at = now
        self._said_full = False
        return True

    def _again(self, seq: int | None) -> None:
        batch = None if seq is None else self._flying.take(seq)
        if batch:
            self._waiting.put(batch, first=True)
            self._resent += 1

    # --- what to send ---

    def tick(self, now: float) -> None:
        """Looks at the clock: is a hello due?"""
        if not self._waiting and not self._flying:
            self._moved_at = now
            if self.welcomed and not self._asked:
                self._heard = now
        if not self.welcomed or self._resync:
            self._asked = True
        elif self._lost(now):
            self._resync_after = min(2 * self._resync_after, RESYNC_MOST)
            self._asked = self._resync = True
        elif self._starves(now):
            self._asked = True

    def _lost(self, now: float) -> bool:
        """All is quiet though batches are in flight, or the oldest was overtaken for long."""
        oldest = self._flying.first()
        if oldest is None:
            return False
        return now - oldest.sent_at > RESYNC_MOST or now - self._heard > self._resync_after

    def _starves(self, now: float) -> bool:
        """Batches wait, none is in flight, and the daemon gives too little credit."""
        first = self._waiting.first()
        return (first is not None and not self._flying and first.cost > self._credit
                and now - self._moved_at > CREDIT_ASK and now > self._hello_at + CREDIT_ASK - HELLO_EVERY)

    def outgoing(self, now: float) -> Iterator[Frames]:
        """The messages that may go out now, while there is a connection."""
        if self._asked and now >= self._hello_at:
            yield self._hello
            self._hello_at = now + HELLO_EVERY
        if not self.welcomed:
            return
        while now >= self._retry_at and (batch := self._waiting.first()):
            if self._flying.bytes + batch.cost > self._credit:
                return
            if not self._flying:
                self._heard = self._moved_at = now  # we begin to wait for answers
            yield batch.frames
            batch.sent_at = now
            self._waiting.take(batch.seq)
            self._flying.put(batch)


def _number(body: Mapping[str, Any], name: str, default: int) -> int:
    value = body.get(name)
    return value if isinstance(value, int) else default


def batch_frames(key: Mapping[str, Any], seq: int, table: arrays.Table, conditions: Mapping[str, float] | None,
                 time: answers.Time | None) -> Frames:
    """A batch on the wire: tag, header, rows and, where there are some, weights (docs/feeds.md). ValueError: no rows."""
    if not len(table.values):
        raise ValueError("a batch has at least one event")
    header: dict[str, Any] = {**key, "seq": seq}
    if table.columns is not None:
        header["columns"] = list(table.columns)
    if conditions:
        header["conditions"] = {name: float(value) for name, value in conditions.items()}
    if time is not None:
        header["time"] = time
    frames = [b"TWB1", _call.dumps(header).encode(), arrays.to_npy(table.values)]
    return frames if table.weights is None else [*frames, arrays.to_npy(table.weights)]
