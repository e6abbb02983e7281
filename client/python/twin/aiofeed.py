"""`Feed` for asyncio: the same line to a twin, moved by a task."""
from __future__ import annotations

import asyncio
import operator
import time as clock
from types import TracebackType
from typing import AsyncIterable, Callable, Iterable, Sequence

import zmq
import zmq.asyncio

from . import _sender, _settings, answers, arrays, errors
from ._link import Link
from ._sender import Progress
from .feed import LAST_ACKS, move

__all__ = ["AsyncFeed"]


class AsyncFeed:
    """`async with AsyncFeed("zmumu", feed="daq1", run=7) as feed: await feed.send(rows)`.

    Arguments and errors are those of `Feed`; entering the block, or `await feed.open()`, waits for the daemon.
    """

    def __init__(self, twin: str, *, feed: str = "python", run: int = 1, endpoint: str | None = None,
                 timeout: float | None = 30.0, in_flight: int | None = None) -> None:
        self._sender = _sender.Sender(twin, feed, run, in_flight)
        self._endpoint = _settings.ingest(endpoint)
        self._timeout = timeout
        self._link: Link | None = None
        self._task: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._next = 0

    async def open(self) -> AsyncFeed:
        """Connects and says hello. Raises Unavailable, BatchRefused."""
        self._link = Link(self._endpoint)
        self._task = asyncio.create_task(self._work(self._link), name=f"twin feed {self._sender.key['feed']}")
        try:
            await self._wait(lambda: self._sender.welcomed, self._timeout)
        except errors.Timeout:
            await self._end()
            raise errors.Unavailable(f"no answer from {self._endpoint}; is twind running? (endpoint=, TWIN_INGEST)"
                                     ) from None
        except BaseException:
            await self._end()
            raise
        self._next = self._sender.durable + 1
        return self

    async def __aenter__(self) -> AsyncFeed:
        return await self.open()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        if error is None:
            await self.close()
            return
        try:
            await self.close(LAST_ACKS)
        except errors.TwinError:
            pass  # what ended the block says more

    @property
    def next_seq(self) -> int:
        """As of `Feed`."""
        return self._next

    @property
    def last_durable_seq(self) -> int:
        """As of `Feed`."""
        return self._sender.durable

    @property
    def progress(self) -> Progress:
        """Counts of batches so far."""
        return self._sender.progress

    @property
    def unacked(self) -> list[int]:
        """Sequence numbers of what is not known to be durable."""
        return self._sender.unacked()

    async def send(self, rows: arrays.Rows, *, columns: Sequence[str] | None = None,
                   conditions: answers.Conditions | None = None, weights: object = None,
                   time: answers.Time | None = None, seq: int | None = None, timeout: float | None = None) -> int:
        """As of `Feed`."""
        table = arrays.as_table(rows, columns, weights)
        number = self._next if seq is None else operator.index(seq)
        frames = _sender.batch_frames(self._sender.key, number, table, conditions, time)
        await self._wait(lambda: self._sender.has_room(sum(map(len, frames))), timeout)
        if seq is None and number != self._next:  # another task was faster
            number = self._next
            frames = _sender.batch_frames(self._sender.key, number, table, conditions, time)
        if self._sender.holds(number):
            raise ValueError(f"batch {number} is in flight already")
        self._sender.add(number, frames, clock.monotonic())
        self._next = max(self._next, number + 1)
        self._move()
        return number

    async def send_all(self, batches: Iterable[arrays.Rows] | AsyncIterable[arrays.Rows], *,
                       columns: Sequence[str] | None = None,
                       conditions: answers.Conditions | None = None) -> Progress:
        """As of `Feed`; the batches may come from an asynchronous iterator."""
        durable, seq = self.last_durable_seq, -1
        async for rows in _each(batches):
            seq += 1
            if seq > durable or seq in (0, durable):
                await self.send(rows, columns=columns, conditions=conditions, seq=seq)
            if seq == durable:
                await self.flush()
        await self.flush()
        return self.progress

    async def flush(self, timeout: float | None = None) -> None:
        """As of `Feed`."""
        await self._wait(lambda: not self._sender.progress.in_flight, timeout)

    async def close(self, timeout: float | None = None) -> None:
        """As of `Feed`."""
        try:
            if self._task and not self._task.done():
                await self.flush(timeout)
        finally:
            await self._end()

    # --- inside ---

    async def _wait(self, condition: Callable[[], bool], timeout: float | None) -> None:
        end = None if timeout is None else clock.monotonic() + timeout
        while True:
            if self._sender.problems:
                raise self._sender.problems.popleft()
            if self._task is None or self._task.done():
                broken = self._task and not self._task.cancelled() and self._task.exception()
                raise errors.TwinError(f"the feed broke: {broken!r}" if broken else "the feed is closed")
            if condition():
                return
            left = None if end is None else end - clock.monotonic()
            if left is not None and left <= 0:
                raise errors.Timeout(f"{self._sender.progress.in_flight} batches of {self._endpoint} wait for their "
                                     f"acknowledgement")
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except asyncio.TimeoutError:
                pass  # the condition may hold nevertheless

    def _move(self) -> None:
        assert self._link is not None
        move(self._sender, self._link)
        self._changed.set()  # whoever waits looks again
        self._changed = asyncio.Event()

    async def _work(self, link: Link) -> None:
        socket = zmq.asyncio.Socket.from_socket(link.socket)
        try:
            while True:
                self._move()
                await socket.poll(int(_sender.TICK * 1000), zmq.POLLIN)
        finally:
            self._changed.set()
            socket.close()
            link.close()

    async def _end(self) -> None:
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait([self._task])


async def _each(batches: Iterable[arrays.Rows] | AsyncIterable[arrays.Rows]) -> AsyncIterable[arrays.Rows]:
    if isinstance(batches, AsyncIterable):
        async for rows in batches:
            yield rows
    else:
        for rows in batches:
            yield rows
