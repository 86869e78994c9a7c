"""What a handler of the control API is: the call it gets, and how it is registered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from .handling import claim
from .parts import Parts


@dataclass(slots=True)
class ControlCall:
    """One validated request of the control API. Its handler runs on the sandbox's event loop and may wait.

    Attributes:
        sandbox: The sandbox; `await call.sandbox.store.run(function)` runs a transaction.
        path, query, body, headers, content: As in `Call`; `body` is None for a body of another media type.
        content_type: Media type of the request body.
    """

    sandbox: Parts
    path: Mapping[str, Any] = field(default_factory=dict)  # Any: as in Call
    query: Any = None  # Any: as in Call
    body: Any = None  # Any: as in Call
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    content_type: str = "application/json"


ControlHandler: TypeAlias = Callable[[ControlCall], Awaitable[Any]]  # Any: as for `handling.Handler`
C = TypeVar("C", bound=ControlHandler)

CONTROLS: dict[str, ControlHandler] = {}


def controls(operation_id: str) -> Callable[[C], C]:
    """Make the coroutine function the handler of an operation of the control API (`openapi/sandbox.yaml`)."""

    def register(handler: C) -> C:
        claim(CONTROLS, operation_id, handler)
        return handler

    return register
