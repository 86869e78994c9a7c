"""The operations on contact rules of a phone number, and the verdict on one number."""

from __future__ import annotations

from sqlite3 import Row

from inkbox_async.generated.models.phone import PhoneContactRule
from inkbox_async.generated.queries.phone import PhoneContactRulesListAllQuery
from inkbox_async.sandbox.e164 import number_target
from inkbox_async.sandbox.handling import Call, handles
from inkbox_async.sandbox.phone.rows import identity_of, number_of, show_rule
from inkbox_async.sandbox.rule_book import RuleBook
from inkbox_async.sandbox.rules import Verdict, number_verdict
from inkbox_async.sandbox.store import Tx

RULES = RuleBook(
    table="phone_contact_rules",
    owner="phone_number_id",
    traffic="calls and texts",
    normalise=number_target,
    source="phone_contact_rules AS r JOIN phone_numbers AS n ON n.id = r.phone_number_id",
    columns="r.*, n.identity_id",
)


def verdict_on(tx: Tx, number: Row, other: str, direction: str) -> Verdict:
    """Whether somebody may call and text a phone number (`inbound`), or it them (`outbound`)."""
    mode = identity_of(tx, number)[f"phone_filter_mode_{direction}"]
    return number_verdict(other, mode, RULES.rules_of(tx, number["id"]), direction)


@handles("phone_contact_rules.list")
def list_rules(call: Call) -> list[PhoneContactRule]:
    """A number's rules, newest first."""
    return [show_rule(row) for row in RULES.listed(call, "r.phone_number_id = ?", number_of(call)["id"])]


@handles("phone_contact_rules.list_all")
def list_all(call: Call) -> list[PhoneContactRule]:
    """The rules of every living number of the organization, newest first."""
    query: PhoneContactRulesListAllQuery = call.query
    condition = "n.organization_id = ? AND n.status <> 'released'"
    values: list[object] = [call.caller.organization_id]
    if query.phone_number_id is not None:
        condition += " AND n.id = ?"
        values.append(query.phone_number_id)
    return [show_rule(row) for row in RULES.listed(call, condition, *values)]


@handles("phone_contact_rules.get")
def get_rule(call: Call) -> PhoneContactRule:
    """One rule."""
    return show_rule(RULES.rule(call, number_of(call)["id"]))


@handles("phone_contact_rules.create")
def create_rule(call: Call) -> PhoneContactRule:
    """A new, active rule."""
    return show_rule(RULES.create(call, number_of(call)["id"]))


@handles("phone_contact_rules.update")
def update_rule(call: Call) -> PhoneContactRule:
    """Change what a rule does, whether it takes effect, or which direction it covers."""
    return show_rule(RULES.update(call, number_of(call)["id"]))


@handles("phone_contact_rules.delete")
def delete_rule(call: Call) -> None:
    """Delete a rule; its target is free again."""
    RULES.delete(call, number_of(call)["id"])
