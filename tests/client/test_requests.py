"""What goes over the wire, and what comes back as a model."""

from __future__ import annotations

import json
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import aiohttp
import pytest
from pydantic import BaseModel

from inkbox_async.errors import (
    InkboxError,
    InkboxResponseError,
)
from inkbox_async.generated.models.contacts import ContactImportResult
from inkbox_async.modeling import InkboxModel, OpenEnum, RequestModel
from inkbox_async.resource import segment, sequence
from inkbox_async.unset import UNSET

from .conftest import KEY, Connect
from .servers import Answer, Server


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
    wrong: Any
    for wrong in ("a@b.example", b"x", {"a": 1}, UUID(int=1), 5):
        with pytest.raises(ValueError, match="to must be a list"):
            sequence(wrong, "to")


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


async def test_a_wrong_value_is_told_of_once_also_where_null_would_do(
    server: Server, connect: Connect
) -> None:
    page = {"results": "many", "created_count": 1, "error_count": 0}
    server.answers = [Answer(body=page)]

    with pytest.raises(InkboxResponseError) as caught:
        await connect().request("POST", "/api/v1/x", ContactImportResult)

    assert str(caught.value).endswith("unexpected body: results (list_type)")
