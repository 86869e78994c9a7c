"""A request body on a slow line: the deadline is the application's, however the body reaches it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from inkbox_async.sandbox import EdgeLimits, Sandbox

from .apps import Event, Receive, Send, http, read_body, respond

DEADLINE = 1.0
PAUSE = 0.05
SECONDS = 1.6


@http
async def app(scope: Event, receive: Receive, send: Send) -> None:
    """Counts the bytes of the body; `/never` takes them and does not answer."""
    size = len(await read_body(receive))
    if scope["path"] == "/never":
        await asyncio.Event().wait()
    await respond(send, b"%d" % size)


async def slowly(sent: list[int]) -> AsyncIterator[bytes]:
    """A piece at a time, together longer than the deadline."""
    loop = asyncio.get_running_loop()
    end = loop.time() + SECONDS
    while loop.time() < end:
        sent.append(100)
        yield bytes(100)
        await asyncio.sleep(PAUSE)


@pytest.mark.parametrize("way", ["inline", "put aside", "passthrough"])
async def test_a_slow_line_is_not_the_applications_fault(tmp_path: Path, way: str) -> None:
    limits = EdgeLimits(
        response_deadline_seconds=DEADLINE, put_aside_bytes=10 if way == "put aside" else None
    )
    mode = "passthrough" if way == "passthrough" else "edge"
    async with (
        Sandbox(edge_limits=limits) as sandbox,
        sandbox.client() as inkbox,
        sandbox.session() as third_party,
    ):
        await inkbox.create_identity("my-app", tunnel={"tls_mode": mode})
        connecting = inkbox.tunnels.connect(
            name="my-app", forward_to=app, state_dir=tmp_path / "state", ca=sandbox.ca_cert_path
        )
        async with connecting as listener:
            sent: list[int] = []
            async with third_party.post(listener.public_url, data=slowly(sent)) as answer:
                assert (answer.status, await answer.read()) == (200, b"%d" % sum(sent))
            if mode == "edge":
                async with third_party.post(f"{listener.public_url}/never", data=bytes(100)) as answer:
                    assert answer.status == 504
