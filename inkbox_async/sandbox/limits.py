"""The limits of an organization's plan, which tests may change."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Self

from .store import Tx

GIB = 1024**3


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plan allows. None is no limit.

    Attributes:
        identities: Live identities of the organization.
        phone_numbers: Active phone numbers of the organization.
        mail_sends_per_day: Recipients mailed by one mailbox in 24 hours.
        unclaimed_mail_sends_per_day: The same for an agent that no human has claimed.
        mailbox_storage_bytes: Size of one mailbox.
        text_sends_per_day: Recipients texted from one phone number in 24 hours.
        imessage_sends_per_day: iMessages sent by one identity in 24 hours.
        imessages_before_first_word: iMessages sent to a connected person who has not written yet. Today's
            servers allow 0.
        calls_per_day: Calls placed by the organization in 24 hours.
        call_minutes_per_day: Minutes of calls placed by the organization in 24 hours.
    """

    identities: int | None = None
    phone_numbers: int | None = None
    mail_sends_per_day: int | None = 500
    unclaimed_mail_sends_per_day: int | None = 10
    mailbox_storage_bytes: int | None = 2 * GIB
    text_sends_per_day: int | None = 100
    imessage_sends_per_day: int | None = 100
    imessages_before_first_word: int | None = None
    calls_per_day: int | None = 100
    call_minutes_per_day: int | None = 100

    @classmethod
    def of(cls, tx: Tx, organization_id: str) -> Self:
        """The limits of an organization: the defaults, and what was changed for it."""
        changed = json.loads(
            tx.value("SELECT limits FROM organizations WHERE id = ?", organization_id) or "{}"
        )
        return cls(**{name: value for name, value in changed.items() if name in cls.names()})

    @classmethod
    def names(cls) -> frozenset[str]:
        """The limits that there are."""
        return frozenset(field.name for field in fields(cls))

    def to_json(self) -> dict[str, int | None]:
        """All limits by name."""
        return asdict(self)
