"""What may be seen of requests and responses from outside: metadata and notices, no secrets."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")

logger = logging.getLogger("inkbox_async")

NOTICES_HEADER = "Inkbox-Notices"

_NOTICE_PATHS = re.compile(
    r"/api/v1/(?:"
    r"identities"
    r"|identities/[^/]+"
    r"|identities/[^/]+/contacts/[^/]+/(?:access|permissions)"
    r"|identities/[^/]+/(?:contact-permissions|contact-communication-policies|companion)"
    r"|identities/[^/]+/companion/activations/[^/]+/messages"
    r"|contacts/[^/]+/(?:communication-policy|communication-preview)"
    r"|mail/mailboxes/[^/]+"
    r"|phone/numbers/[^/]+"
    r")/?"
)
_AVATAR_PATH = re.compile(r"/api/v1/identities/[^/]+/avatar/?")


@dataclass(frozen=True, slots=True)
class ResponseNotice:
    """Something the server wants the caller to know beside the answer, such as a coming change.

    Attributes:
        code: For programs; new codes may appear at any time.
        level: How much it matters, such as `info` or `warning`.
        message: For people.
    """

    code: str
    level: str
    message: str


@dataclass(frozen=True, slots=True)
class ResponseMetadata:
    """What `response_observer` is told of one complete HTTP response.

    Attributes:
        notices: The server's notices, or None when there are none.
        method: HTTP method.
        path: Path without the query; segments that prove a key are blotted out.
        status_code: HTTP status.
        request_id: The server's id of the request (`X-Request-ID`), or None.
        elapsed: Seconds from sending the request to the last byte of the response.
        attempt: 1 for the first try, 2 for the first repeat, and so on.
    """

    notices: list[ResponseNotice] | None = None
    method: str = ""
    path: str = ""
    status_code: int = 0
    request_id: str | None = None
    elapsed: float = 0.0
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class RequestMetadata:
    """What `request_observer` is told of one attempt before it is sent.

    Attributes:
        method: HTTP method.
        path: Path without the query; segments that prove a key are blotted out.
        attempt: 1 for the first try, 2 for the first repeat, and so on.
    """

    method: str
    path: str
    attempt: int = 1


ResponseObserver: TypeAlias = Callable[[ResponseMetadata], object]
"""Called with the metadata of every response; what it returns is ignored, what it raises is swallowed."""

RequestObserver: TypeAlias = Callable[[RequestMetadata], object]
"""Called with the metadata of every attempt; what it returns is ignored, what it raises is swallowed."""


@dataclass(frozen=True, slots=True)
class APIResponse(Generic[T]):
    """A result together with the notices that came with it.

    Attributes:
        data: What the callback returned.
        notices: The distinct notices in the order in which they were first seen, or None.
    """

    data: T
    notices: list[ResponseNotice] | None = None


class NoticeCollector:
    """A response observer that keeps the distinct notices it sees until it is closed."""

    def __init__(self) -> None:
        self._seen: dict[ResponseNotice, None] | None = {}
        self._kept: list[ResponseNotice] = []

    def __call__(self, metadata: ResponseMetadata) -> None:
        if self._seen is not None and metadata.notices:
            self._seen.update(dict.fromkeys(metadata.notices))

    def close(self) -> list[ResponseNotice] | None:
        """End the collection and hand over what was collected; None when there was nothing."""
        if self._seen is not None:
            self._kept, self._seen = list(self._seen), None
        return self._kept or None


def tell(observer: Callable[[T], object], metadata: T) -> None:
    """Call an observer; whatever it raises stays its own affair."""
    try:
        observer(metadata)
    except Exception as error:
        logger.warning("an observer raised %s; the request goes on", type(error).__name__)


def response_notices(
    method: str, path: str, status: int, headers: Mapping[str, str], body: bytes
) -> list[ResponseNotice] | None:
    """The notices of a response: from its header, else, for the documented paths, from its body."""
    header = headers.get(NOTICES_HEADER)
    if header is not None:
        found, final = _header_notices(header)
        if final:
            return found
    if 200 <= status < 300 and body[:1] and _carries_notices(method, path.partition("?")[0]):
        from pydantic_core import from_json

        try:
            content = from_json(body)
        except ValueError:
            return None
        if isinstance(content, dict):
            return _valid_notices(content.get("notices"))
    return None


def _header_notices(text: str) -> tuple[list[ResponseNotice] | None, bool]:
    """The notices of the header, and whether the header has the last word."""
    from pydantic_core import from_json

    try:
        content = from_json(text.encode("utf-8", "surrogateescape"))
    except ValueError:
        return None, False
    found = _valid_notices(content)
    return found, found is not None or content is None or content == []


def _valid_notices(content: object) -> list[ResponseNotice] | None:
    if not isinstance(content, list):
        return None
    found = []
    for entry in content:
        if isinstance(entry, dict):
            code, level, message = entry.get("code"), entry.get("level"), entry.get("message")
            if isinstance(code, str) and isinstance(level, str) and isinstance(message, str):
                found.append(ResponseNotice(code, level, message))
    return found or None


def _carries_notices(method: str, path: str) -> bool:
    if _NOTICE_PATHS.fullmatch(path):
        return True
    return method == "PUT" and _AVATAR_PATH.fullmatch(path) is not None
