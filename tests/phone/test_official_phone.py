"""Interoperability: the published synchronous client works on the sandbox, unchanged, over the phone."""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import inkbox
import pytest
from inkbox import InkboxAPIError, InkboxError

from inkbox_async.sandbox import Sandbox

from .conftest import ANN, BOB, REGISTRATION, Agent, echo, serving

T = TypeVar("T")
Client = Any  # Any: the published package has no stubs here
Run = Callable[..., Awaitable[Any]]


@pytest.fixture
def official(inkbox_sandbox: Sandbox) -> Run:
    """Runs a function with an official client, in a thread."""

    async def run(function: Callable[[Client], T]) -> T:
        def call() -> T:
            sandbox = inkbox_sandbox
            with inkbox.Inkbox(api_key=sandbox.api_key, base_url=sandbox.base_url) as client:
                return function(client)

        return await asyncio.to_thread(call)

    return run


async def test_numbers_and_rules(official: Run) -> None:
    def work(client: Client) -> None:
        identity = client.create_identity("sales-agent")
        with pytest.raises(InkboxError):
            identity.send_text(to=ANN, text="Hi")
        number = identity.provision_phone_number(type="local", state="NY")
        assert (number.state, number.sms_status, number.type) == ("NY", inkbox.SmsStatus.PENDING, "local")
        client.create_identity("other")
        free = client.phone_numbers.provision(agent_handle="other", type="toll_free")
        assert {row.id for row in client.phone_numbers.list()} == {number.id, free.id}
        hooked = client.phone_numbers.update(
            number.id, incoming_call_action="webhook", incoming_call_webhook_url="https://agent.example.com"
        )
        assert hooked.incoming_call_webhook_url == "https://agent.example.com"
        rules = client.phone_contact_rules
        rule = rules.create(
            number.id,
            action=inkbox.PhoneRuleAction.BLOCK,
            match_type=inkbox.PhoneRuleMatchType.EXACT_NUMBER,
            match_target=ANN,
        )
        with pytest.raises(inkbox.DuplicateContactRuleError) as duplicate:
            rules.create(number.id, action="allow", match_target=ANN)
        assert duplicate.value.existing_rule_id == rule.id
        assert rules.update(number.id, rule.id, status="paused").status == inkbox.ContactRuleStatus.PAUSED
        assert [row.id for row in rules.list(number.id, action="block", limit=10)] == [rule.id]
        assert [row.id for row in rules.list_all(phone_number_id=str(number.id))] == [rule.id]
        rules.update(number.id, rule.id, status="active")
        notice = client.phone_numbers.update(number.id, filter_mode="whitelist").filter_mode_change_notice
        assert (notice.redundant_rule_count, notice.redundant_rule_action) == (1, "block")
        rules.delete(number.id, rule.id)
        client.phone_numbers.release(free.id)
        identity.release_phone_number()
        assert client.phone_numbers.list() == []

    await official(work)


async def test_texts_and_consent(official: Run, inkbox_sandbox: Sandbox) -> None:
    number = await official(
        lambda client: client.create_identity("sales-agent").provision_phone_number().number
    )
    inkbox_sandbox.clock.advance(REGISTRATION)
    for person in (ANN, BOB):
        await inkbox_sandbox.world.send_text(from_=person, to=number, text="START")
    picture = "data:image/png;base64,iVBORw0KGgo="
    await inkbox_sandbox.world.send_text(from_=ANN, to=number, text="The invoice", media_urls=[picture])

    def work(client: Client) -> None:
        identity = client.get_identity("sales-agent")
        sent = identity.send_text(to=ANN, text="Hello")
        assert (sent.delivery_status, sent.type) == (inkbox.SmsDeliveryStatus.QUEUED, "sms")
        while (done := identity.get_text(str(sent.id))).delivery_status != "delivered":
            time.sleep(0.005)
        assert done.recipients[0].delivered_at is not None
        assert done.origin == inkbox.TextMessageOrigin.USER_INITIATED
        group = identity.send_text(to=[ANN, BOB], text="Hello group")
        reply = identity.send_text(conversation_id=group.conversation_id, text="Following up")
        assert (reply.conversation_id, len(reply.recipients)) == (group.conversation_id, 2)

        (picture_text,) = client.texts.search(identity.phone_number.id, q="invoice", limit=20)
        (media,) = picture_text.media
        with urllib.request.urlopen(media.url) as response:
            assert (response.headers["Content-Type"], len(response.read())) == ("image/png", media.size)
        conversations = identity.list_text_conversations(limit=20, include_groups=True)
        assert {(row.is_group, row.remote_phone_number) for row in conversations} == {
            (True, None),
            (False, ANN),
            (False, BOB),
        }
        assert identity.mark_text_read(str(picture_text.id)).is_read
        assert identity.mark_text_conversation_read(ANN).updated_count == 1
        assert [row.remote_phone_number for row in identity.list_texts(is_read=False)] == [BOB]
        assert identity.get_text_conversation(ANN, limit=1)[0].text == "Hello"

        registry = client.sms_opt_ins
        assert [row.receiver_number for row in registry.list(limit=50)] == [BOB, ANN]
        assert registry.list(status=inkbox.SmsOptInStatus.OPTED_OUT) == []
        assert registry.get(ANN).source == inkbox.SmsOptInSource.SMS
        with pytest.raises(InkboxAPIError) as refused:
            registry.opt_out(ANN)
        assert refused.value.detail["error"] == "customer_campaign_required"
        with pytest.raises(InkboxAPIError) as stranger:
            identity.send_text(to="+15550009999", text="Hi")
        assert stranger.value.detail["error"] == "recipient_not_opted_in"

    await official(work)


async def test_calls_and_transcripts(official: Run, inkbox_sandbox: Sandbox) -> None:
    script = [{"party": "remote", "text": "I want a refund."}]
    await inkbox_sandbox.world.set_outcome(channel="call", to=ANN, outcome="answered", script=script)
    async with serving(Agent(echo)) as agent:

        def work(client: Client) -> None:
            identity = client.create_identity("sales-agent")
            number = identity.provision_phone_number()
            call = identity.place_call(to_number=ANN, client_websocket_url=agent.url)
            assert (call.status, call.rate_limit.calls_remaining) == ("initiated", 99)
            while (done := client.calls.get(number.id, call.id)).ended_at is None:
                time.sleep(0.005)
            assert (done.status, done.hangup_reason, done.use_inkbox_tts) == ("completed", "remote", True)
            assert [row.id for row in identity.list_calls(limit=10, offset=0)] == [call.id]
            said = [(row.seq, row.party, row.text) for row in identity.list_transcripts(call.id)]
            assert said == [(0, "remote", "I want a refund."), (1, "local", "You said: I want a refund.")]
            assert len(client.transcripts.list(number.id, call.id)) == 2
            (hit,) = client.phone_numbers.search_transcripts(number.id, q="refund", party="remote", limit=50)
            assert hit.call_id == call.id

        await official(work)
