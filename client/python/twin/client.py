"""`Twin`: one twin of a daemon, as a physicist asks it. `Client`: the daemon. `Operation`: its long work.

Everything here is HTTP; events go in through a `Feed`. Where the daemon is and where its token lies follows the rules
of twinctl: `url`, else TWIN_URL, else http://127.0.0.1:8470; `token`, else `token_file`, else TWIN_TOKEN_FILE, else
the state folder. Only what changes something needs the token. `twin.aio` has the same for asyncio.
"""
from __future__ import annotations

import os
import time as clock
import uuid
from types import TracebackType
from typing import Any, Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from . import _call, _routes, answers, arrays, errors
from ._session import Session
from .events import EventStream

__all__ = ["Client", "Twin", "Operation"]


class Client:
    """A daemon. Usable from several threads; `with Client() as client:` closes its connections.

    timeout: seconds that one answer may take.
    """

    def __init__(self, url: str | None = None, *, token: str | None = None,
                 token_file: str | os.PathLike[str] | None = None, timeout: float = 60.0) -> None:
        self._session = Session(url, token, token_file, timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._session.url!r})"

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()

    def readiness(self) -> answers.Readiness:
        """Whether the daemon can do its work, and what is wrong now."""
        return self._session.run(_routes.readiness())

    def twin(self, name: str) -> Twin:
        """A twin of this daemon; whether it is there shows when it is asked."""
        return Twin(name, client=self)

    def twins(self) -> answers.Items[answers.TwinInfo]:
        """All twins."""
        return answers.Items(self._session.collect("twins"))

    def create(self, definition: answers.Definition) -> Twin:
        """Makes a twin of its definition (docs/definition.md). Raises Conflict where the name is taken, BadRequest
        with what is wrong."""
        made = self._session.run(_call.change("POST", "twins", body=dict(definition)))
        return Twin(made["name"], client=self)

    def events(self, *kinds: str, after: str | None = None, timeout: float | None = None) -> EventStream:
        """What happens from now on: `for event in client.events("drift", "version")`. kinds: of events, all without one.
        after: the id of an event that was seen, to go on behind it. timeout: the stream ends after so many seconds
        without an event, and somewhat more where that is long. `missed` is always told: twin.events."""
        return EventStream(self._session, None, kinds, after, timeout)

    def operation(self, number: int) -> Operation:
        """An operation by its number."""
        return Operation(self._session, self._session.run(_routes.operation(number)))

    def operations(self, twin: str | None = None, limit: int | None = 100) -> answers.Items[answers.OperationInfo]:
        """Operations, newest first."""
        return answers.Items(self._session.collect("operations", limit=limit, twin=twin))


