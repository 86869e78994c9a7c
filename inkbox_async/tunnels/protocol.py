"""Constants of the tunnel data plane, and the forms of its header lists."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias
from urllib.parse import unquote_to_bytes

Headers: TypeAlias = list[tuple[bytes, bytes]]

DEFAULT_ZONE: Final = "inkboxwire.com"
POOL_SIZE_MIN: Final = 1
POOL_SIZE_MAX: Final = 32
DEFAULT_BODY_LIMIT: Final = 32 * 1024 * 1024

HELLO_PATH: Final = b"/_system/hello"
INTAKE_PATH: Final = b"/_system/intake"
RESPONSE_PATH: Final = b"/_system/response/"
WS_BRIDGE_PATH: Final = b"/_system/ws/"
TCP_BRIDGE_PATH: Final = b"/_system/tcp/"
WS_BRIDGE_PROTOCOL: Final = b"inkbox-tunnel-ws"
TCP_BRIDGE_PROTOCOL: Final = b"inkbox-tunnel-tcp"

GOAWAY_SUPERSEDED: Final = 0x1201
WS_CLOSE_DRAINING: Final = 4500

HEADER_PREFIX: Final = b"inkbox-h-"

HOP_BY_HOP_REQUEST: Final = frozenset(
    {
        b"host",
        b"connection",
        b"upgrade",
        b"keep-alive",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"sec-websocket-extensions",
    }
)
HOP_BY_HOP_RESPONSE: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"transfer-encoding",
        b"upgrade",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"te",
        b"trailer",
    }
)
FORWARDED_HEADERS: Final = frozenset(
    {b"host", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-for", b"forwarded"}
)
"""Names the listener sets itself; a third party's own are dropped, so that nobody can spoof them."""

_NOT_FORWARDED: Final = HOP_BY_HOP_REQUEST | FORWARDED_HEADERS


class RouteKind(StrEnum):
    """What an envelope asks for."""

    WEBHOOK = "webhook"
    WS_UPGRADE = "ws-upgrade"
    TCP_STREAM = "tcp-stream"


class EdgeReason(StrEnum):
    """Why the edge ended an intake, a hello or a connection."""

    INTAKE_IDLE_CAP = "intake-idle-cap"
    OWNER_TOKEN_INVALID = "owner-token-invalid"
    INTAKE_SUPERSEDED = "intake-superseded"
    HELLO_SUPERSEDED = "hello-superseded"
    DRAIN = "drain"
    SUPERSEDED = "superseded"


class SdkReason(StrEnum):
    """Why the listener answered a request itself."""

    INVALID_PATH = "invalid-path"
    REQUEST_BODY_TOO_LARGE = "request-body-too-large"
    BODY_FETCH_FAILED = "body-fetch-failed"
    RESPONSE_DEADLINE_EXCEEDED = "response-deadline-exceeded"
    RESPONSE_TOO_LARGE = "response-too-large"
    UPSTREAM_ERROR = "upstream-error"


@dataclass(slots=True)
class Envelope:
    """One unit of work from the edge: a request, a WebSocket upgrade, or a TCP connection."""

    request_id: bytes
    method: bytes
    path: bytes
    """Path and query, byte for byte as the third party sent them."""
    route_kind: str
    headers: Headers
    """The third party's headers, lower-case, in order, duplicates repeated."""
    ws_id: bytes | None
    tcp_id: bytes | None
    sni_host: bytes | None
    body_uri: str | None
    forwarded_for: bytes | None


