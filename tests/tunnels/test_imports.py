"""What a tunnel is made of is imported when it starts, and in a thread."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from inkbox_async import AsyncInkbox
from inkbox_async.sandbox import Sandbox

TWO_LISTENERS = """
import asyncio, os, sys, threading
from importlib.abc import MetaPathFinder
from inkbox_async import AsyncInkbox

HEAVY = {"cryptography", "h11", "jh2", "wsproto"}
on_the_loop = set()
beside_it = set()

class Watch(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name in HEAVY:
            main = threading.current_thread() is threading.main_thread()
            (on_the_loop if main else beside_it).add(name)

sys.meta_path.insert(0, Watch())

async def app(scope, receive, send): ...

async def main(url, key, ca, folder):
    async with AsyncInkbox(key, base_url=url) as inkbox:
        edge, passthrough = (
            inkbox.tunnels.connect(name=name, forward_to=app, ca=ca, state_dir=os.path.join(folder, name))
            for name in ("edge-app", "passthrough-app")
        )
        assert not on_the_loop | beside_it, f"connecting imports {on_the_loop | beside_it}"
        async with edge:
            assert beside_it == HEAVY - {"cryptography"}, f"a listener imports {beside_it}"
        async with passthrough:
            assert beside_it == HEAVY, f"a passthrough listener imports {beside_it}"
        assert not on_the_loop, f"imported on the event loop: {on_the_loop}"

asyncio.run(main(*sys.argv[1:]))
"""


async def test_listeners_import_what_they_need_beside_the_loop(
    client: AsyncInkbox, sandbox: Sandbox, tmp_path: Path
) -> None:
    await client.create_identity("edge-app")
    await client.create_identity("passthrough-app", tunnel={"tls_mode": "passthrough"})
    arguments = [sandbox.base_url, sandbox.api_key, str(sandbox.ca_cert_path), str(tmp_path)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", TWO_LISTENERS, *arguments, stderr=subprocess.PIPE
    )
    _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
