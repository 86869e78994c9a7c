"""API keys, whoami, sign-up and claim, signing keys, sending domains."""

from __future__ import annotations

import base64
import email
import email.policy

import pytest

from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.handling import ApiError
from inkbox_async.sandbox.signing_keys import signing_secret

from .conftest import JSON, Api

KEYS = "/api/v1/api-keys"
SIGNUP = "/api/v1/agent-signup"
DAY = 86400.0


async def test_an_admin_key_makes_keys_of_identities(sandbox: Sandbox, admin: Api) -> None:
    identity = await admin.identity("agent-one")
    body = {"label": "worker", "description": "for tests", "scoped_identity_id": identity["id"]}
    created = await admin.ok("POST", KEYS, body)
    record, secret = created["record"], created["api_key"]
    assert secret.startswith(record["id"] + ".")
    assert secret.endswith(record["last4"])
    assert record["display_prefix"] == record["id"][:15]
    assert (record["label"], record["description"]) == ("worker", "for tests")
    assert record["scoped_identity_id"] == identity["id"]
    assert record["organization_id"] == sandbox.organization_id
    assert (record["status"], record["creator_type"]) == ("active", "human")
    assert record["last_used_at"] is None
    whoami = await admin.with_key(secret).ok("GET", "/api/whoami")
    assert whoami["auth_subtype"] == "api_key.agent_scoped.claimed"
    assert whoami["scope"] == f"agent_identity:{identity['id']}"
    assert whoami["key_id"] == record["id"]
    assert whoami["last_used_at"] is not None
    assert secret not in str(
        await sandbox.store.run(lambda tx: [tuple(r) for r in tx.all("SELECT * FROM api_keys")])
    )


async def test_keys_that_may_not_be_made(admin: Api) -> None:
    identity = await admin.identity("agent-one")
    elsewhere = await (await admin.organization()).identity("elsewhere")
    agent = await admin.agent(identity["id"])
    scoped = {"label": "x", "scoped_identity_id": identity["id"]}
    assert (await admin.call("POST", KEYS, {"label": "x"})).status == 403
    assert (await agent.call("POST", KEYS, scoped)).status == 403
    assert (await admin.call("POST", KEYS, {**scoped, "scoped_identity_id": elsewhere["id"]})).status == 404
    assert (await admin.call("POST", KEYS, {**scoped, "label": ""})).status == 422
    assert (await admin.call("POST", KEYS, {**scoped, "label": "x" * 256})).status == 422
    assert (await admin.call("POST", KEYS, {**scoped, "description": "x" * 1001})).status == 422


async def test_a_console_session_is_a_person_and_may_make_admin_keys(sandbox: Sandbox, admin: Api) -> None:
    session = {"Authorization": f"Bearer {sandbox.api_key}"}
    person = admin.with_key(None)
    whoami = (await person.call("GET", "/api/whoami", headers=session)).body
    assert whoami["auth_type"] == "jwt"
    assert whoami["organization_id"] == sandbox.organization_id
    assert whoami["user_id"] == sandbox.home.user_id
    created = (await person.call("POST", KEYS, {"label": "root"}, headers=session)).body
    second = await admin.with_key(created["api_key"]).ok("GET", "/api/whoami")
    assert second["auth_subtype"] == "api_key.admin_scoped"
    assert second["scope"] == f"organization:{sandbox.organization_id}"


async def sign_up(admin: Api, **fields: JSON) -> tuple[JSON, Api]:
    body = {"human_email": "Owner@Example.com", "note_to_human": "I answer mail", **fields}
    answer = await admin.with_key(None).ok("POST", SIGNUP, body)
    return answer, admin.with_key(answer["api_key"])


async def test_signing_up_makes_an_unclaimed_agent_in_an_organization_of_its_own(
    sandbox: Sandbox, admin: Api
) -> None:
    answer, agent = await sign_up(
        admin, agent_handle="@demo-agent", display_name="Demo", harness=" Claude-Code "
    )
    assert answer["agent_handle"] == "demo-agent"
    assert answer["email_address"] == "demo-agent@inkboxmail.com"
    assert answer["organization_id"].startswith("org_agent_")
    assert (answer["claim_status"], answer["human_email"]) == ("agent_unclaimed", "owner@example.com")
    whoami = await agent.ok("GET", "/api/whoami")
    assert whoami["auth_subtype"] == "api_key.agent_scoped.unclaimed"
    assert (whoami["creator_type"], whoami["organization_id"]) == ("agent", answer["organization_id"])
    (identity,) = await agent.ok("GET", "/api/v1/identities/")
    assert identity["display_name"] == "Demo"
    assert (await admin.call("GET", "/api/v1/identities/demo-agent")).status == 404
    status = await agent.ok("GET", f"{SIGNUP}/status")
    assert status["human_state"] == "human_no_account"
    assert status["restrictions"] == {
        "max_sends_per_day": 10,
        "allowed_recipients": ["owner@example.com"],
        "can_receive": True,
        "can_create_mailboxes": False,
    }


