"""Identities: made whole or not at all, shown to whom they may be, changed, and gone with all they own."""

from __future__ import annotations

import pytest

from inkbox_async.sandbox import Sandbox

from .conftest import JSON, Api

IDENTITIES = "/api/v1/identities/"


def path(handle: str, *more: str) -> str:
    return "/".join(("/api/v1/identities", handle, *more))


async def test_an_identity_comes_with_mailbox_and_tunnel(sandbox: Sandbox, admin: Api) -> None:
    created = await admin.identity("@Sales-Agent")
    assert created["agent_handle"] == created["display_name"] == "sales-agent"
    assert created["organization_id"] == sandbox.organization_id
    assert created["description"] is None
    assert created["status"] == "active"
    assert created["imessage_enabled"] is False
    assert created["phone_number"] is None
    assert created["email_address"] == created["mailbox"]["email_address"] == "sales-agent@inkboxmail.com"
    assert created["mailbox"]["agent_identity_id"] == created["id"]
    assert created["mailbox"]["sending_domain"] == "inkboxmail.com"
    tunnel = created["tunnel"]
    assert tunnel["tunnel_name"] == "sales-agent"
    assert (tunnel["tls_mode"], tunnel["status"]) == ("edge", "active")
    assert tunnel["public_host"] == f"sales-agent.{tunnel['zone']}"
    assert tunnel["metadata"] == {}
    assert await admin.ok("GET", path("sales-agent")) == created
    assert await admin.ok("GET", path("@SALES-AGENT")) == created


async def test_everything_can_be_asked_for_at_once(admin: Api) -> None:
    await admin.sandbox.world.add_domain("mail.example.com")
    created = await admin.identity(
        "sales-agent",
        display_name="Sales",
        description="",
        imessage_enabled=True,
        contact_sharing_enabled=False,
        mailbox={"sending_domain": "mail.example.com", "email_local_part": "Hello.World"},
        tunnel={"tls_mode": "passthrough"},
        phone_number={
            "state": "ny",
            "incoming_call_action": "webhook",
            "incoming_call_webhook_url": "https://x.example",
        },
    )
    assert created["display_name"] == "Sales"
    assert created["description"] == "", "an empty description is not none"
    assert created["imessage_enabled"] is True
    assert created["contact_sharing_enabled"] is False
    assert created["email_address"] == "hello.world@mail.example.com"
    assert (created["tunnel"]["tls_mode"], created["tunnel"]["status"]) == ("passthrough", "awaiting_cert")
    number = created["phone_number"]
    assert number["number"].startswith("+1212")
    assert (number["state"], number["type"], number["status"]) == ("NY", "local", "active")
    assert number["incoming_call_action"] == "webhook"
    assert number["agent_identity_id"] == created["id"]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"agent_handle": "ab"}, 422),
        ({"agent_handle": "a" * 64}, 422),
        ({"agent_handle": "-abc"}, 422),
        ({"agent_handle": "a--b"}, 422),
        ({"agent_handle": "a_b"}, 422),
        ({"agent_handle": "a.b.c"}, 422),
        ({"agent_handle": "@@abc"}, 422),
        ({"agent_handle": "abc", "mailbox": {"email_local_part": "other"}}, 422),
        ({"agent_handle": "abc", "mailbox": {"sending_domain": "unknown.example"}}, 404),
        ({"agent_handle": "abc", "mailbox": {"sending_domain": "pending.example"}}, 409),
        (
            {"agent_handle": "abc", "mailbox": {"sending_domain": "ok.example", "email_local_part": "a b"}},
            422,
        ),
        (
            {"agent_handle": "abc", "mailbox": {"sending_domain": "ok.example", "email_local_part": "a@b"}},
            422,
        ),
        ({"agent_handle": "abc", "phone_number": {"type": "satellite"}}, 422),
        ({"agent_handle": "abc", "phone_number": {"state": "XX"}}, 422),
        ({"agent_handle": "abc", "phone_number": {"incoming_call_action": "sing"}}, 422),
        ({"agent_handle": "abc", "phone_number": {"incoming_call_action": "auto_accept"}}, 422),
        ({"agent_handle": "abc", "phone_number": {"incoming_call_webhook_url": "ftp://x"}}, 422),
        ({"agent_handle": "abc", "phone_number": {"client_websocket_url": "https://x"}}, 422),
        ({"agent_handle": "abc", "claim_imessage_number": True}, 422),
        ({"agent_handle": "abc", "claim_imessage_number": True, "imessage_enabled": True}, 402),
    ],
)
async def test_what_cannot_be_made_leaves_nothing(admin: Api, body: JSON, status: int) -> None:
    await admin.sandbox.world.add_domain("pending.example", "pending")
    await admin.sandbox.world.add_domain("ok.example")
    assert (await admin.call("POST", IDENTITIES, body)).status == status
    assert await admin.ok("GET", IDENTITIES) == []
    await admin.identity("abc")


