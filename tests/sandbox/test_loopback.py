"""The control API and the console are for programs on this machine: not for others, and not for web pages."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping

import pytest

from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.server import specified_operations

CONTROL = [
    (operation.method, re.sub(r"{\w+}", "00000000-0000-4000-8000-000000000000", operation.path))
    for operation in specified_operations()
    if operation.area == "sandbox"
]
CONSOLE = [("GET", path) for path in ("/", "/console", "/console/outbox", "/console/mailboxes/a@b.example")]
HEALTH = "/_sandbox/health"


async def answer(
    sandbox: Sandbox, start: str, headers: Mapping[str, str] | str = "", address: str = "127.0.0.1"
) -> tuple[int, str]:
    """Status and text of the answer to a request that is sent as it stands; `PORT` is the sandbox's."""
    port = sandbox.base_url.rpartition(":")[2]
    if not isinstance(headers, str):
        headers = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    request = f"{start}\r\n{headers}Connection: close\r\n\r\n".replace("PORT", port)
    reader, writer = await asyncio.open_connection(address, int(port))
    try:
        writer.write(request.encode())
        text = (await reader.read()).decode("latin-1")
    finally:
        writer.close()
        await writer.wait_closed()
    return int(text.split()[1]), text


async def refused(
    sandbox: Sandbox, start: str, headers: Mapping[str, str] | str = "", address: str = "127.0.0.1"
) -> None:
    status, text = await answer(sandbox, start, headers, address)
    assert status in (400, 403), (start, headers, text)
    assert "detail" in text
    assert "Access-Control" not in text, "no browser is told that a page may read this"


@pytest.mark.parametrize(("method", "path"), [*CONTROL, *CONSOLE], ids=lambda part: str(part))
async def test_every_place_refuses_other_names_and_pages(
    inkbox_sandbox: Sandbox, method: str, path: str
) -> None:
    agent = await inkbox_sandbox.world.create_organization()
    start = f"{method} {path} HTTP/1.1"
    for headers in (
        {"Host": "evil.example"},
        {"Host": "localhost:PORT", "Origin": "https://evil.example"},
        {"Host": "localhost:PORT", "Origin": "null"},
        {"Host": "localhost:PORT", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ):
        await refused(inkbox_sandbox, start, headers)
    preflight = {"Host": "localhost:PORT", "Origin": "https://evil.example"}
    await refused(
        inkbox_sandbox,
        f"OPTIONS {path} HTTP/1.1",
        {
            **preflight,
            "Access-Control-Request-Method": method,
            "Access-Control-Request-Private-Network": "true",
        },
    )
    async with inkbox_sandbox.client(agent.api_key) as inkbox:
        assert await inkbox.list_identities() == [], "and nothing was reset"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:PORT",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "localhost.",
        "0.0.0.0:PORT",
        "192.168.0.7:PORT",
        "169.254.169.254",
        "10.0.0.1",
        "[::]:PORT",
        "[fe80::1]",
        "[2001:db8::1]:PORT",
        "[::ffff:10.0.0.1]",
        "2130706433",
        "0x7f.1",
        "127.1",
        "evil.example@localhost",
        "localhost@evil.example",
        "localhost/evil.example",
        "localhost:80:80",
        "localhost evil.example",
        "localhost, evil.example",
        "localhost#",
        "[bad",
        "[::1",
        "",
    ],
)
async def test_a_host_that_is_no_name_of_this_machine_is_refused(inkbox_sandbox: Sandbox, host: str) -> None:
    await refused(inkbox_sandbox, f"GET {HEALTH} HTTP/1.1", f"Host: {host}\r\n")


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:PORT", "127.0.0.1", "127.0.0.1:PORT", "127.8.9.10:1", "[::1]", "[::1]:PORT"],
)
async def test_names_of_this_machine_are_good_with_any_port(inkbox_sandbox: Sandbox, host: str) -> None:
    assert (await answer(inkbox_sandbox, f"GET {HEALTH} HTTP/1.1", f"Host: {host}\r\n"))[0] == 200


@pytest.mark.parametrize(
    ("start", "headers"),
    [
        (f"GET {HEALTH} HTTP/1.1", ""),
        (f"GET {HEALTH} HTTP/1.0", ""),
        (f"GET {HEALTH} HTTP/1.1", "Host: localhost\r\nHost: evil.example\r\n"),
        (f"GET {HEALTH} HTTP/1.1", "Host: evil.example\r\nHost: localhost\r\n"),
        (f"GET {HEALTH} HTTP/1.1", "Host: localhost\r\nHost: localhost\r\n"),
        (f"GET http://evil.example{HEALTH} HTTP/1.1", "Host: localhost\r\n"),
        (f"GET http://localhost{HEALTH} HTTP/1.1", "Host: evil.example\r\n"),
        (f"GET http://localhost@evil.example{HEALTH} HTTP/1.1", "Host: localhost\r\n"),
        (f"GET http://localhost{HEALTH} HTTP/1.0", ""),
        (f"GET /{HEALTH} HTTP/1.1", "Host: evil.example\r\n"),
        (f"GET {HEALTH.replace('/h', '%2fh')} HTTP/1.1", "Host: evil.example\r\n"),
        (f"HEAD {HEALTH} HTTP/1.1", "Host: evil.example\r\n"),
        (f"TRACE {HEALTH} HTTP/1.1", "Host: evil.example\r\n"),
    ],
)
async def test_hosts_that_are_missing_doubled_or_contradicted_are_refused(
    inkbox_sandbox: Sandbox, start: str, headers: str
) -> None:
    status, text = await answer(inkbox_sandbox, start, headers)
    assert status in (400, 403), text


