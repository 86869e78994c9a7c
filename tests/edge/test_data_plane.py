"""What a listener sees on its connection: hello, intakes, response posts."""

from __future__ import annotations

import asyncio
import json

import pytest

from inkbox_async.sandbox.edge import EdgeLimits

from .conftest import RunningEdge, StartEdge
from .directory import FOREIGN_KEY, PASSTHROUGH_ID, TUNNEL_ID
from .listener import RawListener, request_id


async def test_settings_allow_bridges_and_many_streams(edge: RunningEdge) -> None:
    async with edge.connect() as client:
        assert client.settings[8] == 1, "ENABLE_CONNECT_PROTOCOL"
        assert client.settings[3] >= 1000, "MAX_CONCURRENT_STREAMS"
        assert client.settings[4] >= 1 << 20, "INITIAL_WINDOW_SIZE"


async def test_hello_answers_what_the_listener_needs(edge: RunningEdge) -> None:
    async with edge.connect() as client:
        listener = RawListener(client)
        await listener.hello()
        first = listener.hello_answer
        assert first["default_pool_size"] == 32
        assert first["intake_idle_seconds"] == 600
        assert first["response_deadline_seconds"] == 30
        await listener.hello()
        assert listener.hello_answer["owner_token"] not in ("", first["owner_token"])


@pytest.mark.parametrize(("wish", "granted"), [("4", 4), ("0", 1), ("99", 32), ("many", 32)])
async def test_hello_folds_the_wished_pool_size_into_the_answer(
    edge: RunningEdge, wish: str, granted: int
) -> None:
    async with edge.connect() as client:
        listener = RawListener(client)
        await listener.hello(("x-pool-size", wish))
        assert listener.hello_answer["default_pool_size"] == granted


@pytest.mark.parametrize(
    ("tunnel_id", "key", "status"),
    [
        (TUNNEL_ID, "ApiKey_nobody_has", 401),
        (TUNNEL_ID, "", 401),
        (TUNNEL_ID, FOREIGN_KEY, 403),
        ("not-a-uuid", "ApiKey_of_the_tunnel", 403),
    ],
)
async def test_hello_refuses_keys(edge: RunningEdge, tunnel_id: str, key: str, status: int) -> None:
    async with edge.connect() as client:
        answer = await RawListener(client, tunnel_id, key).try_hello()
        assert answer.status == status
        assert key not in bytes(answer.body).decode() or not key


async def test_hello_refuses_a_tunnel_without_certificate(edge: RunningEdge) -> None:
    edge.directory.set_status(PASSTHROUGH_ID, "awaiting_cert")
    async with edge.connect() as client:
        answer = await RawListener(client, PASSTHROUGH_ID).try_hello()
        assert answer.status == 403
        assert b"awaiting_cert" in answer.body


async def test_hello_is_recorded_before_it_is_answered_and_its_end_afterwards(edge: RunningEdge) -> None:
    async with edge.listener():
        assert edge.directory.log == [("connected", f"{TUNNEL_ID} 127.0.0.1")]
        assert edge.edge.is_connected(TUNNEL_ID)
    async with edge.listener():  # the next hello comes after the end of the first session
        assert edge.directory.log[1:] == [
            ("disconnected", TUNNEL_ID),
            ("connected", f"{TUNNEL_ID} 127.0.0.1"),
        ]


async def test_intake_with_an_unknown_token_is_refused(edge: RunningEdge) -> None:
    async with edge.listener() as listener:
        answer = await (await listener.park(token="ot-stale")).whole()
        assert (answer.status, answer.header("inkbox-reason")) == (401, "owner-token-invalid")
        assert not answer.body


