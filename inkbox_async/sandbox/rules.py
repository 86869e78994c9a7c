"""The verdict of contact rules and filter modes, the same on every channel, as pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .handling import ApiError

ALLOW, BLOCK = "allow", "block"
WHITELIST, BLACKLIST = "whitelist", "blacklist"
ACTIVE = "active"
INBOUND, OUTBOUND, BOTH = "inbound", "outbound", "both"
EXACT_NUMBER = "exact_number"


@dataclass(frozen=True, slots=True)
class Rule:
    """One contact rule. `match_target` is normalised."""

    id: str
    action: str
    match_type: str
    match_target: str
    status: str = ACTIVE
    direction: str = BOTH


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether something passes, and the rule that said so (None: the filter mode did)."""

    is_allowed: bool
    rule: Rule | None = None


def decide(targets: Sequence[tuple[str, str]], mode: str, rules: Iterable[Rule], direction: str) -> Verdict:
    """Decide about one party: the first of its targets that has a rule, else the mode's default.

    Only active rules count, and only those that cover the direction.

    Args:
        targets: (match type, normalised target) of the rules that would match the party, the most exact
            first.
        mode: `whitelist` or `blacklist`.
        rules: The rules there are.
        direction: `inbound` or `outbound`.
    """
    by_target = {
        (rule.match_type, rule.match_target): rule
        for rule in rules
        if rule.status == ACTIVE and covers(rule.direction, direction)
    }
    for target in targets:
        if (rule := by_target.get(target)) is not None:
            return Verdict(rule.action == ALLOW, rule)
    return Verdict(mode != WHITELIST)


def number_verdict(number: str, mode: str, rules: Iterable[Rule], direction: str) -> Verdict:
    """Decide about a phone number in E.164 form."""
    return decide([(EXACT_NUMBER, number)], mode, rules, direction)


def recipient_blocked(address: str, verdict: Verdict) -> ApiError:
    """403 for somebody to whom nothing may be sent."""
    reason = "whitelist without allow rule" if verdict.rule is None else "blocked by a contact rule"
    return ApiError(
        403,
        {
            "error": "recipient_blocked",
            "message": f"Contact rules do not let this identity write to {address}.",
            "matched_rule_id": None if verdict.rule is None else verdict.rule.id,
            "address": address,
            "reason": reason,
        },
    )


def redundant_action(mode: str) -> str:
    """The action that only repeats what the mode does anyway."""
    return BLOCK if mode == WHITELIST else ALLOW


def covers(direction: str, side: str) -> bool:
    """Whether a rule of that direction says anything about that side."""
    return direction in {BOTH, side}


def overlaps(one: str, other: str) -> bool:
    """Whether two directions have a side in common."""
    return one == other or BOTH in {one, other}


def other_side(side: str) -> str:
    """`outbound` for `inbound`, and the other way round."""
    return OUTBOUND if side == INBOUND else INBOUND
