"""What happens in the daemon, as it happens: server-sent events (docs/http.md, Events).

A stream outlives its connection: it connects again and asks for what came since. Where the daemon no longer has that,
as after a restart, an event of kind `missed` says so; the lists (`iterations`, `versions`, …) then hold the truth.
`Twin.follow` does that for iterations.
"""
from __future__ import annotations

import asyncio
import json
import time as clock
from types import TracebackType
from typing import Any, AsyncGenerator, AsyncIterator, Generator, Iterator, NamedTuple, Sequence

import httpx

from . import _call, errors
from ._session import AsyncSession, Session

__all__ = ["Event", "EventStream", "AsyncEventStream"]

SILENCE = 25.0  # seconds without even a heartbeat, which come every ten: the connection is dead
KINDS = ("iteration", "drift", "version", "alias", "operation", "missed")
RETRY = 1.0  # seconds between two tries to connect


class Event(NamedTuple):
    """Something that happened."""

    kind: str
    """iteration, drift, version, alias, operation; or missed"""
    twin: str | None
    data: dict[str, Any]
    """what the list of that kind has; of what is large, parts may be left out, and `shortened` is true"""
    id: str
    """its place: `events(after=id)` goes on behind it"""


class _State:
    """Lines to events (https://html.spec.whatwg.org/multipage/server-sent-events.html), and how long it was quiet."""

    def __init__(self, twin: str | None, kinds: Sequence[str], after: str | None, timeout: float | None) -> None:
        self.twin = twin
        self.last = after
        unknown = [kind for kind in kinds if kind not in KINDS]
        if unknown:
            raise ValueError(f"no event is of kind {unknown[0]!r}; kinds are {', '.join(KINDS)}")
        self._kinds = (*kinds, "missed") if kinds else ()
        self._timeout = timeout
        self._since = clock.monotonic()
        self.start()

    def start(self) -> None:
        """A new connection begins."""
        self._kind, self._data = "", ""

    def line(self, line: str) -> Event | None:
        """The event that a line completes, if it is wanted."""
        name, _, value = line.rstrip("\r\n").partition(":")
        value = value.removeprefix(" ")
        if name == "id":
            self.last = value
        elif name == "event":
            self._kind = value
        elif name == "data":
            self._data += value
        elif not name and not value and self._kind:
            return self._complete()
        return None

    def _complete(self) -> Event | None:
        kind, text = self._kind, self._data
        self.start()
        if self._kinds and kind not in self._kinds:
            return None
        data = json.loads(text or "{}")
        self._since = clock.monotonic()
        return Event(kind, data.get("twin"), data, self.last or "")

    def over(self) -> bool:
        """Nothing that was wanted came for longer than we wait."""
        return self._timeout is not None and clock.monotonic() - self._since >= self._timeout

    def arguments(self) -> dict[str, Any]:
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": self.last} if self.last else {})}
        silence = SILENCE if self._timeout is None else min(SILENCE, max(self._timeout, 0.001))
        return {"method": "GET", "url": _call.path("events"), "params": _call.query(twin=self.twin), "headers": headers,
                "timeout": httpx.Timeout(SILENCE, read=silence)}


class EventStream(Iterator[Event]):
    """An iterator over events; a `with` block or `close` ends it."""

    def __init__(self, session: Session, twin: str | None = None, kinds: Sequence[str] = (), after: str | None = None,
                 timeout: float | None = None) -> None:
        self._session = session
        self._state = _State(twin, kinds, after, timeout)
        self._response: httpx.Response | None = self._connect()
        self._events = self._iterate()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __next__(self) -> Event:
        return next(self._events)

    def close(self) -> None:
        """Ends the iteration and its connection."""
        self._events.close()
        if self._response:
            self._response.close()

    def _connect(self) -> httpx.Response:
        self._state.start()
        http = self._session.connections()
        try:
            response = http.send(http.build_request(**self._state.arguments()), stream=True)
            if response.status_code != 200:
                response.read()
                raise _call.problem(response)
            return response
        except httpx.TransportError as error:
            raise _call.transport_problem(self._session.url, error) from error

    def _iterate(self) -> Generator[Event, None, None]:
        while True:
            try:
                self._response = self._response or self._connect()
                for line in self._response.iter_lines():
                    event = self._state.line(line)
                    if event:
                        yield event
                    elif self._state.over():
                        return
            except (httpx.TransportError, errors.Unavailable, errors.Timeout, errors.TryAgain):
                pass  # it may come back
            if self._response:
                self._response.close()
                self._response = None
            if self._state.over():
                return
            clock.sleep(RETRY)


class AsyncEventStream(AsyncIterator[Event]):
    """The same for asyncio: `async with twin.events() as events: async for event in events`."""

    def __init__(self, session: AsyncSession, twin: str | None = None, kinds: Sequence[str] = (),
                 after: str | None = None, timeout: float | None = None) -> None:
        self._session = session
        self._state = _State(twin, kinds, after, timeout)
        self._response: httpx.Response | None = None
        self._events: AsyncGenerator[Event, None] | None = None

    async def __aenter__(self) -> AsyncEventStream:
        self._response = await self._connect()
        self._events = self._iterate()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()

    async def __anext__(self) -> Event:
        if self._events is None:
            self._events = self._iterate()
        return await self._events.__anext__()

    async def close(self) -> None:
        """Ends the iteration and its connection."""
        if self._events is not None:
            await self._events.aclose()
        if self._response:
            await self._response.aclose()

    async def _connect(self) -> httpx.Response:
        self._state.start()
        http = self._session.http
        try:
            response = await http.send(http.build_request(**self._state.arguments()), stream=True)
            if response.status_code != 200:
                await response.aread()
                raise _call.problem(response)
            return response
        except httpx.TransportError as error:
            raise _call.transport_problem(self._session.url, error) from error

    async def _iterate(self) -> AsyncGenerator[Event, None]:
        while True:
            try:
                self._response = self._response or await self._connect()
                async for line in self._response.aiter_lines():
                    event = self._state.line(line)
                    if event:
                        yield event
                    elif self._state.over():
                        return
            except (httpx.TransportError, errors.Unavailable, errors.Timeout, errors.TryAgain):
                pass  # it may come back
            if self._response:
                await self._response.aclose()
                self._response = None
            if self._state.over():
                return
            await asyncio.sleep(RETRY)
