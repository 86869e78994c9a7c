"""Events outlive the process, even one that is killed."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from inkbox_async import AsyncInkbox

from .conftest import PATIENCE, Receiver


@asynccontextmanager
async def process(data: Path) -> AsyncIterator[dict[str, Any]]:  # Any: JSON values
    """A sandbox in a process of its own, killed without warning at the end; gives what it prints."""
    sandbox = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "inkbox_async.sandbox",
        "--json",
        "--port=0",
        "--smtp-port=0",
        "--edge-port=0",
        f"--data={data}",
        stdout=asyncio.subprocess.PIPE,
    )
    assert sandbox.stdout is not None
    try:
        async with asyncio.timeout(PATIENCE):
            line = await sandbox.stdout.readline()
        yield json.loads(line)
    finally:
        sandbox.kill()
        await sandbox.communicate()


async def test_a_killed_process_delivers_after_its_restart(tmp_path: Path) -> None:
    """What was answered is delivered: by the next process, if not by this one."""
    receiver = Receiver()
    await receiver.start()
    port = receiver.port
    await receiver.stop()
    data = tmp_path / "inkbox.db"
    async with (
        process(data) as places,
        AsyncInkbox(places["api_key"], base_url=places["base_url"]) as inkbox,
        aiohttp.ClientSession() as outside,
    ):
        agent = await inkbox.create_identity("support")
        assert agent.mailbox is not None
        await inkbox.webhooks.subscriptions.create(
            mailbox_id=agent.mailbox.id, url=f"http://127.0.0.1:{port}/", event_types=["message.received"]
        )
        for subject in ("one", "two"):
            mail = {"from": "ann@example.com", "to": [agent.mailbox.email_address], "subject": subject}
            async with outside.post(f"{places['control_url']}/emails", json=mail) as answer:
                assert answer.status == 202
    receiver = Receiver()
    await receiver.start(port)
    try:
        async with process(data) as places, aiohttp.ClientSession() as outside:
            clock = f"{places['control_url']}/clock"
            async with outside.post(clock, json={"advance_seconds": 3600}) as answer:
                assert answer.status == 200
            got = [(await receiver.next()).json["data"]["message"]["subject"] for _ in range(2)]
            assert got == ["one", "two"]
    finally:
        await receiver.stop()
