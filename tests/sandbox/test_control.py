"""The control API over HTTP, and who may use it."""

from __future__ import annotations

import pytest

from inkbox_async.sandbox import Sandbox
from inkbox_async.sandbox.handling import ApiError

from .conftest import Api

CONTROL = "/_sandbox"


async def test_health_needs_no_key(admin: Api) -> None:
    assert await admin.with_key(None).ok("GET", f"{CONTROL}/health") == {"status": "ok"}


async def test_organizations_are_fresh_and_apart(sandbox: Sandbox, admin: Api) -> None:
    created = await admin.ok("POST", f"{CONTROL}/organizations", {})
    assert set(created) == {"organization_id", "api_key", "user_id", "email_address", "password"}
    assert created["organization_id"] != sandbox.organization_id
    other = admin.with_key(created["api_key"])
    assert (await other.ok("GET", "/api/whoami"))["organization_id"] == created["organization_id"]
    assert await other.ok("GET", "/api/v1/identities/") == []
    assert (await admin.call("POST", f"{CONTROL}/organizations")).status == 201, "the body may be left out"


async def test_limits_and_campaign_are_changed_one_by_one(sandbox: Sandbox, admin: Api) -> None:
    path = f"{CONTROL}/organizations/{sandbox.organization_id}"
    settings = await admin.ok("PATCH", path, {"limits": {"identities": 3}})
    assert settings["customer_campaign"] is False
    assert settings["limits"]["identities"] == 3
    assert settings["limits"]["mail_sends_per_day"] == 500
    settings = await admin.ok(
        "PATCH", path, {"customer_campaign": True, "limits": {"mail_sends_per_day": None}}
    )
    assert settings["customer_campaign"] is True
    assert settings["limits"]["identities"] == 3
    assert settings["limits"]["mail_sends_per_day"] is None
    assert (await admin.call("PATCH", path, {"limits": {"unicorns": 1}})).status == 422
    assert (await admin.call("PATCH", path, {"limits": {"identities": -1}})).status == 422
    assert (await admin.call("PATCH", f"{CONTROL}/organizations/org_none", {})).status == 404


async def test_the_clock_is_moved(sandbox: Sandbox, admin: Api) -> None:
    before = sandbox.clock.now()
    now = (await admin.ok("POST", f"{CONTROL}/clock", {"advance_seconds": 86400}))["now"]
    assert now > before.isoformat()
    assert (sandbox.clock.now() - before).days == 1
    for wrong in (-1, 1e300, 1e12, 1e11 * 3):
        assert (await admin.call("POST", f"{CONTROL}/clock", {"advance_seconds": wrong})).status == 422
    assert (sandbox.clock.now() - before).days == 1, "the clock stays as it was, and goes on"


@pytest.mark.parametrize(
    ("field", "outcome"),
    [
        ("to", {"channel": "call", "to": "(415) 555-1234", "outcome": "busy"}),
        ("to", {"channel": "imessage", "to": "ada@", "outcome": "error"}),
        ("party", {"script": [{"party": "caller", "text": "Hello"}]}),
        ("text", {"script": [{"party": "local", "text": ""}, {"party": "remote", "text": " "}]}),
    ],
)
async def test_outcomes_that_nothing_could_meet_are_refused(
    admin: Api, field: str, outcome: dict[str, object]
) -> None:
    body = {"channel": "call", "to": "+15551234567", "outcome": "answered", **outcome}
    reply = await admin.call("POST", f"{CONTROL}/outcomes", body)
    assert reply.status == 422
    assert field in reply.body["detail"][0]["loc"]


async def test_faults_are_ordered_and_forgotten(admin: Api) -> None:
    fault = await admin.ok("POST", f"{CONTROL}/faults", {"path": "/api/whoami", "status": 503, "times": None})
    assert fault == {
        "id": 1,
        "method": None,
        "path": "/api/whoami",
        "status": 503,
        "headers": {},
        "body": None,
        "delay_seconds": 0.0,
        "drop": False,
        "times": None,
    }
    assert (await admin.call("GET", "/api/whoami")).status == 503
    assert (await admin.call("GET", f"{CONTROL}/health")).status == 200, "the control API has no faults"
    assert (await admin.call("DELETE", f"{CONTROL}/faults")).status == 204
    assert (await admin.call("GET", "/api/whoami")).status == 200
    assert (await admin.call("POST", f"{CONTROL}/faults", {"path": "/api/*"})).problem[0] == ["body"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "clock"),
        ("POST", "domains"),
        ("POST", "emails"),
        ("POST", "faults"),
        ("POST", "outcomes"),
        ("PATCH", "organizations/any"),
    ],
)
async def test_a_body_of_another_media_type_is_refused(admin: Api, method: str, path: str) -> None:
    for kind in ("text/plain", "application/xml", "multipart/form-data; boundary=x"):
        reply = await admin.call(
            method, f"{CONTROL}/{path}", data=b'{"status": 503}', headers={"Content-Type": kind}
        )
        assert reply.problem == (["body"], "media_type"), kind


async def test_numbers_too_large_to_store_are_the_senders_fault(admin: Api) -> None:
    outcome = {"channel": "mail", "to": "ann@example.com", "outcome": "bounced", "times": 10**30}
    assert (await admin.call("POST", f"{CONTROL}/outcomes", outcome)).status == 422


async def test_the_journal_shows_api_calls_only(sandbox: Sandbox, admin: Api) -> None:
    await admin.call("GET", "/api/whoami")
    await admin.call("GET", f"{CONTROL}/health")
    (entry,) = await admin.ok("GET", f"{CONTROL}/requests")
    assert (entry["method"], entry["path"], entry["status"]) == ("GET", "/api/whoami", 200)
    assert sandbox.api_key not in str(entry)


async def test_domains_are_given_to_organizations(sandbox: Sandbox, admin: Api) -> None:
    other = await sandbox.world.create_organization()
    body = {"domain": "münchen.example", "status": "verified", "organization_id": other.organization_id}
    domain = await admin.ok("POST", f"{CONTROL}/domains", body)
    assert domain["domain"] == "xn--mnchen-3ya.example"
    assert await admin.ok("GET", "/api/v1/domains/") == []
    assert len(await admin.with_key(other.api_key).ok("GET", "/api/v1/domains/")) == 1
    for wrong, status in (
        ({"domain": "no domain"}, 422),
        ({"domain": "inkboxmail.com"}, 422),
        ({"status": "great"}, 422),
        ({"organization_id": "org_none"}, 404),
    ):
        assert (await admin.call("POST", f"{CONTROL}/domains", {**body, **wrong})).status == status


async def test_reset_over_http(sandbox: Sandbox, admin: Api) -> None:
    await admin.identity("agent-one")
    assert (await admin.call("POST", f"{CONTROL}/reset")).status == 204
    assert await admin.ok("GET", "/api/v1/identities/") == []


async def test_wrong_input_is_refused_from_python_as_over_http(sandbox: Sandbox) -> None:
    with pytest.raises(ApiError, match="422"):
        await sandbox.world.add_domain("mail.example.com", "splendid")
    with pytest.raises(ApiError, match="422"):
        await sandbox.world.outbox("pigeon")
    with pytest.raises(ApiError, match="404"):
        await sandbox.world.update_organization("org_none", customer_campaign=True)
