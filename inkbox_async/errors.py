"""Everything that can go wrong, as one tree of exceptions.

InkboxError
├── InkboxConnectionError            no answer: name, route, TLS, reset, broken response
│   └── InkboxTimeoutError           no answer in time (also a TimeoutError)
├── InkboxAPIError                   the server answered with an error (or an unusable redirect)
│   ├── DuplicateContactRuleError            409, existing_rule_id
│   ├── RedundantContactAccessGrantError     409, error and detail_message
│   ├── RecipientBlockedError                403, matched_rule_id, address, reason
│   ├── StorageLimitExceededError            402, message, upgrade_url, limit_bytes
│   ├── DedicatedIMessageNumberQuotaExceededError    402
│   ├── DedicatedIMessageNumberInventoryPendingError 503, retry_after_seconds
│   ├── MailImportQuotaExceededError         429, retry_after_seconds
│   ├── IdempotencyKeyReusedError            409, the key was used for another request
│   ├── HandleUnavailableError               409, blocking_namespace
│   ├── TunnelStateConflict                  409
│   │   └── TunnelCSRStateConflict
│   └── TunnelTLSModeMismatch                409
├── InkboxResponseError              a success whose body does not fit the documented shape
├── InkboxVaultKeyError              wrong vault key or recovery code
│   └── (see inkbox_async.vault for what each call raises)
├── MailImportUploadError            the direct upload of a mail import failed
└── TunnelError
    ├── TunnelNameInvalid            not a legal agent handle (also a ValueError)
    ├── TunnelRemoved                the tunnel was deleted; reconnecting is useless
    ├── TunnelNotProvisioned         no such tunnel, or its identity does not exist yet
    └── TunnelSupersededError        another listener took over this tunnel

Every message says what happened and, where something can be done about it, what to do. None of them
holds an API key, a vault key, a payload or a private key.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, TypeAlias
from uuid import UUID

BlockingNamespace: TypeAlias = Literal["identities", "tunnels", "mail"]
"""Where a handle is already taken."""

LONGEST_LINE = 500
"""Characters of a text from the server that are shown in a message; `detail` holds it whole."""

_NO_DETAIL = "the server gave no detail"

Detail: TypeAlias = str | dict[str, Any] | list[Any] | None  # Any: whatever JSON the server put there


class InkboxError(Exception):
    """Root of everything this package raises on purpose.

    Attributes:
        idempotency_key: The key under which a failed send was tried; give it again to repeat the send
            without doubling it. None for everything that is not a send.
    """

    idempotency_key: str | None = None


class InkboxConnectionError(InkboxError):
    """The server could not be reached, or the connection broke before a whole answer arrived.

    Attributes:
        sent: False when the request surely never reached the server, so that repeating it cannot double
            anything; True when it may have been carried out.
    """

    def __init__(self, message: str, *, sent: bool = True) -> None:
        self.sent = sent
        super().__init__(message)


class InkboxTimeoutError(InkboxConnectionError, TimeoutError):
    """The server did not answer within the client's `timeout`."""


class InkboxResponseError(InkboxError):
    """The server answered with success, but the body is not what the documents describe.

    Attributes:
        malformed: True when the body is not even JSON: cut off, or not from Inkbox at all.
    """

    def __init__(self, message: str, *, malformed: bool = False) -> None:
        self.malformed = malformed
        super().__init__(message)


class InkboxAPIError(InkboxError):
    """The server refused a request.

    Attributes:
        status_code: HTTP status.
        detail: What the server said: text, a structured object, or a list of validation errors.
        retry_after_seconds: Seconds to wait before another try, from `Retry-After`; None if not said, or said
            as a date.
        retry_at: When to try again, from a `Retry-After` that is a date, on this machine's clock; else None.
        agent_support: How to reach the vendor's support agent, when the server says so.
        request_id: The server's id of this request (`X-Request-ID`), for support; None if not sent.
        method: HTTP method of the request.
        path: Path of the request, without its query.
    """

    retry_at: datetime | None = None

    def __init__(
        self,
        status_code: int,
        detail: Detail,
        *,
        retry_after: int | None = None,
        agent_support: str | None = None,
        request_id: str | None = None,
        method: str | None = None,
        path: str | None = None,
    ) -> None:
        self.status_code = status_code
        self.detail = detail
        self.retry_after_seconds = retry_after
        self.agent_support = agent_support
        self.request_id = request_id
        self.method = method
        self.path = path
        super().__init__(status_code, detail)

    def __str__(self) -> str:
        text = f"HTTP {self.status_code}: {readable_detail(self.detail)}"
        if self.method and self.path:
            text += f" ({self.method} {self.path})"
        if self.retry_after_seconds is not None:
            text += f"; retry after {self.retry_after_seconds} s"
        elif self.retry_at is not None:
            text += f"; retry at {self.retry_at:%Y-%m-%d %H:%M:%S} UTC"
        if self.request_id:
            text += f"; request id {self.request_id}"
        return text

    def __repr__(self) -> str:
        # Not the arguments: validation errors echo the input, which may be a secret.
        return f"<{type(self).__name__} {self}>"

    def __reduce__(self) -> tuple[Any, ...]:  # Any: pickle's own protocol
        return _rebuild, (type(self), self.__dict__.copy())

    @property
    def code(self) -> str | None:
        """The machine-readable code of a structured detail (`error`, else `code`), or None."""
        return detail_code(self.detail)


