"""How a third party's request becomes an envelope's headers, and a listener's reply an answer's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from inkbox_async.sandbox.edge.http2_headers import Header, decimal

WEBHOOK: Final = b"webhook"
WS_UPGRADE: Final = b"ws-upgrade"
TCP_STREAM: Final = b"tcp-stream"

_PREFIX: Final = b"inkbox-h-"
_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
        b"expect",
    }
)
_TOLD_BY_THE_EDGE: Final = frozenset({b"x-forwarded-for", b"forwarded"})
_WEBSOCKET_HANDSHAKE: Final = frozenset(
    {b"sec-websocket-key", b"sec-websocket-version", b"sec-websocket-extensions", b"sec-websocket-accept"}
)
_NEVER_IN_A_REQUEST: Final = _HOP_BY_HOP | _TOLD_BY_THE_EDGE | _WEBSOCKET_HANDSHAKE
_NEVER_IN_AN_ANSWER: Final = _HOP_BY_HOP | {b"content-length"}
_NEVER_IN_A_HANDSHAKE: Final = _NEVER_IN_AN_ANSWER | _WEBSOCKET_HANDSHAKE | {b"sec-websocket-protocol"}


def request_fields(fields: Iterable[tuple[bytes, bytes]]) -> list[Header]:
    """The third party's header fields as `inkbox-h-*`: in order, repeated ones repeated, values as UTF-8.

    Left out is what concerns the third party's own connection, what only the edge may state, and everything
    that begins with `inkbox-`, so that nobody can forge an envelope's fields.
    """
    listed: set[bytes] = set()
    lowered = [(name.lower(), value) for name, value in fields]
    for name, value in lowered:
        if name == b"connection":
            listed.update(token.strip().lower() for token in value.split(b","))
    return [
        (_PREFIX + name, _as_utf8(value))
        for name, value in lowered
        if name not in _NEVER_IN_A_REQUEST and name not in listed and not name.startswith(b"inkbox-")
    ]


def envelope_head(
    request_id: str,
    *,
    method: bytes = b"GET",
    path: bytes = b"/",
    route_kind: bytes = WEBHOOK,
    peer: str | None = None,
    fields: Iterable[Header] = (),
    extra: Iterable[Header] = (),
) -> list[Header]:
    """The header list of an envelope."""
    head: list[Header] = [
        (b":status", b"200"),
        (b"inkbox-request-id", request_id.encode()),
        (b"inkbox-method", method),
        (b"inkbox-path", path),
        (b"inkbox-route-kind", route_kind),
        *extra,
    ]
    if peer:
        head.append((b"inkbox-forwarded-for", peer.encode()))
    head.extend(fields)
    return head


@dataclass(frozen=True, slots=True)
class ReplyHead:
    """The head of a listener's `/_system/response` post."""

    status: int
    fields: list[Header]
    """Header fields for the third party, without those that belong to one connection or to framing."""
    content_length: int | None
    """Size of the body that follows."""
    entity_length: int | None
    """`content-length` as the listener wants it told: the answer to HEAD has one without a body."""
    subprotocol: str | None


def reply_head(headers: Iterable[Header]) -> ReplyHead | None:
    """Read the head of a response post; None when `inkbox-status` is missing or no HTTP status."""
    status: int | None = None
    length: int | None = None
    entity_length: int | None = None
    subprotocol: str | None = None
    fields: list[Header] = []
    for name, value in headers:
        if name.startswith(_PREFIX):
            name = name[len(_PREFIX) :]
            if name == b"sec-websocket-protocol":
                subprotocol = value.decode("utf-8", "replace")
            elif name == b"content-length":
                entity_length = decimal(value)
            if name and name not in _NEVER_IN_AN_ANSWER:
                fields.append((name, value))
        elif name == b"inkbox-status":
            status = decimal(value) if len(value) == 3 else None
        elif name == b"content-length":
            length = decimal(value)
        elif name == b"inkbox-reason":
            fields.append((name, value))
    if status is None or not (200 <= status <= 599 or status == 101):
        return None
    return ReplyHead(status, fields, length, entity_length, subprotocol)


def handshake_fields(fields: Iterable[Header]) -> list[Header]:
    """The fields of a reply that may stand in a WebSocket handshake answer."""
    return [(name, value) for name, value in fields if name not in _NEVER_IN_A_HANDSHAKE]


def edge_reason(reason: str, status: int) -> list[Header]:
    """The head of an answer to a listener that says why it is no envelope."""
    return [(b":status", b"%d" % status), (b"inkbox-reason", reason.encode())]


def pseudo_path(pseudo: Mapping[bytes, bytes]) -> bytes:
    """The `:path` of a stream, without its query."""
    return pseudo.get(b":path", b"").partition(b"?")[0]


def _as_utf8(value: bytes) -> bytes:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1").encode()
    return value
