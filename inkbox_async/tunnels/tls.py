"""TLS on the listener's side of a passthrough tunnel, over any stream of bytes."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from pathlib import Path
from typing import Final

from .tcp_bridge import ByteStream

_PIECE: Final = 1 << 16


class TlsHandshakeError(Exception):
    """The third party and the listener could not agree on TLS."""


def server_context(chain_path: Path, key_path: Path, *, http2: bool) -> ssl.SSLContext:
    """The server-side context for a certificate chain and its key; TLS 1.2 and 1.3.

    Args:
        chain_path: PEM file, leaf first.
        key_path: PEM file of the key.
        http2: Whether to offer HTTP/2 besides HTTP/1.1.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(chain_path, key_path)
    context.set_alpn_protocols(["h2", "http/1.1"] if http2 else ["http/1.1"])
    return context


class TlsServerStream:
    """The decrypted side of a third party's connection; see `ByteStream`."""

    def __init__(self, raw: ByteStream, context: ssl.SSLContext) -> None:
        self._raw = raw
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._writing = asyncio.Lock()
        self._torn = False
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)

    @property
    def alpn_protocol(self) -> str | None:
        """The application protocol that was agreed on."""
        return self._tls.selected_alpn_protocol()

    async def handshake(self) -> None:
        """Complete the handshake.

        Raises:
            TlsHandshakeError: It failed; the alert has been sent.
            ConnectionResetError: The connection is gone.
        """
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError as error:
                await self._flush()
                raise TlsHandshakeError(error.reason or "the connection ended") from error
            else:
                await self._flush()
                return

    async def read(self) -> bytes:
        """The next decrypted bytes; see `ByteStream`."""
        while True:
            try:
                return self._tls.read(_PIECE)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""
            except ssl.SSLError as error:
                await self._flush()
                raise ConnectionResetError(f"the TLS connection broke: {error.reason}") from error

    async def _fill(self) -> None:
        data = await self._raw.read()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def write(self, data: bytes) -> None:
        """Encrypt and send; see `ByteStream`. After one that was cancelled there can be no other."""
        if self._torn:
            raise ConnectionResetError("an earlier write was broken off")
        view = memoryview(data)
        try:
            async with self._writing:
                for start in range(0, len(view), _PIECE):
                    try:
                        self._tls.write(view[start : start + _PIECE])
                    except ssl.SSLError as error:
                        raise ConnectionResetError(f"the TLS connection broke: {error.reason}") from error
                    await self._flush()
        except asyncio.CancelledError:
            self._torn = True
            raise

    async def close_notify(self) -> None:
        """Tell the third party that nothing more will come."""
        with contextlib.suppress(ssl.SSLError):  # the third party's own close_notify is not waited for
            self._tls.unwrap()
        await self._flush()

    async def _flush(self) -> None:
        # Read and handed over without a pause in between, so that records leave in their order.
        data = self._outgoing.read()
        if data:
            await self._raw.write(data)
