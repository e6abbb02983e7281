"""What can go wrong, as exceptions. All are `TwinError`.

The daemon answers errors as problem+json (RFC 9457); each becomes an `ApiError` with its status, its code (a word to
program against, docs/http.md) and its detail (a sentence). A batch that is refused on the wire is a `BatchRefused` with
the code of its NACK (docs/feeds.md).
"""
from __future__ import annotations

from typing import Any, Mapping

__all__ = [
    "TwinError", "Unavailable", "Timeout", "ApiError", "BadRequest", "Unauthorized", "NotFound", "Conflict", "Stale",
    "TooLarge", "TryAgain", "ServerError", "BatchRefused", "BatchConflict", "OperationFailed",
]


class TwinError(Exception):
    """Everything that this package raises about the daemon."""

    def __reduce__(self) -> Any:  # the words alone do not make one again, as pools of processes do
        return _again, (type(self), self.args), self.__dict__


def _again(kind: type[TwinError], args: tuple[Any, ...]) -> TwinError:
    return kind.__new__(kind, *args)


class Unavailable(TwinError, ConnectionError):
    """No daemon answers there."""


class Timeout(TwinError, TimeoutError):
    """The daemon did not answer, or did not finish, in the time that was given."""


class ApiError(TwinError):
    """The daemon refused a request.

    status: of HTTP; code: the problem's `error`, such as "unknown_twin"; detail: a sentence; title: that of the status;
    retry_after: seconds to wait before asking again, None where the daemon did not say.
    """

    def __init__(self, status: int, code: str, detail: str, title: str = "", retry_after: float | None = None) -> None:
        super().__init__(f"{detail} ({code}, HTTP {status})")
        self.status = status
        self.code = code
        self.detail = detail
        self.title = title
        self.retry_after = retry_after


class BadRequest(ApiError):
    """400, 405, 406, 415, 421, 505: the request is not one that the daemon understands."""


class Unauthorized(ApiError):
    """401 or 403: the token is missing or wrong."""


class NotFound(ApiError):
    """404: there is no such twin, version, alias, operation or feature."""


class Conflict(ApiError):
    """409: it does not fit what there is (`untrained`, `exists`, `conflict`, `rejected`, `no_weights`, …)."""


class Stale(ApiError):
    """412 or 428: somebody moved the alias since it was read. Look again, then decide again."""


class TooLarge(ApiError):
    """413: the body is larger than the daemon takes; 431: the names of columns are."""


class TryAgain(ApiError):
    """429, 503 or 507: not now; nothing was changed."""


class ServerError(ApiError):
    """Another 5xx: the daemon's fault."""


class BatchRefused(TwinError):
    """A NACK. `seq` is the batch's, None where it could not be read; the batch has left the feed."""

    def __init__(self, code: str, detail: str, seq: int | None) -> None:
        which = "" if seq is None else f"batch {seq}: "
        super().__init__(f"{which}{detail} ({code})")
        self.code = code
        self.detail = detail
        self.seq = seq


class BatchConflict(BatchRefused):
    """The key (twin, feed, run, seq) holds other data already: these need another run."""


class OperationFailed(TwinError):
    """An operation ended as `failed` or `cancelled`; `operation` is its last state."""

    def __init__(self, operation: Mapping[str, Any]) -> None:
        error = operation.get("error") or {}
        why = error.get("detail") or error.get("error") if isinstance(error, Mapping) else str(error)
        kind, number, state = operation.get("kind", "operation"), operation.get("id"), operation.get("state")
        super().__init__(f"{kind} {number} {state}" + (f": {why}" if why else ""))
        self.operation = operation


def of_status(status: int, code: str, detail: str, title: str = "", retry_after: float | None = None) -> ApiError:
    """The exception for an answer's status."""
    kinds: dict[int, type[ApiError]] = {
        401: Unauthorized, 403: Unauthorized, 404: NotFound, 409: Conflict, 412: Stale, 428: Stale, 413: TooLarge,
        431: TooLarge, 429: TryAgain, 503: TryAgain, 507: TryAgain, 505: BadRequest,
    }
    kind = kinds.get(status, ServerError if status >= 500 else BadRequest)
    return kind(status, code, detail, title, retry_after)


def of_nack(code: str, detail: str, seq: int | None) -> BatchRefused:
    """The exception for a NACK."""
    return (BatchConflict if code == "conflict" else BatchRefused)(code, detail, seq)
