"""What is stored of a call while it is carried: what was said, how it ended, and what is told about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from sqlite3 import Row
from typing import Any, TypeAlias
from uuid import uuid4

from inkbox_async.sandbox import events
from inkbox_async.sandbox.phone.call_limits import rate_limit
from inkbox_async.sandbox.phone.rows import show_call
from inkbox_async.sandbox.settings import Settings
from inkbox_async.sandbox.signing_keys import signing_secret
from inkbox_async.sandbox.store import Tx
from inkbox_async.sandbox.webhooks.matching import match_party

Plan: TypeAlias = dict[str, Any]  # Any: JSON values of every type

MAX_TURNS = 200
"""Turns of a transcript that travel with `call.ended`; of a longer one the middle is left out."""

_TOLD_OF_INCOMING = (
    "id",
    "local_phone_number",
    "remote_phone_number",
    "direction",
    "client_websocket_url",
    "use_inkbox_tts",
    "use_inkbox_stt",
    "hangup_reason",
    "started_at",
    "ended_at",
    "created_at",
    "updated_at",
)
_TOLD_OF_ENDED = (
    "id",
    "origin",
    "local_phone_number",
    "remote_phone_number",
    "direction",
    "status",
    "hangup_reason",
    "started_at",
    "ended_at",
    "created_at",
    "updated_at",
    "duration_seconds",
    "mode",
    "reason",
    "hosted_agent_authority_mode",
    "voicemail_detection",
    "on_voicemail",
    "forwardings",
    "connections",
)


def write_down(tx: Tx, now: datetime, started: datetime, call_id: str, party: str, text: str) -> None:
    """Store what was said; nothing when the call is not stored any more."""
    if tx.one("SELECT 1 FROM calls WHERE id = ?", call_id) is None:
        return
    cursor = tx.execute(
        "INSERT INTO call_transcripts (id, call_id, seq, ts_ms, party, text, created_at) "
        "SELECT ?, ?, count(*), ?, ?, ?, ? FROM call_transcripts WHERE call_id = ?",
        uuid4(),
        call_id,
        (now - started) // timedelta(milliseconds=1),
        party,
        text,
        now,
        call_id,
    )
    tx.insert("call_search", rowid=cursor.lastrowid, body=text)


def end(
    tx: Tx,
    now: datetime,
    settings: Settings,
    call_id: str,
    status: str,
    reason: str | None,
    frames: Sequence[str] = (),
) -> None:
    """Store how a call has ended, and tell of it when an agent took part; nothing for one that has ended.

    Args:
        tx: The transaction.
        now: When it ended.
        settings: Where the transcript is to be found.
        call_id: Id of the call.
        status: `completed`, `failed` or `canceled`.
        reason: Why it ended.
        frames: What the agent has sent, oldest first.
    """
    call = tx.one("SELECT * FROM calls WHERE id = ? AND ended_at IS NULL", call_id)
    if call is None:
        return
    tx.update("calls", call_id, status=status, hangup_reason=reason, ended_at=now, updated_at=now)
    tx.execute(  # one statement, for there may be a great many
        "INSERT INTO call_frames (call_id, frame, created_at) "
        "SELECT ?, value, ? FROM json_each(?) ORDER BY key",
        call_id,
        now,
        list(frames),
    )
    spoken = tx.all(
        "SELECT text FROM call_transcripts WHERE call_id = ? AND party = 'local' ORDER BY seq", call_id
    )
    if spoken:
        words = "\n".join(row["text"] for row in spoken)
        tx.execute("UPDATE outbox SET text = ? WHERE channel = 'call' AND resource_id = ?", words, call_id)
    if call["started_at"] is not None:
        _announce(tx, now, settings, call_id)


def end_untaken(tx: Tx, now: datetime, settings: Settings, call_id: str, peer_id: str) -> None:
    """Store that nobody took a call at the other number of the sandbox: declined, or with no agent there."""
    reason = tx.value("SELECT hangup_reason FROM calls WHERE id = ?", peer_id)
    end(tx, now, settings, call_id, "failed", "rejected" if reason == "rejected" else None)


def end_all(tx: Tx, now: datetime, settings: Settings) -> None:
    """End the calls that an earlier run of the sandbox has left: their lines are dead."""
    for call in tx.all("SELECT id, started_at FROM calls WHERE ended_at IS NULL ORDER BY seq"):
        end(tx, now, settings, call["id"], "failed" if call["started_at"] is None else "completed", None)


def incoming_call(tx: Tx, now: datetime, call: Row) -> tuple[Row, Plan, str | None]:
    """Who decides about an inbound call: (number called, question to its receiver, signing secret)."""
    number = tx.one("SELECT * FROM phone_numbers WHERE id = ?", call["phone_number_id"])
    assert number is not None
    told = events.plain(show_call(call))
    contacts, agents = match_party(tx, call["organization_id"], call["identity_id"], call["remote_number"])
    payload = {name: told[name] for name in _TOLD_OF_INCOMING} | {
        "phone_number_id": call["phone_number_id"],
        "status": "initiated",
        "rate_limit": rate_limit(tx, now, call["organization_id"]).to_wire(),
        "contacts": contacts,
        "agent_identities": agents,
    }
    secret = signing_secret(tx, call["organization_id"], call["identity_id"])
    return number, payload, secret


def _announce(tx: Tx, now: datetime, settings: Settings, call_id: str) -> None:
    """Record the `call.ended` event."""
    call = tx.one("SELECT * FROM calls WHERE id = ?", call_id)
    assert call is not None
    contacts, agents = match_party(tx, call["organization_id"], call["identity_id"], call["remote_number"])
    told = events.plain(show_call(call))
    url = f"{settings.base_url}/api/v1/phone/calls/{call_id}/transcripts"
    events.emit(
        tx,
        events.Event(
            organization_id=call["organization_id"],
            event_type="call.ended",
            occurred_at=now,
            data={
                "call": {name: told[name] for name in _TOLD_OF_ENDED},
                "contacts": contacts,
                "agent_identities": agents,
                "transcript": _transcript(tx, call, url),
                "transcript_url": url,
                "outcome": None,
                "post_call_action_items": [],
            },
            agent_identity_id=call["identity_id"],
        ),
    )


def _transcript(tx: Tx, call: Row, url: str) -> Plan | None:
    rows = tx.all(
        "SELECT party, text, ts_ms FROM call_transcripts WHERE call_id = ? ORDER BY seq", call["id"]
    )
    if not rows:
        return None
    turns = [dict(row) for row in rows]
    is_abridged = len(turns) > MAX_TURNS
    if is_abridged:
        head, tail = turns[: MAX_TURNS // 2], turns[-MAX_TURNS // 2 :]
        marker = {
            "marker": "abridged",
            "omitted_turns": len(turns) - len(head) - len(tail),
            "omitted_ms": tail[0]["ts_ms"] - head[-1]["ts_ms"],
        }
        turns = [*head, marker, *tail]
    return {"entries": turns, "abridged": is_abridged, "url": url}