class DuplicateContactRuleError(InkboxAPIError):
    """A contact rule with the same match type and target exists; update that one instead.

    Attributes:
        existing_rule_id: The rule that already holds the slot, active or paused.
    """

    def __init__(self, status_code: int, detail: dict[str, Any], **about: Any) -> None:
        super().__init__(status_code, detail, **about)
        self.existing_rule_id = UUID(str(detail["existing_rule_id"]))


class RedundantContactAccessGrantError(InkboxAPIError):
    """The grant adds nothing: an active wildcard already covers the identity.

    Attributes:
        error: The server's code, `redundant_grant`.
        detail_message: The server's explanation.
    """

    def __init__(self, status_code: int, detail: dict[str, Any], **about: Any) -> None:
        super().__init__(status_code, detail, **about)
        self.error = _text(detail, "error", "redundant_grant")
        self.detail_message = _text(detail, "detail")


class RecipientBlockedError(InkboxAPIError):
    """A contact rule or the filter mode forbids this destination; nothing was sent.

    Attributes:
        matched_rule_id: The blocking rule, or None when the whitelist mode itself blocks.
        address: The blocked address or number.
        reason: The server's explanation.
    """

    def __init__(self, status_code: int, detail: dict[str, Any], **about: Any) -> None:
        super().__init__(status_code, detail, **about)
        self.matched_rule_id = _uuid(detail.get("matched_rule_id"))
        self.address = _text(detail, "address")
        self.reason = _text(detail, "reason")


class StorageLimitExceededError(InkboxAPIError):
    """The mailbox is full; delete mail or upgrade the plan. Nothing was sent.

    Attributes:
        message: The server's explanation.
        upgrade_url: Where to raise the limit.
        limit_bytes: The limit in bytes, or None if not said.
    """

    def __init__(self, status_code: int, detail: dict[str, Any], **about: Any) -> None:
        super().__init__(status_code, detail, **about)
        self.message = _text(detail, "message")
        self.upgrade_url = _text(detail, "upgrade_url")
        self.limit_bytes = _integer(detail.get("limit_bytes"))


class DedicatedIMessageNumberQuotaExceededError(InkboxAPIError):
    """The plan allows no further dedicated iMessage line.

    Attributes:
        message: The server's explanation.
        number_type: The kind of line asked for.
        limit: How many lines the plan allows.
        current: How many the organization has.
        upgrade_url: Where to raise the limit.
        contact_email: Whom to ask.
    """

    def __init__(self, status_code: int, detail: dict[str, Any], **about: Any) -> None:
        super().__init__(status_code, detail, **about)
        self.message = _text(detail, "message")
        self.number_type = _text(detail, "number_type")
        self.limit = _integer(detail.get("limit")) or 0
        self.current = _integer(detail.get("current")) or 0
        self.upgrade_url = _text(detail, "upgrade_url")
        self.contact_email = _text(detail, "contact_email")


class DedicatedIMessageNumberInventoryPendingError(InkboxAPIError):
    """No dedicated line is in stock at the moment; try again after `retry_after_seconds`.

    Attributes:
        message: The server's explanation.
        number_type: The kind of line asked for.
    """

    def __init__(self, status_code: int, detail: dict[str, Any], **about: Any) -> None:
        super().__init__(status_code, detail, **about)
        self.message = _text(detail, "message")
        self.number_type = _text(detail, "number_type")
        if self.retry_after_seconds is None:
            self.retry_after_seconds = _integer(detail.get("retry_after_seconds"))


class MailImportQuotaExceededError(InkboxAPIError):
    """The organization's mail imports of the day are used up; try again after `retry_after_seconds`.

    Attributes:
        message: The server's explanation.
    """

    def __init__(self, status_code: int, detail: dict[str, Any], **about: Any) -> None:
        super().__init__(status_code, detail, **about)
        self.message = _text(detail, "message")
        if self.retry_after_seconds is None:
            self.retry_after_seconds = _integer(detail.get("retry_after_seconds"))


class IdempotencyKeyReusedError(InkboxAPIError):
    """The idempotency key was used for a different request; take a fresh key for a new message.

    Attributes:
        message: The server's explanation.
    """

    def __init__(self, status_code: int, detail: dict[str, Any], **about: Any) -> None:
        super().__init__(status_code, detail, **about)
        self.message = _text(detail, "message")


