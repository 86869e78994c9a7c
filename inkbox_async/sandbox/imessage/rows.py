"""Rows of iMessage as the wire shows them."""

from __future__ import annotations

from datetime import datetime
from sqlite3 import Row

from inkbox_async.generated.models.imessage import (
    IMessage,
    IMessageConversation,
    IMessageMessageReaction,
    IMessageReaction,
    IMessageRecipient,
)
from inkbox_async.sandbox.imessage import media
from inkbox_async.sandbox.settings import Settings
from inkbox_async.sandbox.store import Tx

SELECT_MESSAGES = (
    "SELECT m.*, c.identity_id, c.remote_number FROM imessage_messages AS m "
    "JOIN imessage_conversations AS c ON c.id = m.conversation_id "
    "JOIN identities AS i ON i.id = c.identity_id"
)
"""Messages with their conversation's identity and number."""

_ERRORS = ("error_code", "error_message", "error_reason", "error_detail")


def message_row(tx: Tx, message_id: object) -> Row:
    """A message that is known to be there."""
    row = tx.one(f"{SELECT_MESSAGES} WHERE m.id = ?", message_id)
    assert row is not None
    return row


def show_message(tx: Tx, now: datetime, settings: Settings, row: Row) -> IMessage:
    """A message (of `SELECT_MESSAGES`) with its files and tapbacks."""
    is_outbound = row["direction"] == "outbound"
    # What awaits a message is stored when it is sent; nobody learns of it before it has happened.
    errors = {name: row[name] if row["failed_at"] else None for name in _ERRORS}
    reactions = [
        IMessageMessageReaction(
            id=reaction["id"],
            direction=reaction["direction"],
            reaction=reaction["reaction"],
            remote_number=row["remote_number"],
            created_at=reaction["created_at"],
            custom_emoji=reaction["custom_emoji"],
            part_index=reaction["part_index"],
        )
        for reaction in tx.all(
            "SELECT * FROM imessage_reactions WHERE message_id = ? ORDER BY seq", row["id"]
        )
    ]
    recipient = IMessageRecipient(
        remote_number=row["remote_number"],
        delivery_status=row["status"],
        service=row["service"],
        sent_at=row["sent_at"],
        delivered_at=row["delivered_at"],
        failed_at=row["failed_at"],
        **errors,
    )
    return IMessage(
        id=row["id"],
        conversation_id=row["conversation_id"],
        assignment_id=row["assignment_id"],
        direction=row["direction"],
        remote_number=row["remote_number"],
        content=row["content"],
        message_type="message",
        service=row["service"],
        is_read=bool(row["is_read"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        send_style=row["send_style"],
        media=media.shown(tx, now, settings, row["media"]) or None,
        was_downgraded=row["service"] != "imessage" if is_outbound else None,
        status=row["status"],
        is_blocked=bool(row["is_blocked"]),
        recipients=[recipient] if is_outbound else None,
        reactions=reactions or None,
        sender_number=None,
        participants=None,
        is_group=False,
        reply_to_message_id=None,
        thread_id=None,
        thread_root_message_id=None,
        **errors,
    )


def show_conversation(row: Row) -> IMessageConversation:
    """A conversation with its `assignment_status`."""
    return IMessageConversation(
        id=row["id"],
        assignment_id=row["assignment_id"],
        remote_number=row["remote_number"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        assignment_status=row["assignment_status"],
        participants=None,
        is_group=False,
        group_creation_status=None,
    )


def show_reaction(reaction: Row, message: Row) -> IMessageReaction:
    """A tapback and the message that bears it."""
    return IMessageReaction(
        id=reaction["id"],
        conversation_id=message["conversation_id"],
        assignment_id=reaction["assignment_id"],
        target_message_id=message["id"],
        direction=reaction["direction"],
        reaction=reaction["reaction"],
        remote_number=message["remote_number"],
        created_at=reaction["created_at"],
        updated_at=reaction["created_at"],
        custom_emoji=reaction["custom_emoji"],
        part_index=reaction["part_index"],
    )
