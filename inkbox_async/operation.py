"""One operation of the specification as data: what a server needs to route, check and answer it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Operation:
    """A row of the generated table of operations.

    Types are named by import path (`inkbox_async.generated.models.mail:Message`), so that the table costs
    nothing until a type is needed.

    Attributes:
        id: `<resource>.<method>`, e.g. `messages.send`.
        method: HTTP method in capitals.
        path: Path template as the official client sends it, e.g. `/api/v1/identities/{agent_handle}`.
        status: HTTP status of success.
        area: The area file that specifies it, e.g. `mail`.
        callers: Who may call: `admin`, `agent`, `unclaimed`, `anyone`.
        path_types: Type of each path parameter: `string`, `uuid` or `integer`.
        query: Model of the query parameters, or None when there are none.
        body: Model of the request body, or None when there is none.
        body_required: Whether a request without a body is refused.
        body_media: Media type of the request body.
        response_media: Media type of the answer.
    """

    id: str
    method: str
    path: str
    status: int
    area: str
    callers: frozenset[str]
    path_types: Mapping[str, str] = field(default_factory=dict)
    query: str | None = None
    body: str | None = None
    body_required: bool = False
    body_media: str = "application/json"
    response_media: str = "application/json"
