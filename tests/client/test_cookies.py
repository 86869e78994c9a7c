"""Cookies: kept, and given back where they belong."""

from __future__ import annotations

import aiohttp
import pytest

from .conftest import Connect
from .servers import Answer, Server


@pytest.mark.parametrize(
    ("cookie", "path", "sent"),
    [
        ("AWSALB=abc/+=%22x; Path=/", "/api/v1/y", "AWSALB=abc/+=%22x"),
        ("a=1", "/api/v1/y", "a=1"),
        ("a=1", "/api/other", None),
        ("a=1; Path=/api/v1/mail", "/api/v1/mail/x", "a=1"),
        ("a=1; Path=/api/v1/mail", "/api/v1/mailing", None),
        ("a=1; Path=/; Secure", "/api/v1/y", None),
        ("a=1; Path=/; Max-Age=0", "/api/v1/y", None),
        ("a=1; Path=/; Max-Age=60; HttpOnly; SameSite=Lax", "/api/v1/y", "a=1"),
        ("a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "/api/v1/y", None),
        ("a=1; Path=/; Domain=elsewhere.example", "/api/v1/y", None),
        ("stick=v1|a.b:c/d+e==; Path=/", "/api/v1/y", "stick=v1|a.b:c/d+e=="),
    ],
)
async def test_a_cookie_goes_back_where_it_belongs(
    server: Server, connect: Connect, cookie: str, path: str, sent: str | None
) -> None:
    server.answers = [Answer(body={}, headers={"Set-Cookie": cookie}), Answer(body={})]
    transport = connect()

    await transport.request("GET", "/api/v1/x", None)
    await transport.request("POST", path, None)

    assert "Cookie" not in server.seen[0].headers
    assert server.seen[1].headers.get("Cookie") == sent


async def test_a_cookie_of_an_error_counts_too_and_may_be_changed(server: Server, connect: Connect) -> None:
    server.answers = [
        Answer(503, headers={"Set-Cookie": "node=1; Path=/"}),
        Answer(body={}, headers={"Set-Cookie": "node=2; Path=/"}),
        Answer(body={}),
    ]
    transport = connect()

    await transport.request("GET", "/api/v1/x", None)
    await transport.request("GET", "/api/v1/x", None)

    assert [seen.headers.get("Cookie") for seen in server.seen] == [None, "node=1", "node=2"]


async def test_cookies_by_name_of_the_host(server: Server, connect: Connect) -> None:
    server.answers = [
        Answer(body={}, headers={"Set-Cookie": "a=1; Path=/; Domain=localhost"}),
        Answer(body={}),
    ]
    transport = connect(base_url=f"http://localhost:{server.port}")

    await transport.request("GET", "/api/v1/x", None)
    await transport.request("GET", "/api/v1/x", None)

    assert server.seen[1].headers.get("Cookie") in ("a=1", None)


async def test_two_clients_share_no_cookies(server: Server, connect: Connect) -> None:
    server.answers = [Answer(body={}, headers={"Set-Cookie": "a=1; Path=/"})]

    await connect().request("GET", "/api/v1/x", None)
    await connect().request("GET", "/api/v1/x", None)

    assert "Cookie" not in server.seen[1].headers


async def test_a_given_session_keeps_its_own_rules(server: Server, connect: Connect) -> None:
    server.answers = [Answer(body={}, headers={"Set-Cookie": "a=1; Path=/"})]
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        transport = connect(session=session)
        await transport.request("GET", "/api/v1/x", None)
        await transport.request("GET", "/api/v1/x", None)

    assert "Cookie" not in server.seen[1].headers
