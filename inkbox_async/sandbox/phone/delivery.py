"""Texts on their way: into phone numbers here, out to phones, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from sqlite3 import Row
from uuid import uuid4

from inkbox_async.sandbox import outbox
from inkbox_async.sandbox.channels import settle_sms
from inkbox_async.sandbox.outcomes import take_outcome
from inkbox_async.sandbox.phone import media
from inkbox_async.sandbox.phone.announcing import EVENT_TYPES, announce
from inkbox_async.sandbox.phone.contact_rules import verdict_on
from inkbox_async.sandbox.phone.conversations import conversation_with
from inkbox_async.sandbox.phone.opt_ins import consent_in, record_consent, reply_to
from inkbox_async.sandbox.phone.rows import live_number_by_value, participants_of
from inkbox_async.sandbox.rules import INBOUND
from inkbox_async.sandbox.settings import Settings
from inkbox_async.sandbox.store import Tx

TOPIC = "texts"
"""What the courier listens to: there may be texts whose status has to move on."""

_FROM_BAD_TO_GOOD = ("delivery_failed", "sending_failed", "delivery_unconfirmed", "delivered")
_UNDER_WAY = ("queued", "sent")
_WORDS = {
    "delivery_failed": "The carrier could not deliver the text.",
    "sending_failed": "The carrier did not take the text.",
    "delivery_unconfirmed": "Nobody confirmed the delivery in time.",
}


def receive(
    tx: Tx,
    now: datetime,
    settings: Settings,
    number: Row,
    sender: str,
    text: str | None,
    *,
    others: Sequence[str] = (),
    files: Sequence[media.File] = (),
) -> Row:
    """Put a text into a phone number.

    A text that the number's contact rules keep out is stored where only admins see it, and no event tells of
    it. START and STOP change the sender's consent all the same.

    Args:
        tx: The transaction.
        now: The sandbox's present.
        settings: Where links to files lead.
        number: The number that it is sent to.
        sender: Number of the phone that sends it.
        text: The words.
        others: Everybody else that it is sent to.
        files: What is sent along.
    """
    conversation = conversation_with(tx, now, number, [sender, *others])
    is_allowed = verdict_on(tx, number, sender, INBOUND).is_allowed
    row = _store(
        tx,
        now,
        number,
        conversation,
        text,
        direction="inbound",
        remote_number=sender,
        sender_number=sender,
        is_mms=bool(files or others),
        is_read=False,
        is_blocked=not is_allowed,
    )
    media.keep(tx, row["id"], files)
    if (status := consent_in(text)) is not None:
        record_consent(tx, now, number["organization_id"], sender, status, source="sms")
    if is_allowed:
        announce(tx, now, settings, row["id"], "text.received", party=sender)
        if (answer := reply_to(text)) is not None and not others and _can_send(tx, now, number):
            send(tx, now, number, conversation, answer, origin="auto_reply")
    return row


def send(
    tx: Tx,
    now: datetime,
    number: Row,
    conversation: Row,
    text: str | None,
    *,
    files: Sequence[media.File] = (),
    origin: str = "user_initiated",
) -> Row:
    """Send a text to everybody else in a conversation. Its status moves on later, see `advance`."""
    recipients = participants_of(conversation)
    row = _store(
        tx,
        now,
        number,
        conversation,
        text,
        direction="outbound",
        remote_number=None if conversation["is_group"] else recipients[0],
        is_mms=bool(files or conversation["is_group"]),
        is_read=True,
        origin=origin,
        delivery_status="queued",
    )
    media.keep(tx, row["id"], files)
    for position, recipient in enumerate(recipients):
        decided = take_outcome(tx, "text", recipient)
        outcome = "delivered" if decided is None else decided.outcome
        tx.insert(
            "text_recipients",
            text_id=row["id"],
            position=position,
            number=recipient,
            outcome=outcome,
            error_code=None if decided is None else decided.error_code,
            error_detail=(decided.error_detail if decided else None) or _WORDS.get(outcome),
        )
    outside = [recipient for recipient in recipients if live_number_by_value(tx, recipient) is None]
    if outside:
        outbox.put(
            tx,
            now,
            channel="text",
            sender=number["number"],
            recipients=outside,
            organization_id=number["organization_id"],
            resource_id=row["id"],
            text=text,
            media_urls=[file.url for file in files],
        )
    tx.notify(TOPIC)
    return row


def advance(settings: Settings, tx: Tx, now: datetime) -> bool:
    """Move every text that is on its way one step on: `queued`, `sent`, and what became of it.

    Returns whether any moved.
    """
    rows = tx.all(
        "SELECT * FROM texts WHERE delivery_status IN ('queued', 'sent') AND NOT EXISTS "
        "(SELECT 1 FROM text_media WHERE text_id = texts.id AND content IS NULL) ORDER BY seq"
    )
    for text in rows:
        _advance_text(settings, tx, now, text)
    return bool(rows)


def _advance_text(settings: Settings, tx: Tx, now: datetime, text: Row) -> None:
    legs = tx.all("SELECT * FROM text_recipients WHERE text_id = ? ORDER BY position", text["id"])
    moved: list[tuple[Row, str]] = []
    for leg in legs:
        if leg["delivery_status"] in _UNDER_WAY:
            status = _next_status(leg)
            moment = {"sent": "sent_at", "delivered": "delivered_at"}.get(status, "failed_at")
            tx.execute(
                f"UPDATE text_recipients SET delivery_status = ?, {moment} = ? "
                "WHERE text_id = ? AND position = ?",
                status,
                now,
                text["id"],
                leg["position"],
            )
            moved.append((leg, status))
    statuses = {leg["delivery_status"] for leg in legs if leg["delivery_status"] not in _UNDER_WAY}
    statuses |= {status for _, status in moved}
    rollup = next(status for status in (*_UNDER_WAY, *_FROM_BAD_TO_GOOD) if status in statuses)
    tx.update("texts", text["id"], delivery_status=rollup, updated_at=now)
    for leg, status in moved:
        if status == "delivered":
            _hand_over(settings, tx, now, text, leg["number"], [other["number"] for other in legs])
        announce(
            tx,
            now,
            settings,
            text["id"],
            EVENT_TYPES[status],
            party=leg["number"],
            recipient=leg["number"] if len(legs) > 1 else None,
        )


def _next_status(leg: Row) -> str:
    if leg["delivery_status"] == "queued" and leg["outcome"] != "sending_failed":
        return "sent"
    return str(leg["outcome"])


def _hand_over(
    settings: Settings, tx: Tx, now: datetime, text: Row, recipient: str, recipients: Sequence[str]
) -> None:
    """A text to a number of this sandbox arrives there."""
    number = live_number_by_value(tx, recipient)
    if number is None:
        return
    sender = tx.value("SELECT number FROM phone_numbers WHERE id = ?", text["phone_number_id"])
    receive(
        tx,
        now,
        settings,
        number,
        sender,
        text["text"],
        others=[other for other in recipients if other != recipient],
        files=[replace(file, content=file.content or b"") for file in media.files_of(tx, text["id"])],
    )


def _store(
    tx: Tx,
    now: datetime,
    number: Row,
    conversation: Row,
    text: str | None,
    *,
    is_mms: bool,
    **columns: object,
) -> Row:
    text_id = uuid4()
    tx.insert(
        "texts",
        id=text_id,
        phone_number_id=number["id"],
        conversation_id=conversation["id"],
        text=text,
        type="mms" if is_mms else "sms",
        created_at=now,
        updated_at=now,
        **columns,
    )
    row = tx.one("SELECT * FROM texts WHERE id = ?", text_id)
    assert row is not None
    tx.insert("text_search", rowid=row["seq"], body=text or "")
    return row


def _can_send(tx: Tx, now: datetime, number: Row) -> bool:
    settle_sms(tx, now, number["organization_id"])
    query = "SELECT 1 FROM phone_numbers WHERE id = ? AND type = 'local' AND sms_status = 'ready'"
    return tx.one(query, number["id"]) is not None
