"""Mailboxes through the front door: who sees them, settings, notices, signatures, storage, search."""

from __future__ import annotations

import pytest

from .conftest import Api

GIB = 1024**3


async def test_a_mailbox_comes_with_its_identity(api: Api) -> None:
    address = await api.identity("scout")
    mailbox = await api.ok("GET", f"/mail/mailboxes/{address}")
    assert mailbox["email_address"] == "scout@inkboxmail.com"
    assert mailbox["sending_domain"] == "inkboxmail.com"
    modes = ("filter_mode", "inbound_filter_mode", "outbound_filter_mode")
    assert {mailbox[name] for name in modes} == {"blacklist"}
    assert (mailbox["storage_used_bytes"], mailbox["storage_limit_bytes"]) == (0, 2 * GIB)
    assert mailbox["filter_mode_change_notice"] is None


@pytest.mark.parametrize(
    "name", ["scout", "scout@inkboxmail.com", "scout%40inkboxmail.com", "SCOUT@inkboxmail.com"]
)
async def test_a_mailbox_is_found_by_address_and_local_part(api: Api, name: str) -> None:
    address = await api.identity("scout")
    assert (await api.ok("GET", f"/mail/mailboxes/{name}"))["email_address"] == address


async def test_mailboxes_are_listed_newest_first_and_agents_see_their_own(api: Api) -> None:
    first, second = await api.identity("first"), await api.identity("second")
    assert [box["email_address"] for box in await api.ok("GET", "/mail/mailboxes")] == [second, first]
    agent = await api.agent(first)
    assert [box["email_address"] for box in await agent.ok("GET", "/mail/mailboxes")] == [first]
    assert (await agent.call("GET", f"/mail/mailboxes/{second}")).status == 404


async def test_a_deleted_identity_takes_its_mailbox_along(api: Api) -> None:
    address = await api.identity("scout")
    await api.receive(address)
    await api.ok("DELETE", "/identities/scout")
    assert await api.ok("GET", "/mail/mailboxes") == []
    assert (await api.call("GET", f"/mail/mailboxes/{address}")).status == 404
    assert (await api.call("GET", f"/mail/mailboxes/{address}/messages")).status == 404
    await api.identity("scout")
    assert await api.messages(address) == []


async def test_another_organization_sees_nothing(api: Api) -> None:
    address = await api.identity("scout")
    stranger = Api(api.sandbox, api.session, (await api.sandbox.world.create_organization()).api_key)
    assert await stranger.ok("GET", "/mail/mailboxes") == []
    for path in ("", "/messages", "/threads", "/contact-rules", "/search?q=x"):
        assert (await stranger.call("GET", f"/mail/mailboxes/{address}{path}")).status == 404


async def rule(api: Api, address: str, action: str, target: str, **fields: str) -> str:
    body = {"action": action, "match_type": "domain", "match_target": target, **fields}
    rule_id: str = (await api.ok("POST", f"/mail/mailboxes/{address}/contact-rules", body))["id"]
    return rule_id


async def test_a_changed_filter_mode_is_noticed_once(api: Api) -> None:
    address = await api.identity("scout")
    path = f"/mail/mailboxes/{address}"
    for number in range(3):
        await rule(api, address, "block", f"spam{number}.example")
    paused = await rule(api, address, "block", "paused.example")
    await api.ok("PATCH", f"{path}/contact-rules/{paused}", {"status": "paused"})
    deleted = await rule(api, address, "block", "deleted.example")
    await api.ok("DELETE", f"{path}/contact-rules/{deleted}")
    await rule(api, address, "allow", "friend.example")

    changed = await api.ok("PATCH", path, {"filter_mode": "whitelist"})
    assert changed["filter_mode_change_notice"] == {
        "new_filter_mode": "whitelist",
        "redundant_rule_action": "block",
        "redundant_rule_count": 3,
    }
    assert (
        changed["filter_mode"]
        == changed["inbound_filter_mode"]
        == changed["outbound_filter_mode"]
        == "whitelist"
    )
    assert (await api.ok("PATCH", path, {"filter_mode": "whitelist"}))["filter_mode_change_notice"] is None
    assert (await api.ok("PATCH", path, {}))["filter_mode_change_notice"] is None
    assert (await api.ok("GET", path))["filter_mode_change_notice"] is None
    back = await api.ok("PATCH", path, {"filter_mode": "blacklist"})
    assert back["filter_mode_change_notice"] == {
        "new_filter_mode": "blacklist",
        "redundant_rule_action": "allow",
        "redundant_rule_count": 1,
    }
    assert len(await api.ok("GET", f"{path}/contact-rules")) == 5


async def test_agents_do_not_change_filter_modes(api: Api) -> None:
    address = await api.identity("scout")
    agent = await api.agent(address)
    assert (
        await agent.call("PATCH", f"/mail/mailboxes/{address}", {"filter_mode": "whitelist"})
    ).status == 403
    assert (await api.ok("GET", f"/mail/mailboxes/{address}"))["filter_mode"] == "blacklist"
    assert (await agent.call("PATCH", f"/mail/mailboxes/{address}", {"signature_text": "S"})).status == 200


@pytest.mark.parametrize(
    "body",
    [
        {"filter_mode": "greylist"},
        {"filter_mode": None},
        {"display_name": "Scout"},
        {"webhook_url": "https://x.example"},
        {"signature_text": "x" * 16_385},
        {"signature_enabled": None},
        {"signature_html": "<img src='http://x.example/logo.png'>"},
        [],
    ],
)
async def test_bad_settings_are_refused(api: Api, body: object) -> None:
    address = await api.identity("scout")
    before = await api.ok("GET", f"/mail/mailboxes/{address}")
    reply = await api.call("PATCH", f"/mail/mailboxes/{address}", body)
    assert reply.status == 422
    assert await api.ok("GET", f"/mail/mailboxes/{address}") == before


