"""Faults on order, and the journal of what came in."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import aiohttp
import pytest
from yarl import URL

from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.faults import Faults
from inkbox_async.sandbox.journal import MAX_BODY_BYTES, MAX_ENTRIES, REDACTED

from .conftest import Api

WHOAMI = "/api/whoami"


async def test_a_fault_hits_as_many_calls_as_it_says(sandbox: Sandbox, admin: Api) -> None:
    sandbox.faults.add(status=503, headers={"Retry-After": "2"}, times=2)
    replies = [await admin.call("GET", WHOAMI) for _ in range(3)]
    assert [reply.status for reply in replies] == [503, 503, 200]
    assert replies[0].headers["Retry-After"] == "2"
    assert replies[0].body == {"detail": "Fault 1 of the sandbox"}


async def test_a_fault_comes_before_the_key_is_looked_at(sandbox: Sandbox, admin: Api) -> None:
    sandbox.faults.add(status=502, body={"detail": "bad gateway"})
    reply = await admin.with_key(None).call("GET", WHOAMI)
    assert (reply.status, reply.body) == (502, {"detail": "bad gateway"})


async def test_only_matching_calls_are_hit(sandbox: Sandbox, admin: Api) -> None:
    sandbox.faults.add(method="post", path="/api/v1/identities*", status=500, times=None)
    assert (await admin.call("GET", "/api/v1/identities/")).status == 200
    assert (await admin.call("GET", WHOAMI)).status == 200
    for path in ("/api/v1/identities/", "/api/v1/identities"):
        assert (await admin.call("POST", path, {"agent_handle": "abc"})).status == 500
    sandbox.faults.clear()
    assert (await admin.call("POST", "/api/v1/identities/", {"agent_handle": "abc"})).status == 201


async def test_a_dropped_connection(sandbox: Sandbox, admin: Api) -> None:
    sandbox.faults.add(drop=True, path="/api/v1/identities*")
    with pytest.raises(aiohttp.ClientError):  # of a POST: aiohttp tries a GET again by itself
        await admin.call("POST", "/api/v1/identities/", {"agent_handle": "agent-one"})
    assert await admin.ok("GET", "/api/v1/identities/") == []
    assert (await admin.call("GET", WHOAMI)).status == 200
    assert [entry.status for entry in sandbox.requests()] == [200, 200, 0]


async def test_a_delay_alone_only_delays(sandbox: Sandbox, admin: Api) -> None:
    sandbox.faults.add(delay_seconds=0.2)
    began = time.monotonic()
    assert (await admin.call("GET", WHOAMI)).status == 200
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"status": 99},
        {"status": 600},
        {"delay_seconds": -1},
        {"status": 500, "times": 0},
        {"method": "GET"},
        {"status": 500, "headers": {"X-One": "a\r\nX-Two: b"}},
        {"status": 500, "headers": {"": "a"}},
        {"status": 500, "headers": {"X-One": "\ud800"}},
        {"status": 500, "headers": {"Content-Length": "5"}},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"status|delay|times|nothing|header|body"):
        Faults().add(**wrong)


async def test_a_key_in_use_is_in_progress_until_the_first_call_ends(sandbox: Sandbox, admin: Api) -> None:
    identity = await admin.identity("agent-one")
    path = f"/api/v1/identities/{identity['agent_handle']}"
    held = threading.Event()
    sandbox.store.submit(lambda tx: held.wait(60))
    calls = {
        asyncio.create_task(
            admin.call("PATCH", path, {"display_name": "A"}, headers={"Idempotency-Key": "order-17"})
        )
        for _ in range(2)
    }
    done, waiting = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    held.set()
    (refused,), (served,) = done, waiting
    assert refused.result().status == 409
    assert refused.result().body["detail"]["error"] == "idempotency_in_progress"
    assert (await served).status == 200


async def test_the_journal_tells_what_came_in_without_secrets(sandbox: Sandbox, admin: Api) -> None:
    await admin.call(
        "POST",
        "/api/v1/identities/",
        {"agent_handle": "agent-one", "vault_key": "hush", "nested": [{"auth_hash": "hush"}]},
        query={"page": "1", "api_key": "hush"},
        headers={"Authorization": "Bearer hush", "Cookie": "a=hush"},
    )
    (entry,) = sandbox.requests()
    assert (entry.method, entry.path, entry.status) == ("POST", "/api/v1/identities/", 422)
    assert entry.query == {"page": "1", "api_key": REDACTED}
    assert entry.headers["x-api-key"] == entry.headers["authorization"] == entry.headers["cookie"] == REDACTED
    assert entry.body == {
        "agent_handle": "agent-one",
        "vault_key": REDACTED,
        "nested": [{"auth_hash": REDACTED}],
    }
    assert "hush" not in repr(entry)
    assert sandbox.api_key not in repr(entry)


async def test_the_journal_knows_what_a_fault_answered(sandbox: Sandbox, admin: Api) -> None:
    sandbox.faults.add(status=503)
    body = {"agent_handle": "agent-one"}
    for _ in range(2):
        await admin.call("POST", "/api/v1/identities/", body)
    assert [(entry.status, entry.body) for entry in sandbox.requests()] == [(201, body), (503, body)]


async def test_the_journal_keeps_no_large_or_foreign_bodies(sandbox: Sandbox, admin: Api) -> None:
    body = json.dumps({"agent_handle": "x" * MAX_BODY_BYTES}).encode()
    await admin.call("POST", "/api/v1/identities/", data=body, headers={"Content-Type": "application/json"})
    await admin.call("POST", "/api/v1/identities/", data=b"[[", headers={"Content-Type": "application/json"})
    await admin.call("POST", "/api/v1/identities/", data=b"\x00\x01", headers={"Content-Type": "image/png"})
    png, broken, large = (entry.body for entry in sandbox.requests())
    assert large == f"[{len(body)} bytes of application/json]"
    assert broken == "[2 bytes of application/json]"
    assert png == "[2 bytes of image/png]"


async def test_the_journal_shows_calls_that_json_cannot_carry(sandbox: Sandbox, admin: Api) -> None:
    headers = {"Content-Type": "application/json"}
    for body in (b'{"agent_handle": "\\ud800"}', b'{"agent_handle": NaN}'):
        await admin.call("POST", "/api/v1/identities/", data=body, headers=headers)
    entries = await admin.ok("GET", "/_sandbox/requests")
    assert [entry["body"] for entry in entries] == [
        "[21 bytes of application/json]",
        "[26 bytes of application/json]",
    ]

    address = URL(sandbox.base_url)
    assert address.host is not None
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(b"GET /api/whoami HTTP/1.1\r\nHost: localhost\r\nX-Odd: \xff\r\nConnection: close\r\n\r\n")
    await reader.read()
    writer.close()
    entries = await admin.ok("GET", "/_sandbox/requests")
    assert entries[0]["headers"]["x-odd"] == "?"


async def test_the_journal_reads_the_json_of_programs_that_name_no_type(sandbox: Sandbox, admin: Api) -> None:
    for kind in ("application/x-www-form-urlencoded", "application/octet-stream"):
        await admin.call(
            "POST", "/api/v1/identities/", data=b'{"vault_key": "hush"}', headers={"Content-Type": kind}
        )
    assert [entry.body for entry in sandbox.requests()] == [{"vault_key": REDACTED}] * 2


async def test_a_verifier_of_a_vault_key_in_a_path_is_hidden(sandbox: Sandbox, admin: Api) -> None:
    await admin.call("DELETE", "/api/v1/vault/keys/" + "ab" * 32)
    assert sandbox.requests()[0].path == f"/api/v1/vault/keys/{REDACTED}"


async def test_the_journal_is_bounded_and_newest_first(sandbox: Sandbox, admin: Api) -> None:
    for number in range(MAX_ENTRIES + 5):
        sandbox.journal.record(
            request_id=str(number),
            received_at=sandbox.clock.now(),
            method="GET",
            path="/",
            query=(),
            headers=(),
            content_type="",
            body=b"",
            status=200,
        )
    entries = sandbox.requests()
    assert len(entries) == MAX_ENTRIES
    assert entries[0].request_id == str(MAX_ENTRIES + 4)
    assert entries[0].body is None
