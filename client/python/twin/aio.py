"""The same as `twin.client` for asyncio: methods are awaited, and take and give what their namesakes do; `events` and
`follow` are iterated over with `async for`."""
from __future__ import annotations

import asyncio
import os
import uuid
from types import TracebackType
from typing import Any, AsyncIterator, Callable, Sequence, TypeVar

import numpy as np
import numpy.typing as npt

from . import _call, _routes, answers, arrays, client, errors
from ._session import AsyncSession
from .events import AsyncEventStream

__all__ = ["AsyncClient", "AsyncTwin", "AsyncOperation"]

T = TypeVar("T")


def _documented(like: type) -> Callable[[type[T]], type[T]]:
    """Methods have the words of their namesakes."""

    def decorate(kind: type[T]) -> type[T]:
        for name, member in vars(kind).items():
            if not name.startswith("_") and hasattr(like, name):
                member.__doc__ = getattr(like, name).__doc__
        return kind

    return decorate


@_documented(client.Client)
class AsyncClient:
    """A daemon, for one event loop; `async with AsyncClient() as client:` closes its connections."""

    def __init__(self, url: str | None = None, *, token: str | None = None,
                 token_file: str | os.PathLike[str] | None = None, timeout: float = 60.0) -> None:
        self._session = AsyncSession(url, token, token_file, timeout)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._session.url!r})"

    async def close(self) -> None:
        await self._session.close()

    async def readiness(self) -> answers.Readiness:
        return await self._session.run(_routes.readiness())

    def twin(self, name: str) -> AsyncTwin:
        return AsyncTwin(name, client=self)

    async def twins(self) -> answers.Items[answers.TwinInfo]:
        return answers.Items(await self._session.collect("twins"))

    async def create(self, definition: answers.Definition) -> AsyncTwin:
        made = await self._session.run(_call.change("POST", "twins", body=dict(definition)))
        return AsyncTwin(made["name"], client=self)

    def events(self, *kinds: str, after: str | None = None, timeout: float | None = None) -> AsyncEventStream:
        return AsyncEventStream(self._session, None, kinds, after, timeout)

    async def operation(self, number: int) -> AsyncOperation:
        return AsyncOperation(self._session, await self._session.run(_routes.operation(number)))

    async def operations(self, twin: str | None = None,
                         limit: int | None = 100) -> answers.Items[answers.OperationInfo]:
        return answers.Items(await self._session.collect("operations", limit=limit, twin=twin))


