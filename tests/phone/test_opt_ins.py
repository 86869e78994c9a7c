"""The registry of consent through the front door."""

from __future__ import annotations

import pytest

from inkbox_async import AgentIdentity, AsyncInkbox, InkboxAPIError, SmsOptInSource, SmsOptInStatus
from inkbox_async.sandbox import Sandbox

from .conftest import ANN, BOB, Api, text


async def test_people_are_listed_by_their_latest_word(
    agent: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    for person, word in ((ANN, "START"), (BOB, "START"), (ANN, "STOP")):
        await text(inkbox_sandbox, agent, word, sender=person)
    ann, bob = await inkbox.sms_opt_ins.list()
    assert (ann.receiver_number, ann.status, ann.source) == (ANN, "opted_out", SmsOptInSource.SMS)
    assert (ann.opted_in_at, bob.opted_out_at) == (None, None)
    assert ann.opted_out_at == ann.updated_at
    assert bob.opted_in_at is not None
    assert ann.created_at < ann.updated_at
    out = await inkbox.sms_opt_ins.list(status=SmsOptInStatus.OPTED_OUT)
    assert [row.receiver_number for row in out] == [ANN]
    assert [row.receiver_number for row in await inkbox.sms_opt_ins.list(limit=1, offset=1)] == [BOB]
    assert (await inkbox.sms_opt_ins.get(ANN)).id == ann.id
    with pytest.raises(InkboxAPIError, match="422"):
        await inkbox.sms_opt_ins.list(limit=201)


async def test_nothing_known_is_404(inkbox: AsyncInkbox) -> None:
    with pytest.raises(InkboxAPIError) as missing:
        await inkbox.sms_opt_ins.get(ANN)
    assert missing.value.status_code == 404
    with pytest.raises(InkboxAPIError, match="422"):
        await inkbox.sms_opt_ins.get("nobody")


async def test_writing_needs_a_campaign_of_one_s_own(
    agent: AgentIdentity, inkbox: AsyncInkbox, inkbox_sandbox: Sandbox
) -> None:
    for write in (inkbox.sms_opt_ins.opt_in, inkbox.sms_opt_ins.opt_out):
        with pytest.raises(InkboxAPIError) as refused:
            await write(ANN)
        detail = refused.value.detail
        assert isinstance(detail, dict)
        assert (refused.value.status_code, detail["error"]) == (409, "customer_campaign_required")
    assert await inkbox.sms_opt_ins.list() == []
    await inkbox_sandbox.world.update_organization(customer_campaign=True)
    row = await inkbox.sms_opt_ins.opt_in(ANN)
    assert (row.status, row.source) == ("opted_in", SmsOptInSource.API)
    assert (await agent.send_text(to=ANN, text="Hello")).delivery_status == "queued"
    out = await inkbox.sms_opt_ins.opt_out(ANN)
    assert (out.id, out.status, out.opted_in_at) == (row.id, "opted_out", None)
    with pytest.raises(InkboxAPIError, match="recipient_opted_out"):
        await agent.send_text(to=ANN, text="Hello")
    written = await inkbox_sandbox.store.run(lambda tx: tx.value("SELECT count(*) FROM sms_opt_in_audit"))
    assert written == 2, "each write through the API is on record"


async def test_it_is_the_admin_s_and_the_organization_s(
    agent: AgentIdentity, inkbox_sandbox: Sandbox, api: Api
) -> None:
    await text(inkbox_sandbox, agent, "START")
    caller = await api.agent_of(agent)
    for method, path in (
        ("GET", "/phone/sms-opt-ins"),
        ("GET", f"/phone/sms-opt-ins/{ANN}"),
        ("POST", f"/phone/sms-opt-ins/{ANN}/opt-out"),
    ):
        assert (await caller.call(method, path)).status == 403, path
    stranger = await api.other_organization()
    assert await stranger.ok("GET", "/phone/sms-opt-ins") == []
    assert (await stranger.call("GET", f"/phone/sms-opt-ins/{ANN}")).status == 404
