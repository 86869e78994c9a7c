"""What the world outside makes of messages and calls: by default they arrive and are answered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from inkbox_async.generated.models.sandbox import WorldScriptLine

from .handling import invalid
from .store import Tx

EVERYBODY = "*"

KINDS: Mapping[str, frozenset[str]] = {
    "mail": frozenset({"delivered", "bounced", "failed"}),
    "text": frozenset({"delivered", "delivery_failed", "delivery_unconfirmed", "sending_failed"}),
    "imessage": frozenset({"delivered", "downgraded", "declined", "error"}),
    "call": frozenset({"answered", "busy", "no_answer", "rejected"}),
}
"""How messages and calls of each channel can end."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one message or call ends.

    Attributes:
        outcome: A documented state, such as `delivered`, `bounced`, `answered`, `busy`.
        error_code: The carrier's code, for failures.
        error_detail: The carrier's words, for failures.
        script: What a person says in a call that is answered: objects with `party` and `text`.
    """

    outcome: str
    error_code: str | None = None
    error_detail: str | None = None
    script: Sequence[Mapping[str, str]] = ()


def script_of(lines: Sequence[WorldScriptLine] | None) -> list[dict[str, str]]:
    """What is said in a call, as a request has it.

    Raises:
        ApiError: 422 when it is neither the person nor the agent who speaks, or the person says nothing.
    """
    for index, line in enumerate(lines or ()):
        if line.party not in ("local", "remote"):
            raise invalid(
                "Input should be 'local' or 'remote'", "body", "script", index, "party", kind="enum"
            )
        if line.party == "remote" and not line.text.strip():
            raise invalid("Give what the person says", "body", "script", index, "text")
    return [{"party": str(line.party), "text": line.text} for line in lines or ()]


def set_outcome(tx: Tx, channel: str, target: str, outcome: Outcome, times: int | None = None) -> None:
    """Decide what awaits the next messages or calls to somebody, in place of what was decided before.

    Args:
        tx: The transaction.
        channel: `mail`, `text`, `imessage` or `call`.
        target: Address or number in its comparable form, or `*` for everybody not named otherwise.
        outcome: What awaits them.
        times: How many it is for; None is for all of them.
    """
    tx.execute(
        "INSERT OR REPLACE INTO outcomes (channel, target, outcome, error_code, error_detail, script, "
        "remaining) VALUES (?, ?, ?, ?, ?, ?, ?)",
        channel,
        target,
        outcome.outcome,
        outcome.error_code,
        outcome.error_detail,
        list(outcome.script),
        times,
    )


def take_outcome(tx: Tx, channel: str, target: str) -> Outcome | None:
    """What awaits the message or call to `target` that is made now; None when nothing was decided."""
    row = tx.one(
        "SELECT * FROM outcomes WHERE channel = ? AND target IN (?, ?) ORDER BY target = ? LIMIT 1",
        channel,
        target,
        EVERYBODY,
        EVERYBODY,
    )
    if row is None:
        return None
    if row["remaining"] is not None:
        place = (channel, row["target"])
        tx.execute("UPDATE outcomes SET remaining = remaining - 1 WHERE channel = ? AND target = ?", *place)
        tx.execute("DELETE FROM outcomes WHERE channel = ? AND target = ? AND remaining < 1", *place)
    return Outcome(row["outcome"], row["error_code"], row["error_detail"], json.loads(row["script"]))