async def test_signatures_are_sanitised_and_added_to_what_is_sent(api: Api) -> None:
    address = await api.identity("scout")
    path = f"/mail/mailboxes/{address}"
    html = '<p onclick="x()">Scout<script>alert(1)</script><br><a href="javascript:x">me</a></p>'
    mailbox = await api.ok("PATCH", path, {"signature_html": html})
    assert mailbox["signature_html"] == "<p>Scout<br><a>me</a></p>"
    assert mailbox["signature_text"] == "Scout\nme"
    sent = await api.send(address, "ann@example.com", body_text="Hi", body_html="<b>Hi</b>")
    assert (await api.message(address, sent["id"]))["body_text"] == "Hi"

    await api.ok("PATCH", path, {"signature_enabled": True})
    sent = await api.send(address, "ann@example.com", body_text="Hi", body_html="<body><b>Hi</b></body>")
    detail = await api.message(address, sent["id"])
    assert detail["body_text"] == "Hi\n\nScout\nme"
    assert detail["body_html"] == "<body><b>Hi</b><br><br><p>Scout<br><a>me</a></p></body>"
    assert detail["snippet"] == "Hi"

    cleared = await api.ok("PATCH", path, {"signature_html": None, "signature_text": None})
    assert (cleared["signature_html"], cleared["signature_text"]) == (None, None)


async def test_updated_at_moves_when_something_changes(api: Api) -> None:
    path = f"/mail/mailboxes/{await api.identity('scout')}"
    before = (await api.ok("GET", path))["updated_at"]
    assert (await api.ok("PATCH", path, {"filter_mode": "blacklist"}))["updated_at"] == before
    assert (await api.ok("PATCH", path, {"signature_text": "S"}))["updated_at"] > before


async def test_storage_grows_with_mail_and_shrinks_when_it_is_deleted(api: Api) -> None:
    address = await api.identity("scout")
    path = f"/mail/mailboxes/{address}"

    async def used() -> int:
        number: int = (await api.ok("GET", path))["storage_used_bytes"]
        return number

    first = await api.receive(address, text="x" * 1000)
    assert (after_first := await used()) > 1000
    second = await api.receive(address, text="y" * 5000)
    assert await used() > after_first + 5000
    await api.ok("DELETE", f"{path}/messages/{second['message_id']}")
    assert await used() == after_first
    await api.ok("DELETE", f"{path}/threads/{first['thread_id']}")
    assert await used() == 0


async def test_a_full_mailbox_sends_nothing(api: Api) -> None:
    address = await api.identity("scout")
    await api.sandbox.world.update_organization(limits={"mailbox_storage_bytes": 3000})
    await api.send(address, "ann@example.com")
    body = {"recipients": {"to": ["ann@example.com"]}, "subject": "Large", "body_text": "x" * 5000}
    reply = await api.call("POST", f"/mail/mailboxes/{address}/messages", body)
    assert reply.status == 402
    assert reply.body["detail"]["error"] == "storage_limit_exceeded"
    assert reply.body["detail"]["limit_bytes"] == 3000
    assert reply.body["detail"]["upgrade_url"]
    assert [message["subject"] for message in await api.messages(address)] == ["Hello"]
    assert len(await api.sandbox.world.outbox("mail")) == 1
    await api.sandbox.world.update_organization(limits={"mailbox_storage_bytes": None})
    assert (await api.ok("GET", f"/mail/mailboxes/{address}"))["storage_limit_bytes"] is None
    await api.send(address, "ann@example.com", body_text="x" * 5000)


async def test_search_finds_words_in_subjects_addresses_and_bodies(api: Api) -> None:
    address = await api.identity("scout")
    in_body = await api.receive(address, subject="Numbers", text="The invoice is attached. " + "word " * 200)
    in_subject = await api.receive(address, subject="Invoice 17", text="See below")
    in_address = await api.receive(address, "invoice@example.org", subject="Other", text="Something")
    in_html = await api.receive(
        address, subject="Page", text=None, html="<p>Grüße an die <b>Rechnung</b></p>"
    )

    async def search(q: str, **query: int) -> list[str]:
        page = await api.ok("GET", f"/mail/mailboxes/{address}/search", q=q, **query)
        assert (page["next_cursor"], page["has_more"]) == (None, False)
        return [message["id"] for message in page["items"]]

    assert await search("invoice") == [
        in_subject["message_id"],
        in_address["message_id"],
        in_body["message_id"],
    ]
    assert await search("INVOI") == await search("invoice")
    assert await search("invoice", limit=1) == [in_subject["message_id"]]
    assert await search("invoice attached") == [in_body["message_id"]]
    assert await search("invoice@example.org") == [in_address["message_id"]]
    assert await search("gruße die") == [in_html["message_id"]]
    assert await search("rechnung") == [in_html["message_id"]]
    for odd in ('"', "*", "AND", "( NEAR", "-", "a:b", "' OR 1=1 --", "%"):
        await search(odd)
    await api.ok("DELETE", f"/mail/mailboxes/{address}/messages/{in_html['message_id']}")
    assert await search("rechnung") == []


@pytest.mark.parametrize("query", [{}, {"q": ""}, {"q": "x", "limit": 0}, {"q": "x", "limit": 101}])
async def test_bad_searches_are_refused(api: Api, query: dict[str, str | int]) -> None:
    address = await api.identity("scout")
    assert (await api.call("GET", f"/mail/mailboxes/{address}/search", query=query)).status == 422
