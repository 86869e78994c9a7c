"""Sending through the front door: what is refused, what is stored and mailed, and what becomes of it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from inkbox_async.sandbox.mail.mime import parse

from .conftest import Api

HELLO = {"filename": "a.txt", "content_type": "text/plain", "content_base64": "aGVsbG8="}
LOGO = {"filename": "l.png", "content_type": "image/png", "content_base64": "iVBO", "content_id": "logo"}
MB = 1024 * 1024


async def test_a_message_to_the_outside(api: Api) -> None:
    address = await api.identity("scout", display_name="Scout, the Ägent")
    sent = await api.ok(
        "POST",
        f"/mail/mailboxes/{address}/messages",
        {
            "recipients": {"to": ["ann@example.com"], "cc": ["ben@example.com"], "bcc": ["cat@example.com"]},
            "subject": "Größe",
            "body_text": "Text",
            "body_html": '<p>HTML <img src="cid:logo"></p>',
            "attachments": [HELLO, LOGO],
        },
    )
    assert (sent["status"], sent["direction"], sent["is_read"]) == ("queued", "outbound", True)
    assert (sent["from_address"], sent["from_display_name"]) == (address, "Scout, the Ägent")
    assert (sent["to_addresses"], sent["cc_addresses"]) == (["ann@example.com"], ["ben@example.com"])
    assert (sent["subject"], sent["snippet"], sent["has_attachments"]) == ("Größe", "Text", True)
    detail = await api.settled(address, sent["id"])
    assert (detail["status"], detail["bcc_addresses"]) == ("delivered", ["cat@example.com"])
    assert [(part["filename"], part["size"]) for part in detail["attachment_metadata"]] == [
        ("a.txt", 5),
        ("l.png", 3),
    ]

    (left,) = await api.sandbox.world.outbox("mail")
    assert (left.from_, left.to) == (address, ["ann@example.com", "ben@example.com", "cat@example.com"])
    assert str(left.resource_id) == sent["id"]
    raw = base64.b64decode(left.raw_base64 or "")
    parsed = parse(raw)
    assert b"cat@example.com" not in raw
    assert (parsed.message_id, parsed.subject, parsed.body_text) == (sent["message_id"], "Größe", "Text")
    assert parsed.from_display_name == "Scout, the Ägent"
    assert [(part.filename, part.is_inline) for part in parsed.attachments] == [
        ("l.png", True),
        ("a.txt", False),
    ]


async def test_pictures_inside_the_html_are_no_attachments(api: Api) -> None:
    address = await api.identity("scout")
    sent = await api.send(address, "ann@example.com", body_html="<img src='cid:logo'>", attachments=[LOGO])
    assert sent["has_attachments"] is False


BAD = [
    ({"recipients": {"to": []}}, 422),
    ({"recipients": {}}, 422),
    ({"recipients": {"to": ["nobody"]}}, 422),
    ({"recipients": {"to": ["Ann <ann@example.com>"]}}, 422),
    ({"recipients": {"to": ["ann@example.com"], "bcc": ["a@b@c.example"]}}, 422),
    ({"recipients": {"to": ["ann@example.com\r\nBcc: x@example.com"]}}, 422),
    ({"recipients": {"to": "ann@example.com"}}, 422),
    ({"subject": None}, 422),
    ({"subject": "x" * 999}, 422),
    ({"subject": "Hello\r\nBcc: victim@example.com"}, 422),
    ({"body_text": 1}, 422),
    ({"in_reply_to_message_id": "two words"}, 422),
    ({"in_reply_to_message_id": "00000000-0000-4000-8000-000000000000"}, 404),
    ({"track_opens": True}, 422),
    ({"unknown": 1}, 422),
    ({"attachments": [{**HELLO, "content_base64": "a"}]}, 422),
    ({"attachments": [{**HELLO, "content_base64": "_-8="}]}, 422),
    ({"attachments": [{**HELLO, "content_base64": "grün"}]}, 422),
    ({"attachments": [{**HELLO, "filename": ""}]}, 422),
    ({"attachments": [{**HELLO, "filename": "x" * 256}]}, 422),
    ({"attachments": [{**HELLO, "filename": "../a.txt"}]}, 422),
    ({"attachments": [{**HELLO, "filename": "a\r\nb.txt"}]}, 422),
    ({"attachments": [{**HELLO, "filename": "setup.exe"}]}, 422),
    ({"attachments": [{**HELLO, "filename": "run.BAT"}]}, 422),
    ({"attachments": [{**HELLO, "filename": "saver.Scr. "}]}, 422),
    ({"attachments": [{**HELLO, "content_type": "pdf"}]}, 422),
    ({"attachments": [{**HELLO, "content_type": "text/plain\r\nX: y"}]}, 422),
    ({"attachments": [{"filename": "a.txt"}]}, 422),
    ({"attachments": [LOGO]}, 422),
    ({"body_html": "x", "attachments": [{**LOGO, "content_type": "text/plain"}]}, 422),
    ({"body_html": "x", "attachments": [LOGO, LOGO]}, 422),
    ({"body_html": "x", "attachments": [{**LOGO, "content_id": "a b"}]}, 422),
]


@pytest.mark.parametrize(("fields", "status"), BAD)
async def test_what_cannot_be_sent_is_refused_and_not_stored(
    api: Api, fields: dict[str, Any], status: int
) -> None:
    address = await api.identity("scout")
    body = {"recipients": {"to": ["ann@example.com"]}, "subject": "Hello", "body_text": "Hi", **fields}
    body = {name: value for name, value in body.items() if value is not None}
    reply = await api.call("POST", f"/mail/mailboxes/{address}/messages", body)
    assert reply.status == status, reply
    assert reply.body["detail"]
    assert await api.messages(address) == []
    assert await api.sandbox.world.outbox("mail") == []


async def test_the_longest_subject_and_the_largest_attachments_pass(api: Api) -> None:
    address = await api.identity("scout")
    large = {**HELLO, "content_base64": base64.b64encode(b"x" * (25 * MB)).decode()}
    sent = await api.send(address, "ann@example.com", subject="x" * 998, attachments=[large])
    assert (sent["subject"], sent["has_attachments"]) == ("x" * 998, True)


async def test_larger_attachments_do_not(api: Api) -> None:
    address = await api.identity("scout")
    half = {**HELLO, "content_base64": base64.b64encode(b"x" * (25 * MB // 2 + 1)).decode()}
    body = {"recipients": {"to": ["a@example.com"]}, "subject": "Large", "attachments": [half, half]}
    assert (await api.call("POST", f"/mail/mailboxes/{address}/messages", body)).status == 413
    assert await api.messages(address) == []


async def test_recipients_are_counted_and_mailed_once(api: Api) -> None:
    address = await api.identity("scout")
    sent = await api.send(address, "ann@example.com", "ANN@example.com")
    assert sent["to_addresses"] == ["ann@example.com"]


@pytest.mark.parametrize("by_row_id", [True, False])
async def test_an_answer_joins_the_thread_it_names(api: Api, by_row_id: bool) -> None:
    address = await api.identity("scout")
    delivery = await api.receive(address, headers={"Message-ID": "<2@x>", "References": "<1@x>"})
    parent = delivery["message_id"] if by_row_id else "<2@x>"
    sent = await api.send(address, "ann@example.com", in_reply_to_message_id=parent)
    assert sent["thread_id"] == delivery["thread_id"]
    detail = await api.message(address, sent["id"])
    assert (detail["in_reply_to"], detail["references"]) == ("<2@x>", ["<1@x>", "<2@x>"])
    (left,) = await api.sandbox.world.outbox("mail")
    parsed = parse(base64.b64decode(left.raw_base64 or ""))
    assert (parsed.in_reply_to, parsed.references) == ("<2@x>", ("<1@x>", "<2@x>"))


async def test_an_answer_to_an_unknown_message_starts_a_thread_and_says_so(api: Api) -> None:
    address = await api.identity("scout")
    sent = await api.send(address, "ann@example.com", in_reply_to_message_id="<unknown@x>")
    assert (await api.message(address, sent["id"]))["in_reply_to"] == "<unknown@x>"
    assert len((await api.ok("GET", f"/mail/mailboxes/{address}/threads"))["items"]) == 1


async def test_mail_to_a_mailbox_here_arrives_as_mail(api: Api) -> None:
    scout, other = await api.identity("scout", display_name="Scout"), await api.identity("other")
    stranger = Api(api.sandbox, api.session, (await api.sandbox.world.create_organization()).api_key)
    third = await stranger.identity("third")
    sent = await api.send(scout, other.upper(), third, attachments=[HELLO])
    assert await api.sandbox.world.outbox("mail") == []
    for owner, address in ((api, other), (stranger, third)):
        (received,) = await owner.messages(address)
        assert received["id"] != sent["id"]
        assert received["message_id"] == sent["message_id"]
        assert (received["direction"], received["status"], received["is_read"]) == (
            "inbound",
            "received",
            False,
        )
        assert (received["from_address"], received["from_display_name"]) == (scout, "Scout")
        detail = await owner.message(address, received["id"])
        assert (detail["body_text"], detail["bcc_addresses"]) == ("Hi", None)
        assert [part["filename"] for part in detail["attachment_metadata"]] == ["a.txt"]
    assert (await api.settled(scout, sent["id"]))["status"] == "delivered"


@pytest.mark.parametrize("outcome", ["bounced", "failed", "delivered"])
async def test_the_world_decides_what_becomes_of_mail(api: Api, outcome: str) -> None:
    address = await api.identity("scout")
    await api.sandbox.world.set_outcome(channel="mail", to="Gone@Example.com", outcome=outcome, times=1)
    first = await api.send(address, "ann@example.com", "gone@example.com")
    assert (await api.settled(address, first["id"]))["status"] == outcome
    second = await api.send(address, "gone@example.com")
    assert (await api.settled(address, second["id"]))["status"] == "delivered"


async def test_mail_to_a_missing_mailbox_here_bounces(api: Api) -> None:
    address = await api.identity("scout")
    sent = await api.send(address, "nobody@inkboxmail.com")
    assert (await api.settled(address, sent["id"]))["status"] == "bounced"
    assert await api.sandbox.world.outbox("mail") == []


async def test_events_tell_of_every_step(api: Api) -> None:
    address = await api.identity("scout")
    await api.settled(address, (await api.send(address, "ann@example.com"))["id"])
    await api.sandbox.world.set_outcome(channel="mail", to="*", outcome="failed", times=1)
    await api.settled(address, (await api.send(address, "ann@example.com"))["id"])
    received = await api.receive(address)
    path = f"/mail/mailboxes/{address}/messages/{received['message_id']}/forward"
    await api.sandbox.world.set_outcome(channel="mail", to="*", outcome="bounced", times=1)
    forwarded = await api.ok("POST", path, {"recipients": {"to": ["ben@example.com"]}})
    await api.settled(address, forwarded["id"])
    assert [kind for kind, _ in await api.events()] == [
        "message.sent",
        "message.delivered",
        "message.failed",
        "message.received",
        "message.forwarded",
        "message.bounced",
    ]


async def test_the_daily_limit_moves_with_the_clock(api: Api) -> None:
    address = await api.identity("scout")
    await api.sandbox.world.update_organization(limits={"mail_sends_per_day": 3})
    await api.send(address, "a@example.com", "b@example.com")
    api.sandbox.clock.advance(3600)
    two = {"recipients": {"to": ["c@example.com", "d@example.com"]}, "subject": "One too many"}
    reply = await api.call("POST", f"/mail/mailboxes/{address}/messages", two)
    assert (reply.status, reply.headers["X-RateLimit-Remaining"]) == (429, "1")
    sent = await api.send(address, "c@example.com")
    await api.ok("DELETE", f"/mail/mailboxes/{address}/messages/{sent['id']}")
    body = {"recipients": {"to": ["d@example.com"]}, "subject": "One too many"}
    reply = await api.call("POST", f"/mail/mailboxes/{address}/messages", body)
    assert (reply.status, reply.headers["X-RateLimit-Remaining"]) == (429, "0")
    wait = int(reply.headers["Retry-After"])
    assert 22.9 * 3600 < wait <= 23 * 3600
    assert len(await api.messages(address)) == 1
    api.sandbox.clock.advance(wait)
    await api.send(address, "d@example.com", "e@example.com")
    assert (await api.call("POST", f"/mail/mailboxes/{address}/messages", body)).status == 429


async def test_an_unclaimed_agent_writes_to_its_human_only(api: Api) -> None:
    signup = {"human_email": "ann@example.com", "note_to_human": "Hello", "agent_handle": "self-made"}
    registered = await api.ok("POST", "/agent-signup", signup)
    agent = Api(api.sandbox, api.session, registered["api_key"])
    address = registered["email_address"]
    path = f"/mail/mailboxes/{address}/messages"
    body = {"recipients": {"to": ["ann@example.com"], "cc": ["ben@example.com"]}, "subject": "Hello"}
    assert (await agent.call("POST", path, body)).status == 403
    for _ in range(10):
        await agent.send(address, "Ann@Example.com")
    reply = await agent.call("POST", path, {"recipients": {"to": ["ann@example.com"]}, "subject": "Hello"})
    assert (reply.status, reply.headers["X-RateLimit-Limit"]) == (429, "10")
    assert (await agent.call("GET", f"/mail/mailboxes/{address}/contact-rules")).status == 403

    code = await api.sandbox.world.signup_code("ann@example.com")
    await agent.ok("POST", "/agent-signup/verify", {"verification_code": code})
    await agent.send(address, "ben@example.com")


async def test_a_repeated_send_is_sent_once(api: Api) -> None:
    address = await api.identity("scout")
    path = f"/mail/mailboxes/{address}/messages"
    body = {"recipients": {"to": ["ann@example.com"]}, "subject": "Order 17"}
    headers = {"Idempotency-Key": "order-17", "Prefer": "idempotency-replay"}
    first = await api.call("POST", path, body, headers=headers)
    again = await api.call("POST", path, body, headers=headers)
    assert (first.status, again.body) == (201, first.body)
    for spelling in (address.upper(), "scout"):
        respelled = await api.call("POST", f"/mail/mailboxes/{spelling}/messages", body, headers=headers)
        assert respelled.body == first.body
    assert len(await api.messages(address)) == len(await api.sandbox.world.outbox("mail")) == 1
    other = await api.call("POST", path, {**body, "subject": "Order 18"}, headers=headers)
    assert (other.status, other.body["detail"]["error"]) == (409, "idempotency_key_reused")
    reply = await api.call(
        "POST", f"{path}/{first.body['id']}/reply-all", {"body_text": "x"}, headers=headers
    )
    assert reply.status == 201


async def test_openings_are_counted_with_a_pause_between(api: Api) -> None:
    address = await api.identity("scout")
    sent = await api.send(address, "ann@example.com", body_html="<p>Hi</p>", track_opens=True)
    assert "opened" not in (await api.message(address, sent["id"]))["body_html"]
    (left,) = await api.sandbox.world.outbox("mail")
    page = parse(base64.b64decode(left.raw_base64 or "")).body_html or ""
    pixel = page.split('<img src="')[1].split('"')[0]
    for _ in range(2):
        async with api.session.get(pixel) as response:
            assert (response.status, response.content_type) == (200, "image/gif")
    detail = await api.message(address, sent["id"])
    assert (detail["open_count"], detail["first_opened_at"] is None) == (1, False)
    api.sandbox.clock.advance(3600)
    async with api.session.get(pixel):
        pass
    again = await api.message(address, sent["id"])
    assert (again["open_count"], again["first_opened_at"]) == (2, detail["first_opened_at"])
    async with api.session.get(f"{api.sandbox.base_url}/mail/opened/unknown.gif") as response:
        assert response.status == 200


@pytest.mark.parametrize(
    ("recipient", "says"),
    [
        ("nobody", "'nobody' is not an e-mail address: write it as name@example.com"),
        (
            "Ada <ada@example.com>",
            "'Ada <ada@example.com>' is more than an e-mail address: leave out the name and the <>",
        ),
        ("a b@example.com", "'a b@example.com' is not an e-mail address: check the part before the @"),
    ],
)
async def test_a_bad_recipient_is_told_what_is_wrong(api: Api, recipient: str, says: str) -> None:
    address = await api.identity("scout")
    body = {"recipients": {"to": ["ok@example.com", recipient]}, "subject": "x"}
    reply = await api.call("POST", f"/mail/mailboxes/{address}/messages", body)
    assert reply.status == 422
    assert reply.body["detail"] == [
        {"loc": ["body", "recipients", "to", 1], "msg": says, "type": "value_error"}
    ]


@pytest.mark.parametrize("status", ["degraded", "failed", "pending_dkim_rotation"])
async def test_only_a_verified_domain_sends(api: Api, status: str) -> None:
    world = api.sandbox.world
    await world.add_domain(domain="acme.example", status="verified")
    address = await api.identity("scout", mailbox={"sending_domain": "acme.example"})
    first = await api.send(address, "ann@example.com")
    await world.add_domain(domain="acme.example", status=status)
    path = f"/mail/mailboxes/{address}/messages"
    body = {"recipients": {"to": ["ann@example.com"]}, "subject": "x"}
    for target in (path, f"{path}/{first['id']}/forward"):
        refused = await api.call("POST", target, body)
        assert refused.status == 409
        assert refused.body["detail"] == (
            f"The sending domain acme.example is not verified: its status is {status}."
        )
    assert (await api.call("POST", f"{path}/{first['id']}/reply-all", {})).status == 409
    assert (await api.receive(address))["folder"] == "inbox"
    await world.add_domain(domain="acme.example", status="verified")
    await api.send(address, "ann@example.com")
    assert len(await world.outbox("mail")) == 2