class HandleUnavailableError(InkboxAPIError):
    """The agent handle is taken or reserved; choose another one.

    Attributes:
        blocking_namespace: Where it is taken (`identities`, `tunnels` or `mail`), or None if not said.
    """

    def __init__(
        self, status_code: int, detail: Detail, blocking_namespace: str | None = None, **about: Any
    ) -> None:
        super().__init__(status_code, detail, **about)
        self.blocking_namespace = blocking_namespace


class TunnelStateConflict(InkboxAPIError):
    """The tunnel's state does not allow this operation."""


class TunnelCSRStateConflict(TunnelStateConflict):
    """The tunnel cannot take a certificate request in its present state."""


class TunnelTLSModeMismatch(InkboxAPIError):
    """The operation belongs to the tunnel's other TLS mode, which is fixed when the identity is created."""


class InkboxVaultKeyError(InkboxError):
    """The vault key or recovery code does not open this vault, or is too weak to be one."""


class MailImportUploadError(InkboxError):
    """The direct upload of a mail import failed; ask for a new upload target and try again.

    Attributes:
        status_code: HTTP status of the upload host, or None when there was no answer.
        detail: The upload host's answer as text.
    """

    def __init__(self, status_code: int | None, detail: str) -> None:
        self.status_code = status_code
        self.detail = detail
        super().__init__(status_code, detail)

    def __str__(self) -> str:
        status = "no answer" if self.status_code is None else f"HTTP {self.status_code}"
        return f"mail import upload failed ({status}): {self.detail}"


class TunnelError(InkboxError):
    """Something about a tunnel that another attempt will not mend by itself."""


class TunnelNameInvalid(TunnelError, ValueError):
    """Not a legal agent handle: 3 to 63 lower-case letters, digits and single inner hyphens."""


class TunnelRemoved(TunnelError):
    """The tunnel or its identity was deleted.

    Attributes:
        agent_support: How to reach the vendor's support agent, when the server says so.
    """

    def __init__(self, message: str, *, agent_support: str | None = None) -> None:
        self.agent_support = agent_support
        super().__init__(message)


class TunnelNotProvisioned(TunnelError):
    """No tunnel of this name is visible to the API key; create the identity of that name first."""


class TunnelSupersededError(TunnelError):
    """Another listener connected to this tunnel and took it over."""


def get_message_request_key(error: BaseException) -> str | None:
    """The idempotency key of a failed send, or None.

    Args:
        error: What `send_email`, `send_text`, `send_imessage` (or their resource methods) raised.

    Returns:
        The key under which the message may have been accepted; pass it to the same call again, or to
        the lookup of message sends, to learn what became of it.
    """
    key = getattr(error, "idempotency_key", None)
    return key if isinstance(key, str) else None


def detail_code(detail: Detail) -> str | None:
    """The machine-readable code of a structured error detail: `error`, else `code`, else None."""
    if isinstance(detail, Mapping):
        for key in ("error", "code"):
            value = detail.get(key)
            if isinstance(value, str):
                return value
    return None


def readable_detail(detail: Detail) -> str:
    """An error detail as one line of text for people.

    Input values echoed by validation errors are left out: they may be secrets.
    """
    if isinstance(detail, str):
        # A gateway's page of HTML is a text, too.
        line = " ".join(detail.split())
        return (line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…") or _NO_DETAIL
    if isinstance(detail, Mapping):
        code = detail_code(detail)
        for key in ("message", "detail", "reason"):
            value = detail.get(key)
            if isinstance(value, str) and value:
                return f"{value} [{code}]" if code else value
        return code if code else json.dumps(detail, default=str)
    if isinstance(detail, list):
        return "; ".join(_validation_line(item) for item in detail) or "invalid request"
    return _NO_DETAIL if detail is None else json.dumps(detail, default=str)


def _validation_line(item: object) -> str:
    if not isinstance(item, Mapping):
        return str(item)
    location = item.get("loc")
    place = ".".join(str(part) for part in location) if isinstance(location, list) else ""
    return f"{place}: {item.get('msg', 'invalid')}" if place else str(item.get("msg", "invalid"))


def _rebuild(cls: type[InkboxAPIError], state: dict[str, Any]) -> InkboxAPIError:
    error = cls.__new__(cls)
    error.__dict__.update(state)
    error.args = (state["status_code"], state["detail"])
    return error


def _text(detail: Mapping[str, Any], key: str, default: str = "") -> str:
    value = detail.get(key)
    return value if isinstance(value, str) else default


def _integer(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _uuid(value: object) -> UUID | None:
    try:
        return UUID(str(value)) if value is not None else None
    except ValueError:
        return None
