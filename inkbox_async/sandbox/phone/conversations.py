"""Conversations of a phone number: found by their people, and the operations on them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from datetime import datetime
from sqlite3 import Row

from inkbox_async.generated.models.phone import (
    TextConversationSummary,
    TextConversationUpdateResult,
    TextMessage,
    UpdateTextConversationRequest,
)
from inkbox_async.generated.queries.phone import (
    TextsGetConversationQuery,
    TextsListConversationsQuery,
)
from inkbox_async.sandbox.handling import Call, handles, not_found
from inkbox_async.sandbox.phone.periods import period
from inkbox_async.sandbox.phone.rows import number_of, participants_of, show_text, visible_rows
from inkbox_async.sandbox.store import Tx


def conversation_with(tx: Tx, now: datetime, number: Row, others: Sequence[str]) -> Row:
    """The conversation of a phone number with these people, made where there is none."""
    participants = json.dumps(sorted(set(others)), separators=(",", ":"))
    where = "phone_number_id = ? AND participants = ?"
    found = tx.one(f"SELECT * FROM text_conversations WHERE {where}", number["id"], participants)
    if found is None:
        tx.insert(
            "text_conversations",
            id=uuid.uuid4(),
            phone_number_id=number["id"],
            participants=participants,
            is_group=len(set(others)) > 1,
            created_at=now,
        )
        found = tx.one(f"SELECT * FROM text_conversations WHERE {where}", number["id"], participants)
    assert found is not None
    return found


def conversation_by_id(tx: Tx, number: Row, conversation_id: object) -> Row | None:
    """A conversation of a phone number by its id."""
    return tx.one(
        "SELECT * FROM text_conversations WHERE id = ? AND phone_number_id = ?", conversation_id, number["id"]
    )


@handles("texts.list_conversations")
def list_conversations(call: Call) -> list[TextConversationSummary]:
    """Conversations with a text that the caller may see, the one with the latest text first."""
    query: TextsListConversationsQuery = call.query
    number = number_of(call)
    condition, values = visible_rows(call, "t", query.is_blocked)
    times, moments = period(query, "t.created_at")
    rows = call.tx.all(
        "SELECT c.*, max(t.seq) AS latest, count(*) AS total, "
        "sum(t.direction = 'inbound' AND NOT t.is_read) AS unread "
        "FROM text_conversations AS c JOIN texts AS t ON t.conversation_id = c.id AND NOT t.is_deleted "
        f"WHERE c.phone_number_id = ? AND (? OR NOT c.is_group) AND {condition} AND {times} "
        "GROUP BY c.id ORDER BY latest DESC LIMIT ? OFFSET ?",
        number["id"],
        bool(query.include_groups),
        *values,
        *moments,
        query.limit,
        query.offset,
    )
    return [_summary(call.tx, row) for row in rows]


@handles("texts.get_conversation")
def get_conversation(call: Call) -> list[TextMessage]:
    """The texts of one conversation, newest first."""
    query: TextsGetConversationQuery = call.query
    conversation = _conversation_of(call, number_of(call))
    condition, values = visible_rows(call, "t")
    rows = call.tx.all(
        f"SELECT t.* FROM texts AS t WHERE t.conversation_id = ? AND NOT t.is_deleted AND {condition} "
        "ORDER BY t.seq DESC LIMIT ? OFFSET ?",
        conversation["id"],
        *values,
        query.limit,
        query.offset,
    )
    return [show_text(call.tx, call.now, call.settings, row) for row in rows]


@handles("texts.update_conversation")
def update_conversation(call: Call) -> TextConversationUpdateResult:
    """Mark the received texts of a conversation as read or unread."""
    body: UpdateTextConversationRequest = call.body
    conversation = _conversation_of(call, number_of(call))
    condition, values = visible_rows(call, "texts")
    updated = call.tx.execute(
        "UPDATE texts SET is_read = ?, updated_at = ? WHERE conversation_id = ? AND direction = 'inbound' "
        f"AND is_read <> ? AND NOT is_deleted AND {condition}",
        body.is_read,
        call.now,
        conversation["id"],
        body.is_read,
        *values,
    ).rowcount
    return TextConversationUpdateResult(
        remote_phone_number=_remote_number(conversation),
        conversation_id=conversation["id"],
        is_read=body.is_read,
        updated_count=updated,
    )


def _conversation_of(call: Call, number: Row) -> Row:
    """The conversation that the path names: by its id, or one with a single person by their number.

    Raises:
        ApiError: 404 when there is none with a text that the caller may see.
    """
    name = call.path["remote_number"]
    try:
        found = conversation_by_id(call.tx, number, uuid.UUID(name))
    except ValueError:
        found = call.tx.one(
            "SELECT * FROM text_conversations WHERE phone_number_id = ? AND participants = ?",
            number["id"],
            json.dumps([name], separators=(",", ":")),
        )
    condition, values = visible_rows(call, "texts")
    if found is None or not call.tx.value(
        f"SELECT 1 FROM texts WHERE conversation_id = ? AND NOT is_deleted AND {condition}",
        found["id"],
        *values,
    ):
        raise not_found("Conversation")
    return found


def _summary(tx: Tx, row: Row) -> TextConversationSummary:
    latest = tx.one(
        "SELECT t.*, EXISTS (SELECT 1 FROM text_media WHERE text_id = t.id) AS has_media "
        "FROM texts AS t WHERE seq = ?",
        row["latest"],
    )
    assert latest is not None
    return TextConversationSummary(
        id=row["id"],
        remote_phone_number=_remote_number(row),
        participants=participants_of(row),
        is_group=bool(row["is_group"]),
        latest_text=latest["text"],
        latest_direction=latest["direction"],
        latest_type=latest["type"],
        latest_has_media=bool(latest["has_media"]),
        latest_message_at=latest["created_at"],
        unread_count=row["unread"],
        total_count=row["total"],
    )


def _remote_number(conversation: Row) -> str | None:
    return None if conversation["is_group"] else participants_of(conversation)[0]
