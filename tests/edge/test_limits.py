"""The edge's limits as users set them: embedded, and on the command line."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from inkbox_async import AsyncInkbox
from inkbox_async.sandbox import EdgeLimits, Sandbox

from .listener import RawListener
from .raw_h2 import connect

FREE = ("--port", "0", "--smtp-port", "0", "--edge-port", "0")


async def hello(place: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
    """What the edge of a sandbox tells a listener that connects."""
    async with AsyncInkbox(place["api_key"], base_url=place["base_url"]) as inkbox:
        identity = await inkbox.create_identity("sales-agent")
    assert identity.tunnel is not None
    context = ssl.create_default_context(cafile=place["ca_cert_path"])
    context.set_alpn_protocols(["h2"])
    async with connect(place["edge_port"], context) as client:
        listener = RawListener(client, str(identity.tunnel.id), place["api_key"])
        await listener.hello()
        return listener.hello_answer


async def test_limits_of_an_embedded_sandbox() -> None:
    limits = EdgeLimits(default_pool_size=3, response_deadline_seconds=2.5)
    async with Sandbox(edge_limits=limits) as sandbox:
        place = {
            name: getattr(sandbox, name) for name in ("api_key", "base_url", "ca_cert_path", "edge_port")
        }
        answer = await hello(place)
    assert (answer["default_pool_size"], answer["response_deadline_seconds"]) == (3, 2.5)
    assert answer["intake_idle_seconds"] == EdgeLimits().intake_idle_seconds


@asynccontextmanager
async def command(*options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "inkbox_async.sandbox", "--json", *FREE, *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def test_limits_of_a_command() -> None:
    settings = ("default_pool_size=3", "intake_idle_seconds=12.5")
    async with command(*(f"--edge-limit={setting}" for setting in settings)) as process:
        assert process.stdout is not None
        answer = await hello(json.loads(await process.stdout.readline()))
    assert (answer["default_pool_size"], answer["intake_idle_seconds"]) == (3, 12.5)


async def test_a_command_with_a_limit_that_does_not_exist() -> None:
    async with command("--edge-limit", "speed=7") as process:
        assert process.stderr is not None
        said = (await process.stderr.read()).decode()
        assert await process.wait() == 2
    assert "argument --edge-limit: there is no limit 'speed'; there are" in said
    assert "response_deadline_seconds" in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("gather_bytes=many", "gather_bytes needs a whole number"),
        ("gather_bytes=1.5", "gather_bytes needs a whole number"),
        ("gather_bytes", "gather_bytes needs a whole number"),
        ("gather_seconds=", "gather_seconds needs a number of seconds"),
        ("gather_seconds=0", "gather_seconds must be a number above 0"),
        ("gather_seconds=-1", "gather_seconds must be a number above 0"),
        ("gather_seconds=nan", "gather_seconds must be a number above 0"),
        ("gather_seconds=inf", "gather_seconds must be a number above 0"),
        ("default_pool_size=0", "default_pool_size must be from 1 to 32"),
        ("default_pool_size=33", "default_pool_size must be from 1 to 32"),
    ],
)
def test_limits_out_of_their_range(setting: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        EdgeLimits.parse([setting])