async def test_the_human_gets_the_code_by_mail(sandbox: Sandbox, admin: Api) -> None:
    await sign_up(admin, agent_handle="demo-agent")
    code = await sandbox.world.signup_code("owner@example.com")
    (item,) = await sandbox.world.outbox("mail")
    assert (item.to, item.organization_id) == (["owner@example.com"], None)
    assert item.raw_base64 is not None
    mail = email.message_from_bytes(base64.b64decode(item.raw_base64), policy=email.policy.default)
    text = mail.get_content()
    assert code in text
    assert "I answer mail" in text
    assert "demo-agent@inkboxmail.com" in text
    with pytest.raises(ApiError, match="404"):
        await sandbox.world.signup_code("nobody@example.com")


async def test_the_code_claims_the_agent(sandbox: Sandbox, admin: Api) -> None:
    answer, agent = await sign_up(admin)
    code = await sandbox.world.signup_code("owner@example.com")
    verified = await agent.ok("POST", f"{SIGNUP}/verify", {"verification_code": f" {code} "})
    assert verified["claim_status"] == "agent_claimed"
    assert verified["organization_id"] == answer["organization_id"]
    assert (await agent.ok("GET", "/api/whoami"))["auth_subtype"] == "api_key.agent_scoped.claimed"
    status = await agent.ok("GET", f"{SIGNUP}/status")
    assert status["restrictions"]["allowed_recipients"] == []
    assert status["restrictions"]["max_sends_per_day"] == 500
    again = await agent.ok("POST", f"{SIGNUP}/verify", {"verification_code": code})
    assert again["claim_status"] == "agent_claimed"
    assert (await agent.ok("POST", f"{SIGNUP}/resend-verification"))["claim_status"] == "agent_claimed"


async def test_wrong_codes_count_until_a_new_one_is_sent(sandbox: Sandbox, admin: Api) -> None:
    _, agent = await sign_up(admin)
    code = await sandbox.world.signup_code("owner@example.com")
    wrong = "000000" if code != "000000" else "111111"
    for _ in range(5):
        assert (await agent.call("POST", f"{SIGNUP}/verify", {"verification_code": wrong})).status == 401
    for guess in (wrong, code):
        reply = await agent.call("POST", f"{SIGNUP}/verify", {"verification_code": guess})
        assert reply.status == 429
        assert int(reply.headers["Retry-After"]) > 0
    sandbox.clock.advance(301)
    assert (await agent.call("POST", f"{SIGNUP}/resend-verification")).status == 200
    fresh = await sandbox.world.signup_code("owner@example.com")
    assert (await agent.call("POST", f"{SIGNUP}/verify", {"verification_code": fresh})).status == 200


async def test_a_code_lives_for_48_hours(sandbox: Sandbox, admin: Api) -> None:
    _, agent = await sign_up(admin)
    code = await sandbox.world.signup_code("owner@example.com")
    sandbox.clock.advance(2 * DAY + 1)
    assert (await agent.call("POST", f"{SIGNUP}/verify", {"verification_code": code})).status == 410


async def test_codes_are_sent_again_every_five_minutes_at_most(sandbox: Sandbox, admin: Api) -> None:
    _, agent = await sign_up(admin)
    reply = await agent.call("POST", f"{SIGNUP}/resend-verification")
    assert reply.status == 429
    assert 0 < int(reply.headers["Retry-After"]) <= 301
    sandbox.clock.advance(int(reply.headers["Retry-After"]))
    assert (await agent.ok("POST", f"{SIGNUP}/resend-verification"))["claim_status"] == "agent_unclaimed"
    assert len(await sandbox.world.outbox("mail")) == 2


async def test_handles_of_agents_that_name_none(admin: Api) -> None:
    plain, _ = await sign_up(admin)
    named, _ = await sign_up(admin, display_name="  My  Größter Agent! ")
    assert plain["agent_handle"].startswith("agent-")
    assert named["agent_handle"].startswith("my-gr-ter-agent-")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"human_email": "nobody"}, 422),
        ({"human_email": "a@b@c.example"}, 422),
        ({"note_to_human": ""}, 422),
        ({"note_to_human": "x" * 2001}, 422),
        ({"agent_handle": "x"}, 422),
        ({"agent_handle": "demo", "email_local_part": "other"}, 422),
        ({"agent_handle": "taken"}, 409),
        ({"invitation_token": "a2ai_" + "x" * 43}, 201),
    ],
)
async def test_what_a_sign_up_may_say(admin: Api, fields: JSON, status: int) -> None:
    await admin.identity("taken")
    body = {"human_email": "owner@example.com", "note_to_human": "hi", **fields}
    assert (await admin.with_key(None).call("POST", SIGNUP, body)).status == status


