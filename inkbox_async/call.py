"""One request in the form in which every attempt sends it, and a response as it came."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import aiohttp
from multidict import CIMultiDict, CIMultiDictProxy


@dataclass(slots=True, eq=False)
class RawResponse:
    """A response as it came. Its repr shows the status only.

    Attributes:
        status_code: HTTP status.
        headers: Response headers, names in any case.
        body: The whole body.
    """

    status_code: int
    headers: CIMultiDictProxy[str] = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def location(self) -> str | None:
        """Where a redirect points to, or None."""
        return self.headers.get("Location")


@dataclass(slots=True, eq=False)
class Call:
    """One request in the form in which every attempt sends it.

    Its repr is safe to show, and no frame that may fail holds its parts in variables of their own: tools that
    report the variables beside a traceback would show keys and queries.

    Attributes:
        method: HTTP method in capitals.
        path: Percent-encoded path and query from `/api` on, for messages.
        target: Percent-encoded path and query from the origin on, for the wire.
        headers: All headers but those that only the connection knows.
        data: Bytes, pieces of bytes, or what aiohttp takes as `data`.
        timeout: Seconds of each phase.
        repeatable: Whether the request may reach the server twice.
        max_retries: How many attempts may follow the first.
    """

    method: str
    path: str = field(repr=False)
    target: str = field(repr=False)
    headers: CIMultiDict[str] = field(repr=False)
    data: Any = field(repr=False)  # Any: see above
    timeout: aiohttp.ClientTimeout
    repeatable: bool
    max_retries: int
