"""Organizations: the people's side of the sandbox, made ready at the start or through the control API."""

from __future__ import annotations

import json
import secrets
import uuid
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Self

from .auth import create_key
from .clock import parse_timestamp, timestamp
from .store import Tx


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization, its one person, and its admin key."""

    id: str
    user_id: str
    email_address: str
    password: str = field(repr=False)
    api_key: str = field(repr=False)
    created_at: str

    def to_json(self) -> str:
        """All of it as JSON text, secrets included."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote."""
        return cls(**json.loads(text))


def new_organization(now: datetime) -> Organization:
    """A fresh organization with fresh secrets, not stored yet."""
    name = secrets.token_hex(6)
    return Organization(
        id=f"org_{name}",
        user_id=f"user_{secrets.token_hex(6)}",
        email_address=f"owner-{name}@example.com",
        password=secrets.token_urlsafe(16),
        api_key=f"ApiKey_{uuid.uuid4()}.{secrets.token_urlsafe(32)}",
        created_at=timestamp(now),
    )


def create_organization(tx: Tx, organization: Organization) -> None:
    """Store an organization and its admin key."""
    tx.insert(
        "organizations",
        id=organization.id,
        user_id=organization.user_id,
        email_address=organization.email_address,
        password=organization.password,
        created_at=organization.created_at,
    )
    create_key(
        tx,
        parse_timestamp(organization.created_at),
        organization_id=organization.id,
        scoped_identity_id=None,
        label="sandbox",
        created_by=organization.user_id,
        creator_type="human",
        secret=organization.api_key,
    )
