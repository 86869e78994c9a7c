"""A listener while its world changes: the edge dies and returns, its identity is deleted, its key revoked."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from inkbox_async import AsyncInkbox, TunnelRemoved
from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.auth import revoke_keys_of
from inkbox_async.tunnels import TunnelAuthenticationError
from inkbox_async.tunnels.backoff import Backoff
from inkbox_async.tunnels.connection import dial

from .apps import echo
from .conftest import Connect, Stage, eventually
from .fake_edge import FakeEdge


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Delays between dials are tested for themselves."""
    monkeypatch.setattr(Backoff, "next", lambda self: 0.05)


@asynccontextmanager
async def edge_process(
    data: Path, ports: tuple[int, int]
) -> AsyncIterator[tuple[asyncio.subprocess.Process, dict[str, Any]]]:  # Any: JSON
    """A sandbox that can be killed, and what it says of itself."""
    arguments = ["--json", "--data", str(data), "--smtp-port", "0"]
    arguments += ["--port", str(ports[0]), "--edge-port", str(ports[1])]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "inkbox_async.sandbox",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.communicate()


def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


async def test_a_killed_edge_that_returns_is_served_again(tmp_path: Path, impatient: None) -> None:
    ports, data = free_ports(), tmp_path / "data.sqlite"
    statuses: list[str] = []
    async with edge_process(data, ports) as (process, about):
        base_url, key, ca = about["base_url"], about["api_key"], about["ca_cert_path"]
        client = AsyncInkbox(key, base_url=base_url)
        await client.create_identity("my-app")
        listener = client.tunnels.connect(
            name="my-app",
            forward_to=echo,
            state_dir=tmp_path / "state",
            ca=ca,
            on_status=statuses.append,
        )
        serving = asyncio.create_task(listener.serve_forever())
        await eventually(lambda: listener.is_connected)
        process.kill()
        await process.wait()
    await eventually(lambda: listener.status == "reconnecting")
    async with edge_process(data, ports):
        await eventually(lambda: listener.is_connected)
        async with aiohttp.ClientSession() as third_party:
            url = f"http://127.0.0.1:{ports[0]}/"
            headers = {"Host": f"my-app.localhost:{ports[0]}"}
            async with third_party.post(url, data=b"again", headers=headers) as answer:
                assert (answer.status, await answer.read()) == (200, b"again")
        await listener.aclose()
        await serving
        await client.aclose()
    assert statuses == ["connecting", "connected", "reconnecting", "connected", "closed"]


async def test_a_deleted_identity_removes_the_tunnel(
    client: AsyncInkbox, connect: Connect, tmp_path: Path, impatient: None
) -> None:
    identity = await client.create_identity("my-app")
    statuses: list[str] = []
    listener = connect(echo, on_status=statuses.append)
    serving = asyncio.create_task(listener.serve_forever())
    await eventually(lambda: listener.is_connected)
    await identity.delete()
    with pytest.raises(TunnelRemoved, match="my-app"):
        await serving
    assert statuses == ["connecting", "connected", "reconnecting", "closed"]


async def test_a_revoked_key_ends_it_at_the_next_hello(
    sandbox: Sandbox, client: AsyncInkbox, tmp_path: Path, edge_tunnel: None
) -> None:
    (identity,) = await client.list_identities()
    key = await client.api_keys.create(label="the tunnel's", scoped_identity_id=identity.id)
    async with sandbox.client(key.api_key) as agent:
        listener = agent.tunnels.connect(
            name="my-app", forward_to=echo, state_dir=tmp_path / "agent", ca=sandbox.ca_cert_path
        )
        serving = asyncio.create_task(listener.serve_forever())
        await eventually(lambda: listener.is_connected)
        async with sandbox.session() as third_party:
            async with third_party.post(listener.public_url, data=b"mine") as answer:
                assert await answer.read() == b"mine"
            await sandbox.store.run(lambda tx: revoke_keys_of(tx, sandbox.clock.now(), str(identity.id)))
            async with third_party.post(f"{sandbox.control_url}/tunnels/my-app/drain") as answer:
                assert answer.status == 204
        with pytest.raises(TunnelAuthenticationError) as caught:
            await serving
        assert key.api_key not in str(caught.value)
        assert listener.status == "closed"


async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()
    writer.close()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.transport.abort()


async def speak_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
    writer.close()


@pytest.mark.parametrize("stranger", [say_nothing, hang_up, break_off, speak_http])
async def test_what_is_no_edge_is_dialled_until_there_is_one(
    stage: Stage,
    edge: FakeEdge,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    stranger: Any,  # Any: what asyncio takes as a handler
) -> None:
    """Another server is at the address for a while, such as a gateway whose edge is gone."""
    assert dial.__kwdefaults__ is not None
    monkeypatch.setitem(dial.__kwdefaults__, "timeout", 0.5)
    port = edge.port
    await edge.stop()
    async with await asyncio.start_server(stranger, "127.0.0.1", port):
        entering = asyncio.create_task(stage.listener(echo).__aenter__())
        await eventually(lambda: "reconnecting" in stage.statuses)
    await edge.start(port)
    listener = await entering
    assert (await edge.request("POST", body=b"x")).body == b"x"
    await listener.aclose()
    assert stage.statuses == ["connecting", "reconnecting", "connected", "closed"]
    assert ": ;" not in caplog.text, "the log does not say why the edge could not be reached"