async def test_a_target_in_absolute_form_is_good_where_all_of_it_is_local(inkbox_sandbox: Sandbox) -> None:
    for name in ("localhost", "127.0.0.1:PORT", "[::1]:PORT"):
        start = f"GET http://{name}{HEALTH} HTTP/1.1"
        assert (await answer(inkbox_sandbox, start, f"Host: {name}\r\n"))[0] == 200


async def test_a_tunnels_public_name_leads_to_the_tunnel(inkbox_sandbox: Sandbox) -> None:
    """What is below it are a third party's pages, whatever the path."""
    status, text = await answer(inkbox_sandbox, f"GET {HEALTH} HTTP/1.1", "Host: evil.localhost:PORT\r\n")
    assert status >= 400
    assert '"ok"' not in text


async def test_no_path_leads_around_the_check(inkbox_sandbox: Sandbox) -> None:
    for path in (
        f"/api/..{HEALTH}",
        f"/api/%2e%2e{HEALTH}",
        f"/api/v1/notes/../../..{HEALTH}",
        f"/files/..{HEALTH}",
        f"/files/%2e%2e{HEALTH}",
        f"/mail/opened/../..{HEALTH}",
        f"\\api\\..{HEALTH}",
    ):
        status, text = await answer(inkbox_sandbox, f"GET {path} HTTP/1.1", "Host: evil.example\r\n")
        assert status in (400, 403, 404), text
        assert '"ok"' not in text


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": ""},
        {"Origin": "http://localhost:1"},
        {"Origin": "http://localhost"},
        {"Origin": "http://127.0.0.1:PORT"},
        {"Origin": "http://support-bot.localhost:PORT"},
        {"Origin": "http://localhost:PORT.evil.example"},
        {"Origin": "file://"},
        {"Origin": "chrome-extension://abcdefgh"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Referer": "https://evil.example/page"},
        {"Referer": "http://localhost:1/page"},
    ],
)
async def test_pages_cannot_change_anything(inkbox_sandbox: Sandbox, headers: dict[str, str]) -> None:
    """A form of another page is sent by navigation, so that only links may come from elsewhere."""
    start = "POST /_sandbox/reset HTTP/1.1"
    await refused(inkbox_sandbox, start, {"Host": "localhost:PORT", "Content-Length": "0", **headers})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost:PORT"},
        {"Origin": "http://localhost:PORT", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Referer": "https://evil.example/a-page-with-a-link"},
        {"Referer": "http://localhost:PORT/console"},
    ],
)
async def test_the_consoles_own_pages_and_links_to_it_are_good(
    inkbox_sandbox: Sandbox, headers: dict[str, str]
) -> None:
    status, text = await answer(
        inkbox_sandbox, "GET /console HTTP/1.1", {"Host": "localhost:PORT", **headers}
    )
    assert status == 200
    assert "frame-ancestors 'none'" in text, "no page can show it as a part of itself"
    assert "Access-Control" not in text


async def test_files_may_be_shown_by_pages_of_this_machine(inkbox_sandbox: Sandbox) -> None:
    """Links to files are signed; an agent's own page shows the pictures that it was sent."""
    path = "GET /mail/opened/nobody.gif HTTP/1.1"
    host = {"Host": "localhost:PORT"}
    page = {"Origin": "http://localhost:1", "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}
    assert (await answer(inkbox_sandbox, path, {**host, **page}))[0] == 200
    await refused(inkbox_sandbox, path, {**host, "Origin": "https://evil.example"})
    await refused(inkbox_sandbox, path, {"Host": "evil.example"})


def own_address() -> str | None:
    """An address of this machine that is not loopback. Nothing is sent to find it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        name: str = probe.getsockname()[0]
        return None if name.startswith("127.") else name


async def test_listening_everywhere_lets_nobody_from_elsewhere_in() -> None:
    async with Sandbox(host="0.0.0.0") as sandbox:
        here = {"Host": "127.0.0.1:PORT"}
        assert (await answer(sandbox, f"GET {HEALTH} HTTP/1.1", here))[0] == 200
        for host in ("0.0.0.0:PORT", "192.168.0.7:PORT", "evil.example"):
            await refused(sandbox, f"GET {HEALTH} HTTP/1.1", {"Host": host})
        address = own_address()
        if address is None:
            pytest.skip("this machine has no address but loopback")
        for host in (address, "127.0.0.1:PORT", "localhost"):
            await refused(sandbox, f"GET {HEALTH} HTTP/1.1", {"Host": host}, address)
        api = {"Host": f"{address}:PORT", "X-API-Key": sandbox.api_key}
        assert (await answer(sandbox, "GET /api/whoami HTTP/1.1", api, address))[0] == 200
