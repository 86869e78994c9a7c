"""The `message.*` events: what webhooks tell of a message."""

from __future__ import annotations

import json
from datetime import datetime
from sqlite3 import Row
from typing import Any

from inkbox_async.sandbox import events
from inkbox_async.sandbox.clock import parse_timestamp
from inkbox_async.sandbox.mail.html_text import html_to_text
from inkbox_async.sandbox.store import Tx
from inkbox_async.sandbox.webhooks.matching import match_mail

MAX_BODY_CHARS = 65_536
"""Characters of a received message's text that travel with its event."""


def announce(tx: Tx, now: datetime, mailbox: Row, message: Row, event_type: str) -> None:
    """Record a `message.*` event about a message (a row with its mailbox)."""
    contacts, agents = match_mail(tx, mailbox["organization_id"], mailbox["identity_id"], _buckets(message))
    data = {
        "message": _message(mailbox, message, with_body=event_type == "message.received"),
        "contacts": contacts,
        "agent_identities": agents,
    }
    events.emit(
        tx,
        events.Event(
            organization_id=mailbox["organization_id"],
            event_type=event_type,
            occurred_at=now,
            data=data,
            agent_identity_id=mailbox["identity_id"],
            mailbox_id=mailbox["id"],
        ),
    )


def _buckets(message: Row) -> list[tuple[str, list[str]]]:
    """The peers of a message by their place in it: who wrote inbound mail, whom outbound mail went to."""
    cc = ("cc", json.loads(message["cc_addresses"]))
    if message["direction"] == "inbound":
        return [("from", [message["from_address"]]), cc]
    return [("to", json.loads(message["to_addresses"])), cc, ("bcc", json.loads(message["bcc_addresses"]))]


def _message(mailbox: Row, message: Row, *, with_body: bool) -> dict[str, Any]:  # Any: JSON values
    is_inbound = message["direction"] == "inbound"
    data = {
        "id": message["id"],
        "mailbox_id": message["mailbox_id"],
        "email_address": mailbox["email_address"],
        "thread_id": message["thread_id"],
        "message_id": message["message_id"],
        "from_address": message["from_address"],
        "to_addresses": json.loads(message["to_addresses"]),
        "cc_addresses": json.loads(message["cc_addresses"]) or None,
        "bcc_addresses": None if is_inbound else json.loads(message["bcc_addresses"]) or None,
        "subject": message["subject"],
        "snippet": message["snippet"],
        "direction": message["direction"],
        "status": message["status"],
        "has_attachments": bool(message["has_attachments"]),
        "created_at": events.wire_time(parse_timestamp(message["created_at"])),
    }
    return data | (_body(message) if with_body else {"body": None})


def _body(message: Row) -> dict[str, Any]:  # Any: JSON values
    text = message["body_text"]
    if text is None and message["body_html"] is not None:
        text = html_to_text(message["body_html"])
    if text is None:
        return {"body": None, "body_state": "unavailable", "body_truncated": False}
    included = text[:MAX_BODY_CHARS]
    is_truncated = len(included) < len(text)
    return {
        "body": included,
        "body_state": "truncated" if is_truncated else "complete",
        "body_truncated": is_truncated,
        "body_total_chars": len(text),
        "body_included_chars": len(included),
    }