def parse_envelope(headers: Headers) -> Envelope | None:
    """The envelope in an answer to an intake, or None when it carries no request id.

    Values are kept as bytes: a third party's header need not be UTF-8.
    """
    fields: dict[bytes, bytes] = {}
    forwarded: Headers = []
    for field in headers:
        name, value = field[0], field[1]
        if name.startswith(b"inkbox-"):
            if name.startswith(HEADER_PREFIX):
                forwarded.append((name[9:], value))
            else:
                fields[name] = value
    get = fields.get
    request_id = get(b"inkbox-request-id")
    if not request_id:
        return None
    body_uri = get(b"inkbox-body-uri")
    return Envelope(
        request_id,
        get(b"inkbox-method") or b"GET",
        get(b"inkbox-path") or b"/",
        get(b"inkbox-route-kind", b"webhook").decode("ascii", "replace"),
        forwarded,
        get(b"inkbox-ws-id") or None,
        get(b"inkbox-tcp-id") or None,
        get(b"inkbox-sni-host") or None,
        body_uri.decode("ascii", "replace") if body_uri else None,
        get(b"inkbox-forwarded-for") or None,
    )


def forwarded_request_headers(
    headers: Headers, *, host: bytes, public_host: bytes, client_ip: bytes | None
) -> Headers:
    """What the local application sees: the tunnel's own forwarding headers, then the third party's.

    Hop-by-hop headers and any forwarding header the third party made up are left out.

    Args:
        headers: The third party's headers, lower-case.
        host: Value of `host`.
        public_host: Value of `x-forwarded-host`.
        client_ip: The third party's address, if known.
    """
    result: Headers = [
        (b"host", host),
        (b"x-forwarded-host", public_host),
        (b"x-forwarded-proto", b"https"),
    ]
    if client_ip:
        node = b'"[%s]"' % client_ip if b":" in client_ip else client_ip
        result += ((b"x-forwarded-for", client_ip), (b"forwarded", b"for=" + node))
    result += [field for field in headers if field[0] not in _NOT_FORWARDED]
    return result


_FORBIDDEN_IN_VALUE: Final = re.compile(rb"[\0\r\n]")
_FIELD_OVERHEAD: Final = 32 + len(HEADER_PREFIX)
_POST_HEAD: Final = 1024
"""More than the fields of a response post that do not depend on the application."""
_TOKEN: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")


def response_headers(headers: Headers) -> Headers:
    """Response headers in the form the edge takes: lower-case, clean, without hop-by-hop and length.

    A name or value that HTTP/2 could not carry is dropped rather than letting one response end the
    connection that all others share.
    """
    result: Headers = []
    for name, value in headers:
        name = name.lower()
        if name in HOP_BY_HOP_RESPONSE or name == b"content-length":
            continue
        value = value.strip()
        if _FORBIDDEN_IN_VALUE.search(value) or not _TOKEN.fullmatch(name):
            continue
        result.append((name, value if value.isascii() else _as_utf8(value)))
    return result


def response_head_size(headers: Headers) -> int:
    """About how large the head of a response post becomes, by the measure of RFC 9113, 6.5.2."""
    return _POST_HEAD + sum(len(name) + len(value) + _FIELD_OVERHEAD for name, value in headers)


def _as_utf8(value: bytes) -> bytes:
    try:
        value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1").encode()
    return value


def content_length(headers: Headers) -> int | None:
    """The declared length of a body, or None when there is none or it is not a number."""
    for name, value in headers:
        if name.lower() == b"content-length":
            return int(value) if value.isdigit() and len(value) < 19 else None
    return None


def is_valid_path(target: bytes) -> bool:
    """Whether a request path is safe to hand on: no encoded slash, double encoding or dot segment.

    Only the part before `?` is checked; the text itself is forwarded unchanged.
    """
    path = target.partition(b"?")[0]
    if b"%" not in path:
        decoded = path
    else:
        folded = path.lower()
        if b"%2f" in folded or b"%5c" in folded:
            return False
        decoded = unquote_to_bytes(path)
        if b"%" in decoded and unquote_to_bytes(decoded) != decoded:
            return False
    if _FORBIDDEN_IN_PATH.search(decoded):
        return False
    return b"/." not in decoded or not any(part in (b".", b"..") for part in decoded.split(b"/"))


_FORBIDDEN_IN_PATH: Final = re.compile(rb"[\x00-\x1f\x7f\\]")


