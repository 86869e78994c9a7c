"""The HTTP server: routes, validation, errors as JSON; nothing a client sends makes it fall over."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import uuid
from dataclasses import replace

import aiohttp
import pytest
from yarl import URL

from inkbox_async.operation import Operation
from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.handling import HANDLERS, Answer, ApiError, Call, UploadedFile
from inkbox_async.sandbox.requests import MAX_BODY_BYTES
from inkbox_async.sandbox.server import ApiServer, missing_handlers, specified_operations

from .conftest import Api, Reply

IDENTITIES = "/api/v1/identities/"
PLAIN = Operation("test.plain", "GET", "/api/v1/test/plain", 200, "", frozenset({"admin"}))


async def test_both_spellings_of_a_path_are_answered_without_redirect(admin: Api) -> None:
    for path in (
        "/api/v1/identities",
        "/api/v1/identities/",
        "/api/v1/whoami",
        "/api/whoami",
        "/api/whoami/",
    ):
        assert (await admin.call("GET", path)).status == 200, path


async def test_every_answer_has_a_request_id(admin: Api) -> None:
    replies = [
        await admin.call("GET", IDENTITIES),
        await admin.call("GET", "/nowhere"),
        await admin.call("DELETE", IDENTITIES),
        await admin.with_key(None).call("GET", IDENTITIES),
    ]
    assert [reply.status for reply in replies] == [200, 404, 405, 401]
    ids = {reply.headers["X-Request-ID"] for reply in replies}
    assert len(ids) == 4


async def test_unknown_paths_and_methods_are_json(admin: Api) -> None:
    assert (await admin.call("GET", "/api/v1/nothing")).body == {"detail": "Not Found"}
    reply = await admin.call("PUT", IDENTITIES)
    assert (reply.status, reply.body) == (405, {"detail": "Method Not Allowed"})
    assert reply.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


async def test_head_and_options(admin: Api) -> None:
    head = await admin.call("HEAD", IDENTITIES)
    assert (head.status, head.body) == (200, b"")
    options = await admin.with_key(None).call("OPTIONS", IDENTITIES)
    assert (options.status, options.body) == (204, b"")
    assert options.headers["Allow"] == "GET, HEAD, OPTIONS, POST"


@pytest.mark.parametrize(
    ("body", "place", "kind"),
    [
        (b"{", ["body"], "json_invalid"),
        (b"\xff\xfe", ["body"], "json_invalid"),
        (b'{"agent_handle": "\\ud800"}', ["body"], "json_invalid"),
        (b"[" * 100_000, ["body"], "json_invalid"),
        (b"[]", ["body"], "model_type"),
        (b"null", ["body"], "model_type"),
        (b"", ["body"], "missing"),
        (b"{}", ["body", "agent_handle"], "missing"),
        (b'{"agent_handle": 7}', ["body", "agent_handle"], "string_type"),
        (b'{"agent_handle": "abc", "color": "red"}', ["body", "color"], "extra_forbidden"),
        (b'{"agent_handle": "abc", "tunnel": {"x": 1}}', ["body", "tunnel", "x"], "extra_forbidden"),
        (b'{"agent_handle": "abc", "tunnel": {"tls_mode": "none"}}', ["body", "tunnel", "tls_mode"], "enum"),
        (b'{"agent_handle": "abc", "claim_imessage_number": false}', ["body", "claim_imessage_number"], None),
    ],
)
async def test_malformed_bodies_are_named(
    admin: Api, body: bytes, place: list[str], kind: str | None
) -> None:
    reply = await admin.call("POST", IDENTITIES, data=body, headers={"Content-Type": "application/json"})
    found_place, found_kind = reply.problem
    if kind == "json_invalid":
        assert found_place[0] == "body"
    else:
        assert found_place == place
    assert kind in (None, found_kind)
    assert await admin.ok("GET", IDENTITIES) == [], "nothing was created"


async def test_validation_does_not_repeat_what_was_sent(admin: Api) -> None:
    reply = await admin.call("POST", "/api/v1/agent-signup/verify", {"verification_code": ["s3cret-483921"]})
    reply_agent = await admin.call("POST", IDENTITIES, {"agent_handle": {"s3cret": 1}})
    assert "s3cret" not in json.dumps([reply.body, reply_agent.body])


async def test_bad_ids_in_paths_and_queries(admin: Api) -> None:
    identity = await admin.identity("agent-one")
    path = f"/api/v1/identities/{identity['agent_handle']}/access/not-a-uuid"
    assert (await admin.call("DELETE", path)).problem == (["path", "viewer_identity_id"], "uuid_parsing")
    reply = await admin.call("GET", "/api/v1/domains/", query={"status": "splendid"})
    assert reply.problem == (["query", "status"], "literal_error")
    reply = await admin.call("GET", "/api/v1/domains/", query={"colour": "red"})
    assert reply.problem == (["query", "colour"], "extra_forbidden")


@pytest.mark.parametrize(
    "handle", ["%00", "%ff", "..%2f..", "a%20b", "%F0%9F%92%8C", "x" * 5000, "'; DROP TABLE--"]
)
async def test_hostile_path_segments_are_not_found(admin: Api, handle: str) -> None:
    url = URL(f"{admin.sandbox.base_url}/api/v1/identities/{handle}", encoded=True)
    async with admin.session.get(url, headers={"X-API-Key": admin.key or ""}) as response:
        assert response.status in (400, 404)


async def test_a_key_is_checked_before_anything_else(admin: Api) -> None:
    stranger = admin.with_key("ApiKey_nobody.secret")
    for key in (None, "", "ApiKey_x", "ApiKey_" + str(uuid.uuid4()), "ключ".encode().decode("latin-1")):
        reply = await admin.with_key(key).call("POST", IDENTITIES, data=b"{")
        assert reply.status == 401, key
    assert (await stranger.call("GET", "/api/v1/identities/none")).status == 401


async def test_a_body_that_is_too_large_is_refused(admin: Api) -> None:
    reply = await admin.call("POST", IDENTITIES, data=io.BytesIO(b" " * (MAX_BODY_BYTES + 1)))
    assert (reply.status, reply.body) == (413, {"detail": f"The body is larger than {MAX_BODY_BYTES} bytes."})


async def test_a_body_that_will_be_too_large_is_not_waited_for(sandbox: Sandbox) -> None:
    address = URL(sandbox.base_url)
    assert address.host is not None
    reader, writer = await asyncio.open_connection(address.host, address.port)
    head = f"POST {IDENTITIES} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n\r\n"
    writer.write(head.encode())
    assert (await reader.readline()).split()[1] == b"413"
    writer.close()


async def test_a_large_body_is_parsed_while_others_are_served(admin: Api) -> None:
    body = json.dumps({"agent_handle": "large", "description": "x" * (8 * 1024 * 1024)}).encode()
    large = asyncio.create_task(admin.call("POST", IDENTITIES, data=io.BytesIO(body)))
    while not large.done():
        assert (await admin.call("GET", "/api/whoami")).status == 200
    reply = await large
    assert reply.status == 201
    assert len(reply.body["description"]) == 8 * 1024 * 1024


class FakeOperations:
    """Serves operations of the test's own beside the specification."""

    def __init__(self, sandbox: Sandbox, api: Api) -> None:
        self._sandbox = sandbox
        self._api = api

    async def call(self, operation: Operation, handler: object, **options: object) -> Reply:
        """Serve one operation with a handler (None: with none) and call it."""
        if handler is not None:
            HANDLERS[operation.id] = handler  # type: ignore[assignment]
        server = ApiServer(self._sandbox, "127.0.0.1", 0, operations=[operation])
        await server.start()
        try:
            async with self._api.session.request(
                operation.method,
                f"http://127.0.0.1:{server.port}{operation.path}",
                headers={"X-API-Key": self._api.key or ""},
                **options,  # type: ignore[arg-type]
            ) as response:
                content = await response.read()
                body = json.loads(content) if response.content_type == "application/json" else content
                return Reply(response.status, body, response.headers)
        finally:
            await server.stop()
            HANDLERS.pop(operation.id, None)


