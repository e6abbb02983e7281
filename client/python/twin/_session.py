"""Connections to one daemon: calls are carried out here, plainly and with asyncio, in the same steps."""
from __future__ import annotations

import asyncio
import os
import time
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx

from . import _call, _settings, errors
from ._call import Call

T = TypeVar("T")
PAGE = 1000


class _Common:
    def __init__(self, url: str | None, token: str | None, token_file: str | os.PathLike[str] | None,
                 timeout: float) -> None:
        self.url = _settings.url(url)
        self.timeout = timeout
        self._given = token, token_file
        self._token = _settings.Token(token, token_file)

    def _options(self) -> dict[str, Any]:
        host = urlsplit(self.url).hostname or ""
        local = host in ("localhost", "::1") or host.startswith("127.")
        return {"base_url": self.url, "timeout": self.timeout,
                "trust_env": not local,  # no proxy for this machine
                "verify": self.url.lower().startswith("https:")}  # certificates take long to load

    def _arguments(self, call: Call[Any]) -> dict[str, Any]:
        headers = {"Accept": "application/json", **call.headers}
        token = self._token.get() if call.change else None
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return {"method": call.method, "url": call.path, "params": dict(call.params), "content": call.content,
                "headers": headers, "timeout": httpx.Timeout(self.timeout, read=self.timeout + call.longer)}

    def _read(self, call: Call[T], response: httpx.Response) -> T:
        if response.is_success or response.status_code == call.also:
            return call.parse(response)
        hint = ""
        if response.status_code == 401 and self._token.problem:
            hint = f" (no token: {self._token.where}: {self._token.problem}; see token_file=, TWIN_TOKEN_FILE)"
        elif response.status_code == 401:
            hint = f" (tried {self._token.where})"
        raise _call.problem(response, hint)


class Session(_Common):
    """For threads: one at a time, or several."""

    def __init__(self, url: str | None = None, token: str | None = None,
                 token_file: str | os.PathLike[str] | None = None, timeout: float = 60.0) -> None:
        super().__init__(url, token, token_file, timeout)
        self.http = httpx.Client(**self._options())
        self._process = os.getpid()

    def __reduce__(self) -> Any:  # to another process: where the daemon is, and not the token that was found in a file
        return Session, (self.url, *self._given, self.timeout)

    def connections(self) -> httpx.Client:
        """Those of this process: over sockets that a fork left to both, each would read the other's answers."""
        if self._process != os.getpid():
            self.http, self._process = httpx.Client(**self._options()), os.getpid()
        return self.http

    def run(self, call: Call[T]) -> T:
        attempt = 0
        while True:
            attempt += 1
            problem: errors.TwinError
            try:
                return self._read(call, self.connections().request(**self._arguments(call)))
            except httpx.TransportError as error:
                problem = _call.transport_problem(self.url, error)
            except errors.TryAgain as error:
                problem = error
            seconds = _call.pause(call, problem, attempt)
            if seconds is None:
                raise problem
            time.sleep(seconds)

    def collect(self, *parts: object, limit: int | None = None, **params: Any) -> list[Any]:
        """The items of a list over all its pages, at most `limit`."""
        items: list[Any] = []
        cursor = None
        while limit is None or len(items) < limit:
            size = PAGE if limit is None else min(PAGE, limit - len(items))
            page = self.run(_call.get(*parts, limit=size, cursor=cursor, **params))
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        return items

    def close(self) -> None:
        self.http.close()


class AsyncSession(_Common):
    """The same for one event loop."""

    def __init__(self, url: str | None = None, token: str | None = None,
                 token_file: str | os.PathLike[str] | None = None, timeout: float = 60.0) -> None:
        super().__init__(url, token, token_file, timeout)
        self.http = httpx.AsyncClient(**self._options())

    async def run(self, call: Call[T]) -> T:
        attempt = 0
        while True:
            attempt += 1
            problem: errors.TwinError
            try:
                return self._read(call, await self.http.request(**self._arguments(call)))
            except httpx.TransportError as error:
                problem = _call.transport_problem(self.url, error)
            except errors.TryAgain as error:
                problem = error
            seconds = _call.pause(call, problem, attempt)
            if seconds is None:
                raise problem
            await asyncio.sleep(seconds)

    async def collect(self, *parts: object, limit: int | None = None, **params: Any) -> list[Any]:
        items: list[Any] = []
        cursor = None
        while limit is None or len(items) < limit:
            size = PAGE if limit is None else min(PAGE, limit - len(items))
            page = await self.run(_call.get(*parts, limit=size, cursor=cursor, **params))
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        return items

    async def close(self) -> None:
        await self.http.aclose()
