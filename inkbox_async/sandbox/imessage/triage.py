"""The triage line: its number, and what it answers to people who text it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from sqlite3 import Row

from inkbox_async.generated.models.imessage import IMessageTriageNumber
from inkbox_async.sandbox.handles import normalise_handle
from inkbox_async.sandbox.handling import Call, handles
from inkbox_async.sandbox.imessage.assignments import connect, release
from inkbox_async.sandbox.imessage.contact_rules import verdict_on
from inkbox_async.sandbox.rules import INBOUND, OUTBOUND
from inkbox_async.sandbox.store import Tx
from inkbox_async.sandbox.visibility import identity_row

TRIAGE_NUMBER = "+16465550100"
"""In the 555 exchange, which is kept for fiction."""

_PLACEHOLDER = "your-handle"
_COMMAND = re.compile(r"\s*(connect|disconnect)\s+(@?[a-z0-9-]+)\s*", re.IGNORECASE)
_HELP = "Text 'connect @handle' to reach an agent, 'disconnect @handle' to leave it, 'list' to see yours."


@dataclass(frozen=True, slots=True)
class Reply:
    """What the triage line answers, and the connection that it is about."""

    text: str
    assignment: Row | None = None


@handles("imessages.get_triage_number")
def get_triage_number(call: Call) -> IMessageTriageNumber:
    """The line, and the words that connect people with the caller."""
    own = call.caller.identity_id
    handle = _PLACEHOLDER if own is None else identity_row(call, own)["agent_handle"]
    return IMessageTriageNumber(number=TRIAGE_NUMBER, connect_command=connect_command(handle))


def connect_command(handle: str) -> str:
    """What people text to the triage line to reach an agent."""
    return f"connect @{handle}"


def is_connect_command(text: str) -> bool:
    """Whether a text asks for a connection."""
    command = _COMMAND.fullmatch(text)
    return command is not None and command[1].lower() == "connect"


def answer(tx: Tx, now: datetime, number: str, text: str) -> Reply:
    """Do what a person texts to the triage line.

    Whoever cannot be reached is answered for in one and the same way, so that nobody learns which agents
    there are, or whom they block.
    """
    command = _COMMAND.fullmatch(text)
    if command is None:
        return Reply(_connections(tx, number) if text.strip().lower() == "list" else _HELP)
    handle = normalise_handle(command[2])
    if command[1].lower() == "disconnect":
        return _disconnect(tx, now, number, handle)
    identity = tx.one(
        "SELECT * FROM identities WHERE agent_handle = ? AND status = 'active' AND imessage_enabled", handle
    )
    if identity is None or not all(
        verdict_on(tx, identity, number, direction).is_allowed for direction in (INBOUND, OUTBOUND)
    ):
        return Reply(f"@{handle} cannot be reached.")
    return Reply(f"You are connected to @{handle}.", connect(tx, now, identity, number))


def _disconnect(tx: Tx, now: datetime, number: str, handle: str) -> Reply:
    own = "remote_number = ? AND identity_id IN (SELECT id FROM identities WHERE agent_handle = ?)"
    assignment = tx.one(
        f"SELECT * FROM imessage_assignments WHERE status = 'active' AND {own}", number, handle
    )
    if assignment is None:
        return Reply(f"You are not connected to @{handle}.")
    release(tx, now, "id = ?", assignment["id"])
    return Reply(f"You are no longer connected to @{handle}.", assignment)


def _connections(tx: Tx, number: str) -> str:
    rows = tx.all(
        "SELECT i.agent_handle FROM imessage_assignments AS a JOIN identities AS i ON i.id = a.identity_id "
        "WHERE a.remote_number = ? AND a.status = 'active' ORDER BY a.created_at",
        number,
    )
    if not rows:
        return "You are connected to nobody."
    return "You are connected to " + ", ".join(f"@{row['agent_handle']}" for row in rows) + "."