@_documented(client.Twin)
class AsyncTwin:
    """A twin by its name: `await AsyncTwin("zmumu").sample(10_000)`."""

    def __init__(self, name: str, *, client: AsyncClient | None = None, url: str | None = None,
                 token: str | None = None, token_file: str | os.PathLike[str] | None = None, timeout: float = 60.0) -> None:
        self.name = name
        self._own = client is None
        self._session = client._session if client else AsyncSession(url, token, token_file, timeout)
        self._features: tuple[str, ...] | None = None

    async def __aenter__(self) -> AsyncTwin:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncTwin({self.name!r}, url={self._session.url!r})"

    async def close(self) -> None:
        if self._own:
            await self._session.close()

    # --- what it is ---

    async def info(self) -> answers.TwinInfo:
        info: answers.TwinInfo = await self._session.run(_call.get("twins", self.name))
        return info

    async def definition(self) -> answers.Definition:
        return (await self.info())["definition"]

    async def features(self) -> tuple[str, ...]:
        if self._features is None:
            self._features = tuple(feature["name"] for feature in (await self.definition())["features"])
        return self._features

    async def update(self, **patch: Any) -> answers.TwinInfo:
        info: answers.TwinInfo = await self._session.run(_call.change("PATCH", "twins", self.name, body=patch))
        return info

    async def delete(self) -> None:
        await self._session.run(_call.change("DELETE", "twins", self.name))

    # --- the generator ---

    async def sample(self, n: int = 1000, *, seed: int | None = None, version: answers.Version | None = None,
                     member: int | None = None, conditions: answers.Conditions | None = None,
                     reweight: str | None = None) -> arrays.Events:
        parts: list[arrays.Events] = []
        for size in _routes.pieces(n):
            part = await self._session.run(_routes.sample(self.name, size, seed, version, member, conditions, reweight))
            version, seed = part.version, (part.seed or 0) + 1
            parts.append(part)
        return _routes.join(parts)

    async def log_prob(self, rows: arrays.Rows, *, columns: Sequence[str] | None = None,
                       version: answers.Version | None = None, member: int | None = None,
                       conditions: answers.Conditions | None = None) -> npt.NDArray[np.float64]:
        pieces = _routes.LogProb(self.name, rows, columns, version, member, False, conditions)
        for call in pieces.calls():
            await self._session.run(call)
        return pieces.result()

    async def log_prob_spread(self, rows: arrays.Rows, *, columns: Sequence[str] | None = None,
                              version: answers.Version | None = None,
                              conditions: answers.Conditions | None = None ) -> tuple[npt.NDArray[np.float64],
                              npt.NDArray[np.float64]]:
        pieces = _routes.LogProb(self.name, rows, columns, version, None, True, conditions)
        for call in pieces.calls():
            await self._session.run(call)
        result = pieces.result()
        return result[:, 0], result[:, 1]

    # --- data in ---

    async def train(self, rows: arrays.Rows | None = None, *, seed: int | None = None, epochs: int | None = None,
                    columns: Sequence[str] | None = None,
                    conditions: answers.Conditions | None = None) -> AsyncOperation:
        return AsyncOperation(self._session, await self._session.run(
            _routes.train(self.name, rows, seed, epochs, columns, conditions)))

    async def submit(self, rows: arrays.Rows, *, feed: str, run: int, seq: int, columns: Sequence[str] | None = None,
                     conditions: answers.Conditions | None = None, time: answers.Time | None = None) -> answers.Batch:
        return await self._session.run(_routes.submit(self.name, rows, feed, run, seq, columns, conditions, time))

    async def batches(self, limit: int | None = 100) -> answers.Items[answers.Batch]:
        return answers.Items(await self._session.collect("twins", self.name, "batches", limit=limit))

    async def feeds(self) -> answers.Items[answers.FeedInfo]:
        return answers.Items((await self._session.run(_call.get("twins", self.name, "feeds")))["items"])

    # --- is it true? ---

    async def drift(self) -> answers.Drift:
        drift: answers.Drift = await self._session.run(_call.get("twins", self.name, "drift"))
        return drift

    async def iterations(self, limit: int | None = 100) -> answers.Items[answers.Iteration]:
        return answers.Items(await self._session.collect("twins", self.name, "iterations", limit=limit))

    async def follow(self, after: int | None = None, *,
                     timeout: float | None = None) -> AsyncIterator[answers.Iteration]:
        async with self.events("iteration", timeout=timeout) as events:
            seen = after if after is not None else _routes.newest(await self.iterations(limit=1))
            more = True
            while more:
                for iteration in await self._newer(seen):
                    seen = iteration["iteration"]
                    yield iteration
                more = await anext(events, None) is not None

    async def _newer(self, seen: int) -> list[answers.Iteration]:
        try:
            newest = _routes.newest(await self.iterations(limit=1))
            return _routes.decided(await self.iterations(limit=max(newest - seen, 1)), seen)
        except errors.Unavailable:
            return []

    async def metrics(self, *, name: str | None = None, verdict: str | None = None, feature: str | None = None,
                      since: answers.Time | None = None, until: answers.Time | None = None, step: int | None = None,
                      limit: int | None = None) -> answers.Items[answers.Metric]:
        times = {"from": since, "to": until}
        return answers.Items(await self._session.collect("twins", self.name, "metrics", limit=limit, name=name,
                                                   verdict=verdict, feature=feature, step=step, **times))

    async def histograms(self, feature: str | None = None, *, bins: int | None = None,
                         version: answers.Version | None = None) -> answers.Items[answers.Histogram]:
        return await self._session.run(_routes.histograms(self.name, feature, bins, version))

    async def weights(self, version: answers.Version | None = None) -> answers.Weights:
        report: answers.Weights = await self._session.run(_call.get("twins", self.name, "weights", version=version))
        return report

    def events(self, *kinds: str, after: str | None = None, timeout: float | None = None) -> AsyncEventStream:
        return AsyncEventStream(self._session, self.name, kinds, after, timeout)

    # --- versions ---

    async def versions(self, limit: int | None = 100) -> answers.Items[answers.VersionInfo]:
        return answers.Items(await self._session.collect("twins", self.name, "versions", limit=limit))

    async def version(self, number: int) -> answers.VersionInfo:
        info: answers.VersionInfo = await self._session.run(_call.get("twins", self.name, "versions", number))
        return info

    async def artifact(self, version: int) -> bytes:
        return await self._session.run(_routes.bytes_of(self.name, version, "artifact"))

    async def onnx(self, version: int, output: str = "log_prob") -> bytes:
        return await self._session.run(_routes.bytes_of(self.name, version, "onnx", output=output))

    async def alias(self, alias: str = "champion") -> answers.Alias:
        """Where `champion`, `challenger` or `reference` points. Raises NotFound, code `unknown_alias`, where it was
        never set."""
        info: answers.Alias = await self._session.run(_call.get("twins", self.name, "aliases", alias))
        return info

    async def history(self, *, alias: str | None = None, at: answers.Time | None = None,
                      limit: int | None = 100) -> answers.Items[answers.Move]:
        return answers.Items(await self._session.collect("twins", self.name, "history", limit=limit, alias=alias,
                                                         at=at))

    async def promote(self, version: int, *, alias: str = "champion", reason: str | None = None,
                      hold: bool | None = None, move: int | None = None) -> answers.Alias:
        """Points an alias at a version. A move of `champion` by hand holds the loop unless `hold` is False.

        move: the alias's last move that the decision rests on (`alias()["move"]`), else what it is now. Raises Stale
        where somebody moved it meanwhile, Conflict for a rejected version.
        """
        if move is None:
            try:
                move = (await self.alias(alias))["move"]
            except errors.NotFound as error:
                if error.code != "unknown_alias":
                    raise
        return await self._session.run(_routes.put_alias(self.name, alias, version, reason, hold, move))

    async def rollback(self, *, reason: str | None = None, hold: bool | None = None) -> answers.Alias:
        move = (await self.alias())["move"]
        before = _routes.champion_before(await self.history(alias="champion", limit=None))
        return await self.promote(before, reason=reason, hold=hold, move=move)

    async def hold(self, hold: bool = True) -> answers.TwinInfo:
        return await self.update(hold=hold)

    async def retune(self, kind: str = "weights", *, events: int | None = None, ordinals: tuple[int, int] | None = None,
                     seed: int | None = None, promote: bool | None = None, key: str | None = None) -> AsyncOperation:
        """Adapts the twin to the last data: `weights` trains the network further, `reweight` puts weights on top.

        events: the last so many; ordinals: (first, last) batches instead. promote False: what passes the gate waits as
        challenger. key: makes it safe to ask again; the same key gives the same operation (else one is made up).
        """
        return AsyncOperation(self._session, await self._session.run(
            _routes.retune(self.name, kind, events, ordinals, seed, promote, key or str(uuid.uuid4()))))

    async def operations(self, limit: int | None = 100) -> answers.Items[answers.OperationInfo]:
        return answers.Items(await self._session.collect("operations", limit=limit, twin=self.name))


