"""Where the daemon is and where its token lies: the rules of twinctl."""
from __future__ import annotations

import os
from pathlib import Path

TOKEN_MAX = 256
SERVICE = Path("/var/lib/twin/admin.token")


def _setting(given: str | None, variable: str, default: str) -> str:
    return given or os.environ.get(variable) or default


def url(given: str | None = None) -> str:
    """Of HTTP: what was given, else TWIN_URL."""
    text = _setting(given, "TWIN_URL", "http://127.0.0.1:8470").rstrip("/")
    if not text.lower().startswith(("http://", "https://")):
        raise ValueError(f"{text!r} is not a URL of twind, such as http://127.0.0.1:8470")
    return text


def ingest(given: str | None = None) -> str:
    """Endpoint for feeds: what was given, else TWIN_INGEST."""
    return _setting(given, "TWIN_INGEST", "tcp://127.0.0.1:8471")


def _is_there(path: Path) -> bool:
    """Or may be: the folder of the service is closed to others."""
    try:
        path.stat()
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def token_path(given: str | os.PathLike[str] | None = None) -> Path:
    """Where the token is: TWIN_TOKEN_FILE, else in the state folder of a daemon that this user started, else the
    service's."""
    named = given or os.environ.get("TWIN_TOKEN_FILE")
    if named:
        return Path(named)
    folder = os.environ.get("TWIN_STATE")
    service = os.environ.get("STATE_DIRECTORY", "").split(":")[0]  # systemd may give several
    xdg = os.environ.get("XDG_STATE_HOME", "")
    if folder or service:
        path = Path(folder or service) / "admin.token"
    elif xdg.startswith("/"):
        path = Path(xdg, "twin", "admin.token")
    else:
        path = Path(os.environ.get("HOME", ""), ".local", "state", "twin", "admin.token")
    return SERVICE if not _is_there(path) and _is_there(SERVICE) else path


def read_token(path: Path) -> str:
    """One line of visible ASCII: anything else would break the header. Raises OSError, ValueError."""
    with open(path, "rb") as file:
        text = file.read(TOKEN_MAX + 3).rstrip()
    if not 0 < len(text) <= TOKEN_MAX or not all(33 <= byte < 127 for byte in text):
        raise ValueError("it holds no token")
    return text.decode()


class Token:
    """Found when it is first needed: most requests need none."""

    def __init__(self, token: str | None, token_file: str | os.PathLike[str] | None) -> None:
        self._token = token
        self._file = token_file
        self.where = "the token that was given" if token else ""
        self.problem = ""

    def get(self) -> str | None:
        if self._token is None:
            path = token_path(self._file)
            self.where = str(path)
            try:
                self._token = read_token(path)
                self.problem = ""
            except (OSError, ValueError) as error:
                self.problem = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        return self._token