async def test_handles_are_unique_over_all_organizations(admin: Api) -> None:
    await admin.identity("sales-agent")
    for api in (admin, await admin.organization()):
        reply = await api.call("POST", IDENTITIES, {"agent_handle": "@SALES-agent"})
        assert reply.status == 409
        assert reply.body["detail"]["code"] == "agent_handle_unavailable"
        assert reply.body["detail"]["blocking_namespace"] == "identities"


async def test_reserved_names_are_refused_without_a_namespace(admin: Api) -> None:
    detail = (await admin.call("POST", IDENTITIES, {"agent_handle": "postmaster"})).body["detail"]
    assert detail["code"] == "agent_handle_unavailable"
    assert "blocking_namespace" not in detail


async def test_two_identities_cannot_share_an_address(admin: Api) -> None:
    await admin.sandbox.world.add_domain("mail.example.com")
    mailbox = {"sending_domain": "mail.example.com", "email_local_part": "hello"}
    await admin.identity("agent-one", mailbox=mailbox)
    reply = await admin.call("POST", IDENTITIES, {"agent_handle": "agent-two", "mailbox": mailbox})
    assert (reply.status, reply.body["detail"]["blocking_namespace"]) == (409, "mail")


async def test_the_list_is_newest_first_and_ends_at_the_organization(admin: Api) -> None:
    for name in ("agent-one", "agent-two", "agent-three"):
        await admin.identity(name)
    other = await admin.organization()
    await other.identity("elsewhere")
    listed = [row["agent_handle"] for row in await admin.ok("GET", IDENTITIES)]
    assert listed == ["agent-three", "agent-two", "agent-one"]
    assert (await admin.call("GET", path("elsewhere"))).status == 404
    for method in ("PATCH", "DELETE"):
        assert (await admin.call(method, path("elsewhere"), {})).status == 404


async def test_updates_change_what_is_given_and_nothing_else(admin: Api) -> None:
    created = await admin.identity("agent-one", description="one")
    assert await admin.ok("PATCH", path("agent-one"), {}) == created
    changed = await admin.ok("PATCH", path("agent-one"), {"description": None, "imessage_enabled": True})
    assert changed == {
        **created,
        "description": None,
        "imessage_enabled": True,
        "updated_at": changed["updated_at"],
    }
    assert changed["updated_at"] > created["updated_at"]
    assert (await admin.ok("PATCH", path("agent-one"), {"display_name": None}))["display_name"] is None
    assert (await admin.ok("PATCH", path("agent-one"), {"display_name": "A"}))["display_name"] == "A"


async def test_a_paused_identity_keeps_its_channels(admin: Api) -> None:
    await admin.identity("agent-one")
    paused = await admin.ok("PATCH", path("agent-one"), {"status": "paused"})
    assert paused["status"] == "paused"
    assert paused["mailbox"] is not None
    assert (await admin.ok("PATCH", path("agent-one"), {"status": "active"}))["status"] == "active"
    for status in ("deleted", "asleep"):
        assert (await admin.call("PATCH", path("agent-one"), {"status": status})).status == 422
    assert (await admin.ok("GET", path("agent-one")))["status"] == "active"


