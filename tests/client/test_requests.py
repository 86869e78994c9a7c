"""What goes over the wire, what comes back as a model, and how a connection may fail."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from pydantic import BaseModel

from inkbox_async.errors import (
    InkboxConnectionError,
    InkboxError,
    InkboxResponseError,
    InkboxTimeoutError,
)
from inkbox_async.modeling import UNSET, InkboxModel, OpenEnum, RequestModel
from inkbox_async.resource import segment, sequence

from .conftest import KEY, Connect
from .servers import Answer, Server, Wire


class Colour(OpenEnum):
    RED = "red"


class Thing(InkboxModel):
    id: UUID
    name: str | None = None


class Order(RequestModel):
    to: list[str]
    note: str | None = None
    colour: Colour | None = None


ID = UUID("6f9619ff-8b86-4d01-b42d-00cf4fc964ff")


async def test_the_usual_headers(server: Server, connect: Connect) -> None:
    await connect().request("GET", "/api/v1/things", None)

    headers = server.seen[0].headers
    assert headers["X-API-Key"] == KEY
    assert headers["Accept"] == "application/json"
    assert headers["User-Agent"].startswith("inkbox-async/")
    assert "Content-Type" not in headers


async def test_headers_of_a_json_body(server: Server, connect: Connect) -> None:
    transport = connect(user_agent_prefix="my-agent/1")

    await transport.request("POST", "/api/v1/things", None, body={}, headers={"X-More": "1"})

    headers = server.seen[0].headers
    assert headers["Content-Type"] == "application/json"
    assert headers["User-Agent"].startswith("my-agent/1 inkbox-async/")
    assert headers["X-More"] == "1"
    assert server.seen[0].body == b"{}"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "GET"])
async def test_no_body_no_content_type(server: Server, connect: Connect, method: str) -> None:
    await connect().request(method, "/api/v1/things", None)

    assert server.seen[0].body == b""
    assert "Content-Type" not in server.seen[0].headers


async def test_no_key_no_header(server: Server, connect: Connect) -> None:
    await connect(api_key=None).request("POST", "/api/v1/agent-signup", None, body={})

    assert "X-API-Key" not in server.seen[0].headers


async def test_query_values(server: Server, connect: Connect) -> None:
    query = {
        "none": None,
        "unset": UNSET,
        "yes": True,
        "no": False,
        "id": ID,
        "colour": Colour.RED,
        "new": Colour("mauve"),
        "n": 50,
        "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))),
        "text": "a b&c=d/é+%",
        "many": ["a", ID],
    }

    await connect().request("GET", "/api/v1/things", None, query=query)

    assert server.seen[0].query == (
        f"yes=true&no=false&id={ID}&colour=red&new=mauve&n=50&at=2026-01-02T03%3A04%3A05%2B02%3A00"
        f"&text=a%20b%26c%3Dd%2F%C3%A9%2B%25&many=a&many={ID}"
    )


async def test_an_empty_query_leaves_no_question_mark(server: Server, connect: Connect) -> None:
    await connect().request("GET", "/api/v1/things", None, query={"cursor": None})

    assert server.seen[0].query == ""


async def test_body_values(server: Server, connect: Connect) -> None:
    body = {
        "id": ID,
        "none": None,
        "unset": UNSET,
        "colour": Colour.RED,
        "at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "order": Order(to=["a@b.example"]),
        "orders": (Order(to=[], note=None), {"deep": [Order(to=["x"], colour=Colour("mauve"))]}),
        "text": 'é\n"\\\u2028😀',
    }

    await connect().request("POST", "/api/v1/things", None, body=body)

    assert server.seen[0].json == {
        "id": str(ID),
        "none": None,
        "colour": "red",
        "at": "2026-01-02T03:04:05Z",
        "order": {"to": ["a@b.example"]},
        "orders": [{"to": [], "note": None}, {"deep": [{"to": ["x"], "colour": "mauve"}]}],
        "text": 'é\n"\\\u2028😀',
    }


@pytest.mark.parametrize(
    "arguments",
    [
        {"query": {"since": datetime(2026, 1, 1)}},  # noqa: DTZ001
        {"body": {"a": [{"since": datetime(2026, 1, 1)}]}},  # noqa: DTZ001
    ],
)
async def test_a_datetime_without_a_zone_is_refused(
    server: Server, connect: Connect, arguments: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="since has no time zone"):
        await connect().request("POST", "/api/v1/things", None, **arguments)

    assert server.seen == []


@pytest.mark.parametrize("value", [object(), "lone \ud800", {"secret": object()}])
async def test_what_json_cannot_carry_is_refused_without_being_shown(
    server: Server, connect: Connect, value: object
) -> None:
    with pytest.raises(ValueError, match="JSON cannot carry") as caught:
        await connect().request("POST", "/api/v1/things", None, body={"secret": value})

    assert "lone" not in str(caught.value)
    assert server.seen == []


async def test_a_query_value_of_no_known_kind_is_refused(connect: Connect) -> None:
    with pytest.raises(TypeError, match="filter cannot travel in a query as dict"):
        await connect().request("GET", "/api/v1/things", None, query={"filter": {}})


async def test_long_texts_arrive_whole(server: Server, connect: Connect) -> None:
    long = 'é"\\😀\n' * 200_000
    body = {"first": long, "between": ["x", {"y": long + "!"}], "order": Order(to=["t" * 300_000])}

    await connect().request("POST", "/api/v1/things", None, body=body)

    assert server.seen[0].json == {
        "first": long,
        "between": ["x", {"y": long + "!"}],
        "order": {"to": ["t" * 300_000]},
    }
    assert int(server.seen[0].headers["Content-Length"]) == len(server.seen[0].body)


async def test_a_long_text_that_json_cannot_carry_is_refused(server: Server, connect: Connect) -> None:
    with pytest.raises(ValueError, match="UTF-8"):
        await connect().request("POST", "/api/v1/things", None, body={"a": "x" * 300_000 + "\ud800"})

    assert server.seen == []


@pytest.mark.parametrize("size", [10, 70_000, 3_000_000])
async def test_raw_bodies(server: Server, connect: Connect, size: int) -> None:
    server.answers = [Answer(503), Answer(body={})]
    headers = {"Content-Type": "message/rfc822"}

    await connect().request("GET", "/api/v1/raw", None, data=b"x" * size, headers=headers)

    assert [len(seen.body) for seen in server.seen] == [size, size]
    assert server.seen[0].headers["Content-Type"] == "message/rfc822"


async def test_a_body_made_anew_for_each_attempt(server: Server, connect: Connect) -> None:
    server.answers = [Answer(503), Answer(body={})]

    def form() -> aiohttp.FormData:
        made = aiohttp.FormData({"field": "value"}, default_to_multipart=True)
        made.add_field("file", b"content", filename="a.txt")
        return made

    await connect().request("GET", "/api/v1/raw", None, data=form)

    assert len(server.seen) == 2
    for seen in server.seen:
        assert seen.headers["Content-Type"].startswith("multipart/form-data; boundary=")
        assert b"content" in seen.body


async def test_answers_become_what_was_asked_for(server: Server, connect: Connect) -> None:
    thing = {"id": str(ID), "name": "n", "newer_field": [1]}
    transport = connect()

    server.answers = [Answer(body=thing)]
    one = await transport.request("GET", "/api/v1/thing", Thing)
    assert one == Thing(id=ID, name="n", newer_field=[1])

    union = await transport.request("GET", "/api/v1/thing", Thing | None)
    assert union == one

    nothing: object = transport.request("GET", "/api/v1/thing", None)
    assert isinstance(nothing, Awaitable)
    assert await nothing is None
    assert json.loads(await transport.request("GET", "/api/v1/thing", bytes)) == thing
    assert json.loads(await transport.request("GET", "/api/v1/thing", str)) == thing
    assert await transport.request("GET", "/api/v1/thing", dict[str, Any]) == thing

    server.answers = [Answer(body=[thing, thing])]
    assert await transport.request("GET", "/api/v1/things", list[Thing]) == [one, one]


async def test_an_empty_answer_is_none_where_the_type_allows_it(server: Server, connect: Connect) -> None:
    server.answers = [Answer(204, b"")]

    assert await connect().request("POST", "/api/v1/thing", Thing | None) is None
    await connect().request("DELETE", "/api/v1/thing", None)
    with pytest.raises(InkboxResponseError, match="empty body"):
        await connect().request("POST", "/api/v1/thing", Thing)


async def test_large_answers(server: Server, connect: Connect) -> None:
    things = [{"id": str(ID), "name": "n" * 1000}] * 1000
    server.answers = [Answer(body=things)]

    found = await connect().request("GET", "/api/v1/things", list[Thing])

    assert len(found) == 1000
    assert found[-1].name == "n" * 1000


async def test_compressed_answers(server: Server, connect: Connect) -> None:
    import gzip

    body = gzip.compress(json.dumps({"id": str(ID)}).encode())
    server.answers = [Answer(body=body, headers={"Content-Encoding": "gzip"})]

    assert (await connect().request("GET", "/api/v1/thing", Thing)).id == ID
    assert "gzip" in server.seen[0].headers["Accept-Encoding"]


async def test_an_answer_of_another_shape_names_the_fields_but_not_the_values(
    server: Server, connect: Connect
) -> None:
    server.answers = [Answer(body=[{"id": "secret-value"}, {"name": 5}])]

    with pytest.raises(InkboxResponseError) as caught:
        await connect().request("GET", "/api/v1/things", list[Thing], query={"q": "secret-query"})

    text = str(caught.value)
    assert "GET /api/v1/things" in text
    assert "0.id (uuid_parsing)" in text
    assert "1.id (missing)" in text
    assert "secret" not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert len(server.seen) == 1, "the same answer would come again"


@pytest.mark.parametrize("body", [b"<html>secret</html>", b'{"id": "', b"\xff\xfe", b""])
async def test_an_answer_that_is_not_json(server: Server, connect: Connect, body: bytes) -> None:
    server.answers = [Answer(body=body)]

    with pytest.raises(InkboxResponseError) as caught:
        await connect(max_retries=0).request("GET", "/api/v1/thing", Thing)

    assert caught.value.malformed
    assert "secret" not in str(caught.value)
    assert "base_url" in str(caught.value)


async def test_a_path_prefix_of_the_base_url_is_kept(server: Server, connect: Connect) -> None:
    transport = connect(base_url=server.url + "/gateway/")

    await transport.request("GET", f"/api/v1/x/{segment('a b/c')}", None)

    assert server.paths == ["/gateway/api/v1/x/a%20b%2Fc"]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("scout", "scout"),
        ("scout+tag@inkboxmail.com", "scout+tag@inkboxmail.com"),
        ("a/b?c#d%e f", "a%2Fb%3Fc%23d%25e%20f"),
        ("é;=&:", "%C3%A9%3B%3D%26%3A"),
        ("...", "..."),
        (ID, str(ID)),
        (7, "7"),
    ],
)
def test_segments(value: str | UUID | int, expected: str) -> None:
    assert segment(value) == expected


@pytest.mark.parametrize("value", ["", ".", "..", None, b"bytes"])
def test_refused_segments(value: Any) -> None:
    with pytest.raises(ValueError, match="is not an id"):
        segment(value)


def test_sequences() -> None:
    assert sequence(("a", "b"), "to") == ["a", "b"]
    assert sequence(None, "to") is None
    for wrong in ("a@b.example", b"x", {"a": 1}):
        with pytest.raises(ValueError, match="to must be a list"):
            sequence(wrong, "to")


async def test_time_out_of_an_answer(server: Server, connect: Connect) -> None:
    server.gate = asyncio.Event()

    with pytest.raises(InkboxTimeoutError) as caught:
        await connect(timeout=0.05, max_retries=0).request("GET", "/api/v1/x", None, query={"q": "secret"})

    assert isinstance(caught.value, TimeoutError)
    assert isinstance(caught.value, InkboxConnectionError)
    assert caught.value.sent
    assert "0.05 s" in str(caught.value)
    assert "secret" not in str(caught.value)
    server.gate.set()


async def test_time_out_of_one_request(server: Server, connect: Connect) -> None:
    server.gate = asyncio.Event()
    transport = connect(max_retries=0)

    with pytest.raises(InkboxTimeoutError, match=r"0\.05 s"):
        await transport.request("GET", "/api/v1/x", None, timeout=0.05)
    with pytest.raises(ValueError, match="timeout"):
        await transport.request("GET", "/api/v1/x", None, timeout=-1)

    server.gate.set()
    await transport.request("GET", "/api/v1/x", None, timeout=None)


async def test_the_time_out_is_for_a_silence_not_for_the_whole(server: Server, connect: Connect) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(head)
        for _ in range(12):
            await asyncio.sleep(0.1)
            writer.write(b"x")
        writer.close()

    slow = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with slow:
        transport = connect(base_url=f"http://127.0.0.1:{slow.sockets[0].getsockname()[1]}", timeout=1.0)
        assert await transport.request("GET", "/api/v1/x", bytes) == b"x" * 12


async def test_time_out_of_a_body_that_nobody_takes(connect: Connect) -> None:
    done = asyncio.Event()

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await done.wait()
        writer.close()

    server = await asyncio.start_server(deaf, "127.0.0.1", 0, limit=1024)
    async with server:
        transport = connect(
            base_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout=0.1, max_retries=0
        )
        with pytest.raises(InkboxTimeoutError) as caught:
            await transport.request("POST", "/api/v1/x", None, data=b"x" * 50_000_000)
        assert caught.value.sent
        await transport.aclose()
        done.set()


async def test_time_out_of_waiting_for_a_connection(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inkbox_async.pool.CONNECTIONS", 1)
    server.gate = asyncio.Event()
    transport = connect(max_retries=0)
    first = asyncio.create_task(transport.request("POST", "/api/v1/first", None))
    await server.reached(1)

    with pytest.raises(InkboxTimeoutError, match="no connection") as caught:
        await transport.request("POST", "/api/v1/second", None, timeout=0.05)

    assert not caught.value.sent
    server.gate.set()
    await first
    assert server.paths == ["/api/v1/first"]


async def test_nobody_listens(connect: Connect) -> None:
    async with Wire(b"") as wire:
        port = wire.port
    transport = connect(base_url=f"http://127.0.0.1:{port}")

    with pytest.raises(InkboxConnectionError) as caught:
        await transport.request("GET", "/api/v1/x", None, query={"q": "secret"})

    assert not caught.value.sent
    assert not isinstance(caught.value, InkboxTimeoutError)
    assert f"cannot connect to http://127.0.0.1:{port}" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (b"", "broke before an answer came"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "broke in the middle of the answer"),
        (
            b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"a":',
            "broke in the middle of the answer",
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd", "in the middle"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nbroken header\r\n\r\n", "not HTTP"),
    ],
)
async def test_broken_answers(connect: Connect, reply: bytes, says: str) -> None:
    async with Wire(reply) as wire:
        transport = connect(base_url=wire.url)

        with pytest.raises(InkboxConnectionError, match=says) as caught:
            await transport.request("POST", "/api/v1/x", None, query={"auth_hash": "secret"}, body={"a": 1})

        assert len(wire.requests) == 1
    error: BaseException | None = caught.value
    assert caught.value.sent
    while error is not None:
        assert "secret" not in f"{error!s} {error!r}"
        error = error.__cause__ or error.__context__


async def test_one_connection_serves_one_request_after_another(server: Server, connect: Connect) -> None:
    transport = connect()

    for _ in range(5):
        await transport.request("GET", "/api/v1/x", dict[str, Any])
    server.answers = [Answer(404, {"detail": "no"})]
    for _ in range(2):
        with pytest.raises(InkboxError):
            await transport.request("GET", "/api/v1/x", Thing)

    assert {seen.connection for seen in server.seen} == {0}


async def test_many_requests_at_once(server: Server, connect: Connect) -> None:
    async def echo(seen: Any) -> Answer:
        await asyncio.sleep(0)
        return Answer(body={"id": str(ID), "name": seen.query})

    server.handler = echo
    transport = connect()

    found = await asyncio.gather(
        *(transport.request("GET", "/api/v1/x", Thing, query={"n": n}) for n in range(300))
    )

    assert [thing.name for thing in found] == [f"n={n}" for n in range(300)]
    assert len(server.connections) <= 100


async def test_cancellation_leaves_the_pool_usable(
    server: Server, connect: Connect, alarms: list[dict[str, Any]]
) -> None:
    server.gate = asyncio.Event()
    transport = connect()
    tasks = [asyncio.create_task(transport.request("GET", "/api/v1/x", None)) for _ in range(20)]
    await server.reached(20)
    for task in tasks:
        task.cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, asyncio.CancelledError) for result in results)
    server.gate.set()

    await asyncio.gather(*(transport.request("GET", "/api/v1/y", None) for _ in range(20)))

    assert server.paths.count("/api/v1/y") == 20


async def test_cancellation_in_the_middle_of_an_answer(connect: Connect) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
    async with Wire(half, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", keep_open=True) as wire:
        transport = connect(base_url=wire.url)
        task = asyncio.create_task(transport.request("GET", "/api/v1/x", bytes))
        await wire.reached.wait()
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

        assert await transport.request("GET", "/api/v1/x", bytes) == b"{}"
        await transport.aclose()


async def test_cancellation_of_a_large_upload(server: Server, connect: Connect) -> None:
    server.gate = asyncio.Event()
    transport = connect()
    task = asyncio.create_task(transport.request("POST", "/api/v1/x", None, body={"a": "x" * 3_000_000}))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.gate.set()

    await transport.request("GET", "/api/v1/y", None)

    assert server.paths[-1] == "/api/v1/y"


async def test_nothing_is_opened_before_the_first_request(connect: Connect) -> None:
    transport = connect()
    await transport.aclose()
    await transport.aclose()

    with pytest.raises(InkboxError, match="closed"):
        await transport.request("GET", "/api/v1/x", None)


async def test_a_closed_transport_stays_closed(server: Server, connect: Connect) -> None:
    transport = connect()
    await transport.request("GET", "/api/v1/x", None)
    await transport.aclose()
    await transport.aclose()

    with pytest.raises(InkboxError, match="closed"):
        await transport.request("GET", "/api/v1/x", None)
    assert len(server.seen) == 1


async def test_closing_ends_requests_under_way(server: Server, connect: Connect) -> None:
    server.gate = asyncio.Event()
    transport = connect()
    task = asyncio.create_task(transport.request("GET", "/api/v1/x", None))
    await server.reached(1)

    await transport.aclose()

    with pytest.raises(InkboxError):
        await task
    server.gate.set()


def test_a_client_belongs_to_one_event_loop(unused_tcp_port: int) -> None:
    from inkbox_async.settings import Settings
    from inkbox_async.transport import Transport

    transport = Transport(Settings(base_url=f"http://127.0.0.1:{unused_tcp_port}", max_retries=0))

    async def use() -> None:
        await transport.request("GET", "/api/v1/x", None)

    async def use_and_close() -> None:
        with pytest.raises(InkboxConnectionError):
            await use()

    asyncio.run(use_and_close())
    with pytest.raises(InkboxError, match="another event loop"):
        asyncio.run(use())
    asyncio.run(transport.aclose())


async def test_a_given_session_is_shared_and_left_as_it_was(server: Server, connect: Connect) -> None:
    async with aiohttp.ClientSession(
        headers={"X-Mine": "1", "User-Agent": "mine"}, raise_for_status=True
    ) as session:
        transport = connect(session=session)
        await transport.request("POST", "/api/v1/x", None, body={})
        server.answers = [Answer(404, {"detail": "gone"})]
        with pytest.raises(InkboxError, match="gone"):
            await transport.request("GET", "/api/v1/x", None)
        await transport.aclose()

        assert not session.closed
        assert dict(session.headers) == {"X-Mine": "1", "User-Agent": "mine"}
        async with session.get(server.url, raise_for_status=False):
            pass

    assert server.seen[0].headers["X-Mine"] == "1"
    assert server.seen[0].headers["User-Agent"].startswith("inkbox-async/")
    assert server.seen[0].headers["X-API-Key"] == KEY
    assert "X-API-Key" not in server.seen[2].headers


async def test_a_given_session_that_leaves_bodies_compressed(server: Server, connect: Connect) -> None:
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        await connect(session=session).request("GET", "/api/v1/x", None)

    assert server.seen[0].headers["Accept-Encoding"] == "identity"


async def test_a_given_session_that_is_closed(connect: Connect) -> None:
    session = aiohttp.ClientSession()
    await session.close()

    with pytest.raises(InkboxError, match="session given to this client is closed"):
        await connect(session=session).request("GET", "/api/v1/x", None)


async def test_a_raw_response_keeps_its_redirect(server: Server, connect: Connect) -> None:
    server.answers = [Answer(302, b"", headers={"Location": "https://files.example/a?signature=s"})]

    answer = await connect().request_raw("GET", "/api/v1/file", query={"redirect": True})

    assert answer.status_code == 302
    assert answer.location == "https://files.example/a?signature=s"
    assert server.seen[0].query == "redirect=true"


async def test_a_raw_response_is_repeated_and_refused_like_any_other(
    server: Server, connect: Connect
) -> None:
    server.answers = [Answer(503), Answer(200, b"{}"), Answer(404, {"detail": "no file"})]
    transport = connect()

    answer = await transport.request_raw("GET", "/api/v1/file")
    assert (answer.status_code, answer.body, answer.location) == (200, b"{}", None)

    with pytest.raises(InkboxError, match="no file"):
        await transport.request_raw("GET", "/api/v1/file")


async def test_models_from_elsewhere_may_be_asked_for(server: Server, connect: Connect) -> None:
    class Plain(BaseModel):
        a: int

    server.answers = [Answer(body={"a": 1})]

    assert (await connect().request("GET", "/api/v1/x", Plain)).a == 1


async def test_the_repr_holds_no_key(connect: Connect) -> None:
    assert "secret" not in repr(connect())
