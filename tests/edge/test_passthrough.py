"""Passthrough tunnels: TLS that the edge does not open, as bytes on a tcp bridge."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from inkbox_async.sandbox.edge import CertificateAuthority, EdgeLimits
from inkbox_async.sandbox.edge.bridge_frames import FrameReader, encode_close, encode_frame

from .conftest import RunningEdge, StartEdge
from .directory import PASSTHROUGH_ID
from .listener import RawListener
from .raw_h2 import RawStream
from .test_websocket import masked

HOST = "vault-agent.localhost"
BINARY, CLOSE = 2, 8


class TcpBridge:
    """The listener's end of a tcp bridge, with the TLS server that only it has the key for."""

    def __init__(self, stream: RawStream, context: ssl.SSLContext) -> None:
        self.stream = stream
        self._frames = FrameReader(1 << 20)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.largest_frame = 0

    async def _exchange(self) -> bool:
        """Send what TLS wants to send, then take what has come. False at the end of the bridge."""
        if self._outgoing.pending:
            await self.stream.send(masked(BINARY, self._outgoing.read()))
        await self.stream.at_least(1)
        data = bytes(self.stream.body)
        self.stream.body.clear()
        for frame in self._frames.feed(data):
            assert frame.opcode == BINARY
            self.largest_frame = max(self.largest_frame, len(frame.payload))
            self._incoming.write(frame.payload)
        return bool(data)

    async def handshake(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                assert await self._exchange()
            else:
                await self.flush()
                return

    async def flush(self) -> None:
        if self._outgoing.pending:
            await self.stream.send(masked(BINARY, self._outgoing.read()))

    async def read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                data += self.tls.read(size - len(data))
            except ssl.SSLWantReadError:
                if not await self._exchange():
                    break
        return data

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self.tls.write(view) :]
            await self.flush()


