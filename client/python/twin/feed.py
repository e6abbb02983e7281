"""`Feed` sends batches of events to the daemon and loses none: docs/feeds.md has the rules of the wire.

A thread of its own moves the bytes, so that acknowledgements, reconnections and what is sent again need nobody's
attention. `send` returns as soon as the batch is in the feed's keeping, `flush` and the end of a `with` block once
everything is on the daemon's disk.
"""
from __future__ import annotations

import atexit
import operator
import os
import threading
import time as clock
import warnings
from types import TracebackType
from typing import Callable, Iterable, Sequence

import zmq

from . import _sender, _settings, answers, arrays, errors
from ._link import Link
from ._sender import Progress

__all__ = ["Feed", "Progress"]

LAST_ACKS = 3.0  # seconds for what is in flight when a block ends with an exception, or the program


class Feed:
    """A producer's line to a twin: `with Feed("zmumu", feed="daq1", run=7) as feed: feed.send(rows)`.

    twin, feed, run: with a batch's sequence number the key that it is known by for ever. endpoint: of the daemon, else
    TWIN_INGEST, else tcp://127.0.0.1:8471. timeout: seconds until the daemon has to answer the first hello. in_flight:
    bytes without acknowledgement at most; the daemon's credit is the limit otherwise.

    Raises Unavailable where no daemon answers within `timeout`, BatchRefused (`unknown_twin`) where it has no such
    twin. Later nothing but refusals raises: a daemon that is away, for however long, is waited for, unless `send`,
    `flush` or `close` is given a timeout. Threads may share a feed.
    """

    def __init__(self, twin: str, *, feed: str = "python", run: int = 1, endpoint: str | None = None,
                 timeout: float | None = 30.0, in_flight: int | None = None) -> None:
        self._sender = _sender.Sender(twin, feed, run, in_flight)
        self._endpoint = _settings.ingest(endpoint)
        self._link = Link(self._endpoint)
        self._changed = threading.Condition()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._stop = False
        self._broken: BaseException | None = None
        self._next = 0
        self._process = os.getpid()
        self._thread = threading.Thread(target=self._work, name=f"twin feed {feed}", daemon=True)
        self._thread.start()
        atexit.register(self._at_exit)
        try:
            with self._changed:
                self._wait(lambda: self._sender.welcomed, timeout)
        except errors.Timeout:
            self._end()
            raise errors.Unavailable(f"no answer from {self._endpoint}; is twind running? (endpoint=, TWIN_INGEST)"
                                     ) from None
        except BaseException:
            self._end()
            raise
        self._next = self._sender.durable + 1

    def __enter__(self) -> Feed:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if error is None:
            self.close()
            return
        try:
            self.close(LAST_ACKS)
        except errors.TwinError:
            pass  # what ended the block says more

    # --- what is known ---

    @property
    def next_seq(self) -> int:
        """The sequence number that the next batch gets. At first one more than the last of the unbroken series that is
        on the daemon's disk: a restarted feed goes on there."""
        return self._next

    @property
    def last_durable_seq(self) -> int:
        """Every batch from 0 to this one was on the daemon's disk when it was asked last, after a connection was made;
        -1: not even the first."""
        return self._sender.durable

    @property
    def progress(self) -> Progress:
        """Counts of batches so far."""
        with self._changed:
            return self._sender.progress

    @property
    def unacked(self) -> list[int]:
        """Sequence numbers of what is not known to be durable."""
        with self._changed:
            return self._sender.unacked()

    # --- sending ---

    def send(self, rows: arrays.Rows, *, columns: Sequence[str] | None = None,
             conditions: answers.Conditions | None = None, weights: object = None, time: answers.Time | None = None,
             seq: int | None = None, timeout: float | None = None) -> int:
        """Takes a batch over and returns its sequence number; waits while as much is in flight as may be.

        rows: any of `twin.Rows`, (rows, columns), float32 or float64; NaN for an optional feature that is absent. They
        are copied. columns: their names, where rows have none and are not in the order of the definition. conditions:
        of the whole batch. weights: (rows). time: when the data were taken. seq: other than `next_seq`.

        Raises BatchRefused for a batch that was sent before and refused (its seq is free again), BatchConflict where
        its key holds other data; Timeout after `timeout` seconds: the batch was not taken. ValueError and TypeError say
        what is wrong with rows.
        """
        self._at_home()
        table = arrays.as_table(rows, columns, weights)
        with self._changed:
            number = self._next if seq is None else operator.index(seq)
            frames = _sender.batch_frames(self._sender.key, number, table, conditions, time)
            cost = sum(map(len, frames))
            self._wait(lambda: self._sender.has_room(cost), timeout)
            if seq is None and number != self._next:  # another thread was faster
                number = self._next
                frames = _sender.batch_frames(self._sender.key, number, table, conditions, time)
            if self._sender.holds(number):
                raise ValueError(f"batch {number} is in flight already")
            self._sender.add(number, frames, clock.monotonic())
            self._next = max(self._next, number + 1)
        self._wake()
        return number

    def send_all(self, batches: Iterable[arrays.Rows], *, columns: Sequence[str] | None = None,
                 conditions: answers.Conditions | None = None) -> Progress:
        """Sends a series of batches from its beginning, numbered from 0, and returns once all are durable.

        What is durable already is passed over, so that the same program may be started again with the same batches and
        goes on where it was. The first and the last of those are sent as a check: BatchConflict says that the run holds
        other data.
        """
        durable = self.last_durable_seq
        for seq, rows in enumerate(batches):
            if seq > durable or seq in (0, durable):
                self.send(rows, columns=columns, conditions=conditions, seq=seq)
            if seq == durable:
                self.flush()  # nothing new goes out before we know that it belongs to what is there
        self.flush()
        return self.progress

    def flush(self, timeout: float | None = None) -> None:
        """Returns once everything that was sent is on the daemon's disk. Raises as `send` does; after Timeout the feed
        goes on trying."""
        self._at_home()
        with self._changed:
            self._wait(lambda: not self._sender.progress.in_flight, timeout)

    def close(self, timeout: float | None = None) -> None:
        """Flushes and ends the feed. It is closed also where this raises; `unacked` says what may be lost then."""
        try:
            if self._thread.is_alive() and self._process == os.getpid():
                self.flush(timeout)
        finally:
            self._end()

    # --- inside ---

    def _at_home(self) -> None:
        """Sockets and threads do not outlive a fork, and locks may be taken there for ever."""
        if self._process != os.getpid():
            raise errors.TwinError("this feed belongs to the process that opened it: open one here, of another name or run")

    def _wait(self, condition: Callable[[], bool], timeout: float | None) -> None:
        """With the lock, until the condition holds. A refusal comes first."""
        end = None if timeout is None else clock.monotonic() + timeout
        while True:
            if self._sender.problems:
                raise self._sender.problems.popleft()
            if self._broken is not None:
                raise errors.TwinError(f"the feed broke: {self._broken!r}") from self._broken
            if self._stop:
                raise errors.TwinError("the feed is closed")
            if condition():
                return
            left = None if end is None else end - clock.monotonic()
            if left is not None and left <= 0:
                raise errors.Timeout(f"{self._sender.progress.in_flight} batches of {self._endpoint} wait for their "
                                     f"acknowledgement")
            self._changed.wait(left)

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b".")
        except BlockingIOError:
            pass  # it is awake

    def _work(self) -> None:
        try:
            poller = zmq.Poller()
            poller.register(self._wake_read, zmq.POLLIN)
            poller.register(self._link.monitor, zmq.POLLIN)
            poller.register(self._link.socket, zmq.POLLIN)
            while not self._stop:
                with self._changed:
                    move(self._sender, self._link)
                    self._changed.notify_all()
                if dict(poller.poll(int(_sender.TICK * 1000))).get(self._wake_read):
                    os.read(self._wake_read, 4096)
        except BaseException as error:  # whoever waits learns of it
            with self._changed:
                self._broken = error
                self._changed.notify_all()
        finally:
            self._link.close()

    def _end(self) -> None:
        atexit.unregister(self._at_exit)
        if self._process != os.getpid():
            return
        with self._changed:
            if self._stop:
                return
            self._stop = True
            self._changed.notify_all()
        self._wake()
        self._thread.join()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _at_exit(self) -> None:
        """The program ends and nobody closed the feed."""
        try:
            self.close(LAST_ACKS)
        except errors.TwinError as error:
            warnings.warn(f"a feed was not closed, and batches {self.unacked} may be lost: {error}", ResourceWarning)


def move(sender: _sender.Sender, link: Link) -> None:
    """Carries what there is in both directions."""
    now = clock.monotonic()
    while (answer := link.receive()) is not None:
        sender.receive(answer, now)
    if link.reconnected():
        sender.connected(now)
    sender.tick(now)
    if link.connected:
        for frames in sender.outgoing(now):
            link.send(frames)
