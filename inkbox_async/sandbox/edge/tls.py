"""TLS on the server's side of a connection from which the edge has already read the ClientHello.

asyncio can only start TLS on a connection nobody has read from. Here the bytes that were peeked at are simply
the first ones fed in, and the protocol above is chosen when ALPN is known.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

_RECORD: Final = 16_384


class TlsTransport(asyncio.Transport):
    """What the protocol above TLS writes to."""

    def __init__(self, connection: TlsConnection) -> None:
        super().__init__()
        self._connection = connection

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._connection.write(data)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self._connection.write(b"".join(list_of_data))

    def close(self) -> None:
        self._connection.close()

    def abort(self) -> None:
        self._connection.raw.abort()

    def is_closing(self) -> bool:
        return self._connection.raw.is_closing()

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self._connection.raw.pause_reading()

    def resume_reading(self) -> None:
        self._connection.raw.resume_reading()

    def is_reading(self) -> bool:
        return self._connection.raw.is_reading()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._connection.raw.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._connection.raw.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._connection.raw.get_write_buffer_limits()

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # Any: asyncio's own signature
        if name == "ssl_object":
            return self._connection.tls
        if name == "sslcontext":
            return self._connection.tls.context
        return self._connection.raw.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._connection.above = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._connection.above is not None
        return self._connection.above


class TlsConnection(asyncio.Protocol):
    """TLS between a raw transport and the protocol that `choose` returns for the negotiated ALPN.

    Args:
        raw: The transport of the accepted connection; this object must be made its protocol.
        context: Server side, with certificate and ALPN protocols set.
        choose: Makes the protocol above, given the ALPN name the peer agreed to (None without ALPN).
        on_lost: Called once with `raw` when the connection is gone.
        handshake_timeout: Seconds until an unfinished handshake is given up.
    """

    def __init__(
        self,
        raw: asyncio.Transport,
        context: ssl.SSLContext,
        choose: Callable[[str | None], asyncio.Protocol],
        on_lost: Callable[[asyncio.Transport], None],
        *,
        handshake_timeout: float,
    ) -> None:
        self.raw = raw
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._choose = choose
        self._on_lost = on_lost
        self.above: asyncio.Protocol | None = None
        self._closing = False
        self._timer = asyncio.get_running_loop().call_later(handshake_timeout, raw.abort)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send."""
        if self._closing or self.raw.is_closing():
            return
        view = memoryview(data)
        while view:
            view = view[self.tls.write(view) :]
        self._send()

    def close(self) -> None:
        """Send close_notify and close the transport once everything is written."""
        if self._closing:
            return
        self._closing = True
        with suppress(ssl.SSLError):  # the peer's own close_notify is not waited for
            self.tls.unwrap()
        self._send()
        self.raw.close()

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        if self.above is None and not self._shake_hands():
            return
        chunks: list[bytes] = []
        ended = False
        try:
            while chunk := self.tls.read(_RECORD):
                chunks.append(chunk)
            ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            ended = True
        above = self.above
        assert above is not None
        if chunks:
            above.data_received(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        if ended:
            self._end()
        elif self._outgoing.pending:
            self._send()

    def eof_received(self) -> bool:
        self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._closing = True
        if self.above is not None:
            self.above.connection_lost(exc)
        self._on_lost(self.raw)

    def pause_writing(self) -> None:
        if self.above is not None:
            self.above.pause_writing()

    def resume_writing(self) -> None:
        if self.above is not None:
            self.above.resume_writing()

    def _shake_hands(self) -> bool:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send()
            return False
        except ssl.SSLError:
            self._send()
            self.raw.close()
            return False
        self._timer.cancel()
        self._send()
        self.above = self._choose(self.tls.selected_alpn_protocol())
        self.above.connection_made(TlsTransport(self))
        return True

    def _end(self) -> None:
        if self.above is None or not self.above.eof_received():
            self.close()

    def _send(self) -> None:
        if self._outgoing.pending:
            self.raw.write(self._outgoing.read())