@pytest.fixture(scope="module")
def listener_tls(authority: CertificateAuthority, tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """A server context with a certificate that the sandbox signed for the tunnel's host."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    pem = csr.public_bytes(serialization.Encoding.PEM).decode()
    signed = authority.sign(pem, HOST, datetime.now(UTC))
    path: Path = tmp_path_factory.mktemp("listener") / "chain.pem"
    path.write_text(signed.cert_pem + signed.chain_pem)
    key_path = path.with_name("key.pem")
    key_path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key_path)
    return context


async def accept(listener: RawListener, intake: RawStream, context: ssl.SSLContext) -> TcpBridge:
    await intake.whole()
    stream = await listener.bridge("tcp", intake.header("inkbox-tcp-id") or "")
    assert (await stream.head()).status == 200
    return TcpBridge(stream, context)


async def test_tls_is_carried_unopened(edge: RunningEdge, listener_tls: ssl.SSLContext) -> None:
    async with edge.listener(PASSTHROUGH_ID) as listener:
        intake = await listener.park()
        dialing = asyncio.create_task(
            asyncio.open_connection("127.0.0.1", edge.port, ssl=edge.trust, server_hostname=HOST)
        )
        await intake.whole()
        assert intake.header("inkbox-route-kind") == "tcp-stream"
        assert intake.header("inkbox-sni-host") == HOST
        assert intake.header("inkbox-forwarded-for") == "127.0.0.1"
        bridge = await accept(listener, intake, listener_tls)
        await bridge.handshake()
        reader, writer = await dialing
        assert ("DNS", HOST) in writer.get_extra_info("peercert")["subjectAltName"]
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await bridge.read(18) == b"GET / HTTP/1.1\r\n\r\n"
        await bridge.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 204 No Content\r\n\r\n"
        large = b"L" * 1_000_000
        writer.write(large)
        assert await bridge.read(len(large)) == large
        sending = asyncio.create_task(bridge.write(large))
        assert await reader.readexactly(len(large)) == large
        await sending
        assert bridge.largest_frame <= 16_384
        writer.transport.abort()
        await bridge.stream.whole()


async def test_the_listeners_end_is_the_third_partys(edge: RunningEdge, listener_tls: ssl.SSLContext) -> None:
    async with edge.listener(PASSTHROUGH_ID) as listener:
        intake = await listener.park()
        dialing = asyncio.create_task(
            asyncio.open_connection("127.0.0.1", edge.port, ssl=edge.trust, server_hostname=HOST)
        )
        bridge = await accept(listener, intake, listener_tls)
        await bridge.handshake()
        reader, writer = await dialing
        await bridge.write(b"last words")
        await bridge.stream.send(masked(CLOSE, encode_close(1000, "clean-eof")[2:]), end=True)
        assert await reader.read() == b"last words"
        writer.close()
        await bridge.stream.whole()


async def test_the_third_partys_end_is_the_bridges(edge: RunningEdge, listener_tls: ssl.SSLContext) -> None:
    async with edge.listener(PASSTHROUGH_ID) as listener:
        intake = await listener.park()
        dialing = asyncio.create_task(
            asyncio.open_connection("127.0.0.1", edge.port, ssl=edge.trust, server_hostname=HOST)
        )
        bridge = await accept(listener, intake, listener_tls)
        await bridge.handshake()
        _, writer = await dialing
        writer.transport.abort()
        await bridge.stream.whole()
        assert bridge.stream.ended or bridge.stream.reset is not None


async def test_fragmented_frames_and_pings_from_the_listener(
    edge: RunningEdge, listener_tls: ssl.SSLContext
) -> None:
    async with edge.listener(PASSTHROUGH_ID) as listener:
        intake = await listener.park()
        dialing = asyncio.create_task(
            asyncio.open_connection("127.0.0.1", edge.port, ssl=edge.trust, server_hostname=HOST)
        )
        bridge = await accept(listener, intake, listener_tls)
        await bridge.handshake()
        reader, writer = await dialing
        bridge.tls.write(b"in two frames")
        data = bridge._outgoing.read()
        first = bytearray(encode_frame(BINARY, data[:10]))
        first[0] = BINARY
        await bridge.stream.send(bytes(first))
        await bridge.stream.send(encode_frame(9, b"ping"))
        await bridge.stream.send(encode_frame(0, data[10:]))
        assert await reader.readexactly(13) == b"in two frames"
        writer.close()


@pytest.mark.parametrize("situation", ["awaiting_cert", "no listener", "no bridge"])
async def test_the_handshake_fails_when_nobody_can_answer_it(start_edge: StartEdge, situation: str) -> None:
    edge = await start_edge(EdgeLimits(response_deadline_seconds=0.1))
    async with edge.listener(PASSTHROUGH_ID) as listener:
        await listener.park()
        await listener.client.settle()
        if situation == "awaiting_cert":
            edge.directory.set_status(PASSTHROUGH_ID, "awaiting_cert")
            await edge.edge.refresh()
        elif situation == "no listener":
            edge.edge.supersede(PASSTHROUGH_ID)
        with pytest.raises(ssl.SSLError, match=r"(?i)alert|unrecognized name"):
            await asyncio.open_connection("127.0.0.1", edge.port, ssl=edge.trust, server_hostname=HOST)


async def test_fifty_connections_at_once_through_a_small_window(
    edge: RunningEdge, listener_tls: ssl.SSLContext
) -> None:
    async with edge.connect(window=65_535) as client:
        listener = RawListener(client, PASSTHROUGH_ID)
        await listener.hello()

        async def serve(listener: RawListener, envelope: RawStream) -> None:
            bridge = await accept(listener, envelope, listener_tls)
            await bridge.handshake()
            await bridge.write(await bridge.read(30_000))

        async def talk(number: int) -> None:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", edge.port, ssl=edge.trust, server_hostname=HOST
            )
            message = b"%02d" % number * 15_000
            writer.write(message)
            assert await reader.readexactly(len(message)) == message
            writer.close()

        async with listener.serving(serve, slots=8):
            await asyncio.gather(*(talk(number) for number in range(50)))