async def test_a_rename_takes_the_tunnel_along_and_leaves_the_address(admin: Api) -> None:
    await admin.identity("old-name")
    renamed = await admin.ok("PATCH", path("old-name"), {"agent_handle": "@New-Name"})
    assert renamed["agent_handle"] == renamed["tunnel"]["tunnel_name"] == "new-name"
    assert renamed["tunnel"]["public_host"].startswith("new-name.")
    assert renamed["email_address"] == "old-name@inkboxmail.com"
    assert (await admin.call("GET", path("old-name"))).status == 404
    reply = await admin.call("POST", IDENTITIES, {"agent_handle": "old-name"})
    assert (reply.status, reply.body["detail"]["blocking_namespace"]) == (409, "mail")
    assert (await admin.ok("PATCH", path("new-name"), {"agent_handle": "old-name"}))[
        "agent_handle"
    ] == "old-name"


async def test_a_rename_to_a_taken_or_bad_name_changes_nothing(admin: Api) -> None:
    await admin.identity("agent-one")
    await admin.identity("agent-two")
    body = {"agent_handle": "agent-two", "description": "changed"}
    assert (await admin.call("PATCH", path("agent-one"), body)).status == 409
    assert (await admin.call("PATCH", path("agent-one"), {**body, "agent_handle": "a"})).status == 422
    assert (await admin.ok("GET", path("agent-one")))["description"] is None


async def test_filter_modes_of_all_channels_and_directions(admin: Api) -> None:
    await admin.identity("agent-one", phone_number={})
    for name in ("mail", "phone", "slack"):
        changed = await admin.ok("PATCH", path("agent-one"), {f"{name}_filter_mode": "whitelist"})
        for field in (f"{name}_filter_mode", f"{name}_inbound_filter_mode", f"{name}_outbound_filter_mode"):
            assert changed[field] == "whitelist", field
        changed = await admin.ok("PATCH", path("agent-one"), {f"{name}_inbound_filter_mode": "blacklist"})
        assert changed[f"{name}_inbound_filter_mode"] == "blacklist"
        assert changed[f"{name}_outbound_filter_mode"] == "whitelist"
    assert changed["mailbox"]["inbound_filter_mode"] == "blacklist"
    assert changed["mailbox"]["outbound_filter_mode"] == "whitelist"
    assert changed["phone_number"]["outbound_filter_mode"] == "whitelist"
    assert changed["mailbox"]["filter_mode_change_notice"] is None


async def test_phone_and_imessage_have_one_mode(admin: Api) -> None:
    await admin.identity("agent-one")
    changed = await admin.ok("PATCH", path("agent-one"), {"imessage_filter_mode": "whitelist"})
    assert changed["imessage_filter_mode"] == changed["phone_filter_mode"] == "whitelist"
    both = {"imessage_filter_mode": "blacklist", "phone_filter_mode": "whitelist"}
    assert (await admin.call("PATCH", path("agent-one"), both)).status == 422
    mixed = {"mail_filter_mode": "whitelist", "mail_inbound_filter_mode": "whitelist"}
    assert (await admin.call("PATCH", path("agent-one"), mixed)).status == 422


async def test_an_agent_changes_itself_but_no_filter_and_nobody_else(admin: Api) -> None:
    one, two = await admin.identity("agent-one"), await admin.identity("agent-two")
    agent = await admin.agent(one["id"])
    assert (await agent.ok("PATCH", path("agent-one"), {"description": "me"}))["description"] == "me"
    for body in ({"mail_filter_mode": "whitelist"}, {"imessage_filter_mode": "whitelist"}):
        assert (await agent.call("PATCH", path("agent-one"), body)).status == 403
    assert (await agent.call("PATCH", path("agent-one"), {"imessage_number_id": None})).status == 403
    assert (await agent.call("PATCH", path("agent-two"), {"description": "x"})).status == 404
    await admin.ok("POST", path("agent-two", "access"), {"viewer_identity_id": one["id"]})
    assert (await agent.call("PATCH", path("agent-two"), {"description": "x"})).status == 403
    for method, place in (("POST", IDENTITIES), ("DELETE", path("agent-one"))):
        reply = await agent.call(method, place, {"agent_handle": "agent-three"})
        assert reply.status == 403
        assert "admin API key" in reply.body["detail"]
    assert two["agent_handle"] in [row["agent_handle"] for row in await agent.ok("GET", IDENTITIES)]