@pytest.fixture
def fake(sandbox: Sandbox, admin: Api) -> FakeOperations:
    return FakeOperations(sandbox, admin)


async def test_numbers_too_large_to_store_are_the_senders_fault(fake: FakeOperations) -> None:
    def store_it(call: Call) -> None:
        call.tx.insert("meta", name="n", value=10**30)

    reply = await fake.call(PLAIN, store_it)
    assert reply.status == 422


async def test_an_operation_without_a_handler_answers_501(fake: FakeOperations) -> None:
    reply = await fake.call(PLAIN, None)
    assert (reply.status, reply.body) == (501, {"detail": "test.plain is not implemented in this sandbox."})


async def test_a_bug_in_a_handler_is_500_as_json_and_its_traceback_is_only_logged(
    fake: FakeOperations, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(call: Call) -> None:
        raise ZeroDivisionError("secret inner state")

    with caplog.at_level(logging.ERROR, "inkbox_async.sandbox"):
        reply = await fake.call(PLAIN, broken)
    assert reply.status == 500
    assert "secret inner state" not in str(reply.body)
    assert reply.headers["X-Request-ID"] in reply.body["detail"]
    assert "ZeroDivisionError" in caplog.text
    assert reply.headers["X-Request-ID"] in caplog.text


async def test_bytes_that_are_not_http_are_one_line_in_the_log_without_what_they_held(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    address = URL(sandbox.base_url)
    assert address.host is not None
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"GET /api/whoami HTTP/1.1\r\nHost: localhost\r\nX-API-Key: s3cret\x00\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"400"
    await reader.read()
    writer.close()
    (record,) = [record for record in caplog.records if record.name.startswith("inkbox_async.sandbox")]
    assert record.exc_info is None
    assert "not HTTP" in record.getMessage()
    assert "s3cret" not in caplog.text


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"G@T /api/whoami HTTP/1.1\r\nHost: localhost\r\n\r\n", "Invalid method encountered"),
        (b"GET /api/whoami HTTP/1.1\r\n\r\n", "Missing 'Host' header"),
        (b"GET /" + b"a" * 10_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", "more than 8190 bytes"),
        (
            b"POST /api/v1/identities HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
            "Content-Length",
        ),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "HTTPS"),
    ],
)
async def test_bytes_that_are_not_http_are_refused_as_json(sandbox: Sandbox, sent: bytes, says: str) -> None:
    address = URL(sandbox.base_url)
    assert address.host is not None
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(sent)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.split()[1] == b"400"
    assert b"Content-Type: application/json" in head
    assert b"X-Request-ID: " in head
    detail = json.loads(body)["detail"]
    assert says in detail
    assert "b'" not in detail


