"""Redirects: followed at home, refused abroad, and never with the key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from inkbox_async.errors import InkboxAPIError

from .conftest import KEY, Connect
from .servers import Answer, Seen, Server


def route(server: Server, routes: Mapping[str, Answer]) -> None:
    async def handler(seen: Seen) -> Answer:
        return routes.get(seen.path, Answer(body={"path": seen.path}))

    server.handler = handler


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/api/v1/there?x=1", "there?x=1", "{origin}/api/v1/there?x=1"])
async def test_a_get_follows_within_its_origin(
    server: Server, connect: Connect, status: int, location: str
) -> None:
    route(server, {"/api/v1/here": Answer(status, headers={"Location": location.format(origin=server.url)})})

    answer = await connect().request("GET", "/api/v1/here", dict[str, Any])

    assert answer == {"path": "/api/v1/there"}
    assert server.seen[1].query == "x=1"
    assert server.seen[1].headers["X-API-Key"] == KEY


@pytest.mark.parametrize("status", [307, 308])
@pytest.mark.parametrize("text", ["a", "a" * 500_000])
async def test_a_post_follows_with_its_body(server: Server, connect: Connect, status: int, text: str) -> None:
    route(server, {"/api/v1/here": Answer(status, headers={"Location": "/api/v1/here/"})})

    await connect().request("POST", "/api/v1/here", None, body={"a": text})

    assert [(seen.method, seen.path) for seen in server.seen] == [
        ("POST", "/api/v1/here"),
        ("POST", "/api/v1/here/"),
    ]
    assert server.seen[1].json == {"a": text}


@pytest.mark.parametrize("status", [301, 302, 303])
@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
async def test_other_methods_are_not_turned_into_a_get(
    server: Server, connect: Connect, status: int, method: str
) -> None:
    route(server, {"/api/v1/here": Answer(status, headers={"Location": "/api/v1/there"})})

    with pytest.raises(InkboxAPIError, match="base_url") as caught:
        await connect().request(method, "/api/v1/here", None)

    assert caught.value.status_code == status
    assert len(server.seen) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_another_origin_gets_nothing(server: Server, connect: Connect, method: str) -> None:
    elsewhere = Server()
    await elsewhere.start()
    try:
        location = f"{elsewhere.url}/api/v1/there?signature=secret"
        headers = {"Location": location, "X-Request-ID": "r1"}
        route(server, {"/api/v1/here": Answer(307, headers=headers)})

        with pytest.raises(InkboxAPIError) as caught:
            await connect().request(method, "/api/v1/here", None)

        assert elsewhere.seen == []
    finally:
        await elsewhere.stop()
    assert f"another origin, {elsewhere.url}, was not followed" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert caught.value.status_code == 307
    assert caught.value.request_id == "r1"


@pytest.mark.parametrize(
    "location",
    [
        "//elsewhere.example/api",
        "https://127.0.0.1/api",
        "http://127.0.0.1:1/api",
        "http://localhost/api",
        "ftp://x/y",
    ],
)
async def test_other_spellings_of_another_origin(server: Server, connect: Connect, location: str) -> None:
    route(server, {"/api/v1/here": Answer(302, headers={"Location": location})})

    with pytest.raises(InkboxAPIError, match="another origin"):
        await connect().request("GET", "/api/v1/here", None)


@pytest.mark.parametrize("location", ["http://[", "mailto:x@y.example", "http://host:port/"])
async def test_a_location_that_leads_nowhere(server: Server, connect: Connect, location: str) -> None:
    route(server, {"/api/v1/here": Answer(302, headers={"Location": location})})

    with pytest.raises(InkboxAPIError, match="redirect"):
        await connect().request("GET", "/api/v1/here", None)


@pytest.mark.parametrize("status", [300, 302, 304, 305])
async def test_a_redirect_to_no_place(server: Server, connect: Connect, status: int) -> None:
    route(server, {"/api/v1/here": Answer(status, b"")})

    with pytest.raises(InkboxAPIError, match=f"an answer of status {status} to GET"):
        await connect().request("GET", "/api/v1/here", None)


async def test_a_circle_ends(server: Server, connect: Connect) -> None:
    route(server, {"/api/v1/here": Answer(302, headers={"Location": "/api/v1/here"})})

    with pytest.raises(InkboxAPIError, match="more than 5 redirects"):
        await connect().request("GET", "/api/v1/here", None)

    assert len(server.seen) == 6


async def test_five_redirects_are_not_too_many(server: Server, connect: Connect) -> None:
    route(server, {f"/{n}": Answer(302, headers={"Location": f"/{n + 1}"}) for n in range(5)})

    assert await connect().request("GET", "/0", dict[str, Any]) == {"path": "/5"}
