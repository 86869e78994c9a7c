"""Replies to all and forwards through the front door."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from inkbox_async.sandbox.mail.mime import ParsedMessage, parse

from .conftest import Api

HELLO = {"filename": "a.txt", "content_type": "text/plain", "content_base64": "aGVsbG8="}


async def act(api: Api, address: str, message_id: str, action: str, body: dict[str, Any]) -> Any:
    return await api.ok("POST", f"/mail/mailboxes/{address}/messages/{message_id}/{action}", body)


async def left(api: Api) -> tuple[list[str], ParsedMessage]:
    """Recipients and content of the mail that left last."""
    item = (await api.sandbox.world.outbox("mail"))[0]
    return item.to, parse(base64.b64decode(item.raw_base64 or ""))


async def test_a_reply_goes_to_everybody_but_oneself(api: Api) -> None:
    address = await api.identity("scout")
    delivery = await api.receive(
        address,
        "ann@example.com",
        cc=["max@example.com", "SCOUT@inkboxmail.com"],
        subject="Plan",
        headers={"Message-ID": "<1@x>", "To": f"{address}, lin@example.com"},
    )
    reply = await act(api, address, delivery["message_id"], "reply-all", {"body_text": "Thanks all."})
    assert reply["thread_id"] == delivery["thread_id"]
    assert reply["to_addresses"] == ["ann@example.com", "lin@example.com"]
    assert (reply["cc_addresses"], reply["subject"]) == (["max@example.com"], "Re: Plan")
    recipients, message = await left(api)
    assert recipients == ["ann@example.com", "lin@example.com", "max@example.com"]
    assert (message.in_reply_to, message.references) == ("<1@x>", ("<1@x>",))
    expected = (await api.message(address, delivery["message_id"]))["reply_all_recipients"]
    assert expected == {"to": reply["to_addresses"], "cc": reply["cc_addresses"]}


async def test_the_options_of_a_reply(api: Api) -> None:
    address = await api.identity("scout")
    message_id = (await api.receive(address, subject="RE: Plan"))["message_id"]
    assert (await act(api, address, message_id, "reply-all", {}))["subject"] == "RE: Plan"
    body = {"subject": "New", "body_html": "<b>x</b>", "attachments": [HELLO], "reply_to": "desk@example.com"}
    reply = await act(api, address, message_id, "reply-all", body)
    assert (reply["subject"], reply["has_attachments"]) == ("New", True)
    _, message = await left(api)
    assert (message.body_html, message.reply_to) == ("<b>x</b>", ("desk@example.com",))


async def test_a_reply_to_ones_own_mail_goes_where_that_went(api: Api) -> None:
    address = await api.identity("scout")
    sent = await api.send(address, "ann@example.com")
    assert (await act(api, address, sent["id"], "reply-all", {}))["to_addresses"] == ["ann@example.com"]


async def test_a_reply_to_nobody_is_refused(api: Api) -> None:
    address = await api.identity("scout")
    sent = await api.send(address, address)
    path = f"/mail/mailboxes/{address}/messages/{sent['id']}/reply-all"
    assert (await api.call("POST", path, {"body_text": "x"})).status == 422


@pytest.mark.parametrize(
    "body", [{"recipients": {"to": ["a@example.com"]}}, {"reply_to": "nobody"}, {"subject": "a\nb"}]
)
async def test_bad_replies_are_refused(api: Api, body: dict[str, Any]) -> None:
    address = await api.identity("scout")
    message_id = (await api.receive(address))["message_id"]
    path = f"/mail/mailboxes/{address}/messages/{message_id}/reply-all"
    assert (await api.call("POST", path, body)).status == 422


async def test_a_reply_under_a_wrong_id_is_404(api: Api) -> None:
    address = await api.identity("scout")
    path = f"/mail/mailboxes/{address}/messages/00000000-0000-4000-8000-000000000000"
    assert (await api.call("POST", f"{path}/reply-all", {})).status == 404
    body = {"recipients": {"to": ["a@example.com"]}}
    assert (await api.call("POST", f"{path}/forward", body)).status == 404


RICH = (
    b"From: Ann <ann@example.com>\r\nTo: scout@inkboxmail.com\r\nSubject: Offer\r\nMessage-ID: <rich@x>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n"
    b"--m\r\nContent-Type: multipart/related; boundary=r\r\n\r\n"
    b'--r\r\nContent-Type: text/html\r\n\r\n<p>See <img src="cid:logo"></p>\r\n'
    b"--r\r\nContent-Type: image/png\r\nContent-ID: <logo>\r\n"
    b"Content-Disposition: inline; filename=l.png\r\n\r\nPNG\r\n"
    b"--r--\r\n"
    b"--m\r\nContent-Type: text/csv\r\nContent-Disposition: attachment; filename=a.csv\r\n\r\n1,2\r\n"
    b"--m--\r\n"
)


async def receive_raw(api: Api, raw: bytes) -> str:
    url = f"{api.sandbox.settings.control_url}/emails"
    async with api.session.post(url, data=raw, headers={"Content-Type": "message/rfc822"}) as response:
        assert response.status == 202, await response.text()
        message_id: str = (await response.json())["deliveries"][0]["message_id"]
        return message_id


async def test_an_inline_forward_quotes_and_attaches_again(api: Api) -> None:
    address = await api.identity("scout")
    message_id = await receive_raw(api, RICH)
    thread_id = (await api.messages(address))[0]["thread_id"]
    body = {"recipients": {"to": ["max@example.com"]}, "body_text": "FYI", "additional_attachments": [HELLO]}
    forwarded = await act(api, address, message_id, "forward", body)
    assert (forwarded["subject"], forwarded["has_attachments"]) == ("Fwd: Offer", True)
    assert forwarded["thread_id"] != thread_id
    recipients, message = await left(api)
    assert recipients == ["max@example.com"]
    assert (message.body_text or "").startswith("FYI\n\n")
    assert "From: Ann <ann@example.com>" in (message.body_text or "")
    assert '<img src="cid:logo">' in (message.body_html or "")
    assert [(part.filename, part.is_inline) for part in message.attachments] == [
        ("l.png", True),
        ("a.csv", False),
        ("a.txt", False),
    ]
    assert (message.in_reply_to, message.references) == (None, ())


async def test_an_inline_forward_without_the_original_attachments(api: Api) -> None:
    address = await api.identity("scout")
    message_id = await receive_raw(api, RICH)
    body = {
        "recipients": {"cc": ["max@example.com"]},
        "include_original_attachments": False,
        "subject": "See",
    }
    forwarded = await act(api, address, message_id, "forward", body)
    assert (forwarded["has_attachments"], forwarded["subject"]) == (False, "See")
    _, message = await left(api)
    assert [part.filename for part in message.attachments] == ["l.png"]


async def test_a_wrapped_forward_carries_the_original_byte_for_byte(api: Api) -> None:
    address = await api.identity("scout")
    message_id = await receive_raw(api, RICH)
    body = {"recipients": {"bcc": ["max@example.com"]}, "mode": "wrapped", "body_text": "FYI"}
    forwarded = await act(api, address, message_id, "forward", body)
    assert (forwarded["to_addresses"], forwarded["has_attachments"]) == ([], True)
    recipients, message = await left(api)
    assert (recipients, message.body_text) == (["max@example.com"], "FYI")
    (wrapped,) = message.attachments
    assert wrapped.content_type == "message/rfc822"
    assert parse(wrapped.content).message_id == "<rich@x>"
    raw = base64.b64decode((await api.sandbox.world.outbox("mail"))[0].raw_base64 or "")
    assert RICH in raw


async def test_a_forward_arrives_in_a_mailbox_here(api: Api) -> None:
    scout, other = await api.identity("scout"), await api.identity("other")
    message_id = await receive_raw(api, RICH)
    await act(api, scout, message_id, "forward", {"recipients": {"to": [other]}, "mode": "wrapped"})
    (received,) = await api.messages(other)
    detail = await api.message(other, received["id"])
    assert [part["content_type"] for part in detail["attachment_metadata"]] == ["message/rfc822"]


@pytest.mark.parametrize(
    "body",
    [
        {"recipients": {}},
        {"recipients": {"to": []}},
        {"recipients": {"to": ["nobody"]}},
        {},
        {"recipients": {"to": ["a@example.com"]}, "mode": "sideways"},
        {"recipients": {"to": ["a@example.com"]}, "track_opens": True},
        {"recipients": {"to": ["a@example.com"]}, "reply_to": "nobody"},
        {
            "recipients": {"to": ["a@example.com"]},
            "body_html": "x",
            "additional_attachments": [{**HELLO, "content_type": "image/png", "content_id": "logo"}],
        },
    ],
)
async def test_bad_forwards_are_refused(api: Api, body: dict[str, Any]) -> None:
    address = await api.identity("scout")
    message_id = (await api.receive(address))["message_id"]
    path = f"/mail/mailboxes/{address}/messages/{message_id}/forward"
    assert (await api.call("POST", path, body)).status == 422
    assert await api.sandbox.world.outbox("mail") == []


async def test_a_tracked_forward_inherits_the_html_it_needs(api: Api) -> None:
    address = await api.identity("scout")
    message_id = await receive_raw(api, RICH)
    await act(
        api, address, message_id, "forward", {"recipients": {"to": ["a@example.com"]}, "track_opens": True}
    )
    _, message = await left(api)
    assert "/mail/opened/" in (message.body_html or "")
