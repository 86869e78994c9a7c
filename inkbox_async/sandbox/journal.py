"""A bounded record of the API calls that came in, without their secrets."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic_core import from_json, to_json

from inkbox_async.secrecy import is_address, is_secret, public_path, public_url

from .requests import is_json

REDACTED = "[redacted]"
MAX_ENTRIES = 1000
MAX_BODY_BYTES = 32 * 1024
SECRET_HEADERS = frozenset({"x-api-key", "authorization", "proxy-authorization", "cookie"})
SECRET_NAMES = frozenset({"encrypted_payload", "new_auth_hash", "token", "wrapped_org_encryption_key"})
"""Names of what is kept out of the journal besides what is secret everywhere."""
_SECRET_PATHS = ("/vault/keys/",)  # what follows is a verifier of a vault key


@dataclass(frozen=True, slots=True)
class Entry:
    """One API call.

    Attributes:
        request_id: Value of `X-Request-ID` in the answer.
        received_at: When it came in, by the sandbox's clock.
        method: HTTP method.
        path: Path without the query.
        query: Query parameters; a list where one was repeated.
        headers: Request headers, names in lower case, keys redacted.
        body: The JSON body with secrets redacted; text that says how large it was, when it was not kept.
        status: HTTP status of the answer; 0 when the connection was dropped.
    """

    request_id: str
    received_at: datetime
    method: str
    path: str
    query: Mapping[str, Any]  # Any: text or list of texts
    headers: Mapping[str, str]
    body: Any  # Any: JSON values of every type
    status: int


@dataclass(slots=True)
class _Raw:
    request_id: str
    received_at: datetime
    method: str
    path: str
    query: Iterable[tuple[str, str]]
    headers: Iterable[tuple[str, str]]
    content_type: str
    body: bytes = field(repr=False)
    body_size: int = 0
    status: int = 0


class Journal:
    """The newest calls, read with secrets removed. May be used from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[_Raw] = deque(maxlen=MAX_ENTRIES)

    def record(
        self,
        *,
        request_id: str,
        received_at: datetime,
        method: str,
        path: str,
        query: Iterable[tuple[str, str]],
        headers: Iterable[tuple[str, str]],
        content_type: str,
        body: bytes,
        status: int,
    ) -> None:
        """Remember a call that was answered with `status` (0: its connection was dropped)."""
        kept = body if len(body) <= MAX_BODY_BYTES else b""
        entry = _Raw(
            request_id, received_at, method, path, query, headers, content_type, kept, len(body), status
        )
        with self._lock:
            self._entries.append(entry)

    def entries(self) -> list[Entry]:
        """The calls remembered, newest first."""
        with self._lock:
            raw = list(self._entries)
        return [_read(entry) for entry in reversed(raw)]

    def clear(self) -> None:
        """Forget every call."""
        with self._lock:
            self._entries.clear()


def redact(value: Any, name: str = "") -> Any:  # Any: JSON values of every type
    """A copy of a JSON value, called `name`, without secrets and without what gives a right to addresses."""
    if isinstance(value, dict):
        return {
            name: REDACTED if _is_kept_out(name) and item is not None else redact(item, name)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [redact(item, name) for item in value]
    return public_url(value) if isinstance(value, str) and is_address(name) else value


def redact_text(text: str) -> str:
    """A text as it is, unless it is JSON that `redact` would change."""
    try:
        value = from_json(text)
        shown = redact(value)
    except (ValueError, RecursionError):
        return text
    return text if shown == value else to_json(shown).decode()


def _is_kept_out(name: str) -> bool:
    return name.lower() in SECRET_NAMES or is_secret(name)


def _read(entry: _Raw) -> Entry:
    query: dict[str, Any] = {}  # Any: text or list of texts
    for name, value in entry.query:
        shown = REDACTED if _is_kept_out(name) else public_url(value) if is_address(name) else value
        if name not in query:
            query[name] = shown
        elif isinstance(query[name], list):
            query[name].append(shown)
        else:
            query[name] = [query[name], shown]
    path = public_path(entry.path)
    for marker in _SECRET_PATHS:
        if marker in path and not path.endswith("/primary"):
            path = path[: path.index(marker) + len(marker)] + REDACTED
    return Entry(
        request_id=entry.request_id,
        received_at=entry.received_at,
        method=entry.method,
        path=path,
        query=query,
        headers={
            name.lower(): REDACTED if _is_secret_header(name) else _text(value)
            for name, value in entry.headers
        },
        body=_read_body(entry),
        status=entry.status,
    )


def _read_body(entry: _Raw) -> Any:  # Any: JSON values of every type
    if not entry.body_size:
        return None
    size = f"[{entry.body_size} bytes of {entry.content_type}]"
    if not entry.body or not is_json(entry.content_type):
        return size
    try:
        return redact(from_json(entry.body, allow_inf_nan=False))
    except ValueError:
        return size


def _is_secret_header(name: str) -> bool:
    return name.lower() in SECRET_HEADERS or is_secret(name.replace("-", "_"))


def _text(value: str) -> str:
    """A header as text that JSON can carry: bytes that are not UTF-8 arrive here as lone surrogates."""
    return value.encode("utf-8", "replace").decode()
