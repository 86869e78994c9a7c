"""The operations on conversations: list, get, mark as read, show that somebody is typing."""

from __future__ import annotations

import json
from datetime import datetime
from sqlite3 import Row
from uuid import uuid4

from inkbox_async.generated.models.imessage import (
    IMessageConversation,
    IMessageConversationRequest,
    IMessageConversationSummary,
    IMessageMarkReadResult,
    IMessageTypingResult,
)
from inkbox_async.generated.queries.imessage import (
    ImessagesGetConversationQuery,
    ImessagesListConversationsQuery,
)
from inkbox_async.sandbox.handling import Call, handles
from inkbox_async.sandbox.imessage.gates import conversation_of, named_identity, open_conversation
from inkbox_async.sandbox.imessage.rows import show_conversation
from inkbox_async.sandbox.store import Tx

# Each conversation with its messages that count; `latest` is the newest of them.
_SUMMARIES = """
WITH visible AS (
    SELECT m.* FROM imessage_messages AS m WHERE ? IS NULL OR m.is_blocked = ?
), counted AS (
    SELECT conversation_id, max(seq) AS latest, count(*) AS total,
        sum(direction = 'inbound' AND NOT is_read) AS unread
    FROM visible GROUP BY conversation_id
)
SELECT c.*, a.status AS assignment_status, n.total, n.unread,
    m.content, m.media, m.direction, m.created_at AS latest_at
FROM counted AS n
JOIN imessage_messages AS m ON m.seq = n.latest
JOIN imessage_conversations AS c ON c.id = n.conversation_id
JOIN imessage_assignments AS a ON a.id = c.assignment_id
JOIN identities AS i ON i.id = c.identity_id
WHERE i.organization_id = ? AND i.status <> 'deleted' AND (? IS NULL OR c.identity_id = ?)
ORDER BY n.latest DESC LIMIT ? OFFSET ?
"""


@handles("imessages.list_conversations")
def list_conversations(call: Call) -> list[IMessageConversationSummary]:
    """Conversations by their newest message that the caller may see and asks for."""
    query: ImessagesListConversationsQuery = call.query
    identity = named_identity(call, query.agent_identity_id)
    identity_id = None if identity is None else identity["id"]
    if query.is_blocked and not call.caller.is_admin:
        return []
    is_blocked = query.is_blocked if call.caller.is_admin else False
    rows = call.tx.all(
        _SUMMARIES,
        is_blocked,
        is_blocked,
        call.caller.organization_id,
        identity_id,
        identity_id,
        query.limit,
        query.offset,
    )
    return [_show_summary(row) for row in rows]


@handles("imessages.get_conversation")
def get_conversation(call: Call) -> IMessageConversation:
    """One conversation."""
    query: ImessagesGetConversationQuery = call.query
    return show_conversation(conversation_of(call, call.path["conversation_id"], query.agent_identity_id))


@handles("imessages.mark_conversation_read")
def mark_read(call: Call) -> IMessageMarkReadResult:
    """Mark the inbound messages that the caller may see as read."""
    body: IMessageConversationRequest = call.body
    conversation, _ = open_conversation(call, body.conversation_id)
    count = call.tx.execute(
        "UPDATE imessage_messages SET is_read = 1, updated_at = ? "
        "WHERE conversation_id = ? AND direction = 'inbound' AND NOT is_read AND (? OR NOT is_blocked)",
        call.now,
        conversation["id"],
        call.caller.is_admin,
    ).rowcount
    return IMessageMarkReadResult(conversation_id=conversation["id"], updated_count=count)


@handles("imessages.send_typing")
def send_typing(call: Call) -> IMessageTypingResult:
    """A typing indicator: it leaves no trace."""
    body: IMessageConversationRequest = call.body
    open_conversation(call, body.conversation_id)
    return IMessageTypingResult(status="sent")


def conversation_with(tx: Tx, now: datetime, assignment: Row) -> str:
    """Id of the conversation of a connected person with an agent, which begins now if there is none."""
    found: str | None = tx.value(
        "SELECT id FROM imessage_conversations WHERE identity_id = ? AND remote_number = ?",
        assignment["identity_id"],
        assignment["remote_number"],
    )
    if found is not None:
        return found
    conversation_id = str(uuid4())
    tx.insert(
        "imessage_conversations",
        id=conversation_id,
        identity_id=assignment["identity_id"],
        remote_number=assignment["remote_number"],
        assignment_id=assignment["id"],
        created_at=now,
        updated_at=now,
    )
    return conversation_id


def _show_summary(row: Row) -> IMessageConversationSummary:
    return IMessageConversationSummary(
        id=row["id"],
        assignment_id=row["assignment_id"],
        remote_number=row["remote_number"],
        latest_text=row["content"],
        latest_message_at=row["latest_at"],
        latest_direction=row["direction"],
        latest_has_media=bool(json.loads(row["media"])),
        unread_count=row["unread"],
        total_count=row["total"],
        assignment_status=row["assignment_status"],
        participants=None,
        is_group=False,
        group_creation_status=None,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )
