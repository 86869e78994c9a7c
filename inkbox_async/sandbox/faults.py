"""Orders to make the next matching API calls fail, stall or lose their connection."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.1
_HEADER_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]*")
_FRAMING = frozenset({"content-length", "transfer-encoding"})


@dataclass(slots=True)
class Fault:
    """What shall happen to which calls. A fault without `status` and `drop` only delays the call.

    Attributes:
        id: Names the fault.
        method: HTTP method, None for every one.
        path: Path of the call with `*` for any text, None for every path.
        status: HTTP status to answer with instead of doing what was asked.
        headers: Headers of that answer.
        body: JSON body of that answer; by default a `detail` that names the fault.
        delay_seconds: Real seconds to wait first.
        drop: Close the connection without an answer.
        times: How many calls are still to be hit; None for all until the faults are cleared.
    """

    id: int
    method: str | None = None
    path: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None  # Any: whatever JSON the test wants to see
    delay_seconds: float = 0.0
    drop: bool = False
    times: int | None = 1

    def matches(self, method: str, path: str) -> bool:
        """True when a call is meant by this fault."""
        if self.method is not None and self.method.upper() != method.upper():
            return False
        return self.path is None or fnmatchcase(path.rstrip("/"), self.path.rstrip("/"))


class Faults:
    """The faults in force, oldest first. May be used from every thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._faults: list[Fault] = []

    def add(
        self,
        *,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        body: Any = None,  # Any: whatever JSON the test wants to see
        delay_seconds: float = 0.0,
        drop: bool = False,
        times: int | None = 1,
    ) -> Fault:
        """Let the next `times` matching calls (None: all) fail, stall or lose their connection; see `Fault`.

        Raises:
            ValueError: The fault would do nothing, or an argument is out of range.
        """
        if status is not None and not 200 <= status <= 599:
            raise ValueError("status is an HTTP status from 200 to 599")
        if not 0 <= delay_seconds < float("inf"):
            raise ValueError("delay_seconds is 0 or more")
        if times is not None and times < 1:
            raise ValueError("times is 1 or more, or None for every call")
        for name, value in (headers or {}).items():
            if not _HEADER_NAME.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                raise ValueError(f"{name!r} cannot be sent as a header")
            if name.lower() in _FRAMING:
                raise ValueError(f"{name} follows from the body; leave it out")
        if status is None and not drop and delay_seconds == 0:
            raise ValueError("A fault needs status, drop or delay_seconds: this one would do nothing.")
        fault = Fault(
            next(self._numbers), method, path, status, dict(headers or {}), body, delay_seconds, drop, times
        )
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """Forget every fault."""
        with self._lock:
            self._faults.clear()

    def take(self, method: str, path: str) -> Fault | None:
        """The oldest fault meant for a call, counted down; None when nothing shall happen."""
        with self._lock:
            for fault in self._faults:
                if fault.matches(method, path):
                    if fault.times is not None:
                        fault.times -= 1
                        if fault.times == 0:
                            self._faults.remove(fault)
                    return fault
        return None
