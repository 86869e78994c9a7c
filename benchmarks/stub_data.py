"""What the stub server answers: every documented field, and no two messages of a page alike."""

from __future__ import annotations

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

Json = dict[str, Any]  # Any: JSON

ADDRESS = "scout@inkboxmail.com"
HANDLE = "scout"
PAGE_SIZE = 50
CURSOR_LENGTH = 8

_chance = random.Random(20260102)
_FIRST = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
_PEOPLE = [
    ("ada@example.com", "Ada Lovelace"),
    ("grace.hopper@navy.example", "Grace Hopper"),
    ("edsger@example.nl", "Edsger Wybe Dijkstra"),
    ("support+tickets@shop.example", "Shop – Support"),
    ("noreply@carrier.example", None),
    ("zoe@example.org", "Zoë Ångström"),
    ("barbara@example.edu", "Barbara Liskov"),
]
_TEXT = (
    "the engine weaves algebraical patterns just as the loom weaves flowers and leaves your order has been "
    "shipped please find attached the invoice for march could we move our meeting to thursday afternoon "
    "thank you for the quick answer it works now the report is ready for review and needs two signatures"
)
_WORDS = _TEXT.split()


def identifier() -> str:
    """A UUID as a server would make it, the same in every run."""
    return str(UUID(int=_chance.getrandbits(128), version=4))


MAILBOX_ID = identifier()
IDENTITY_ID = identifier()


def words(count: int) -> str:
    """A text of so many words."""
    return " ".join(_chance.choice(_WORDS) for _ in range(count))


def _moment(seconds: float) -> str:
    return (_FIRST - timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def message(number: int) -> Json:
    """The message that came `number` places before the newest."""
    address, name = _PEOPLE[number % len(_PEOPLE)]
    outbound = number % 4 == 3
    opened = outbound and number % 8 == 3
    return {
        "id": identifier(),
        "mailbox_id": MAILBOX_ID,
        "thread_id": identifier(),
        "message_id": f"<{_chance.getrandbits(64):x}.{number}@mail.example>",
        "from_address": ADDRESS if outbound else address,
        "from_display_name": "Scout" if outbound else name,
        "to_addresses": [address] if outbound else [ADDRESS],
        "cc_addresses": [person for person, _ in _PEOPLE[: number % 3]] or None,
        "subject": words(4 + number % 6).capitalize(),
        "snippet": words(60)[:200],
        "direction": "outbound" if outbound else "inbound",
        "status": "delivered" if outbound else "received",
        "is_read": number % 3 != 0,
        "is_starred": number % 11 == 0,
        "has_attachments": number % 5 == 0,
        "created_at": _moment(number * 3600 + _chance.random() * 600),
        "first_opened_at": _moment(number * 3600 - 900) if opened else None,
        "open_count": 1 + number % 5 if opened else 0,
        "import_job_id": identifier() if number % 10 == 9 else None,
    }


MESSAGES = [message(number) for number in range(PAGE_SIZE)]
MESSAGE_ID: str = MESSAGES[0]["id"]

DETAIL = {
    **MESSAGES[0],
    "body_text": words(350),
    "body_html": f"<p>{words(350)}</p>",
    "bcc_addresses": None,
    "in_reply_to": MESSAGES[1]["message_id"],
    "references": [MESSAGES[2]["message_id"], MESSAGES[1]["message_id"]],
    "attachment_metadata": [{"filename": "invoice.pdf", "content_type": "application/pdf", "size": 48211}],
    "ses_message_id": None,
    "updated_at": MESSAGES[0]["created_at"],
    "reply_all_recipients": {"to": ["ada@example.com"], "cc": []},
}

SENT = {**message(3), "status": "queued", "first_opened_at": None, "open_count": 0}

IDENTITY = {
    "id": IDENTITY_ID,
    "organization_id": "org_a2636cba101e",
    "agent_handle": HANDLE,
    "display_name": "Scout",
    "description": None,
    "status": "active",
    "email_address": ADDRESS,
    "imessage_enabled": False,
    "contact_sharing_enabled": True,
    "imessage_filter_mode": "blacklist",
    "mail_filter_mode": "blacklist",
    "mail_inbound_filter_mode": "blacklist",
    "mail_outbound_filter_mode": "blacklist",
    "phone_filter_mode": "blacklist",
    "phone_inbound_filter_mode": "blacklist",
    "phone_outbound_filter_mode": "blacklist",
    "slack_filter_mode": "blacklist",
    "slack_inbound_filter_mode": "blacklist",
    "slack_outbound_filter_mode": "blacklist",
    "signing_key_configured": False,
    "signing_key_created_at": None,
    "mailbox": {
        "id": MAILBOX_ID,
        "email_address": ADDRESS,
        "sending_domain": "inkboxmail.com",
        "filter_mode": "blacklist",
        "inbound_filter_mode": "blacklist",
        "outbound_filter_mode": "blacklist",
        "agent_identity_id": IDENTITY_ID,
        "filter_mode_change_notice": None,
        "signature_html": None,
        "signature_text": None,
        "signature_enabled": False,
        "created_at": _moment(0),
        "updated_at": _moment(0),
    },
    "phone_number": None,
    "imessage_number": None,
    "tunnel": None,
    "notices": None,
    "created_at": _moment(0),
    "updated_at": _moment(0),
}


def encoded(content: object) -> bytes:
    """JSON as servers write it: compact, in UTF-8."""
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def page(cursor: int | None) -> bytes:
    """A page of messages; `cursor` leads to the next one. All cursors are of one length."""
    following = None if cursor is None else f"{cursor:0{CURSOR_LENGTH}d}"
    return encoded({"items": MESSAGES, "next_cursor": following, "has_more": following is not None})
