"""What is refused before anything is sent, because no server would take it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest

from inkbox_async import AsyncInkbox, ContactRuleDirection, ForwardMode, ThreadFolder

from .conftest import KEY
from .servers import Answer, Server

MAIL = "sales-agent@inkboxmail.com"
ID = UUID("11111111-2222-4333-8444-555555555555")
LINE = UUID("66666666-7777-4888-9999-aaaaaaaaaaaa")
RULE = {
    "id": str(ID),
    "action": "allow",
    "match_type": "domain",
    "match_target": "example.com",
    "created_at": "2026-06-01T12:00:00Z",
    "updated_at": "2026-06-01T12:00:00Z",
}

Call = Callable[[AsyncInkbox], Awaitable[Any]]

REFUSED: dict[str, tuple[Call, str]] = {
    "thread to blocked": (
        lambda c: c.threads.update(MAIL, ID, folder=ThreadFolder.BLOCKED),
        "folder='blocked'",
    ),
    "thread to blocked text": (lambda c: c.threads.update(MAIL, ID, folder="blocked"), "folder='blocked'"),
    "forward": (lambda c: c.messages.forward(MAIL, ID, to=["a@example.com"], mode="quoted"), "mode must be"),
    "forward none": (lambda c: c.messages.forward(MAIL, ID, mode=None), "mode must be"),  # type: ignore[arg-type]
    "line claimed falsely": (
        lambda c: c.identities.update("sales", claim_imessage_number=False),
        "claim_imessage_number can only be True",
    ),
    "line claimed without a key": (
        lambda c: c.identities.update("sales", claim_imessage_number=True),
        "needs an idempotency_key",
    ),
    "line claimed and attached": (
        lambda c: c.identities.update(
            "sales", claim_imessage_number=True, imessage_number_id=LINE, idempotency_key="k"
        ),
        "not both",
    ),
    "line without iMessage": (
        lambda c: c.identities.update("sales", imessage_enabled=False, imessage_number_id=LINE),
        "do not pass imessage_enabled=False",
    ),
    "line at creation without iMessage": (
        lambda c: c.create_identity("sales", claim_imessage_number=True),
        "needs imessage_enabled=True",
    ),
    "two phone modes": (
        lambda c: c.identities.update(
            "sales", imessage_filter_mode="whitelist", phone_filter_mode="blacklist"
        ),
        "one setting",
    ),
    "mode of one and of both directions": (
        lambda c: c.identities.update(
            "sales", mail_filter_mode="whitelist", mail_inbound_filter_mode="blacklist"
        ),
        "mail_inbound_filter_mode or the mode of both",
    ),
    "mode of one direction and of iMessage": (
        lambda c: c.identities.update(
            "sales", imessage_filter_mode="whitelist", phone_outbound_filter_mode="whitelist"
        ),
        "phone_outbound_filter_mode or the mode of both",
    ),
    "no mode": (
        lambda c: c.identities.update("sales", phone_inbound_filter_mode="greylist"),
        "phone_inbound_filter_mode must be",
    ),
    "no Slack mode": (
        lambda c: c.identities.update("sales", slack_filter_mode="greylist"),
        "slack_filter_mode must be",
    ),
}


def _rule_calls(channel: str, owner: str) -> dict[str, tuple[Call, str]]:
    def rules(client: AsyncInkbox) -> Any:
        return getattr(client, f"{channel}_contact_rules")

    return {
        f"{channel} list": (lambda c: rules(c).list(owner, direction="up"), "direction must be"),
        f"{channel} list all": (lambda c: rules(c).list_all(direction="up"), "direction must be"),
        f"{channel} create": (
            lambda c: rules(c).create(owner, action="allow", match_target="+15550100001", direction="up"),
            "direction must be",
        ),
        f"{channel} direction": (lambda c: rules(c).update(owner, ID, direction="up"), "direction must be"),
        f"{channel} no side": (
            lambda c: rules(c).update(owner, ID, action="allow", apply_to=ContactRuleDirection.BOTH),
            "apply_to must be",
        ),
        f"{channel} side alone": (lambda c: rules(c).update(owner, ID, apply_to="inbound"), "with action"),
        f"{channel} side and direction": (
            lambda c: rules(c).update(owner, ID, action="allow", apply_to="inbound", direction="both"),
            "without direction",
        ),
    }


for _channel, _owner in (("mail", MAIL), ("phone", str(ID)), ("imessage", "sales")):
    REFUSED |= _rule_calls(_channel, _owner)


@pytest.mark.parametrize(("call", "says"), REFUSED.values(), ids=REFUSED)
async def test_refused_before_anything_is_sent(server: Server, call: Call, says: str) -> None:
    async with AsyncInkbox(KEY, base_url=server.url) as client:
        with pytest.raises(ValueError, match=says):
            await call(client)

    assert server.seen == []


@pytest.mark.parametrize("mode", [ForwardMode.WRAPPED, "inline"])
async def test_a_mode_is_a_member_or_its_text(server: Server, mode: ForwardMode | str) -> None:
    server.answers = [Answer(404, {"detail": "no such message"})]
    async with AsyncInkbox(KEY, base_url=server.url) as client:
        with pytest.raises(Exception, match="no such message"):
            await client.messages.forward(MAIL, ID, to=["a@example.com"], mode=mode)

    assert server.seen[0].json["mode"] == str(mode)


async def test_one_side_of_a_rule(server: Server) -> None:
    server.answers = [Answer(body={**RULE, "mailbox_id": str(LINE)})]
    async with AsyncInkbox(KEY, base_url=server.url) as client:
        await client.mail_contact_rules.update(MAIL, ID, action="allow", apply_to="outbound")
        await client.mail_contact_rules.update(MAIL, ID, direction=ContactRuleDirection.BOTH)

    assert [seen.json for seen in server.seen] == [
        {"action": "allow", "apply_to": "outbound"},
        {"direction": "both"},
    ]
