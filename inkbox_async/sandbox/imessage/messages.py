"""The operations on messages: list and send, with everything that can keep a message from being sent."""

from __future__ import annotations

from datetime import timedelta
from sqlite3 import Row
from uuid import UUID, uuid4

from inkbox_async.generated.models.imessage import IMessage, SendIMessageRequest, SentIMessage
from inkbox_async.generated.queries.imessage import ImessagesListQuery, ImessagesSendQuery
from inkbox_async.sandbox.clock import parse_timestamp, timestamp
from inkbox_async.sandbox.e164 import check_number
from inkbox_async.sandbox.handling import Answer, ApiError, Call, handles, invalid, too_many
from inkbox_async.sandbox.idempotency import send_once
from inkbox_async.sandbox.imessage import media
from inkbox_async.sandbox.imessage.assignments import active_assignment
from inkbox_async.sandbox.imessage.contact_rules import verdict_on
from inkbox_async.sandbox.imessage.conversations import conversation_with
from inkbox_async.sandbox.imessage.delivery import dispatch
from inkbox_async.sandbox.imessage.gates import (
    check_enabled,
    conversation_of,
    named_identity,
    not_connected_any_more,
)
from inkbox_async.sandbox.imessage.rows import SELECT_MESSAGES, message_row, show_message
from inkbox_async.sandbox.imessage.triage import TRIAGE_NUMBER, connect_command
from inkbox_async.sandbox.rules import OUTBOUND, recipient_blocked
from inkbox_async.sandbox.visibility import identity_row

SEND_WINDOW = timedelta(hours=24)


@handles("imessages.list")
def list_messages(call: Call) -> list[IMessage]:
    """Messages that the caller may see and asks for, newest first."""
    query: ImessagesListQuery = call.query
    identity = named_identity(call, query.agent_identity_id)
    conditions = ["i.organization_id = ?", "i.status <> 'deleted'"]
    values: list[object] = [call.caller.organization_id]
    if identity is not None:
        conditions.append("c.identity_id = ?")
        values.append(identity["id"])
    for column, wanted in (
        ("conversation_id", query.conversation_id),
        ("is_read", query.is_read),
        ("is_blocked", query.is_blocked),
    ):
        if wanted is not None:
            conditions.append(f"m.{column} = ?")
            values.append(wanted)
    if not call.caller.is_admin:
        conditions.append("NOT m.is_blocked")
    rows = call.tx.all(
        f"{SELECT_MESSAGES} WHERE {' AND '.join(conditions)} ORDER BY m.seq DESC LIMIT ? OFFSET ?",
        *values,
        query.limit,
        query.offset,
    )
    return [show_message(call.tx, call.now, call.settings, row) for row in rows]


@handles("imessages.send")
def send(call: Call) -> Answer:
    """Send a message to a connected person."""
    body: SendIMessageRequest = call.body
    _check_shape(body)
    identity, number = _parties(call, body)
    return send_once(
        call, "imessage_identity", identity["id"], "imessage.send", lambda: _send(call, identity, number)
    )


def _check_shape(body: SendIMessageRequest) -> None:
    if (body.to is None) == (body.conversation_id is None):
        raise invalid("Give exactly one of to and conversation_id", "body", "to")
    if not body.text and not body.media_urls:
        raise invalid("Give a text, media_urls or both", "body", "text")


def _parties(call: Call, body: SendIMessageRequest) -> tuple[Row, str]:
    """Whose message it is, and the number that it is for."""
    query: ImessagesSendQuery = call.query
    if body.conversation_id is not None:
        conversation = conversation_of(call, body.conversation_id, query.agent_identity_id)
        return identity_row(call, conversation["identity_id"]), conversation["remote_number"]
    number = check_number(body.to or "", "body", "to")
    identity = named_identity(call, query.agent_identity_id)
    if identity is None:
        raise ApiError(400, "An admin API key that sends by number names the sender as agent_identity_id.")
    return identity, number


def _send(call: Call, identity: Row, number: str) -> tuple[UUID, SentIMessage]:
    body: SendIMessageRequest = call.body
    check_enabled(identity)
    verdict = verdict_on(call.tx, identity, number, OUTBOUND)
    if not verdict.is_allowed:
        raise recipient_blocked(number, verdict)
    assignment = active_assignment(call.tx, identity["id"], number)
    if assignment is None:
        raise _not_connected(call, identity, number)
    files = [
        media.accepted(call.tx, call.now, call.settings, identity["organization_id"], url)
        for url in body.media_urls or ()
    ]
    conversation_id = conversation_with(call.tx, call.now, assignment)
    _check_first_word(call, conversation_id, number)
    _check_rate(call, identity)
    message_id = uuid4()
    call.tx.insert(
        "imessage_messages",
        id=message_id,
        conversation_id=conversation_id,
        assignment_id=assignment["id"],
        direction="outbound",
        content=body.text or None,
        media=files,
        send_style=body.send_style,
        status="queued",
        created_at=call.now,
        updated_at=call.now,
    )
    call.tx.update("imessage_conversations", conversation_id, updated_at=call.now)
    dispatch(call.tx, call.now, identity, message_row(call.tx, message_id), body.media_urls or ())
    row = message_row(call.tx, message_id)
    return message_id, SentIMessage(message=show_message(call.tx, call.now, call.settings, row))


def _not_connected(call: Call, identity: Row, number: str) -> ApiError:
    was_connected = call.tx.one(
        "SELECT 1 FROM imessage_assignments WHERE identity_id = ? AND remote_number = ?",
        identity["id"],
        number,
    )
    if was_connected is not None:
        return not_connected_any_more(identity, number)
    command = connect_command(identity["agent_handle"])
    return ApiError(
        404,
        {
            "error": "imessage_not_connected",
            "message": f"{number} has never connected. Ask them to text '{command}' to {TRIAGE_NUMBER}.",
            "connect_command": command,
            "triage_number": TRIAGE_NUMBER,
        },
    )


def _check_first_word(call: Call, conversation_id: str, number: str) -> None:
    """Refuse a message too many to somebody who is connected and has not written yet."""
    limit = call.limits.imessages_before_first_word
    if limit is None:
        return
    counts = call.tx.one(
        "SELECT count(*) AS total, sum(direction = 'inbound') AS inbound FROM imessage_messages "
        "WHERE conversation_id = ?",
        conversation_id,
    )
    if counts is not None and not counts["inbound"] and counts["total"] >= limit:
        message = f"{number} is connected, but has to write first."
        raise ApiError(409, {"error": "imessage_awaiting_inbound", "message": message})


def _check_rate(call: Call, identity: Row) -> None:
    """Refuse a message that is one too many within `SEND_WINDOW`."""
    limit = call.limits.imessage_sends_per_day
    if limit is None:
        return
    sent = call.tx.all(
        f"{SELECT_MESSAGES} WHERE c.identity_id = ? AND m.direction = 'outbound' AND m.created_at > ? "
        "ORDER BY m.seq DESC LIMIT ?",
        identity["id"],
        timestamp(call.now - SEND_WINDOW),
        max(limit, 1),
    )
    if len(sent) < limit:
        return
    free_at = (parse_timestamp(sent[-1]["created_at"]) if sent else call.now) + SEND_WINDOW
    seconds = int((free_at - call.now).total_seconds()) + 1
    detail = {
        "error": "daily_send_limit_exceeded",
        "message": f"This identity may send {limit} iMessages in 24 hours. Try again later.",
        "limit": limit,
        "retry_after_seconds": seconds,
    }
    raise too_many(detail, seconds, limit)
