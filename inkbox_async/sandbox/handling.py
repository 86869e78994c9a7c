"""What a handler of an operation is: the call it gets, what it answers, and how it is registered.

A handler is a plain function. It runs in one transaction on the store's thread, so it waits for nothing but
SQLite:

    @handles("notes.get")
    def get_note(call: Call) -> Note:
        row = call.tx.one(
            "SELECT * FROM notes WHERE id = ? AND organization_id = ?",
            call.path["note_id"], call.caller.organization_id,
        )
        if row is None:
            raise not_found("Note")
        return Note.model_validate(dict(row))

It returns the answer's model, a list of models where the specification says so, None for an empty answer, or
an `Answer` for everything else. Work that has to wait (a delivery, a WebSocket) is ordered with
`call.after_commit`. The module of a handler is named in `areas.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, TypeAlias, TypeVar, TypeVarTuple

from inkbox_async.operation import Operation

from .limits import Limits
from .settings import Settings
from .store import Tx

Ts = TypeVarTuple("Ts")
JSON: TypeAlias = Any  # Any: JSON values of every type
Detail: TypeAlias = str | dict[str, JSON] | list[dict[str, JSON]]


class ApiError(Exception):
    """Refuses a request with a status and the documented `detail`; what the handler wrote is rolled back.

    With `keep_changes` it is kept: for a refusal that must be remembered, such as a wrong code that counts.
    """

    def __init__(
        self,
        status: int,
        detail: Detail,
        headers: Mapping[str, str] | None = None,
        *,
        keep_changes: bool = False,
    ) -> None:
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})
        self.keep_changes = keep_changes


def not_found(what: str) -> ApiError:
    """404: it does not exist, is another organization's, or is not visible to the caller."""
    return ApiError(404, f"{what} not found")


def invalid(message: str, *location: str | int, kind: str = "value_error") -> ApiError:
    """422 for one field, as validation errors look: `invalid("Not a handle", "body", "agent_handle")`."""
    return ApiError(422, [{"loc": list(location), "msg": message, "type": kind}])


def too_many(
    message: Detail, retry_after_seconds: int, limit: int | None = None, remaining: int = 0
) -> ApiError:
    """429 with `Retry-After` and, where there is a number, `X-RateLimit-*` headers."""
    headers = {"Retry-After": str(max(1, retry_after_seconds))}
    if limit is not None:
        headers |= {"X-RateLimit-Limit": str(limit), "X-RateLimit-Remaining": str(max(0, remaining))}
        headers["X-RateLimit-Reset"] = headers["Retry-After"]
    return ApiError(429, message, headers)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Attributes:
        kind: `admin` (organization-wide key), `agent` (key of a claimed identity), `unclaimed` (key of a
            self-signed-up identity before its human has confirmed) or `anyone` (no key).
        organization_id: Organization of the key; empty without a key.
        key_id: Id of the key; empty without a key.
        identity_id: The identity that an agent key belongs to.
        console: True when an admin key came as `Authorization: Bearer`, as a person's console session does.
    """

    kind: Literal["admin", "agent", "unclaimed", "anyone"]
    organization_id: str = ""
    key_id: str = ""
    identity_id: str | None = None
    console: bool = False

    @property
    def is_admin(self) -> bool:
        """True for an organization-wide key."""
        return self.kind == "admin"

    def may_touch(self, identity_id: str | None) -> bool:
        """True when the caller is an admin, or is this very identity."""
        return self.is_admin or (identity_id is not None and self.identity_id == identity_id)


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """One file of a `multipart/form-data` request."""

    filename: str
    content_type: str
    content: bytes = field(repr=False)


@dataclass(slots=True)
class Call:
    """One authenticated and validated request, inside its transaction.

    Attributes:
        operation: The operation's row of the specification.
        tx: The transaction.
        caller: Who calls.
        path: Path parameters: `str`, or `int` for integers; ids are lower-case UUID text.
        query: The operation's query model, or None when it has none.
        body: The operation's request model; None when there is none, or it was optional and left out.
        headers: Request headers, names in lower case.
        now: The sandbox's present; one and the same all through the call.
        settings: The sandbox's names and addresses.
        form: Plain fields of a multipart request.
        files: Files of a multipart request, by field name.
        content: The raw body.
    """

    operation: Operation
    tx: Tx
    caller: Caller
    path: Mapping[str, Any]  # Any: the type is the operation's affair
    query: Any  # Any: a different model for every operation
    body: Any  # Any: a different model for every operation
    headers: Mapping[str, str]
    now: datetime
    settings: Settings
    form: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, UploadedFile] = field(default_factory=dict)
    content: bytes = b""
    _limits: Limits | None = None

    @property
    def limits(self) -> Limits:
        """The plan limits of the caller's organization."""
        if self._limits is None:
            self._limits = Limits.of(self.tx, self.caller.organization_id)
        return self._limits

    def after_commit(self, function: Callable[[*Ts], Awaitable[None]], *arguments: *Ts) -> None:
        """Run `await function(*arguments)` once this call's changes are stored; see `Tx.after_commit`."""
        self.tx.after_commit(function, *arguments)

    def refuse_agents(self, what: str) -> None:
        """403 unless the caller is an admin; `what` names the act: "Changing a filter mode"."""
        if not self.caller.is_admin:
            raise ApiError(403, f"{what} needs an admin API key (an organization-wide one).")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is not just the operation's model with its usual status.

    Attributes:
        body: A model, a list of models, JSON-able data, or bytes to send as they are.
        status: HTTP status; None for the operation's.
        content_type: Media type; None for the operation's.
        headers: Further headers.
    """

    body: Any = None  # Any: models of every kind, plain data, bytes
    status: int | None = None
    content_type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler: TypeAlias = Callable[[Call], Any]  # Any: a different answer for every operation
H = TypeVar("H", bound=Handler)
K = TypeVar("K")

HANDLERS: dict[str, Handler] = {}
ROUTES: dict[tuple[str, str], Handler] = {}


def handles(operation_id: str) -> Callable[[H], H]:
    """Make the function the handler of an operation of the specification, named by its `operationId`."""

    def register(handler: H) -> H:
        claim(HANDLERS, operation_id, handler)
        return handler

    return register


def serves(method: str, path: str) -> Callable[[H], H]:
    """Make the function the handler of a path outside the specification, such as a temporary link to a file.

    Nobody is authenticated and nothing is validated there: the caller is `anyone`, path parameters are text.
    """

    def register(handler: H) -> H:
        claim(ROUTES, (method, path), handler)
        return handler

    return register


def claim(registry: MutableMapping[K, Any], key: K, handler: object) -> None:  # Any: handlers of every kind
    """Enter a handler in its table; a second one for the same key is a mistake of ours."""
    if registry.setdefault(key, handler) is not handler:
        raise ValueError(f"{key} has two handlers: {registry[key]!r} and {handler!r}")
