"""From rows to the models of the wire, and which numbers, texts and calls a caller gets to see."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from sqlite3 import Row

from inkbox_async.generated.models.common import FilterModeChangeNotice
from inkbox_async.generated.models.phone import (
    PhoneCall,
    PhoneContactRule,
    PhoneNumber,
    PhoneTranscript,
    TextMediaItem,
    TextMessage,
    TextMessageRecipient,
)
from inkbox_async.sandbox.channels import settle_sms, show_phone_number
from inkbox_async.sandbox.handling import Call, not_found
from inkbox_async.sandbox.settings import Settings
from inkbox_async.sandbox.store import Tx
from inkbox_async.sandbox.temporary_links import temporary_link

MEDIA_AREA = "texts"
MEDIA_LINK_LIFE = timedelta(hours=1)

_WORD = re.compile(r"\w+")
_TIMES = ("sent_at", "delivered_at", "failed_at")


def number_of(call: Call) -> Row:
    """The phone number that the path names.

    Raises:
        ApiError: 404 when it does not exist, was released, or is not the caller's to see.
    """
    row = number_row(call, call.path["phone_number_id"])
    if row is None:
        raise not_found("Phone number")
    return row


def number_row(call: Call, phone_number_id: object) -> Row | None:
    """A living phone number of the caller's by its id, None when there is none."""
    settle_sms(call.tx, call.now, call.caller.organization_id)
    row = call.tx.one(
        "SELECT * FROM phone_numbers WHERE id = ? AND organization_id = ? AND status <> 'released'",
        phone_number_id,
        call.caller.organization_id,
    )
    return row if row is not None and call.caller.may_touch(row["identity_id"]) else None


def identity_of(tx: Tx, number: Row) -> Row:
    """The identity that a living phone number belongs to."""
    row = tx.one("SELECT * FROM identities WHERE id = ?", number["identity_id"])
    assert row is not None, "a living number belongs to an identity"
    return row


def live_number_by_value(tx: Tx, number: str) -> Row | None:
    """The living phone number with these digits, in whatever organization."""
    return tx.one("SELECT * FROM phone_numbers WHERE number = ? AND status = 'active'", number)


def visible_rows(call: Call, table: str, is_blocked: bool | None = None) -> tuple[str, list[object]]:
    """An SQL condition on `is_blocked`, as asked for: agents never see what was kept out."""
    conditions = [] if call.caller.is_admin else [f"{table}.is_blocked = 0"]
    values: list[object] = []
    if is_blocked is not None:
        conditions.append(f"{table}.is_blocked = ?")
        values.append(is_blocked)
    return " AND ".join(conditions) or "1", values


def search_words(query: str) -> str:
    """A query of people as one of FTS5: every word, or its beginning; empty when there is no word in it."""
    return " ".join(f'"{word}"*' for word in _WORD.findall(query))


def show_number(row: Row, identity: Row, notice: FilterModeChangeNotice | None = None) -> PhoneNumber:
    """A phone number on the wire."""
    shown = show_phone_number(row, identity)
    fields = {name: getattr(shown, name) for name in type(shown).model_fields}
    return PhoneNumber(**fields | {"filter_mode_change_notice": notice})


