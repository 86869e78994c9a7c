"""Who may write to a mailbox, and to whom it may write: contact rules and filter modes, as pure functions."""

from __future__ import annotations

from collections.abc import Iterable

from inkbox_async.sandbox.mail.addresses import comparable, domain_of, normalise_address, normalise_domain
from inkbox_async.sandbox.rules import BLACKLIST as BLACKLIST
from inkbox_async.sandbox.rules import INBOUND as INBOUND
from inkbox_async.sandbox.rules import OUTBOUND as OUTBOUND
from inkbox_async.sandbox.rules import Rule as Rule
from inkbox_async.sandbox.rules import Verdict as Verdict
from inkbox_async.sandbox.rules import covers as covers
from inkbox_async.sandbox.rules import decide
from inkbox_async.sandbox.rules import overlaps as overlaps
from inkbox_async.sandbox.rules import redundant_action as redundant_action

EXACT_EMAIL, DOMAIN = "exact_email", "domain"


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
    return decide([(EXACT_EMAIL, wanted), (DOMAIN, domain_of(wanted))], mode, rules, direction)