async def test_deleting_takes_everything_along(admin: Api) -> None:
    created = await admin.identity("agent-one", phone_number={})
    agent = await admin.agent(created["id"])
    assert (await agent.call("GET", "/api/whoami")).status == 200
    assert (await admin.call("DELETE", path("agent-one"))).status == 204
    assert (await agent.call("GET", "/api/whoami")).status == 401
    assert (await admin.call("GET", path("agent-one"))).status == 404
    assert (await admin.call("DELETE", path("agent-one"))).status == 404
    assert (await admin.call("GET", f"/api/v1/mail/mailboxes/{created['email_address']}")).status == 404
    assert await admin.ok("GET", IDENTITIES) == []
    again = await admin.identity("agent-one")
    assert again["id"] != created["id"]
    assert again["phone_number"] is None


async def test_a_number_can_be_given_back_once(admin: Api) -> None:
    await admin.identity("agent-one", phone_number={})
    assert (await admin.call("DELETE", path("agent-one", "phone_number"))).status == 204
    assert (await admin.ok("GET", path("agent-one")))["phone_number"] is None
    assert (await admin.call("DELETE", path("agent-one", "phone_number"))).status == 404


async def test_a_new_number_may_text_when_the_carriers_are_done(sandbox: Sandbox, admin: Api) -> None:
    number = (await admin.identity("agent-one", phone_number={}))["phone_number"]
    assert (number["sms_status"], number["sms_ready_at"]) == ("pending", None)
    sandbox.clock.advance(15 * 60)
    number = (await admin.ok("GET", path("agent-one")))["phone_number"]
    assert number["sms_status"] == "ready"
    assert number["sms_ready_at"] > number["created_at"]


async def test_plan_limits(admin: Api) -> None:
    await admin.sandbox.world.update_organization(limits={"identities": 2, "phone_numbers": 1})
    await admin.identity("agent-one", phone_number={})
    reply = await admin.call("POST", IDENTITIES, {"agent_handle": "agent-two", "phone_number": {}})
    assert (reply.status, reply.body["detail"]) == (402, "Plan limit of 1 phone numbers reached.")
    await admin.identity("agent-two")
    reply = await admin.call("POST", IDENTITIES, {"agent_handle": "agent-three"})
    assert (reply.status, reply.body["detail"]) == (402, "Plan limit of 2 identities reached.")
    await (await admin.organization()).identity("agent-three")
    await admin.sandbox.world.update_organization(limits={"identities": None})
    await admin.identity("agent-four")


async def test_an_update_under_a_key_happens_once(sandbox: Sandbox, admin: Api) -> None:
    await admin.identity("agent-one")
    headers = {"Idempotency-Key": "change-1"}

    async def change(name: str) -> tuple[int, JSON]:
        reply = await admin.call("PATCH", path("agent-one"), {"display_name": name}, headers=headers)
        return reply.status, reply.body

    first = await change("A")
    await admin.ok("PATCH", path("agent-one"), {"display_name": "B"})
    assert await change("A") == first, "the answer of then"
    assert (await admin.ok("GET", path("agent-one")))["display_name"] == "B", "nothing happened again"
    status, body = await change("C")
    assert (status, body["detail"]["error"]) == (409, "idempotency_key_reused")
    sandbox.clock.advance(7 * 86400 + 1)
    assert (await change("C"))[0] == 200, "after seven days the key is forgotten"
    for key in ("", " ", "x" * 256, "naïve"):
        reply = await admin.call("PATCH", path("agent-one"), {}, headers={"Idempotency-Key": key})
        assert reply.problem == (["header", "Idempotency-Key"], "value_error")


async def test_a_dedicated_line_is_not_in_the_plan(admin: Api) -> None:
    await admin.identity("agent-one")
    reply = await admin.call("PATCH", path("agent-one"), {"claim_imessage_number": True})
    assert reply.problem == (["header", "Idempotency-Key"], "missing")
    headers = {"Idempotency-Key": "claim-1"}
    reply = await admin.call("PATCH", path("agent-one"), {"claim_imessage_number": True}, headers=headers)
    assert (reply.status, reply.body["detail"]["error"]) == (402, "dedicated_imessage_number_quota_exceeded")
    line = {"imessage_number_id": "0e6e8f4e-4a56-4b7e-9c0f-0a1b2c3d4e5f"}
    assert (await admin.call("PATCH", path("agent-one"), line)).status == 404
    assert (await admin.call("PATCH", path("agent-one"), {"imessage_number_id": None})).status == 200
