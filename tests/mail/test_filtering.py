"""Filtering through the front door, in both modes and directions: what arrives, who sees what is blocked."""

from __future__ import annotations

import pytest

from .conftest import Api


async def add(api: Api, address: str, action: str, target: str, **fields: str) -> str:
    kind = "exact_email" if "@" in target else "domain"
    body = {"action": action, "match_type": kind, "match_target": target, **fields}
    rule_id: str = (await api.ok("POST", f"/mail/mailboxes/{address}/contact-rules", body))["id"]
    return rule_id


async def folder(api: Api, address: str, sender: str, **fields: str) -> str:
    name: str = (await api.receive(address, sender, **fields))["folder"]
    return name


async def whitelist(api: Api, address: str) -> None:
    await api.ok("PATCH", f"/mail/mailboxes/{address}", {"filter_mode": "whitelist"})


async def test_a_blacklist_lets_everybody_in_but_whom_a_rule_blocks(api: Api) -> None:
    address = await api.identity("scout")
    await add(api, address, "block", "acme.example")
    await add(api, address, "allow", "jane@acme.example")
    await add(api, address, "block", "bob@friends.example")
    assert await folder(api, address, "ann@example.com") == "inbox"
    assert await folder(api, address, "joe@ACME.example") == "blocked"
    assert await folder(api, address, "Jane <jane@acme.example>") == "inbox"
    assert await folder(api, address, "bob@friends.example") == "blocked"
    assert await folder(api, address, "eve@mail.acme.example") == "inbox"


async def test_a_whitelist_keeps_everybody_out_but_whom_a_rule_allows(api: Api) -> None:
    address = await api.identity("scout")
    await whitelist(api, address)
    await add(api, address, "allow", "acme.example")
    await add(api, address, "block", "joe@acme.example")
    assert await folder(api, address, "ann@example.com") == "blocked"
    assert await folder(api, address, "jane@acme.example") == "inbox"
    assert await folder(api, address, "joe@acme.example") == "blocked"


async def test_paused_and_deleted_rules_do_nothing(api: Api) -> None:
    address = await api.identity("scout")
    rule_id = await add(api, address, "block", "acme.example")
    path = f"/mail/mailboxes/{address}/contact-rules/{rule_id}"
    await api.ok("PATCH", path, {"status": "paused"})
    assert await folder(api, address, "joe@acme.example") == "inbox"
    await api.ok("PATCH", path, {"status": "active"})
    assert await folder(api, address, "joe@acme.example") == "blocked"
    await api.ok("DELETE", path)
    assert await folder(api, address, "joe@acme.example") == "inbox"


async def test_the_from_field_is_the_sender_that_counts(api: Api) -> None:
    address = await api.identity("scout")
    await add(api, address, "block", "acme.example")
    url = f"{api.sandbox.settings.control_url}/emails?from=bounce@innocent.example&to={address}"
    raw = b"From: joe@acme.example\r\nSubject: x\r\n\r\nx\r\n"
    async with api.session.post(url, data=raw, headers={"Content-Type": "message/rfc822"}) as response:
        assert (await response.json())["deliveries"][0]["folder"] == "blocked"
    nameless, url = b"Subject: nameless\r\n\r\nx\r\n", url.replace("innocent", "acme")
    async with api.session.post(url, data=nameless, headers={"Content-Type": "message/rfc822"}) as response:
        assert (await response.json())["deliveries"][0]["folder"] == "blocked"
    senders = [item["from_address"] for item in await api.messages(address)]
    assert senders == ["bounce@acme.example", "joe@acme.example"]


async def test_blocked_mail_is_for_admins_only_and_no_event_tells_of_it(api: Api) -> None:
    address = await api.identity("scout")
    await add(api, address, "block", "spam.example")
    blocked = await api.receive(address, "joe@spam.example", subject="Bargain")
    agent = await api.agent(address)
    path = f"/mail/mailboxes/{address}"
    message, thread = f"{path}/messages/{blocked['message_id']}", f"{path}/threads/{blocked['thread_id']}"

    assert await agent.messages(address) == []
    assert (await agent.ok("GET", f"{path}/search", q="bargain"))["items"] == []
    assert (await agent.ok("GET", f"{path}/threads"))["items"] == []
    assert (await agent.ok("GET", f"{path}/threads", folder="blocked"))["items"] == []
    assert await agent.ok("GET", f"{path}/threads/folders") == []
    forward = {"recipients": {"to": ["a@example.com"]}}
    for method, place, body in (
        ("GET", message, None),
        ("PATCH", message, {"is_read": True}),
        ("DELETE", message, None),
        ("GET", f"{message}/attachments/a.txt", None),
        ("POST", f"{message}/reply-all", {}),
        ("POST", f"{message}/forward", forward),
        ("GET", thread, None),
        ("PATCH", thread, {"folder": "inbox"}),
        ("DELETE", thread, None),
    ):
        assert (await agent.call(method, place, body)).status == 404, (method, place)

    assert [item["subject"] for item in await api.messages(address)] == ["Bargain"]
    assert len((await api.ok("GET", f"{path}/search", q="bargain"))["items"]) == 1
    assert [item["id"] for item in (await api.ok("GET", f"{path}/threads", folder="blocked"))["items"]] == [
        blocked["thread_id"]
    ]
    assert await api.ok("GET", f"{path}/threads/folders") == ["blocked"]
    assert (await api.ok("GET", thread))["folder"] == "blocked"
    assert await api.events() == []


