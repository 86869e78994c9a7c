"""Which failures are tried again, how often, after how long, and what the last error says."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from inkbox_async import retry
from inkbox_async.errors import (
    InkboxAPIError,
    InkboxConnectionError,
    InkboxError,
    InkboxResponseError,
    InkboxTimeoutError,
    get_message_request_key,
)
from inkbox_async.retry import Idempotency, back_off, retry_delay

from .conftest import Connect
from .servers import Answer, Seen, Server, Wire

SEND: dict[str, Any] = {"idempotency": Idempotency.SEND, "body": {"a": 1}}


@pytest.mark.parametrize("status", [429, 502, 503, 504])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_safe_methods_are_repeated(server: Server, connect: Connect, status: int, method: str) -> None:
    server.answers = [Answer(status), Answer(status), Answer(200, b"")]

    await connect().request(method, "/api/v1/x", None)

    assert len(server.seen) == 3


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
async def test_other_methods_are_not(server: Server, connect: Connect, method: str) -> None:
    for answer in (Answer(503), Answer(429), Answer(drop=True), Answer(200, b"{")):
        server.seen.clear()
        server.answers = [answer, Answer(body={})]
        with pytest.raises(InkboxError):
            await connect().request(method, "/api/v1/x", dict[str, Any])
        assert len(server.seen) == 1


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 410, 422, 500, 501, 505])
async def test_other_statuses_are_final(server: Server, connect: Connect, status: int) -> None:
    server.answers = [Answer(status), Answer(body={})]

    with pytest.raises(InkboxAPIError):
        await connect().request("GET", "/api/v1/x", None)

    assert len(server.seen) == 1


@pytest.mark.parametrize(("max_retries", "requests"), [(0, 1), (1, 2), (2, 3), (5, 6)])
async def test_the_number_of_attempts(
    server: Server, connect: Connect, max_retries: int, requests: int
) -> None:
    server.answers = [Answer(503, {"detail": "down"})]

    with pytest.raises(InkboxAPIError, match="down"):
        await connect(max_retries=max_retries).request("GET", "/api/v1/x", None)

    assert len(server.seen) == requests


@pytest.mark.parametrize(
    "bad", [Answer(drop=True), Answer(200, b'{"a":'), Answer(200, b"<html>"), Answer(503)]
)
async def test_a_send_is_repeated_with_the_same_key_and_body(
    server: Server, connect: Connect, bad: Answer
) -> None:
    server.answers = [bad, bad, Answer(body={"id": 1})]

    assert await connect().request("POST", "/api/v1/send", dict[str, Any], **SEND) == {"id": 1}

    keys = {seen.headers["Idempotency-Key"] for seen in server.seen}
    assert len(server.seen) == 3
    assert len(keys) == 1
    assert UUID(keys.pop()).version == 4
    assert {seen.body for seen in server.seen} == {b'{"a":1}'}
    assert {seen.headers["Prefer"] for seen in server.seen} == {"idempotency-replay"}


async def test_two_sends_have_two_keys(server: Server, connect: Connect) -> None:
    transport = connect()
    for _ in range(2):
        await transport.request("POST", "/api/v1/send", None, **SEND)

    assert len({seen.headers["Idempotency-Key"] for seen in server.seen}) == 2


async def test_a_send_waits_for_its_twin(server: Server, connect: Connect) -> None:
    busy = {"detail": {"error": "idempotency_in_progress", "message": "still running"}}
    server.answers = [Answer(409, busy), Answer(409, busy), Answer(body={})]

    await connect().request("POST", "/api/v1/send", None, **SEND)

    assert len(server.seen) == 3


@pytest.mark.parametrize(
    "answer",
    [
        Answer(409, {"detail": {"error": "idempotency_key_reused"}}),
        Answer(402, {"detail": {"error": "storage_limit_exceeded"}}),
        Answer(403, {"detail": {"error": "recipient_blocked"}}),
        Answer(500),
    ],
)
async def test_a_refused_send_is_final_and_carries_its_key(
    server: Server, connect: Connect, answer: Answer
) -> None:
    server.answers = [answer]

    with pytest.raises(InkboxAPIError) as caught:
        await connect().request("POST", "/api/v1/send", None, **SEND)

    assert len(server.seen) == 1
    assert get_message_request_key(caught.value) == server.seen[0].headers["Idempotency-Key"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(503), InkboxAPIError),
        (Answer(drop=True), InkboxConnectionError),
        (Answer(200, b"{"), InkboxResponseError),
        (Answer(200, [1]), InkboxResponseError),
    ],
)
async def test_every_error_of_a_send_carries_its_key(
    server: Server, connect: Connect, answer: Answer, error: type[InkboxError]
) -> None:
    server.answers = [answer]

    with pytest.raises(error) as caught:
        await connect().request("POST", "/api/v1/send", dict[str, Any], idempotency_key="my key", **SEND)

    assert caught.value.idempotency_key == "my key"
    assert {seen.headers["Idempotency-Key"] for seen in server.seen} == {"my key"}


async def test_an_error_of_something_else_carries_no_key(server: Server, connect: Connect) -> None:
    server.answers = [Answer(404)]

    with pytest.raises(InkboxAPIError) as caught:
        await connect().request("GET", "/api/v1/x", None)

    assert caught.value.idempotency_key is None


async def test_an_optional_key_travels_only_when_given(server: Server, connect: Connect) -> None:
    transport = connect()
    optional: dict[str, Any] = {"idempotency": Idempotency.OPTIONAL, "body": {}}

    await transport.request("PATCH", "/api/v1/x", None, **optional)
    await transport.request("PATCH", "/api/v1/x", None, idempotency_key="k", **optional)
    server.answers = [Answer(503)]
    with pytest.raises(InkboxAPIError) as caught:
        await transport.request("PATCH", "/api/v1/x", None, idempotency_key="k", **optional)

    assert ["Idempotency-Key" in seen.headers for seen in server.seen] == [False, True, True]
    assert all("Prefer" not in seen.headers for seen in server.seen)
    assert caught.value.idempotency_key == "k"


@pytest.mark.parametrize("key", ["", " ", "   ", "é", "a\nb", "x" * 256, "tab\there", 5])
@pytest.mark.parametrize("idempotency", [Idempotency.SEND, Idempotency.OPTIONAL])
async def test_impossible_keys(server: Server, connect: Connect, key: Any, idempotency: Idempotency) -> None:
    with pytest.raises(ValueError, match="idempotency_key must be 1 to 255 printable ASCII"):
        await connect().request("POST", "/api/v1/x", None, idempotency=idempotency, idempotency_key=key)

    assert server.seen == []


@pytest.mark.parametrize("key", ["x", "x" * 255, "~ !", "0"])
async def test_possible_keys(server: Server, connect: Connect, key: str) -> None:
    await connect().request("POST", "/api/v1/x", None, idempotency=Idempotency.SEND, idempotency_key=key)

    assert server.seen[0].headers["Idempotency-Key"] == key


async def test_a_key_where_none_is_taken(connect: Connect) -> None:
    with pytest.raises(ValueError, match="takes no idempotency key"):
        await connect().request("GET", "/api/v1/x", None, idempotency_key="k")


async def test_a_dropped_connection_is_tried_again(server: Server, connect: Connect) -> None:
    server.answers = [Answer(drop=True), Answer(body={"a": 1})]

    assert await connect().request("GET", "/api/v1/x", dict[str, int]) == {"a": 1}
    assert len(server.seen) == 2


async def test_a_dropped_connection_is_final_without_retries(server: Server, connect: Connect) -> None:
    server.answers = [Answer(drop=True), Answer(body={})]

    for method in ("GET", "DELETE", "PUT"):
        server.seen.clear()
        with pytest.raises(InkboxConnectionError):
            await connect(max_retries=0).request(method, "/api/v1/x", None)
        assert len(server.seen) == 1, f"{method} was sent twice"


async def test_half_an_answer_is_tried_again(connect: Connect) -> None:
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"
    async with Wire(half, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}") as wire:
        transport = connect(base_url=wire.url)

        assert await transport.request("GET", "/api/v1/x", dict[str, Any]) == {}
        assert len(wire.requests) == 2


async def test_a_time_out_is_tried_again(server: Server, connect: Connect) -> None:
    over = asyncio.Event()

    async def slow_at_first(_: Seen) -> Answer:
        if len(server.seen) == 1:
            await over.wait()
        return Answer(body={"a": 1})

    server.handler = slow_at_first
    transport = connect(timeout=0.2, max_retries=20)

    assert await transport.request("GET", "/api/v1/x", dict[str, int]) == {"a": 1}
    assert len(server.seen) >= 2
    over.set()


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_a_failed_connection_is_tried_again_for_every_method(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    async with Wire(b"") as gone:
        port = gone.port
    waits: list[float] = []
    server: list[asyncio.Server] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        writer.close()

    async def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            server.append(await asyncio.start_server(answer, "127.0.0.1", port))

    transport = connect(base_url=f"http://127.0.0.1:{port}")
    monkeypatch.setattr("inkbox_async.transport.pause", wait)

    assert await transport.request(method, "/api/v1/x", dict[str, Any]) == {}

    assert len(waits) == 2
    await transport.aclose()
    server[0].close()


async def test_retry_after_is_waited_for(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("inkbox_async.transport.pause", wait)
    server.answers = [Answer(429, headers={"Retry-After": "3"}), Answer(503), Answer(body={})]

    await connect().request("GET", "/api/v1/x", None)

    assert waits[0] == 3
    assert waits[1] < 1


async def test_a_date_to_retry_after_is_waited_for(
    server: Server, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def wait(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("inkbox_async.transport.pause", wait)
    now = "Fri, 31 Dec 2027 23:59:00 GMT"
    soon = Answer(503, headers={"Date": now, "Retry-After": "Fri, 31 Dec 2027 23:59:04 GMT"})
    late = Answer(503, headers={"Date": now, "Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT"})
    server.answers = [soon, late]

    with pytest.raises(InkboxAPIError) as caught:
        await connect().request("GET", "/api/v1/x", None)

    assert [round(seconds) for seconds in waits] == [4]
    assert caught.value.retry_at is not None


async def test_a_long_retry_after_is_the_callers_business(server: Server, connect: Connect) -> None:
    server.answers = [Answer(429, {"detail": "slow down"}, headers={"Retry-After": "6"})]

    with pytest.raises(InkboxAPIError) as caught:
        await connect().request("GET", "/api/v1/x", None)

    assert len(server.seen) == 1
    assert caught.value.retry_after_seconds == 6


async def test_cancellation_while_waiting(server: Server, connect: Connect) -> None:
    server.answers = [Answer(503, headers={"Retry-After": "5"})]
    transport = connect()
    task = asyncio.create_task(transport.request("GET", "/api/v1/x", None))
    await server.reached(1)
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    server.answers = [Answer(body={})]
    await transport.request("GET", "/api/v1/y", None)
    assert server.paths == ["/api/v1/x", "/api/v1/y"]


def test_the_back_off_doubles_with_some_chance_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "FIRST_DELAY", 0.25)

    for attempt, base in ((1, 0.25), (2, 0.5), (3, 1.0), (4, 2.0)):
        delays = [back_off(attempt) for _ in range(200)]
        assert base <= min(delays)
        assert max(delays) <= base * 1.5
        assert len(set(delays)) > 100
    assert back_off(10_000) == 5.0


@pytest.mark.parametrize(
    ("error", "repeatable", "again"),
    [
        (InkboxAPIError(503, None), True, True),
        (InkboxAPIError(503, None), False, False),
        (InkboxAPIError(503, None, retry_after=5), True, True),
        (InkboxAPIError(503, None, retry_after=6), True, False),
        (InkboxAPIError(409, {"error": "idempotency_in_progress"}), True, True),
        (InkboxAPIError(409, {"error": "other"}), True, False),
        (InkboxAPIError(409, "idempotency_in_progress"), True, False),
        (InkboxConnectionError("x", sent=False), False, True),
        (InkboxConnectionError("x", sent=True), False, False),
        (InkboxConnectionError("x", sent=True), True, True),
        (InkboxTimeoutError("x", sent=False), False, True),
        (InkboxResponseError("x", malformed=True), True, True),
        (InkboxResponseError("x", malformed=True), False, False),
        (InkboxResponseError("x"), True, False),
        (InkboxError("closed"), True, False),
    ],
)
def test_the_decision(error: InkboxError, repeatable: bool, again: bool) -> None:
    delay = retry_delay(error, 1, max_retries=2, repeatable=repeatable)

    assert (delay is not None) is again
    assert retry_delay(error, 3, max_retries=2, repeatable=repeatable) is None
