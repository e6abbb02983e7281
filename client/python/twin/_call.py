"""One request as a value: what to send and how to read the answer. Sessions, plain and asyncio, carry it out, so that
what is known about the API stands once."""
from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Callable, Generic, Mapping, TypeVar
from urllib.parse import quote

import httpx
import numpy as np

from . import errors

T = TypeVar("T")

ATTEMPTS = 4
PAUSE_MOST = 5.0  # seconds between two attempts


@dataclass(frozen=True)
class Call(Generic[T]):
    method: str
    path: str
    parse: Callable[[httpx.Response], T]
    params: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    change: bool = False  # needs the token
    repeatable: bool = False  # may be sent again when the connection broke: it changes nothing, or has a key
    longer: float = 0.0  # seconds that the daemon may take beyond the session's timeout
    also: int = 0  # a further status whose answer is read


def dumps(value: Any) -> str:
    """JSON, also of numpy's numbers, in which people count events, and of times that know their zone."""
    return json.dumps(value, allow_nan=False, default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, (np.integer, np.floating, np.bool_)):
        return value.item()
    if isinstance(value, datetime):
        return time_text(value)
    raise TypeError(f"{value!r} has no place in a request")


def time_text(time: datetime) -> str:
    """RFC 3339. ValueError where nobody knows which hour is meant."""
    if time.tzinfo is None:
        raise ValueError(f"{time!r} has no time zone; datetime.now(timezone.utc) has one")
    return time.isoformat()


def json_body(body: Any) -> tuple[bytes, dict[str, str]]:
    return dumps(body).encode(), {"Content-Type": "application/json"}


def path(*parts: object) -> str:
    return "/v1/" + "/".join(quote(str(part), safe="") for part in parts)


def query(**values: Any) -> dict[str, str]:
    """The parameters that are not None."""
    return {name: _text(value) for name, value in values.items() if value is not None}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        return time_text(value)
    return dumps(dict(value)) if isinstance(value, Mapping) else str(value)


def as_json(response: httpx.Response) -> Any:
    return response.json() if response.content else None


def get(*parts: object, **params: Any) -> Call[Any]:
    return Call("GET", path(*parts), as_json, query(**params), repeatable=True)


def change(method: str, *parts: object, body: Any = None, headers: Mapping[str, str] | None = None,
           repeatable: bool = False) -> Call[Any]:
    content, kind = json_body(body) if body is not None else (None, {})
    return Call(method, path(*parts), as_json, {}, content,
                {**kind, **(headers or {})}, change=True, repeatable=repeatable)


def problem(response: httpx.Response, hint: str = "") -> errors.ApiError:
    """The exception of an answer that is no success; the body has been read."""
    try:
        body = response.json()
        if not isinstance(body, dict):
            body = {}
    except ValueError:  # the server library's own answers are HTML
        body = {}
    title = str(body.get("title") or response.reason_phrase)
    detail = str(body.get("detail") or title or f"HTTP status {response.status_code}")
    after = response.headers.get("Retry-After", "")
    return errors.of_status(response.status_code, str(body.get("error") or "unknown"), detail + hint, title,
                            float(after) if after.isdigit() else None)


def transport_problem(url: str, error: httpx.HTTPError) -> errors.TwinError:
    if isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout):
        return errors.Timeout(f"{url} did not answer in time")
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        return errors.Unavailable(f"no answer from {url}; is twind running? (url=, TWIN_URL)")
    return errors.Unavailable(f"{url}: the connection broke: {error}")


def pause(call: Call[Any], error: errors.TwinError, attempt: int) -> float | None:
    """Seconds until the call may be sent again after its `attempt`-th try (from 1); None: raise the error."""
    if attempt >= ATTEMPTS:
        return None
    if isinstance(error, errors.TryAgain) and error.retry_after is not None:
        return min(max(error.retry_after, 0.1), PAUSE_MOST)  # nothing was changed
    if isinstance(error, errors.Unavailable) and call.repeatable and attempt == 1:
        return 0.1  # an idle connection was closed while we took it up again
    return None