async def test_a_sender_that_hangs_up_in_the_middle_is_no_failure(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    address = URL(sandbox.base_url)
    assert address.host is not None
    _, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"POST /api/v1/identities HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{")
    await writer.drain()
    writer.transport.abort()
    while not sandbox.requests():  # noqa: ASYNC110  (there is no event for it)
        await asyncio.sleep(0.005)
    assert sandbox.requests()[0].status == 0
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_key_that_is_no_text_is_unknown(sandbox: Sandbox) -> None:
    address = URL(sandbox.base_url)
    assert address.host is not None
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"GET /api/whoami HTTP/1.1\r\nHost: localhost\r\nX-API-Key: \xff\xfe\r\n\r\n")
    assert (await reader.readline()).split()[1] == b"401"
    writer.close()


async def test_a_refusal_rolls_back_and_carries_its_headers(sandbox: Sandbox, fake: FakeOperations) -> None:
    def refuse(call: Call) -> None:
        call.tx.insert("meta", name="left over", value="x")
        raise ApiError(429, {"error": "slow_down"}, {"Retry-After": "7"})

    reply = await fake.call(PLAIN, refuse)
    assert (reply.status, reply.body) == (429, {"detail": {"error": "slow_down"}})
    assert reply.headers["Retry-After"] == "7"
    assert await sandbox.store.run(lambda tx: tx.one("SELECT * FROM meta WHERE name = 'left over'")) is None


