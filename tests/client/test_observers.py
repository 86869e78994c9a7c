"""What hooks and logs see of requests and responses, and what they never see."""

from __future__ import annotations

import json
import logging
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from inkbox_async.errors import InkboxAPIError, InkboxError
from inkbox_async.observe import (
    RequestMetadata,
    ResponseMetadata,
    ResponseNotice,
    response_notices,
)
from inkbox_async.retry import Idempotency
from inkbox_async.transport import Transport, collect_notices

from .conftest import KEY, Connect
from .servers import Answer, Server

NOTICE = {"code": "sunset", "level": "warning", "message": "going away"}
OTHER = {"code": "other", "level": "info", "message": "hello", "extra": 1}
SUNSET = ResponseNotice("sunset", "warning", "going away")
HELLO = ResponseNotice("other", "info", "hello")


async def test_one_call_a_response(server: Server, connect: Connect) -> None:
    requests: list[RequestMetadata] = []
    responses: list[ResponseMetadata] = []
    transport = connect(request_observer=requests.append, response_observer=responses.append)
    server.answers = [
        Answer(503),
        Answer(200, {}, headers={"X-Request-ID": "r2"}),
        Answer(204, b""),
        Answer(404, {"detail": "no"}),
        Answer(200, b"download"),
        Answer(200, b"not json"),
        Answer(302, b"", headers={"Location": "/api/v1/there"}),
        Answer(200, {}),
    ]

    await transport.request("GET", "/api/v1/a", dict[str, Any], query={"q": "secret"})
    await transport.request("DELETE", "/api/v1/b", None)
    with pytest.raises(InkboxAPIError):
        await transport.request("POST", "/api/v1/c", None, body={"a": "secret"})
    await transport.request("GET", "/api/v1/d", bytes)
    with pytest.raises(InkboxError):
        await transport.request("POST", "/api/v1/e", dict[str, Any])
    await transport.request("GET", "/api/v1/f", None)

    assert [(m.method, m.path, m.status_code, m.attempt) for m in responses] == [
        ("GET", "/api/v1/a", 503, 1),
        ("GET", "/api/v1/a", 200, 2),
        ("DELETE", "/api/v1/b", 204, 1),
        ("POST", "/api/v1/c", 404, 1),
        ("GET", "/api/v1/d", 200, 1),
        ("POST", "/api/v1/e", 200, 1),
        ("GET", "/api/v1/f", 302, 1),
        ("GET", "/api/v1/f", 200, 1),
    ]
    assert [m.request_id for m in responses[:3]] == [None, "r2", None]
    assert all(m.elapsed > 0 and m.notices is None for m in responses)
    assert requests == [
        RequestMetadata("GET", "/api/v1/a", 1),
        RequestMetadata("GET", "/api/v1/a", 2),
        RequestMetadata("DELETE", "/api/v1/b", 1),
        RequestMetadata("POST", "/api/v1/c", 1),
        RequestMetadata("GET", "/api/v1/d", 1),
        RequestMetadata("POST", "/api/v1/e", 1),
        RequestMetadata("GET", "/api/v1/f", 1),
    ]
    assert "secret" not in f"{requests} {responses}"


async def test_the_request_observer_comes_before_the_request(server: Server, connect: Connect) -> None:
    seen: list[int] = []

    await connect(request_observer=lambda _: seen.append(len(server.seen))).request("GET", "/api/v1/x", None)

    assert seen == [0]


async def test_a_connection_that_breaks_is_no_response(server: Server, connect: Connect) -> None:
    responses: list[ResponseMetadata] = []
    server.answers = [Answer(drop=True), Answer(body={})]

    await connect(response_observer=responses.append).request("GET", "/api/v1/x", None)

    assert [(m.status_code, m.attempt) for m in responses] == [(200, 2)]


