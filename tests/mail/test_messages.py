"""Stored messages through the front door: lists and their pages, reading, flags, deleting, dates."""

from __future__ import annotations

import pytest

from .conftest import Api

DAY = 24 * 3600


async def test_pages_go_on_where_the_last_ended_whatever_arrives(api: Api) -> None:
    address = await api.identity("scout")
    arrived = [(await api.receive(address, subject=str(number)))["message_id"] for number in range(5)]
    path = f"/mail/mailboxes/{address}/messages"
    first = await api.ok("GET", path, limit=2)
    assert [item["id"] for item in first["items"]] == arrived[:2:-1]
    assert first["has_more"] is True
    await api.receive(address, subject="late")
    second = await api.ok("GET", path, limit=2, cursor=first["next_cursor"])
    assert [item["id"] for item in second["items"]] == arrived[2:0:-1]
    last = await api.ok("GET", path, limit=2, cursor=second["next_cursor"])
    assert [item["id"] for item in last["items"]] == arrived[:1]
    assert (last["has_more"], last["next_cursor"]) == (False, None)


async def test_directions_are_told_apart(api: Api) -> None:
    address = await api.identity("scout")
    await api.receive(address, subject="in")
    await api.send(address, "ann@example.com", subject="out")
    assert [item["subject"] for item in await api.messages(address, direction="inbound")] == ["in"]
    assert [item["subject"] for item in await api.messages(address, direction="outbound")] == ["out"]
    assert [item["subject"] for item in await api.messages(address)] == ["out", "in"]


@pytest.mark.parametrize(
    "query",
    [
        {"limit": 0},
        {"limit": 101},
        {"limit": "many"},
        {"direction": "sideways"},
        {"cursor": "nonsense"},
        {"cursor": "W10"},
        {"cursor": "WyJhIiwgMTExMTExMTExMTExMTExMTExMTExMTExMTFd"},
        {"start_datetime": "yesterday"},
        {"end_datetime": "2026-13-01"},
        {"end_datetime": "9999-12-31"},
        {"tz": "Europe/Atlantis"},
        {"tz": "../../etc/passwd"},
        {"unknown": "1"},
    ],
)
async def test_bad_queries_are_refused(api: Api, query: dict[str, str | int]) -> None:
    address = await api.identity("scout")
    reply = await api.call("GET", f"/mail/mailboxes/{address}/messages", query=query)
    assert reply.status == 422, reply
    assert reply.body["detail"]


async def test_getting_inbound_mail_with_a_key_reads_it(api: Api) -> None:
    address = await api.identity("scout")
    message_id = (await api.receive(address))["message_id"]
    path = f"/mail/mailboxes/{address}"
    thread_id = (await api.messages(address))[0]["thread_id"]
    await api.ok("GET", f"{path}/threads/{thread_id}")
    await api.ok("GET", f"{path}/search", q="Hi")
    assert (await api.messages(address))[0]["is_read"] is False
    console = await api.call("GET", f"{path}/messages/{message_id}", bearer=True)
    assert console.body["is_read"] is False
    assert (await api.message(address, message_id))["is_read"] is True
    assert (await api.messages(address))[0]["is_read"] is True


async def test_outbound_mail_starts_as_read(api: Api) -> None:
    address = await api.identity("scout")
    assert (await api.send(address, "ann@example.com"))["is_read"] is True


async def test_flags(api: Api) -> None:
    address = await api.identity("scout")
    path = f"/mail/mailboxes/{address}/messages/{(await api.receive(address))['message_id']}"
    read = await api.ok("PATCH", path, {"is_read": True})
    assert (read["is_read"], read["is_starred"]) == (True, False)
    starred = await api.ok("PATCH", path, {"is_starred": True})
    assert (starred["is_read"], starred["is_starred"]) == (True, True)
    assert await api.ok("PATCH", path, {}) == starred
    cleared = await api.ok("PATCH", path, {"is_read": False, "is_starred": False})
    assert (cleared["is_read"], cleared["is_starred"]) == (False, False)
    assert "body_text" not in cleared
    assert (await api.call("PATCH", path, {"is_read": "maybe"})).status == 422
    assert (await api.call("PATCH", path, {"status": "deleted"})).status == 422


