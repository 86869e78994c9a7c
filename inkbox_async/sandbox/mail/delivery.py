"""Mail on its way: into mailboxes here, out to the world, and what became of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from sqlite3 import Row

from inkbox_async.sandbox import outbox
from inkbox_async.sandbox.mail import filters
from inkbox_async.sandbox.mail.addresses import comparable, domain_of
from inkbox_async.sandbox.mail.announcing import announce
from inkbox_async.sandbox.mail.archive import NewMessage, store, with_folder
from inkbox_async.sandbox.mail.mime import ParsedMessage, parse
from inkbox_async.sandbox.mail.references import new_message_id
from inkbox_async.sandbox.mail.rows import active_mailbox
from inkbox_async.sandbox.outcomes import take_outcome
from inkbox_async.sandbox.settings import PLATFORM_DOMAIN
from inkbox_async.sandbox.store import Tx

TOPIC = "mail"
"""What the courier listens to: there may be messages whose status has to move on."""
NOBODY = "unknown@invalid"
"""Sender of mail that names none; no address ends in `.invalid` (RFC 2606)."""

_UNKNOWN_HERE = "550 5.1.1 There is no mailbox of that name here"


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message that arrived in one mailbox."""

    email_address: str
    message_id: str
    thread_id: str
    folder: str


def rules_of(tx: Tx, mailbox_id: str) -> list[filters.Rule]:
    """The contact rules of a mailbox that are not deleted."""
    names = ("id", "action", "match_type", "match_target", "status", "direction")
    return [
        filters.Rule(**{name: row[name] for name in names})
        for row in tx.all(
            "SELECT * FROM mail_contact_rules WHERE mailbox_id = ? AND status <> 'deleted'", mailbox_id
        )
    ]


def deliver(
    tx: Tx, now: datetime, recipients: Sequence[str], parsed: ParsedMessage, raw: bytes, mail_from: str | None
) -> list[Delivery]:
    """Put a message into every mailbox here that is among the recipients, once each.

    Mail that a mailbox's contact rules keep out is stored where only admins see it, and no event tells of it.

    Args:
        tx: The transaction.
        now: The sandbox's present.
        recipients: Envelope recipients; those without a mailbox here are passed over.
        parsed: The message, as `parse` reads `raw`.
        raw: Its bytes.
        mail_from: Envelope sender, the sender where the message names none.
    """
    deliveries = []
    for address in dict.fromkeys(comparable(recipient) for recipient in recipients):
        mailbox = active_mailbox(tx, address)
        if mailbox is None:
            continue
        sender = parsed.from_address or mail_from or NOBODY
        verdict = filters.verdict(
            sender, mailbox["filter_mode_inbound"], rules_of(tx, mailbox["id"]), filters.INBOUND
        )
        message = store(
            tx,
            now,
            mailbox["id"],
            NewMessage(
                message_id=parsed.message_id or new_message_id(mailbox["domain"]),
                from_address=sender,
                from_display_name=parsed.from_display_name,
                to=parsed.to,
                cc=parsed.cc,
                reply_to=parsed.reply_to,
                subject=parsed.subject,
                body_text=parsed.body_text,
                body_html=parsed.body_html,
                direction="inbound",
                status="received",
                raw=raw,
                in_reply_to=parsed.in_reply_to,
                references=parsed.references,
                attachments=parsed.attachments,
                is_blocked=not verdict.is_allowed,
            ),
        )
        if verdict.is_allowed:
            announce(tx, now, mailbox, message, "message.received")
        deliveries.append(
            Delivery(mailbox["email_address"], message["id"], message["thread_id"], message["folder"])
        )
    return deliveries


def dispatch(tx: Tx, now: datetime, mailbox: Row, message: Row, raw: bytes) -> None:
    """Send a stored outbound message to everybody it is for: to mailboxes here, and to the outbox.

    Its status moves on after the commit, see `advance`.
    """
    names = ("to_addresses", "cc_addresses", "bcc_addresses")
    recipients = [address for name in names for address in json.loads(message[name])]
    outside: list[str] = []
    parsed: ParsedMessage | None = None
    for address in dict.fromkeys(comparable(recipient) for recipient in recipients):
        outcome, detail = "delivered", None
        if active_mailbox(tx, address) is not None:
            parsed = parsed or parse(raw)
            deliver(tx, now, [address], parsed, raw, mailbox["email_address"])
        elif domain_of(address) == PLATFORM_DOMAIN:
            outcome, detail = "bounced", _UNKNOWN_HERE
        else:
            outside.append(address)
            if (decided := take_outcome(tx, "mail", address)) is not None:
                outcome, detail = decided.outcome, decided.error_detail
        tx.insert(
            "mail_recipients",
            message_id=message["id"],
            address=address,
            outcome=outcome,
            error_detail=detail,
        )
    if outside:
        outbox.put(
            tx,
            now,
            channel="mail",
            sender=message["from_address"],
            recipients=outside,
            organization_id=mailbox["organization_id"],
            resource_id=message["id"],
            subject=message["subject"],
            text=message["body_text"],
            html=message["body_html"],
            raw=raw,
        )
    tx.notify(TOPIC)


def advance(tx: Tx, now: datetime) -> bool:
    """Move every message that is on its way one step on: `queued`, `sent`, and what became of it.

    Returns whether any moved.
    """
    rows = tx.all("SELECT id, mailbox_id FROM mail_messages WHERE status IN ('queued', 'sent') ORDER BY seq")
    for row in rows:
        message = with_folder(tx, row["id"])
        status = _next_status(tx, message)
        tx.update("mail_messages", message["id"], status=status, updated_at=now)
        mailbox = tx.one("SELECT * FROM mailboxes WHERE id = ?", row["mailbox_id"])
        if mailbox is not None:
            announce(tx, now, mailbox, with_folder(tx, row["id"]), _event_type(message, status))
    return bool(rows)


def _next_status(tx: Tx, message: sqlite3.Row) -> str:
    outcomes = {
        row["outcome"]
        for row in tx.all("SELECT outcome FROM mail_recipients WHERE message_id = ?", message["id"])
    }
    if message["status"] == "queued" and outcomes != {"failed"}:
        return "sent"
    return next((outcome for outcome in ("bounced", "failed") if outcome in outcomes), "delivered")


def _event_type(message: sqlite3.Row, status: str) -> str:
    if status == "sent" and message["is_forward"]:
        return "message.forwarded"
    return f"message.{status}"