@dataclass(frozen=True, slots=True)
class Hello:
    """What the edge answers to a good hello."""

    owner_token: bytes
    pool_size: int
    response_deadline: float | None
    """Seconds the edge waits for one response; None when it sets no limit."""
    intake_idle: float | None


def parse_hello(document: object, wished_pool_size: int | None) -> Hello | None:
    """The hello answer in a decoded JSON document, or None when it names no owner token."""
    if not isinstance(document, dict):
        return None
    token = document.get("owner_token")
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable():
        return None
    size = document.get("default_pool_size")
    if not isinstance(size, int) or isinstance(size, bool) or size < POOL_SIZE_MIN:
        size = wished_pool_size or POOL_SIZE_MIN
    return Hello(
        owner_token=token.encode(),
        pool_size=min(size, POOL_SIZE_MAX),
        response_deadline=_seconds(document.get("response_deadline_seconds")),
        intake_idle=_seconds(document.get("intake_idle_seconds")),
    )


_NO_LIMIT: Final = 1e9
"""Seconds: nobody waits for thirty years, and no timer takes much more."""


def _seconds(value: object) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= _NO_LIMIT:
        return float(value)
    return None


class DataPlane:
    """Builds the header lists of the requests a listener sends to the edge."""

    def __init__(self, authority: str, tunnel_id: str, api_key: str) -> None:
        self._authority = authority.encode("idna" if not authority.isascii() else "ascii")
        self._tunnel = (b"x-tunnel-id", tunnel_id.encode())
        self._key = (b"x-api-key", api_key.encode())
        scheme, host = (b":scheme", b"https"), (b":authority", self._authority)
        self._post = [(b":method", b"POST"), scheme, host]
        self._connect = [(b":method", b"CONNECT"), scheme, host]

    def hello(self, pool_size: int | None) -> Headers:
        """The greeting; `pool_size` is the wished number of parked intakes, or None for the edge's choice."""
        headers = [
            *self._post,
            (b":path", HELLO_PATH),
            self._tunnel,
            self._key,
            (b"content-length", b"0"),
        ]
        if pool_size is not None:
            headers.append((b"x-pool-size", b"%d" % pool_size))
        return headers

    def intake(self, owner_token: bytes, slot: int) -> Headers:
        """A request for work; the edge answers it when a third party calls."""
        return [
            *self._post,
            (b":path", INTAKE_PATH),
            self._tunnel,
            (b"x-owner-token", owner_token),
            (b"x-pool-slot", b"%d" % slot),
            (b"content-length", b"0"),
        ]

    def response(self, request_id: bytes, status: int, headers: Headers, length: int | None) -> Headers:
        """The answer to one request; `length` is None when the body's length is not known yet."""
        result = [
            *self._post,
            (b":path", RESPONSE_PATH + request_id),
            self._tunnel,
            self._key,
            (b"inkbox-status", b"%d" % status),
            (b"inkbox-request-id", request_id),
        ]
        if length is not None:
            result.append((b"content-length", b"%d" % length))
        result += [(HEADER_PREFIX + name, value) for name, value in headers]
        return result

    def ws_bridge(self, ws_id: bytes) -> Headers:
        """Open the byte stream of one accepted WebSocket."""
        return [
            *self._connect,
            (b":path", WS_BRIDGE_PATH + ws_id),
            (b":protocol", WS_BRIDGE_PROTOCOL),
            (b"sec-websocket-version", b"13"),
            self._tunnel,
            self._key,
            (b"inkbox-ws-id", ws_id),
        ]

    def tcp_bridge(self, tcp_id: bytes) -> Headers:
        """Open the byte stream of one third party's TLS connection."""
        return [
            *self._connect,
            (b":path", TCP_BRIDGE_PATH + tcp_id),
            (b":protocol", TCP_BRIDGE_PROTOCOL),
            (b"sec-websocket-version", b"13"),
            (b"sec-websocket-protocol", TCP_BRIDGE_PROTOCOL),
            self._tunnel,
            self._key,
            (b"inkbox-tcp-id", tcp_id),
        ]
