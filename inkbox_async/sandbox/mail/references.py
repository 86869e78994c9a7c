"""How messages become a conversation: Message-ID, In-Reply-To, References and subjects (RFC 5322, 3.6.4)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence

MAX_REFERENCES = 100
"""Ids kept of a References header. The first names the conversation, the last ones its nearest ancestors."""

_MESSAGE_ID = re.compile(r"<[^<>\s]{1,995}>")
_REPLY_PREFIX = re.compile(r"\s*re\s*:", re.IGNORECASE)
_FORWARD_PREFIX = re.compile(r"\s*fwd?\s*:", re.IGNORECASE)


def message_ids(header: str) -> list[str]:
    """The ids of a Message-ID, In-Reply-To or References header, with their angle brackets, each once.

    A lone id that was sent without brackets gets them.
    """
    ids = list(dict.fromkeys(_MESSAGE_ID.findall(header)))
    if not ids and (bare := header.strip(" \t<>")) and not re.search(r"[\s<>]", bare) and len(bare) < 996:
        ids = [f"<{bare}>"]
    if len(ids) > MAX_REFERENCES:
        ids = [ids[0], *ids[-(MAX_REFERENCES - 1) :]]
    return ids


def new_message_id(domain: str) -> str:
    """A Message-ID never used before, under the sender's domain."""
    return f"<{uuid.uuid4().hex}@{domain}>"


def ancestors(in_reply_to: str | None, references: Sequence[str]) -> list[str]:
    """The ids whose conversation a message joins, the nearest first."""
    nearest_first = [*([in_reply_to] if in_reply_to else []), *reversed(references)]
    return list(dict.fromkeys(nearest_first))


def references_of_reply(
    parent_id: str, parent_references: Sequence[str], parent_in_reply_to: str | None
) -> list[str]:
    """The References of a reply: those of the parent (else its In-Reply-To), then the parent."""
    inherited = list(parent_references) or ([parent_in_reply_to] if parent_in_reply_to else [])
    return message_ids(" ".join([*inherited, parent_id]))


def reply_subject(subject: str | None) -> str:
    """`Re: ` before the subject, unless it is there already."""
    return _prefixed("Re:", _REPLY_PREFIX, subject)


def forward_subject(subject: str | None) -> str:
    """`Fwd: ` before the subject, unless it starts with `Fwd:` or `Fw:` already."""
    return _prefixed("Fwd:", _FORWARD_PREFIX, subject)


def _prefixed(prefix: str, already: re.Pattern[str], subject: str | None) -> str:
    text = (subject or "").strip()
    return text if already.match(text) else f"{prefix} {text}".strip()