async def test_one_human_cannot_be_flooded(admin: Api) -> None:
    for _ in range(10):
        await sign_up(admin)
    body = {"human_email": "owner@example.com", "note_to_human": "hi"}
    assert (await admin.with_key(None).call("POST", SIGNUP, body)).status == 429
    assert (await sign_up(admin, human_email="other@example.com"))[0]["claim_status"] == "agent_unclaimed"


async def test_agents_that_did_not_sign_up_have_no_sign_up(admin: Api) -> None:
    agent = await admin.agent((await admin.identity("agent-one"))["id"])
    assert (await agent.call("GET", f"{SIGNUP}/status")).status == 404
    assert (await admin.call("GET", f"{SIGNUP}/status")).status == 403


async def test_signing_keys_of_the_organization_and_of_identities(sandbox: Sandbox, admin: Api) -> None:
    identity = await admin.identity("agent-one")
    agent = await admin.agent(identity["id"])

    async def used() -> str | None:
        return await sandbox.store.run(lambda tx: signing_secret(tx, sandbox.organization_id, identity["id"]))

    assert await used() is None
    assert await admin.ok("GET", "/api/v1/signing-keys") == {"configured": False, "created_at": None}
    first = await admin.ok("POST", "/api/v1/signing-keys", {})
    assert first["signing_key"].startswith("whsec_")
    assert await used() == first["signing_key"]
    assert (await admin.ok("GET", "/api/v1/signing-keys"))["created_at"] == first["created_at"]
    second = await admin.ok("POST", "/api/v1/signing-keys", {})
    assert second["signing_key"] != first["signing_key"]
    assert await used() == second["signing_key"]
    assert (await agent.ok("GET", "/api/v1/signing-keys"))["configured"] is False
    own = await agent.ok("POST", "/api/v1/signing-keys", {})
    assert await used() == own["signing_key"], "an identity's own key comes first"
    path = "/api/v1/identities/agent-one/signing-key"
    for api in (admin, agent):
        assert await api.ok("GET", path) == {"configured": True, "created_at": own["created_at"]}
    rotated = await admin.ok("POST", path, {})
    assert await used() == rotated["signing_key"]
    shown = await admin.ok("GET", "/api/v1/identities/agent-one")
    assert shown["signing_key_configured"] is True
    assert shown["signing_key_created_at"] == rotated["created_at"]
    await admin.identity("agent-two")
    assert (await agent.call("GET", "/api/v1/identities/agent-two/signing-key")).status == 404


async def test_sending_domains(sandbox: Sandbox, admin: Api) -> None:
    await sandbox.world.add_domain("Mail.Example.COM", "pending")
    (domain,) = await admin.ok("GET", "/api/v1/domains/")
    assert domain["id"].startswith("sending_domain_")
    assert (domain["domain"], domain["status"], domain["is_default"]) == (
        "mail.example.com",
        "pending",
        False,
    )
    assert domain["verified_at"] is None
    default = "/api/v1/domains/mail.example.com/set-default"
    assert (await admin.call("POST", default, {})).status == 409
    await sandbox.world.add_domain("mail.example.com")
    await sandbox.world.add_domain("other.example", "degraded")
    assert await admin.ok("POST", default, {}) == {"default_domain": "mail.example.com"}
    listed = await admin.ok("GET", "/api/v1/domains/", status="verified")
    assert [(d["domain"], d["is_default"]) for d in listed] == [("mail.example.com", True)]
    assert listed[0]["verified_at"] is not None
    assert (await admin.identity("agent-one"))["email_address"] == "agent-one@mail.example.com"
    at_platform = await admin.identity("agent-two", mailbox={"sending_domain": None})
    assert at_platform["email_address"] == "agent-two@inkboxmail.com"
    platform = "/api/v1/domains/inkboxmail.com/set-default"
    assert await admin.ok("POST", platform, {}) == {"default_domain": None}
    assert (await admin.identity("agent-three"))["email_address"] == "agent-three@inkboxmail.com"
    assert (await admin.call("POST", "/api/v1/domains/unknown.example/set-default", {})).status == 404
    other = await admin.organization()
    assert await other.ok("GET", "/api/v1/domains/") == []
    assert (await other.call("POST", default, {})).status == 404


async def test_agents_see_domains_and_do_not_choose_them(sandbox: Sandbox, admin: Api) -> None:
    await sandbox.world.add_domain("mail.example.com")
    agent = await admin.agent((await admin.identity("agent-one"))["id"])
    assert len(await agent.ok("GET", "/api/v1/domains/")) == 1
    assert (await agent.call("POST", "/api/v1/domains/mail.example.com/set-default", {})).status == 403


async def test_a_default_domain_that_fails_is_no_default_any_more(sandbox: Sandbox, admin: Api) -> None:
    await sandbox.world.add_domain("mail.example.com")
    await admin.ok("POST", "/api/v1/domains/mail.example.com/set-default", {})
    await sandbox.world.add_domain("mail.example.com", "failed")
    assert (await admin.identity("agent-one"))["email_address"] == "agent-one@inkboxmail.com"
