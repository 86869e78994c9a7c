"""Hands requests on to a local URL, byte for byte where bytes matter."""

from __future__ import annotations

import logging
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote_from_bytes, urlsplit

import aiohttp
import yarl
from multidict import CIMultiDict

from ..connector import WaryConnector
from .exceptions import LocalAnswer
from .exchange import Request, Responder, WebSocketPeer
from .forward_check import trust_authorities
from .forward_websocket import UpstreamWebSocket, relay
from .protocol import Headers, SdkReason, content_length, forwarded_request_headers

logger = logging.getLogger("inkbox_async.tunnels")

HEAD_LIMIT: Final = 1 << 16
"""Largest header field, in bytes, that an upstream may answer with."""
FIELDS_LIMIT: Final = 1000
_IDLE_LIMIT: Final = 4.0
"""Seconds an unused connection is kept: uvicorn closes it after five, and no request may meet that."""
_SMALL: Final = 1 << 16
_PIECE: Final = 1 << 16

# RFC 3986 characters of paths and queries, plus those that third parties send unescaped anyway; `#` would
# end the path and is escaped.
_TARGET_SAFE: Final = "!\"$%&'()*+,-./:;<=>?@[\\]^_`{|}~"


def upstream_context(*, verify: bool, ca_bundle: bytes | None) -> ssl.SSLContext:
    """The TLS context for https and wss targets.

    Args:
        verify: False accepts any certificate.
        ca_bundle: More authorities (PEM); ignored without verification.

    Raises:
        ValueError: The bundle holds no certificate in PEM form.
    """
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif ca_bundle is not None:
        trust_authorities(context, ca_bundle)
    return context


@dataclass(frozen=True)
class UpstreamTimeouts:
    """How long a server at a URL may take to accept a connection, and to go on answering; seconds."""

    connect: float = 30.0
    read: float = 30.0


PASSTHROUGH_TIMEOUTS: Final = UpstreamTimeouts(connect=10.0, read=60.0)


class UrlTarget:
    """A server at a URL.

    Cookies of one third party are never kept for another, bodies are relayed as they are (compressed ones
    stay compressed), redirects are for the third party to follow, and proxies from the environment do not
    apply.

    Args:
        url: Base of all requests; its query and fragment are ignored.
        context: For https and wss.
        timeouts: How long the server may take.
    """

    def __init__(self, url: str, context: ssl.SSLContext, timeouts: UpstreamTimeouts | None = None) -> None:
        parts = urlsplit(url)
        self._netloc = parts.netloc.encode("idna" if not parts.netloc.isascii() else "ascii")
        self._base = f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"
        self._context = context
        self._timeouts = timeouts or UpstreamTimeouts()
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Make the pool of connections."""
        self._session = aiohttp.ClientSession(
            connector=WaryConnector(limit=0, ssl=self._context, keepalive_timeout=_IDLE_LIMIT),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            max_line_size=HEAD_LIMIT,
            max_field_size=HEAD_LIMIT,
            max_headers=FIELDS_LIMIT,
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=self._timeouts.connect, sock_read=self._timeouts.read
            ),
        )

    async def aclose(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    def _url(self, request: Request) -> str:
        target = quote_from_bytes(request.target, safe=_TARGET_SAFE)
        return self._base + (target if target.startswith("/") else f"/{target}")

    def _headers(self, request: Request) -> Headers:
        return forwarded_request_headers(
            request.headers,
            host=self._netloc,
            public_host=request.public_host.encode(),
            client_ip=request.client.encode() if request.client else None,
        )

    async def http(self, request: Request, responder: Responder) -> None:
        """Relay a request and its response; see `Target.http`."""
        assert self._session is not None
        declared = content_length(request.headers)
        headers: CIMultiDict[str] = CIMultiDict()
        for name, value in self._headers(request):
            # The expectation of a third party was met when it was let send its body.
            if name not in (b"content-length", b"expect"):
                headers.add(name.decode("latin-1"), as_text(value))
        data = await _outgoing_body(request, declared)
        if declared and not isinstance(data, (bytes, type(None))):
            headers["content-length"] = str(declared)
        url = yarl.URL(self._url(request), encoded=True)
        try:
            async with self._session.request(
                request.method, url, headers=headers, data=data, allow_redirects=False
            ) as response:
                await self._relay_response(request, response, responder)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            if not responder.started:
                logger.info("tunnel: the upstream gave no answer: %s", error or type(error).__name__)
            raise LocalAnswer(502, "upstream error", SdkReason.UPSTREAM_ERROR) from error

    async def _relay_response(
        self, request: Request, response: aiohttp.ClientResponse, responder: Responder
    ) -> None:
        headers: Headers = list(response.raw_headers)
        length = content_length(headers)
        await responder.start(response.status, headers)
        if length is not None and length <= _SMALL:
            await responder.send(await response.read(), False)
            return
        async for piece in response.content.iter_chunked(_PIECE):
            await responder.send(piece, True)
            if request.disconnected.is_set():
                return
        await responder.send(b"", False)

    async def websocket(self, request: Request, peer: WebSocketPeer) -> None:
        """Connect to the upstream's WebSocket and relay messages; see `Target.websocket`."""
        upstream = UpstreamWebSocket(self._url(request), self._context)
        try:
            headers = await upstream.connect(
                self._headers(request), peer.subprotocols, request.handshake_timeout
            )
            await peer.accept(upstream.subprotocol, headers)
            await relay(peer, upstream)
        finally:
            await upstream.aclose()


async def _outgoing_body(request: Request, declared: int | None) -> bytes | AsyncIterator[bytes] | None:
    """The body in the simplest form: none, bytes that are here already, or a stream."""
    whole = request.body.whole
    if whole is not None:
        return whole or None
    if declared == 0:
        return None
    try:
        first = await request.body.read()
    except ConnectionResetError as error:
        raise LocalAnswer(502, "upstream error", SdkReason.UPSTREAM_ERROR) from error
    return _pieces(first, request) if first else None


async def _pieces(first: bytes, request: Request) -> AsyncIterator[bytes]:
    piece = first
    while piece:
        yield piece
        piece = await request.body.read()


def as_text(value: bytes) -> str:
    """A header value as text: UTF-8 where it is, else byte for character."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
