"""The judge: the published official client, both eras of it, unchanged, on the sandbox's edge.

The installed one always runs. Further ones are run from the folders in the environment variable
`INKBOX_PEERS` (as `pip install --target FOLDER inkbox==VERSION` makes them), separated like `PATH`.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from inkbox_async.sandbox import Sandbox

PROGRAM = Path(__file__).with_name("official_listener.py")
PEERS = ["", *filter(None, os.environ.get("INKBOX_PEERS", "").split(os.pathsep))]
PATIENCE = 30


class OfficialListener:
    """The official client's process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.lines: list[str] = []

    async def until(self, wanted: str) -> None:
        """Read its output until a line ends with `wanted`."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while line := (await self.process.stdout.readline()).decode().strip():
                self.lines.append(line)
                if line.endswith(wanted):
                    return
        assert self.process.stderr is not None
        pytest.fail(
            f"{wanted!r} never came: {self.lines} {(await self.process.stderr.read()).decode()[-2000:]}"
        )


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(zone="localhost", public_domain="inkboxwire.com") as sandbox:
        yield sandbox


@pytest.fixture(params=PEERS, ids=lambda folder: Path(folder).name or "installed")
def peer(request: pytest.FixtureRequest) -> str:
    folder: str = request.param
    return folder


@asynccontextmanager
async def official(
    sandbox: Sandbox, peer: str, name: str, state_dir: Path, api_key: str | None = None
) -> AsyncIterator[OfficialListener]:
    """The official client, connected."""
    arguments = {
        "base_url": sandbox.base_url,
        "api_key": api_key or sandbox.api_key,
        "name": name,
        "edge_port": sandbox.edge_port,
        "state_dir": str(state_dir),
    }
    environment = {**os.environ, "SSL_CERT_FILE": str(sandbox.ca_cert_path)}
    if peer:
        environment["PYTHONPATH"] = peer
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(PROGRAM),
        json.dumps(arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment,
    )
    try:
        listener = OfficialListener(process)
        await listener.until("connected")
        yield listener
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def make(sandbox: Sandbox, handle: str, tls_mode: str = "edge") -> str:
    """A new identity; returns its tunnel's public URL."""
    async with sandbox.client() as inkbox:
        identity = await inkbox.create_identity(handle, tunnel={"tls_mode": tls_mode})
        assert identity.tunnel is not None
        return f"https://{identity.tunnel.public_host}"


async def test_http(sandbox: Sandbox, peer: str, tmp_path: Path) -> None:
    url = await make(sandbox, "sales-agent")
    async with official(sandbox, peer, "sales-agent", tmp_path / "state"), sandbox.session() as third_party:
        for body in (b"", b"small", b"L" * 300_000):
            async with third_party.post(
                f"{url}/hooks%20/x?y=1", data=body, headers={"X-Mine": "é"}
            ) as answer:
                assert answer.status == 201
                assert await answer.read() == body
                assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]
                assert answer.headers["seen-host"] == "sales-agent.inkboxwire.com"
                assert answer.headers["seen-x-forwarded-for"] == "127.0.0.1"
                assert answer.headers["seen-x-mine"] == "é"
        answers = await asyncio.gather(*(fetch(third_party, f"{url}/{number}") for number in range(200)))
        assert set(answers) == {201}


async def fetch(third_party: aiohttp.ClientSession, url: str) -> int:
    async with third_party.get(url) as answer:
        await answer.read()
        return answer.status


async def test_websocket(sandbox: Sandbox, peer: str, tmp_path: Path) -> None:
    url = await make(sandbox, "sales-agent")
    async with (
        official(sandbox, peer, "sales-agent", tmp_path / "state") as listener,
        sandbox.session() as third_party,
    ):
        async with third_party.ws_connect(f"{url}/echo", protocols=("v1", "v2")) as socket:
            assert socket.protocol == "v1"
            for message in ("hällo", "x" * 40_000):
                await socket.send_str(message)
                assert await socket.receive_str() == message
            await socket.send_bytes(b"\x00\xff" * 10_000)
            assert await socket.receive_bytes() == b"\x00\xff" * 10_000
            await socket.send_str("close")
            closing = await socket.receive()
            assert (closing.type, closing.data, closing.extra) == (aiohttp.WSMsgType.CLOSE, 4010, "asked")
        async with third_party.ws_connect(f"{url}/echo") as socket:
            await socket.close(code=4001)
        await listener.until("disconnect 4001")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await third_party.ws_connect(f"{url}/refused")
        assert refused.value.status == 403
        sockets = [await third_party.ws_connect(f"{url}/echo") for _ in range(20)]
        for turn in range(3):
            for socket in sockets:
                await socket.send_str(f"{turn}" * 30_000)
            for socket in sockets:
                assert await socket.receive_str() == f"{turn}" * 30_000
        for socket in sockets:
            await socket.close()


