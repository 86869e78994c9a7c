"""What left the sandbox for the outside: mail, texts, iMessages and calls, to be looked at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from .store import Tx

CHANNELS = ("mail", "text", "imessage", "call")


@dataclass(frozen=True, slots=True)
class Sent:
    """One thing that left.

    Attributes:
        id: Names the entry.
        organization_id: Whose it was.
        channel: `mail`, `text`, `imessage` or `call`.
        item: What it was, as the outbox of the control API shows it.
        raw: The message as it travelled, for mail.
        created_at: When it left, by the sandbox's clock.
    """

    id: str
    organization_id: str
    channel: str
    item: Mapping[str, Any]  # Any: JSON values of every type
    raw: bytes | None = field(repr=False)
    created_at: str


def put(
    tx: Tx,
    now: datetime,
    *,
    organization_id: str,
    channel: str,
    item: Mapping[str, Any],  # Any: JSON values of every type
    raw: bytes | None = None,
) -> str:
    """Note that something leaves, and return the entry's id."""
    if channel not in CHANNELS:
        raise ValueError(f"channel is one of {', '.join(CHANNELS)}, not {channel!r}")
    entry_id = str(uuid4())
    tx.insert(
        "outbox",
        id=entry_id,
        organization_id=organization_id,
        channel=channel,
        item=item,
        raw=raw,
        created_at=now,
    )
    return entry_id


def sent(tx: Tx, channel: str | None = None, organization_id: str | None = None) -> list[Sent]:
    """What left, newest first; on one channel, or of one organization, where these are given."""
    rows = tx.all(
        "SELECT * FROM outbox WHERE (? IS NULL OR channel = ?) AND (? IS NULL OR organization_id = ?) "
        "ORDER BY created_at DESC, rowid DESC",
        channel,
        channel,
        organization_id,
        organization_id,
    )
    return [
        Sent(
            row["id"],
            row["organization_id"],
            row["channel"],
            json.loads(row["item"]),
            row["raw"],
            row["created_at"],
        )
        for row in rows
    ]