async def test_token_of_one_connection_is_void_on_another(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.connect() as other:
        stray = RawListener(other)
        stray.hello_answer = listener.hello_answer
        assert (await (await stray.park()).whole()).status == 401


async def test_idle_intakes_end_with_408_and_may_be_parked_again(start_edge: StartEdge) -> None:
    running = await start_edge(EdgeLimits(intake_idle_seconds=0.05))
    async with running.listener() as listener:
        for slot in range(2):
            answer = await (await listener.park(slot)).whole()
            assert (answer.status, answer.header("inkbox-reason")) == (408, "intake-idle-cap")
            assert not answer.body


async def test_envelope_carries_the_request_as_it_came(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        sending = asyncio.create_task(
            third_party.post(
                edge.url("/hooks/mail?x=1&y=%20"),
                data=b'{"ok":true}',
                headers=[
                    ("X-Two", "a"),
                    ("X-Two", "b"),
                    ("Content-Type", "application/json"),
                    ("X-Forwarded-For", "203.0.113.9"),
                    ("Forwarded", "for=203.0.113.9"),
                    ("Inkbox-Method", "DELETE"),
                    ("Inkbox-H-X-Two", "c"),
                    ("Te", "trailers"),
                ],
            )
        )
        await intake.whole()
        assert intake.status == 200
        assert intake.header("inkbox-method") == "POST"
        assert intake.header("inkbox-path") == "/hooks/mail?x=1&y=%20"
        assert intake.header("inkbox-route-kind") == "webhook"
        assert intake.header("inkbox-forwarded-for") == "127.0.0.1"
        assert intake.header("inkbox-h-host") == f"sales-agent.localhost:{edge.port}"
        assert intake.header("inkbox-h-content-length") == "11"
        assert intake.all("inkbox-h-x-two") == ["a", "b"]
        assert intake.all("inkbox-method") == ["POST"]
        names = {name for name, _ in intake.headers}
        assert not names & {
            "inkbox-h-x-forwarded-for",
            "inkbox-h-forwarded",
            "inkbox-h-te",
            "inkbox-h-connection",
            "inkbox-h-transfer-encoding",
            "inkbox-h-inkbox-h-x-two",
            "inkbox-h-inkbox-method",
        }
        assert bytes(intake.body) == b'{"ok":true}'
        post = await listener.post(
            request_id(intake),
            201,
            b"done",
            ("content-type", "text/plain"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        )
        assert (await post.whole()).status == 200
        answer = await sending
        assert answer.status == 201
        assert await answer.read() == b"done"
        assert answer.headers["Content-Type"] == "text/plain"
        assert answer.headers["Content-Length"] == "4"
        assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]


async def test_header_bytes_that_are_no_utf8_arrive_as_utf8(edge: RunningEdge) -> None:
    async with edge.listener() as listener:
        intake = await listener.park()
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", edge.port, ssl=edge.trust, server_hostname="sales-agent.localhost"
        )
        writer.write(
            b"GET / HTTP/1.1\r\nhost: sales-agent.localhost\r\nx-latin: caf\xe9\r\nx-utf: \xc3\xa9\r\n\r\n"
        )
        await intake.whole()
        assert intake.header("inkbox-h-x-latin") == "café"
        assert intake.header("inkbox-h-x-utf") == "é"
        await listener.post(request_id(intake), 204)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        writer.close()
        await writer.wait_closed()


async def test_unknown_late_and_repeated_responses_are_refused(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        assert (await (await listener.post("nobody-waits", 200, b"x")).whole()).status == 404
        intake = await listener.park()
        sending = asyncio.create_task(third_party.get(edge.url()))
        await intake.whole()
        assert (await (await listener.post(request_id(intake), 200, b"one")).whole()).status == 200
        assert (await (await listener.post(request_id(intake), 200, b"two")).whole()).status == 404
        assert await (await sending).read() == b"one"


async def test_response_needs_a_key(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.connect() as other, edge.session() as third_party:
        intake = await listener.park()
        sending = asyncio.create_task(third_party.get(edge.url()))
        await intake.whole()
        forger = RawListener(other, key="ApiKey_forged")
        assert (await (await forger.post(request_id(intake), 200, b"forged")).whole()).status == 401
        helper = RawListener(other)
        assert (await (await helper.post(request_id(intake), 200, b"true")).whole()).status == 200
        assert await (await sending).read() == b"true"


async def test_response_without_a_status_is_a_bad_gateway(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        intake = await listener.park()
        sending = asyncio.create_task(third_party.get(edge.url()))
        await intake.whole()
        headers = [("x-tunnel-id", TUNNEL_ID), ("x-api-key", listener.key), ("inkbox-status", "banana")]
        post = await listener.client.request("POST", f"/_system/response/{request_id(intake)}", headers)
        assert (await post.whole()).status == 200
        answer = await sending
        assert (answer.status, (await answer.json())["reason"]) == (502, "bad-reply")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/_system/hello", 405), ("POST", "/_system/connect", 404)]
)
async def test_other_paths_of_the_data_plane_are_refused(
    edge: RunningEdge, method: str, path: str, status: int
) -> None:
    async with edge.connect() as client:
        answer = await client.request(method, path, [("x-tunnel-id", TUNNEL_ID)])
        assert (await answer.whole()).status == status
        assert "detail" in json.loads(answer.body)


async def test_an_intake_that_was_cancelled_gets_no_request(edge: RunningEdge) -> None:
    async with edge.listener() as listener, edge.session() as third_party:
        await (await listener.park(0)).cancel()
        second = await listener.park(1)
        sending = asyncio.create_task(third_party.get(edge.url()))
        await second.whole()
        await listener.post(request_id(second), 200, b"second")
        assert await (await sending).read() == b"second"
