"""Nothing is imported on the event loop once a client is entered or used, or an agent signs up."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest

from inkbox_async.sandbox import Sandbox

TOUR = """
import asyncio, sys, threading
from functools import cached_property
from importlib.abc import MetaPathFinder
from inkbox_async import AsyncInkbox

on_the_loop = []

class Watch(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is threading.main_thread():
            on_the_loop.append(name)

async def entering(url, key):
    async with AsyncInkbox(key, base_url=url) as inkbox:
        for kind in AsyncInkbox.__mro__:
            for name, member in vars(kind).items():
                if isinstance(member, cached_property):
                    getattr(inkbox, name)
        identity = await inkbox.create_identity("tourist")
        await inkbox.get_identity("tourist")
        await inkbox.list_identities()
        await inkbox.whoami()
        await identity.update(display_name="Tourist")
        message = await identity.send_email(to=["somebody@example.com"], subject="Hello", body_text="Hello")
        async for message in identity.iter_emails():
            await identity.get_message(message.id)
        await inkbox.contacts.create(given_name="Ada")
        await inkbox.contacts.list()
        await inkbox.notes.create(body="A note")
        await inkbox.tunnels.list()
        await inkbox.vault.info()
        await inkbox.webhooks.subscriptions.list()
        await inkbox.phone_numbers.list()
        await identity.delete()

async def never_entering(url, key):
    inkbox = AsyncInkbox(key, base_url=url)
    await inkbox.whoami()
    await inkbox.mailboxes.list()
    await inkbox.aclose()

async def signup(url, key):
    await AsyncInkbox.signup("human@example.com", note_to_human="Hello", base_url=url)

async def main(way, url, key):
    await asyncio.to_thread(int)  # asyncio itself imports a little for its first thread
    sys.meta_path.insert(0, Watch())
    await globals()[way](url, key)
    heavy = [name for name in on_the_loop if name.split(".")[0] not in sys.stdlib_module_names]
    assert not heavy, f"imported on the event loop: {heavy}"

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("way", ["entering", "never_entering", "signup"])
async def test_nothing_is_imported_on_the_event_loop(way: str, sandbox: Sandbox) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TOUR, way, sandbox.base_url, sandbox.api_key, stderr=subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