async def test_a_deleted_message_is_gone_everywhere(api: Api) -> None:
    address = await api.identity("scout")
    kept = await api.receive(address, subject="kept", headers={"Message-ID": "<kept@example.com>"})
    gone = await api.receive(address, subject="gone", in_reply_to="<kept@example.com>")
    assert gone["thread_id"] == kept["thread_id"]
    path = f"/mail/mailboxes/{address}"
    assert (await api.call("DELETE", f"{path}/messages/{gone['message_id']}")).status == 204
    assert [item["subject"] for item in await api.messages(address)] == ["kept"]
    for method in ("GET", "DELETE"):
        assert (await api.call(method, f"{path}/messages/{gone['message_id']}")).status == 404
    assert (await api.call("PATCH", f"{path}/messages/{gone['message_id']}", {})).status == 404
    assert (await api.ok("GET", f"{path}/search", q="gone"))["items"] == []
    thread = await api.ok("GET", f"{path}/threads/{kept['thread_id']}")
    assert thread["message_count"] == len(thread["messages"]) == 1
    assert thread["last_message_at"] == thread["messages"][0]["created_at"]
    await api.ok("DELETE", f"{path}/messages/{kept['message_id']}")
    assert (await api.call("GET", f"{path}/threads/{kept['thread_id']}")).status == 404


async def test_messages_of_another_mailbox_are_not_found(api: Api) -> None:
    address, other = await api.identity("scout"), await api.identity("other")
    message_id = (await api.receive(other))["message_id"]
    assert (await api.call("GET", f"/mail/mailboxes/{address}/messages/{message_id}")).status == 404
    reply = await api.call("GET", f"/mail/mailboxes/{address}/messages/not-a-uuid")
    assert (reply.status, reply.body["detail"][0]["loc"]) == (422, ["path", "message_id"])


async def test_dates_are_days_in_a_zone_or_exact_times(api: Api) -> None:
    address = await api.identity("scout")
    await api.receive(address, subject="first")
    api.sandbox.clock.advance(3 * DAY)
    middle = await api.receive(address, subject="middle")
    api.sandbox.clock.advance(3 * DAY)
    await api.receive(address, subject="last")
    at = (await api.message(address, middle["message_id"]))["created_at"]
    day = at[:10]

    async def subjects(**query: str) -> list[str]:
        return [item["subject"] for item in await api.messages(address, **query)]

    assert await subjects(start_datetime=day) == ["last", "middle"]
    assert await subjects(end_datetime=day) == ["middle", "first"]
    assert await subjects(start_datetime=day, end_datetime=day) == ["middle"]
    assert await subjects(start_datetime=at, end_datetime=at) == ["middle"]
    assert await subjects(start_datetime=at.replace("Z", ""), end_datetime=at) == ["middle"]
    # Kiritimati is 14 hours ahead of UTC: this instant, read as local time there, is 14 hours earlier.
    assert await subjects(end_datetime=at.replace("Z", ""), tz="Pacific/Kiritimati") == ["first"]
    assert await subjects(end_datetime=at, tz="Pacific/Kiritimati") == ["middle", "first"]


async def test_the_detail_of_a_message(api: Api) -> None:
    address = await api.identity("scout")
    delivery = await api.receive(
        address,
        "Ann <ann@example.com>",
        cc=["max@example.com"],
        subject="Grüße",
        text="Text",
        html="<p>Text</p>",
        headers={
            "Message-ID": "<2@example.com>",
            "Reply-To": "desk@example.com",
            "References": "<0@x> <1@x>",
        },
        in_reply_to="<1@x>",
        attachments=[{"filename": "a.txt", "content_type": "text/plain", "content_base64": "aGVsbG8="}],
    )
    detail = await api.message(address, delivery["message_id"])
    assert detail["message_id"] == "<2@example.com>"
    assert (detail["from_address"], detail["from_display_name"]) == ("ann@example.com", "Ann")
    assert (detail["to_addresses"], detail["cc_addresses"]) == ([address], ["max@example.com"])
    assert (detail["subject"], detail["body_text"], detail["body_html"]) == ("Grüße", "Text", "<p>Text</p>")
    assert (detail["in_reply_to"], detail["references"]) == ("<1@x>", ["<0@x>", "<1@x>"])
    assert (detail["direction"], detail["status"], detail["has_attachments"]) == ("inbound", "received", True)
    assert detail["bcc_addresses"] is None
    (metadata,) = detail["attachment_metadata"]
    assert (metadata["filename"], metadata["content_type"], metadata["size"]) == ("a.txt", "text/plain", 5)
    assert detail["reply_all_recipients"] == {"to": ["desk@example.com"], "cc": ["max@example.com"]}
    assert detail["thread_id"] == delivery["thread_id"]