def show_rule(row: Row) -> PhoneContactRule:
    """A contact rule on the wire; the row has the number's `identity_id`."""
    return PhoneContactRule(
        id=row["id"],
        phone_number_id=row["phone_number_id"],
        agent_identity_id=row["identity_id"],
        action=row["action"],
        match_type=row["match_type"],
        match_target=row["match_target"],
        status=row["status"],
        direction=row["direction"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def show_text(tx: Tx, now: datetime, settings: Settings, row: Row) -> TextMessage:
    """A text on the wire, with links to its files that work."""
    rows = tx.all("SELECT * FROM text_recipients WHERE text_id = ? ORDER BY position", row["id"])
    recipients = [_show_recipient(recipient) for recipient in rows]
    only = recipients[0] if len(recipients) == 1 else TextMessageRecipient(recipient_phone_number="")
    return TextMessage(
        id=row["id"],
        direction=row["direction"],
        local_phone_number=tx.value("SELECT number FROM phone_numbers WHERE id = ?", row["phone_number_id"]),
        remote_phone_number=row["remote_number"],
        text=row["text"],
        type=row["type"],
        media=_show_media(tx, now, settings, row["id"]),
        is_read=bool(row["is_read"]),
        delivery_status=row["delivery_status"],
        origin=row["origin"],
        error_code=only.error_code,
        error_detail=only.error_detail,
        sent_at=only.sent_at,
        delivered_at=only.delivered_at,
        failed_at=only.failed_at,
        is_blocked=bool(row["is_blocked"]),
        conversation_id=row["conversation_id"],
        sender_phone_number=row["sender_number"],
        recipients=recipients or None,
        created_at=row["created_at"],
        updated_at=row["updated_at"],
    )


def show_call(row: Row) -> PhoneCall:
    """A call on the wire."""
    return PhoneCall(**call_fields(row))


def call_fields(row: Row) -> dict[str, object]:
    """Everything that is told about a call."""
    return {
        "id": row["id"],
        "local_phone_number": row["local_number"],
        "remote_phone_number": row["remote_number"],
        "direction": row["direction"],
        "status": row["status"],
        "client_websocket_url": row["client_websocket_url"],
        "use_inkbox_tts": _flag(row["use_inkbox_tts"]),
        "use_inkbox_stt": _flag(row["use_inkbox_stt"]),
        "hangup_reason": row["hangup_reason"],
        "started_at": row["started_at"],
        "ended_at": row["ended_at"],
        "created_at": row["created_at"],
        "updated_at": row["updated_at"],
        "is_blocked": bool(row["is_blocked"]),
        "origin": "dedicated_number",
        "mode": "client_websocket",
        "reason": None,
        "hosted_agent_authority_mode": "contact_scoped",
        "voicemail_detection": "disabled" if row["on_voicemail"] == "ignore" else "enabled",
        "on_voicemail": row["on_voicemail"],
        "post_call_action_items": [],
        "forwardings": [],
        "connections": [],
        "duration_seconds": _duration(row),
    }


def show_transcript(row: Row) -> PhoneTranscript:
    """Something that was said, on the wire."""
    return PhoneTranscript(
        id=row["id"],
        call_id=row["call_id"],
        seq=row["seq"],
        ts_ms=row["ts_ms"],
        party=row["party"],
        text=row["text"],
        created_at=row["created_at"],
        phone_number=None,
    )


def participants_of(conversation: Row) -> list[str]:
    """Numbers of everybody else in a conversation."""
    numbers: list[str] = json.loads(conversation["participants"])
    return numbers


def _duration(row: Row) -> int | None:
    if row["started_at"] is None or row["ended_at"] is None:
        return None
    started, ended = (datetime.fromisoformat(row[name]) for name in ("started_at", "ended_at"))
    return round((ended - started).total_seconds())


def _flag(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def _show_recipient(row: Row) -> TextMessageRecipient:
    return TextMessageRecipient(
        recipient_phone_number=row["number"],
        delivery_status=row["delivery_status"],
        carrier=None,
        line_type=None,
        # How it will fail is settled when it is sent, and known when it has failed.
        error_code=row["error_code"] if row["failed_at"] else None,
        error_detail=row["error_detail"] if row["failed_at"] else None,
        **{name: row[name] for name in _TIMES},
    )


def _show_media(tx: Tx, now: datetime, settings: Settings, text_id: str) -> list[TextMediaItem] | None:
    rows = tx.all(
        "SELECT id, filename, content_type, ifnull(length(content), 0) AS size FROM text_media "
        "WHERE text_id = ? ORDER BY position",
        text_id,
    )
    return [
        TextMediaItem(
            content_type=row["content_type"],
            size=row["size"],
            url=temporary_link(
                tx, now, settings.base_url, MEDIA_AREA, row["id"], row["filename"], MEDIA_LINK_LIFE
            ),
        )
        for row in rows
    ] or None
