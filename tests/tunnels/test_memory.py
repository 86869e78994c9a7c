"""Large bodies in either direction need little memory, in the listener's process and in the edge's."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from inkbox_async import AsyncInkbox

from .ingress import Loopback

SIZE = 50_000_000
ALLOWED = 24_000_000

LISTENER = """
import asyncio, json, sys
from inkbox_async import AsyncInkbox

PIECE = bytes(50_000)

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    size, more = 0, True
    while more:
        event = await receive()
        size += len(event["body"])
        more = event["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": []})
    if scope["path"] == "/produce":
        for _ in range(1000):
            await send({"type": "http.response.body", "body": PIECE, "more_body": True})
        size = 0
    await send({"type": "http.response.body", "body": b"%d" % size if size else b""})

async def main():
    about = json.loads(sys.argv[1])
    async with AsyncInkbox(about["api_key"], base_url=about["base_url"]) as client:
        await client.tunnels.connect(
            name="my-app", forward_to=app, state_dir=about["state_dir"], ca=about["ca_cert_path"],
            max_inbound_body_bytes=1 << 30, max_outbound_body_bytes=1 << 30,
        ).serve_forever()

asyncio.run(main())
"""


def memory(process: asyncio.subprocess.Process, field: str) -> int:
    """Bytes of a process: `VmRSS` now, `VmHWM` at most so far."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=asyncio.subprocess.PIPE)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell it")
@pytest.mark.parametrize("mode", ["edge", "passthrough"])
async def test_fifty_megabytes_each_way(tmp_path: Path, mode: str) -> None:
    ports = ("--port", "0", "--smtp-port", "0", "--edge-port", "0")
    edge = await start("-m", "inkbox_async.sandbox", "--json", *ports)
    listener = None
    try:
        assert edge.stdout is not None
        about: dict[str, Any] = json.loads(await edge.stdout.readline())  # Any: JSON
        async with AsyncInkbox(about["api_key"], base_url=about["base_url"]) as client:
            identity = await client.create_identity("my-app", tunnel={"tls_mode": mode})
            assert identity.tunnel is not None
            listener = await start(
                "-c", LISTENER, json.dumps({**about, "state_dir": str(tmp_path / "state")})
            )
            while not (await client.tunnels.get(identity.tunnel.id)).currently_connected:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        async with aiohttp.ClientSession(connector=_to_edge(about)) as third_party:
            url = f"https://my-app.localhost:{about['edge_port']}"
            async with third_party.post(f"{url}/count", data=b"warm") as answer:
                assert await answer.read() == b"4"
            before = [memory(process, "VmRSS") for process in (edge, listener)]
            async with third_party.post(f"{url}/count", data=_body()) as answer:
                assert await answer.read() == b"%d" % SIZE
            received = 0
            async with third_party.get(f"{url}/produce") as answer:
                async for piece in answer.content.iter_any():
                    received += len(piece)
            assert received == SIZE
            most = [memory(process, "VmHWM") for process in (edge, listener)]
        grown = dict(
            zip(
                ("edge", "listener"),
                (after - at for after, at in zip(most, before, strict=True)),
                strict=True,
            )
        )
        assert max(grown.values()) < ALLOWED, grown
    finally:
        for process in filter(None, (listener, edge)):
            process.terminate()  # a killed sandbox leaves its certificates behind
            await process.communicate()


async def _body() -> AsyncIterator[bytes]:
    for _ in range(SIZE // 50_000):
        yield bytes(50_000)


def _to_edge(about: dict[str, Any]) -> aiohttp.TCPConnector:  # Any: JSON
    return aiohttp.TCPConnector(
        ssl=ssl.create_default_context(cafile=about["ca_cert_path"]), resolver=Loopback()
    )
