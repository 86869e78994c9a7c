"""Filtering: the verdict of contact rules and filter modes, and which targets a rule may have."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inkbox_async.sandbox.mail.addresses import comparable, domain_of, normalise_address, normalise_domain
from inkbox_async.sandbox.mail.filters import (
    Rule,
    Verdict,
    covers,
    normalise_target,
    overlaps,
    redundant_action,
    verdict,
)

JANE_BLOCKED = Rule("1", "block", "exact_email", "jane@acme.example")
JANE_ALLOWED = Rule("2", "allow", "exact_email", "jane@acme.example")
ACME_BLOCKED = Rule("3", "block", "domain", "acme.example")
ACME_ALLOWED = Rule("4", "allow", "domain", "acme.example")


@pytest.mark.parametrize(
    ("mode", "rules", "is_allowed"),
    [
        ("blacklist", [], True),
        ("whitelist", [], False),
        ("blacklist", [JANE_BLOCKED], False),
        ("blacklist", [ACME_BLOCKED], False),
        ("whitelist", [JANE_ALLOWED], True),
        ("whitelist", [ACME_ALLOWED], True),
        ("blacklist", [ACME_BLOCKED, JANE_ALLOWED], True),
        ("whitelist", [ACME_ALLOWED, JANE_BLOCKED], False),
    ],
)
@pytest.mark.parametrize("sender", ["jane@acme.example", "JANE@Acme.Example", " jane@acme.example "])
def test_verdicts(mode: str, rules: list[Rule], is_allowed: bool, sender: str) -> None:
    for order in itertools.permutations(rules):
        assert verdict(sender, mode, order, "inbound").is_allowed is is_allowed


@pytest.mark.parametrize(
    "stranger", ["jane@mail.acme.example", "jane@acme.example.org", "jane@notacme.example"]
)
def test_a_domain_rule_covers_that_domain_only(stranger: str) -> None:
    assert verdict(stranger, "blacklist", [ACME_BLOCKED], "inbound") == Verdict(True)


@pytest.mark.parametrize("status", ["paused", "deleted"])
def test_only_active_rules_count(status: str) -> None:
    rule = Rule("1", "block", "exact_email", "jane@acme.example", status=status)
    assert verdict("jane@acme.example", "blacklist", [rule], "inbound").is_allowed


@pytest.mark.parametrize(
    ("covered", "asked", "counts"),
    [
        ("both", "inbound", True),
        ("both", "outbound", True),
        ("inbound", "inbound", True),
        ("inbound", "outbound", False),
        ("outbound", "inbound", False),
    ],
)
def test_a_rule_counts_in_its_direction_only(covered: str, asked: str, counts: bool) -> None:
    rule = Rule("1", "block", "domain", "acme.example", direction=covered)
    assert verdict("jane@acme.example", "blacklist", [rule], asked).is_allowed is not counts
    assert covers(covered, asked) is counts


def test_a_verdict_names_the_rule() -> None:
    assert (
        verdict("jane@acme.example", "blacklist", [ACME_ALLOWED, JANE_BLOCKED], "inbound").rule
        == JANE_BLOCKED
    )


@pytest.mark.parametrize("sender", ["", "@", "postmaster", "no one@nowhere", "a@b@acme.example", "<>"])
def test_senders_that_are_no_address_get_the_default(sender: str) -> None:
    rules = [JANE_BLOCKED]
    assert verdict(sender, "blacklist", rules, "inbound").is_allowed
    assert not verdict(sender, "whitelist", rules, "inbound").is_allowed


def test_what_a_mode_makes_redundant() -> None:
    assert (redundant_action("whitelist"), redundant_action("blacklist")) == ("block", "allow")


def test_overlap_is_symmetric() -> None:
    assert overlaps("both", "inbound")
    assert overlaps("outbound", "both")
    assert overlaps("inbound", "inbound")
    assert not overlaps("inbound", "outbound")


@pytest.mark.parametrize(
    ("match_type", "given_target", "stored"),
    [
        ("exact_email", " Jane.Doe+x@ACME.Example ", "jane.doe+x@acme.example"),
        ("exact_email", "jürgen@Bücher.example", "jürgen@xn--bcher-kva.example"),
        ("domain", "ACME.Example", "acme.example"),
        ("domain", "acme.example.", "acme.example"),
        ("domain", "Bücher.example", "xn--bcher-kva.example"),
        ("domain", "xn--bcher-kva.example", "xn--bcher-kva.example"),
    ],
)
def test_targets_are_normalised(match_type: str, given_target: str, stored: str) -> None:
    assert normalise_target(match_type, given_target) == stored


@pytest.mark.parametrize(
    ("match_type", "target"),
    [
        ("exact_email", "acme.example"),
        ("exact_email", "Jane <jane@acme.example>"),
        ("exact_email", "jane@acme.example, lin@acme.example"),
        ("exact_email", "jane doe@acme.example"),
        ("exact_email", "jane..doe@acme.example"),
        ("exact_email", "jane@acme"),
        ("exact_email", "x" * 65 + "@acme.example"),
        ("exact_email", "jane@acme.example\nlin@acme.example"),
        ("exact_email", "ja\u200bne@acme.example"),
        ("domain", "jane@acme.example"),
        ("domain", "@acme.example"),
        ("domain", "*.acme.example"),
        ("domain", "https://acme.example/"),
        ("domain", "acme"),
        ("domain", "acme..example"),
        ("domain", "-acme.example"),
        ("domain", "x" * 64 + ".example"),
        ("domain", ("x" * 60 + ".") * 5 + "example"),
        ("domain", ""),
        ("exact_email", ""),
    ],
)
def test_bad_targets_are_refused(match_type: str, target: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        normalise_target(match_type, target)


ANY_TEXT = st.one_of(st.text(max_size=40), st.emails(), st.text("ab.@-\u3002ü\u200b \n", max_size=12))


@given(ANY_TEXT)
def test_normalising_an_address_again_changes_nothing(text: str) -> None:
    try:
        normal = normalise_address(text)
    except ValueError:
        assert comparable(text) == text.strip().lower()
        return
    assert normalise_address(normal) == normal == comparable(text)
    assert normalise_domain(domain_of(normal)) == domain_of(normal)


@given(ANY_TEXT, st.sampled_from(["whitelist", "blacklist"]))
def test_a_rule_for_exactly_that_address_always_decides(text: str, mode: str) -> None:
    try:
        target = normalise_target("exact_email", text)
    except ValueError:
        return
    for action in ("allow", "block"):
        rules = [ACME_ALLOWED, ACME_BLOCKED, Rule("x", action, "exact_email", target)]
        assert verdict(text.upper() if text.isascii() else text, mode, rules, "inbound").is_allowed is (
            action == "allow"
        )