async def test_what_an_observer_raises_is_swallowed(
    server: Server, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise RuntimeError("secret")

    transport = connect(response_observer=fail, request_observer=fail)

    assert await transport.request("GET", "/api/v1/x", dict[str, Any]) == {}
    assert "an observer raised RuntimeError" in caplog.text
    assert "secret" not in caplog.text


def test_metadata_are_values() -> None:
    assert ResponseMetadata([SUNSET]) == ResponseMetadata(notices=[SUNSET])
    with pytest.raises(FrozenInstanceError):
        SUNSET.code = "x"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        ResponseMetadata().notices = None  # type: ignore[misc]


def _notices(
    path: str = "/api/v1/identities/scout",
    *,
    header: object = ...,
    body: object = ...,
    method: str = "GET",
    status: int = 200,
) -> list[ResponseNotice] | None:
    headers = {}
    if header is not ...:
        headers["Inkbox-Notices"] = header if isinstance(header, str) else json.dumps(header)
    raw = b"" if body is ... else body if isinstance(body, bytes) else json.dumps(body).encode()
    return response_notices(method, path, status, headers, raw)


@pytest.mark.parametrize(
    ("header", "body", "expected"),
    [
        ([NOTICE], ..., [SUNSET]),
        ([NOTICE, OTHER], {"notices": []}, [SUNSET, HELLO]),
        ([NOTICE], {"notices": [OTHER]}, [SUNSET]),
        ([5, {"code": 1, "level": "x", "message": "y"}, NOTICE], {"notices": [OTHER]}, [SUNSET]),
        (None, {"notices": [OTHER]}, None),
        ([], {"notices": [OTHER]}, None),
        ("[broken", {"notices": [OTHER]}, [HELLO]),
        ("", {"notices": [OTHER]}, [HELLO]),
        ({}, {"notices": [OTHER]}, [HELLO]),
        ("5", {"notices": [OTHER]}, [HELLO]),
        ([{"code": "only"}], {"notices": [OTHER]}, [HELLO]),
        ([{"code": "only"}], ..., None),
        (..., {"notices": [OTHER, {"code": "x"}, None]}, [HELLO]),
        (..., {"notices": None}, None),
        (..., {"notices": []}, None),
        (..., {"notices": "text"}, None),
        (..., {"notices": [None]}, None),
        (..., {}, None),
        (..., [{"notices": [OTHER]}], None),
        (..., {"data": {"notices": [OTHER]}}, None),
        (..., b"not json", None),
        (..., ..., None),
    ],
)
def test_header_first_then_body(header: object, body: object, expected: list[ResponseNotice] | None) -> None:
    assert _notices(header=header, body=body) == expected


def test_the_header_may_hold_any_letters() -> None:
    text = json.dumps([{**OTHER, "message": "größe"}], ensure_ascii=False)

    assert _notices(header=text) == [ResponseNotice("other", "info", "größe")]


@pytest.mark.parametrize(
    ("path", "method", "carries"),
    [
        ("/api/v1/identities", "POST", True),
        ("/api/v1/identities/", "POST", True),
        ("/api/v1/identities/scout", "GET", True),
        ("/api/v1/identities/scout/?x=1", "PATCH", True),
        ("/api/v1/identities/scout/contacts/c/access", "GET", True),
        ("/api/v1/identities/scout/contacts/c/permissions/", "PUT", True),
        ("/api/v1/identities/scout/contacts/c", "GET", False),
        ("/api/v1/identities/scout/contact-permissions", "GET", True),
        ("/api/v1/identities/scout/contact-communication-policies", "GET", True),
        ("/api/v1/identities/scout/companion", "GET", True),
        ("/api/v1/identities/scout/companion/activations/a/messages", "GET", True),
        ("/api/v1/identities/scout/companion/activations/a", "GET", False),
        ("/api/v1/contacts/c/communication-policy", "GET", True),
        ("/api/v1/contacts/c/communication-preview", "GET", True),
        ("/api/v1/contacts/c", "GET", False),
        ("/api/v1/mail/mailboxes/a@b.example", "PATCH", True),
        ("/api/v1/mail/mailboxes", "GET", False),
        ("/api/v1/mail/mailboxes/a@b.example/messages", "GET", False),
        ("/api/v1/phone/numbers/n", "GET", True),
        ("/api/v1/phone/numbers", "GET", False),
        ("/api/v1/identities/scout/avatar", "PUT", True),
        ("/api/v1/identities/scout/avatar", "GET", False),
        ("/api/whoami", "GET", False),
        ("/x/api/v1/identities/scout", "GET", False),
    ],
)
def test_bodies_count_on_the_documented_paths_only(path: str, method: str, carries: bool) -> None:
    assert _notices(path, method=method, body={"notices": [OTHER]}) == ([HELLO] if carries else None)
    assert _notices(path, method=method, header=[NOTICE]) == [SUNSET]


def test_bodies_of_errors_do_not_count_but_their_headers_do() -> None:
    assert _notices(status=404, body={"notices": [OTHER]}) is None
    assert _notices(status=404, header=[NOTICE]) == [SUNSET]


async def test_the_observer_gets_the_notices(server: Server, connect: Connect) -> None:
    found: list[ResponseMetadata] = []
    server.answers = [
        Answer(200, {"notices": [OTHER]}),
        Answer(404, {}, headers={"Inkbox-Notices": json.dumps([NOTICE])}),
    ]
    transport = connect(response_observer=found.append)

    await transport.request("GET", "/api/v1/identities/scout", None)
    with pytest.raises(InkboxAPIError):
        await transport.request("GET", "/api/v1/x", None)

    assert [metadata.notices for metadata in found] == [[HELLO], [SUNSET]]


async def test_a_scope_collects_what_its_requests_were_told(server: Server, connect: Connect) -> None:
    overall: list[ResponseMetadata] = []
    transport = connect(response_observer=overall.append)
    notices = [[NOTICE], [OTHER, NOTICE], [{**NOTICE, "message": "another"}], [OTHER], [NOTICE]]
    server.answers = [Answer(200, {}, headers={"Inkbox-Notices": json.dumps(each)}) for each in notices]
    kept: list[Transport] = []

    async def work(scoped: Transport) -> str:
        kept.append(scoped)
        await scoped.request("GET", "/api/v1/x", None)
        await scoped.request("GET", "/api/v1/x", None)
        inner = await collect_notices(scoped, lambda t: t.request("GET", "/api/v1/x", None))
        assert inner.notices == [ResponseNotice("sunset", "warning", "another")]
        await transport.request("GET", "/api/v1/outside", None)
        return "data"

    answer = await collect_notices(transport, work)
    await kept[0].request("GET", "/api/v1/late", None)

    assert answer.data == "data"
    assert answer.notices == [SUNSET, HELLO]
    assert len(overall) == 5


async def test_a_scope_without_notices(server: Server, connect: Connect) -> None:
    answer = await collect_notices(connect(), lambda t: t.request("GET", "/api/v1/x", dict[str, Any]))

    assert (answer.data, answer.notices) == ({}, None)


async def test_what_a_scope_raises_goes_on(server: Server, connect: Connect) -> None:
    async def work(_: Transport) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await collect_notices(connect(), work)


async def test_a_scope_shares_connections_and_closes_nothing(server: Server, connect: Connect) -> None:
    transport = connect()

    async def work(scoped: Transport) -> None:
        await scoped.request("GET", "/api/v1/x", None)
        await scoped.aclose()

    await collect_notices(transport, work)
    await transport.request("GET", "/api/v1/x", None)

    assert {seen.connection for seen in server.seen} == {0}


async def test_nothing_secret_is_logged(
    server: Server, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    proof = "0123456789abcdef" * 4
    paths: list[str] = []
    transport = connect(
        vault_key="secret-vault",
        request_observer=lambda m: paths.append(m.path),
        response_observer=lambda m: paths.append(m.path),
    )
    server.answers = [
        Answer(503, {"detail": "secret-detail"}),
        Answer(200, {"value": "secret-answer"}, headers={"Set-Cookie": "c=secret-cookie"}),
        Answer(409, {"detail": "secret-detail"}),
        Answer(404, {"detail": [{"loc": ["body"], "msg": "wrong", "input": "secret-input"}]}),
    ]

    await transport.request("GET", "/api/v1/vault/unlock", None, query={"auth_hash": "secret-hash"})
    with pytest.raises(InkboxAPIError) as conflict:
        await transport.request(
            "POST",
            "/api/v1/send",
            None,
            body={"a": "secret-body"},
            idempotency=Idempotency.SEND,
            idempotency_key="secret-idempotency",
        )
    with pytest.raises(InkboxAPIError) as missing:
        await transport.request("DELETE", f"/api/v1/vault/keys/{proof}", None)

    logged = [record for record in caplog.records if record.name != "aiohttp.access"]
    own = "\n".join(record.getMessage() for record in logged)
    assert "GET /api/v1/vault/unlock -> 503 in " in own
    assert "InkboxAPIError; attempt 2 follows" in own
    assert "DELETE /api/v1/vault/keys/[redacted] -> 404" in own
    assert paths[-1] == "/api/v1/vault/keys/[redacted]"
    shown = [own, str(missing.value), repr(missing.value), repr(conflict.value), repr(transport)]
    for text in (*shown, repr(transport.settings)):
        for secret in (KEY, proof, "secret-vault", "secret-hash", "secret-body", "secret-idempotency"):
            assert secret not in text
    for text in (own, str(missing.value), repr(missing.value)):
        assert "secret-" not in text