async def test_drain_loses_nothing(sandbox: Sandbox, peer: str, tmp_path: Path) -> None:
    url = await make(sandbox, "sales-agent")
    async with official(sandbox, peer, "sales-agent", tmp_path / "state"), sandbox.session() as third_party:
        drain = f"{sandbox.control_url}/tunnels/sales-agent/drain"
        requests: list[asyncio.Task[int]] = []
        for _ in range(2):
            requests += [asyncio.create_task(fetch(third_party, f"{url}/slow")) for _ in range(40)]
            await asyncio.sleep(0.02)
            async with third_party.post(drain) as answer:
                assert answer.status == 204
            requests += [asyncio.create_task(fetch(third_party, f"{url}/slow")) for _ in range(40)]
            await asyncio.sleep(2.5)  # a second drain within two seconds is a cold reconnect to this client
        assert set(await asyncio.gather(*requests)) == {201}


async def test_connection_fields(sandbox: Sandbox, peer: str, tmp_path: Path) -> None:
    await make(sandbox, "sales-agent")
    async with sandbox.client() as inkbox:
        async with official(sandbox, peer, "sales-agent", tmp_path / "state"):
            (tunnel,) = await inkbox.tunnels.list()
            assert tunnel.currently_connected
            assert tunnel.last_connected_ip_addr == "127.0.0.1"
            assert tunnel.last_connected_at is not None
            assert tunnel.last_disconnected_at is None
        async with asyncio.timeout(PATIENCE):
            while (tunnel := await inkbox.tunnels.get(tunnel.id)).currently_connected:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert tunnel.last_disconnected_at is not None


async def test_an_agents_own_key_serves_its_tunnel(sandbox: Sandbox, peer: str, tmp_path: Path) -> None:
    url = await make(sandbox, "sales-agent")
    async with sandbox.client() as inkbox:
        identity = await inkbox.get_identity("sales-agent")
        key = await inkbox.api_keys.create(label="agent", scoped_identity_id=identity.id)
    async with (
        official(sandbox, peer, "sales-agent", tmp_path / "state", key.api_key),
        sandbox.session() as third_party,
    ):
        assert await fetch(third_party, f"{url}/") == 201


async def test_supersede(sandbox: Sandbox, peer: str, tmp_path: Path) -> None:
    if not peer:
        pytest.skip("the client of the documents' time knows no takeover: it reconnects")
    await make(sandbox, "sales-agent")
    async with (
        official(sandbox, peer, "sales-agent", tmp_path / "state") as listener,
        sandbox.session() as third_party,
    ):
        async with third_party.post(f"{sandbox.control_url}/tunnels/sales-agent/supersede") as answer:
            assert answer.status == 204
        await listener.until("ended TunnelSupersededError")


async def test_passthrough(sandbox: Sandbox, peer: str, tmp_path: Path) -> None:
    url = await make(sandbox, "vault-agent", "passthrough")
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(official(sandbox, peer, "vault-agent", tmp_path / "state"))
        third_party = await stack.enter_async_context(sandbox.session())
        for body in (b"small", b"L" * 300_000):
            async with third_party.post(f"{url}/x", data=body) as answer:
                assert answer.status == 201
                assert await answer.read() == body
        async with third_party.ws_connect(f"{url}/echo") as socket:
            await socket.send_str("through TLS")
            assert await socket.receive_str() == "through TLS"
        async with sandbox.client() as inkbox:
            (tunnel,) = await inkbox.tunnels.list()
            assert tunnel.status == "active"
            assert tunnel.cert_pem is not None
