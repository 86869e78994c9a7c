"""A sandbox starts with little, and gets the rest when it is needed: handlers and its edge."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
import sys
from contextlib import suppress

from inkbox_async.sandbox import Sandbox, areas
from inkbox_async.sandbox.controlling import CONTROLS
from inkbox_async.sandbox.handling import HANDLERS, ROUTES
from inkbox_async.sandbox.server import specified_operations

ROOM = "inkbox_async.sandbox."
HEAVY = ("cryptography", "jh2", "wsproto", "phonenumbers", "vobject", f"{ROOM}edge.server")

START_AND_USE = f"""
import asyncio, sys
from inkbox_async.sandbox import Sandbox

async def main():
    async with Sandbox() as sandbox, sandbox.client() as inkbox:
        await inkbox.whoami()
    print([name for name in {HEAVY!r} if name in sys.modules])

asyncio.run(main())
"""

HANDLER_OF_ONE = """
import sys
from inkbox_async.sandbox import areas
from inkbox_async.sandbox.controlling import CONTROLS
from inkbox_async.sandbox.handling import HANDLERS

areas.load_for(sys.argv[1])
assert sys.argv[1] in {**HANDLERS, **CONTROLS}
"""


def test_starting_and_a_first_request_import_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", START_AND_USE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_table_of_areas_names_the_module_of_every_handler() -> None:
    areas.load_all()
    strangers = []
    for operation in specified_operations():
        handler = {**HANDLERS, **CONTROLS}.get(operation.id)
        named = areas.RESOURCES.get(operation.id.partition(".")[0], ())
        if handler is not None and handler.__module__.removeprefix(ROOM) not in named:
            strangers.append(f"{operation.id} is in {handler.__module__}, which its resource does not name")
    for (method, path), handler in ROUTES.items():
        if handler.__module__.removeprefix(ROOM) not in areas.AT_START:
            strangers.append(
                f"{method} {path} is in {handler.__module__}, which is not imported at the start"
            )
    assert strangers == []


def test_what_an_identity_leaves_behind_is_loaded_before_one_is_deleted() -> None:
    for operation in ("identities.delete", "identities.create", "signup.register"):
        subprocess.run([sys.executable, "-c", HANDLER_OF_ONE, operation], check=True)
    hooked = {hook.__module__.removeprefix(ROOM) for hook in _lifecycle_hooks()}
    assert hooked <= set(areas.RESOURCES["identities"])
    assert hooked <= set(areas.RESOURCES["signup"])


def _lifecycle_hooks() -> list[object]:
    from inkbox_async.sandbox import lifecycle

    areas.load_all()
    return [*lifecycle._BORN, *lifecycle._DYING]


async def test_many_first_visitors_of_the_edge_are_all_served() -> None:
    async with Sandbox() as sandbox:
        trust = ssl.create_default_context(cafile=sandbox.ca_cert_path)

        async def visit() -> bytes:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", sandbox.edge_port, ssl=trust, server_hostname="nobody.localhost"
            )
            writer.write(b"GET / HTTP/1.1\r\nHost: nobody.localhost\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            await writer.wait_closed()
            return answer

        answers = await asyncio.gather(*(visit() for _ in range(5)))
    assert [answer.split(b"\r\n", 1)[0] for answer in answers] == [answers[0].split(b"\r\n", 1)[0]] * 5
    assert answers[0].startswith(b"HTTP/1.1 ")


async def test_a_sandbox_stops_while_its_edge_is_being_made() -> None:
    async with Sandbox() as sandbox:
        reader, writer = await asyncio.open_connection("127.0.0.1", sandbox.edge_port)
        writer.write(b"\x16\x03\x01")
        await writer.drain()
    with suppress(ConnectionResetError):  # what the visitor said may have been read by then, or not
        assert await reader.read() == b""
    writer.close()
    with suppress(ConnectionResetError):
        await writer.wait_closed()


async def test_a_visitor_who_leaves_before_the_edge_is_made_harms_nobody() -> None:
    async with Sandbox() as sandbox:
        _, writer = await asyncio.open_connection("127.0.0.1", sandbox.edge_port)
        writer.transport.abort()
        trust = ssl.create_default_context(cafile=sandbox.ca_cert_path)
        _, patient = await asyncio.open_connection(
            "127.0.0.1", sandbox.edge_port, ssl=trust, server_hostname="localhost"
        )
        patient.close()
        await patient.wait_closed()