async def test_an_admin_can_let_blocked_mail_out(api: Api) -> None:
    address = await api.identity("scout")
    await add(api, address, "block", "spam.example")
    blocked = await api.receive(address, "joe@spam.example")
    path = f"/mail/mailboxes/{address}/threads/{blocked['thread_id']}"
    assert (await api.call("PATCH", path, {"folder": "blocked"})).status == 422
    await api.ok("PATCH", path, {"folder": "inbox"})
    agent = await api.agent(address)
    assert [item["id"] for item in await agent.messages(address)] == [blocked["message_id"]]


async def test_rules_do_not_reach_back(api: Api) -> None:
    address = await api.identity("scout")
    early = await api.receive(address, "joe@acme.example")
    rule_id = await add(api, address, "block", "acme.example")
    late = await api.receive(address, "joe@acme.example")
    await api.ok("DELETE", f"/mail/mailboxes/{address}/contact-rules/{rule_id}")
    path = f"/mail/mailboxes/{address}/threads"
    assert (await api.ok("GET", f"{path}/{early['thread_id']}"))["folder"] == "inbox"
    assert (await api.ok("GET", f"{path}/{late['thread_id']}"))["folder"] == "blocked"


async def test_blocked_mail_does_not_slip_into_a_thread_agents_see(api: Api) -> None:
    address = await api.identity("scout")
    seen = await api.receive(address, "ann@example.com", headers={"Message-ID": "<1@x>"})
    await add(api, address, "block", "spam.example")
    fields = {"headers": {"Message-ID": "<2@x>"}, "in_reply_to": "<1@x>"}
    blocked = await api.receive(address, "joe@spam.example", **fields)
    assert (blocked["folder"], blocked["thread_id"] == seen["thread_id"]) == ("blocked", False)
    more = await api.receive(address, "joe@spam.example", in_reply_to="<2@x>")
    assert more["thread_id"] == blocked["thread_id"]
    answer = await api.receive(address, "ann@example.com", in_reply_to="<2@x>")
    assert (answer["folder"], answer["thread_id"] == blocked["thread_id"]) == ("inbox", False)


async def test_an_agent_cannot_join_a_blocked_thread_by_its_message_id(api: Api) -> None:
    address = await api.identity("scout")
    await add(api, address, "block", "spam.example", direction="inbound")
    blocked = await api.receive(address, "joe@spam.example", headers={"Message-ID": "<1@x>"})
    agent = await api.agent(address)
    sent = await agent.send(address, "ann@example.com", in_reply_to_message_id="<1@x>")
    assert sent["thread_id"] != blocked["thread_id"]
    by_admin = await api.send(address, "ann@example.com", in_reply_to_message_id="<1@x>")
    assert by_admin["thread_id"] == blocked["thread_id"]
    assert [item["id"] for item in await agent.messages(address)] == [sent["id"]]


async def test_mail_between_mailboxes_here_is_filtered_by_the_receiver(api: Api) -> None:
    scout, other = await api.identity("scout"), await api.identity("other")
    await add(api, other, "block", scout, direction="inbound")
    sent = await api.send(scout, other)
    assert (await api.settled(scout, sent["id"]))["status"] == "delivered"
    assert (await api.ok("GET", f"/mail/mailboxes/{other}/threads/folders")) == ["blocked"]


async def test_outbound_rules_refuse_recipients(api: Api) -> None:
    address = await api.identity("scout")
    rule_id = await add(api, address, "block", "acme.example", direction="outbound")
    body = {"recipients": {"to": ["ann@example.com"], "bcc": ["joe@acme.example"]}, "subject": "Hello"}
    reply = await api.call("POST", f"/mail/mailboxes/{address}/messages", body)
    assert reply.status == 403
    detail = reply.body["detail"]
    assert (detail["error"], detail["matched_rule_id"]) == ("recipient_blocked", rule_id)
    assert (detail["address"], bool(detail["reason"])) == ("joe@acme.example", True)
    assert await api.messages(address) == []
    assert await api.sandbox.world.outbox("mail") == []


@pytest.mark.parametrize("direction", ["inbound", "both"])
async def test_rules_for_what_arrives_let_mail_out(api: Api, direction: str) -> None:
    address = await api.identity("scout")
    await add(api, address, "block", "acme.example", direction=direction)
    await api.send(address, "joe@acme.example")
    assert await folder(api, address, "joe@acme.example") == "blocked"


async def test_outbound_rules_let_mail_in(api: Api) -> None:
    address = await api.identity("scout")
    await add(api, address, "block", "acme.example", direction="outbound")
    assert await folder(api, address, "joe@acme.example") == "inbox"


async def test_an_outbound_whitelist_needs_a_rule_for_each_recipient(api: Api) -> None:
    address = await api.identity("scout")
    await api.ok("PATCH", "/identities/scout", {"mail_outbound_filter_mode": "whitelist"})
    mailbox = await api.ok("GET", f"/mail/mailboxes/{address}")
    assert (mailbox["inbound_filter_mode"], mailbox["outbound_filter_mode"]) == ("blacklist", "whitelist")
    body = {"recipients": {"to": ["ann@example.com"]}, "subject": "Hello"}
    reply = await api.call("POST", f"/mail/mailboxes/{address}/messages", body)
    assert (reply.status, reply.body["detail"]["matched_rule_id"]) == (403, None)
    await add(api, address, "allow", "ann@example.com")
    await api.send(address, "ann@example.com")
    assert await folder(api, address, "stranger@example.com") == "inbox"