@_documented(client.Operation)
class AsyncOperation:
    """Long work of the daemon, to be awaited."""

    def __init__(self, session: AsyncSession, info: answers.OperationInfo) -> None:
        self._session = session
        self.info = info

    def __repr__(self) -> str:
        return f"<AsyncOperation {self.id}: {self.info['kind']} of {self.info['twin']}, {self.state}>"

    @property
    def id(self) -> int:
        return self.info["id"]

    @property
    def state(self) -> str:
        return self.info["state"]

    @property
    def progress(self) -> float:
        return self.info["progress"]

    @property
    def done(self) -> bool:
        return self.state in _routes.OVER

    @property
    def result(self) -> dict[str, Any]:
        return self.info.get("result") or {}

    async def refresh(self) -> AsyncOperation:
        self.info = await self._session.run(_routes.operation(self.id))
        return self

    async def wait(self, timeout: float | None = None,
                   progress: Callable[[AsyncOperation], None] | None = None) -> AsyncOperation:
        patience = _routes.Patience(self.id, timeout)
        while not self.done:
            try:
                self.info = await self._session.run(_routes.operation(self.id, patience.left()))
            except errors.Unavailable as error:
                patience.away(error)
                await asyncio.sleep(_routes.PAUSE)
            else:
                patience.heard()
                if progress:
                    progress(self)
        if self.state != "succeeded":
            raise errors.OperationFailed(self.info)
        return self

    async def cancel(self) -> AsyncOperation:
        self.info = await self._session.run(_call.change("DELETE", "operations", self.id))
        return self
