"""Who may write to a mailbox, and to whom it may write: contact rules and filter modes, as pure functions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from inkbox_async.sandbox.mail.addresses import comparable, domain_of, normalise_address, normalise_domain

ALLOW, BLOCK = "allow", "block"
EXACT_EMAIL, DOMAIN = "exact_email", "domain"
WHITELIST, BLACKLIST = "whitelist", "blacklist"
ACTIVE = "active"
INBOUND, OUTBOUND, BOTH = "inbound", "outbound", "both"


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
    """Whether mail passes, and the rule that said so (None: the filter mode did)."""

    is_allowed: bool
    rule: Rule | None = None


def normalise_target(match_type: str, match_target: str) -> str:
    """The form of a rule's target that is stored and compared.

    Raises:
        ValueError: The target is not an address (`exact_email`) or not a bare domain (`domain`).
    """
    if match_type == EXACT_EMAIL:
        return normalise_address(match_target)
    if "@" in match_target:
        raise ValueError("a domain rule takes the bare domain, such as example.com, without an @")
    return normalise_domain(match_target)


def verdict(address: str, mode: str, rules: Iterable[Rule], direction: str) -> Verdict:
    """Decide about one address: an exact rule before a domain rule before the mode's default.

    Only active rules count, and only those that cover the direction. A domain rule covers every address
    at that domain and none at its subdomains.

    Args:
        address: The sender of inbound, or the recipient of outbound mail, as written.
        mode: `whitelist` or `blacklist`.
        rules: The rules of the mailbox.
        direction: `inbound` or `outbound`.
    """
    wanted = comparable(address)
    domain = domain_of(wanted)
    by_target = {
        (rule.match_type, rule.match_target): rule
        for rule in rules
        if rule.status == ACTIVE and rule.direction in {direction, BOTH}
    }
    rule = by_target.get((EXACT_EMAIL, wanted)) or by_target.get((DOMAIN, domain))
    if rule is not None:
        return Verdict(rule.action == ALLOW, rule)
    return Verdict(mode != WHITELIST)


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
    return OUTBOUND if side == INBOUND else INBOUND
