"""Mail from outside through the control API, hostile mail, what events tell of it, and what a kill leaves."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.mail.delivery import advance

from .conftest import Api, by_smtp


async def write(api: Api, body: Any, **query: str) -> tuple[int, Any]:
    """POST /emails: an object as JSON, bytes as raw MIME."""
    is_raw = isinstance(body, bytes)
    content = body if is_raw else json.dumps(body).encode()
    kind = "message/rfc822" if is_raw else "application/json"
    url = f"{api.sandbox.settings.control_url}/emails"
    async with api.session.post(url, data=content, params=query, headers={"Content-Type": kind}) as response:
        return response.status, await response.json()


async def test_an_object_becomes_mail(api: Api) -> None:
    address = await api.identity("scout")
    status, answer = await write(
        api,
        {
            "from": "Ann <ann@example.com>",
            "to": [address, "other@example.com"],
            "cc": ["max@example.com"],
            "subject": "Größe",
            "text": "Text",
            "html": "<p>HTML</p>",
            "headers": {"X-Priority": "1", "Message-ID": "<given@example.com>"},
            "attachments": [
                {"filename": "a.txt", "content_type": "text/plain", "content_base64": "aGVsbG8="}
            ],
            "in_reply_to": "<earlier@example.com>",
        },
    )
    (delivery,) = answer["deliveries"]
    assert (status, delivery["email_address"], delivery["folder"]) == (202, address, "inbox")
    detail = await api.message(address, delivery["message_id"])
    assert (detail["message_id"], detail["in_reply_to"]) == ("<given@example.com>", "<earlier@example.com>")
    assert (detail["to_addresses"], detail["cc_addresses"]) == (
        [address, "other@example.com"],
        ["max@example.com"],
    )
    assert (detail["from_display_name"], detail["subject"]) == ("Ann", "Größe")
    assert (detail["body_text"], detail["body_html"]) == ("Text", "<p>HTML</p>")


async def test_raw_mime_is_delivered_by_its_envelope_or_its_header(api: Api) -> None:
    scout, other = await api.identity("scout"), await api.identity("other")
    raw = f"From: ann@example.com\r\nTo: {scout}\r\nCc: {other}\r\nSubject: Raw\r\n\r\nHi\r\n".encode()
    status, answer = await write(api, raw)
    assert (status, {item["email_address"] for item in answer["deliveries"]}) == (202, {scout, other})
    _, answer = await write(api, raw, to=other)
    assert [item["email_address"] for item in answer["deliveries"]] == [other]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"from": "ann@example.com", "to": ["nobody@inkboxmail.com"]}, 404),
        ({"from": "ann", "to": ["scout@inkboxmail.com"]}, 422),
        ({"from": "ann@example.com", "to": []}, 422),
        ({"from": "ann@example.com", "to": ["not an address"]}, 422),
        ({"to": ["scout@inkboxmail.com"]}, 422),
        (
            {"from": "ann@example.com", "to": ["scout@inkboxmail.com"], "subject": "a\r\nBcc: x@y.example"},
            422,
        ),
        ({"from": "ann@example.com", "to": ["scout@inkboxmail.com"], "headers": {"Bad Name": "x"}}, 422),
        ({"from": "ann@example.com", "to": ["scout@inkboxmail.com"], "in_reply_to": "nonsense words"}, 422),
        ({"from": "ann@example.com", "to": ["scout@inkboxmail.com"], "unknown": 1}, 422),
        (
            {
                "from": "ann@example.com",
                "to": ["scout@inkboxmail.com"],
                "attachments": [{"filename": "a", "content_type": "text/plain", "content_base64": "?"}],
            },
            422,
        ),
        (b"Subject: nobody is named\r\n\r\n", 422),
    ],
)
async def test_what_cannot_be_delivered_is_refused(api: Api, body: Any, status: int) -> None:
    address = await api.identity("scout")
    answered, answer = await write(api, body)
    assert (answered, bool(answer["detail"])) == (status, True)
    assert await api.messages(address) == []


HOSTILE = [
    b"",
    b"\x00\xff" * 500,
    b"From: \xff\xfe <\xed\xa0\x80@x>\r\nSubject: =?utf-7?Q?+2AA-?=\r\n\r\n\x00",
    b'Content-Type: multipart/mixed; boundary="\r\n\r\n--\r\n',
    b'Content-Type: text/plain; charset="\xff"\r\nContent-Transfer-Encoding: base64\r\n\r\n!!!!',
    b"From: a@b.example\r\nContent-Disposition: attachment; filename*=utf-8''%00%ED%A0%80%2F..%2Fx\r\n\r\nx",
    b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 2000 + b"--b--",
    b"Subject: " + b"x" * 200_000 + b"\r\n\r\n",
    b"To: " + b"<" * 1000 + b"@" * 1000 + b"\r\nReferences: " + b"<a@b>" * 20_000 + b"\r\n\r\nx",
]


@pytest.mark.parametrize("raw", HOSTILE)
async def test_hostile_mail_is_stored_and_can_be_read_searched_answered_and_forwarded(
    api: Api, raw: bytes
) -> None:
    address = await api.identity("scout")
    status, answer = await write(api, raw, to=address, **{"from": "joe@example.com"})
    assert status == 202, answer
    message_id = answer["deliveries"][0]["message_id"]
    detail = await api.message(address, message_id)
    json.dumps(detail, ensure_ascii=False).encode("utf-8")
    path = f"/mail/mailboxes/{address}"
    await api.ok("GET", f"{path}/threads/{detail['thread_id']}")
    await api.ok("GET", f"{path}/search", q="x")
    for mode in ("inline", "wrapped"):
        body = {"recipients": {"to": ["ann@example.com"]}, "mode": mode}
        await api.ok("POST", f"{path}/messages/{message_id}/forward", body)
    reply = await api.call("POST", f"{path}/messages/{message_id}/reply-all", {"body_text": "x"})
    assert reply.status in (201, 422)
    for part in detail["attachment_metadata"]:
        assert part["filename"]
    assert (await api.call("DELETE", f"{path}/messages/{message_id}")).status == 204


async def test_a_message_id_that_comes_twice_is_two_messages(api: Api) -> None:
    address = await api.identity("scout")
    raw = f"From: ann@example.com\r\nTo: {address}\r\nMessage-ID: <1@x>\r\n\r\nHi\r\n".encode()
    one, two = (await write(api, raw))[1]["deliveries"][0], (await write(api, raw))[1]["deliveries"][0]
    assert one["message_id"] != two["message_id"]
    assert one["thread_id"] == two["thread_id"]


async def test_what_the_event_of_received_mail_tells(api: Api) -> None:
    address, other = await api.identity("scout"), await api.identity("other")
    delivery = await api.receive(address, cc=[other], subject="Hello", text="All of it " * 100)
    rows = await api.sandbox.store.run(
        lambda tx: tx.all("SELECT payload, mailbox_id FROM events WHERE event_type = 'message.received'")
    )
    payload = next(json.loads(row["payload"]) for row in rows if delivery["message_id"] in row["payload"])
    message = payload["data"]["message"]
    listed = next(item for item in await api.messages(address) if item["id"] == delivery["message_id"])
    for name in ("id", "mailbox_id", "thread_id", "message_id", "from_address", "subject", "snippet"):
        assert message[name] == listed[name], name
    assert (message["email_address"], message["bcc_addresses"]) == (address, None)
    assert (message["body"], message["body_state"]) == ("All of it " * 100, "complete")
    assert message["body_total_chars"] == message["body_included_chars"] == 1000
    (agent,) = payload["data"]["agent_identities"]
    assert (agent["bucket"], agent["address"], agent["agent_handle"]) == ("cc", other, "other")


async def test_what_was_answered_is_there_after_the_sandbox_is_opened_again(tmp_path: Path) -> None:
    data = tmp_path / "sandbox.db"
    async with Sandbox(data=data) as sandbox, aiohttp.ClientSession() as session:
        api = Api(sandbox, session, sandbox.api_key)
        address = await api.identity("scout")
        await by_smtp(sandbox, b"Subject: kept\r\n\r\nHi\r\n", from_addr="a@x.example", to_addrs=[address])
        await api.send(address, "ann@example.com", subject="sent")
    async with Sandbox(data=data) as sandbox, aiohttp.ClientSession() as session:
        api = Api(sandbox, session, sandbox.api_key)
        assert [item["subject"] for item in await api.messages(address)] == ["sent", "kept"]
        assert (await api.ok("GET", f"/mail/mailboxes/{address}/search", q="kept"))["items"]
        (left,) = await sandbox.world.outbox("mail")
        assert b"Subject: sent" in base64.b64decode(left.raw_base64 or "")


async def test_mail_that_a_kill_left_on_its_way_moves_on(tmp_path: Path) -> None:
    data = tmp_path / "sandbox.db"
    async with Sandbox(data=data) as sandbox, aiohttp.ClientSession() as session:
        api = Api(sandbox, session, sandbox.api_key)
        address = await api.identity("scout")
        sent = await api.send(address, "ann@example.com")
        await api.settled(address, sent["id"])
        await sandbox.store.run(lambda tx: tx.update("mail_messages", sent["id"], status="queued"))
    async with Sandbox(data=data) as sandbox, aiohttp.ClientSession() as session:
        api = Api(sandbox, session, sandbox.api_key)
        assert (await api.settled(address, sent["id"]))["status"] == "delivered"


async def test_a_reset_forgets_mail_and_goes_on_working(api: Api) -> None:
    address = await api.identity("scout")
    await api.send(address, "ann@example.com")
    await api.sandbox.reset()
    assert await api.sandbox.world.outbox("mail") == []
    assert not await api.sandbox.store.run(lambda tx: advance(tx, api.sandbox.clock.now()))
    address = await api.identity("scout")
    assert await api.messages(address) == []
    sent = await api.send(address, "ann@example.com")
    assert (await api.settled(address, sent["id"]))["status"] == "delivered"