async def test_a_handler_may_answer_bytes_of_any_type(fake: FakeOperations) -> None:
    def card(call: Call) -> Answer:
        return Answer(b"BEGIN:VCARD", content_type="text/vcard; charset=utf-8", headers={"ETag": '"1"'})

    reply = await fake.call(PLAIN, card)
    assert (reply.status, reply.body) == (200, b"BEGIN:VCARD")
    assert reply.headers["Content-Type"] == "text/vcard; charset=utf-8"
    assert reply.headers["ETag"] == '"1"'


async def test_files_of_a_multipart_request_reach_the_handler(fake: FakeOperations) -> None:
    seen: dict[str, object] = {}

    def upload(call: Call) -> dict[str, bool]:
        seen.update(call.files)
        seen.update(call.form)
        return {"ok": True}

    operation = replace(PLAIN, method="POST", body_media="multipart/form-data", body_required=True)
    form = aiohttp.FormData()
    form.add_field("file", b"\x00\x01" * 300_000, filename="photo.jpg", content_type="image/jpeg")
    form.add_field("note", "Grüße")
    reply = await fake.call(operation, upload, data=form)
    assert reply.status == 200, reply
    assert seen == {"file": UploadedFile("photo.jpg", "image/jpeg", b"\x00\x01" * 300_000), "note": "Grüße"}
    reply = await fake.call(operation, upload, json={})
    assert reply.problem == (["body"], "media_type")


async def test_work_ordered_by_a_handler_runs_after_the_answer_is_stored(
    sandbox: Sandbox, fake: FakeOperations
) -> None:
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def work(name: str) -> None:
        row = await sandbox.store.run(lambda tx: tx.one("SELECT value FROM meta WHERE name = ?", name))
        await seen.put("nothing" if row is None else row["value"])

    def handler(call: Call) -> None:
        call.tx.insert("meta", name="stored", value="yes")
        call.after_commit(work, "stored")

    await fake.call(PLAIN, handler)
    assert await asyncio.wait_for(seen.get(), 10) == "yes"


async def test_work_that_fails_is_logged_and_disturbs_nothing(
    sandbox: Sandbox, fake: FakeOperations, admin: Api, caplog: pytest.LogCaptureFixture
) -> None:
    done = asyncio.Event()

    async def fail() -> None:
        done.set()
        raise RuntimeError("the work failed")

    def handler(call: Call) -> None:
        call.after_commit(fail)

    await fake.call(PLAIN, handler)
    await asyncio.wait_for(done.wait(), 10)
    assert (await admin.call("GET", "/api/whoami")).status == 200
    assert "the work failed" in caplog.text


def test_every_specified_operation_has_a_handler() -> None:
    assert missing_handlers() == [], "these are specified, and the sandbox answers 501"


@pytest.mark.parametrize(
    "operation",
    [operation for operation in specified_operations() if operation.area != "sandbox"],
    ids=lambda o: o.id,
)
async def test_no_operation_lets_a_stranger_in(admin: Api, operation: Operation) -> None:
    path = operation.path
    for name, kind in operation.path_types.items():
        path = path.replace(f"{{{name}}}", str(uuid.uuid4()) if kind == "uuid" else "x-1")
    reply = await admin.with_key(None).call(operation.method, path, {})
    assert reply.status == (422 if "anyone" in operation.callers else 401), reply
