"""Tapbacks: the operation that sends one, and how a message bears them."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Row
from uuid import uuid4

from inkbox_async.generated.models.imessage import (
    IMessageReaction,
    IMessageReactionType,
    SendIMessageReactionRequest,
)
from inkbox_async.sandbox.handling import Call, handles, invalid, not_found
from inkbox_async.sandbox.imessage.contact_rules import verdict_on
from inkbox_async.sandbox.imessage.gates import open_conversation
from inkbox_async.sandbox.imessage.rows import SELECT_MESSAGES, show_reaction
from inkbox_async.sandbox.rules import OUTBOUND, recipient_blocked
from inkbox_async.sandbox.store import Tx


@handles("imessages.send_reaction")
def send_reaction(call: Call) -> IMessageReaction:
    """Put the agent's tapback on a message."""
    body: SendIMessageReactionRequest = call.body
    if body.reaction is IMessageReactionType.CUSTOM:
        raise invalid("An emoji of one's own can only be received", "body", "reaction", kind="enum")
    message = _message_of(call, str(body.message_id))
    conversation, identity = open_conversation(call, message["conversation_id"])
    verdict = verdict_on(call.tx, identity, conversation["remote_number"], OUTBOUND)
    if not verdict.is_allowed:
        raise recipient_blocked(conversation["remote_number"], verdict)
    reaction = put_reaction(
        call.tx,
        call.now,
        message,
        assignment_id=conversation["assignment_id"],
        direction=OUTBOUND,
        reaction=str(body.reaction),
        part_index=body.part_index,
    )
    return show_reaction(reaction, message)


def put_reaction(
    tx: Tx,
    now: datetime,
    message: Row,
    *,
    assignment_id: str,
    direction: str,
    reaction: str,
    custom_emoji: str | None = None,
    part_index: int = 0,
) -> Row:
    """Store a tapback in the place of the one that the same side had put on the same part."""
    tx.execute(
        "DELETE FROM imessage_reactions WHERE message_id = ? AND part_index = ? AND direction = ?",
        message["id"],
        part_index,
        direction,
    )
    reaction_id = uuid4()
    tx.insert(
        "imessage_reactions",
        id=reaction_id,
        message_id=message["id"],
        assignment_id=assignment_id,
        direction=direction,
        reaction=reaction,
        custom_emoji=custom_emoji,
        part_index=part_index,
        created_at=now,
    )
    row = tx.one("SELECT * FROM imessage_reactions WHERE id = ?", reaction_id)
    assert row is not None
    return row


def _message_of(call: Call, message_id: str) -> Row:
    own = call.caller.identity_id
    row = call.tx.one(
        f"{SELECT_MESSAGES} WHERE m.id = ? AND i.organization_id = ? AND i.status <> 'deleted' "
        "AND (? IS NULL OR (c.identity_id = ? AND NOT m.is_blocked))",
        message_id,
        call.caller.organization_id,
        own,
        own,
    )
    if row is None:
        raise not_found("Message")
    return row
