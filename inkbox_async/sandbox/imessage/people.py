"""People with an iPhone: what they text to the triage line and to agents, and the tapbacks they give."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Row
from uuid import uuid4

from inkbox_async.generated.models.imessage import IMessageReactionType
from inkbox_async.generated.models.sandbox import WorldIMessage, WorldIMessageResult
from inkbox_async.sandbox.controlling import ControlCall, controls
from inkbox_async.sandbox.e164 import check_number
from inkbox_async.sandbox.handles import normalise_handle
from inkbox_async.sandbox.handling import ApiError, invalid, not_found
from inkbox_async.sandbox.imessage import media, triage
from inkbox_async.sandbox.imessage.announcing import announce_message, announce_reaction
from inkbox_async.sandbox.imessage.assignments import active_assignment
from inkbox_async.sandbox.imessage.contact_rules import verdict_on
from inkbox_async.sandbox.imessage.conversations import conversation_with
from inkbox_async.sandbox.imessage.reactions import put_reaction
from inkbox_async.sandbox.imessage.rows import SELECT_MESSAGES
from inkbox_async.sandbox.rules import INBOUND
from inkbox_async.sandbox.settings import Settings
from inkbox_async.sandbox.store import Tx

MAX_EMOJI_LENGTH = 32
"""Code points; a family with skin tones has ten or so."""


@controls("control.send_imessage")
async def send_imessage(call: ControlCall) -> WorldIMessageResult:
    """A message or a tapback from a person."""
    body: WorldIMessage = call.body
    check_number(body.from_, "body", "from")
    sandbox = call.sandbox
    return await sandbox.store.run(lambda tx: _receive(tx, sandbox.clock.now(), sandbox.settings, body))


def _receive(tx: Tx, now: datetime, settings: Settings, body: WorldIMessage) -> WorldIMessageResult:
    if body.reaction is not None:
        return _receive_reaction(tx, now, body)
    if body.message_id is not None:
        raise invalid("Only a reaction is to a message", "body", "message_id")
    if not body.text and not body.media_urls:
        raise invalid("Give a text, media_urls or a reaction", "body", "text")
    text = body.text or ""
    if body.to == triage.TRIAGE_NUMBER or (body.to is None and triage.is_connect_command(text)):
        return _ask_triage(tx, now, body.from_, text)
    return _receive_message(tx, now, settings, body)


def _ask_triage(tx: Tx, now: datetime, number: str, text: str) -> WorldIMessageResult:
    reply = triage.answer(tx, now, number, text)
    assignment_id = conversation_id = None
    if reply.assignment is not None:
        assignment_id = reply.assignment["id"]
        conversation_id = tx.value(
            "SELECT id FROM imessage_conversations WHERE assignment_id = ?", assignment_id
        )
    return WorldIMessageResult(
        message_id=None,
        reaction_id=None,
        conversation_id=conversation_id,
        assignment_id=assignment_id,
        reply=reply.text,
    )


def _receive_message(tx: Tx, now: datetime, settings: Settings, body: WorldIMessage) -> WorldIMessageResult:
    assignment = _connection(tx, body.from_, body.to)
    identity = _reachable_identity(tx, assignment)
    files = [
        media.accepted(tx, now, settings, identity["organization_id"], url) for url in body.media_urls or ()
    ]
    conversation_id = conversation_with(tx, now, assignment)
    message_id = str(uuid4())
    is_allowed = verdict_on(tx, identity, body.from_, INBOUND).is_allowed
    tx.insert(
        "imessage_messages",
        id=message_id,
        conversation_id=conversation_id,
        assignment_id=assignment["id"],
        direction=INBOUND,
        content=body.text or None,
        media=files,
        status="received",
        is_blocked=not is_allowed,
        created_at=now,
        updated_at=now,
    )
    tx.update("imessage_conversations", conversation_id, updated_at=now)
    if is_allowed:
        announce_message(tx, now, settings, message_id, "imessage.received")
    return WorldIMessageResult(
        message_id=message_id,
        reaction_id=None,
        conversation_id=conversation_id,
        assignment_id=assignment["id"],
        reply=None,
    )


def _receive_reaction(tx: Tx, now: datetime, body: WorldIMessage) -> WorldIMessageResult:
    """A tapback of somebody whom contact rules keep out is not recorded."""
    if body.text or body.media_urls:
        raise invalid("A reaction stands alone", "body", "reaction")
    if body.message_id is None:
        raise invalid("A reaction needs the message that it is to", "body", "message_id", kind="missing")
    reaction, emoji = _tapback(body.reaction or "")
    message = tx.one(f"{SELECT_MESSAGES} WHERE m.id = ? AND c.remote_number = ?", body.message_id, body.from_)
    if message is None:
        raise not_found("Message of this person")
    assignment = active_assignment(tx, message["identity_id"], body.from_)
    if assignment is None:
        raise ApiError(409, f"{body.from_} is not connected any more.")
    reaction_id = None
    if verdict_on(tx, _reachable_identity(tx, assignment), body.from_, INBOUND).is_allowed:
        row = put_reaction(
            tx,
            now,
            message,
            assignment_id=assignment["id"],
            direction=INBOUND,
            reaction=reaction,
            custom_emoji=emoji,
        )
        announce_reaction(tx, now, row, message)
        reaction_id = row["id"]
    return WorldIMessageResult(
        message_id=None,
        reaction_id=reaction_id,
        conversation_id=message["conversation_id"],
        assignment_id=assignment["id"],
        reply=None,
    )


def _tapback(text: str) -> tuple[str, str | None]:
    """(reaction, emoji) of a tapback's name or of an emoji."""
    reaction = IMessageReactionType(text)
    if reaction.is_known and reaction is not IMessageReactionType.CUSTOM:
        return str(reaction), None
    if text.isascii() or len(text) > MAX_EMOJI_LENGTH or any(char.isspace() for char in text):
        names = ", ".join(
            str(kind) for kind in IMessageReactionType if kind is not IMessageReactionType.CUSTOM
        )
        raise invalid(f"Give an emoji or one of {names}", "body", "reaction")
    return str(IMessageReactionType.CUSTOM), text


def _connection(tx: Tx, number: str, to: str | None) -> Row:
    """The connection that a message belongs to: with the agent it names, or with the only one there is."""
    rows = tx.all(
        "SELECT a.*, i.agent_handle FROM imessage_assignments AS a "
        "JOIN identities AS i ON i.id = a.identity_id "
        "WHERE a.remote_number = ? AND a.status = 'active' ORDER BY a.created_at",
        number,
    )
    if to is not None:
        if not to.startswith("@"):
            raise ApiError(404, f"{to} is no line here: give the triage line, or the @handle of an agent.")
        rows = [row for row in rows if row["agent_handle"] == normalise_handle(to)]
    if not rows:
        whom = "any agent" if to is None else to
        raise ApiError(
            409,
            f"{number} is not connected with {whom}. Have them text '{triage.connect_command('handle')}'.",
        )
    if len(rows) > 1:
        handles = ", ".join(f"@{row['agent_handle']}" for row in rows)
        raise ApiError(409, f"{number} is connected with {handles}: name one of them as 'to'.")
    return rows[0]


def _reachable_identity(tx: Tx, assignment: Row) -> Row:
    identity = tx.one("SELECT * FROM identities WHERE id = ?", assignment["identity_id"])
    assert identity is not None
    if identity["status"] != "active" or not identity["imessage_enabled"]:
        raise ApiError(409, f"@{identity['agent_handle']} is paused, or iMessage is not enabled for it.")
    return identity
