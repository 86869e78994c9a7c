"""What left the sandbox for the outside: mail, texts, iMessages and calls, to be looked at."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from sqlite3 import Row
from typing import Literal
from uuid import uuid4

from inkbox_async.generated.models.sandbox import OutboxItem

from .store import Tx


def put(
    tx: Tx,
    now: datetime,
    *,
    channel: Literal["mail", "text", "imessage", "call"],
    sender: str,
    recipients: Sequence[str],
    organization_id: str | None = None,
    resource_id: str | None = None,
    subject: str | None = None,
    text: str | None = None,
    html: str | None = None,
    media_urls: Sequence[str] = (),
    raw: bytes | None = None,
) -> None:
    """Note that something leaves for the outside.

    Args:
        tx: The transaction that sends it.
        now: When it leaves.
        channel: Which way it leaves.
        sender: Address or number it comes from.
        recipients: Addresses or numbers outside that it goes to, blind copies included.
        organization_id: Whose it is; None for mail of Inkbox itself.
        resource_id: Id of the message or call.
        subject: Subject of a mail.
        text: The text.
        html: HTML body of a mail.
        media_urls: Addresses of files sent along.
        raw: A mail as it travels.
    """
    tx.insert(
        "outbox",
        id=uuid4(),
        channel=channel,
        organization_id=organization_id,
        resource_id=resource_id,
        sender=sender,
        recipients=list(recipients),
        subject=subject,
        text=text,
        html=html,
        media_urls=list(media_urls),
        raw=raw,
        created_at=now,
    )


def sent(tx: Tx, channel: str | None = None) -> list[OutboxItem]:
    """What left, newest first; on one channel where it is given."""
    rows = tx.all("SELECT * FROM outbox WHERE ? IS NULL OR channel = ? ORDER BY seq DESC", channel, channel)
    return [_show(row) for row in rows]


def _show(row: Row) -> OutboxItem:
    return OutboxItem(
        id=row["id"],
        channel=row["channel"],
        organization_id=row["organization_id"],
        resource_id=row["resource_id"],
        from_=row["sender"],
        to=json.loads(row["recipients"]),
        subject=row["subject"],
        text=row["text"],
        html=row["html"],
        media_urls=json.loads(row["media_urls"]),
        raw_base64=None if row["raw"] is None else base64.b64encode(row["raw"]).decode(),
        created_at=row["created_at"],
    )