class Twin:
    """A twin by its name: `Twin("zmumu").sample(10_000)`.

    Without `client` it has connections of its own (`url`, `token`, `token_file`, `timeout` as for `Client`), which
    `close` or a `with` block ends. Any method raises `Unavailable` where no daemon answers, and NotFound, code
    `unknown_twin`, where it has no such twin.
    """

    def __init__(self, name: str, *, client: Client | None = None, url: str | None = None, token: str | None = None,
                 token_file: str | os.PathLike[str] | None = None, timeout: float = 60.0) -> None:
        self.name = name
        self._own = client is None
        self._session = client._session if client else Session(url, token, token_file, timeout)
        self._features: tuple[str, ...] | None = None

    def __enter__(self) -> Twin:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Twin({self.name!r}, url={self._session.url!r})"

    def close(self) -> None:
        """Closes the connections, unless they are a client's."""
        if self._own:
            self._session.close()

    # --- what it is ---

    def info(self) -> answers.TwinInfo:
        """Verdict, activity, champion, counters, last iteration, definition."""
        info: answers.TwinInfo = self._session.run(_call.get("twins", self.name))
        return info

    def definition(self) -> answers.Definition:
        """What the twin is made of."""
        return self.info()["definition"]

    def features(self) -> tuple[str, ...]:
        """The names of the columns, in their order."""
        if self._features is None:
            self._features = tuple(feature["name"] for feature in self.definition()["features"])
        return self._features

    def update(self, **patch: Any) -> answers.TwinInfo:
        """Changes `description`, `observables`, `loop` or `hold` (RFC 7396: members that are None go). Features cannot
        be changed: Conflict."""
        info: answers.TwinInfo = self._session.run(_call.change("PATCH", "twins", self.name, body=patch))
        return info

    def delete(self) -> None:
        """Removes the twin, its versions and its batches, for ever."""
        self._session.run(_call.change("DELETE", "twins", self.name))

    # --- the generator ---

    def sample(self, n: int = 1000, *, seed: int | None = None, version: answers.Version | None = None,
               member: int | None = None, conditions: answers.Conditions | None = None,
               reweight: str | None = None) -> arrays.Events:
        """Draws events: float32, (n, features), in the features' units.

        seed: the same version, seed and n give the same events, a smaller n the first of them; without one it is
        random, and `events.seed` says what it was. version: other than the champion, a number or an alias. member: of
        an ensemble, from 0. conditions: values of the definition's conditions. reweight: "unweighted" or "weighted" (a
        last column `weight`) of a version with weights. More than 10^6 events come in pieces of 10^6 with seeds seed,
        seed + 1, …
        Raises Conflict, code `untrained`, where there is no version yet.
        """
        parts: list[arrays.Events] = []
        for size in _routes.pieces(n):
            part = self._session.run(_routes.sample(self.name, size, seed, version, member, conditions, reweight))
            version, seed = part.version, (part.seed or 0) + 1
            parts.append(part)
        return _routes.join(parts)

    def log_prob(self, rows: arrays.Rows, *, columns: Sequence[str] | None = None,
                 version: answers.Version | None = None, member: int | None = None,
                 conditions: answers.Conditions | None = None) -> npt.NDArray[np.float64]:
        """The log-likelihood of events in nats, of the density in the features' units: float64, (rows).

        -inf where an event lies outside the domain. rows: any of `twin.Rows`, (rows, features); columns that have names
        may come in any order, and conditions may be columns. All events are answered by one version.
        """
        pieces = _routes.LogProb(self.name, rows, columns, version, member, False, conditions)
        for call in pieces.calls():
            self._session.run(call)
        return pieces.result()

    def log_prob_spread(self, rows: arrays.Rows, *, columns: Sequence[str] | None = None,
                        version: answers.Version | None = None, conditions: answers.Conditions | None = None
                        ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """`log_prob`, and its standard deviation over the members of an ensemble: two arrays (rows). The second is NaN
        where there is one member, or where one of them excludes the event."""
        pieces = _routes.LogProb(self.name, rows, columns, version, None, True, conditions)
        for call in pieces.calls():
            self._session.run(call)
        result = pieces.result()
        return result[:, 0], result[:, 1]

    # --- data in ---

    def train(self, rows: arrays.Rows | None = None, *, seed: int | None = None, epochs: int | None = None,
              columns: Sequence[str] | None = None, conditions: answers.Conditions | None = None) -> Operation:
        """The first training, on rows (rows, features) or, without rows, on what feeds have sent. It makes version 1.
        Raises Conflict, code `trained`, where there is one."""
        return Operation(self._session, self._session.run(
            _routes.train(self.name, rows, seed, epochs, columns, conditions)))

    def submit(self, rows: arrays.Rows, *, feed: str, run: int, seq: int, columns: Sequence[str] | None = None,
               conditions: answers.Conditions | None = None, time: answers.Time | None = None) -> answers.Batch:
        """Sends one batch over HTTP and returns once it is on the daemon's disk. For a stream of batches use `Feed`.
        Raises Conflict where the key (twin, feed, run, seq) holds other data."""
        return self._session.run(_routes.submit(self.name, rows, feed, run, seq, columns, conditions, time))

    def batches(self, limit: int | None = 100) -> answers.Items[answers.Batch]:
        """What arrived, newest first."""
        return answers.Items(self._session.collect("twins", self.name, "batches", limit=limit))

    def feeds(self) -> answers.Items[answers.FeedInfo]:
        """Who sent what, and what is missing."""
        return answers.Items(self._session.run(_call.get("twins", self.name, "feeds"))["items"])

    # --- is it true? ---

    def drift(self) -> answers.Drift:
        """Verdict and statistics of the last window, and the story of the last alarm: what has drifted, since when,
        what was done, whether it helped."""
        drift: answers.Drift = self._session.run(_call.get("twins", self.name, "drift"))
        return drift

    def iterations(self, limit: int | None = 100) -> answers.Items[answers.Iteration]:
        """Comparisons, newest first."""
        return answers.Items(self._session.collect("twins", self.name, "iterations", limit=limit))

    def follow(self, after: int | None = None, *, timeout: float | None = None) -> Iterator[answers.Iteration]:
        """Comparisons as they are decided, oldest first, none left out: those behind iteration `after`, None: from now
        on. Restarts of the daemon are waited for. It ends after `timeout` seconds without one."""
        with self.events("iteration", timeout=timeout) as events:
            seen = after if after is not None else _routes.newest(self.iterations(limit=1))
            more = True
            while more:
                for iteration in self._newer(seen):
                    seen = iteration["iteration"]
                    yield iteration
                more = next(events, None) is not None

    def _newer(self, seen: int) -> list[answers.Iteration]:
        try:
            newest = _routes.newest(self.iterations(limit=1))
            return _routes.decided(self.iterations(limit=max(newest - seen, 1)), seen)
        except errors.Unavailable:
            return []  # the events tell when it is back

    def metrics(self, *, name: str | None = None, verdict: str | None = None, feature: str | None = None,
                since: answers.Time | None = None, until: answers.Time | None = None, step: int | None = None,
                limit: int | None = None) -> answers.Items[answers.Metric]:
        """Statistics over time, oldest first. since (default: a day ago), until: `Time`; step: seconds."""
        times = {"from": since, "to": until}
        return answers.Items(self._session.collect("twins", self.name, "metrics", limit=limit, name=name,
                                                   verdict=verdict, feature=feature, step=step, **times))

    def histograms(self, feature: str | None = None, *, bins: int | None = None,
                   version: answers.Version | None = None) -> answers.Items[answers.Histogram]:
        """The last window of data over samples, one for each feature and observable. Empty before the first window."""
        return self._session.run(_routes.histograms(self.name, feature, bins, version))

    def weights(self, version: answers.Version | None = None) -> answers.Weights:
        """The report on the weights of a version. Raises NotFound, code `no_weights`, where none was ever made."""
        report: answers.Weights = self._session.run(_call.get("twins", self.name, "weights", version=version))
        return report

    def events(self, *kinds: str, after: str | None = None, timeout: float | None = None) -> EventStream:
        """What happens from now on: `for event in twin.events("drift", "version")`. kinds: of events, all without one.
        after: the id of an event that was seen, to go on behind it. timeout: the stream ends after so many seconds
        without an event, and somewhat more where that is long. `missed` is always told: twin.events."""
        return EventStream(self._session, self.name, kinds, after, timeout)

    # --- versions ---

    def versions(self, limit: int | None = 100) -> answers.Items[answers.VersionInfo]:
        """Versions, newest first."""
        return answers.Items(self._session.collect("twins", self.name, "versions", limit=limit))

    def version(self, number: int) -> answers.VersionInfo:
        """One version."""
        info: answers.VersionInfo = self._session.run(_call.get("twins", self.name, "versions", number))
        return info

    def artifact(self, version: int) -> bytes:
        """A version as a safetensors file (docs/model-format.md)."""
        return self._session.run(_routes.bytes_of(self.name, version, "artifact"))

    def onnx(self, version: int, output: str = "log_prob") -> bytes:
        """A version's `log_prob` or `sample` as an ONNX graph (docs/onnx.md). Raises BadRequest, code `not_exportable`,
        for one with weights."""
        return self._session.run(_routes.bytes_of(self.name, version, "onnx", output=output))

    def alias(self, alias: str = "champion") -> answers.Alias:
        """Where `champion`, `challenger` or `reference` points. Raises NotFound, code `unknown_alias`, where it was
        never set."""
        info: answers.Alias = self._session.run(_call.get("twins", self.name, "aliases", alias))
        return info

    def history(self, *, alias: str | None = None, at: answers.Time | None = None,
                limit: int | None = 100) -> answers.Items[answers.Move]:
        """Moves of aliases, newest first; with `at` (a `Time`) what held then."""
        return answers.Items(self._session.collect("twins", self.name, "history", limit=limit, alias=alias, at=at))

    def promote(self, version: int, *, alias: str = "champion", reason: str | None = None, hold: bool | None = None,
                move: int | None = None) -> answers.Alias:
        """Points an alias at a version. A move of `champion` by hand holds the loop unless `hold` is False.

        move: the alias's last move that the decision rests on (`alias()["move"]`), else what it is now. Raises Stale
        where somebody moved it meanwhile, Conflict for a rejected version.
        """
        if move is None:
            try:
                move = self.alias(alias)["move"]
            except errors.NotFound as error:
                if error.code != "unknown_alias":
                    raise
        return self._session.run(_routes.put_alias(self.name, alias, version, reason, hold, move))

    def rollback(self, *, reason: str | None = None, hold: bool | None = None) -> answers.Alias:
        """Makes the champion before this one champion again; once more goes further back. Raises ValueError where there
        was none."""
        move = self.alias()["move"]
        before = _routes.champion_before(self.history(alias="champion", limit=None))
        return self.promote(before, reason=reason, hold=hold, move=move)

    def hold(self, hold: bool = True) -> answers.TwinInfo:
        """Keeps the loop from moving the champion, or lets it again."""
        return self.update(hold=hold)

    def retune(self, kind: str = "weights", *, events: int | None = None, ordinals: tuple[int, int] | None = None,
               seed: int | None = None, promote: bool | None = None, key: str | None = None) -> Operation:
        """Adapts the twin to the last data: `weights` trains the network further, `reweight` puts weights on top.

        events: the last so many; ordinals: (first, last) batches instead. promote False: what passes the gate waits as
        challenger. key: makes it safe to ask again; the same key gives the same operation (else one is made up).
        """
        return Operation(self._session, self._session.run(
            _routes.retune(self.name, kind, events, ordinals, seed, promote, key or str(uuid.uuid4()))))

    def operations(self, limit: int | None = 100) -> answers.Items[answers.OperationInfo]:
        """Operations of this twin, newest first."""
        return answers.Items(self._session.collect("operations", limit=limit, twin=self.name))


class Operation:
    """Long work of the daemon: a training or a retune. `info` is its last known state."""

    def __init__(self, session: Session, info: answers.OperationInfo) -> None:
        self._session = session
        self.info = info

    def __repr__(self) -> str:
        return f"<Operation {self.id}: {self.info['kind']} of {self.info['twin']}, {self.state}>"

    @property
    def id(self) -> int:
        """Its number."""
        return self.info["id"]

    @property
    def state(self) -> str:
        """queued, running, succeeded, failed or cancelled."""
        return self.info["state"]

    @property
    def progress(self) -> float:
        """From 0 to 1."""
        return self.info["progress"]

    @property
    def done(self) -> bool:
        """Succeeded, failed or cancelled."""
        return self.state in _routes.OVER

    @property
    def result(self) -> dict[str, Any]:
        """What came out, once it has succeeded; before that empty."""
        return self.info.get("result") or {}

    def refresh(self) -> Operation:
        """Asks how far it is."""
        self.info = self._session.run(_routes.operation(self.id))
        return self

    def wait(self, timeout: float | None = None, progress: Callable[[Operation], None] | None = None) -> Operation:
        """Returns once it has succeeded. Raises OperationFailed where it failed or was cancelled, Timeout after
        `timeout` seconds, when it goes on. `progress` is called with the operation now and then. A restart of the
        daemon in between, which takes the operation up again, is waited for."""
        patience = _routes.Patience(self.id, timeout)
        while not self.done:
            try:
                self.info = self._session.run(_routes.operation(self.id, patience.left()))
            except errors.Unavailable as error:
                patience.away(error)
                clock.sleep(_routes.PAUSE)
            else:
                patience.heard()
                if progress:
                    progress(self)
        if self.state != "succeeded":
            raise errors.OperationFailed(self.info)
        return self

    def cancel(self) -> Operation:
        """Ends it. Raises Conflict where it is finished."""
        self.info = self._session.run(_call.change("DELETE", "operations", self.id))
        return self
